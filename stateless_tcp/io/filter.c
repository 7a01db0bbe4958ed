/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/filter.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* As much of a frame as there is. */
#define SNAPLEN 65535

/* Both describe the same octets; only the names differ. */
static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter), "one instruction");

static int attach(int fd, struct sock_filter *instructions, unsigned count)
{
    const struct sock_fprog program = {.len = (unsigned short)count, .filter = instructions};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 ? 0
                                                                                        : -errno;
}

int filter_attach_nothing(int fd)
{
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    return attach(fd, nothing, 1);
}

int filter_attach(int fd, const char *filter, struct io_error *error)
{
    struct bpf_program program;
    pcap_t *compiler = pcap_open_dead(DLT_EN10MB, SNAPLEN);
    if (compiler == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    int result = -EINVAL;
    if (pcap_compile(compiler, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        snprintf(error->text, sizeof(error->text), "capture filter refused: %.200s",
                 pcap_geterr(compiler));
    } else {
        result = attach(fd, (struct sock_filter *)(void *)program.bf_insns, program.bf_len);
        if (result != 0)
            snprintf(error->text, sizeof(error->text),
                     "cannot set the capture filter, of %u instructions: %s", program.bf_len,
                     strerror(-result));
        pcap_freecode(&program);
    }
    pcap_close(compiler);
    return result;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * libpcap captures, libnet injects: works on every Ethernet-like interface that Linux has.
 *
 * Capture sees a frame before the kernel's own network stack does and does not take it away; that
 * the kernel ignores it is the guard's work (guard.h).
 */
#include "stateless_tcp/io/io.h"

#include <errno.h>
#include <libnet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Longer frames are cut, and then dropped by the parser: jumbo frames pass, segments that the
 * sender's kernel has not yet cut into packets (veth) pass up to this size. In immediate mode each
 * frame occupies a slot of this size in the ring. */
#define SNAPLEN 9216
#define RING_OCTETS (16 * 1024 * 1024)

struct io {
    char interface[IF_NAMESIZE];
    pcap_t *capture;
    libnet_t *injector;
    uint8_t *batch; /* copies: libpcap's own are valid during its callback only */
    uint32_t batch_len;
    struct io_frame *frames;
    int frame_count;
    uint8_t *train_octets;
};

static void live_close(struct io *io)
{
    if (io == NULL)
        return;
    if (io->injector != NULL)
        libnet_destroy(io->injector);
    if (io->capture != NULL)
        pcap_close(io->capture);
    free(io->batch);
    free(io->train_octets);
    free(io);
}

static int live_fail(struct io_error *error, int result, const char *interface, const char *what,
                     const char *reason)
{
    snprintf(error->text, sizeof(error->text), "interface %s: %s: %s", interface, what, reason);
    return result;
}

/* What an activation status means to whoever reads the message. */
static int capture_fail(struct io *io, int status, struct io_error *error)
{
    const char *reason = pcap_geterr(io->capture);
    if (*reason == '\0')
        reason = pcap_statustostr(status);
    switch (status) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
        return live_fail(error, -ENODEV, io->interface, "cannot capture",
                         "there is no such interface; \"ip link\" lists those there are");
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        return live_fail(error, -EPERM, io->interface, "cannot capture",
                         "not permitted; start as root or with CAP_NET_RAW and CAP_NET_ADMIN");
    case PCAP_ERROR_IFACE_NOT_UP:
        return live_fail(error, -ENETDOWN, io->interface, "cannot capture",
                         "it is down; \"ip link set IFNAME up\"");
    default:
        return live_fail(error, -EIO, io->interface, "cannot capture", reason);
    }
}

static int capture_filter(struct io *io, const char *filter, struct io_error *error)
{
    struct bpf_program program;
    if (pcap_compile(io->capture, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return live_fail(error, -EINVAL, io->interface, "capture filter refused",
                         pcap_geterr(io->capture));
    int status = pcap_setfilter(io->capture, &program);
    pcap_freecode(&program);
    if (status != 0)
        return live_fail(error, -EIO, io->interface, "cannot set the capture filter",
                         pcap_geterr(io->capture));
    return 0;
}

static int capture_open(struct io *io, const char *filter, struct io_error *error)
{
    char reason[PCAP_ERRBUF_SIZE] = "";
    io->capture = pcap_create(io->interface, reason);
    if (io->capture == NULL)
        return live_fail(error, -EIO, io->interface, "cannot capture", reason);
    pcap_set_snaplen(io->capture, SNAPLEN);
    pcap_set_promisc(io->capture, 0);
    pcap_set_immediate_mode(io->capture, 1); /* hand frames over at once, not by the block */
    pcap_set_buffer_size(io->capture, RING_OCTETS);
    int status = pcap_activate(io->capture);
    if (status < 0)
        return capture_fail(io, status, error);
    if (pcap_datalink(io->capture) != DLT_EN10MB)
        return live_fail(error, -EPROTONOSUPPORT, io->interface, "cannot serve",
                         "its frames are not Ethernet frames; use --tcp kernel there");
    if (pcap_setdirection(io->capture, PCAP_D_IN) != 0)
        return live_fail(error, -EIO, io->interface, "cannot leave out what is sent",
                         pcap_geterr(io->capture));
    if (pcap_setnonblock(io->capture, 1, reason) != 0)
        return live_fail(error, -EIO, io->interface, "cannot read without blocking", reason);
    return filter != NULL ? capture_filter(io, filter, error) : 0;
}

static int injector_open(struct io *io, struct io_error *error)
{
    char reason[LIBNET_ERRBUF_SIZE] = "";
    io->injector = libnet_init(LIBNET_LINK_ADV, io->interface, reason);
    if (io->injector == NULL)
        return live_fail(error, -EIO, io->interface, "cannot send frames", reason);
    /* libnet's socket also receives every frame, which nobody reads: let the kernel keep them. */
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = 1, .filter = nothing};
    if (setsockopt(libnet_getfd(io->injector), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof(program)) != 0)
        return live_fail(error, -errno, io->interface, "cannot send frames", strerror(errno));
    return 0;
}

static int live_open(const struct io_config *config, struct io **io_out, struct io_error *error)
{
    *io_out = NULL;
    struct io *io = calloc(1, sizeof(*io));
    if (io == NULL)
        return live_fail(error, -ENOMEM, config->interface, "cannot serve", "out of memory");
    int result = 0;
    if (strlen(config->interface) >= sizeof(io->interface))
        result = live_fail(error, -ENODEV, config->interface, "cannot capture",
                           "interface names are shorter");
    else
        strcpy(io->interface, config->interface);
    if (result == 0)
        result = capture_open(io, config->filter, error);
    if (result == 0)
        result = injector_open(io, error);
    if (result == 0) {
        io->batch = malloc((size_t)IO_BATCH * SNAPLEN);
        io->train_octets = malloc(TRAIN_CAP);
        if (io->batch == NULL || io->train_octets == NULL)
            result = live_fail(error, -ENOMEM, io->interface, "cannot serve", "out of memory");
    }
    if (result != 0) {
        live_close(io);
        return result;
    }
    *io_out = io;
    return 0;
}

static void take_frame(u_char *context, const struct pcap_pkthdr *header, const u_char *octets)
{
    struct io *io = (struct io *)(void *)context;
    uint32_t len = header->caplen < SNAPLEN ? header->caplen : SNAPLEN;
    uint8_t *copy = io->batch + io->batch_len;
    memcpy(copy, octets, len);
    io->frames[io->frame_count++] = (struct io_frame){
        .octets = copy,
        .len = len,
        .time_us = (uint64_t)header->ts.tv_sec * 1000000 + (uint64_t)header->ts.tv_usec,
    };
    io->batch_len += len;
}

static int live_receive(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap)
{
    struct pollfd poll_fd = {.fd = pcap_get_selectable_fd(io->capture), .events = POLLIN};
    int ready = poll(&poll_fd, 1, timeout_ms);
    if (ready <= 0)
        return ready == 0 || errno == EINTR ? 0 : -errno;
    io->frames = frames;
    io->frame_count = 0;
    io->batch_len = 0;
    int count = frame_cap < IO_BATCH ? frame_cap : IO_BATCH;
    if (pcap_dispatch(io->capture, count, take_frame, (u_char *)io) < 0)
        return if_nametoindex(io->interface) == 0 ? -ENODEV : -ENETDOWN;
    return io->frame_count;
}

static void live_lend(struct io *io, struct train *train_out)
{
    *train_out = (struct train){.octets = io->train_octets, .cap = TRAIN_CAP};
}

/* A frame that finds the queue full is lost as it might be on the wire; that is not our failure. */
static int live_send(struct io *io, const struct train *train)
{
    const uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; i++) {
        errno = 0;
        if (libnet_adv_write_link(io->injector, at, train->frame_len[i]) < 0 &&
            (errno == ENODEV || errno == ENXIO || errno == ENETDOWN))
            return -errno;
        at += train->frame_len[i];
    }
    return 0;
}

static int live_descriptor(const struct io *io)
{
    return pcap_get_selectable_fd(io->capture);
}

const struct io_backend io_backend_libpcap = {
    .name = "libpcap",
    .is_automatic = true,
    .open = live_open,
    .receive = live_receive,
    .lend = live_lend,
    .send = live_send,
    .descriptor = live_descriptor,
    .close = live_close,
};

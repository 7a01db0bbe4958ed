/* SPDX-License-Identifier: BSD-2-Clause
 *
 * driver_run.h - an XDP program run by the kernel on one frame (BPF_PROG_TEST_RUN).
 */
#ifndef TEST_UNIT_DRIVER_RUN_H
#define TEST_UNIT_DRIVER_RUN_H

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether the kernel takes any program from us: then it must take ours. */
static inline bool driver_is_permitted(void)
{
    const struct bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "BSD-2-Clause", pass, 2, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What the program returns; the frame is then in `result`, *result_len_out octets. `len`: 14 or
 * more, else the kernel refuses. Ends the test where the program cannot be run. */
static inline uint32_t driver_run(int program, const uint8_t *frame, size_t len, uint8_t *result,
                                  size_t result_cap, size_t *result_len_out)
{
    struct bpf_test_run_opts run = {.sz = sizeof(run),
                                    .data_in = frame,
                                    .data_size_in = (uint32_t)len,
                                    .data_out = result,
                                    .data_size_out = (uint32_t)result_cap,
                                    .repeat = 1};
    int outcome = bpf_prog_test_run_opts(program, &run);
    if (outcome != 0) {
        fprintf(stderr, "the program cannot be run: %d\n", outcome);
        abort();
    }
    *result_len_out = run.data_size_out;
    return run.retval;
}

#endif

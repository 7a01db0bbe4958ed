/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/out.h"

#include "stateless_tcp/io/xdp/driver.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <unistd.h>

bool out_has_broadcast(void)
{
    uint8_t frame[64] = {0};
    int map = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "try", 4, sizeof(struct bpf_devmap_val), 1, NULL);
    /* return bpf_redirect_map(&try, 0, BPF_F_BROADCAST), as two instructions load a map. */
    const struct bpf_insn code[] = {
        {.code = BPF_LD | BPF_DW | BPF_IMM,
         .dst_reg = BPF_REG_1,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .imm = map},
        {.code = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = BPF_F_BROADCAST},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
        {.code = BPF_JMP | BPF_EXIT},
    };
    struct bpf_test_run_opts run = {
        .sz = sizeof(run), .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1};
    int program = map < 0 ? -1
                          : bpf_prog_load(BPF_PROG_TYPE_XDP, "try", "BSD-2-Clause", code,
                                          sizeof(code) / sizeof(code[0]), NULL);
    bool has_broadcast =
        program >= 0 && bpf_prog_test_run_opts(program, &run) == 0 && run.retval == XDP_REDIRECT;
    if (program >= 0)
        close(program);
    if (map >= 0)
        close(map);
    return has_broadcast;
}

int out_open(const struct bpf_object *object, int interface_index)
{
    static const char *const names[] = {"driver_out", "driver_out_2", "driver_out_3",
                                        "driver_out_4"};
    const struct bpf_devmap_val out = {
        .ifindex = (uint32_t)interface_index,
        .bpf_prog.fd = bpf_program__fd(bpf_object__find_program_by_name(object, "lethe_out")),
    };
    int result = 0;
    for (uint32_t count = 1; result == 0 && count <= DRIVER_COPIES_MAX; count++) {
        int map = bpf_object__find_map_fd_by_name(object, names[count - 1]);
        for (uint32_t i = 0; result == 0 && i < count; i++)
            result = bpf_map_update_elem(map, &i, &out, BPF_ANY);
    }
    return result;
}

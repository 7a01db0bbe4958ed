/* SPDX-License-Identifier: BSD-2-Clause
 *
 * maps.bpf.h - what the XDP programs share: the maps of lethe_driver that one which goes on after
 * it needs too, and is given by whoever loads it. For BPF only.
 */
#ifndef STATELESS_TCP_IO_XDP_MAPS_BPF_H
#define STATELESS_TCP_IO_XDP_MAPS_BPF_H

#include "stateless_tcp/io/xdp/driver.h"

#include <linux/bpf.h>
/* after it */
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, uint32_t);
    __type(value, struct driver_config);
} driver_configs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, DRIVER_QUEUES_MAX);
    __type(key, uint32_t);
    __type(value, uint32_t);
} driver_sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, DRIVER_COUNTERS);
    __type(key, uint32_t);
    __type(value, uint64_t);
} driver_counters SEC(".maps");

/* The interface itself, as often as a frame is to leave, always by lethe_out (copies.bpf.h). */
#define DRIVER_OUT(name, count)               \
    struct {                                  \
        __uint(type, BPF_MAP_TYPE_DEVMAP);    \
        __uint(max_entries, count);           \
        __type(key, uint32_t);                \
        __type(value, struct bpf_devmap_val); \
    } name SEC(".maps")
DRIVER_OUT(driver_out, 1);
DRIVER_OUT(driver_out_2, 2);
DRIVER_OUT(driver_out_3, 3);
DRIVER_OUT(driver_out_4, 4);

static __always_inline void driver_count(enum driver_counter counter)
{
    uint32_t key = counter;
    uint64_t *count = bpf_map_lookup_elem(&driver_counters, &key);
    if (count)
        (*count)++;
}

/* How a program ends with a request that it does not answer, */
static __always_inline int driver_climb_up(struct xdp_md *ctx)
{
    driver_count(DRIVER_COUNT_CLIMBED);
    return (int)bpf_redirect_map(&driver_sockets, ctx->rx_queue_index, XDP_PASS);
}

/* and with the answer in its place. */
static __always_inline int driver_send(struct xdp_md *ctx, const struct driver_config *config)
{
    driver_count(DRIVER_COUNT_ANSWERED);
    /* A veth wakes the other end after XDP_TX only if that has a program of its own; after a
     * redirect generic receive offload does too. */
    return config->has_redirect ? (int)bpf_redirect_map(&driver_out, 0, XDP_TX) : XDP_TX;
}

/* The frame has a ticket: it goes to lethe_out so often, DRIVER_COPIES_MAX times at most. */
static __always_inline int driver_send_copies(uint32_t count)
{
    driver_count(DRIVER_COUNT_ANSWERED);
    driver_count(DRIVER_COUNT_COPIED);
    if (count <= 2)
        return (int)bpf_redirect_map(&driver_out_2, 0, BPF_F_BROADCAST);
    return (int)(count == 3 ? bpf_redirect_map(&driver_out_3, 0, BPF_F_BROADCAST)
                            : bpf_redirect_map(&driver_out_4, 0, BPF_F_BROADCAST));
}

#endif

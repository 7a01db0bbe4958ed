/* SPDX-License-Identifier: BSD-2-Clause
 *
 * resize.bpf.h - a frame made as long as its answer.
 *
 * The host has a struct driver_context of its own, with the kernel's rules: so what resizes frames
 * is tested where there is no BPF.
 */
#ifndef STATELESS_TCP_IO_XDP_RESIZE_BPF_H
#define STATELESS_TCP_IO_XDP_RESIZE_BPF_H

#include "stateless_tcp/io/xdp/frame.bpf.h"

#ifdef __bpf__
#define driver_context xdp_md
#else
/* A frame, and the room that it lies in. */
struct driver_context {
    uint8_t *data, *data_end;
    uint8_t *room, *room_end;
};

static inline int bpf_xdp_adjust_tail(struct driver_context *ctx, int more)
{
    if (more > ctx->room_end - ctx->data_end || ctx->data_end + more < ctx->data + 14)
        return -22;
    ctx->data_end += more;
    return 0;
}

static inline int bpf_xdp_adjust_head(struct driver_context *ctx, int less)
{
    if (less < ctx->room - ctx->data || ctx->data + less + 14 > ctx->data_end)
        return -22;
    ctx->data += less;
    return 0;
}
#endif

DRIVER_INLINE uint8_t *driver_begin(const struct driver_context *ctx)
{
    return (uint8_t *)(long)ctx->data;
}

DRIVER_INLINE uint8_t *driver_end(const struct driver_context *ctx)
{
    return (uint8_t *)(long)ctx->data_end;
}

enum {
    DRIVER_KEPT_MAX = 256,
    /* What XDP has in front of a frame, less what the kernel writes there when it is sent. */
    DRIVER_FRONT_MAX = 216,
};

/* The first `len` octets of the frame, from `from` to the beginning. */
DRIVER_INLINE bool driver_move(struct driver_context *ctx, uint32_t from, uint32_t len)
{
    uint8_t *to = driver_begin(ctx), *end = driver_end(ctx);
    const uint8_t *at = to + (from & 0x7ff);
    for (unsigned i = 0; i < DRIVER_KEPT_MAX / 8 && len >= 8; i++, len -= 8) {
        if (at + 8 > end || to + 8 > end)
            return false;
        uint32_t first = driver_load32(at), second = driver_load32(at + 4);
        driver_store32(to, first);
        driver_store32(to + 4, second);
        to += 8;
        at += 8;
        __asm__ volatile("" : "+r"(to), "+r"(at)); /* as in driver_sum_data() */
    }
#pragma GCC unroll 7
    for (unsigned i = 0; i < 7 && i < len; i++) {
        if (at + i + 1 > end || to + i + 1 > end)
            return false;
        to[i] = at[i];
    }
    return len < 8;
}

/* Make the frame `len` octets long: at its end, or if there is no room, where it begins, or if
 * there is too little, at both. The first `kept_len` octets, DRIVER_KEPT_MAX at most, are kept.
 * DRIVER_TX: done. DRIVER_CLIMB: there is no room; the frame is as it came. DRIVER_DROP: it is not,
 * which never happens. */
DRIVER_INLINE enum driver_verdict driver_resize(struct driver_context *ctx, uint32_t len,
                                                uint32_t kept_len)
{
    int more = (int)len - (int)(ctx->data_end - ctx->data), in_front = more;
    if (more == 0 || bpf_xdp_adjust_tail(ctx, more) == 0)
        return DRIVER_TX;
    if (more < 0)
        return DRIVER_CLIMB;
    if (bpf_xdp_adjust_head(ctx, -more) != 0) {
        int behind = more - DRIVER_FRONT_MAX;
        in_front = DRIVER_FRONT_MAX;
        if (behind <= 0 || bpf_xdp_adjust_tail(ctx, behind) != 0)
            return DRIVER_CLIMB;
        if (bpf_xdp_adjust_head(ctx, -in_front) != 0)
            return bpf_xdp_adjust_tail(ctx, -behind) == 0 ? DRIVER_CLIMB : DRIVER_DROP;
    }
    return driver_move(ctx, (uint32_t)in_front, kept_len) ? DRIVER_TX : DRIVER_DROP;
}

#endif

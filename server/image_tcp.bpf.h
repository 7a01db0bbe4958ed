/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_tcp.bpf.h - a request over TCP in a frame, made its response.
 *
 * What goes back was decided before (request.bpf.h), but for the response. Neither the request nor
 * its answer has an option but timestamps, so the message stands at the same place in both.
 */
#ifndef SERVER_IMAGE_TCP_BPF_H
#define SERVER_IMAGE_TCP_BPF_H

#include "server/image_answer.bpf.h"
#include "stateless_tcp/io/xdp/request.bpf.h"

/* DRIVER_TX: the frame is the answer now, and *note_out what the cache shall know of it.
 * DRIVER_CLIMB: the frame is as it came. DRIVER_DROP: the image was taken away meanwhile, and the
 * frame is lost; its sender will send it again. */
DRIVER_INLINE enum driver_verdict image_tcp(struct driver_context *ctx,
                                            const struct driver_config *config,
                                            const struct driver_work *driver,
                                            struct image_work *work, struct recent_note *note_out)
{
    uint32_t len = 0;
    uint32_t at = driver_request_find(driver_begin(ctx), driver_end(ctx), driver, &len);
    if (driver->decision.room == 0 || at == 0 || !image_find(ctx, at, len, true, work) ||
        work->len + LENGTH_LEN > driver->decision.room ||
        !driver_request_is_sum_good(driver, config, work->request_sum))
        return DRIVER_CLIMB;
    enum driver_verdict verdict = driver_resize(ctx, at + work->len, at + work->question_end);
    if (verdict != DRIVER_TX)
        return verdict;
    if (!driver_request_put(driver_begin(ctx), driver_end(ctx), driver, work->len, work->sum) ||
        !image_put(ctx, at, work))
        return DRIVER_DROP;
    driver_request_note(driver, work->len, (uint32_t)work->version, note_out);
    return DRIVER_TX;
}

#ifdef __bpf__
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, RECENT_NOTES);
    __type(key, uint32_t);
    __type(value, struct recent_note);
} driver_notes SEC(".maps");

/* The same, the note in its place. */
static __always_inline enum driver_verdict image_tcp_answer(struct xdp_md *ctx,
                                                            const struct driver_config *config,
                                                            const struct driver_work *driver,
                                                            struct image_work *work)
{
    uint32_t place = recent_note_place(driver->decision.place.connection);
    struct recent_note *note = bpf_map_lookup_elem(&driver_notes, &place);
    if (!note)
        return DRIVER_CLIMB;
    return image_tcp(ctx, config, driver, work, note);
}
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_tcp.bpf.h - a request over TCP in a frame, made its response.
 *
 * What goes back was decided before (request.bpf.h), but for the response. Neither the request nor
 * its answer has an option but timestamps, so the message stands at the same place in both.
 */
#ifndef SERVER_IMAGE_TCP_BPF_H
#define SERVER_IMAGE_TCP_BPF_H

#include "server/image_part.bpf.h"
#include "stateless_tcp/io/xdp/request.bpf.h"

/* Where the message begins in the frame. */
DRIVER_INLINE uint32_t image_tcp_at(const struct driver_work *driver)
{
    return (driver->frame.tcp_at & 0x7f) + (driver->segment.header_len & 0x3c) + LENGTH_LEN;
}

/* What image_tcp() found, written into the frame, or into a copy of it. */
DRIVER_INLINE enum driver_verdict
image_tcp_put(struct driver_context *ctx, const struct driver_work *driver, struct image_work *work)
{
    uint32_t at = image_tcp_at(driver);
    enum driver_verdict verdict = driver_resize(ctx, at + work->len, at + work->question_end);
    if (verdict != DRIVER_TX)
        return verdict;
    return driver_request_put(driver_begin(ctx), driver_end(ctx), driver, work->len, work->sum) &&
                   image_put(ctx, at, work)
               ? DRIVER_TX
               : DRIVER_DROP;
}

/* The same, one of several segments, `which` of them, into a copy. */
DRIVER_INLINE enum driver_verdict image_tcp_put_part(struct driver_context *ctx,
                                                     const struct driver_work *driver,
                                                     struct image_work *work, uint32_t which)
{
    uint32_t at = image_tcp_at(driver) - LENGTH_LEN, stream_len = LENGTH_LEN + work->len;
    work->part_from = which * work->segment_len;
    if (work->part_from >= stream_len)
        return DRIVER_DROP;
    work->part_len = driver_least(work->segment_len, stream_len - work->part_from);
    uint32_t kept_len = at + (which == 0 ? image_part_body(work) : 0);
    if (driver_resize(ctx, at + work->part_len, kept_len) != DRIVER_TX ||
        !image_part(ctx, at, work))
        return DRIVER_DROP;
    return driver_train_put(driver_begin(ctx), driver_end(ctx), driver, work->part_from,
                            work->part_len, stream_len, work->part_sum)
               ? DRIVER_TX
               : DRIVER_DROP;
}

/* How many segments the answer takes, if it may be sent at once; 0: it may not. */
DRIVER_INLINE uint32_t image_tcp_segments(const struct driver_config *config,
                                          const struct driver_work *driver, struct image_work *work)
{
    uint32_t stream_len = LENGTH_LEN + work->len;
    if (stream_len <= driver->decision.room)
        return 1;
    uint32_t segment_len = driver_train_segment(driver, config);
    work->segment_len = segment_len;
    if (segment_len < image_part_body(work) ||
        stream_len > driver_train_room(driver, config, segment_len))
        return 0;
    return (stream_len + segment_len - 1) / segment_len;
}

/* DRIVER_TX: the frame is the answer now, and *note_out what the cache shall know of it.
 * DRIVER_CLIMB: the frame is as it came; unless work->segments is 0 it can be answered by so many
 * copies of it. DRIVER_DROP: the image was taken away meanwhile, and the frame is lost; its sender
 * will send it again. */
DRIVER_INLINE enum driver_verdict image_tcp(struct driver_context *ctx,
                                            const struct driver_config *config,
                                            const struct driver_work *driver,
                                            struct image_work *work, struct recent_note *note_out)
{
    uint32_t len = 0;
    uint32_t at = driver_request_find(driver_begin(ctx), driver_end(ctx), driver, &len);
    work->segments = 0;
    if (driver->decision.room == 0 || at == 0 || !image_find(ctx, at, len, true, work) ||
        !driver_request_is_sum_good(driver, config, work->request_sum))
        return DRIVER_CLIMB;
    work->segments = image_tcp_segments(config, driver, work);
    if (work->segments != 1)
        return DRIVER_CLIMB;
    enum driver_verdict verdict = image_tcp_put(ctx, driver, work);
    if (verdict == DRIVER_TX)
        driver_request_note(driver, work->len, (uint32_t)work->version, note_out);
    return verdict;
}

/* What was sent last on a connection, if that was several segments, all at once. */
struct image_train {
    uint64_t connection;
    uint32_t end, seq_end; /* in our stream; in the client's, behind its request */
};

#define IMAGE_TRAINS 4096u /* a power of two */

DRIVER_INLINE uint32_t image_train_place(uint64_t connection)
{
    return (uint32_t)(connection >> 32) & (IMAGE_TRAINS - 1);
}

/* After image_tcp(), if work->segments is more than 1. */
DRIVER_INLINE struct image_train image_train(const struct driver_work *driver,
                                             const struct image_work *work)
{
    const struct driver_place *place = &driver->decision.place;
    return (struct image_train){.connection = place->connection,
                                .end = place->held + LENGTH_LEN + work->len,
                                .seq_end = driver->decision.reply.ack};
}

/* Whether an ACK is of some of such a train, of those at image_train_place(). All of it was sent,
 * and its octets are not kept: it is met with silence, as without a cache (receive_progress() in
 * modern.c). `place`: where it proves its connection to be. */
DRIVER_INLINE bool image_tcp_is_progress(const struct driver_work *driver,
                                         const struct driver_place *place,
                                         const struct image_train *train)
{
    const struct driver_segment *segment = &driver->segment;
    const struct point point = point_read(segment->timestamp_echo, place->held);
    return segment->data_len == 0 && train->connection != 0 &&
           train->connection == place->connection && train->end == point.offset &&
           place->held < point.offset && train->seq_end == segment->seq;
}

/* Whether it is to be asked: such an ACK, of something. */
DRIVER_INLINE bool image_tcp_may_be_progress(const struct driver_work *driver,
                                             const struct driver_config *config,
                                             struct driver_place *place_out)
{
    return driver->decision.room == 0 && driver->decision.counter == DRIVER_COUNT_ACK &&
           driver_prove_echo(config, &driver->segment, place_out) == DRIVER_PROVEN;
}

#ifdef __bpf__
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, IMAGE_TRAINS);
    __type(key, uint32_t);
    __type(value, struct image_train);
} image_trains SEC(".maps");

/* The place of a connection's; NULL never happens. */
static __always_inline struct image_train *image_tcp_train(uint64_t connection)
{
    uint32_t place = image_train_place(connection);
    return bpf_map_lookup_elem(&image_trains, &place);
}

/* Whether an ACK is met with silence. A function of its own for its stack. */
__attribute__((noinline)) int image_tcp_progress(const struct driver_config *config,
                                                 const struct driver_work *driver)
{
    struct driver_place place;
    if (config == NULL || driver == NULL || !image_tcp_may_be_progress(driver, config, &place))
        return 0;
    const struct image_train *train = image_tcp_train(place.connection);
    return train && image_tcp_is_progress(driver, &place, train);
}

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, RECENT_NOTES);
    __type(key, uint32_t);
    __type(value, struct recent_note);
} driver_notes SEC(".maps");

/* The place of the note; NULL never happens. */
static __always_inline struct recent_note *image_tcp_note(const struct driver_work *driver)
{
    uint32_t place = recent_note_place(driver->decision.place.connection);
    return bpf_map_lookup_elem(&driver_notes, &place);
}

/* The same, the note in its place. */
static __always_inline enum driver_verdict image_tcp_answer(struct xdp_md *ctx,
                                                            const struct driver_config *config,
                                                            const struct driver_work *driver,
                                                            struct image_work *work)
{
    struct recent_note *note = image_tcp_note(driver);
    return note ? image_tcp(ctx, config, driver, work, note) : DRIVER_CLIMB;
}
#endif

#endif

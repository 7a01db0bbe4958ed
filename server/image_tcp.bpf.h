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

/* Note what is sent on a connection in several segments, all at once: after image_tcp(), if
 * work->segments is more than 1, while the frame is as it came. Returns 0 if that is too long, which
 * never happens. */
DRIVER_STEP int image_train_note(struct driver_context *ctx, const struct driver_work *driver,
                                 const struct image_work *work, struct recent_train *train)
{
    if (driver == NULL || work == NULL || train == NULL)
        return 0;
    const uint8_t *at = driver_begin(ctx) + ((image_tcp_at(driver) - LENGTH_LEN) & 0xff);
    const uint8_t *end = driver_end(ctx);
    uint32_t len = driver->segment.data_len, left = len & 7, count = len / 8;
    const uint8_t *last = at + ((len - 8) & 0xff);
    uint64_t mixed = 0;
    if (len < LENGTH_LEN + REQUEST_LEN_MIN || len > 8 * RECENT_REQUEST_WORDS || last + 8 > end)
        return 0;
    for (uint32_t i = 0; i < RECENT_REQUEST_WORDS && i < count; i++) {
        if (at + 8 > end)
            return 0;
        uint64_t word = driver_load64(at);
        train->request[i] = word;
        mixed = recent_train_mix(mixed, word);
        at += 8;
        __asm__ volatile("" : "+r"(at)); /* as in driver_sum_data() */
    }
    IMAGE_KEEP(count);
    if (left > 0 && count < RECENT_REQUEST_WORDS) {
        uint64_t word = image_le64(image_le64(driver_load64(last)) >> (64 - 8 * left));
        train->request[count] = word;
        mixed = recent_train_mix(mixed, word);
    }
    DRIVER_FORGET();
    train->connection = driver->decision.place.connection;
    train->seq = driver->segment.seq;
    train->seq_end = driver->decision.reply.ack;
    train->start = driver->decision.place.held;
    train->end = train->start + LENGTH_LEN + work->len;
    train->snapshot = (uint32_t)work->version;
    train->check = recent_train_check(train, mixed);
    return 1;
}

/* Whether an ACK is of some of such a train, and of nothing behind. All of it was sent: it is met with
 * silence, as without a cache (receive_progress() in modern.c). If pieces are there behind it the
 * workers see to the hole (modern_repair.h). `place`: where it proves its connection to be. */
DRIVER_INLINE bool image_tcp_is_progress(const struct driver_work *driver,
                                         const struct driver_place *place,
                                         const struct recent_train *train)
{
    const struct driver_segment *segment = &driver->segment;
    const struct point point = point_read(segment->timestamp_echo, place->held);
    /* No other option beside timestamps, so no SACK. */
    return segment->data_len == 0 && train->connection != 0 &&
           segment->header_len == PACKET_TCP_HEADER_LEN + PACKET_TCP_TIMESTAMPS_OPTION_LEN &&
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
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, RECENT_TRAINS);
    __type(key, uint32_t);
    __type(value, struct recent_train);
} driver_trains SEC(".maps");

/* The place of a connection's; NULL never happens. */
static __always_inline struct recent_train *image_tcp_train(uint64_t connection)
{
    uint32_t place = recent_train_place(connection);
    return bpf_map_lookup_elem(&driver_trains, &place);
}

/* Whether an ACK is met with silence. A function of its own for its stack. */
__attribute__((noinline)) int image_tcp_progress(const struct driver_config *config,
                                                 const struct driver_work *driver)
{
    struct driver_place place;
    if (config == NULL || driver == NULL || !image_tcp_may_be_progress(driver, config, &place))
        return 0;
    const struct recent_train *train = image_tcp_train(place.connection);
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

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * request.bpf.h - a request over TCP whose response the driver knows: what goes back.
 *
 *     client                                        driver
 *       length, request              ---->  is all of it, and nothing else, in the segment? is
 *                                           everything before it answered and there?
 *                                    <----  length, response: one segment, which ACKs the request,
 *                                           or several, which do not
 *       length, the next request     ---->  which ACKs that response
 *
 * Nothing is known of DNS here. driver_request() decides while nobody has looked for a response
 * yet: whether there may be one, and how long; whoever knows it writes it where the request was,
 * and driver_request_put() what is before it. Who knows none lets the segment climb.
 *
 * CLAIM. The frame is, octet for octet, the one that stateless_tcp_receive() and the calls after
 * it would have sent with the same response and without a cache, in `modern`. With one, of what it
 * may know of the connection:
 *
 *     that all up to this   F has one value at each boundary, so point_refine() (modern_point.h) finds
 *     segment is answered   what the client carries anyhow.
 *     that this segment,    The client holds nothing of the response, so less than where that ends:
 *     and perhaps others    is_all_there() in modern.c is not so.
 *     behind it, are too
 *     and the octets of     Those would be sent (is_answered()), if they took more than one segment.
 *     that                  Here the response takes one: then the zone has changed, or others were
 *                           asked for with this one. As the client holds nothing of it, it may get
 *                           the present one, as from any server that shares the keys.
 *     that it took several  So it may here: the same octets in the same segments, if the client has
 *     segments              room for all and they are no more than without a cache go out at once. If
 *                           one is lost, SACK climbs (modern_repair.h); or the client's timer does
 *                           the work, as behind a second server: the next try is this frame again, or
 *                           one that carries less and climbs.
 *     a tail that this      (modern_tail.h) It begins at a boundary before the point, and so was
 *     segment is in         answered meanwhile, by somebody else. This response is the same.
 *
 * What the cache would have learned by the answer it learns from a note (recent.h).
 *
 * What is not in sequence climbs: the response to it depends on others, whose length is not known
 * here. So does what carries a FIN or more than one request, any piece of one, and whose sender has
 * no window, or tells by SACK of pieces that it holds.
 */
#ifndef STATELESS_TCP_IO_XDP_REQUEST_BPF_H
#define STATELESS_TCP_IO_XDP_REQUEST_BPF_H

#include "stateless_tcp/io/xdp/proof.bpf.h"

/* What is decided, and what for. */
struct driver_decision {
    enum driver_verdict verdict;
    enum driver_counter counter; /* DRIVER_CLIMB: DRIVER_COUNT_ACK if it is of a part of a train */
    struct packet_segment reply; /* DRIVER_TX */
    /* DRIVER_CLIMB: where this is not 0, `reply` goes back with a response of so many octets or
     * less, its length counted; its TSval has the place in our stream where that begins. */
    uint32_t room;
    struct driver_place place; /* if so */
};

/* Memory to work in: more than a BPF program's stack has room for; and what is read from there the
 * verifier knows nothing of, so that it need not follow each way to it apart. */
struct driver_work {
    struct driver_frame frame;
    struct driver_segment segment;
    struct driver_decision decision;
    uint32_t fence; /* nothing is kept here */
};

DRIVER_INLINE struct driver_decision driver_drop(enum driver_counter counter)
{
    return (struct driver_decision){.verdict = DRIVER_DROP, .counter = counter};
}

DRIVER_INLINE struct driver_decision driver_climb(void)
{
    return (struct driver_decision){.verdict = DRIVER_CLIMB};
}

/* Of several segments some are there: whoever sent them knows what to do. */
DRIVER_INLINE struct driver_decision driver_progress(void)
{
    return (struct driver_decision){.verdict = DRIVER_CLIMB, .counter = DRIVER_COUNT_ACK};
}

/* Whether it climbs with something to be decided: by the next program, if there is one. */
DRIVER_INLINE bool driver_is_undecided(const struct driver_decision *decision)
{
    return decision->room > 0 || decision->counter == DRIVER_COUNT_ACK;
}

DRIVER_INLINE uint32_t driver_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Octets that a segment has room for: segment_size() in modern.c. */
DRIVER_INLINE uint32_t driver_request_segment(const struct driver_config *config,
                                              const struct driver_segment *segment,
                                              const struct driver_place *place)
{
    uint32_t options_len = segment->header_len - PACKET_TCP_HEADER_LEN;
    return driver_least(cookie_class_limit(place->mss_class) - options_len, config->segment_size);
}

/* Of `len` octets so many as the client has room for, and our stream before it ends: is_single()
 * and window_end() in modern_send.c, modern_send() in modern.c. */
DRIVER_INLINE uint32_t driver_request_room(const struct driver_segment *segment,
                                           const struct driver_place *place, uint32_t len)
{
    uint32_t window = driver_be32(segment->words[3]) & 0xffff;
    uint32_t room = driver_least(len, window);
    return place->held < MODERN_CLOSE_AT ? driver_least(room, MODERN_CLOSE_AT - place->held) : 0;
}

/* receive_data() in modern.c, where the sender has proven its cookie. */
DRIVER_INLINE struct driver_decision driver_request(const struct driver_config *config,
                                                    const struct driver_segment *segment,
                                                    const struct driver_place *place)
{
    /* No other option beside timestamps, so no SACK. */
    uint32_t header_len =
        PACKET_TCP_HEADER_LEN + (segment->has_timestamps ? PACKET_TCP_TIMESTAMPS_OPTION_LEN : 0);
    uint32_t behind = segment->seq + segment->data_len;
    if (!place->is_at_point || segment->flags != PACKET_ACK || segment->header_len != header_len ||
        segment->data_len > DRIVER_DATA_MAX)
        return driver_climb();
    uint8_t end = segment->has_timestamps ? 0 : PACKET_FIN;
    uint32_t segment_len = driver_request_segment(config, segment, place);
    return (struct driver_decision){
        .verdict = DRIVER_CLIMB,
        .counter = DRIVER_COUNT_REQUEST,
        .room = driver_request_room(segment, place, segment_len),
        .place = *place,
        .reply = {.seq = segment->ack,
                  .ack = behind,
                  .window = MODERN_WINDOW,
                  .flags = PACKET_ACK | PACKET_PSH | end,
                  .has_timestamps = segment->has_timestamps,
                  .timestamp_value = point_make(place->held, behind, true),
                  .timestamp_echo = segment->timestamp_value},
    };
}

/* Where in the frame the message is that is all of the segment's data; 0: there is none. */
DRIVER_INLINE uint32_t driver_request_find(const uint8_t *data, const uint8_t *end,
                                           const struct driver_work *work, uint32_t *len_out)
{
    const struct driver_segment *segment = &work->segment;
    uint32_t tcp_at = work->frame.tcp_at & 0x7f, header_len = segment->header_len & 0x3c;
    const uint8_t *at = data + tcp_at + header_len;
    if (at + LENGTH_LEN > end)
        return 0;
    uint32_t len = (uint32_t)at[0] << 8 | at[1];
    if (len < REQUEST_LEN_MIN || len + LENGTH_LEN != segment->data_len)
        return 0;
    *len_out = len;
    return tcp_at + header_len + LENGTH_LEN;
}

/* Whether it came as it was sent. `sum`: of its octets, in pairs from the first one. */
DRIVER_INLINE bool driver_request_is_sum_good(const struct driver_work *work,
                                              const struct driver_config *config, uint64_t sum)
{
    uint32_t prefix = driver_be32((work->segment.data_len - LENGTH_LEN) << 16);
    return driver_is_sum_right(&work->segment, sum + prefix, config->checksum_policy);
}

/* All that is before the response: its `len` octets have the sum `sum`, in pairs from the first
 * octet. False: not so many fit, or beyond the frame; the caller sees that neither happens. */
DRIVER_INLINE bool driver_request_put(uint8_t *data, const uint8_t *end,
                                      const struct driver_work *work, uint32_t len, uint64_t sum)
{
    struct packet_segment reply = work->decision.reply;
    uint32_t header_len = driver_reply_len(&reply), stream_len = LENGTH_LEN + len;
    uint32_t tcp_at = work->frame.tcp_at & 0x7f;
    uint8_t *prefix = data + tcp_at + (header_len & 0x3c);
    if (stream_len > work->decision.room || prefix + LENGTH_LEN > end)
        return false;
    uint32_t prefix_word = driver_be32(len << 16);
    prefix[0] = (uint8_t)(len >> 8);
    prefix[1] = (uint8_t)len;
    reply.timestamp_value += point_make(stream_len, 0, false);
    return driver_put_before(data, end, &work->frame, &work->segment, PROTOCOL_TCP,
                             header_len + stream_len) &&
           driver_put_tcp(data + tcp_at, end, header_len, &work->segment, &reply, stream_len,
                          sum + prefix_word);
}

/* Where a response takes several segments: how long they are, and how many octets may go at once. */
DRIVER_INLINE uint32_t driver_train_segment(const struct driver_work *work,
                                            const struct driver_config *config)
{
    return driver_request_segment(config, &work->segment, &work->decision.place);
}

DRIVER_INLINE uint32_t driver_train_room(const struct driver_work *work,
                                         const struct driver_config *config, uint32_t segment_len)
{
    uint32_t len = segment_len * driver_least(config->burst, DRIVER_SEGMENTS_MAX);
    return driver_request_room(&work->segment, &work->decision.place, len);
}

/* One of several segments, as send_segment() in modern_send.c sends them: `len` octets from `from`
 * on of a stream of `stream_len` octets, with the sum `sum`. They acknowledge nothing of the
 * request, which comes again if one is lost. False: beyond the frame, which never happens. */
DRIVER_INLINE bool driver_train_put(uint8_t *data, const uint8_t *end,
                                    const struct driver_work *work, uint32_t from, uint32_t len,
                                    uint32_t stream_len, uint64_t sum)
{
    struct packet_segment reply = work->decision.reply;
    uint32_t header_len = driver_reply_len(&reply), tcp_at = work->frame.tcp_at & 0x7f;
    reply.timestamp_value += point_make(stream_len, 0, false) - point_make(0, 0, true);
    reply.seq += from;
    reply.ack = work->segment.seq;
    if (from + len != stream_len)
        reply.flags = PACKET_ACK;
    return driver_put_before(data, end, &work->frame, &work->segment, PROTOCOL_TCP,
                             header_len + len) &&
           driver_put_tcp(data + tcp_at, end, header_len, &work->segment, &reply, len, sum);
}

/* What a cache shall know of that (recent.h). */
DRIVER_INLINE void driver_request_note(const struct driver_work *work, uint32_t len,
                                       uint32_t snapshot, struct recent_note *note_out)
{
    const struct driver_decision *decision = &work->decision;
    struct recent_note note = {.seq = work->segment.seq,
                               .seq_end = decision->reply.ack,
                               .start = decision->place.held,
                               .end = decision->place.held + LENGTH_LEN + len,
                               .snapshot = snapshot};
    note.check = recent_note_check(&note, decision->place.connection);
    *note_out = note;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.bpf.h - what the XDP program answers by itself, so that of a connection only requests climb.
 *
 *     client                                        driver            user space
 *       SYN                          ---->  answers
 *                                    <----  SYN+ACK
 *       ACK                          ---->  drops
 *       request                      ---->  climbs  ------------------> response
 *                                           (request.bpf.h: but where the next program knows that)
 *       ACK                          ---->  drops; of the last of several segments, answers
 *       FIN                          ---->  answers
 *                                    <----  FIN+ACK
 *       ACK                          ---->  drops
 *
 * CLAIM. DRIVER_TX leaves in the frame, octet for octet, the one frame that stateless_tcp_receive()
 * would have sent for it without a cache; DRIVER_DROP is where it would have been silent, with or
 * without one. Everything else climbs. As servers that share keys may answer each other's
 * connections segment by segment (cookie.h), the driver is such a server, one without a cache; so
 * it is right, and the only question is whether a cache would have made user space quicker. It
 * would not:
 *
 *     SYN          No cache is looked at. With data, or where Fast Open wants a cookie, it climbs.
 *     pure ACK     Without timestamps, or if the point that it echoes is done, it is met with
 *                  silence before a cache is looked at. So are the last step of a handshake and the
 *                  ACK of a response in one segment: nearly all. (A keep-alive probe climbs.)
 *     completion   The cookie and the point agree exactly, F(N) with what the client holds, so the
 *                  proof needs no cache; and SEG.SEQ is N: the client has nothing in flight. The
 *                  cache would matter in two ways. That it knew of a later train (has_later in
 *                  modern.c) takes requests behind N that came before this ACK; then SEG.SEQ, which
 *                  is SND.NXT of the sender or the end of our window, which never moves back, would
 *                  be behind N too, by no more than MODERN_WINDOW, so not congruent to N. That it
 *                  knew of a tail (modern_tail.h) takes octets behind N, with the same result. (But
 *                  an ACK that is overtaken by the data sent after it does not tell of them. Then
 *                  the data waits for the client's timer, as with a cache that has forgotten.)
 *                  Where SEG.SEQ is not N, or something of the train is missing, it climbs.
 *     FIN alone    The same proof, or one near the beginning of our stream, which needs no cache
 *                  either. Where SEG.SEQ is N, a cache that knows the end of the train knows it to
 *                  be at the very point (point_refine() in modern_point.h). Else it climbs. Without
 *                  timestamps all that may have a request before it climbs: a RST must not overtake
 *                  the response.
 *     no proof     A number that can be no cookie, or a point far from it, proves nothing whatever
 *                  a cache says. One in between climbs.
 *     data         climbs, but for what proves nothing: RST or silence, as the server is told to.
 *                  With it goes what could be sent back if the response were known: request.bpf.h.
 *
 * No answer is longer than what it answers: the frame is overwritten, and cut.
 *
 * The rules are those of modern.c and stateless_tcp.c, the numbers come from their headers, and
 * test/unit/driver_tcp_test.c holds the two against each other. The same source is compiled for the
 * host for that, so no BPF is needed to know that it is right; that the verifier accepts it, and
 * that the kernel then does the same, is tested where there is one.
 */
#ifndef STATELESS_TCP_IO_XDP_TCP_BPF_H
#define STATELESS_TCP_IO_XDP_TCP_BPF_H

#include "stateless_tcp/io/xdp/request.bpf.h"

enum {
    DRIVER_CLASSIC_WINDOW = 65535, /* as in stateless_tcp.c */
    DRIVER_FLAGS = PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN,
};

/* receive_syn() of the two profiles. */
DRIVER_INLINE struct driver_decision driver_syn(const struct driver_config *config,

                                                const struct driver_segment *segment)
{
    if (segment->data_len > 0 || (config->has_fast_open && segment->has_fast_open))
        return driver_climb();
    const struct cookie_ends ends = driver_ends(segment);
    const uint8_t *key = config->keys.epochs[0];
    uint32_t room = segment->header_len - PACKET_TCP_HEADER_LEN;
    struct driver_decision decision = {
        .verdict = DRIVER_TX,
        .counter = DRIVER_COUNT_SYN,
        .reply = {.ack = segment->seq + 1, .flags = PACKET_SYN | PACKET_ACK},
    };
    struct packet_segment *reply = &decision.reply;
    if (config->profile == STATELESS_TCP_CLASSIC) {
        reply->window = DRIVER_CLASSIC_WINDOW;
        reply->mss = room >= PACKET_TCP_MSS_OPTION_LEN ? config->mss : 0;
        reply->seq = cookie_iss(key, cookie_hash(key, &ends, COOKIE_USE_ISS), segment->mss);
        return decision;
    }
    reply->window = MODERN_WINDOW;
    reply->has_timestamps = segment->has_timestamps && room >= PACKET_TCP_TIMESTAMPS_OPTION_LEN;
    room -= reply->has_timestamps ? PACKET_TCP_TIMESTAMPS_OPTION_LEN : 0;
    bool has_mss = room >= PACKET_TCP_MSS_OPTION_LEN;
    room -= has_mss ? PACKET_TCP_MSS_OPTION_LEN : 0;
    reply->mss = has_mss ? config->mss : 0;
    reply->has_sack_permitted = segment->has_sack_permitted && (reply->has_timestamps || room >= 4);
    reply->timestamp_value = point_make(0, segment->seq + 1, true);
    reply->timestamp_echo = segment->timestamp_value;
    uint64_t hash = reply->has_timestamps ? cookie_hash(key, &ends, COOKIE_USE_ISS)
                                          : cookie_hash_first(key, &ends, segment->seq);
    reply->seq = cookie_iss(key, hash, segment->mss);
    return decision;
}

/* reply_reset() in modern.c. */
DRIVER_INLINE struct driver_decision driver_reset(const struct driver_config *config,
                                                  const struct driver_segment *segment)
{
    if (!config->has_stale_reset)
        return driver_drop(DRIVER_COUNT_JUNK);
    return (struct driver_decision){
        .verdict = DRIVER_TX,
        .counter = DRIVER_COUNT_JUNK,
        .reply = {.seq = segment->ack, .flags = PACKET_RST},
    };
}

/* reply_ack() there. */
DRIVER_INLINE struct driver_decision driver_ack(const struct driver_segment *segment, uint32_t ack,
                                                uint8_t flags, const struct point *point,
                                                enum driver_counter counter)
{
    return (struct driver_decision){
        .verdict = DRIVER_TX,
        .counter = counter,
        .reply = {.seq = segment->ack,
                  .ack = ack,
                  .window = MODERN_WINDOW,
                  .flags = (uint8_t)(flags | PACKET_ACK),
                  .has_timestamps = segment->has_timestamps,
                  .timestamp_value = point_make(point->offset, point->seq, true),
                  .timestamp_echo = segment->timestamp_value},
    };
}

/* receive_fin() there. */
DRIVER_INLINE struct driver_decision driver_fin(const struct driver_segment *segment, uint32_t held,
                                                const struct point *point)
{
    if (held != point->offset && held != point->offset + 1)
        return driver_drop(DRIVER_COUNT_FIN);
    return driver_ack(segment, segment->seq + 1, held == point->offset ? PACKET_FIN : 0, point,
                      DRIVER_COUNT_FIN);
}

/* A FIN from a client without timestamps: what it has behind it must be all that it ever sent. */
DRIVER_INLINE struct driver_decision driver_fin_first(const struct driver_config *config,
                                                      const struct driver_segment *segment)
{
    const struct cookie_ends ends = driver_ends(segment);
    const struct point first = {.seq = segment->seq & MODERN_SEQ_MASK};
    struct driver_place place;
    if (driver_is_beginning(config, &ends, segment->seq, segment->ack, &place))
        return driver_fin(segment, place.held, &first);
    /* It is refused, but not before what the client asked, which may be on its way up, is answered:
     * a RST that overtakes the response ends a half-closed connection without any. */
    return config->has_stale_reset ? driver_climb() : driver_drop(DRIVER_COUNT_JUNK);
}

/* modern_receive() there, from point_prove() on, for segments without data. */
DRIVER_INLINE struct driver_decision driver_modern(const struct driver_config *config,

                                                   const struct driver_segment *segment)
{
    bool has_fin = segment->flags & PACKET_FIN;
    struct driver_place place;
    if (!segment->has_timestamps)
        return has_fin ? driver_fin_first(config, segment) : driver_drop(DRIVER_COUNT_ACK);
    /* Other options may tell of pieces that are there behind a hole. */
    bool is_alone = segment->header_len == PACKET_TCP_HEADER_LEN + PACKET_TCP_TIMESTAMPS_OPTION_LEN;
    if (!has_fin && point_is_silent(segment->timestamp_echo, segment->seq))
        return is_alone ? driver_drop(DRIVER_COUNT_ACK) : driver_climb();
    switch (driver_prove_echo(config, segment, &place)) {
    case DRIVER_PROVEN:
        break;
    case DRIVER_UNPROVEN:
        return has_fin ? driver_reset(config, segment) : driver_drop(DRIVER_COUNT_JUNK);
    case DRIVER_UNSURE:
        return driver_climb();
    }
    uint32_t held = place.held;
    const struct point point = point_read(segment->timestamp_echo, held);
    /* Of our FIN, which answered one that is counted here, while the echo is of before. */
    bool is_last = !has_fin && held > point.offset && driver_is_at(&point, segment->seq - 1);
    if (!is_last && !driver_is_at(&point, segment->seq))
        return driver_climb();
    if (has_fin)
        return driver_fin(segment, held, &point);
    if (held < point.offset)
        return driver_progress();
    if (!point_is_exact(point_ahead(segment->timestamp_echo, held)))
        return driver_climb();
    return driver_ack(segment, segment->seq, 0, &point, DRIVER_COUNT_COMPLETION);
}

/* stateless_tcp_receive() with `classic`, for a FIN without data. */
DRIVER_INLINE struct driver_decision driver_classic_fin(const struct driver_config *config,

                                                        const struct driver_segment *segment)
{
    if (driver_prove_classic(config, segment) != DRIVER_PROVEN)
        return driver_drop(DRIVER_COUNT_JUNK);
    return (struct driver_decision){
        .verdict = DRIVER_TX,
        .counter = DRIVER_COUNT_FIN,
        .reply = {.seq = segment->ack,
                  .ack = segment->seq + 1,
                  .window = DRIVER_CLASSIC_WINDOW,
                  .flags = PACKET_ACK},
    };
}

/* Data that proves nothing is answered here. Else it climbs, perhaps with a decision on what goes
 * back if its response is known. */
DRIVER_INLINE struct driver_decision driver_data(const struct driver_config *config,
                                                 const struct driver_segment *segment)
{
    if (config->profile == STATELESS_TCP_CLASSIC)
        return driver_prove_classic(config, segment) == DRIVER_UNPROVEN
                   ? driver_drop(DRIVER_COUNT_JUNK)
                   : driver_climb();
    struct driver_place place;
    switch (driver_prove_modern(config, segment, &place)) {
    case DRIVER_PROVEN:
        return driver_request(config, segment, &place);
    case DRIVER_UNSURE:
        return driver_climb();
    case DRIVER_UNPROVEN:
        break;
    }
    if (config->has_stale_reset && segment->data_len > DRIVER_DATA_MAX)
        return driver_climb(); /* its checksum is too much work here */
    return driver_reset(config, segment);
}

DRIVER_INLINE struct driver_decision driver_judge(const struct driver_config *config,
                                                  const struct driver_segment *segment)
{
    if (segment->flags == PACKET_SYN)
        return driver_syn(config, segment);
    if (segment->data_len > 0)
        return driver_data(config, segment);
    if (config->profile == STATELESS_TCP_CLASSIC)
        return segment->flags & PACKET_FIN ? driver_classic_fin(config, segment)
                                           : driver_drop(DRIVER_COUNT_ACK);
    return driver_modern(config, segment);
}

DRIVER_STEP enum driver_verdict driver_decide(const struct driver_config *config,
                                              const struct driver_segment *segment,
                                              struct driver_decision *decision_out)
{
    if (config == NULL || segment == NULL || decision_out == NULL)
        return DRIVER_CLIMB;
    *decision_out = driver_judge(config, segment);
    return decision_out->verdict;
}

/* What can be said from the flags alone; the rest is read. */
DRIVER_INLINE enum driver_verdict driver_read(const uint8_t *ip, const uint8_t *tcp,
                                              const uint8_t *end, uint32_t len,
                                              struct driver_segment *segment,
                                              enum driver_counter *counter_out)
{
    if (tcp + PACKET_TCP_HEADER_LEN > end)
        return DRIVER_CLIMB;
    uint32_t header_len = (uint32_t)(tcp[12] >> 4) * 4;
    *counter_out = DRIVER_COUNT_JUNK;
    segment->flags = tcp[13] & DRIVER_FLAGS;
    if (header_len < PACKET_TCP_HEADER_LEN || header_len > len)
        return DRIVER_DROP;
    if (segment->flags != PACKET_SYN &&
        (segment->flags & (PACKET_SYN | PACKET_ACK | PACKET_RST)) != PACKET_ACK) {
        if (segment->flags & PACKET_RST)
            *counter_out = DRIVER_COUNT_RESET;
        return DRIVER_DROP;
    }
    segment->data_len = len - header_len;
    if (!driver_read_header(tcp, end, segment) || !driver_read_addresses(ip, end, segment))
        return DRIVER_CLIMB;
    if (driver_read_timestamps(segment)) /* a call less */
        return DRIVER_TX;
    switch (driver_read_options(segment)) {
    case DRIVER_PARSED:
        break;
    case DRIVER_MALFORMED:
        return DRIVER_DROP;
    case DRIVER_UNREAD:
        return DRIVER_CLIMB;
    }
    return DRIVER_TX;
}

/* The steps of driver_tcp_answer(): the segment is read, what it means is decided, and the answer
 * put in its place. */
DRIVER_INLINE enum driver_verdict driver_tcp_read(const uint8_t *data, const uint8_t *end,
                                                  struct driver_work *work,
                                                  enum driver_counter *counter_out)
{
    uint32_t ip_at = work->frame.ip_at & 0x3f, tcp_at = work->frame.tcp_at & 0x7f;
    if (work->frame.end_at < tcp_at)
        return DRIVER_CLIMB;
    work->segment = (struct driver_segment){.family = work->frame.family};
    return driver_read(data + ip_at, data + tcp_at, end, work->frame.end_at - tcp_at,
                       &work->segment, counter_out);
}

DRIVER_INLINE enum driver_verdict driver_tcp_put(uint8_t *data, const uint8_t *end,
                                                 const struct driver_config *config,
                                                 const struct driver_work *work, uint32_t *len_out,
                                                 enum driver_counter *counter_out)
{
    uint32_t tcp_at = work->frame.tcp_at & 0x7f;
    if (!driver_is_sum_good(&work->segment, data + tcp_at, end, config->checksum_policy)) {
        *counter_out = DRIVER_COUNT_JUNK;
        return DRIVER_DROP;
    }
    DRIVER_FORGET();
    *len_out = driver_put_frame(data, end, &work->frame, &work->segment, &work->decision.reply);
    return *len_out > 0 ? DRIVER_TX : DRIVER_DROP;
}

/* Judge a frame, `data` up to `end`, of which the caller has seen what driver.h says. DRIVER_TX:
 * the first *len_out octets are the answer now. Otherwise the frame is unchanged. */
DRIVER_INLINE enum driver_verdict driver_tcp_answer(uint8_t *data, const uint8_t *end,
                                                    const struct driver_frame *frame,
                                                    const struct driver_config *config,
                                                    struct driver_work *work, uint32_t *len_out,
                                                    enum driver_counter *counter_out)
{
    work->frame = *frame;
    work->decision.room = 0;
    work->decision.counter = DRIVER_COUNT_CLIMBED;
    DRIVER_FORGET();
    enum driver_verdict verdict = driver_tcp_read(data, end, work, counter_out);
    if (verdict != DRIVER_TX)
        return verdict;
    DRIVER_FORGET();
    verdict = driver_decide(config, &work->segment, &work->decision);
    *counter_out = work->decision.counter;
    return verdict == DRIVER_TX ? driver_tcp_put(data, end, config, work, len_out, counter_out)
                                : verdict;
}

#ifdef __bpf__
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct driver_work);
} driver_works SEC(".maps");

static __always_inline enum driver_verdict
driver_tcp(struct xdp_md *ctx, const struct driver_frame *frame, const struct driver_config *config)
{
    uint8_t *data = (uint8_t *)(long)ctx->data, *end = (uint8_t *)(long)ctx->data_end;
    uint32_t frame_len = (uint32_t)(end - data), len = 0, key = 0;
    enum driver_counter counter = DRIVER_COUNT_JUNK;
    struct driver_work *work = bpf_map_lookup_elem(&driver_works, &key);
    if (!work)
        return DRIVER_CLIMB;
    enum driver_verdict verdict = driver_tcp_answer(data, end, frame, config, work, &len, &counter);
    if (verdict == DRIVER_CLIMB)
        return verdict;
    driver_count(counter);
    if (verdict == DRIVER_TX && len < frame_len &&
        bpf_xdp_adjust_tail(ctx, (int)len - (int)frame_len) != 0)
        return DRIVER_DROP;
    return verdict;
}
#endif

#endif

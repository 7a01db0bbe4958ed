/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.bpf.h - what the XDP program answers by itself, so that of a connection only requests climb.
 *
 *     client                                        driver            user space
 *       SYN                          ---->  answers
 *                                    <----  SYN+ACK
 *       ACK                          ---->  drops
 *       request                      ---->  climbs  ------------------> response
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
 *                  ACK of a response in one segment: nearly all.
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
 *                  be at the very point (point_refine() in modern_point.h). Else it climbs.
 *     no proof     A number that can be no cookie, or a point far from it, proves nothing whatever
 *                  a cache says. One in between climbs.
 *     data         climbs, but for what proves nothing: RST or silence, as the server is told to.
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

#include "stateless_tcp/cookie_hash.h"
#include "stateless_tcp/framing.h"
#include "stateless_tcp/io/xdp/frame.bpf.h"
#include "stateless_tcp/modern_point.h"

enum {
    DRIVER_CLASSIC_WINDOW = 65535, /* as in stateless_tcp.c */
    DRIVER_FLAGS = PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN,
};

/* ---- what it proves ---- */

enum driver_proof {
    DRIVER_PROVEN,
    DRIVER_UNPROVEN, /* whatever a cache says */
    DRIVER_UNSURE,   /* a cache might know */
};

DRIVER_INLINE uint64_t driver_le64(uint32_t low, uint32_t high)
{
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        return (uint64_t)high << 32 | low;
    return (uint64_t)__builtin_bswap32(high) << 32 | __builtin_bswap32(low);
}

DRIVER_INLINE struct cookie_ends driver_ends(

    const struct driver_segment *segment)
{
    const uint32_t *a = segment->addresses;
    uint32_t ports = driver_be32(segment->words[0]);
    return (struct cookie_ends){
        .client = {driver_le64(a[0], a[1]), driver_le64(a[2], a[3])},
        .server = {driver_le64(a[4], a[5]), driver_le64(a[6], a[7])},
        .client_port = (uint16_t)(ports >> 16),
        .server_port = (uint16_t)ports,
        .family = segment->family,
    };
}

/* Octets of our stream that the sender holds, if the cookie has this hash; UINT32_MAX: none. */
DRIVER_INLINE uint32_t driver_held(const uint8_t *key, uint64_t hash, uint32_t ack)
{
    uint32_t above = cookie_above(key, hash, ack);
    return above < COOKIE_CLASSES * COOKIE_STREAM_MAX ? above % COOKIE_STREAM_MAX : UINT32_MAX;
}

/* cookie_verify(): `classic`. */
DRIVER_INLINE enum driver_proof driver_prove_classic(const struct driver_config *config,

                                                     const struct driver_segment *segment)
{
    const struct cookie_ends ends = driver_ends(segment);
    const uint8_t *key = cookie_key(&config->keys, segment->ack);
    uint64_t hash = cookie_hash(key, &ends, COOKIE_USE_ISS);
    return driver_held(key, hash, segment->ack) <= COOKIE_OFFSET_MAX ? DRIVER_PROVEN
                                                                     : DRIVER_UNPROVEN;
}

/* is_proven_by_echo() in modern_point.c: `modern`, with timestamps. */
DRIVER_INLINE enum driver_proof driver_prove_echo(const struct driver_config *config,

                                                  const struct driver_segment *segment,
                                                  uint32_t *held_out)
{
    const struct cookie_ends ends = driver_ends(segment);
    const uint8_t *key = cookie_key(&config->keys, segment->ack);
    uint64_t hash = cookie_hash(key, &ends, COOKIE_USE_ISS);
    uint32_t held = driver_held(key, hash, segment->ack);
    uint32_t ahead = point_ahead(segment->timestamp_echo, held);
    *held_out = held;
    if (held == UINT32_MAX)
        return DRIVER_UNPROVEN;
    if (point_is_exact(ahead))
        return DRIVER_PROVEN;
    if (!point_is_near(ahead))
        return DRIVER_UNPROVEN;
    return held <= MODERN_NEAR_MAX ? DRIVER_PROVEN : DRIVER_UNSURE;
}

/* is_proven_by_beginning() there, for one place where the client's stream may have begun. */
DRIVER_INLINE bool driver_is_beginning(const struct driver_config *config,
                                       const struct cookie_ends *ends, uint32_t seq, uint32_t ack,
                                       uint32_t *held_out)
{
    const uint8_t *key = cookie_key(&config->keys, ack);
    *held_out = driver_held(key, cookie_hash_first(key, ends, seq - 1), ack);
    return *held_out <= STATELESS_TCP_STREAM_CAP + 1;
}

/* ---- what it means ---- */

/* What is decided, and what for. */
struct driver_decision {
    enum driver_verdict verdict;
    enum driver_counter counter;
    struct packet_segment reply; /* DRIVER_TX */
};

DRIVER_INLINE struct driver_decision driver_drop(enum driver_counter counter)
{
    return (struct driver_decision){.verdict = DRIVER_DROP, .counter = counter};
}

DRIVER_INLINE struct driver_decision driver_climb(void)
{
    return (struct driver_decision){.verdict = DRIVER_CLIMB};
}

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

DRIVER_INLINE bool driver_is_at(const struct point *point, uint32_t seq)
{
    return ((seq - point->seq) & MODERN_SEQ_MASK) == 0;
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
    uint32_t held;
    if (driver_is_beginning(config, &ends, segment->seq, segment->ack, &held))
        return driver_fin(segment, held, &first);
    /* Behind a length alone, or not proven: it is refused all the same. */
    return driver_reset(config, segment);
}

/* modern_receive() there, from point_prove() on, for segments without data. */
DRIVER_INLINE struct driver_decision driver_modern(const struct driver_config *config,

                                                   const struct driver_segment *segment)
{
    bool has_fin = segment->flags & PACKET_FIN;
    uint32_t held;
    if (!segment->has_timestamps)
        return has_fin ? driver_fin_first(config, segment) : driver_drop(DRIVER_COUNT_ACK);
    if (!has_fin && point_is_done(segment->timestamp_echo))
        return driver_drop(DRIVER_COUNT_ACK);
    switch (driver_prove_echo(config, segment, &held)) {
    case DRIVER_PROVEN:
        break;
    case DRIVER_UNPROVEN:
        return has_fin ? driver_reset(config, segment) : driver_drop(DRIVER_COUNT_JUNK);
    case DRIVER_UNSURE:
        return driver_climb();
    }
    const struct point point = point_read(segment->timestamp_echo, held);
    if (!driver_is_at(&point, segment->seq))
        return driver_climb();
    if (has_fin)
        return driver_fin(segment, held, &point);
    if (held < point.offset || !point_is_exact(point_ahead(segment->timestamp_echo, held)))
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

/* point_prove(): `modern`. */
DRIVER_INLINE enum driver_proof driver_prove_modern(const struct driver_config *config,
                                                    const struct driver_segment *segment)
{
    uint32_t held;
    if (segment->has_timestamps)
        return driver_prove_echo(config, segment, &held);
    const struct cookie_ends ends = driver_ends(segment);
    for (uint32_t behind = 0; behind <= LENGTH_LEN; behind += LENGTH_LEN)
        if (driver_is_beginning(config, &ends, segment->seq - behind, segment->ack, &held))
            return DRIVER_PROVEN;
    return DRIVER_UNPROVEN;
}

/* Data climbs, unless it proves nothing: guesses are answered here. */
DRIVER_INLINE struct driver_decision driver_data(const struct driver_config *config,
                                                 const struct driver_segment *segment)
{
    if (config->profile == STATELESS_TCP_CLASSIC)
        return driver_prove_classic(config, segment) == DRIVER_UNPROVEN
                   ? driver_drop(DRIVER_COUNT_JUNK)
                   : driver_climb();
    if (driver_prove_modern(config, segment) != DRIVER_UNPROVEN)
        return driver_climb();
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

/* Memory to work in: more than a BPF program's stack has room for; and what is read from there the
 * verifier knows nothing of, so that it need not follow each way to it apart. */
struct driver_work {
    struct driver_frame frame;
    struct driver_segment segment;
    struct driver_decision decision;
    uint32_t fence; /* nothing is kept here */
};

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

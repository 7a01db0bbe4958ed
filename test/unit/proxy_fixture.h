/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_fixture.h - a proxy, a client's segments and a back end's responses, for the tests of
 * proxy.c.
 */
#ifndef TEST_UNIT_PROXY_FIXTURE_H
#define TEST_UNIT_PROXY_FIXTURE_H

#include "../proxy_place.h"
#include "stateless_frames.h"
#include "test_main.h"

#define COUNT 3

enum mode { CLASSIC, MODERN, MODERN_WITH_RECENT, MODES };

static struct proxy_question questions[COUNT];
static struct proxy_key ring_keys[COUNT];
static struct proxy_ring ring;
static struct proxy_answers answers;
static void *answers_memory;
static struct stateless_tcp_config tcp;
static const uint8_t secret[COOKIE_KEY_LEN] = {7};
static uint8_t train_octets[TRAIN_CAP], built[FRAME_CAP];
static struct proxy_draws draws;
static struct proxy_asks asks;
static struct train train;
static struct proxy proxy;
static uint64_t now_ms;

/* Twice the same request with its length: ID 0x1234, a. A IN, no OPT. */
static const uint8_t requests[] = {0, 19,  0x12, 0x34, 1, 0, 0, 1, 0,   0,    0,    0, 0, 0,
                                   1, 'a', 0,    0,    1, 0, 1, 0, 19,  0x12, 0x34, 1, 0, 0,
                                   1, 0,   0,    0,    0, 0, 0, 1, 'a', 0,    0,    1, 0, 1};
#define REQUEST_LEN 21

static inline void setup(void)
{
    answers_memory = calloc(1, PROXY_ANSWERS_SIZE_MIN);
    answers = proxy_answers_make(answers_memory, PROXY_ANSWERS_SIZE_MIN);
    proxy_ring_init(&ring, questions, ring_keys, COUNT);
    tcp = stateless_tcp_config_default();
    tcp.profile = STATELESS_TCP_CLASSIC;
    proxy = proxy_place(&tcp, &ring, &answers, secret);
    now_ms = 0;
}

static inline void teardown(void)
{
    free(answers_memory);
}

static inline void use(enum mode mode)
{
    static uint64_t recent_memory[RECENT_SIZE_MIN / sizeof(uint64_t)];
    static struct recent recent;
    teardown();
    setup();
    tcp.profile = mode == CLASSIC ? STATELESS_TCP_CLASSIC : STATELESS_TCP_MODERN;
    memset(recent_memory, 0, sizeof recent_memory);
    recent = recent_make(recent_memory, sizeof recent_memory);
    proxy.recent = mode == MODERN_WITH_RECENT ? &recent : NULL;
}

/* A data segment that proves the cookie; in `modern`, where the client holds `held` octets of a
 * connection without timestamps. */
static inline struct frame_spec segment(int family, const uint8_t *payload, size_t payload_len)
{
    struct frame_spec spec = frame_spec_client(family);
    struct packet packet;
    spec.flags = PACKET_ACK | PACKET_PSH;
    size_t len = frame_build(&spec, built);
    ck_assert_int_eq(packet_parse(built, len, false, PACKET_CHECKSUM_ALWAYS, &packet), PACKET_TCP);
    packet.mss = 1460;
    packet.seq--; /* as in the SYN */
    spec.ack = 1 + (tcp.profile == STATELESS_TCP_MODERN ? cookie_make_first(&keys, &packet)
                                                        : cookie_make(&keys, &packet));
    spec.payload = payload;
    spec.payload_len = payload_len;
    return spec;
}

/* A segment of `modern` with timestamps: the client holds all up to the point (seq, offset). */
static inline struct frame_spec stamped(const uint8_t *payload, size_t payload_len, uint32_t held,
                                        uint32_t offset, uint32_t seq, uint8_t options[12])
{
    struct frame_spec spec = frame_spec_client(4);
    struct packet packet;
    size_t len = frame_build(&spec, built);
    ck_assert_int_eq(packet_parse(built, len, false, PACKET_CHECKSUM_ALWAYS, &packet), PACKET_TCP);
    packet.mss = 1460;
    uint32_t echo = offset << 13 | (seq & 4095) << 1 | (offset == 0);
    memcpy(options, (const uint8_t[]){1, 1, 8, 10, 0, 0, 0, 9}, 8);
    for (unsigned i = 0; i < 4; i++)
        options[8 + i] = (uint8_t)(echo >> (24 - 8 * i));
    spec.flags = PACKET_ACK | PACKET_PSH;
    spec.ack = cookie_make(&keys, &packet) + 1 + held;
    spec.options = options;
    spec.options_len = 12;
    spec.payload = payload;
    spec.payload_len = payload_len;
    return spec;
}

/* Octets that nobody could have foretold, but different ones. */
static inline void draw(void)
{
    static uint8_t next;
    for (size_t i = 0; i < sizeof draws.octets; i++)
        draws.octets[i] = (uint8_t)(next++ * 113 + 5);
    draws.left = sizeof draws.octets;
}

/* How many questions are asked. */
static inline unsigned frame(const struct frame_spec *spec)
{
    size_t len = frame_build(spec, built);
    struct io_frame in = {.octets = exact_copy(built, len), .len = (uint32_t)len};
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    draw();
    proxy_frame(&proxy, &in, now_ms, &draws, &asks, &train);
    free((void *)(uintptr_t)in.octets); /* the ring must not need it any more */
    return asks.count;
}

/* The back end: NOERROR, and behind the question a record that is `data_len` octets long, 12 or
 * more; 0: none. */
static inline bool respond_to(const struct proxy_ask *ask, size_t data_len, uint8_t filler)
{
    size_t len = ask->len - PROXY_OPT_LEN;
    memcpy(datagram, ask->octets, len);
    datagram[2] |= 0x80;
    datagram[11] = 0;
    if (data_len > 0) {
        static const uint8_t head[] = {0xc0, 12, 0, 99, 0, 1, 0, 0, 0, 9};
        datagram[7] = 1;
        memcpy(datagram + len, head, sizeof head);
        datagram[len + 10] = (uint8_t)((data_len - 12) >> 8);
        datagram[len + 11] = (uint8_t)(data_len - 12);
        memset(datagram + len + 12, filler, data_len - 12);
        len += data_len;
    }
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    return proxy_response(&proxy, ask->port, len, now_ms, &train);
}

static inline bool respond(size_t data_len)
{
    struct proxy_ask ask = asks.asks[0];
    return respond_to(&ask, data_len, 'x');
}

static uint8_t said[STATELESS_TCP_STREAM_CAP];

/* Check that the train's segments follow each other from `seq`, but for the last octet, which may
 * be there twice. Returns the octets of data, which are in `said`. */
static inline size_t read_train(uint32_t seq)
{
    const uint8_t *at = train.octets;
    size_t total = 0;
    for (uint32_t i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        ck_assert(frame_is_sound(at, train.frame_len[i]));
        struct frame_view view = frame_view(at, train.frame_len[i]);
        ck_assert(!(view.flags & PACKET_RST));
        if (view.seq + 1 == seq + total && view.payload_len == 1) {
            ck_assert_uint_eq(view.payload[0], said[total - 1]);
            ck_assert_uint_eq(i + 1, train.frame_count);
            continue;
        }
        ck_assert_uint_eq(view.seq, seq + total);
        ck_assert_uint_le(total + view.payload_len, sizeof said);
        memcpy(said + total, view.payload, view.payload_len);
        total += view.payload_len;
    }
    return total;
}

/* The same of a train that ends the connection. */
static inline size_t check_train(uint32_t seq, uint32_t ack)
{
    size_t total = read_train(seq);
    const uint8_t *at = train.octets;
    for (uint32_t i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        struct frame_view view = frame_view(at, train.frame_len[i]);
        bool is_last = i + 1 == train.frame_count;
        ck_assert_uint_eq(view.flags & PACKET_FIN, is_last ? PACKET_FIN : 0);
        if (tcp.profile == STATELESS_TCP_CLASSIC || train.frame_count == 1)
            ck_assert_uint_eq(view.ack, ack);
    }
    ck_assert(total < 4 || (said[2] == 0x12 && said[3] == 0x34));
    return total;
}

static inline bool is_reset(void)
{
    return train.frame_count == 1 &&
           frame_view(train_octets, train.frame_len[0]).flags & PACKET_RST;
}

#endif

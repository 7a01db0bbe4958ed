/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The proxy's join: what is asked for which segment, and the train that the response becomes.
 */
#include "server/proxy.h"
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
static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static const struct packet_endpoint port_53 = {.port = 53};
static const uint8_t secret[COOKIE_KEY_LEN] = {7};
static uint8_t stream[STATELESS_TCP_STREAM_CAP], datagram[PROXY_DATAGRAM_CAP];
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

static void setup(void)
{
    answers_memory = calloc(1, PROXY_ANSWERS_SIZE_MIN);
    answers = proxy_answers_make(answers_memory, PROXY_ANSWERS_SIZE_MIN);
    proxy_ring_init(&ring, questions, ring_keys, COUNT);
    tcp = stateless_tcp_config_default();
    tcp.profile = STATELESS_TCP_CLASSIC;
    proxy = (struct proxy){
        .tcp = &tcp,
        .keys = &keys,
        .endpoints = &port_53,
        .endpoint_count = 1,
        .has_ede = true,
        .ring = &ring,
        .answers = &answers,
        .secret = secret,
        .stream = stream,
        .datagram = datagram,
    };
    now_ms = 0;
}

static void teardown(void)
{
    free(answers_memory);
}

static void use(enum mode mode)
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
static struct frame_spec segment(int family, const uint8_t *payload, size_t payload_len)
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
static struct frame_spec stamped(const uint8_t *payload, size_t payload_len, uint32_t held,
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
static void draw(void)
{
    static uint8_t next;
    for (size_t i = 0; i < sizeof draws.octets; i++)
        draws.octets[i] = (uint8_t)(next++ * 113 + 5);
    draws.left = sizeof draws.octets;
}

/* How many questions are asked. */
static unsigned frame(const struct frame_spec *spec)
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
static bool respond_to(const struct proxy_ask *ask, size_t data_len, uint8_t filler)
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

static bool respond(size_t data_len)
{
    struct proxy_ask ask = asks.asks[0];
    return respond_to(&ask, data_len, 'x');
}

static uint8_t said[STATELESS_TCP_STREAM_CAP];

/* Check that the train's segments follow each other from `seq`, but for the last octet, which may be
 * there twice. Returns the octets of data, which are in `said`. */
static size_t read_train(uint32_t seq)
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
static size_t check_train(uint32_t seq, uint32_t ack)
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

static bool is_reset(void)
{
    return train.frame_count == 1 &&
           frame_view(train_octets, train.frame_len[0]).flags & PACKET_RST;
}

START_TEST(test_request_question_response_train)
{
    for (enum mode mode = 0; mode < MODES; mode++)
        for (int family = 4; family <= 6; family += 2) {
            use(mode);
            struct frame_spec spec = segment(family, requests, REQUEST_LEN);
            ck_assert_uint_eq(frame(&spec), 1);
            ck_assert_uint_eq(asks.asks[0].len, REQUEST_LEN - 2 + PROXY_OPT_LEN);
            ck_assert_uint_eq(train.frame_count, 0); /* not even acknowledged */
            struct proxy_ask good = asks.asks[0], wrong = good;
            wrong.port++;
            ck_assert(!respond_to(&wrong, 0, 0));
            wrong = good;
            wrong.octets[1]++;
            ck_assert(!respond_to(&wrong, 0, 0));
            ck_assert_uint_eq(train.frame_count, 0);
            ck_assert(respond(3000));
            ck_assert_uint_ge(train.frame_count, 3);
            ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN + 3000);
            ck_assert(!respond(3000)); /* that was it */
        }
}
END_TEST

START_TEST(test_nothing_is_asked_without_proof)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        use(mode);
        struct frame_spec good = segment(4, requests, REQUEST_LEN);
        for (uint32_t i = 0; i < 2 * 29; i++) {
            struct frame_spec spec = good;
            if (i < 29)
                spec.ack -= 1u << i;
            else
                spec.ack += STATELESS_TCP_STREAM_CAP + 2 + (1u << (i - 29));
            ck_assert_uint_eq(frame(&spec), 0);
            ck_assert(train.frame_count == 0 || is_reset());
        }
        struct frame_spec spec = good;
        spec.flags = PACKET_SYN;
        ck_assert_uint_eq(frame(&spec), 0); /* data with it or not */
        ck_assert_uint_eq(train.frame_count, 1);
        spec.flags = PACKET_SYN | PACKET_ACK;
        ck_assert_uint_eq(frame(&spec), 0);
        spec.flags = PACKET_RST | PACKET_ACK;
        ck_assert_uint_eq(frame(&spec), 0);
        spec = good;
        spec.destination_port = 54;
        ck_assert_uint_eq(frame(&spec), 0);
        spec = good;
        spec.is_udp = true;
        spec.payload += 2;
        spec.payload_len -= 2;
        ck_assert_uint_eq(frame(&spec), 0);
        ck_assert_uint_eq(ring.oldest, UINT32_MAX);
    }
}
END_TEST

START_TEST(test_sent_again_while_in_flight)
{
    static const uint64_t times_ms[] = {0, 200, 600, 999, 1000, 1400, 1999, 2000, 3000, 3999};
    unsigned asked = 0;
    struct proxy_ask first;
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    for (size_t i = 0; i < sizeof times_ms / sizeof *times_ms; i++) {
        now_ms = times_ms[i];
        unsigned count = frame(&spec);
        ck_assert_uint_eq(count, now_ms % 1000 == 0 && now_ms < 3000);
        ck_assert_uint_eq(train.frame_count, 0);
        if (count > 0 && asked > 0) /* the same datagram: as if it came late */
            ck_assert(first.port == asks.asks[0].port && first.len == asks.asks[0].len &&
                      memcmp(first.octets, asks.asks[0].octets, first.len) == 0);
        else if (count > 0)
            first = asks.asks[0];
        asked += count;
    }
    ck_assert_uint_eq(asked, PROXY_ASKS_MAX);
    ck_assert(respond_to(&first, 0, 0));
    ck_assert(!respond_to(&first, 0, 0));
}
END_TEST

/* What is sent again after the response gets the same octets, whatever the back end would say. */
START_TEST(test_the_same_again)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        use(mode);
        struct frame_spec spec = segment(4, requests, REQUEST_LEN);
        ck_assert_uint_eq(frame(&spec), 1);
        ck_assert(respond(500));
        size_t len = read_train(spec.ack);
        uint8_t *before = exact_copy(said, len);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert_uint_eq(frame(&spec), 0);
            ck_assert_uint_eq(read_train(spec.ack), len);
            ck_assert_mem_eq(said, before, len);
        }
        free(before);
        /* Another place in the stream, another client, another request: another question. */
        struct frame_spec other = spec;
        other.source_port++;
        ck_assert_uint_eq(frame(&other), 0); /* no proof */
        uint8_t changed[REQUEST_LEN];
        memcpy(changed, requests, REQUEST_LEN);
        changed[3]++;
        spec.payload = changed;
        if (proxy.recent == NULL) /* it goes by places in the stream */
            ck_assert_uint_eq(frame(&spec), 1);
    }
}
END_TEST

START_TEST(test_what_is_gone_resets)
{
    use(MODERN);
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    ck_assert_uint_eq(frame(&spec), 1);
    ck_assert(respond(500));
    for (uint64_t i = 1; i < 70; i++)
        proxy_answers_put(&answers, i, stream, 65535);
    ck_assert_uint_eq(frame(&spec), 0);
    ck_assert(is_reset());
    memset(answers_memory, 0, PROXY_ANSWERS_SIZE_MIN); /* and now not even that is known */
    ck_assert_uint_eq(frame(&spec), 1);
    ck_assert_uint_eq(train.frame_count, 0);
}
END_TEST

/* The client holds a part: the rest comes from memory, or not at all. */
START_TEST(test_resume)
{
    use(MODERN);
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    ck_assert_uint_eq(frame(&spec), 1);
    ck_assert(respond(30000));
    static uint8_t whole[STATELESS_TCP_STREAM_CAP];
    size_t len = REQUEST_LEN + 30000, held = read_train(spec.ack);
    ck_assert(held > 0 && held < len); /* a burst */
    memcpy(whole, said, held);
    while (held < len) {
        struct frame_spec again = spec;
        again.ack += (uint32_t)held;
        ck_assert_uint_eq(frame(&again), 0);
        size_t more = read_train(again.ack);
        ck_assert(more > 0);
        memcpy(whole + held, said, more);
        held += more;
    }
    ck_assert_uint_eq(held, len);
    ck_assert(whole[0] == (len - 2) >> 8 && whole[1] == (uint8_t)(len - 2));
    for (size_t i = REQUEST_LEN + 12; i < len; i++)
        ck_assert_uint_eq(whole[i], 'x');
    memset(answers_memory, 0, PROXY_ANSWERS_SIZE_MIN);
    spec.ack += 1000;
    ck_assert_uint_eq(frame(&spec), 0);
    ck_assert(is_reset());
    ck_assert_uint_eq(ring.oldest, UINT32_MAX);
}
END_TEST

START_TEST(test_several_in_one_segment)
{
    for (enum mode mode = 0; mode < MODES; mode++)
        for (unsigned first = 0; first < 2; first++) {
            use(mode);
            struct frame_spec spec = segment(4, requests, sizeof requests);
            spec.flags |= PACKET_FIN;
            ck_assert_uint_eq(frame(&spec), 2);
            struct proxy_ask two[2] = {asks.asks[0], asks.asks[1]};
            ck_assert(memcmp(two[0].octets, two[1].octets, 2) != 0 || two[0].port != two[1].port);
            ck_assert(respond_to(&two[first], 12 + first, (uint8_t)('a' + first)));
            ck_assert_uint_eq(train.frame_count, 0);
            ck_assert(respond_to(&two[1 - first], 13 - first, (uint8_t)('b' - first)));
            ck_assert_uint_eq(check_train(spec.ack, spec.seq + sizeof requests + 1),
                              2 * REQUEST_LEN + 12 + 13);
            ck_assert_uint_eq(said[1], REQUEST_LEN - 2 + 12);
            ck_assert_uint_eq(said[REQUEST_LEN + 12 + 1], REQUEST_LEN - 2 + 13);
            ck_assert_uint_eq(said[2 * REQUEST_LEN + 12 + 12], 'b');
        }
}
END_TEST

/* What is ready when the client asks again is said then, the rest when it is there. */
START_TEST(test_some_are_ready)
{
    uint8_t options[12];
    use(MODERN);
    struct frame_spec one = stamped(requests, REQUEST_LEN, 0, 0, frame_spec_client(4).seq, options);
    struct frame_spec both = one;
    both.payload_len = sizeof requests;
    ck_assert_uint_eq(frame(&one), 1);
    struct proxy_ask first = asks.asks[0];
    ck_assert_uint_eq(frame(&both), 1); /* joined to one that is in flight */
    struct proxy_ask second = asks.asks[0];
    ck_assert(memcmp(first.octets, second.octets, 2) != 0);
    ck_assert_uint_eq(frame(&one), 0); /* an older self */
    ck_assert(respond_to(&first, 100, 'a'));
    ck_assert_uint_eq(train.frame_count, 0); /* the newest segment has both */
    ck_assert_uint_eq(frame(&both), 0);
    ck_assert_uint_eq(read_train(both.ack), REQUEST_LEN + 100);
    ck_assert_uint_eq(frame_view(train_octets, train.frame_len[0]).ack, both.seq + REQUEST_LEN);
    ck_assert(respond_to(&second, 50, 'b'));
    ck_assert_uint_eq(read_train(both.ack), 2 * REQUEST_LEN + 150);
    ck_assert_uint_eq(frame_view(train_octets, train.frame_len[0]).ack, both.seq + sizeof requests);
}
END_TEST

/* Inside one response, with another request joined behind: that is asked, and the response to it
 * waits for its turn. */
START_TEST(test_joined_behind_a_part)
{
    uint8_t options[12];
    use(MODERN);
    uint32_t seq = frame_spec_client(4).seq, end = REQUEST_LEN + 3000;
    struct frame_spec one = stamped(requests, REQUEST_LEN, 0, 0, seq, options);
    ck_assert_uint_eq(frame(&one), 1);
    ck_assert(respond(3000));
    ck_assert_uint_eq(read_train(one.ack), end);
    struct frame_spec both =
        stamped(requests, sizeof requests, 1000, end, seq + REQUEST_LEN, options);
    ck_assert_uint_eq(frame(&both), 1);
    ck_assert_uint_eq(read_train(both.ack), end - 1000);
    ck_assert(respond(50));
    ck_assert_uint_eq(train.frame_count, 0);
    ck_assert_uint_eq(frame(&both), 0);
    ck_assert_uint_eq(read_train(both.ack), end - 1000 + REQUEST_LEN + 50);
    memset(answers_memory, 0, PROXY_ANSWERS_SIZE_MIN);
    ck_assert_uint_eq(frame(&both), 0);
    ck_assert(is_reset());
}
END_TEST

/* Each in a segment of its own, sent at once: asked at once, answered in turn, nothing twice. */
START_TEST(test_pipelined_apart)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    uint8_t options[12];
    for (size_t o = 0; o < 2 * sizeof orders / sizeof *orders; o++) {
        use(MODERN_WITH_RECENT);
        struct proxy_ask asked[3];
        uint32_t seq = frame_spec_client(4).seq, held = 0, said_len = 0;
        struct frame_spec spec = stamped(requests, REQUEST_LEN, 0, 0, seq, options);
        for (unsigned i = 0; i < 3; i++, spec.seq += REQUEST_LEN) {
            ck_assert_uint_eq(frame(&spec), 1);
            ck_assert_uint_eq(train.frame_count, 0);
            asked[i] = asks.asks[0];
        }
        bool is_there[3] = {false, false, false};
        bool is_late = o % 2;
        now_ms = is_late ? PROXY_GATHER_MS : PROXY_GATHER_MS - 1;
        for (unsigned i = 0; i < 3; i++) {
            unsigned which = orders[o / 2][i];
            is_there[which] = true;
            ck_assert(respond_to(&asked[which], 20 + which, (uint8_t)('a' + which)));
            uint32_t expected = 0;
            for (unsigned r = 0; r < 3 && is_there[r]; r++)
                expected += REQUEST_LEN + 20 + r;
            if (expected == said_len || (!is_late && i < 2)) {
                ck_assert_uint_eq(train.frame_count, 0);
                continue;
            }
            ck_assert_uint_gt(train.frame_count, 0);
            ck_assert_uint_eq(frame_view(train_octets, train.frame_len[0]).seq,
                              spec.ack + said_len);
            held = expected;
            said_len = expected;
        }
        ck_assert_uint_eq(held, 3 * REQUEST_LEN + 63);
        ck_assert_uint_eq(ring.oldest, UINT32_MAX);
        /* All of it again, as the client's timer has it: the same octets. */
        uint8_t all[3 * REQUEST_LEN];
        for (unsigned i = 0; i < 3; i++)
            memcpy(all + i * REQUEST_LEN, requests, REQUEST_LEN);
        struct frame_spec again = stamped(all, sizeof all, 0, 0, seq, options);
        ck_assert_uint_eq(frame(&again), 0);
        ck_assert_uint_eq(read_train(again.ack), said_len);
        ck_assert(said[REQUEST_LEN + 19] == 'a' && said[2 * REQUEST_LEN + 40] == 'b' &&
                  said[3 * REQUEST_LEN + 62] == 'c');
    }
}
END_TEST

/* A request that is cut where the segment ends, while the one before it waits. */
START_TEST(test_cut)
{
    uint8_t options[12];
    use(MODERN_WITH_RECENT);
    struct frame_spec spec =
        stamped(requests, REQUEST_LEN + 7, 0, 0, frame_spec_client(4).seq, options);
    ck_assert_uint_eq(frame(&spec), 1);
    struct proxy_ask first = asks.asks[0];
    spec.seq += REQUEST_LEN + 7;
    spec.payload += REQUEST_LEN + 7;
    spec.payload_len = REQUEST_LEN - 7;
    ck_assert_uint_eq(frame(&spec), 1);
    ck_assert(respond_to(&asks.asks[0], 0, 0));
    ck_assert_uint_eq(train.frame_count, 0);
    ck_assert(respond_to(&first, 0, 0));
    ck_assert_uint_eq(read_train(spec.ack), 2 * REQUEST_LEN);
}
END_TEST

/* Two answered in one train that got lost, its point known nevertheless; the client's kernel sends
 * the last request only. */
START_TEST(test_probe_of_the_last)
{
    static const size_t data_lens[] = {100, 2000};
    uint8_t options[12];
    for (unsigned i = 0; i < 2; i++) {
        use(MODERN_WITH_RECENT);
        tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
        uint32_t seq = frame_spec_client(4).seq, end = 2 * (REQUEST_LEN + (uint32_t)data_lens[i]);
        struct frame_spec both = stamped(requests, sizeof requests, 0, 0, seq, options);
        ck_assert_uint_eq(frame(&both), 2);
        struct proxy_asks two = asks;
        ck_assert(respond_to(&two.asks[1], data_lens[i], 'b'));
        ck_assert(respond_to(&two.asks[0], data_lens[i], 'a'));
        ck_assert_uint_eq(read_train(both.ack), end);
        struct frame_spec last =
            stamped(requests + REQUEST_LEN, REQUEST_LEN, 0, end, seq + sizeof requests, options);
        last.seq += REQUEST_LEN;
        ck_assert_uint_eq(frame(&last), 0);
        ck_assert(!is_reset());
    }
}
END_TEST

START_TEST(test_more_than_are_looked_at)
{
    enum { SENT = PROXY_REQUESTS_MAX + 5 };
    static uint8_t many[SENT * REQUEST_LEN];
    uint8_t options[12];
    use(MODERN);
    tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
    for (unsigned i = 0; i < SENT; i++)
        memcpy(many + i * REQUEST_LEN, requests, REQUEST_LEN);
    struct frame_spec spec = stamped(many, sizeof many, 0, 0, frame_spec_client(4).seq, options);
    ck_assert_uint_eq(frame(&spec), PROXY_REQUESTS_MAX);
    ck_assert_uint_eq(ring.dropped, PROXY_REQUESTS_MAX - COUNT);
    /* The ring is small: three at a time get through. */
    for (unsigned done = 0; done < PROXY_REQUESTS_MAX; done += COUNT) {
        unsigned left = PROXY_REQUESTS_MAX - done < COUNT ? PROXY_REQUESTS_MAX - done : COUNT;
        struct proxy_asks now = asks;
        for (unsigned i = 0; i < left; i++)
            ck_assert(respond_to(&now.asks[now.count - 1 - i], 0, 0));
        if (done + left < PROXY_REQUESTS_MAX)
            ck_assert_uint_eq(frame(&spec), PROXY_REQUESTS_MAX - done - left);
    }
    ck_assert_uint_eq(read_train(spec.ack), PROXY_REQUESTS_MAX * REQUEST_LEN);
    ck_assert_uint_eq(frame_view(train_octets, train.frame_len[0]).ack,
                      spec.seq + PROXY_REQUESTS_MAX * REQUEST_LEN);
}
END_TEST

START_TEST(test_half_close)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        use(mode);
        struct frame_spec spec = segment(4, requests, REQUEST_LEN);
        spec.flags |= PACKET_FIN;
        ck_assert_uint_eq(frame(&spec), 1);
        ck_assert(respond(0));
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN + 1), REQUEST_LEN);
    }
}
END_TEST

/* The message's place is the same with its length and without. */
START_TEST(test_length_in_a_segment_before)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        use(mode);
        struct frame_spec whole = segment(4, requests, REQUEST_LEN), spec = whole;
        spec.seq += 2;
        spec.payload += 2;
        spec.payload_len -= 2;
        ck_assert_uint_eq(frame(&spec), 1);
        ck_assert_uint_eq(asks.asks[0].len, REQUEST_LEN - 2 + PROXY_OPT_LEN);
        ck_assert_uint_eq(frame(&whole), 0);
        ck_assert(respond(0));
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN - 2), REQUEST_LEN);
    }
}
END_TEST

START_TEST(test_overdue_is_servfail)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        use(mode);
        struct frame_spec spec = segment(4, requests, REQUEST_LEN);
        now_ms = 7;
        ck_assert_uint_eq(frame(&spec), 1);
        struct proxy_ask late = asks.asks[0];
        train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
        ck_assert(!proxy_overdue(&proxy, 7 + PROXY_TIMEOUT_MS - 1, &train));
        ck_assert(proxy_overdue(&proxy, 7 + PROXY_TIMEOUT_MS, &train));
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN);
        ck_assert_uint_eq(said[2 + 3] & 15, 2);
        ck_assert(!proxy_overdue(&proxy, UINT64_MAX, &train));
        /* That is the response now. */
        ck_assert(!respond_to(&late, 0, 0));
        ck_assert_uint_eq(frame(&spec), 0);
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN);
        ck_assert_uint_eq(said[2 + 3] & 15, 2);
    }
}
END_TEST

START_TEST(test_overflow)
{
    struct frame_spec spec[COUNT + 1];
    struct proxy_ask asked[COUNT + 1];
    for (unsigned i = 0; i <= COUNT; i++) {
        spec[i] = segment(4, requests, REQUEST_LEN);
        spec[i].seq += i; /* as many clients, as far as anybody can tell */
        ck_assert_uint_eq(frame(&spec[i]), 1);
        asked[i] = asks.asks[0];
    }
    ck_assert_uint_eq(ring.dropped, 1);
    ck_assert(!respond_to(&asked[0], 0, 0));
    for (unsigned i = 1; i <= COUNT; i++) {
        ck_assert(respond_to(&asked[i], 0, 0));
        check_train(spec[i].ack, spec[i].seq + REQUEST_LEN);
    }
    ck_assert_uint_eq(frame(&spec[0]), 1); /* its client's kernel sends it again */
}
END_TEST

/* No two questions in flight have the same ticket; without random octets nothing is asked. */
START_TEST(test_tickets)
{
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    size_t len = frame_build(&spec, built);
    struct io_frame in = {.octets = built, .len = (uint32_t)len};
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    for (unsigned i = 0; i < sizeof draws.octets; i++)
        draws.octets[i] = 1;
    draws.left = 2;
    proxy_frame(&proxy, &in, 0, &draws, &asks, &train);
    ck_assert_uint_eq(asks.count, 0);
    draws.left = 3;
    proxy_frame(&proxy, &in, 0, &draws, &asks, &train);
    ck_assert_uint_eq(asks.count, 1);
    ck_assert_uint_eq(draws.left, 0);
    ck_assert(asks.asks[0].octets[0] == 1 && asks.asks[0].octets[1] == 1 && asks.asks[0].port == 1);
    spec.seq++;
    in.len = (uint32_t)frame_build(&spec, built);
    draws.octets[2] = 0;
    draws.left = 9;
    proxy_frame(&proxy, &in, 0, &draws, &asks, &train);
    ck_assert_uint_eq(asks.count, 1);
    ck_assert_uint_eq(asks.asks[0].port, 0);
    ck_assert_uint_eq(draws.left, 0);
}
END_TEST

START_TEST(test_refused_at_once)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        use(mode);
        uint8_t transfer[REQUEST_LEN];
        memcpy(transfer, requests, REQUEST_LEN);
        transfer[18] = 252;
        struct frame_spec spec = segment(4, transfer, REQUEST_LEN);
        ck_assert_uint_eq(frame(&spec), 0);
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN);
        ck_assert_uint_eq(said[2 + 3] & 15, 4);
        transfer[7] = 2; /* two questions, says the header */
        ck_assert_uint_eq(frame(&spec), 0);
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), 2 + 12);
        ck_assert_uint_eq(said[2 + 3] & 15, 1);
        transfer[4] |= 0x80;
        ck_assert_uint_eq(frame(&spec), 0);
        ck_assert(train.frame_count == 0 || is_reset());
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_request_question_response_train,
                                  test_nothing_is_asked_without_proof,
                                  test_sent_again_while_in_flight,
                                  test_the_same_again,
                                  test_what_is_gone_resets,
                                  test_resume,
                                  test_several_in_one_segment,
                                  test_some_are_ready,
                                  test_joined_behind_a_part,
                                  test_pipelined_apart,
                                  test_probe_of_the_last,
                                  test_cut,
                                  test_more_than_are_looked_at,
                                  test_half_close,
                                  test_length_in_a_segment_before,
                                  test_overdue_is_servfail,
                                  test_overflow,
                                  test_tickets,
                                  test_refused_at_once};
    return test_run("proxy_frame", tests, sizeof tests / sizeof *tests, setup, teardown);
}

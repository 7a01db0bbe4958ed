/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Single exchanges of profile `modern`; stateless_model_test.c strings them together.
 */
#include "test/unit/stateless_modern_fixture.h"
#include "test_main.h"

static const int families[] = {4, 6};
static bool is_settled;

static const uint8_t framed[] = {0, 17, 0x12, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};

static void set_up(void)
{
    fixture_set_up();
    is_settled = true;
}

static enum stateless_tcp_outcome serve(const struct frame_spec *spec)
{
    return fixture_serve(spec, is_settled, NULL);
}

/* A connection, and what the client sends next: Timestamps with the echo as it should be. */
struct connection {
    uint32_t iss, echo;
    uint8_t options[12];
    struct frame_spec spec;
};

static void echo(struct connection *connection, uint32_t value)
{
    uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    store_be32(options + 8, value);
    memcpy(connection->options, options, sizeof(options));
    connection->spec.options = connection->options;
    connection->spec.options_len = sizeof(options);
    connection->echo = value;
}

static void connect_to(struct connection *connection, int family)
{
    struct frame_view view = fixture_connect(family);
    *connection = (struct connection){.iss = view.seq, .spec = frame_spec_client(family)};
    connection->spec.seq = IRS + 1;
    connection->spec.ack = view.seq + 1;
    connection->spec.flags = PACKET_ACK;
    echo(connection, load_be32(view.options + 8));
}

static void ask(struct connection *connection)
{
    connection->spec.payload = framed;
    connection->spec.payload_len = sizeof(framed);
}

START_TEST(syn_ack_takes_up_what_is_offered)
{
    static const uint8_t expected[16] = {2, 4, 0x04, 0xc4, 4, 2, 8, 10, [15] = 7};
    struct frame_spec spec = syn_spec(families[_i], offer, sizeof(offer));
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    struct frame_view view = sent(0);
    ck_assert_uint_eq(view.flags, PACKET_SYN | PACKET_ACK);
    ck_assert_uint_eq(view.ack, IRS + 1);
    ck_assert_uint_eq(view.window, MODERN_WINDOW);
    ck_assert_uint_eq(view.options_len, 16);
    ck_assert_mem_eq(view.options, expected, 8);
    ck_assert_mem_eq(view.options + 12, expected + 12, 4);
    ck_assert_uint_le(train.len, frame_len);
}
END_TEST

/* Each subset of what may be offered: never more back, and nothing that was not offered. */
START_TEST(syn_ack_is_never_larger)
{
    for (unsigned subset = 0; subset < 8; subset++) {
        uint8_t options[24] = {0};
        size_t len = 0;
        if (subset & 1)
            memcpy(options, offer, 4), len += 4;
        if (subset & 2)
            memcpy(options + len, "\1\1\4\2", 4), len += 4;
        if (subset & 4)
            memcpy(options + len, "\1\1\10\12\0\0\0\1\0\0\0\0", 12), len += 12;
        struct frame_spec spec = syn_spec(families[_i], options, len);
        ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
        ck_assert_uint_le(train.len, frame_len);
        struct packet packet;
        ck_assert_int_eq(
            packet_parse(train.octets, train.len, false, PACKET_CHECKSUM_ALWAYS, &packet),
            PACKET_TCP);
        ck_assert_uint_eq(packet.has_timestamps, (subset & 4) != 0);
        ck_assert_uint_eq(packet.has_sack_permitted, subset == 3 || subset == 6 || subset == 7);
        ck_assert_uint_eq(packet.mss, subset == 0 || subset == 4 ? 0 : 1220);
    }
}
END_TEST

START_TEST(one_segment_acknowledges)
{
    struct connection c;
    connect_to(&c, families[_i]);
    ask(&c);
    response_len = 1220 - 12 - 2 - (families[_i] == 6); /* as much as fits */
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.frame_count, 1);
    struct frame_view view = sent(0);
    ck_assert_uint_eq(view.flags, PACKET_ACK | PACKET_PSH);
    ck_assert_uint_eq(view.seq, c.iss + 1);
    ck_assert_uint_eq(view.ack, c.spec.seq + sizeof(framed));
    ck_assert_uint_eq(view.payload_len, response_len + 2);
    ck_assert_uint_eq(load_be32(view.options + 8), 9);
    /* The next one begins where this ended. */
    uint32_t point = load_be32(view.options + 4);
    c.spec.seq += sizeof(framed);
    c.spec.ack += (uint32_t)response_len + 2;
    echo(&c, point);
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(sent(0).seq, c.spec.ack);
    ck_assert(load_be32(sent(0).options + 4) > point);
}
END_TEST

/* A message whose length came alone is answered when it is whole, with OPT and TSIG too. */
START_TEST(length_apart_from_cut_message)
{
    static const uint8_t opt[11] = {[2] = 41, [3] = 4, [4] = 208};
    uint8_t message[17 + 2 * sizeof opt];
    for (unsigned record_count = 0; record_count <= 2; record_count++) {
        struct connection c;
        size_t len = 17 + record_count * sizeof opt;
        memcpy(message, framed + 2, 17);
        message[11] = (uint8_t)record_count;
        for (unsigned i = 0; i < record_count; i++)
            memcpy(message + 17 + i * sizeof opt, opt, sizeof opt);
        connect_to(&c, families[_i]);
        c.spec.payload = framed;
        c.spec.payload_len = 2;
        ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_SEND);
        ck_assert_uint_eq(sent(0).ack, c.spec.seq + 2);
        echo(&c, load_be32(sent(0).options + 4));
        c.spec.seq += 2;
        c.spec.payload = message;
        for (c.spec.payload_len = 1; c.spec.payload_len < len; c.spec.payload_len++) {
            enum stateless_tcp_outcome outcome = serve(&c.spec);
            ck_assert(outcome == STATELESS_TCP_DROP || c.spec.payload_len == 2);
        }
        fixture_request_len = len;
        ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
        fixture_request_len = REQUEST_LEN - 2;
        ck_assert_uint_eq(evaluated, 1);
        ck_assert_uint_eq(sent(0).ack, c.spec.seq + len);
    }
}
END_TEST

/* A burst, then whatever the client holds: what follows is the rest, to the octet. */
START_TEST(resumes_wherever_the_client_is)
{
    struct connection c;
    connect_to(&c, families[_i]);
    ask(&c);
    response_len = 5000;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.frame_count, 5);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(sent(i).ack, c.spec.seq);
    uint32_t point = load_be32(sent(0).options + 4);
    static uint8_t whole[5002];
    memcpy(whole, stream, sizeof(whole));
    for (uint32_t held = 2; held <= 5002; held += 125) {
        c.spec.ack = c.iss + 1 + held;
        echo(&c, point);
        ck_assert_int_ne(serve(&c.spec), STATELESS_TCP_DROP);
        uint32_t at = held;
        for (unsigned i = 0; i < train.frame_count; i++) {
            struct frame_view view = sent(i);
            ck_assert_uint_eq(view.seq, c.iss + 1 + at);
            ck_assert_mem_eq(view.payload, whole + at, view.payload_len);
            at += (uint32_t)view.payload_len;
            ck_assert_uint_eq(view.ack, train.frame_count > 1 ? c.spec.seq : c.spec.seq + 19);
        }
        ck_assert_uint_eq(at, 5002);
    }
    /* An older echo, too: a part came out of order. */
    connect_to(&c, families[_i]);
    ask(&c);
    c.spec.ack += 3000;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_mem_eq(sent(0).payload, whole + 3000, 1000);
}
END_TEST

/* More than the memory of a train holds, of requests that a server with a cache took one by one. */
START_TEST(resumes_far_into_joined_requests)
{
    enum { COUNT = 5, LEN = 30000, MISSING = 4000 };
    struct connection c;
    uint8_t joined[COUNT * sizeof(framed)];
    for (unsigned i = 0; i < COUNT; i++)
        memcpy(joined + i * sizeof(framed), framed, sizeof(framed));
    connect_to(&c, families[_i]);
    c.spec.payload = joined;
    c.spec.payload_len = sizeof(joined);
    response_len = LEN;
    uint32_t end = COUNT * (2 + LEN);
    c.spec.ack += end - MISSING;
    echo(&c, end << (MODERN_SEQ_BITS + 1) | ((IRS + 1 + sizeof(joined)) & 0xfff) << 1);
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(evaluated, COUNT);
    uint32_t at = LEN - MISSING;
    for (unsigned i = 0; at < LEN; i++) {
        struct frame_view view = sent(i);
        ck_assert_uint_eq(view.seq, c.spec.ack + at - (LEN - MISSING));
        for (uint32_t j = 0; j < view.payload_len; j++, at++)
            ck_assert_uint_eq(view.payload[j], response_octet(0, at));
    }
    ck_assert_uint_eq(at, LEN);
}
END_TEST

START_TEST(two_snapshots_never_mix)
{
    struct connection c;
    connect_to(&c, families[_i]);
    ask(&c);
    response_len = 5000;
    is_settled = false;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY); /* a beginning mixes nothing */
    ck_assert_uint_eq(train.frame_count, 5);
    uint32_t point = load_be32(sent(0).options + 4);
    c.spec.ack += 2400;
    echo(&c, point);
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(sent(0).flags, PACKET_RST);
    ck_assert_uint_eq(sent(0).seq, c.spec.ack);
    ck_assert_uint_eq(evaluated, 0);
    /* Everything there: nothing to mix. */
    c.spec.ack += 5002 - 2400;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(sent(0).flags, PACKET_ACK);
    ck_assert_uint_eq(sent(0).ack, c.spec.seq + sizeof(framed));
    /* A shorter response than what the client holds of another is found out in any case. */
    is_settled = true;
    response_len = 1000;
    c.spec.ack = c.iss + 1 + 2400;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).flags, PACKET_RST);
}
END_TEST

/* Pieces behind what is acknowledged could be of another version; what came twice could not. */
START_TEST(sack_tells_pieces_from_what_came_twice)
{
    struct connection c;
    connect_to(&c, families[_i]);
    ask(&c);
    response_len = 5000;
    is_settled = false;
    static const struct {
        uint32_t left, right; /* from what is acknowledged */
        bool is_piece;
    } blocks[] = {{1000, 2000, true},
                  {1, 2, true},
                  {0x7ffffff0u, 0x7fffffffu, true},
                  {UINT32_MAX - 99, 0, false},
                  {UINT32_MAX - 999, UINT32_MAX - 499, false},
                  {UINT32_MAX - 99, UINT32_MAX - 98, false}};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        uint8_t options[24] = {1, 1, 5, 10};
        for (unsigned octet = 0; octet < 4; octet++) {
            options[4 + octet] = (uint8_t)((c.spec.ack + blocks[i].left) >> (24 - 8 * octet));
            options[8 + octet] = (uint8_t)((c.spec.ack + blocks[i].right) >> (24 - 8 * octet));
        }
        memcpy(options + 12, c.options, 12);
        struct frame_spec spec = c.spec;
        spec.options = options;
        spec.options_len = sizeof(options);
        serve(&spec);
        ck_assert_uint_eq(sent(0).flags == PACKET_RST, blocks[i].is_piece);
        ck_assert_uint_eq(evaluated, !blocks[i].is_piece);
    }
}
END_TEST

START_TEST(completion_is_acknowledged_once)
{
    struct connection c;
    connect_to(&c, families[_i]);
    ask(&c);
    response_len = 3000;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    uint32_t point = load_be32(sent(0).options + 4);
    c.spec.payload_len = 0;
    c.spec.seq += sizeof(framed);
    for (uint32_t held = 0; held < 3010; held++) {
        c.spec.ack = c.iss + 1 + held;
        echo(&c, point);
        enum stateless_tcp_outcome outcome = serve(&c.spec);
        ck_assert_int_eq(outcome,
                         held == 3002 || held == 3003 ? STATELESS_TCP_SEND : STATELESS_TCP_DROP);
        if (outcome == STATELESS_TCP_DROP)
            continue;
        ck_assert_uint_eq(sent(0).flags, PACKET_ACK);
        ck_assert_uint_eq(sent(0).ack, c.spec.seq);
        uint32_t done = load_be32(sent(0).options + 4);
        ck_assert_uint_eq(done, point + 1);
        echo(&c, done);
        ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_DROP);
    }
}
END_TEST

/* Who asks whether we are there gets an answer, at any time but when something is in flight; and
 * what a kernel answers to that, if anything, gets none. */
START_TEST(keep_alive_is_answered)
{
    struct connection c;
    connect_to(&c, families[_i]);
    for (unsigned asked = 0; asked < 2; asked++) {
        for (unsigned garbage = 0; garbage < 2; garbage++) {
            c.spec.seq--;
            c.spec.payload = framed + sizeof framed - 1;
            c.spec.payload_len = garbage; /* RFC 9293 3.8.4: some send an octet */
            ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_SEND);
            ck_assert_uint_eq(train.frame_count, 1);
            ck_assert_uint_eq(sent(0).flags, PACKET_ACK);
            ck_assert_uint_eq(sent(0).payload_len, 0);
            ck_assert_uint_eq(sent(0).seq, c.spec.ack);
            ck_assert_uint_eq(sent(0).ack, ++c.spec.seq);
            ck_assert_uint_eq(load_be32(sent(0).options + 4), c.echo);
        }
        /* SND.NXT may be anything from there on. */
        c.spec.payload_len = 0;
        for (uint32_t more = 0; more <= MODERN_WINDOW; more++) {
            c.spec.seq += more;
            ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_DROP);
            c.spec.seq -= more;
        }
        c.spec.seq--;
        for (uint32_t held = 2; held < 4096; held++) { /* not what it holds: a guess */
            c.spec.ack += held;
            ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_DROP);
            c.spec.ack -= held;
        }
        c.spec.ack++; /* our FIN */
        ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_SEND);
        c.spec.ack--;
        c.spec.seq++;
        ask(&c);
        ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
        c.spec.seq += sizeof framed;
        c.spec.ack += (uint32_t)sent(0).payload_len;
        echo(&c, load_be32(sent(0).options + 4));
    }
}
END_TEST

START_TEST(window_and_burst_are_heeded)
{
    struct connection c;
    connect_to(&c, families[_i]);
    ask(&c);
    response_len = 60000;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.frame_count, 10);
    for (unsigned window = 1; window < 6000; window += 7) {
        c.spec.window = (uint16_t)window;
        ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_QUERY);
        ck_assert_uint_eq(train.frame_count == 0, window < 2);
        if (train.frame_count > 0) {
            struct frame_view last = sent(train.frame_count - 1);
            ck_assert_uint_le(last.seq + last.payload_len - c.spec.ack, window);
        }
    }
}
END_TEST

START_TEST(stale_ones_get_a_reset)
{
    struct connection c;
    connect_to(&c, families[_i]);
    c.spec.ack ^= 0x40040000;                             /* as far from the point as can be */
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_DROP); /* a pure ACK is no request */
    ask(&c);
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(sent(0).flags, PACKET_RST);
    ck_assert_uint_eq(sent(0).seq, c.spec.ack);
    ck_assert_uint_lt(train.len, frame_len);
    config.has_stale_reset = false;
    ck_assert_int_eq(serve(&c.spec), STATELESS_TCP_DROP);
    ck_assert_uint_eq(train.len, 0);
}
END_TEST

/* The bound that the headers state, from the constants, and by trying: SEG.ACK at random. */
START_TEST(guessing_does_not_pay)
{
    struct connection c;
    connect_to(&c, 4);
    ask(&c);
    response_len = 60000;
    config.has_stale_reset = false;
    struct packet packet;
    struct cookie_proof proof;
    frame_len = frame_build(&c.spec, frame);
    ck_assert_int_eq(packet_parse(frame, frame_len, false, PACKET_CHECKSUM_ALWAYS, &packet),
                     PACKET_TCP);
    double near = 8.0 * (STATELESS_TCP_STREAM_CAP + MODERN_AHEAD_MAX + 1);
    double exact = 2.0 * (COOKIE_STREAM_MAX >> MODERN_OFFSET_BITS);
    double informed = (near + exact) / COOKIE_STREAM_MAX;
    double burst_octets = config.burst * (40.0 + 20 + 12 + 1220);
    ck_assert_uint_eq((MODERN_NEAR_MAX + 1) >> MODERN_OFFSET_BITS, 8);
    ck_assert_double_lt(informed, 1.0 / 340);
    ck_assert_double_lt(informed * burst_octets, 38); /* less than the packet that draws it */
    double chance = informed * COOKIE_EPOCHS * COOKIE_CLASSES / 8; /* over all 32 bits */
    uint32_t random = 12345, right = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        packet.ack = random;
        right += modern_is_proven(&keys, &packet, NULL, &proof);
    }
    ck_assert_uint_lt(right, (uint32_t)(chance * 1000000 * 2));
    ck_assert_uint_gt(right, (uint32_t)(chance * 1000000 / 2));
}
END_TEST

/* Nothing of ours draws anything but a reset of ours, and that draws nothing. */
START_TEST(own_output_ends)
{
    static uint8_t sent[TRAIN_CAP], answer[TRAIN_CAP], answer_2[TRAIN_CAP];
    struct connection c;
    connect_to(&c, families[_i]);
    struct frame_spec specs[3] = {syn_spec(families[_i], offer, sizeof(offer)), c.spec, c.spec};
    specs[1].payload = framed;
    specs[1].payload_len = sizeof(framed);
    specs[2].flags |= PACKET_FIN;
    response_len = 3000;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_ne(serve(&specs[i]), STATELESS_TCP_DROP);
        memcpy(sent, train.octets, train.len);
        const uint8_t *at = sent;
        for (unsigned j = 0; j < train.frame_count; at += train.frame_len[j++]) {
            struct packet packet;
            struct stateless_tcp_query query;
            struct train one = {.octets = answer, .cap = TRAIN_CAP};
            struct train two = {.octets = answer_2, .cap = TRAIN_CAP};
            ck_assert_int_eq(
                packet_parse(at, train.frame_len[j], false, PACKET_CHECKSUM_ALWAYS, &packet),
                PACKET_TCP);
            ck_assert_int_ne(
                stateless_tcp_receive(&config, &keys, &packet, true, NULL, &query, &one),
                STATELESS_TCP_QUERY);
            ck_assert_uint_le(one.len, train.frame_len[j]);
            if (one.frame_count == 0)
                continue;
            ck_assert_int_eq(packet_parse(answer, one.len, false, PACKET_CHECKSUM_ALWAYS, &packet),
                             PACKET_TCP);
            ck_assert_int_eq(
                stateless_tcp_receive(&config, &keys, &packet, true, NULL, &query, &two),
                STATELESS_TCP_DROP);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stateless_tcp/modern");
    TCase *tcase = tcase_create("modern");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, syn_ack_takes_up_what_is_offered, 0, 2);
    tcase_add_loop_test(tcase, syn_ack_is_never_larger, 0, 2);
    tcase_add_loop_test(tcase, one_segment_acknowledges, 0, 2);
    tcase_add_loop_test(tcase, length_apart_from_cut_message, 0, 2);
    tcase_add_loop_test(tcase, resumes_wherever_the_client_is, 0, 2);
    tcase_add_loop_test(tcase, resumes_far_into_joined_requests, 0, 2);
    tcase_add_loop_test(tcase, two_snapshots_never_mix, 0, 2);
    tcase_add_loop_test(tcase, sack_tells_pieces_from_what_came_twice, 0, 2);
    tcase_add_loop_test(tcase, completion_is_acknowledged_once, 0, 2);
    tcase_add_loop_test(tcase, keep_alive_is_answered, 0, 2);
    tcase_add_loop_test(tcase, window_and_burst_are_heeded, 0, 2);
    tcase_add_loop_test(tcase, stale_ones_get_a_reset, 0, 2);
    tcase_add_test(tcase, guessing_does_not_pay);
    tcase_add_loop_test(tcase, own_output_ends, 0, 2);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The proxy's join: what is asked for which segment, and the train that the response becomes.
 */
#include "proxy_fixture.h"

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
                                  test_half_close,
                                  test_length_in_a_segment_before,
                                  test_overdue_is_servfail,
                                  test_overflow,
                                  test_tickets,
                                  test_refused_at_once};
    return test_run("proxy_frame", tests, sizeof tests / sizeof *tests, setup, teardown);
}

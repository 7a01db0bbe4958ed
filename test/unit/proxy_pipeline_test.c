/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Several requests of one connection through the proxy, in one segment or in several.
 */
#include "proxy_fixture.h"

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

int main(void)
{
    const TTest *const tests[] = {test_several_in_one_segment,
                                  test_some_are_ready,
                                  test_joined_behind_a_part,
                                  test_pipelined_apart,
                                  test_cut,
                                  test_probe_of_the_last,
                                  test_more_than_are_looked_at};
    return test_run("proxy_pipeline", tests, sizeof tests / sizeof *tests, setup, teardown);
}

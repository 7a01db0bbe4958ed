/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_bed.h"

START_TEST(a_connection_for_each_query)
{
    for (int family = 4; family <= 6; family += 2) {
        for (int is_joined = 0; is_joined < 2; is_joined++) {
            struct bed *bed = bed_begin(BENCH_RAW, family);
            bed->config.is_handshake_joined = is_joined;
            /* questions 0 and 1, whose responses are one segment */
            bed->config.query_limit = 2;
            bed_open(bed);
            bed_run(bed);
            bed_expect_all(bed);
            ck_assert_uint_eq(bed->worker.tally.connections, 2);
            ck_assert_uint_eq(bed->worker.tally.retransmissions, 0);
            /* SYN, ACK, query, FIN, ACK of the server's FIN */
            ck_assert_uint_eq(bed->frames_to_server, is_joined ? 8 : 10);
            ck_assert_uint_eq(bed->frames_to_client, 6);
            ck_assert_uint_eq(bed->tcp.busy, 0);
            bed_end(bed);
        }
    }
}
END_TEST

START_TEST(reset_ends_it_sooner)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->config.close = BENCH_CLOSE_RST;
    bed->config.query_limit = 2;
    bed_open(bed);
    bed_run(bed);
    bed_expect_all(bed);
    ck_assert_uint_eq(bed->frames_to_server, 8); /* SYN, ACK, query, RST */
    ck_assert_uint_eq(bed->frames_to_client, 4);
    bed_end(bed);
}
END_TEST

static void run_modern(int family, uint32_t per_connection, uint32_t pipeline, unsigned loss,
                       unsigned doubling, unsigned disorder)
{
    struct bed *bed = bed_begin(BENCH_RAW, family);
    bed_disturb(bed, per_connection, loss, doubling, disorder);
    bed->config.pipeline = pipeline;
    bed_open(bed);
    bed_run(bed);
    bed_expect_all(bed);
    bed_expect_connections(bed);
    bed_end(bed);
}

START_TEST(nothing_is_lost_of_what_the_wire_loses)
{
    for (int family = 4; family <= 6; family += 2)
        run_modern(family, 1, 1, 200, 100, 100);
}
END_TEST

START_TEST(many_queries_on_a_connection)
{
    run_modern(4, 10, 1, 0, 0, 0);
    run_modern(4, 10, 1, 100, 50, 50);
    run_modern(6, 0, 1, 100, 50, 50);
}
END_TEST

START_TEST(queries_ahead_of_answers)
{
    run_modern(4, 16, 4, 0, 0, 0);
    run_modern(6, 0, 4, 50, 50, 0);
}
END_TEST

/* Many queries in one segment, in whole, within what a frame holds. */
START_TEST(segments_are_filled)
{
    for (int family = 4; family <= 6; family += 2) {
        struct bed *bed = bed_begin(BENCH_RAW, family);
        bed->config.queries_per_connection = 64;
        bed->config.pipeline = 64;
        bed->config.connections = 1;
        bed->config.query_limit = 640;
        bed->config.form.has_checksum = true;
        bed->config.form.checksum_code = RESPOND_CHECKSUM_CODE_DEFAULT;
        bed->tcp_config.mss = STATELESS_TCP_MSS_MAX;
        bed_open(bed);
        bed_run(bed);
        bed_expect_all(bed);
        ck_assert_uint_eq(bed->worker.tally.connections, 10);
        ck_assert_uint_eq(bed->worker.tally.checksum_good, 640);
        ck_assert_uint_gt(bed->longest_to_server, 1400);
        ck_assert_uint_le(bed->longest_to_server, 1514);
        bed_end(bed);
    }
}
END_TEST

START_TEST(classic)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->tcp_config = stateless_tcp_config_default();
    bed_open(bed);
    bed_run(bed);
    bed_expect_all(bed);
    bed_end(bed);

    /* It repeats nothing, so here losses are losses; and each query ends as one thing. */
    bed = bed_begin(BENCH_RAW, 4);
    bed->tcp_config = stateless_tcp_config_default();
    bed->loss = 100;
    bed->config.timeout_ns = 3000000000;
    bed_open(bed);
    bed_run(bed);
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_gt(tally->lost, 0);
    ck_assert_uint_gt(tally->answered, 0);
    ck_assert_uint_eq(tally->answered + tally->lost, tally->sent);
    ck_assert_uint_eq(tally->unexpected + tally->wrong, 0);
    bed_end(bed);
}
END_TEST

/* Who is late at the end sends what was due before all the same. */
START_TEST(what_was_due_is_sent)
{
    struct bed *bed = bed_begin(BENCH_RAW_UDP, 4);
    bed->config.rate = 1000;
    bed->config.query_limit = 100000;
    bed_open(bed);
    bed->worker.end_ns = bed->now_ns + 1000000000;
    bed->now_ns += 3000000000;
    bed_run(bed);
    ck_assert_uint_eq(bed->worker.tally.sent, 1000);
    ck_assert_uint_eq(bed->worker.tally.answered, 1000);
    bed_end(bed);
}
END_TEST

START_TEST(fast_open)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->tcp_config.has_fast_open = true;
    bed->config.has_fast_open = true;
    bed->config.connections = 1;
    bed_open(bed);
    bed_run(bed);
    bed_expect_all(bed);
    /* The first from each address asks for a cookie. Responses of several segments come after the
     * handshake: they would go to an address that has proven less. */
    unsigned expected = 0;
    for (unsigned i = bed->path.tuples.address_count; i < bed->config.query_limit; i++)
        expected += i % 5 < 2 || i % 5 == 4;
    ck_assert_uint_eq(bed->worker.tally.fast_open, expected);
    bed_end(bed);

    /* A server that has no cookies gets all by the handshake. */
    bed = bed_begin(BENCH_RAW, 6);
    bed->config.has_fast_open = true;
    bed->loss = 50;
    bed_open(bed);
    bed_run(bed);
    bed_expect_all(bed);
    ck_assert_uint_eq(bed->worker.tally.fast_open, 0);
    bed_end(bed);
}
END_TEST

START_TEST(nobody_answers)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->is_deaf = true;
    bed->config.query_limit = 30;
    bed->config.timeout_ns = 4000000000;
    bed_open(bed);
    bed_run(bed);
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_eq(tally->sent, 30);
    ck_assert_uint_eq(tally->lost, 30);
    ck_assert_uint_eq(tally->refused, 30);
    /* after 1 and 3 seconds */
    ck_assert_uint_eq(tally->retransmissions, 60);
    bed_end(bed);
}
END_TEST

START_TEST(somebody_refuses)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->is_refusing = true;
    bed_open(bed);
    bed_run(bed);
    ck_assert_uint_eq(bed->worker.tally.lost, 200);
    ck_assert_uint_eq(bed->worker.tally.refused, 200);
    ck_assert_uint_eq(bed->worker.tally.retransmissions, 0);
    bed_end(bed);
}
END_TEST

/* What a server has forgotten it resets; what was asked there is lost, and asked no more. */
START_TEST(a_server_forgets)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->tcp_config.has_stale_reset = true;
    bed->config.queries_per_connection = 0;
    bed_open(bed);
    bed_send_due(bed);
    while (bed->worker.tally.answered < 100)
        bed_step(bed);
    bed->keys = (struct stateless_tcp_keys){.epochs = {{3}, {4}}};
    bed_run(bed);
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_eq(tally->resets, 10);
    ck_assert_uint_eq(tally->lost, 10);
    ck_assert_uint_eq(tally->answered, 190);
    ck_assert_uint_eq(tally->connections, 20);
    bed_end(bed);
}
END_TEST

/* The rate is kept whatever the server does, and waiting is in the latency. */
START_TEST(open_loop_counts_from_when_it_was_due)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->config.rate = 1000;
    bed->config.connections = 2;
    bed->is_deaf = true;
    bed_open(bed);
    uint64_t start_ns = bed->now_ns;
    bed_send_due(bed);
    while (bed->now_ns < start_ns + 900000000)
        bed_step(bed);
    ck_assert_uint_eq(bed->worker.tally.sent, 2);
    bed->is_deaf = false;
    bed_run(bed);
    bed_expect_all(bed);
    ck_assert_uint_ge(bed->worker.tally.held, 190);
    /* 200 queries were due within 0.2 s; the first SYNs are repeated after 1 s */
    ck_assert_uint_ge(histogram_quantile_ns(&bed->worker.tally.latency, 0.05), 800000000);
    bed_end(bed);
}
END_TEST

static struct frame_view last_to_server(const struct bed *bed)
{
    MUST(bed->wire_count == 1 && bed->wire[0].is_to_server);
    return frame_view(bed->wire[0].octets, bed->wire[0].len);
}

/* One of a tuple that is in use. */
static uint16_t stray_port(const struct bed *bed)
{
    return bed->path.server.family == 4 ? 1500 : 1800;
}

/* Let a segment of the server reach a tuple that has no connection; returns how many come back. */
static size_t receive_stray(struct bed *bed, uint8_t flags, const char *payload)
{
    static uint8_t frame[FRAME_CAP];
    struct packet_address client = source_address(&bed->path.source, 3);
    struct frame_spec spec = frame_spec_client(bed->path.server.family);
    memcpy(spec.source, bed->path.server.octets, 16);
    memcpy(spec.destination, client.octets, 16);
    spec.source_port = 53;
    spec.destination_port = stray_port(bed);
    spec.seq = 5000;
    spec.ack = 7000;
    spec.flags = flags;
    spec.payload = (const uint8_t *)payload;
    spec.payload_len = strlen(payload);
    bed->wire_count = 0;
    bed_receive(bed, frame, frame_build(&spec, frame));
    bed_flush(bed);
    return bed->wire_count;
}

START_TEST(segments_of_connections_that_are_over)
{
    for (int family = 4; family <= 6; family += 2) {
        struct bed *bed = bed_begin(BENCH_RAW, family);
        bed_open(bed);
        ck_assert_uint_eq(receive_stray(bed, PACKET_ACK, ""), 0);
        ck_assert_uint_eq(receive_stray(bed, PACKET_RST | PACKET_ACK, ""), 0);
        ck_assert_uint_eq(receive_stray(bed, PACKET_RST, ""), 0);
        ck_assert_uint_eq(receive_stray(bed, PACKET_SYN, ""), 0);
        ck_assert_uint_eq(receive_stray(bed, PACKET_FIN | PACKET_ACK, "abc"), 1);
        ck_assert_uint_eq(last_to_server(bed).flags, PACKET_ACK);
        ck_assert_uint_eq(last_to_server(bed).seq, 7000);
        ck_assert_uint_eq(last_to_server(bed).ack, 5004);
        ck_assert_uint_eq(last_to_server(bed).source_port, stray_port(bed));
        ck_assert_uint_eq(receive_stray(bed, PACKET_PSH | PACKET_ACK, "abc"), 1);
        ck_assert_uint_eq(last_to_server(bed).flags, PACKET_RST);
        ck_assert_uint_eq(last_to_server(bed).seq, 7000);
        ck_assert_uint_eq(receive_stray(bed, PACKET_SYN | PACKET_ACK, ""), 1);
        ck_assert_uint_eq(last_to_server(bed).flags, PACKET_RST);
        bed_end(bed);
    }
}
END_TEST

/* Frames that were changed on the way, checksums made right again or not: the sums hold. */
START_TEST(hostile_frames)
{
    struct bed *bed = bed_begin(BENCH_RAW, 4);
    bed->config.queries_per_connection = 5;
    bed->config.pipeline = 2;
    bed->config.timeout_ns = 2000000000;
    bed->config.query_limit = 3000;
    unsigned heard = 0;
    bed_open(bed);
    bed_send_due(bed);
    while (!bed_is_over(bed)) {
        if (bed->wire_count > 0 && bed_chance(bed, 300)) {
            struct bed_frame *frame = &bed->wire[schedule_random(&bed->random) % bed->wire_count];
            size_t at = 34 + schedule_random(&bed->random) % (frame->len - 34);
            uint8_t octet = (uint8_t)schedule_random(&bed->random);
            if (!frame->is_to_server && at != 50 && at != 51) {
                /* Keep the checksum right, which adds up: what is behind it is to be met. */
                unsigned sum = frame->octets[50] * 256u + frame->octets[51];
                unsigned added = frame->octets[at] + (octet ^ 0xffu) + 0xff00u;
                sum += at % 2 == 0 ? (frame->octets[at] + (octet ^ 0xffu)) * 256u + 0xff : added;
                sum = (sum & 0xffff) + (sum >> 16);
                sum = (sum & 0xffff) + (sum >> 16);
                frame->octets[50] = (uint8_t)(sum >> 8);
                frame->octets[51] = (uint8_t)sum;
                frame->octets[at] = octet;
                struct packet packet;
                heard += packet_parse(frame->octets, frame->len, false, PACKET_CHECKSUM_ALWAYS,
                                      &packet) == PACKET_TCP;
                bed_receive(bed, frame->octets, frame->len);
                bed_flush(bed);
            }
        }
        bed_step(bed);
        const struct tally *tally = &bed->worker.tally;
        ck_assert_uint_eq(tally->answered + tally->wrong + tally->lost + bed->worker.outstanding,
                          tally->sent);
    }
    ck_assert_uint_gt(bed->worker.tally.answered, 1000);
    ck_assert_uint_gt(heard, 1000);
    bed_end(bed);
}
END_TEST

START_TEST(udp)
{
    for (int family = 4; family <= 6; family += 2) {
        struct bed *bed = bed_begin(BENCH_RAW_UDP, family);
        bed->config.form.has_checksum = true;
        bed->config.form.checksum_code = RESPOND_CHECKSUM_CODE_DEFAULT;
        bed->config.form.payload = 1232;
        bed_open(bed);
        bed_run(bed);
        bed_expect_all(bed);
        ck_assert_uint_eq(bed->frames_to_server, 200);
        ck_assert_uint_eq(bed->worker.tally.checksum_good, 200);
        ck_assert_uint_eq(bed->worker.tally.truncated, 80); /* two of five questions */
        bed_end(bed);

        bed = bed_begin(BENCH_RAW_UDP, family);
        bed->loss = 100;
        bed->doubling = 100;
        bed->config.timeout_ns = 1000000000;
        bed_open(bed);
        bed_run(bed);
        const struct tally *tally = &bed->worker.tally;
        ck_assert_uint_eq(tally->answered + tally->lost, 200);
        ck_assert_uint_gt(tally->lost, 10);
        ck_assert_uint_gt(tally->stray, 1);
        bed_end(bed);
    }
}
END_TEST

TEST_MAIN("bench/raw", a_connection_for_each_query, reset_ends_it_sooner,
          nothing_is_lost_of_what_the_wire_loses, many_queries_on_a_connection,
          queries_ahead_of_answers, segments_are_filled, classic, what_was_due_is_sent, fast_open,
          nobody_answers, somebody_refuses, a_server_forgets, open_loop_counts_from_when_it_was_due,
          segments_of_connections_that_are_over, hostile_frames, udp)

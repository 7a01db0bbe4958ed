/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP program's TCP, compiled for the host, beside stateless_tcp_receive(): the same octets, or
 * silence where that is silent, or hands off.
 */
#include "test/unit/driver_frames.h"
#include "test/unit/driver_front.h"

#include "stateless_tcp/modern_point.h"
#include "test_main.h"

#define FRAMES 300000u

static uint8_t frame[FRAME_CAP], result[FRAME_CAP];

static enum driver_verdict ask(const struct stateless_tcp_config *config, size_t len,
                               size_t *result_len, struct driver_tally *tally)
{
    enum driver_counter counter = DRIVER_COUNTERS;
    *result_len = len;
    /* At the end of its memory, so that an octet too many is noticed. */
    uint8_t *copy = exact_copy(frame, len);
    enum driver_verdict verdict =
        driver_front(config, &driver_keys, driver_endpoints, 2, NULL, copy, result_len, &counter);
    memcpy(result, copy, len);
    free(copy);
    const struct driver_front_known known = {.respond = driver_respond};
    if (verdict == DRIVER_CLIMB)
        verdict = driver_front(config, &driver_keys, driver_endpoints, 2, &known, result,
                               result_len, &counter);
    driver_compare(config, frame, len, verdict, counter, result, *result_len, tally);
    return verdict;
}

START_TEST(agrees_with_user_space)
{
    struct driver_tally tally = {0};
    for (uint32_t seed = 0; seed < FRAMES; seed++) {
        const struct stateless_tcp_config config = driver_server(seed % DRIVER_SERVERS);
        size_t result_len;
        ask(&config, driver_frame_make(seed / DRIVER_SERVERS * 7 + seed, frame), &result_len,
            &tally);
    }
    driver_tally_check(&tally);
}
END_TEST

/* A connection of the usual kind, IPv4 or IPv6, with or without timestamps: of its segments only
 * the request climbs, and without timestamps the end. */
START_TEST(only_requests_climb)
{
    static const uint8_t syn_options[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
                                          0, 9, 0, 0,   0, 0, 1, 3,  3, 7};
    static const uint8_t request[19] = {0, 17, 0xd5, 0, 1, 0, 0, 1, [15] = 2, [17] = 3};
    bool has_timestamps = _i & 1;
    struct stateless_tcp_config config = driver_server(0);
    struct driver_tally tally = {0};
    struct frame_spec spec = frame_spec_client(_i & 2 ? 6 : 4);
    uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    size_t len;
    spec.flags = PACKET_SYN;
    spec.options = syn_options;
    spec.options_len = has_timestamps ? sizeof syn_options : 4;
    ck_assert_int_eq(ask(&config, frame_build(&spec, frame), &len, &tally), DRIVER_TX);
    struct frame_view view = frame_view(result, len);
    ck_assert_uint_eq(view.flags, PACKET_SYN | PACKET_ACK);
    ck_assert(frame_is_sound(result, len));

    if (has_timestamps)
        memcpy(options + 8, view.options + view.options_len - 8, 4);
    spec.options = options;
    spec.options_len = has_timestamps ? sizeof options : 0;
    spec.flags = PACKET_ACK;
    spec.seq++;
    spec.ack = view.seq + 1;
    ck_assert_int_eq(ask(&config, frame_build(&spec, frame), &len, &tally), DRIVER_DROP);

    spec.flags |= PACKET_PSH;
    spec.payload = request;
    spec.payload_len = sizeof request;
    ck_assert_int_eq(ask(&config, frame_build(&spec, frame), &len, &tally), DRIVER_CLIMB);

    /* A response of 5,000 octets in several segments: its end is acknowledged. */
    uint32_t tag = point_make(5002, spec.seq + sizeof request, false);
    for (unsigned i = 0; has_timestamps && i < 4; i++)
        options[8 + i] = (uint8_t)(tag >> (24 - 8 * i));
    spec.seq += sizeof request;
    spec.payload_len = 0;
    spec.flags = PACKET_ACK;
    spec.ack += 5002;
    ck_assert_int_eq(ask(&config, frame_build(&spec, frame), &len, &tally),
                     has_timestamps ? DRIVER_TX : DRIVER_DROP);
    if (has_timestamps)
        ck_assert_uint_eq(frame_view(result, len).ack, spec.seq);

    /* Without timestamps it may be behind a request, which must be answered before it is refused. */
    spec.flags |= PACKET_FIN;
    ck_assert_int_eq(ask(&config, frame_build(&spec, frame), &len, &tally),
                     has_timestamps ? DRIVER_TX : DRIVER_CLIMB);
    if (has_timestamps)
        ck_assert_uint_eq(frame_view(result, len).flags, PACKET_FIN | PACKET_ACK);
    ck_assert_uint_eq(tally.climbed, has_timestamps ? 1 : 2);
}
END_TEST

/* What a cache might know better climbs. */
START_TEST(what_is_not_certain_climbs)
{
    static const struct {
        uint8_t flags;
        uint32_t held, point, behind;
        enum driver_verdict verdict;
    } cases[] = {
        {PACKET_ACK, 5002, 5002, 0, DRIVER_TX},
        {PACKET_ACK, 5003, 5002, 0, DRIVER_TX}, /* our FIN too */
        {PACKET_ACK, 5003, 5002, 1, DRIVER_TX}, /* the same behind its own */
        {PACKET_ACK, 5002, 5002, 1, DRIVER_CLIMB},
        {PACKET_ACK, 5003, 5002, 2, DRIVER_CLIMB},
        {PACKET_ACK, 5002, 5002, 19, DRIVER_CLIMB}, /* something is sent ahead */
        {PACKET_ACK, 5001, 5002, 0, DRIVER_CLIMB},  /* a piece is missing */
        {PACKET_ACK, 5010, 5002, 0, DRIVER_CLIMB},  /* echo of an older train */
        {PACKET_ACK, 1 << 24, 1 << 24, 0, DRIVER_TX},
        {PACKET_ACK, 1 << 24, (1 << 24) - 9, 0, DRIVER_CLIMB},
        {PACKET_ACK, 1 << 24, (1 << 24) - (1 << 18), 0, DRIVER_DROP},
        {PACKET_ACK | PACKET_FIN, 5002, 5002, 0, DRIVER_TX},
        {PACKET_ACK | PACKET_FIN, 5002, 5002, 2, DRIVER_CLIMB},
        {PACKET_ACK | PACKET_FIN, 5001, 5002, 0, DRIVER_DROP},
        {PACKET_ACK | PACKET_FIN, 1 << 24, (1 << 24) - 9, 0, DRIVER_CLIMB},
        {PACKET_ACK | PACKET_FIN, 1 << 24, (1 << 24) - (1 << 18), 0, DRIVER_TX}, /* RST */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct stateless_tcp_config config = driver_server(0);
        struct driver_tally tally = {0};
        struct frame_spec spec = frame_spec_client(4);
        struct packet packet = {.source = {.family = 4, .octets = {198, 18, 0, 2}},
                                .destination = {.family = 4, .octets = {198, 18, 0, 1}},
                                .source_port = 40000,
                                .destination_port = 53};
        uint32_t tag = point_make(cases[i].point, spec.seq - cases[i].behind, false);
        uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
        for (unsigned j = 0; j < 4; j++)
            options[8 + j] = (uint8_t)(tag >> (24 - 8 * j));
        spec.options = options;
        spec.options_len = sizeof options;
        spec.flags = cases[i].flags;
        spec.ack = cookie_make(&driver_keys, &packet) + 1 + cases[i].held;
        size_t len;
        ck_assert_msg(ask(&config, frame_build(&spec, frame), &len, &tally) == cases[i].verdict,
                      "case %zu", i);
    }
}
END_TEST

/* A request at the point, where what its response may be is measured out. */
START_TEST(answers_what_fits_a_segment)
{
    static const struct {
        uint16_t mss, window, segment_size;
        uint8_t id; /* says how long the response is: see driver_respond() */
        uint32_t response_len, held;
        enum driver_verdict verdict;
    } cases[] = {
        {1460, 65535, 1220, 2, 19, 0, DRIVER_TX},
        {1460, 65535, 1220, 2, 19, 100, DRIVER_TX},
        {1460, 21, 1220, 2, 19, 100, DRIVER_TX},
        {1460, 20, 1220, 2, 19, 100, DRIVER_CLIMB},
        {1460, 65535, 512, 5, 510, 100, DRIVER_TX},
        {1460, 65535, 512, 7, 511, 100, DRIVER_CLIMB},
        {536, 65535, 1220, 9, 522, 100, DRIVER_TX},
        {536, 65535, 1220, 11, 523, 100, DRIVER_CLIMB},
        {1220, 65535, 1220, 13, 1206, 100, DRIVER_TX},
        {1220, 65535, 1220, 15, 1207, 100, DRIVER_CLIMB},
        {1460, 65535, 1220, 17, 1218, 100, DRIVER_TX},
        {1460, 65535, 1220, 19, 1219, 100, DRIVER_CLIMB},
        {1460, 65535, 1220, 21, 9000, 100, DRIVER_CLIMB},
        {1460, 65535, 1220, 0, 0, 100, DRIVER_CLIMB},
        {1460, 65535, 1220, 2, 19, 1 << 24, DRIVER_TX},
        {1460, 65535, 1220, 2, 19, MODERN_CLOSE_AT - 21, DRIVER_TX},
        {1460, 65535, 1220, 2, 19, MODERN_CLOSE_AT - 20, DRIVER_CLIMB},
        {1460, 65535, 1220, 2, 19, MODERN_CLOSE_AT + 1, DRIVER_CLIMB},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stateless_tcp_config config = driver_server(0);
        config.segment_size = cases[i].segment_size;
        struct driver_tally tally = {0};
        struct frame_spec spec = frame_spec_client(4);
        struct packet packet = {.source = {.family = 4, .octets = {198, 18, 0, 2}},
                                .destination = {.family = 4, .octets = {198, 18, 0, 1}},
                                .source_port = 40000,
                                .destination_port = 53,
                                .mss = cases[i].mss};
        uint32_t tag = point_make(cases[i].held, spec.seq, true);
        uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
        for (unsigned j = 0; j < 4; j++)
            options[8 + j] = (uint8_t)(tag >> (24 - 8 * j));
        const uint8_t request[19] = {0, 17, 0, cases[i].id, 1, 0, 0, 1, [15] = 2, [17] = 3};
        spec.options = options;
        spec.options_len = sizeof options;
        spec.flags = PACKET_PSH | PACKET_ACK;
        spec.window = cases[i].window;
        spec.ack = cookie_make(&driver_keys, &packet) + 1 + cases[i].held;
        spec.payload = request;
        spec.payload_len = sizeof request;
        size_t len;
        ck_assert_msg(ask(&config, frame_build(&spec, frame), &len, &tally) == cases[i].verdict,
                      "case %zu", i);
        if (cases[i].verdict == DRIVER_TX)
            ck_assert_uint_eq(frame_view(result, len).payload_len, 2 + cases[i].response_len);
    }
}
END_TEST

static struct recent_note notes[RECENT_NOTES];

/* The train for `spec`, a request, with a cache that may read the notes. */
static uint32_t user_space(const struct frame_spec *spec, struct recent *recent,
                           struct train *train)
{
    static uint8_t stream[2 * STATELESS_TCP_STREAM_CAP];
    const struct stateless_tcp_config config = driver_server(0);
    struct stateless_tcp_query query;
    struct packet packet;
    const uint8_t *request;
    size_t request_len, len = frame_build(spec, frame);
    train->frame_count = train->len = 0;
    ck_assert_int_eq(packet_parse(frame, len, false, PACKET_CHECKSUM_AUTO, &packet), PACKET_TCP);
    if (stateless_tcp_receive(&config, &driver_keys, &packet, false, recent, &query, train) !=
        STATELESS_TCP_QUERY)
        return train->frame_count;
    while (stateless_tcp_next(&query, &request, &request_len)) {
        uint8_t *at = stream + query.stream_at;
        stateless_tcp_send(&query, at, driver_respond(request, request_len, at + 2), train);
    }
    stateless_tcp_finish(&query, train);
    return train->frame_count;
}

/* Two requests in segments of their own, the second sent before the client has the first response,
 * which the driver gave: with its note user space answers the second at once. */
START_TEST(notes_what_it_answered)
{
    static uint8_t memory[RECENT_SIZE_MIN] __attribute__((aligned(64))), octets[TRAIN_CAP];
    static const uint8_t request[19] = {0, 17, 0, 2, 1, 0, 0, 1, [15] = 2, [17] = 3};
    const struct stateless_tcp_config config = driver_server(0);
    const struct driver_front_known known = {
        .respond = driver_respond, .notes = notes, .snapshot = 7};
    struct frame_spec spec = frame_spec_client(4);
    struct packet packet = {.source = {.family = 4, .octets = {198, 18, 0, 2}},
                            .destination = {.family = 4, .octets = {198, 18, 0, 1}},
                            .source_port = 40000,
                            .destination_port = 53};
    struct cookie_proof proof;
    struct train train = {.octets = octets, .cap = sizeof octets};
    enum driver_counter counter;
    uint32_t tag = point_make(0, spec.seq, true);
    uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    for (unsigned j = 0; j < 4; j++)
        options[8 + j] = (uint8_t)(tag >> (24 - 8 * j));
    spec.options = options;
    spec.options_len = sizeof options;
    spec.flags = PACKET_PSH | PACKET_ACK;
    spec.ack = packet.ack = cookie_make(&driver_keys, &packet) + 1;
    spec.payload = request;
    spec.payload_len = sizeof request;
    ck_assert(cookie_read(&driver_keys, &packet, &proof));
    size_t len = frame_build(&spec, frame);
    ck_assert_int_eq(
        driver_front(&config, &driver_keys, driver_endpoints, 2, &known, frame, &len, &counter),
        DRIVER_TX);
    struct frame_view first = frame_view(frame, len);

    spec.seq += sizeof request;
    struct recent recent = recent_make(memory, sizeof memory);
    recent.snapshot = 7;
    ck_assert_uint_eq(user_space(&spec, &recent, &train), 0);
    recent = recent_make(memset(memory, 0, sizeof memory), sizeof memory);
    recent.snapshot = 7;
    recent.notes = notes;
    ck_assert_uint_eq(user_space(&spec, &recent, &train), 1);
    struct frame_view second = frame_view(octets, train.len);
    ck_assert_uint_eq(second.seq, first.seq + first.payload_len);
    ck_assert_uint_eq(second.ack, spec.seq - sizeof request); /* the first may still get lost */
    ck_assert_uint_eq(second.payload_len, 2 + 19);

    /* The client has both, but the echo of the first, since what came behind its acknowledgement is
     * old; and its timer sends the second again. The note is older than what is known by now. */
    struct frame_spec again = spec;
    uint8_t first_options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    tag = point_make((uint32_t)first.payload_len, spec.seq, true);
    for (unsigned j = 0; j < 4; j++)
        first_options[8 + j] = (uint8_t)(tag >> (24 - 8 * j));
    again.options = first_options;
    again.ack += (uint32_t)(first.payload_len + second.payload_len);
    ck_assert_uint_eq(user_space(&again, &recent, &train), 1);
    struct frame_view third = frame_view(octets, train.len);
    ck_assert_uint_eq(third.flags & PACKET_RST, 0);
    ck_assert_uint_eq(third.ack, spec.seq + sizeof request);

    /* Of another snapshot, or not whole: as if there were none. */
    recent = recent_make(memset(memory, 0, sizeof memory), sizeof memory);
    recent.snapshot = 8;
    recent.notes = notes;
    ck_assert_uint_eq(user_space(&spec, &recent, &train), 0);
    struct recent_note *note = &notes[recent_note_place(proof.connection)];
    for (size_t i = 0; i < offsetof(struct recent_note, zero); i++) {
        recent = recent_make(memset(memory, 0, sizeof memory), sizeof memory);
        recent.snapshot = 7;
        recent.notes = notes;
        ((uint8_t *)note)[i] ^= 1;
        ck_assert_uint_eq(user_space(&spec, &recent, &train), 0);
        ((uint8_t *)note)[i] ^= 1;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("driver_tcp");
    TCase *tcase = tcase_create("driver_tcp");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, agrees_with_user_space);
    tcase_add_loop_test(tcase, only_requests_climb, 0, 4);
    tcase_add_test(tcase, what_is_not_certain_climbs);
    tcase_add_test(tcase, answers_what_fits_a_segment);
    tcase_add_test(tcase, notes_what_it_answered);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/stateless_tcp.h"

#include "test/unit/stateless_frames.h"
#include "test_main.h"

#include <stdlib.h>
#include <string.h>

static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static const int families[] = {4, 6};
static const uint8_t mss_1460[] = {2, 4, 0x05, 0xb4};

static uint8_t train_octets[TRAIN_CAP];
static struct train train;
static uint8_t frame[FRAME_CAP];
static size_t frame_len;

/* A server whose response to every request is as long as the test says, each octet telling its
 * place; and that notes what it was asked. */
static size_t response_len;
static unsigned request_count;
static uint8_t last_request[65536];
static size_t last_request_len;
static uint8_t stream[2 + 65535];

static uint8_t response_octet(size_t at)
{
    return (uint8_t)(at * 31 + at / 256);
}

static enum stateless_tcp_outcome serve_with(const struct stateless_tcp_config *config,
                                             const struct frame_spec *spec)
{
    uint8_t built[FRAME_CAP];
    frame_len = frame_build(spec, built);
    memcpy(frame, built, frame_len);
    /* An exact copy on the heap, so that a sanitizer sees an octet read too many. */
    uint8_t *block = malloc(frame_len);
    memcpy(block, frame, frame_len);
    struct packet packet;
    ck_assert_int_eq(packet_parse(block, frame_len, false, PACKET_CHECKSUM_AUTO, &packet),
                     PACKET_TCP);
    train = (struct train){.octets = train_octets, .cap = TRAIN_CAP};
    struct stateless_tcp_query query;
    enum stateless_tcp_outcome outcome =
        stateless_tcp_receive(config, &keys, &packet, true, NULL, &query, &train);
    request_count = 0;
    if (outcome == STATELESS_TCP_QUERY) {
        const uint8_t *request;
        while (stateless_tcp_next(&query, &request, &last_request_len)) {
            memcpy(last_request, request, last_request_len);
            request_count++;
            for (size_t i = 0; i < response_len; i++)
                stream[2 + i] = response_octet(i);
            stateless_tcp_send(&query, stream, response_len, &train);
        }
        stateless_tcp_finish(&query, &train);
    }
    ck_assert_mem_eq(block, frame, frame_len);
    free(block);
    return outcome;
}

static enum stateless_tcp_outcome serve(const struct frame_spec *spec)
{
    struct stateless_tcp_config config = stateless_tcp_config_default();
    return serve_with(&config, spec);
}

static struct frame_view train_frame(unsigned index)
{
    ck_assert_uint_lt(index, train.frame_count);
    const uint8_t *at = train.octets;
    for (unsigned i = 0; i < index; i++)
        at += train.frame_len[i];
    ck_assert(frame_is_sound(at, train.frame_len[index]));
    return frame_view(at, train.frame_len[index]);
}

static struct frame_spec syn_spec(int family)
{
    struct frame_spec spec = frame_spec_client(family);
    spec.flags = PACKET_SYN;
    spec.options = mss_1460;
    spec.options_len = sizeof(mss_1460);
    return spec;
}

/* Shake hands; what comes next from the client, with our ISS acknowledged. */
static struct frame_spec connected_spec(int family)
{
    struct frame_spec spec = syn_spec(family);
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    uint32_t iss = train_frame(0).seq;
    spec = frame_spec_client(family);
    spec.seq++;
    spec.ack = iss + 1;
    spec.flags = PACKET_ACK;
    return spec;
}

/* A query for ". NS", its length in front. */
static const uint8_t framed[] = {0, 17, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};

static struct frame_spec request_spec(int family)
{
    struct frame_spec spec = connected_spec(family);
    spec.flags = PACKET_PSH | PACKET_ACK;
    spec.payload = framed;
    spec.payload_len = sizeof(framed);
    return spec;
}

#define ck_assert_silent(spec)                             \
    do {                                                   \
        ck_assert_int_eq(serve(spec), STATELESS_TCP_DROP); \
        ck_assert_uint_eq(train.frame_count, 0);           \
        ck_assert_uint_eq(train.len, 0);                   \
    } while (0)

START_TEST(syn)
{
    static const uint8_t mss_1220[] = {2, 4, 0x04, 0xc4};
    /* What a client of today offers. */
    static const uint8_t options[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                        0, 1, 0,    0,    0, 0, 1, 3,  3, 7};
    struct frame_spec spec = syn_spec(families[_i]);
    spec.options = options;
    spec.options_len = sizeof(options);
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 1);
    struct frame_view view = train_frame(0);
    ck_assert_uint_eq(view.flags, PACKET_SYN | PACKET_ACK);
    ck_assert_uint_eq(view.ack, spec.seq + 1);
    ck_assert_uint_eq(view.window, 65535);
    ck_assert_uint_eq(view.options_len, 4);
    ck_assert_mem_eq(view.options, mss_1220, 4);
    ck_assert_uint_eq(view.payload_len, 0);
    ck_assert_uint_le(train.len, frame_len);
}
END_TEST

START_TEST(syn_never_draws_a_larger_packet)
{
    struct frame_spec spec = syn_spec(families[_i]);
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.len, frame_len);
    ck_assert_uint_eq(train_frame(0).options_len, 4);
    spec.options_len = 0;
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.len, frame_len);
    ck_assert_uint_eq(train_frame(0).options_len, 0);
    /* Data on a SYN is ignored, and not acknowledged. */
    spec.payload = framed;
    spec.payload_len = sizeof(framed);
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(train_frame(0).ack, spec.seq + 1);
    ck_assert_uint_eq(train_frame(0).payload_len, 0);
}
END_TEST

/* Each flag combination there is, with and without data, with and without proof. */
START_TEST(every_flag_combination)
{
    struct frame_spec proven = request_spec(families[_i]);
    response_len = 100;
    for (unsigned flags = 0; flags < 64; flags++) {
        struct frame_spec spec = proven;
        spec.flags = (uint8_t)flags;
        unsigned control = flags & (PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN);
        enum stateless_tcp_outcome outcome = serve(&spec);
        if (control == PACKET_SYN)
            ck_assert_int_eq(outcome, STATELESS_TCP_SEND);
        else if (control == PACKET_ACK || control == (PACKET_ACK | PACKET_FIN))
            ck_assert_int_eq(outcome, STATELESS_TCP_QUERY);
        else
            ck_assert_silent(&spec);

        spec.payload_len = 0;
        outcome = serve(&spec);
        if (control == PACKET_SYN || control == (PACKET_ACK | PACKET_FIN))
            ck_assert_int_eq(outcome, STATELESS_TCP_SEND);
        else
            ck_assert_silent(&spec);

        if (control == PACKET_SYN)
            continue;
        spec.ack--; /* just before the ISS + 1 */
        ck_assert_silent(&spec);
        spec.payload_len = proven.payload_len;
        ck_assert_silent(&spec);
        spec.ack = 0x5eed; /* any number that a stranger may think of */
        ck_assert_silent(&spec);
    }
}
END_TEST

/* Compare a train with what section 2 of the slides shows, for a response of response_len. */
static void check_train(const struct frame_spec *spec, uint32_t ack, size_t segment_size)
{
    size_t stream_len = 2 + response_len;
    size_t segments = (stream_len + segment_size - 1) / segment_size;
    ck_assert_uint_eq(train.frame_count, 1 + segments + 1);
    struct frame_view view = train_frame(0);
    ck_assert_uint_eq(view.flags, PACKET_ACK);
    ck_assert_uint_eq(view.seq, spec->ack);
    ck_assert_uint_eq(view.ack, ack);
    ck_assert_uint_eq(view.payload_len, 0);
    size_t at = 0;
    for (unsigned i = 1; i <= segments; i++) {
        view = train_frame(i);
        ck_assert_uint_eq(view.flags, PACKET_ACK);
        ck_assert_uint_eq(view.seq, (uint32_t)(spec->ack + at));
        ck_assert_uint_eq(view.ack, ack);
        ck_assert_uint_eq(view.window, 65535);
        ck_assert_uint_eq(view.options_len, 0);
        if (i < segments)
            ck_assert_uint_eq(view.payload_len, segment_size);
        for (size_t j = 0; j < view.payload_len; j++, at++) {
            uint8_t expected = at == 0   ? (uint8_t)(response_len >> 8)
                               : at == 1 ? (uint8_t)response_len
                                         : response_octet(at - 2);
            ck_assert_uint_eq(view.payload[j], expected);
        }
    }
    ck_assert_uint_eq(at, stream_len);
    view = train_frame((unsigned)segments + 1);
    ck_assert_uint_eq(view.flags, PACKET_FIN | PACKET_ACK);
    ck_assert_uint_eq(view.seq, (uint32_t)(spec->ack + stream_len));
    ck_assert_uint_eq(view.ack, ack);
    ck_assert_uint_eq(view.payload_len, 0);
}

static const size_t response_lens[] = {12, 229, 509, 510, 511, 1022, 1023, 14000, 65534, 65535};

START_TEST(request)
{
    struct frame_spec spec = request_spec(families[_i % 2]);
    response_len = response_lens[_i / 2];
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(request_count, 1);
    ck_assert_uint_eq(last_request_len, 17);
    ck_assert_mem_eq(last_request, framed + 2, 17);
    check_train(&spec, spec.seq + sizeof(framed), 512);
    /* Sent again, answered again: the same octets. */
    static uint8_t once[TRAIN_CAP];
    uint32_t len = train.len;
    memcpy(once, train.octets, len);
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.len, len);
    ck_assert_mem_eq(once, train.octets, len);
}
END_TEST

START_TEST(segment_size_follows_config_and_client)
{
    static const struct {
        uint8_t mss_high, mss_low;
        uint16_t configured, used;
    } cases[] = {{0x05, 0xb4, 1220, 1220}, {0x05, 0xb4, 777, 777}, {0x04, 0xc4, 1220, 1220},
                 {0x02, 0x18, 1220, 536},  {0x02, 0x18, 512, 512}, {0x01, 0x00, 1220, 536}};
    struct stateless_tcp_config config = stateless_tcp_config_default();
    response_len = 4000;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        config.segment_size = cases[i].configured;
        config.mss = 1400;
        const uint8_t options[4] = {2, 4, cases[i].mss_high, cases[i].mss_low};
        struct frame_spec spec = syn_spec(4);
        spec.options = options;
        ck_assert_int_eq(serve_with(&config, &spec), STATELESS_TCP_SEND);
        static const uint8_t mss_1400[] = {2, 4, 0x05, 0x78};
        ck_assert_mem_eq(train_frame(0).options, mss_1400, 4);
        struct frame_spec next = frame_spec_client(4);
        next.seq++;
        next.ack = train_frame(0).seq + 1;
        next.flags = PACKET_ACK;
        next.payload = framed;
        next.payload_len = sizeof(framed);
        ck_assert_int_eq(serve_with(&config, &next), STATELESS_TCP_QUERY);
        check_train(&next, next.seq + sizeof(framed), cases[i].used);
    }
}
END_TEST

START_TEST(no_response_is_silence)
{
    struct frame_spec spec = request_spec(families[_i]);
    response_len = 0;
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(request_count, 1);
    ck_assert_uint_eq(train.frame_count, 0);
    ck_assert_uint_eq(train.len, 0);
}
END_TEST

START_TEST(fin)
{
    struct frame_spec spec = connected_spec(families[_i]);
    spec.flags = PACKET_FIN | PACKET_ACK;
    spec.seq += 34;
    spec.ack += 232; /* 231 octets and our FIN, as on the slides */
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 1);
    struct frame_view view = train_frame(0);
    ck_assert_uint_eq(view.flags, PACKET_ACK);
    ck_assert_uint_eq(view.seq, spec.ack);
    ck_assert_uint_eq(view.ack, spec.seq + 1);
    ck_assert_uint_eq(view.payload_len, 0);
    /* After the longest response that there can be. */
    spec.ack += COOKIE_OFFSET_MAX - 232;
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    spec.ack++;
    ck_assert_silent(&spec);
}
END_TEST

START_TEST(request_with_fin)
{
    struct frame_spec spec = request_spec(families[_i]);
    spec.flags |= PACKET_FIN;
    response_len = 1000;
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    check_train(&spec, spec.seq + sizeof(framed) + 1, 512);
}
END_TEST

START_TEST(length_apart_from_message)
{
    struct frame_spec spec = request_spec(families[_i]);
    spec.payload_len = 2;
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 1);
    struct frame_view view = train_frame(0);
    ck_assert_uint_eq(view.flags, PACKET_ACK);
    ck_assert_uint_eq(view.seq, spec.ack);
    ck_assert_uint_eq(view.ack, spec.seq + 2);

    spec.seq += 2;
    spec.payload = framed + 2;
    spec.payload_len = sizeof(framed) - 2;
    response_len = 600;
    for (spec.payload_len = 3; spec.payload_len < sizeof(framed) - 2; spec.payload_len++)
        ck_assert_silent(&spec); /* it is not whole */
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(request_count, 1);
    ck_assert_uint_eq(last_request_len, 17);
    ck_assert_mem_eq(last_request, framed + 2, 17);
    check_train(&spec, spec.seq + 17, 512);
}
END_TEST

START_TEST(split_requests_are_silent)
{
    struct frame_spec spec = request_spec(families[_i]);
    for (size_t len = 0; len < sizeof(framed); len++) {
        spec.payload_len = len;
        if (len != 2)
            ck_assert_silent(&spec);
    }
    /* The rest of one, too; except for what looks like a message without its length. */
    for (size_t from = 1; from < sizeof(framed); from++) {
        spec.payload = framed + from;
        spec.payload_len = sizeof(framed) - from;
        if (from != 2 && spec.payload_len != 2)
            ck_assert_silent(&spec);
    }
}
END_TEST

START_TEST(several_requests)
{
    uint8_t payload[4 * sizeof(framed)];
    for (unsigned i = 0; i < 4; i++)
        memcpy(payload + i * sizeof(framed), framed, sizeof(framed));
    struct frame_spec spec = request_spec(families[_i]);
    spec.payload = payload;
    response_len = 600;
    for (unsigned count = 1; count <= 4; count++) {
        spec.payload_len = count * sizeof(framed);
        ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
        ck_assert_uint_eq(request_count, count);
        ck_assert_uint_eq(train.frame_count, 1 + 2 * count + 1);
        ck_assert_uint_eq(train_frame(0).ack, spec.seq + spec.payload_len);
        for (unsigned i = 0; i < count; i++) {
            ck_assert_uint_eq(train_frame(1 + 2 * i).seq, spec.ack + i * 602);
            ck_assert_uint_eq(train_frame(2 + 2 * i).payload_len, 90);
        }
        ck_assert_uint_eq(train_frame(train.frame_count - 1).flags, PACKET_FIN | PACKET_ACK);
        ck_assert_uint_eq(train_frame(train.frame_count - 1).seq, spec.ack + count * 602);
    }
    /* The last one cut: only whole ones are answered, and acknowledged; a FIN after it is not. */
    spec.payload_len = 4 * sizeof(framed) - 1;
    spec.flags |= PACKET_FIN;
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(request_count, 3);
    ck_assert_uint_eq(train_frame(0).ack, spec.seq + 3 * sizeof(framed));
}
END_TEST

/* However many requests, the train holds whole responses, and its FIN can still be proven. */
START_TEST(trains_end)
{
    static uint8_t payload[60000];
    size_t count = sizeof(payload) / sizeof(framed);
    for (unsigned i = 0; i < count; i++)
        memcpy(payload + i * sizeof(framed), framed, sizeof(framed));
    static const size_t lens[] = {12, 513, 7000, 30000, 65535};
    struct frame_spec spec = request_spec(families[_i % 2]);
    spec.payload = payload;
    spec.payload_len = count * sizeof(framed);
    response_len = lens[_i / 2];
    ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
    ck_assert_uint_gt(train.frame_count, 2);
    struct frame_view fin_view = train_frame(train.frame_count - 1);
    ck_assert_uint_eq(fin_view.flags, PACKET_FIN | PACKET_ACK);
    uint32_t stream_len = fin_view.seq - spec.ack;
    ck_assert_uint_eq(stream_len % (2 + response_len), 0);
    ck_assert_uint_le(stream_len + 1, COOKIE_OFFSET_MAX);
    struct frame_spec end = connected_spec(families[_i % 2]);
    end.flags = PACKET_FIN | PACKET_ACK;
    end.ack += stream_len + 1;
    ck_assert_int_eq(serve(&end), STATELESS_TCP_SEND);
}
END_TEST

/* Nothing of ours draws anything of ours, should it come back to us. */
/* A cookie proves no more than this, so nothing is sent behind it. */
START_TEST(no_stream_is_left)
{
    response_len = 100;
    for (uint32_t left = 0; left < 3; left++) {
        struct frame_spec spec = request_spec(families[_i]);
        spec.ack += COOKIE_OFFSET_MAX - left;
        ck_assert_int_eq(serve(&spec), STATELESS_TCP_QUERY);
        for (unsigned i = 0; i < train.frame_count; i++)
            ck_assert_uint_eq(train_frame(i).payload_len, 0);
    }
}
END_TEST

START_TEST(own_output_is_silent)
{
    struct frame_spec specs[3] = {syn_spec(families[_i]), request_spec(families[_i]),
                                  connected_spec(families[_i])};
    specs[2].flags = PACKET_FIN | PACKET_ACK;
    response_len = 2000;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_ne(serve(&specs[i]), STATELESS_TCP_DROP);
        struct train output = train;
        uint8_t octets[8192], answer[8192];
        memcpy(octets, train.octets, train.len);
        size_t at = 0;
        for (unsigned j = 0; j < output.frame_count; at += output.frame_len[j++]) {
            struct packet packet;
            struct stateless_tcp_query query;
            struct train none = {.octets = answer, .cap = sizeof(answer)};
            struct stateless_tcp_config config = stateless_tcp_config_default();
            ck_assert_int_eq(packet_parse(octets + at, output.frame_len[j], false,
                                          PACKET_CHECKSUM_ALWAYS, &packet),
                             PACKET_TCP);
            ck_assert_int_eq(
                stateless_tcp_receive(&config, &keys, &packet, true, NULL, &query, &none),
                STATELESS_TCP_DROP);
            ck_assert_uint_eq(none.frame_count, 0);
        }
    }
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("stateless_tcp/stateless_tcp");
    TCase *tcase = tcase_create("classic");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, syn, 0, 2);
    tcase_add_loop_test(tcase, syn_never_draws_a_larger_packet, 0, 2);
    tcase_add_loop_test(tcase, every_flag_combination, 0, 2);
    tcase_add_loop_test(tcase, request, 0, 2 * COUNT(response_lens));
    tcase_add_test(tcase, segment_size_follows_config_and_client);
    tcase_add_loop_test(tcase, no_response_is_silence, 0, 2);
    tcase_add_loop_test(tcase, fin, 0, 2);
    tcase_add_loop_test(tcase, request_with_fin, 0, 2);
    tcase_add_loop_test(tcase, length_apart_from_message, 0, 2);
    tcase_add_loop_test(tcase, split_requests_are_silent, 0, 2);
    tcase_add_loop_test(tcase, several_requests, 0, 2);
    tcase_add_loop_test(tcase, trains_end, 0, 10);
    tcase_add_loop_test(tcase, no_stream_is_left, 0, 2);
    tcase_add_loop_test(tcase, own_output_is_silent, 0, 2);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

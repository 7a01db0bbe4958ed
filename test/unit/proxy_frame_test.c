/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The proxy's join: what is asked for which segment, and the train that the response becomes.
 */
#include "server/proxy.h"
#include "stateless_frames.h"
#include "test_main.h"

#define COUNT 2

static struct proxy_question questions[COUNT];
static struct proxy_key ring_keys[COUNT];
static struct proxy_ring ring;
static struct stateless_tcp_config tcp;
static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static const struct packet_endpoint port_53 = {.port = 53};
static uint8_t stream[PROXY_STREAM_CAP], train_octets[TRAIN_CAP], built[FRAME_CAP];
static uint8_t ask[PROXY_ASK_MAX];
static struct train train;
static struct proxy proxy;
static const struct proxy_ticket ticket = {.id = 0xbeef, .port = 5, .deadline_ms = 1000};

/* Twice the same request with its length: ID 0x1234, a. A IN, no OPT. */
static const uint8_t requests[] = {0, 19,  0x12, 0x34, 1, 0, 0, 1, 0,   0,    0,    0, 0, 0,
                                   1, 'a', 0,    0,    1, 0, 1, 0, 19,  0x12, 0x34, 1, 0, 0,
                                   1, 0,   0,    0,    0, 0, 0, 1, 'a', 0,    0,    1, 0, 1};
#define REQUEST_LEN 21

static void setup(void)
{
    proxy_ring_init(&ring, questions, ring_keys, COUNT);
    tcp = stateless_tcp_config_default();
    tcp.profile = STATELESS_TCP_CLASSIC;
    proxy = (struct proxy){&tcp, &keys, &port_53, 1, true, &ring, stream};
}

/* A data segment that proves the cookie. */
static struct frame_spec segment(int family, const uint8_t *payload, size_t payload_len)
{
    struct frame_spec spec = frame_spec_client(family);
    struct packet packet;
    spec.flags = PACKET_ACK | PACKET_PSH;
    size_t len = frame_build(&spec, built);
    ck_assert_int_eq(packet_parse(built, len, false, PACKET_CHECKSUM_ALWAYS, &packet), PACKET_TCP);
    packet.mss = 1460;
    spec.ack = cookie_make(&keys, &packet) + 1;
    spec.payload = payload;
    spec.payload_len = payload_len;
    return spec;
}

static size_t frame(const struct frame_spec *spec)
{
    size_t len = frame_build(spec, built);
    struct io_frame in = {.octets = exact_copy(built, len), .len = (uint32_t)len};
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    size_t ask_len = proxy_frame(&proxy, &in, &ticket, ask, &train);
    free((void *)(uintptr_t)in.octets); /* the ring must not need it any more */
    return ask_len;
}

/* The back end: NOERROR, no record, what was asked with the given octets of padding behind. */
static bool respond_with(uint8_t port, uint16_t id, size_t txt_len)
{
    uint8_t *message = stream + 2;
    size_t len = REQUEST_LEN - 2;
    memcpy(message, requests + 2, len);
    message[0] = (uint8_t)(id >> 8);
    message[1] = (uint8_t)id;
    message[2] |= 0x80;
    if (txt_len > 0) {
        static const uint8_t head[] = {0xc0, 12, 0, 99, 0, 1, 0, 0, 0, 9};
        message[7] = 1;
        memcpy(message + len, head, sizeof head);
        message[len + 10] = (uint8_t)(txt_len >> 8);
        message[len + 11] = (uint8_t)txt_len;
        memset(message + len + 12, 'x', txt_len);
        len += 12 + txt_len;
    }
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    return proxy_response(&proxy, port, len, &train);
}

/* Check the train: ACK number, whole stream, FIN last. Returns the octets of the stream. */
static size_t check_train(uint32_t seq, uint32_t ack)
{
    const uint8_t *at = train.octets;
    size_t total = 0;
    for (uint32_t i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        ck_assert(frame_is_sound(at, train.frame_len[i]));
        struct frame_view view = frame_view(at, train.frame_len[i]);
        ck_assert_uint_eq(view.ack, ack);
        ck_assert_uint_eq(view.seq, seq + total);
        ck_assert_uint_eq(view.flags & PACKET_FIN, i + 1 == train.frame_count ? PACKET_FIN : 0);
        if (total == 0 && view.payload_len > 4) {
            ck_assert_uint_eq(view.payload[2], 0x12);
            ck_assert_uint_eq(view.payload[3], 0x34);
        }
        total += view.payload_len;
    }
    return total;
}

START_TEST(test_request_question_response_train)
{
    for (int family = 4; family <= 6; family += 2) {
        struct frame_spec spec = segment(family, requests, REQUEST_LEN);
        ck_assert_uint_eq(frame(&spec), REQUEST_LEN - 2 + PROXY_OPT_LEN);
        ck_assert_uint_eq(train.frame_count, 0); /* not even acknowledged */
        ck_assert_uint_eq(ask[0], 0xbe);
        ck_assert_uint_eq(ask[1], 0xef);
        ck_assert(!respond_with(4, 0xbeef, 0));
        ck_assert(!respond_with(5, 0x1234, 0));
        ck_assert_uint_eq(train.frame_count, 0);
        ck_assert(respond_with(5, 0xbeef, 3000));
        ck_assert_uint_ge(train.frame_count, 7);
        ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN + 12 + 3000);
        ck_assert(!respond_with(5, 0xbeef, 0)); /* that was it */
    }
}
END_TEST

START_TEST(test_nothing_is_asked_without_proof)
{
    struct frame_spec good = segment(4, requests, REQUEST_LEN);
    for (uint32_t i = 0; i < 2 * 29; i++) {
        struct frame_spec spec = good;
        if (i < 29)
            spec.ack -= 1u << i;
        else
            spec.ack += COOKIE_OFFSET_MAX + 1 + (1u << (i - 29));
        ck_assert_uint_eq(frame(&spec), 0);
        ck_assert_uint_eq(train.frame_count, 0);
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
END_TEST

START_TEST(test_sent_again_while_in_flight)
{
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    ck_assert_uint_ne(frame(&spec), 0);
    ck_assert_uint_eq(frame(&spec), 0);
    ck_assert_uint_eq(train.frame_count, 0);
    ck_assert(respond_with(5, 0xbeef, 0));
    ck_assert_uint_ne(frame(&spec), 0); /* lost on the way back: asked again */
}
END_TEST

START_TEST(test_first_of_several)
{
    struct frame_spec spec = segment(4, requests, sizeof requests);
    spec.flags |= PACKET_FIN;
    ck_assert_uint_ne(frame(&spec), 0);
    ck_assert(respond_with(5, 0xbeef, 0));
    ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN);
}
END_TEST

START_TEST(test_half_close)
{
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    spec.flags |= PACKET_FIN;
    ck_assert_uint_ne(frame(&spec), 0);
    ck_assert(respond_with(5, 0xbeef, 0));
    ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN + 1), REQUEST_LEN);
}
END_TEST

START_TEST(test_length_in_a_segment_before)
{
    struct frame_spec spec = segment(4, requests + 2, REQUEST_LEN - 2);
    ck_assert_uint_eq(frame(&spec), REQUEST_LEN - 2 + PROXY_OPT_LEN);
    ck_assert(respond_with(5, 0xbeef, 0));
    ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN - 2), REQUEST_LEN);
}
END_TEST

START_TEST(test_overdue_is_servfail)
{
    struct frame_spec spec = segment(4, requests, REQUEST_LEN);
    ck_assert_uint_ne(frame(&spec), 0);
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    ck_assert(!proxy_overdue(&proxy, 999, &train));
    ck_assert(proxy_overdue(&proxy, 1000, &train));
    ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN);
    ck_assert_uint_eq(stream[2 + 3] & 15, 2);
    ck_assert(!proxy_overdue(&proxy, UINT64_MAX, &train));
}
END_TEST

START_TEST(test_overflow)
{
    struct frame_spec spec[3];
    for (unsigned i = 0; i < 3; i++) {
        spec[i] = segment(4, requests, REQUEST_LEN);
        spec[i].seq += i; /* three clients, as far as anybody can tell */
        ck_assert_uint_ne(frame(&spec[i]), 0);
    }
    ck_assert_uint_eq(ring.dropped, 1);
    for (unsigned i = 1; i < 3; i++) {
        ck_assert(respond_with(5, 0xbeef, 0));
        check_train(spec[i].ack,
                    train.frame_count > 0 ? frame_view(train_octets, train.frame_len[0]).ack : 0);
    }
    ck_assert(!respond_with(5, 0xbeef, 0));
    ck_assert_uint_ne(frame(&spec[0]), 0); /* its client's kernel sends it again */
}
END_TEST

START_TEST(test_refused_at_once)
{
    uint8_t transfer[REQUEST_LEN];
    memcpy(transfer, requests, REQUEST_LEN);
    transfer[18] = 252;
    struct frame_spec spec = segment(4, transfer, REQUEST_LEN);
    ck_assert_uint_eq(frame(&spec), 0);
    ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), REQUEST_LEN);
    ck_assert_uint_eq(stream[2 + 3] & 15, 4);
    transfer[7] = 2; /* two questions, says the header */
    ck_assert_uint_eq(frame(&spec), 0);
    ck_assert_uint_eq(check_train(spec.ack, spec.seq + REQUEST_LEN), 2 + 12);
    ck_assert_uint_eq(stream[2 + 3] & 15, 1);
    transfer[4] |= 0x80;
    ck_assert_uint_eq(frame(&spec), 0);
    ck_assert_uint_eq(train.frame_count, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_request_question_response_train,
                                  test_nothing_is_asked_without_proof,
                                  test_sent_again_while_in_flight,
                                  test_first_of_several,
                                  test_half_close,
                                  test_length_in_a_segment_before,
                                  test_overdue_is_servfail,
                                  test_overflow,
                                  test_refused_at_once};
    return test_run("proxy_frame", tests, sizeof tests / sizeof *tests, setup, NULL);
}

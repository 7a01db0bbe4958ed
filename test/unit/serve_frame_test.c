/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is the join's own: whom it answers, and within which limits. What it answers in frames the
 * golden tests show.
 */
#include "server/keys.h"
#include "server/serve.h"
#include "stateless_frames.h"
#include "test_main.h"
#include "zone_fixture.h"

static struct fixture fixture;
static struct respond_policy policy;
static struct stateless_tcp_config tcp;
static struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static uint8_t stream[SERVE_STREAM_CAP], train_octets[TRAIN_CAP], built[FRAME_CAP];
static struct packet_endpoint endpoint;
static struct prefix peers[2];
static size_t peer_count;
static uint16_t mtu;
static struct train train;

static void setup(void)
{
    char text[8000];
    char *at = text + sprintf(text, "$ORIGIN example.\n@ 9 SOA a b 1 2 3 4 5\n@ 9 NS ns\n");
    for (int i = 0; i < 20; i++)
        at += sprintf(at, "big 9 TXT \"%0200d\"\n", i);
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", text);
    policy = respond_policy_default();
    policy.udp_payload = RESPOND_UDP_PAYLOAD_MAX;
    tcp = stateless_tcp_config_default();
}

static void teardown(void)
{
    fixture_close(&fixture);
}

static void serve(const struct frame_spec *spec)
{
    size_t len = frame_build(spec, built);
    struct io_frame frame = {.octets = exact_copy(built, len), .len = (uint32_t)len};
    const struct serve with = {.view = fixture.view,
                               .policy = &policy,
                               .tcp = &tcp,
                               .keys = &keys,
                               .endpoints = &endpoint,
                               .endpoint_count = 1,
                               .peers = peers,
                               .peer_count = peer_count,
                               .mtu = mtu,
                               .stream = stream};
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    serve_frame(&with, &frame, &train);
    ck_assert_mem_eq(frame.octets, built, len);
    free((void *)(uintptr_t)frame.octets);
}

/* big.example TXT, EDNS with 4096 octets */
static const uint8_t query[] = {0,   9,   0, 0,   0,    1,   0,   0,   0,   0,   0, 1, 3,  'b',
                                'i', 'g', 7, 'e', 'x',  'a', 'm', 'p', 'l', 'e', 0, 0, 16, 0,
                                1,   0,   0, 41,  0x10, 0,   0,   0,   0,   0,   0, 0};

START_TEST(test_udp_never_exceeds_a_frame)
{
    for (int family = 4; family <= 6; family += 2) {
        struct frame_spec spec = frame_spec_client(family);
        spec.is_udp = true;
        spec.payload = query;
        spec.payload_len = sizeof query;
        endpoint = (struct packet_endpoint){.port = 53};
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 1);
        ck_assert(frame_is_sound(train_octets, train.len));
        ck_assert_uint_le(train.len, 1514);
        const uint8_t *message = train_octets + 14 + (family == 4 ? 20 : 40) + 8;
        ck_assert_uint_eq(message[0], 0);
        ck_assert_uint_eq(message[1], 9);
        ck_assert_uint_eq(message[2] & 0x82, 0x82); /* QR, TC */
    }
}
END_TEST

/* Truncated or, where not even that goes, silence. */
START_TEST(test_udp_never_exceeds_the_interface)
{
    static const uint16_t mtus[] = {1500, 1280, 576, 560, 559, 540, 539, 300, 120, 88, 68, 40, 1};
    for (int family = 4; family <= 6; family += 2)
        for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
            struct frame_spec spec = frame_spec_client(family);
            spec.is_udp = true;
            spec.payload = query;
            spec.payload_len = sizeof query;
            endpoint = (struct packet_endpoint){.port = 53};
            mtu = mtus[i];
            serve(&spec);
            size_t least_len = 22 + (family == 4 ? 20u : 40u) + sizeof query;
            ck_assert_msg(train.frame_count == (14u + mtu >= least_len), "%d, %u", family, mtu);
            ck_assert_uint_le(train.len, train.frame_count * (14u + mtu));
        }
    mtu = 0;
}
END_TEST

START_TEST(test_only_our_endpoints)
{
    for (int is_udp = 0; is_udp < 2; is_udp++) {
        struct frame_spec spec = frame_spec_client(4);
        spec.is_udp = is_udp;
        spec.flags = 2; /* SYN */
        spec.payload = query;
        spec.payload_len = is_udp ? sizeof query : 0;
        endpoint = (struct packet_endpoint){.address = {.family = 4}, .port = 53};
        memcpy(endpoint.address.octets, spec.destination, 4);
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 1);
        endpoint.port = 54;
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 0);
        endpoint.port = 53;
        endpoint.address.octets[3] ^= 2;
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 0);
        endpoint.address.octets[3] ^= 2;
        endpoint.address.family = 6;
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 0);
    }
}
END_TEST

/* A peer's TCP is the kernel's; its UDP is like anybody's. */
START_TEST(test_peers_are_left_alone)
{
    endpoint = (struct packet_endpoint){.port = 53};
    for (int family = 4; family <= 6; family += 2) {
        struct frame_spec spec = frame_spec_client(family);
        struct prefix *peer = &peers[family == 4 ? 1 : 0];
        spec.flags = 2; /* SYN */
        peer_count = 2;
        peers[0] = (struct prefix){.address.family = 6, .len = 128};
        peers[1] = (struct prefix){.address.family = 4, .len = 32};
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 1);
        memcpy(peer->address.octets, spec.source, family == 4 ? 4 : 16);
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 0);
        peer->len = family == 4 ? 24 : 64;
        peer->address.octets[family == 4 ? 3 : 15] = 0;
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 0);
        spec.source[family == 4 ? 2 : 7] ^= 1;
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 1);
        spec.source[family == 4 ? 2 : 7] ^= 1;
        spec.is_udp = true;
        spec.payload = query;
        spec.payload_len = sizeof query;
        serve(&spec);
        ck_assert_uint_eq(train.frame_count, 1);
    }
    peer_count = 0;
}
END_TEST

/* No UDP limit over TCP. */
START_TEST(test_tcp_answers_whole)
{
    endpoint = (struct packet_endpoint){.port = 53};
    struct frame_spec spec = frame_spec_client(6);
    spec.flags = 2; /* SYN */
    serve(&spec);
    struct frame_view syn_ack = frame_view(train_octets, train.len);
    uint8_t payload[2 + sizeof query] = {0, sizeof query};
    memcpy(payload + 2, query, sizeof query);
    spec.seq++;
    spec.ack = syn_ack.seq + 1;
    spec.flags = 0x18; /* PSH, ACK */
    spec.payload = payload;
    spec.payload_len = sizeof payload;
    serve(&spec);
    ck_assert_uint_eq(train.frame_count, 11); /* ACK, 9 segments for 20 x 213 octets, FIN */
    struct frame_view first = frame_view(train_octets + train.frame_len[0], train.frame_len[1]);
    ck_assert_uint_eq(first.payload_len, 512);
    size_t message_len = (size_t)first.payload[0] << 8 | first.payload[1];
    ck_assert_uint_gt(message_len, 20 * 213);
    ck_assert_uint_eq(first.payload[4] & 0x82, 0x80); /* QR, no TC */
}
END_TEST

/* ---- what a connection of `modern` is told of its life, and how it ends ---- */

/* ns.example SOA, EDNS with edns-tcp-keepalive; its length in front */
static const uint8_t keeping[] = {0,   43,  0,  9,    0,   0,   0,   1,   0,   0,   0, 0, 0,  1, 2,
                                  'n', 's', 7,  'e',  'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 6,  0, 1,
                                  0,   0,   41, 0x10, 0,   0,   0,   0,   0,   0,   4, 0, 11, 0, 0};

static uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 1};

/* The client's options echo the timestamp of our first segment. */
static void echo(void)
{
    struct frame_view view = frame_view(train_octets, train.frame_len[0]);
    for (size_t at = 0; at + 10 <= view.options_len; at++)
        if (view.options[at] == 8 && view.options[at + 1] == 10)
            memcpy(options + 8, view.options + at + 2, 4);
}

/* Open a connection; `spec` is then ready to carry its first request. */
static struct frame_spec client_connected(int family, bool has_timestamps)
{
    struct frame_spec spec = frame_spec_client(family);
    endpoint = (struct packet_endpoint){.port = 53};
    memset(options + 8, 0, 4);
    ck_assert_uint_eq(keeping[1], sizeof keeping - 2);
    spec.flags = 2; /* SYN */
    spec.options = has_timestamps ? options : NULL;
    spec.options_len = has_timestamps ? sizeof options : 0;
    serve(&spec);
    ck_assert_uint_eq(train.frame_count, 1);
    echo();
    spec.seq++;
    spec.ack = frame_view(train_octets, train.len).seq + 1;
    spec.flags = 0x18; /* PSH, ACK */
    spec.payload = keeping;
    spec.payload_len = sizeof keeping;
    return spec;
}

static const uint8_t *find_keepalive(const struct frame_view *view)
{
    return memmem(view->payload, view->payload_len, "\0\13\0\2", 4);
}

START_TEST(test_keepalive)
{
    for (int family = 4; family <= 6; family += 2) {
        tcp.profile = STATELESS_TCP_MODERN;
        tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
        struct frame_spec spec = client_connected(family, true);
        serve(&spec);
        struct frame_view view = frame_view(train_octets, train.frame_len[0]);
        const uint8_t *option = find_keepalive(&view);
        ck_assert_ptr_nonnull(option);
        ck_assert_uint_eq((unsigned)(option[4] << 8 | option[5]), KEYS_LIFE_S * 10);
        ck_assert_uint_eq(view.flags & 1, 0);
        /* Without timestamps, and in classic, a FIN follows: nothing to announce. */
        spec = client_connected(family, false);
        serve(&spec);
        view = frame_view(train_octets, train.frame_len[0]);
        ck_assert_uint_gt(view.payload_len, 14);
        ck_assert_ptr_null(find_keepalive(&view));
        tcp = stateless_tcp_config_default();
        tcp.profile = STATELESS_TCP_CLASSIC;
        spec = client_connected(family, true);
        serve(&spec);
        view = frame_view(train_octets + train.frame_len[0], train.frame_len[1]);
        ck_assert_uint_gt(view.payload_len, 14);
        ck_assert_ptr_null(find_keepalive(&view));
    }
}
END_TEST

static const struct keys_secret secret = {{1, 2, 3}};

/* A request on an idle connection at that time; the flags of what comes back, its payload's
 * length. */
static uint8_t ask_at(struct frame_spec *spec, uint64_t now_s, size_t *len_out)
{
    keys_at(&secret, now_s, &keys);
    serve(spec);
    if (train.frame_count == 0)
        return 0;
    struct frame_view view = frame_view(train_octets, train.len);
    ck_assert_uint_eq(train.frame_count, 1);
    *len_out = view.payload_len;
    if (view.payload_len != 0) { /* the next request comes after this response */
        echo();
        spec->seq += (uint32_t)spec->payload_len;
        spec->ack += (uint32_t)view.payload_len;
    }
    return view.flags;
}

START_TEST(test_connections_outlive_one_rotation_of_keys)
{
    const uint64_t epoch_s = 1786000200;
    ck_assert_uint_eq(epoch_s % KEYS_EPOCH_S, 0);
    static const uint64_t begins_s[] = {0, 150, KEYS_EPOCH_S - 1};
    size_t len;
    tcp.profile = STATELESS_TCP_MODERN;
    tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
    for (size_t i = 0; i < sizeof begins_s / sizeof *begins_s; i++) {
        keys_at(&secret, epoch_s + begins_s[i], &keys);
        struct frame_spec spec = client_connected(4, true);
        /* at once, at the least age that is promised, at the last moment */
        const uint64_t asks_s[] = {begins_s[i], begins_s[i] + KEYS_LIFE_S,
                                   KEYS_EPOCH_S + KEYS_LIFE_S - 1};
        for (size_t a = 0; a < sizeof asks_s / sizeof *asks_s; a++) {
            ck_assert_uint_eq(ask_at(&spec, epoch_s + asks_s[a], &len) & 0x17, 0x10); /* ACK */
            ck_assert_uint_gt(len, 14);
        }
        /* RFC 9293 3.10.7.1 */
        uint32_t expected = spec.ack;
        ck_assert_uint_eq(ask_at(&spec, epoch_s + KEYS_EPOCH_S + KEYS_LIFE_S, &len), 4); /* RST */
        ck_assert_uint_eq(frame_view(train_octets, train.len).seq, expected);
        ck_assert_uint_eq(len, 0);
        tcp.has_stale_reset = false;
        ck_assert_uint_eq(ask_at(&spec, epoch_s + KEYS_EPOCH_S + KEYS_LIFE_S, &len), 0);
        tcp.has_stale_reset = true;
        /* A clock that was set back: the key of an epoch to come is nobody's yet. */
        ck_assert_uint_eq(ask_at(&spec, epoch_s - KEYS_SKEW_S - 1, &len), 4);
        ck_assert_uint_eq(ask_at(&spec, epoch_s + begins_s[i], &len) & 0x17, 0x10);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serve_frame");
    TCase *tcase = tcase_create("serve_frame");
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_udp_never_exceeds_a_frame);
    tcase_add_test(tcase, test_udp_never_exceeds_the_interface);
    tcase_add_test(tcase, test_only_our_endpoints);
    tcase_add_test(tcase, test_peers_are_left_alone);
    tcase_add_test(tcase, test_tcp_answers_whole);
    tcase_add_test(tcase, test_keepalive);
    tcase_add_test(tcase, test_connections_outlive_one_rotation_of_keys);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_frame() on arbitrary frames. The first octet of the input chooses how; then come frames,
 * each behind its length in two octets.
 */
#include "../unit/driver_front.h"
#include "../unit/image_front.h"
#include "../unit/stateless_frames.h"
#include "../unit/zone_fixture.h"
#include "fuzz.h"
#include "server/image_tcp.bpf.h"
#include "server/keys.h"
#include "server/serve.h"
#include "stateless_tcp/modern.h"
#include "zonedb/image_build.h"

/* The time of the golden captures, which are the corpus: their cookies are good here. */
#define NOW_S 1242345600

enum {
    CHOICE_UNCHECKED = 1, /* checksums are not looked at: a mutation goes deeper */
    CHOICE_PROVEN = 2,    /* the acknowledgement number is set right: it goes deeper still */
    CHOICE_CUT_FRAME = 4, /* the last frame may be cut short */
    CHOICE_LARGE_SEGMENT = 8,
    CHOICE_MODERN = 16,
    CHOICE_UNSETTLED = 32,
};

static const char rand_text[] =
    "$ORIGIN rand.apnic.net.\n$TTL 3600\n"
    "@ SOA mirin.apnic.net. research.apnic.net. 2009051502 3600 900 3600000 3600\n"
    "@ NS mirin.apnic.net.\n@ NS sec3.apnic.net.\n@ MX 100 kombu.apnic.net.\n";

static struct fixture fixture;
static struct respond_policy policy;
static struct stateless_tcp_keys keys, other_keys;
static const struct packet_endpoint port_53 = {.port = 53};
static uint8_t stream[SERVE_STREAM_CAP];
static uint8_t train_octets[TRAIN_CAP], again_octets[TRAIN_CAP], echo_octets[TRAIN_CAP];

static uint8_t image_memory[1 << 16] __attribute__((aligned(IMAGE_PAGE_LEN)));

static void make_image(void)
{
    const struct image_memory memory = {image_memory, sizeof image_memory};
    static struct image *image; /* kept, so that its memory is not lost */
    MUST(image_open(&policy, &image) == 0 && image_build(image, memory, fixture.view) == 0);
    ((struct image_head *)memory.octets)->until_ns = UINT64_MAX;
    image_host_pages = image_memory;
    image_host_page_count = sizeof image_memory / IMAGE_PAGE_LEN;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char big_text[40000];
    struct keys_secret zeros = {{0}}, ones = {{1}};
    (void)argc;
    (void)argv;
    keys_at(&zeros, NOW_S, &keys);
    keys_at(&ones, NOW_S, &other_keys);
    policy = respond_policy_default();
    policy.is_any_full = true;
    fixture_open(&fixture);
    fixture_unlink(&fixture);
    fixture_load(&fixture, "rand.apnic.net.", rand_text);
    char *at = big_text + sprintf(big_text, "$ORIGIN example.\n@ 9 SOA a b 1 2 3 4 5\n@ 9 NS ns\n"
                                            "sub 9 NS ns.sub\nns.sub 9 A 192.0.2.1\n");
    for (int i = 0; i < 130; i++)
        at += sprintf(at, "%s 9 TXT \"%03d%0197d\"\n", i < 13 ? "big" : "huge", i, 0);
    fixture_load(&fixture, "example.", big_text);
    make_image();
    return 0;
}

/* Where the TCP header begins in a frame that was parsed and has neither options nor extension
 * headers; 0: elsewhere. */
static size_t plain_tcp_offset(const uint8_t *frame, const struct packet *packet)
{
    size_t ip_at = PACKET_ETHERNET_HEADER_LEN + 4u * packet->vlan_count;
    if (packet->source.family == 4)
        return frame[ip_at] == 0x45 ? ip_at + PACKET_IPV4_HEADER_LEN : 0;
    return frame[ip_at + 6] == 6 ? ip_at + PACKET_IPV6_HEADER_LEN : 0;
}

/* Make the segment acknowledge the cookie of its connection. */
static void prove(uint8_t *frame, size_t frame_len, bool is_modern)
{
    struct packet packet;
    if (packet_parse(frame, frame_len, false, PACKET_CHECKSUM_NEVER, &packet) != PACKET_TCP)
        return;
    size_t at = plain_tcp_offset(frame, &packet);
    if (at == 0)
        return;
    packet.mss = 1460;
    uint32_t ack = packet.ack;
    if (!is_modern) {
        ack = cookie_make(&keys, &packet) + 1;
    } else if (packet.has_timestamps) { /* some octet of the stream */
        ack = cookie_make(&keys, &packet) + 1 + (ack & 0x7ff);
    } else {
        packet.seq--;
        ack = cookie_make_first(&keys, &packet) + 1;
    }
    for (unsigned i = 0; i < 4; i++)
        frame[at + 8 + i] = (uint8_t)(ack >> (24 - 8 * i));
}

/* Each frame of a train is sound, by our own parser and by another, and goes back to who asked. */
static void check_train(const struct packet *asked, const struct train *train)
{
    const uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; at += train->frame_len[i++]) {
        struct packet packet;
        MUST(frame_is_sound(at, train->frame_len[i]));
        MUST(packet_parse(at, train->frame_len[i], false, PACKET_CHECKSUM_ALWAYS, &packet) !=
             PACKET_DROP);
        MUST(memcmp(&packet.source, &asked->destination, sizeof packet.source) == 0);
        MUST(memcmp(&packet.destination, &asked->source, sizeof packet.source) == 0);
        MUST(packet.source_port == asked->destination_port);
        MUST(packet.destination_port == asked->source_port);
        MUST(memcmp(packet.mac_destination, asked->mac_source, 6) == 0);
        MUST(packet.vlan_count == asked->vlan_count);
        MUST(memcmp(packet.vlans, asked->vlans, sizeof packet.vlans) == 0);
        MUST(packet.flow_label == asked->flow_label);
    }
    MUST(at == train->octets + train->len);
}

/* Whether the sender has heard our SYN+ACK, under either of the cookies of `modern`. */
static bool is_modern_proven(const struct stateless_tcp_keys *by, const struct packet *asked)
{
    struct cookie_proof proof;
    return modern_is_proven(by, asked, NULL, &proof);
}

/* What may be answered at all, and with how much. */
static void check_tcp(const struct stateless_tcp_config *tcp, const struct packet *asked,
                      const struct train *train)
{
    unsigned control = asked->flags & (PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN);
    struct cookie_proof proof;
    if (train->frame_count == 0)
        return;
    MUST(!(control & PACKET_RST));
    if (control == PACKET_SYN) {
        size_t ethernet_len = PACKET_ETHERNET_HEADER_LEN + 4u * asked->vlan_count;
        MUST(train->frame_count == 1 && train->len - ethernet_len <= asked->ip_len);
        return;
    }
    MUST(control == PACKET_ACK || control == (PACKET_ACK | PACKET_FIN));
    size_t headers_len = PACKET_ETHERNET_HEADER_LEN + 4u * asked->vlan_count;
    if (tcp->profile == STATELESS_TCP_MODERN) {
        MUST(train->frame_count <= tcp->burst);
        MUST(asked->payload_len > 0 || train->frame_count == 1);
        MUST(is_modern_proven(&keys, asked) || train->len - headers_len <= asked->ip_len);
        return;
    }
    MUST(cookie_verify(&keys, asked, &proof));
    MUST(asked->payload_len > 0 || train->frame_count == 1);
}

/* Our output, back at us and at another server like us, draws nothing that goes on. */
static void check_echo(const struct serve *serve, const struct train *train)
{
    const struct packet_endpoint anybody_else = {.port = 0};
    const uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; at += train->frame_len[i++]) {
        struct io_frame frame = {.octets = at, .len = train->frame_len[i]};
        struct train echo = {.octets = echo_octets, .cap = sizeof echo_octets};
        serve_frame(serve, &frame, &echo);
        MUST(echo.frame_count == 0);

        struct packet packet;
        MUST(packet_parse(at, frame.len, false, PACKET_CHECKSUM_ALWAYS, &packet) != PACKET_DROP);
        struct packet_endpoint client = {packet.destination, packet.destination_port};
        struct serve peer = *serve;
        peer.keys = &other_keys;
        peer.endpoints = packet.destination_port != 0 ? &client : &anybody_else;
        serve_frame(&peer, &frame, &echo);
        /* Once in 10,922 times our acknowledgement number is a cookie of the other's by chance; in
         * 2,730 with `modern`, which refuses all else with RST. A stranger cannot bring that about:
         * it had to prove our cookie with the other's address. */
        struct cookie_proof proof;
        bool is_modern = serve->tcp->profile == STATELESS_TCP_MODERN;
        if (is_modern && echo.frame_count == 1 &&
            frame_view(echo.octets, echo.len).flags == PACKET_RST)
            continue;
        MUST(echo.frame_count == 0 || (is_modern ? is_modern_proven(&other_keys, &packet)
                                                 : cookie_verify(&other_keys, &packet, &proof)));
    }
}

/* What the driver knows: all, while a frame is looked at. */
static const struct serve *asked_serve;
static const struct packet *asked_packet;

static size_t respond_there(const uint8_t *request, size_t request_len, uint8_t *response)
{
    const struct respond_client client = {
        .transport = RESPOND_TCP,
        .has_keepalive =
            asked_serve->tcp->profile == STATELESS_TCP_MODERN && asked_packet->has_timestamps,
        .keepalive_100ms = KEYS_LIFE_S * 10,
    };
    return respond(asked_serve->view, asked_serve->policy, &client, request, request_len, response,
                   RESPOND_MESSAGE_MAX);
}

/* and what an image has of it. */
static enum driver_verdict answer_there(struct driver_context *ctx,
                                        const struct driver_config *config,
                                        struct driver_work *work)
{
    static struct image_work image_work;
    static struct recent_note note;
    return image_tcp(ctx, config, work, &image_work, &note);
}

static void check_driver(const struct serve *serve, const uint8_t *frame, size_t len,
                         const struct train *train)
{
    const struct driver_front_known all = {.respond = respond_there},
                                    image = {.next = answer_there};
    driver_front_compare(serve->tcp, serve->keys, &all, frame, len, train);
    driver_front_compare(serve->tcp, serve->keys, &image, frame, len, train);
}

static void check_frame(const struct serve *serve, const uint8_t *octets, size_t len)
{
    uint8_t *copy = exact_copy(octets, len);
    struct io_frame frame = {.octets = copy, .len = (uint32_t)len};
    struct train train = {.octets = train_octets, .cap = sizeof train_octets};
    struct train again = {.octets = again_octets, .cap = sizeof again_octets};
    serve_frame(serve, &frame, &train);
    MUST(memcmp(copy, octets, len) == 0);
    serve_frame(serve, &frame, &again);
    MUST(again.len == train.len && again.frame_count == train.frame_count);
    MUST(memcmp(train_octets, again_octets, train.len) == 0);

    struct packet asked;
    switch (packet_parse(copy, len, false, serve->tcp->checksum_policy, &asked)) {
    case PACKET_DROP:
        MUST(train.frame_count == 0);
        break;
    case PACKET_UDP:
        MUST(train.frame_count <= 1);
        check_train(&asked, &train);
        image_front_compare(serve->tcp->checksum_policy, serve->endpoints, serve->endpoint_count,
                            copy, len, &train);
        break;
    case PACKET_TCP:
        check_train(&asked, &train);
        asked_serve = serve;
        asked_packet = &asked;
        if (packet_is_for(&asked, serve->endpoints, serve->endpoint_count))
            check_driver(serve, copy, len, &train);
        check_tcp(serve->tcp, &asked, &train);
        break;
    }
    check_echo(serve, &train);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t choice = data[0];
    struct stateless_tcp_config tcp = stateless_tcp_config_default();
    if (choice & CHOICE_UNCHECKED)
        tcp.checksum_policy = PACKET_CHECKSUM_NEVER;
    if (choice & CHOICE_LARGE_SEGMENT)
        tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
    if (choice & CHOICE_MODERN)
        tcp.profile = STATELESS_TCP_MODERN;
    const struct serve serve = {
        .view = fixture.view,
        .policy = &policy,
        .tcp = &tcp,
        .keys = &keys,
        .endpoints = &port_53,
        .endpoint_count = 1,
        .is_settled = !(choice & CHOICE_UNSETTLED),
        .stream = stream,
    };
    for (size_t at = 1; at + 2 <= size;) {
        size_t len = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        if (len > size - at && !(choice & CHOICE_CUT_FRAME))
            return 0;
        len = len > size - at ? size - at : len;
        uint8_t *frame = exact_copy(data + at, len);
        if (choice & CHOICE_PROVEN)
            prove(frame, len, choice & CHOICE_MODERN);
        check_frame(&serve, frame, len);
        free(frame);
        at += len;
    }
    return 0;
}

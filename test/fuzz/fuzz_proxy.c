/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A client's request and a back end's response, both arbitrary, through the proxy. The first octet
 * of the input chooses how; then come the request behind its length in two octets, and the
 * response.
 */
#include "../unit/stateless_frames.h"
#include "fuzz.h"
#include "server/proxy.h"

enum {
    CHOICE_MATCH = 1, /* header and question of the response are set right: it goes deeper */
    CHOICE_FAMILY_6 = 2,
    CHOICE_OVERDUE = 4, /* in the end the question is given up, if it is still there */
};

#define ID 0xbeef
#define PORT 3
#define REQUEST_MAX 4000

static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static const struct packet_endpoint port_53 = {.port = 53};
static struct proxy_question questions[2];
static struct proxy_key ring_keys[2];
static uint8_t stream[PROXY_STREAM_CAP], train_octets[TRAIN_CAP], built[FRAME_CAP];
static uint8_t ask[PROXY_ASK_MAX];

static uint32_t cookie(int family)
{
    struct frame_spec spec = frame_spec_client(family);
    struct packet packet;
    spec.flags = PACKET_SYN;
    size_t len = frame_build(&spec, built);
    MUST(packet_parse(built, len, false, PACKET_CHECKSUM_ALWAYS, &packet) == PACKET_TCP);
    packet.mss = 1460;
    return cookie_make(&keys, &packet);
}

static bool has_opt(const uint8_t *message, size_t len)
{
    struct proxy_shape shape;
    MUST(proxy_message_shape(message, len, &shape));
    return shape.opt_at != 0;
}

/* What goes to the back end: our own parser takes it, and only what may change has changed. */
static void check_ask(const uint8_t *request, size_t request_len, size_t ask_len)
{
    struct proxy_shape before, after;
    MUST(ask_len <= sizeof ask && ask_len <= request_len + PROXY_OPT_LEN);
    MUST(proxy_message_shape(request, request_len, &before));
    MUST(proxy_message_shape(ask, ask_len, &after));
    MUST(ask[0] << 8 == (ID & 0xff00) && ask[1] == (ID & 0xff));
    MUST(memcmp(ask + 2, request + 2, 8) == 0);
    MUST(after.question_end == before.question_end && after.opt_at != 0);
    MUST(memcmp(ask + 12, request + 12, before.question_end - 12u) == 0);
    MUST(ask[after.opt_at + 3] == 0xff && ask[after.opt_at + 4] == 0xff);
}

/* The train says to the client one message: its ID, its question, an OPT only if it had one. */
static void check_train(const struct train *train, const uint8_t *request, size_t request_len)
{
    const uint8_t *at = train->octets, *message = stream + 2;
    size_t total = 0;
    MUST(train->frame_count >= 2);
    for (uint32_t i = 0; i < train->frame_count; at += train->frame_len[i++]) {
        MUST(frame_is_sound(at, train->frame_len[i]));
        struct frame_view view = frame_view(at, train->frame_len[i]);
        MUST(memcmp(stream + total, view.payload, view.payload_len) == 0);
        total += view.payload_len;
    }
    size_t len = (size_t)stream[0] << 8 | stream[1];
    MUST(total == 2 + len && len >= 12);
    MUST(memcmp(message, request, 2) == 0 && message[2] & 0x80);
    struct proxy_shape shape;
    if (!proxy_message_shape(request, request_len, &shape)) {
        MUST(len == 12);
        return;
    }
    if (len == 12) /* too long for us */
        return;
    MUST(memcmp(message + 12, request + 12, shape.question_end - 12u) == 0);
    MUST(shape.opt_at != 0 || !has_opt(message, len));
    MUST(!(message[2] & 2));
}

/* The request in a segment that proves the cookie. Returns what is asked. */
static size_t check_request(const struct proxy *proxy, int family, const uint8_t *request,
                            size_t request_len, struct train *train)
{
    const struct proxy_ticket ticket = {.id = ID, .port = PORT, .deadline_ms = 5};
    struct frame_spec spec = frame_spec_client(family);
    uint8_t payload[2 + REQUEST_MAX];
    payload[0] = (uint8_t)(request_len >> 8);
    payload[1] = (uint8_t)request_len;
    memcpy(payload + 2, request, request_len);
    spec.flags = PACKET_ACK | PACKET_PSH;
    spec.ack = cookie(family) + 1;
    spec.payload = payload;
    spec.payload_len = 2 + request_len;
    size_t len = frame_build(&spec, built);
    uint8_t *copy = exact_copy(built, len);
    struct io_frame frame = {.octets = copy, .len = (uint32_t)len};
    size_t ask_len = proxy_frame(proxy, &frame, &ticket, ask, train);
    MUST(memcmp(copy, built, len) == 0);
    free(copy);
    if (ask_len > 0) {
        MUST(train->frame_count == 0);
        check_ask(request, request_len, ask_len);
    } else {
        MUST(proxy->ring->oldest == UINT32_MAX);
        /* Shorter than a header the octets may mean something else, length included. */
        if (request_len >= 12 && train->frame_count > 0)
            check_train(train, request, request_len);
    }
    return ask_len;
}

/* Make the octets in `stream` answer the question. */
static void match(size_t ask_len, size_t response_len)
{
    struct proxy_shape shape;
    MUST(proxy_message_shape(ask, ask_len, &shape));
    if (response_len < 12)
        return;
    memcpy(stream + 2, ask, 2);
    stream[4] = (uint8_t)((stream[4] & 0x87) | 0x80);
    stream[6] = 0;
    stream[7] = 1;
    size_t end = response_len < shape.question_end ? response_len : shape.question_end;
    memcpy(stream + 2 + 12, ask + 12, end - 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    unsigned choice = data[0];
    size_t request_len = (size_t)data[1] << 8 | data[2];
    if (request_len > size - 3)
        request_len = size - 3;
    if (request_len > REQUEST_MAX)
        request_len = REQUEST_MAX;
    const uint8_t *request = data + 3, *response = request + request_len;
    size_t response_len = size - 3 - request_len;
    if (response_len > PROXY_STREAM_CAP - 2)
        response_len = PROXY_STREAM_CAP - 2;

    struct stateless_tcp_config tcp = stateless_tcp_config_default();
    struct proxy_ring ring;
    tcp.profile = STATELESS_TCP_CLASSIC;
    proxy_ring_init(&ring, questions, ring_keys, 2);
    const struct proxy proxy = {&tcp, &keys, &port_53, 1, true, &ring, stream};
    struct train train = {.octets = train_octets, .cap = sizeof train_octets};
    size_t ask_len =
        check_request(&proxy, choice & CHOICE_FAMILY_6 ? 6 : 4, request, request_len, &train);
    if (ask_len == 0)
        return 0;

    struct proxy_shape shape;
    MUST(proxy_message_shape(ask, ask_len, &shape));
    memcpy(stream + 2, ask, ask_len); /* a whole match, if one read too far */
    stream[4] |= 0x80;
    memcpy(stream + 2, response, response_len);
    if (choice & CHOICE_MATCH)
        match(ask_len, response_len);
    MUST(!proxy_response(&proxy, PORT + 1, response_len, &train) && train.frame_count == 0);
    bool is_match = proxy_response(&proxy, PORT, response_len, &train);
    MUST(is_match == (ring.oldest == UINT32_MAX));
    MUST(!is_match || response_len >= shape.question_end); /* not by what stood there before */
    if (is_match)
        check_train(&train, request, request_len);
    else
        MUST(train.frame_count == 0);
    if (!is_match && choice & CHOICE_OVERDUE) {
        MUST(!proxy_overdue(&proxy, 4, &train));
        MUST(proxy_overdue(&proxy, 5, &train));
        check_train(&train, request, request_len);
    }
    return 0;
}

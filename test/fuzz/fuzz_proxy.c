/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A client's request and a back end's response, both arbitrary, through the proxy. The first octet
 * of the input chooses how; then come the request behind its length in two octets, and the
 * response.
 *
 * Whatever they are: the client gets whole messages with its ID and question, from `modern` in as
 * many trains as it takes, and when it asks again the same octets again, though the back end would
 * say something else.
 */
#include "../proxy_place.h"
#include "../unit/stateless_frames.h"
#include "fuzz.h"
#include "stateless_tcp/framing.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHOICE_MATCH = 1, /* header and question of the response are set right: it goes deeper */
    CHOICE_FAMILY_6 = 2,
    CHOICE_OVERDUE = 4, /* in the end the question is given up, if it is still there */
    CHOICE_MODERN = 8,
    CHOICE_TWICE = 16, /* the request stands in the segment twice */
    CHOICE_APART = 32, /* `modern` with Timestamps and its cache, and the segment comes in two */
};

#define REQUEST_MAX 4000
#define LOOKED_AT_MAX 1536 /* octets of requests in a segment; `modern` looks at no more */
#define SAID_MAX (2 * (2 + PROXY_DATAGRAM_CAP))

static uint8_t secret[COOKIE_KEY_LEN];
static struct proxy_question questions[2];
static struct proxy_key ring_keys[2];
static uint64_t answers_memory[PROXY_ANSWERS_SIZE_MIN / sizeof(uint64_t)];
static struct proxy_answers answers;
static uint8_t train_octets[TRAIN_CAP], built[FRAME_CAP], payload[2 * (2 + REQUEST_MAX)];
static uint8_t said[SAID_MAX], said_before[SAID_MAX];
static uint64_t recent_memory[RECENT_SIZE_MIN / sizeof(uint64_t)];
static struct recent recent;
static struct proxy_asks asks;
static struct train train;

/* The segment with the requests, from a client that holds nothing. */
static struct frame_spec segment(int family, bool is_modern, size_t payload_len)
{
    struct frame_spec spec = frame_spec_client(family);
    struct packet packet;
    size_t len = frame_build(&spec, built);
    MUST(packet_parse(built, len, false, PACKET_CHECKSUM_ALWAYS, &packet) == PACKET_TCP);
    packet.mss = 1460;
    packet.seq--; /* as in the SYN */
    spec.ack = 1 + (is_modern ? cookie_make_first(&keys, &packet) : cookie_make(&keys, &packet));
    spec.flags = PACKET_ACK | PACKET_PSH;
    spec.payload = payload;
    spec.payload_len = payload_len;
    return spec;
}

static void send_segment(const struct proxy *proxy, const struct frame_spec *spec, uint64_t now_ms)
{
    static uint8_t next;
    struct proxy_draws draws = {.left = sizeof draws.octets};
    for (size_t i = 0; i < sizeof draws.octets; i++)
        draws.octets[i] = (uint8_t)(next++ * 113 + 5);
    size_t len = frame_build(spec, built);
    uint8_t *copy = exact_copy(built, len);
    struct io_frame frame = {.octets = copy, .len = (uint32_t)len};
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    proxy_frame(proxy, &frame, now_ms, &draws, &asks, &train);
    MUST(memcmp(copy, built, len) == 0);
    free(copy);
}

/* Append the train's data to what the client holds; returns whether that was all. */
static bool take_train(uint32_t seq, size_t *held)
{
    const uint8_t *at = train.octets;
    bool is_end = false;
    for (uint32_t i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        MUST(!is_end && frame_is_sound(at, train.frame_len[i]));
        struct frame_view view = frame_view(at, train.frame_len[i]);
        MUST(!(view.flags & PACKET_RST));
        MUST(view.seq == seq + *held && view.payload_len <= sizeof said - *held);
        memcpy(said + *held, view.payload, view.payload_len);
        *held += view.payload_len;
        is_end = view.flags & PACKET_FIN;
    }
    return is_end;
}

/* All that the client gets, beginning with the train that is there. */
static size_t read_stream(const struct proxy *proxy, const struct frame_spec *spec)
{
    struct frame_spec again = *spec;
    size_t held = 0;
    for (unsigned turns = 0; !take_train(spec->ack, &held); turns++) {
        MUST(turns < 200 && train.frame_count > 0 && proxy->tcp->profile == STATELESS_TCP_MODERN);
        again.ack = spec->ack + (uint32_t)held;
        send_segment(proxy, &again, 0);
        MUST(asks.count == 0);
    }
    return held;
}

static bool has_opt(const uint8_t *message, size_t len)
{
    struct proxy_shape shape;
    MUST(proxy_message_shape(message, len, &shape));
    return shape.opt_at != 0;
}

/* A message to the client: its ID, its question, an OPT only if it had one. */
static void check_message(const uint8_t *message, size_t len, const uint8_t *request,
                          size_t request_len)
{
    struct proxy_shape shape;
    MUST(len >= 12 && memcmp(message, request, 2) == 0 && message[2] & 0x80);
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

/* The whole stream, from the train that is there on; and the same once more. */
static void check_stream(const struct proxy *proxy, const struct frame_spec *spec,
                         const uint8_t *request, size_t request_len, unsigned count)
{
    size_t held = read_stream(proxy, spec), at = 0, len;
    for (unsigned i = 0; i < count; i++, at += len) {
        if (i > 0 && held == at) { /* no room for one more: the client asks on another connection */
            MUST(at > 32768);
            break;
        }
        MUST(held - at >= 2);
        len = (size_t)said[at] << 8 | said[at + 1];
        MUST(len <= held - at - 2);
        check_message(said + at + 2, len, request, request_len);
        len += 2;
    }
    MUST(at == held);
    memcpy(said_before, said, held);
    send_segment(proxy, spec, 0);
    MUST(asks.count == 0 && read_stream(proxy, spec) == held);
    MUST(memcmp(said, said_before, held) == 0);
}

/* What goes to the back end: our own parser takes it, and only what may change has changed. */
static void check_ask(const uint8_t *request, size_t request_len, const struct proxy_ask *ask)
{
    struct proxy_shape before, after;
    MUST(ask->len <= sizeof ask->octets && ask->len <= request_len + PROXY_OPT_LEN);
    MUST(proxy_message_shape(request, request_len, &before));
    MUST(proxy_message_shape(ask->octets, ask->len, &after));
    MUST(memcmp(ask->octets + 2, request + 2, 8) == 0 && ask->port < PROXY_PORTS);
    MUST(after.question_end == before.question_end && after.opt_at != 0);
    MUST(memcmp(ask->octets + 12, request + 12, before.question_end - 12u) == 0);
    MUST(ask->octets[after.opt_at + 3] == 0xff && ask->octets[after.opt_at + 4] == 0xff);
}

/* Let the back end say something; whether that is an answer. */
static bool respond(const struct proxy *proxy, const struct proxy_ask *ask, const uint8_t *response,
                    size_t response_len, bool is_match)
{
    struct proxy_shape shape;
    MUST(proxy_message_shape(ask->octets, ask->len, &shape));
    memcpy(datagram, ask->octets, ask->len); /* a whole match, if one read too far */
    datagram[2] |= 0x80;
    memcpy(datagram, response, response_len);
    if (is_match && response_len >= 12) {
        memcpy(datagram, ask->octets, 2);
        datagram[2] = (uint8_t)((datagram[2] & 0x87) | 0x80);
        datagram[4] = 0;
        datagram[5] = 1;
        size_t end = response_len < shape.question_end ? response_len : shape.question_end;
        memcpy(datagram + 12, ask->octets + 12, end - 12);
    }
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    MUST(
        !proxy_response(proxy, (uint8_t)((ask->port + 1u) % PROXY_PORTS), response_len, 0, &train));
    bool is_taken =
        proxy_response(proxy, ask->port, response_len, response_len % 2 * PROXY_GATHER_MS, &train);
    MUST(!is_taken || response_len >= shape.question_end); /* not by what stood there before */
    return is_taken;
}

/* Nothing is asked: the proxy has said something itself, or nothing. */
static void check_unasked(const struct proxy *proxy, const struct frame_spec *spec,
                          const uint8_t *request, size_t request_len, unsigned count)
{
    bool is_reset =
        train.frame_count == 1 && frame_view(train_octets, train.frame_len[0]).flags & PACKET_RST;
    MUST(proxy->ring->oldest == UINT32_MAX);
    /* Shorter than a header the octets may mean something else, length included. */
    if (request_len >= 12 && train.frame_count > 0 && !is_reset)
        check_stream(proxy, spec, request, request_len, count);
}

/* A client with Timestamps. */
struct client {
    struct frame_spec spec; /* all it asks, from the beginning */
    uint8_t options[12];
    uint32_t held, echo;
    bool is_reset;
};

static uint32_t load_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* What the client takes of the train: no octet that differs from what it has. */
static void client_take(struct client *client)
{
    const uint8_t *at = train.octets;
    for (uint32_t i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        MUST(frame_is_sound(at, train.frame_len[i]));
        struct frame_view view = frame_view(at, train.frame_len[i]);
        client->is_reset |= (view.flags & PACKET_RST) != 0;
        if (client->is_reset)
            return;
        MUST(view.options_len == 12);
        uint32_t value = load_be32(view.options + 4);
        uint32_t place = view.seq - client->spec.ack;
        if (value - client->echo > UINT32_MAX / 2) /* PAWS (RFC 7323 5.3) */
            continue;
        MUST(place <= client->held && place + view.payload_len <= sizeof said);
        client->echo = value;
        size_t old = client->held - place;
        old = old < view.payload_len ? old : view.payload_len;
        MUST(old == 0 || memcmp(said + place, view.payload, old) == 0);
        memcpy(said + place + old, view.payload + old, view.payload_len - old);
        client->held += (uint32_t)(view.payload_len - old);
    }
    train.frame_count = train.len = 0;
}

/* Send a part of what it asks. */
static void client_send(struct client *client, const struct proxy *proxy, size_t from, size_t to)
{
    struct frame_spec spec = client->spec;
    const uint8_t before[8] = {1, 1, 8, 10, [7] = 9};
    memcpy(client->options, before, sizeof before);
    for (unsigned i = 0; i < 4; i++)
        client->options[8 + i] = (uint8_t)(client->echo >> (24 - 8 * i));
    spec.options = client->options;
    spec.options_len = sizeof client->options;
    spec.seq += (uint32_t)from;
    spec.payload += from;
    spec.payload_len = to - from;
    spec.ack += client->held;
    send_segment(proxy, &spec, 0);
    client_take(client);
}

/* Two segments, then all of it until nothing comes any more; the back end answers the last
 * first. */
static void check_apart(const struct proxy *proxy, unsigned choice, unsigned count,
                        const uint8_t *request, size_t request_len, const uint8_t *response,
                        size_t response_len)
{
    size_t len = count * (2 + request_len), cut = response_len % len, at = 0;
    struct client client = {.spec = segment(choice & CHOICE_FAMILY_6 ? 6 : 4, false, len)};
    /* If its length travels alone, a malformed message may seem to end elsewhere (framing.h): nobody
     * but the client itself is misled by that. */
    if (cut == 2 && framing_bare_len(request, (uint32_t)request_len) != request_len)
        return;
    client.echo = (client.spec.seq & 4095) << 1 | 1;
    for (unsigned turn = 0, idle = 0; turn < 200 && idle < 3 && !client.is_reset; turn++) {
        static struct proxy_asks asked;
        uint32_t before = client.held;
        client_send(&client, proxy, turn == 1 ? cut : 0, turn == 0 && cut > 0 ? cut : len);
        memcpy(&asked, &asks, sizeof asked);
        for (unsigned i = asked.count; i-- > 0 && !client.is_reset;) {
            check_ask(request, request_len, &asked.asks[i]);
            respond(proxy, &asked.asks[i], response, response_len, choice & CHOICE_MATCH);
            client_take(&client);
        }
        idle = client.held == before ? idle + 1 : 0;
    }
    for (unsigned i = 0; i < count && at < client.held; i++) {
        size_t message_len = (size_t)said[at] << 8 | said[at + 1];
        if (client.is_reset && 2 + message_len > client.held - at)
            return;
        MUST(2 + message_len <= client.held - at);
        check_message(said + at + 2, message_len, request, request_len);
        at += 2 + message_len;
    }
    MUST(at == client.held);
}

static void check(const struct proxy *proxy, unsigned choice, const uint8_t *request,
                  size_t request_len, const uint8_t *response, size_t response_len)
{
    unsigned count = choice & CHOICE_TWICE && 2 * (2 + request_len) <= LOOKED_AT_MAX ? 2 : 1;
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = payload + i * (2 + request_len);
        at[0] = (uint8_t)(request_len >> 8);
        at[1] = (uint8_t)request_len;
        memcpy(at + 2, request, request_len);
    }
    if (proxy->recent != NULL) {
        if (request_len >= 12)
            check_apart(proxy, choice, count, request, request_len, response, response_len);
        return;
    }
    const struct frame_spec spec = segment(choice & CHOICE_FAMILY_6 ? 6 : 4, choice & CHOICE_MODERN,
                                           count * (2 + request_len));
    send_segment(proxy, &spec, 0);
    if (asks.count == 0) {
        check_unasked(proxy, &spec, request, request_len, count);
        return;
    }
    static struct proxy_asks asked;
    memcpy(&asked, &asks, sizeof asked);
    MUST(asked.count == count && train.frame_count == 0);
    unsigned done = 0;
    for (unsigned i = 0; i < count; i++) {
        check_ask(request, request_len, &asked.asks[i]);
        done += respond(proxy, &asked.asks[i], response, response_len, choice & CHOICE_MATCH);
        MUST(done == count || train.frame_count == 0);
    }
    MUST((done == count) == (proxy->ring->oldest == UINT32_MAX));
    if (done < count && choice & CHOICE_OVERDUE) {
        MUST(!proxy_overdue(proxy, PROXY_TIMEOUT_MS - 1, &train));
        for (; done < count; done++)
            MUST(proxy_overdue(proxy, PROXY_TIMEOUT_MS, &train));
    }
    if (done == count)
        check_stream(proxy, &spec, request, request_len, count);
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
    if (response_len > PROXY_DATAGRAM_CAP)
        response_len = PROXY_DATAGRAM_CAP;

    struct stateless_tcp_config tcp = stateless_tcp_config_default();
    struct proxy_ring ring;
    tcp.profile = choice & CHOICE_MODERN ? STATELESS_TCP_MODERN : STATELESS_TCP_CLASSIC;
    proxy_ring_init(&ring, questions, ring_keys, 2);
    if (answers.entries == NULL)
        answers = proxy_answers_make(answers_memory, sizeof answers_memory);
    for (size_t i = 0; ++secret[i] == 0; i++) /* what inputs before left is never found */
        MUST(i < 7);
    bool has_recent = choice & CHOICE_MODERN && choice & CHOICE_APART;
    if (has_recent) {
        memset(recent_memory, 0, sizeof recent_memory / 4);
        recent = recent_make(recent_memory, sizeof recent_memory);
    }
    struct proxy proxy = proxy_place(&tcp, &ring, &answers, secret);
    proxy.recent = has_recent ? &recent : NULL;
    check(&proxy, choice, request, request_len, response, response_len);
    return 0;
}

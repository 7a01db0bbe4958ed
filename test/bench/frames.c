/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frames DB ZONE CASE ROUNDS: give serve_frame() ROUNDS frames of one kind, in memory, from as many
 * clients as there are CLIENTS, and print nanoseconds per frame and octets sent per frame.
 * instructions.py counts what measured() does, less what respond() does of it.
 *
 *     udp         a question below a delegation        request     such a question, the first
 *     syn         SYN as Linux sends it                next        the second on a connection
 *     ack         the handshake's last                 train       a question with a long response
 *     completion  the ACK of all of that               fin         FIN after one response
 *     forged      a request without a cookie           junk        all that is to be dropped
 *     rate        as udp, with a rate for its source   over        beyond that rate
 *     known       with a rate, and a DNS COOKIE that we gave it
 *
 * Behind it the IP version, 4 or 6; "-many": the server has as many addresses as it can have.
 */
#include "server/buckets.h"
#include "server/serve.h"
#include "test/bench/questions.h"
#include "test/must.h"
#include "test/unit/stateless_frames.h"

#include <stdlib.h>
#include <time.h>

enum {
    CLIENTS = 1024,
    FRAME_ROOM = 512,
    ENDPOINTS_MAX = 1024,
};

/* What a client's kernel knows of its connection. */
struct client {
    struct frame_spec spec;
    uint32_t held, echo;
    uint8_t options[20];
    uint8_t request[2 + REQUEST_MAX];
};

struct kind {
    const char *name;
    void (*prepare)(struct client *client, unsigned i); /* leaves in `spec` what is measured */
};

static struct questions referrals, longs, plain;
static struct client clients[CLIENTS];
static uint8_t frames[CLIENTS][FRAME_ROOM], built[FRAME_CAP];
static struct io_frame io_frames[CLIENTS];
static struct stateless_tcp_config tcp;
static const struct stateless_tcp_keys keys = {.epochs = {{2}, {1}}};
static struct packet_endpoint endpoints[ENDPOINTS_MAX];
static _Alignas(max_align_t) uint8_t recent_memory[RECENT_SIZE_DEFAULT];
static struct recent recent;
static struct respond_policy policy;
static const struct dns_cookie_secrets secrets = {1, {{1, 2, 3}}};
#define NOW_S 1700000000
static uint8_t stream[SERVE_STREAM_CAP], train_octets[TRAIN_CAP];
static struct serve serve;

/* ---- clients ---- */

static void put_be32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct io_frame frame_of(const struct frame_spec *spec, uint8_t *octets)
{
    size_t len = frame_build(spec, built);
    MUST(len <= FRAME_ROOM);
    memcpy(octets, built, len);
    return (struct io_frame){.octets = octets, .len = (uint32_t)len};
}

/* Send what `spec` is, and take in what comes back: then it is an ACK of that. */
static void talk(struct client *client)
{
    uint8_t octets[FRAME_ROOM];
    struct frame_spec *spec = &client->spec;
    struct train train = {.octets = train_octets, .cap = sizeof train_octets};
    struct io_frame frame = frame_of(spec, octets);
    serve_frame(&serve, &frame, &train);
    spec->seq += (uint32_t)spec->payload_len + (spec->flags & PACKET_SYN ? 1 : 0);
    const uint8_t *at = train.octets;
    for (unsigned i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        struct frame_view view = frame_view(at, train.frame_len[i]);
        bool is_syn = view.flags & PACKET_SYN;
        spec->ack = view.seq + (uint32_t)view.payload_len + is_syn;
        client->echo = get_be32(view.options + (is_syn ? 8 : 4));
    }
    MUST(train.frame_count > 0);
    static const uint8_t timestamps[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    memcpy(client->options, timestamps, sizeof timestamps);
    put_be32(client->options + 8, client->echo);
    spec->options = client->options;
    spec->options_len = sizeof timestamps;
    spec->flags = PACKET_ACK;
    spec->payload_len = 0;
}

static void put_request(struct client *client, const struct questions *questions, unsigned i)
{
    unsigned which = i * 7919 % questions->count;
    client->request[0] = (uint8_t)(questions->len[which] >> 8);
    client->request[1] = (uint8_t)questions->len[which];
    memcpy(client->request + 2, questions->octets[which], questions->len[which]);
    client->spec.payload = client->request;
    client->spec.payload_len = 2u + questions->len[which];
    client->spec.flags = PACKET_PSH | PACKET_ACK;
}

static void prepare_udp(struct client *client, unsigned i)
{
    put_request(client, &referrals, i);
    client->spec.is_udp = true;
    client->spec.payload += 2;
    client->spec.payload_len -= 2;
}

/* Its own address is in the cookie. */
static void prepare_known(struct client *client, unsigned i)
{
    struct questions *known = &plain;
    const struct dns_cookie_client asker = {client->spec.source, 4, NOW_S};
    known->count = 1;
    known->len[0] = referrals.len[i * 7919 % referrals.count];
    memcpy(known->octets[0], referrals.octets[i * 7919 % referrals.count], known->len[0]);
    static const uint8_t opt[11] = {0, 0, 41, 0x04, 0xd0};
    memcpy(known->octets[0] + known->len[0], opt, sizeof opt);
    known->octets[0][11] = 1;
    known->len[0] = (uint16_t)(known->len[0] + sizeof opt);
    questions_add_cookie(known, &secrets, &asker);
    put_request(client, known, 0);
    client->spec.is_udp = true;
    client->spec.payload += 2;
    client->spec.payload_len -= 2;
}

static void prepare_syn(struct client *client, unsigned i)
{
    static const uint8_t offer[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                      0, 7, 0,    0,    0, 0, 1, 3,  3, 7};
    client->spec.seq = i * 2654435761u;
    client->spec.flags = PACKET_SYN;
    client->spec.options = offer;
    client->spec.options_len = sizeof offer;
}

static void prepare_ack(struct client *client, unsigned i)
{
    prepare_syn(client, i);
    talk(client);
}

static void prepare_request(struct client *client, unsigned i)
{
    prepare_ack(client, i);
    put_request(client, &referrals, i);
}

static void prepare_next(struct client *client, unsigned i)
{
    prepare_request(client, i);
    talk(client);
    put_request(client, &referrals, i + 1);
}

static void prepare_train(struct client *client, unsigned i)
{
    prepare_ack(client, i);
    put_request(client, &longs, i);
}

static void prepare_completion(struct client *client, unsigned i)
{
    prepare_train(client, i);
    talk(client);
}

static void prepare_fin(struct client *client, unsigned i)
{
    prepare_request(client, i);
    talk(client);
    client->spec.flags = PACKET_FIN | PACKET_ACK;
}

static void prepare_forged(struct client *client, unsigned i)
{
    prepare_request(client, i);
    client->spec.ack ^= 0x5a5a5a5;
}

/* What is there on any network, and what is none of ours. */
static void prepare_junk(struct client *client, unsigned i)
{
    prepare_request(client, i);
    switch (i % 4) {
    case 0:
        client->spec.destination_port = 443;
        return;
    case 1:
        client->spec.flags = PACKET_RST;
        return;
    case 2:
        client->spec.destination[3] ^= 0x40;
        return;
    default:
        client->spec.flags = PACKET_SYN | PACKET_ACK;
        return;
    }
}

static const struct kind kinds[] = {
    {"udp", prepare_udp},
    {"syn", prepare_syn},
    {"ack", prepare_ack},
    {"request", prepare_request},
    {"next", prepare_next},
    {"train", prepare_train},
    {"completion", prepare_completion},
    {"fin", prepare_fin},
    {"forged", prepare_forged},
    {"junk", prepare_junk},
    {"rate", prepare_udp},
    {"over", prepare_udp},
    {"known", prepare_known},
};

/* ---- the server ---- */

/* Addresses beside its own, so that each frame's is looked for. */
static void place_make(bool is_many)
{
    struct frame_spec v4 = frame_spec_client(4), v6 = frame_spec_client(6);
    unsigned count = is_many ? ENDPOINTS_MAX : 2;
    for (unsigned i = 0; i < count; i++) {
        bool is_v6 = i >= count / 2;
        struct packet_endpoint *endpoint = &endpoints[i];
        endpoint->port = 53;
        endpoint->address.family = is_v6 ? 6 : 4;
        memcpy(endpoint->address.octets, is_v6 ? v6.destination : v4.destination, is_v6 ? 16 : 4);
        unsigned other = i % (count / 2);
        endpoint->address.octets[is_v6 ? 12 : 1] ^= (uint8_t)(other >> 8);
        endpoint->address.octets[is_v6 ? 13 : 2] ^= (uint8_t)other;
    }
    qsort(endpoints, count, sizeof *endpoints, packet_endpoint_compare);
    tcp = stateless_tcp_config_default();
    tcp.profile = STATELESS_TCP_MODERN;
    tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
    policy = respond_policy_default();
    policy.is_any_full = true;
    serve.policy = &policy;
    serve.tcp = &tcp;
    serve.keys = &keys;
    serve.endpoints = endpoints;
    serve.endpoint_count = count;
    serve.is_settled = true;
    serve.recent = &recent;
    serve.stream = stream;
}

/* All clients are of one prefix. */
static void restrain_make(const char *kind)
{
    bool is_over = strcmp(kind, "over") == 0;
    const struct restrain_config config = {
        .rate = is_over ? 1 : BUCKETS_RATE_MAX,
        .slip = 1,
        .ipv4_len = 24,
        .ipv6_len = 56,
        .table_size = BUCKETS_SIZE_DEFAULT,
        .require_cookie = RESTRAIN_WHEN_OVER_RATE,
    };
    policy.cookie = &secrets;
    serve.now_s = NOW_S;
    if (is_over || strcmp(kind, "rate") == 0 || strcmp(kind, "known") == 0)
        MUST(restrain_open(&config, &serve.restrain) == 0);
}

static void prepare(const struct kind *kind, int family)
{
    memset(recent_memory, 0, sizeof recent_memory);
    recent = recent_make(recent_memory, sizeof recent_memory);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        client->spec = frame_spec_client(family);
        client->spec.source[family == 4 ? 3 : 15] = (uint8_t)(2 + i % 200);
        client->spec.source_port = (uint16_t)(1024 + i * 31);
        kind->prepare(client, i);
        io_frames[i] = frame_of(&client->spec, frames[i]);
    }
}

__attribute__((noinline)) static void measured(const struct io_frame *frame, struct train *train)
{
    serve_frame(&serve, frame, train);
}

static const struct kind *kind_find(const char *text)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(text, kinds[i].name, strlen(kinds[i].name)) == 0)
            return &kinds[i];
    return NULL;
}

static void run(const struct kind *kind, int family, unsigned long rounds)
{
    struct timespec begin, end;
    unsigned long octets = 0;
    double ns = 0;
    for (unsigned long done = 0; done < rounds; done += CLIENTS) {
        prepare(kind, family);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct train train;
            train.octets = train_octets;
            train.cap = sizeof train_octets;
            train.len = train.frame_count = 0;
            measured(&io_frames[i], &train);
            octets += train.len;
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        ns += 1e9 * (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec);
    }
    printf("%lu %.1f %.1f\n", rounds, ns / (double)rounds, (double)octets / (double)rounds);
}

int main(int argc, char **argv)
{
    const struct kind *kind = argc == 5 ? kind_find(argv[3]) : NULL;
    unsigned long rounds = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    if (kind == NULL || rounds == 0 || rounds % CLIENTS != 0) {
        fprintf(stderr, "usage: frames DB ZONE KIND(4|6)[-many] ROUNDS (times %u)\n", CLIENTS);
        return 2;
    }
    struct zonedb_error error;
    struct zonedb *db;
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "frames: %s\n", error.text);
        return 1;
    }
    if (zonedb_view_open(db, &serve.view) != 0 ||
        !questions_make(serve.view, argv[2], "referral", &referrals) ||
        !questions_make(serve.view, argv[2], "any+do", &longs)) {
        fprintf(stderr, "frames: no zone %s with delegations in %s\n", argv[2], argv[1]);
        return 1;
    }
    place_make(strstr(argv[3], "-many") != NULL);
    restrain_make(kind->name);
    run(kind, argv[3][strlen(kind->name)] == '6' ? 6 : 4, rounds);
    restrain_close(serve.restrain);
    zonedb_view_close(serve.view);
    zonedb_close(db);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The TCP client of lethe-bench and a server that says anything. The input is a script: the first
 * octet chooses how the client is to ask, then come steps of the server, each a kind and its
 * arguments. Segments are made relative to what the connection is in, so that mutations go deep.
 */
#include "../unit/stateless_frames.h"
#include "fuzz.h"
#include "test/must.h"
#include "tools/bench/raw_tcp.h"
#include "zonedb/name.h"

#define PLACES 16
#define TURNS_MAX 2000
#define START_NS 5000000000u

enum {
    HOW_FAMILY = 1,
    HOW_MANY = 2, /* queries on a connection */
    HOW_PIPELINE = 4,
    HOW_RESET = 8,
    HOW_JOINED = 16,
    HOW_FAST_OPEN = 32,
    HOW_OPEN_LOOP = 64,
};

enum step {
    STEP_WAIT,
    STEP_SYN_ACK,
    STEP_ANSWER,
    STEP_FIN,
    STEP_RESET,
    STEP_SEGMENT,
    STEP_ACK,
    STEP_ANSWER_AHEAD,
};

struct script {
    const uint8_t *at, *end;
};

static struct question_pool pool;
static struct bench_config config;
static struct worker worker;
static struct raw_path path;
static struct raw_tcp tcp;
static atomic_bool is_stopped;
static uint8_t train_octets[TRAIN_CAP];
static struct train train;
static uint64_t now_ns;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const names[] = {"a.example.", "b.example.", "."};
    const struct question_form form = {.has_edns = true, .payload = 1232};
    uint8_t name[NAME_MAX_LEN];
    (void)argc;
    (void)argv;
    question_pool_begin(&pool, &form);
    for (int i = 0; i < 3; i++) {
        MUST(name_from_text(names[i], name) > 0);
        MUST(question_add(&pool, name, 1, QUESTION_RCODE_ANY) == 0);
    }
    return 0;
}

static uint8_t next(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

/* To be added to a sequence number: -32768 to 32767. */
static uint32_t next_offset(struct script *script)
{
    uint8_t high = next(script);
    return (uint32_t)(int32_t)(int16_t)(high << 8 | next(script));
}

/* Every frame of the client is sound and no longer than a link takes. */
static void flush(void *context)
{
    (void)context;
    const uint8_t *at = train.octets;
    for (uint32_t i = 0; i < train.frame_count; i++) {
        MUST(frame_is_sound(at, train.frame_len[i]) && train.frame_len[i] <= 1514);
        at += train.frame_len[i];
    }
    train.len = train.frame_count = 0;
}

static void begin(uint8_t how)
{
    config = (struct bench_config){
        .mode = BENCH_RAW,
        .timeout_ns = 3000000000,
        .threads = 1,
        .connections = 4,
        .queries_per_connection = how & HOW_MANY ? 5 : 1,
        .pipeline = how & HOW_MANY && how & HOW_PIPELINE ? 3 : 1,
        .close = how & HOW_RESET ? BENCH_CLOSE_RST : BENCH_CLOSE_FIN,
        .is_handshake_joined = (how & HOW_JOINED) != 0,
        .has_fast_open = (how & HOW_FAST_OPEN) != 0,
        .rate = how & HOW_OPEN_LOOP ? 100 : 0,
        .retransmit_ns = 200000000,
    };
    now_ns = START_NS;
    worker = (struct worker){.config = &config,
                             .pool = &pool,
                             .is_stopped = &is_stopped,
                             .end_ns = UINT64_MAX,
                             .left = 30};
    schedule_begin(&worker.schedule, SCHEDULE_EVEN, 100, 0, 1, 1, now_ns);
    verify_begin(&worker.verify, &pool);
    uint8_t family = how & HOW_FAMILY ? 6 : 4;
    path = (struct raw_path){
        .mac_own = {2},
        .mac_peer = {2, 1},
        .server = {.family = family, .octets = {198, 18, 0, 1}},
        .server_port = 53,
        .source = {.address = {.family = family, .octets = {198, 18, 64}},
                   .len = family == 4 ? 31 : 127},
        .port_first = 1024,
        .tuples = {.address_count = 2, .port_count = PLACES / 2},
        .window = 8760,
    };
    raw_path_prepare(&path, 3, PLACES);
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    MUST(raw_tcp_open(&tcp, &worker, &path, &train, flush, NULL) == 0);
    raw_tcp_send_due(&tcp, now_ns);
    flush(NULL);
}

/* The tuple's address and port, from a frame to it. */
static struct packet packet_to(const struct raw_connection *c)
{
    uint8_t octets[128];
    struct train one = {.octets = octets, .cap = sizeof octets};
    struct packet sent, packet = {.flags = PACKET_ACK, .window = 65535};
    const struct raw_segment segment = {.flags = PACKET_ACK};
    MUST(raw_frame_tcp(&path, c->tuple, &segment, NULL, 0, 0, &one));
    MUST(packet_parse(octets, one.len, false, PACKET_CHECKSUM_ALWAYS, &sent) == PACKET_TCP);
    packet.source = sent.destination;
    packet.destination = sent.source;
    packet.source_port = sent.destination_port;
    packet.destination_port = sent.source_port;
    packet.seq = c->rcv;
    packet.ack = c->next;
    packet.has_timestamps = c->has_timestamps;
    packet.timestamp_value = c->echo;
    return packet;
}

static void receive(struct packet *packet, const uint8_t *payload, size_t payload_len)
{
    uint8_t *copy = exact_copy(payload, payload_len);
    packet->payload = copy;
    packet->payload_len = (uint32_t)payload_len;
    raw_tcp_receive(&tcp, now_ns, packet);
    free(copy);
}

/* A response to one of the connection's queries, whole or its beginning. */
static void answer(struct script *script, const struct raw_connection *c, bool is_ahead)
{
    struct packet packet = packet_to(c);
    uint8_t octets[2 + QUESTION_MESSAGE_MAX];
    uint32_t number = c->first + next(script) % 4;
    const struct raw_query *q =
        &tcp.queries[(size_t)(c - tcp.connections) * tcp.ring_cap + (number & (tcp.ring_cap - 1))];
    uint16_t len = question_copy(&pool, q->query.question, q->query.id, 0, octets + 2);
    uint8_t cut = next(script);
    octets[0] = 0;
    octets[1] = (uint8_t)len;
    octets[4] |= 0x80;
    if (is_ahead)
        packet.seq += next_offset(script);
    receive(&packet, octets, cut > 0 && cut < len + 2u ? cut : len + 2u);
}

static void segment(struct script *script, const struct raw_connection *c)
{
    struct packet packet = packet_to(c);
    uint8_t octets[256] = {0};
    packet.flags = next(script);
    packet.seq += next_offset(script);
    packet.ack += next_offset(script);
    uint8_t options = next(script);
    packet.has_timestamps = options & 1;
    packet.timestamp_value += options >> 4;
    packet.has_sack_permitted = options & 2;
    packet.mss = options & 4 ? 100 : 0;
    packet.window = options & 8 ? 300 : 65535;
    size_t len = next(script), there = (size_t)(script->end - script->at);
    there = there < len ? there : len;
    memcpy(octets, script->at, there);
    script->at += there;
    receive(&packet, octets, len);
}

static void step(struct script *script)
{
    enum step kind = (enum step)(next(script) & 7);
    if (kind == STEP_WAIT) {
        now_ns += next(script) * 4000000u;
        return;
    }
    const struct raw_connection *c = &tcp.connections[next(script) % PLACES];
    struct packet packet = packet_to(c);
    switch (kind) {
    case STEP_ANSWER:
    case STEP_ANSWER_AHEAD:
        answer(script, c, kind == STEP_ANSWER_AHEAD);
        return;
    case STEP_SEGMENT:
        segment(script, c);
        return;
    case STEP_SYN_ACK: {
        uint8_t options = next(script);
        packet.flags = PACKET_SYN | PACKET_ACK;
        packet.seq = options * 0x01010101u;
        packet.has_timestamps = options & 1;
        packet.has_sack_permitted = options & 2;
        packet.has_fast_open = packet.has_fast_open_cookie = options & 4;
        packet.mss = options & 8 ? 1220 : 0;
        break;
    }
    case STEP_FIN:
        packet.flags |= PACKET_FIN;
        break;
    case STEP_RESET:
        packet.flags |= PACKET_RST;
        break;
    case STEP_WAIT:
    case STEP_ACK:
        break;
    }
    receive(&packet, NULL, 0);
}

/* Each query is one thing, and each connection in one state. */
static void must_hold(void)
{
    const struct tally *tally = &worker.tally;
    uint32_t busy = 0, closing = 0, waiting = 0;
    for (uint32_t i = 0; i < tcp.place_count; i++) {
        const struct raw_connection *c = &tcp.connections[i];
        busy += c->state == RAW_SYN_SENT || c->state == RAW_OPEN;
        closing += c->state == RAW_FIN_SENT;
        waiting += c->waiting;
        MUST(c->state != RAW_FREE || (c->waiting == 0 && c->buffer == NULL));
    }
    MUST(busy == tcp.busy && closing == tcp.closing && busy <= tcp.limit);
    MUST(waiting == worker.outstanding);
    MUST(tally->sent == tally->answered + tally->wrong + tally->lost + worker.outstanding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    memset(&worker.tally, 0, sizeof worker.tally);
    begin(next(&script));
    for (unsigned i = 0; i < TURNS_MAX && script.at < script.end; i++) {
        step(&script);
        raw_tcp_send_due(&tcp, now_ns);
        flush(NULL);
        must_hold();
    }
    /* Whatever was said: in the end nothing is waited for. */
    for (unsigned i = 0; worker.left > 0 || worker.outstanding > 0 || tcp.closing > 0; i++) {
        MUST(i < TURNS_MAX);
        now_ns += 100000000;
        raw_tcp_send_due(&tcp, now_ns);
        flush(NULL);
        must_hold();
    }
    raw_tcp_close(&tcp);
    return 0;
}

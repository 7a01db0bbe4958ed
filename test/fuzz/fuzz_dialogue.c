/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sequences of frames: the input is a script. Its first two octets say how the server and the
 * clients are, then come steps, each with what it needs.
 *
 * What must hold of single answers: dialogue_server.c. Of a dialogue:
 * - what an honest client gets are its responses, each whole and from one snapshot; its requests
 *   are acknowledged, its connection ends, and nothing goes on for ever; it is reset only for one
 *   of the reasons that modern.h gives; its checks of timestamps discard no data that came in
 *   order. Whatever others send meanwhile;
 * - a hostile client gets nothing that others have asked for, and nobody who has not proven its
 *   address leaves a trace;
 * - what answers our own frames, or mirrors them, draws an end.
 *
 * Bounds, as real life sets them: when the snapshot changes, honest clients' networks are empty;
 * until it is settled these do nothing worse than to lose, and timers do not fire too early;
 * those that still wait for something have given up by the time that it is settled.
 */
#include "dialogue.h"

enum {
    HOW_CLASSIC = 1,
    HOW_IPV6 = 2,
    HOW_NO_RESET = 4,
    HOW_TWICE = 8,
    HOW_LARGE_SEGMENT = 16,
    HOW_HOSTILE_IPV6 = 32,
    HOW_BURST = 0xc0,

    HONEST = 2,
    HOSTILE_PORT = 40002,
    STEPS_MAX = 200,
    ECHO_ROUNDS_MAX = 8,
};

struct hostile {
    struct frame_spec spec;
    uint32_t irs, iss, value, end; /* end: of what it was sent */
    uint8_t options[40], payload[512];
};

struct script {
    const uint8_t *at, *end;
    struct dialogue_server server;
    struct dialogue_client clients[HONEST];
    struct hostile hostile;
    uint8_t key;
};

static struct dialogue_flight air[HONEST][DIALOGUE_FLIGHT_MAX];
static uint8_t requests[HONEST][DIALOGUE_REQUESTS_MAX * DIALOGUE_REQUEST_MAX];
static uint8_t streams[HONEST][DIALOGUE_STREAM_CAP];

static uint8_t take_8(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

static uint16_t take_16(struct script *script)
{
    uint16_t high = take_8(script);
    return (uint16_t)(high << 8 | take_8(script));
}

static uint32_t take_32(struct script *script)
{
    uint32_t high = take_16(script);
    return high << 16 | take_16(script);
}

/* ---- honest clients ---- */

static void connect_honest(struct script *script, struct dialogue_client *client)
{
    static const uint16_t msss[4] = {1460, 1460, 536, 1220};
    static const uint16_t windows[4] = {64240, 64240, 5000, 1300};
    uint8_t how = take_8(script), where = take_8(script);
    client->mss = msss[how & 3];
    client->window = windows[how >> 2 & 3];
    client->has_timestamps = !(how & 16);
    client->has_sack = !(how & 32);
    client->is_ack_late = how & 64;
    /* A port used again: the numbers differ, but perhaps in high bits only. */
    int fast_id = how & 128 ? (client->has_fast_open ? take_8(script) & 0x7f : -1) : -2;
    bool is_classic = script->server.config.profile == STATELESS_TCP_CLASSIC;
    dialogue_client_connect(client,
                            client->irs + (where & 1 ? 64001u * where : 4096u * (where + 1u)),
                            is_classic ? -2 : fast_id);
    client->is_excused |= !script->server.is_settled;
}

static void ask(struct script *script, struct dialogue_client *client, unsigned how)
{
    uint8_t ids[3];
    unsigned count = how == 3 ? 3 : 1;
    bool is_classic = script->server.config.profile == STATELESS_TCP_CLASSIC;
    for (unsigned i = 0; i < count; i++)
        ids[i] = take_8(script) & (is_classic ? 0x3e : 0x7f); /* it passes over what gets none */
    if (is_classic && client->asked > 0)
        return;
    uint32_t cut = how == 1 ? 2 : how == 2 && !is_classic ? take_8(script) : 0;
    dialogue_client_ask(client, ids, count, cut);
    client->is_excused |= is_classic;
}

static void step_honest(struct script *script, unsigned step, unsigned argument)
{
    struct dialogue_client *client = &script->clients[argument & 1];
    struct dialogue_server *server = &script->server;
    unsigned n = argument >> 1;
    bool is_calm = server->is_settled || client->flight_count == 0;
    switch (step) {
    case 0:
        connect_honest(script, client);
        return;
    case 1:
        ask(script, client, n);
        return;
    case 2:
        dialogue_client_fin(client);
        return;
    case 3:
        if (is_calm)
            dialogue_client_timer(client, n == 3 ? 524 : 0);
        return;
    case 4:
        dialogue_client_ack(client);
        return;
    case 5:
        for (unsigned i = 0; i <= n; i++)
            dialogue_client_move(client, server, 0, DIALOGUE_ARRIVE);
        return;
    case 6:
        dialogue_client_move(client, server, is_calm ? 1 + n : 0, DIALOGUE_ARRIVE);
        return;
    case 7:
        dialogue_client_move(client, server, n, DIALOGUE_LOSE);
        return;
    case 8:
        dialogue_client_move(client, server, n, is_calm ? DIALOGUE_REPEAT : DIALOGUE_LOSE);
        return;
    default:
        for (unsigned i = 0; i < 16; i++)
            dialogue_client_move(client, server, 0, DIALOGUE_ARRIVE);
        return;
    }
}

/* ---- time ---- */

static void change_snapshot(struct script *script)
{
    if (script->server.version == 255)
        return;
    script->server.version++;
    script->server.is_settled = false;
    for (unsigned i = 0; i < 2; i++)
        script->server.recents[i].snapshot = script->server.version;
    for (unsigned i = 0; i < HONEST; i++) {
        struct dialogue_client *client = &script->clients[i];
        client->is_excused = true;
        client->flight_count = 0;
        if (!client->has_sack)
            client->ahead_count = 0; /* a receiver may forget these, and here it must */
        client->is_fin_known &= client->has_fin || client->ahead_count > 0;
    }
}

static void settle(struct script *script)
{
    for (unsigned i = 0; i < HONEST && !script->server.is_settled; i++)
        if (dialogue_client_is_waiting(&script->clients[i]))
            script->clients[i].state = DIALOGUE_CLOSED;
    script->server.is_settled = true;
}

static void rotate_keys(struct script *script)
{
    uint8_t(*epochs)[COOKIE_KEY_LEN] = script->server.keys.epochs;
    memcpy(epochs[1], epochs[0], COOKIE_KEY_LEN);
    epochs[0][0] = ++script->key;
    /* Older cookies are right once in some hundred times, and what follows then is nonsense. */
    for (unsigned i = 0; i < HONEST; i++)
        if (++script->clients[i].rotations >= COOKIE_EPOCHS)
            script->clients[i].state = DIALOGUE_CLOSED;
}

/* Other servers with the same keys, and ones that have just begun. */
static void change_server(struct script *script, unsigned argument)
{
    struct dialogue_server *server = &script->server;
    if (argument == 3) {
        server->has_driver = !server->has_driver;
        return;
    }
    if (argument & 4)
        dialogue_server_forget(server);
    server->recent = argument & 2 ? NULL : &server->recents[argument & 1];
}

/* ---- the hostile client ---- */

static void look_at_answer(struct script *script)
{
    const struct train *train = &script->server.train;
    struct hostile *hostile = &script->hostile;
    const uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; at += train->frame_len[i++]) {
        struct packet packet;
        packet_parse(at, train->frame_len[i], false, PACKET_CHECKSUM_NEVER, &packet);
        if (packet.flags & PACKET_SYN)
            hostile->iss = packet.seq;
        if (packet.has_timestamps)
            hostile->value = packet.timestamp_value;
        if (!(packet.flags & PACKET_RST))
            hostile->end = packet.seq + packet.payload_len;
        uint32_t low = 0;
        for (uint32_t j = 0; j < packet.payload_len; j++)
            low += packet.payload[j] < 0x80;
        /* Lengths and versions only. */
        MUST(script->server.has_low || low <= 3 * (1 + packet.payload_len / 14));
    }
}

static void send_hostile(struct script *script)
{
    static uint8_t frame[FRAME_CAP];
    size_t len = frame_build(&script->hostile.spec, frame);
    dialogue_server_receive(&script->server, frame, len);
    look_at_answer(script);
}

static size_t write_hostile_options(struct script *script, unsigned how, uint32_t echo)
{
    uint8_t *options = script->hostile.options;
    size_t len = 0;
    if (how & 4) { /* any octets */
        len = take_8(script) % 11 * 4u;
        for (size_t i = 0; i < len; i++)
            options[i] = take_8(script);
        return len;
    }
    if (how & 1) {
        memcpy(options, "\1\1\10\12\0\0\0\11", 8);
        for (unsigned i = 0; i < 4; i++)
            options[8 + i] = (uint8_t)(echo >> (24 - 8 * i));
        len = 12;
    }
    if (how & 2) {
        memcpy(options + len, "\1\1\5\12", 4);
        uint32_t left = script->hostile.spec.ack + take_16(script);
        uint32_t right = left + take_16(script);
        for (unsigned i = 0; i < 4; i++) {
            options[len + 4 + i] = (uint8_t)(left >> (24 - 8 * i));
            options[len + 8 + i] = (uint8_t)(right >> (24 - 8 * i));
        }
        len += 12;
    }
    return len;
}

/* Requests, pieces of them, anything. */
static size_t write_hostile_payload(struct script *script, unsigned how)
{
    uint8_t *payload = script->hostile.payload;
    size_t len = 0, cut;
    for (unsigned i = 0; i < (how & 3); i++)
        len += dialogue_request(take_8(script) | 0x80, payload + len);
    switch (how >> 2 & 3) {
    case 0:
        return len;
    case 1: /* the beginning away */
        cut = take_8(script);
        cut = cut < len ? cut : len;
        memmove(payload, payload + cut, len - cut);
        return len - cut;
    case 2: /* the end away */
        cut = take_8(script);
        return cut < len ? cut : len;
    default:
        cut = take_8(script) & 63;
        for (size_t i = 0; i < cut; i++)
            payload[len + i] = take_8(script);
        return len + cut;
    }
}

static void hostile_syn(struct script *script)
{
    static const uint8_t offer[24] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0,  0, 0, 7,
                                      0, 0, 0,    0,    1, 3, 3, 7,  34, 2, 1, 1};
    struct hostile *hostile = &script->hostile;
    uint8_t how = take_8(script);
    hostile->spec.seq = hostile->irs = 0xfffffff0;
    hostile->spec.ack = 0;
    hostile->spec.flags = PACKET_SYN | (how & 8 ? take_8(script) : 0);
    hostile->spec.options = offer + (how & 7);
    hostile->spec.options_len = sizeof offer - (how & 4);
    if (how & 3) {
        hostile->spec.options = hostile->options;
        hostile->spec.options_len = write_hostile_options(script, 4, 0);
    }
    hostile->spec.payload_len = write_hostile_payload(script, how >> 4);
    send_hostile(script);
}

static void hostile_segment(struct script *script, unsigned argument)
{
    struct hostile *hostile = &script->hostile;
    uint8_t how = take_8(script);
    static const uint16_t windows[4] = {64240, 65535, 600, 1};
    hostile->spec.flags = PACKET_ACK | (argument & 1 ? PACKET_FIN : 0);
    if (argument & 2)
        hostile->spec.flags = take_8(script);
    hostile->spec.seq = hostile->irs + 1 + (how & 1 ? take_16(script) : 0);
    hostile->spec.ack = how & 2 ? hostile->iss + 1 + take_16(script) : hostile->end;
    if (argument & 4)
        hostile->spec.ack += take_32(script);
    hostile->spec.window = windows[how >> 2 & 3];
    uint32_t echo = hostile->value;
    if (how & 16)
        echo += (uint32_t)(int8_t)take_8(script) << (take_8(script) & 31);
    hostile->spec.options = hostile->options;
    hostile->spec.options_len = write_hostile_options(script, how >> 5, echo);
    hostile->spec.payload_len = write_hostile_payload(script, take_8(script));
    send_hostile(script);
}

/* The frame as it was last, some octets changed. */
static void hostile_again(struct script *script, unsigned argument)
{
    static uint8_t frame[FRAME_CAP];
    size_t len = frame_build(&script->hostile.spec, frame);
    for (unsigned i = 0; i < argument; i++) {
        size_t at = take_8(script);
        frame[at < len ? at : 0] ^= take_8(script);
    }
    if (argument == 7)
        len -= take_8(script) % len;
    dialogue_server_receive(&script->server, frame, len);
}

/* In the name of an honest client, by somebody who cannot hear what it hears. */
static void forge(struct script *script, unsigned argument)
{
    static uint8_t frame[FRAME_CAP];
    struct hostile *hostile = &script->hostile;
    const struct dialogue_client *client = &script->clients[argument & 1];
    struct frame_spec spec = frame_spec_client(client->family);
    spec.source_port = client->port;
    spec.flags = PACKET_ACK | (argument & 2 ? PACKET_FIN : 0);
    spec.seq = client->irs + 1 + take_16(script);
    spec.ack = client->iss + take_32(script);
    spec.options = hostile->options;
    spec.options_len = write_hostile_options(script, argument & 4 ? 3 : 1, client->recent);
    spec.payload = hostile->payload;
    spec.payload_len = write_hostile_payload(script, take_8(script));
    size_t len = frame_build(&spec, frame);
    struct packet packet;
    struct cookie_proof proof;
    /* It may guess right, once in some hundreds of times; not here. */
    if (packet_parse(frame, len, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP &&
        !modern_is_proven(&script->server.keys, &packet, script->server.recent, &proof) &&
        !cookie_verify(&script->server.keys, &packet, &proof))
        dialogue_server_receive(&script->server, frame, len);
}

/* ---- our own frames, back ---- */

/* A mirror acknowledges whatever it gets, as clients in TIME-WAIT do. */
static size_t mirror(const uint8_t *octets, size_t len, uint8_t *frame)
{
    struct packet packet;
    uint8_t options[12] = {1, 1, 8, 10};
    MUST(packet_parse(octets, len, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP);
    struct frame_spec spec = frame_spec_client(packet.source.family);
    if (packet.flags & (PACKET_RST | PACKET_SYN))
        return 0;
    spec.source_port = packet.destination_port;
    if (spec.source_port != HOSTILE_PORT) /* it would lie in an honest client's name */
        return 0;
    spec.seq = packet.ack;
    spec.ack = packet.seq + packet.payload_len + (packet.flags & PACKET_FIN ? 1 : 0);
    spec.flags = PACKET_ACK;
    for (unsigned i = 0; i < 4; i++) {
        options[4 + i] = (uint8_t)(packet.timestamp_echo >> (24 - 8 * i));
        options[8 + i] = (uint8_t)(packet.timestamp_value >> (24 - 8 * i));
    }
    spec.options = options;
    spec.options_len = packet.has_timestamps ? sizeof options : 0;
    return frame_build(&spec, frame);
}

/* One frame of the last train, and whatever it draws. */
static void echo(struct script *script, unsigned argument)
{
    static uint8_t frame[FRAME_CAP], queue[16][DIALOGUE_FRAME_MAX];
    size_t lens[16];
    unsigned count = 0;
    const uint8_t *at = script->server.train.octets;
    for (uint32_t i = 0; i < script->server.train.frame_count && count < 16; i++) {
        lens[count] = script->server.train.frame_len[i];
        MUST(lens[count] <= DIALOGUE_FRAME_MAX);
        memcpy(queue[count], at, lens[count]);
        at += lens[count++];
    }
    for (unsigned draws = 0; count > 0;) {
        size_t len = lens[--count];
        MUST(draws++ < 400); /* they go on */
        memcpy(frame, queue[count], len);
        if (argument & 1)
            len = mirror(queue[count], len, frame);
        if (len == 0)
            continue;
        dialogue_server_receive(&script->server, frame, len);
        at = script->server.train.octets;
        for (uint32_t i = 0; i < script->server.train.frame_count && count < 16; i++) {
            lens[count] = script->server.train.frame_len[i];
            memcpy(queue[count], at, lens[count]);
            at += lens[count++];
        }
    }
}

/* ---- the script ---- */

static void step(struct script *script)
{
    uint8_t octet = take_8(script);
    unsigned step = octet >> 3 & 15, argument = octet & 7;
    if (octet < 0x80 && step < 10) {
        step_honest(script, step, argument);
        return;
    }
    switch (step) {
    case 0:
    case 1:
        change_snapshot(script);
        return;
    case 2:
        settle(script);
        return;
    case 3:
        change_server(script, argument);
        return;
    case 4:
        rotate_keys(script);
        return;
    case 5:
        hostile_syn(script);
        return;
    case 6:
    case 7:
    case 8:
        hostile_segment(script, argument);
        return;
    case 9:
        hostile_again(script, argument);
        return;
    case 10:
        forge(script, argument);
        return;
    case 11:
        echo(script, argument);
        return;
    default:
        dialogue_client_drain(&script->clients[argument & 1], &script->server);
        return;
    }
}

static void begin(struct script *script)
{
    static const uint16_t bursts[4] = {10, 2, 3, 1};
    uint8_t how = take_8(script);
    struct stateless_tcp_config *config = &script->server.config;
    *config = stateless_tcp_config_default();
    dialogue_server_forget(&script->server);
    script->server.recent = how & HOW_TWICE ? &script->server.recents[0] : NULL;
    config->profile = how & HOW_CLASSIC ? STATELESS_TCP_CLASSIC : STATELESS_TCP_MODERN;
    config->has_stale_reset = !(how & HOW_NO_RESET);
    config->burst = bursts[how >> 6];
    config->has_fast_open = how & HOW_LARGE_SEGMENT;
    if (how & HOW_LARGE_SEGMENT)
        config->segment_size = STATELESS_TCP_SEGMENT_MAX;
    script->server.is_twice = how & HOW_TWICE;
    script->server.is_settled = true;
    script->server.keys = (struct stateless_tcp_keys){.epochs = {{1}, {2}}};
    script->key = 3;
    for (unsigned i = 0; i < HONEST; i++) {
        script->clients[i].family = how & HOW_IPV6 ? 6 : 4;
        script->clients[i].port = (uint16_t)(40000 + i);
        script->clients[i].irs = 0xffffffe0;
        script->clients[i].air = air[i];
        script->clients[i].requests = requests[i];
        script->clients[i].stream = streams[i];
    }
    script->hostile.spec = frame_spec_client(how & HOW_HOSTILE_IPV6 ? 6 : 4);
    script->hostile.spec.source_port = HOSTILE_PORT;
    script->hostile.spec.payload = script->hostile.payload;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script script;
    script = (struct script){.at = data, .end = data + size};
    begin(&script);
    for (unsigned i = 0; i < STEPS_MAX && script.at < script.end; i++)
        step(&script);
    if (script.server.config.profile == STATELESS_TCP_MODERN)
        for (unsigned i = 0; i < HONEST; i++)
            dialogue_client_drain(&script.clients[i], &script.server);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "dialogue.h"

#include "../unit/driver_front.h"

#define PATTERN_LEN (65536 + 8192)
#define FRAME_ROOM 4096
#define RECENT_OCTETS_MAX 12000 /* more than a tail, what joins it and what keeps it */

/* About what fits one segment, and what does not; 0 is no response at all. */
static const uint16_t response_lens[16] = {12,   40,   90,   300,  498,  510,  511, 522,
                                           1100, 1206, 1207, 1500, 2000, 5200, 700, 0};

static uint8_t pattern[2][PATTERN_LEN];
static uint8_t stream[STATELESS_TCP_STREAM_CAP];
static uint8_t train_octets[TRAIN_CAP], again_octets[TRAIN_CAP];
/* The frame stands at its end, so that a sanitizer sees the first octet too many. */
static uint8_t frame_room[FRAME_ROOM];
/* One for each cache, and one for what is evaluated twice. */
static struct recent_entry entries[3][2];
static uint8_t octets[3][RECENT_OCTETS_MAX];
static struct recent_note notes[RECENT_NOTES];

uint32_t dialogue_response_len(uint8_t id, uint8_t version)
{
    if ((id & 0x7f) == 0x7f)
        return 65535;
    if (id & 0x40)
        id = (uint8_t)(id + version) & 0x0f;
    return response_lens[id & 0x0f];
}

const uint8_t *dialogue_response_rest(uint8_t id, uint8_t version)
{
    static bool is_made;
    for (uint32_t i = 0, random = 1; !is_made && i < PATTERN_LEN; i++) {
        random = random * 1664525 + 1013904223;
        pattern[0][i] = (uint8_t)(random >> 24 & 0x7f);
        pattern[1][i] = (uint8_t)(random >> 24 | 0x80);
    }
    is_made = true;
    return pattern[id >> 7] + (id & 0x7f) * 41 + (version & 15) * 160;
}

uint32_t dialogue_request(uint8_t id, uint8_t *out)
{
    /* An identifier that is no length, and no second QDCOUNT of 1: what could be something else may
     * be taken for it. */
    static const uint8_t head[19] = {0, 17, 0xd5, 0, 1, 0, 0, 1, [15] = 2, [17] = 3};
    uint32_t len = id & 0x20 ? DIALOGUE_REQUEST_MAX : sizeof(head);
    memset(out, 0, len);
    memcpy(out, head, sizeof(head));
    out[1] = (uint8_t)(len - 2);
    out[3] = id;
    if (len > sizeof(head)) { /* OPT, with an option or two: a message that tells its length */
        out[13] = 1;
        out[21] = 41;
        out[28] = (uint8_t)((len - 30) >> 8);
        out[29] = (uint8_t)(len - 30);
    }
    return len;
}

/* The responder: a pure function of the request and the version. */
static uint32_t respond_to(struct dialogue_server *server, const uint8_t *request, size_t len,
                           uint8_t *out)
{
    MUST(len >= 12);
    uint8_t id = request[1];
    uint32_t response_len = request[2] & 0x80 ? 0 : dialogue_response_len(id, server->version);
    server->has_low |= id < 0x80;
    if (response_len == 0)
        return 0;
    out[0] = id;
    out[1] = server->version;
    memcpy(out + DIALOGUE_RESPONSE_HEAD, dialogue_response_rest(id, server->version),
           response_len - DIALOGUE_RESPONSE_HEAD);
    return response_len;
}

void dialogue_server_forget(struct dialogue_server *server)
{
    static const uint32_t caps[2] = {RECENT_OCTETS_MAX, 9000};
    memset(entries, 0, sizeof entries);
    memset(notes, 0, sizeof notes);
    for (unsigned i = 0; i < 2; i++)
        server->recents[i] = (struct recent){.entries = entries[i],
                                             .entry_mask = 1 - i,
                                             .notes = notes,
                                             .ring = octet_ring_make(octets[i], caps[i]),
                                             .snapshot = server->version};
}

static void serve(struct dialogue_server *server, const struct packet *packet,
                  struct recent *recent, struct train *train)
{
    struct stateless_tcp_query query;
    const uint8_t *request;
    size_t request_len;
    switch (stateless_tcp_receive(&server->config, &server->keys, packet, server->is_settled,
                                  recent, &query, train)) {
    case STATELESS_TCP_DROP:
        MUST(train->frame_count == 0);
        return;
    case STATELESS_TCP_SEND:
        return;
    case STATELESS_TCP_QUERY:
        while (stateless_tcp_next(&query, &request, &request_len)) {
            uint8_t *at = stream + query.stream_at;
            MUST(query.stream_at + 2 + 65535 <= sizeof stream);
            stateless_tcp_send(&query, at, respond_to(server, request, request_len, at + 2), train);
        }
        stateless_tcp_finish(&query, train);
        return;
    }
}

/* ---- what every answer must be like ---- */

/* Whether the sender has heard our SYN+ACK, and the class of its MSS. */
static bool is_proven(const struct dialogue_server *server, const struct packet *asked,
                      struct cookie_proof *proof)
{
    if (server->config.profile == STATELESS_TCP_CLASSIC)
        return !(asked->flags & PACKET_SYN) && cookie_verify(&server->keys, asked, proof);
    if (asked->flags & PACKET_SYN) {
        proof->mss_class = cookie_class(asked->mss);
        return server->config.has_fast_open && cookie_verify_fast_open(&server->keys, asked);
    }
    return modern_is_proven(&server->keys, asked, server->recent, proof);
}

static void check_mirrored(const struct packet *asked, const struct packet *answer)
{
    MUST(memcmp(&answer->source, &asked->destination, sizeof answer->source) == 0);
    MUST(memcmp(&answer->destination, &asked->source, sizeof answer->source) == 0);
    MUST(answer->source_port == asked->destination_port);
    MUST(answer->destination_port == asked->source_port);
    MUST(memcmp(answer->mac_destination, asked->mac_source, 6) == 0);
    MUST(memcmp(answer->mac_source, asked->mac_destination, 6) == 0);
    MUST(answer->vlan_count == asked->vlan_count);
    MUST(memcmp(answer->vlans, asked->vlans, sizeof answer->vlans) == 0);
    MUST(answer->flow_label == asked->flow_label);
}

static void check_flags(const struct packet *asked, const struct packet *answer)
{
    unsigned control = asked->flags & (PACKET_SYN | PACKET_ACK | PACKET_RST);
    unsigned flags = answer->flags;
    if (control == PACKET_SYN) {
        MUST(flags == (PACKET_SYN | PACKET_ACK) || !(flags & PACKET_SYN));
    } else {
        MUST(control == PACKET_ACK && !(flags & PACKET_SYN));
    }
    if (flags & PACKET_RST) { /* RFC 9293 3.10.7.1 */
        MUST(flags == PACKET_RST && answer->payload_len == 0 && answer->seq == asked->ack);
        return;
    }
    MUST(flags & PACKET_ACK);
    MUST(!answer->has_timestamps || answer->timestamp_echo == asked->timestamp_value);
    MUST(!answer->has_timestamps || asked->has_timestamps);
}

/* Octets of our stream: to whom, how many, how far. */
static void check_data(const struct dialogue_server *server, const struct packet *asked,
                       const struct packet *answer, const struct cookie_proof *proof)
{
    uint32_t most = cookie_class_mss(proof->mss_class);
    MUST(answer->payload_len <= server->config.segment_size);
    MUST(answer->payload_len <= most - (answer->has_timestamps ? 12 : 0));
    if (server->config.profile == STATELESS_TCP_CLASSIC)
        return;
    uint32_t expected =
        asked->flags & PACKET_SYN ? cookie_make(&server->keys, asked) + 1 : asked->ack;
    MUST(answer->seq - expected + answer->payload_len <= asked->window);
}

static void check_answer(const struct dialogue_server *server, const struct packet *asked,
                         const struct train *train)
{
    struct cookie_proof proof = {0};
    if (train->frame_count == 0)
        return;
    MUST(!(asked->flags & PACKET_RST));
    bool is_heard = is_proven(server, asked, &proof);
    size_t ethernet_len = PACKET_ETHERNET_HEADER_LEN + 4u * asked->vlan_count;
    MUST(is_heard ||
         (train->frame_count == 1 && train->frame_len[0] <= ethernet_len + asked->ip_len));
    const uint8_t *at = train->octets;
    uint32_t data_count = 0;
    for (uint32_t i = 0; i < train->frame_count; at += train->frame_len[i++]) {
        struct packet answer;
        MUST(packet_parse(at, train->frame_len[i], false, PACKET_CHECKSUM_ALWAYS, &answer) ==
             PACKET_TCP);
        check_mirrored(asked, &answer);
        check_flags(asked, &answer);
        if (answer.payload_len > 0)
            check_data(server, asked, &answer, &proof);
        MUST(is_heard || answer.payload_len == 0);
        data_count += answer.payload_len > 0;
    }
    MUST(at == train->octets + train->len);
    MUST(server->config.profile == STATELESS_TCP_CLASSIC || data_count <= server->config.burst);
}

/* A second evaluation, with a copy of the cache. */
static void serve_copy(struct dialogue_server *server, const struct packet *packet,
                       struct train *train)
{
    if (server->recent == NULL) {
        serve(server, packet, NULL, train);
        return;
    }
    struct recent copy = *server->recent;
    copy.entries = entries[2];
    copy.ring.octets = octets[2];
    memcpy(copy.entries, server->recent->entries, sizeof entries[2]);
    memcpy(copy.ring.octets, server->recent->ring.octets,
           copy.ring.written < copy.ring.cap ? (size_t)copy.ring.written : copy.ring.cap);
    serve(server, packet, &copy, train);
}

/* What the driver knows: all. */
static struct dialogue_server *asked_server;

static size_t respond_there(const uint8_t *request, size_t request_len, uint8_t *response)
{
    return respond_to(asked_server, request, request_len, response);
}

/* Whether the driver takes the frame. */
static bool drive(struct dialogue_server *server, const uint8_t *frame, size_t len)
{
    const struct driver_front_known known = {
        .respond = respond_there, .notes = notes, .snapshot = server->version};
    enum driver_counter counter;
    memcpy(again_octets, frame, len);
    switch (driver_front(&server->config, &server->keys, NULL, 0, &known, again_octets, &len,
                         &counter)) {
    case DRIVER_CLIMB:
        return false;
    case DRIVER_DROP:
        return true;
    case DRIVER_TX:
        memcpy(train_octets, again_octets, len);
        server->train.frame_count = 1;
        server->train.frame_len[0] = (uint16_t)len;
        server->train.len = (uint32_t)len;
        return true;
    }
    return false;
}

void dialogue_server_receive(struct dialogue_server *server, const uint8_t *frame, size_t len)
{
    server->train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
    MUST(len <= FRAME_ROOM);
    uint8_t *at = frame_room + FRAME_ROOM - len;
    memmove(at, frame, len);
    struct packet packet;
    if (packet_parse(at, len, false, server->config.checksum_policy, &packet) != PACKET_TCP)
        return;
    asked_server = server;
    if (server->has_driver && drive(server, at, len)) {
        check_answer(server, &packet, &server->train);
        return;
    }
    struct train again = {.octets = again_octets, .cap = sizeof again_octets};
    if (server->is_twice)
        serve_copy(server, &packet, &again);
    struct recent_entry before[2][2];
    memcpy(before, entries, sizeof before);
    serve(server, &packet, server->recent, &server->train);
    MUST(memcmp(at, frame, len) == 0);
    if (server->is_twice) {
        MUST(again.frame_count == server->train.frame_count && again.len == server->train.len);
        MUST(memcmp(again_octets, train_octets, again.len) == 0);
    }
    check_answer(server, &packet, &server->train);
    if (server->recent == NULL)
        driver_front_compare(&server->config, &server->keys,
                             &(struct driver_front_known){.respond = respond_there}, at, len,
                             &server->train);
    struct cookie_proof proof;
    if (memcmp(before, entries, sizeof before) != 0)
        MUST(is_proven(server, &packet, &proof));
}

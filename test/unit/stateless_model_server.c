/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/stateless_model.h"

#include "test/unit/driver_front.h"

#define RING_CAP 8192

const struct scenario *scenario;
uint32_t model_iss;
uint8_t model_requests[200];
uint32_t model_requests_len, model_request_end[REQUESTS + 1];
uint8_t model_streams[1 << REQUESTS][STREAM_CAP];
uint32_t model_stream_len[1 << REQUESTS], model_response_end[1 << REQUESTS][REQUESTS + 1];

static struct stateless_tcp_config config;
static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static uint8_t stream[STATELESS_TCP_STREAM_CAP], train_octets[TRAIN_CAP];
static uint8_t ring[RING_CAP];
static uint32_t ring_cap;
static struct recent_note notes[RECENT_NOTES]; /* all of one connection, at: */
static uint32_t note_place;

/* ---- responses ---- */

unsigned model_versions(void)
{
    return scenario->changes > 0 ? 1u << scenario->count : 1;
}

static uint8_t response_octet(unsigned id, bool is_changed, size_t at)
{
    return (uint8_t)(id * 101 + at * 31 + at / 256 + 7 + is_changed * 128);
}

static uint32_t response_len(unsigned id, bool is_changed)
{
    return is_changed ? scenario->changed_len[id] : scenario->response_len[id];
}

static void write_response(unsigned id, bool is_changed, uint8_t *out)
{
    for (size_t i = 0, len = response_len(id, is_changed); i < len; i++)
        out[i] = response_octet(id, is_changed, i);
}

static void write_streams(void)
{
    for (unsigned versions = 0; versions < model_versions(); versions++) {
        uint32_t at = 0;
        for (unsigned i = 0; i < scenario->count; i++) {
            bool is_changed = versions >> i & 1;
            uint32_t len = response_len(i, is_changed);
            must_be(at + 2 + len < STREAM_CAP);
            model_streams[versions][at++] = (uint8_t)(len >> 8);
            model_streams[versions][at++] = (uint8_t)len;
            write_response(i, is_changed, model_streams[versions] + at);
            at += len;
            model_response_end[versions][i + 1] = at;
        }
        model_stream_len[versions] = at;
    }
}

/* Which of our streams has these octets there; all of them if none has. */
static uint16_t find_versions(uint32_t offset, const uint8_t *octets, size_t len)
{
    uint16_t versions = 0;
    while (versions < model_versions() &&
           (offset + len > model_stream_len[versions] ||
            memcmp(octets, model_streams[versions] + offset, len) != 0))
        versions++;
    return versions;
}

/* ---- the cache ---- */

static bool is_valid(const struct memory *memory, uint64_t at, uint32_t len)
{
    return len > 0 && memory->written - at <= ring_cap;
}

bool memory_has_octets(const struct memory *memory)
{
    const struct recent_entry *entry = &memory->entry;
    return is_valid(memory, entry->at, entry->octets_len) ||
           is_valid(memory, entry->tail_at, entry->tail_len);
}

void memory_forget(struct memory *memory, bool is_octets_only)
{
    struct recent_note note = memory->note;
    if (is_octets_only) {
        memory->written = 0;
        memory->entry.at = memory->entry.tail_at = memory->written - ring_cap - 1;
        memory->note = (struct recent_note){0};
    } else {
        *memory = (struct memory){.note = note};
    }
}

static uint32_t tail_offset(const struct recent_entry *entry)
{
    return entry->seq_end - IRS - 1;
}

/* A cache of one entry that knows what `memory` says. */
static struct recent memory_open(const struct world *world, const struct memory *memory,
                                 struct recent_entry *slot)
{
    *slot = memory->entry;
    memset(ring, 0xee, ring_cap);
    if (is_valid(memory, slot->at, slot->octets_len))
        memcpy(ring + slot->at, model_streams[memory->versions] + slot->start, slot->octets_len);
    if (is_valid(memory, slot->tail_at, slot->tail_len))
        memcpy(ring + slot->tail_at, model_requests + tail_offset(slot), slot->tail_len);
    return (struct recent){
        .entries = slot,
        .ring = {.octets = ring, .cap = ring_cap, .written = memory->written},
        .snapshot = world->is_changed,
        .notes = notes,
    };
}

/* What it knows now. Where in the ring its octets are tells nothing: the older ones first. */
static void memory_close(struct memory *memory, const struct recent *recent)
{
    struct recent_entry *entry = recent->entries;
    const uint8_t *octets = recent_octets(recent, entry), *tail = recent_tail(recent, entry);
    uint32_t octets_len = octets == NULL ? 0 : entry->octets_len;
    uint32_t tail_len = tail == NULL ? 0 : entry->tail_len;
    bool is_tail_first = entry->tail_at < entry->at;
    *memory =
        (struct memory){.entry = *entry, .note = memory->note, .written = octets_len + tail_len};
    memory->entry.at = memory->entry.tail_at = memory->written - ring_cap - 1;
    if (octets_len > 0) {
        must_be(octets_len == entry->end - entry->start);
        memory->versions = find_versions(entry->start, octets, octets_len);
        must(memory->versions < model_versions(), "wrong octets are kept");
        memory->entry.at = is_tail_first ? tail_len : 0;
    }
    if (tail_len > 0) {
        must_be(tail_offset(entry) + tail_len <= model_requests_len);
        must_be(memcmp(tail, model_requests + tail_offset(entry), tail_len) == 0);
        memory->entry.tail_at = is_tail_first ? 0 : octets_len;
    }
}

/* ---- real frames ---- */

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t build(const struct segment *segment, uint8_t *frame)
{
    static const uint8_t syn_options[8] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10};
    uint8_t options[40] = {1, 1, 8, 10};
    size_t options_len = 12;
    if (segment->flags & PACKET_SYN) {
        memcpy(options, syn_options, sizeof(syn_options));
        options_len = 16;
    }
    put32(options + options_len - 8, segment->value);
    put32(options + options_len - 4, segment->echo);
    if (scenario->has_no_timestamps)
        options_len = segment->flags & PACKET_SYN ? 4 : 0;
    if (segment->sack_count > 0) {
        uint8_t head[4] = {1, 1, 5, (uint8_t)(2 + 8 * segment->sack_count)};
        memcpy(options + options_len, head, sizeof(head));
        options_len += sizeof(head);
    }
    for (unsigned i = 0; i < segment->sack_count; i++, options_len += 8) {
        put32(options + options_len, model_iss + 1 + segment->sacks[i].from);
        put32(options + options_len + 4, model_iss + 1 + segment->sacks[i].to);
    }
    struct frame_spec spec = frame_spec_client(4);
    spec.seq = segment->seq;
    spec.ack = segment->ack;
    spec.flags = segment->flags;
    spec.window = (uint16_t)scenario->window;
    spec.options = options;
    spec.options_len = options_len;
    spec.payload = model_requests + segment->at;
    spec.payload_len = segment->len;
    return frame_build(&spec, frame);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void respond_to(const struct world *world, struct stateless_tcp_query *query,
                       struct train *train)
{
    const uint8_t *request;
    size_t request_len;
    while (stateless_tcp_next(query, &request, &request_len)) {
        must_be(request_len == 17);
        unsigned id = request[1];
        must_be(id < scenario->count);
        write_response(id, world->is_changed, stream + query->stream_at + 2);
        stateless_tcp_send(query, stream + query->stream_at, response_len(id, world->is_changed),
                           train);
    }
    stateless_tcp_finish(query, train);
}

/* A frame of ours: is it as it should be? */
static struct segment look(const struct segment *segment, const uint8_t *frame, size_t frame_len)
{
    struct frame_view view = frame_view(frame, frame_len);
    struct segment out = {
        .seq = view.seq,
        .ack = view.ack,
        .flags = view.flags,
        .len = (uint16_t)view.payload_len,
    };
    bool is_syn = view.flags & PACKET_SYN;
    if (view.options_len >= 12) {
        out.value = be32(view.options + view.options_len - 8);
        out.echo = be32(view.options + view.options_len - 4);
        must_be(out.echo == segment->value);
    } else {
        must_be(scenario->has_no_timestamps || (view.flags & PACKET_RST));
    }
    if (is_syn) {
        must_be(view.seq == model_iss && view.ack == IRS + 1 && (segment->flags & PACKET_SYN));
        return out;
    }
    uint32_t offset = view.seq - model_iss - 1, len = out.len;
    out.at = (uint16_t)offset;
    if (len == 0) {
        must_be(offset <= model_stream_len[0] + 1 || scenario->changes > 0);
        return out;
    }
    out.versions = find_versions(offset, view.payload, len);
    must(out.versions < model_versions(), "wrong octets: %u at %u", len, offset);
    must_be(offset + len <=
            segment->ack - model_iss - 1 + (scenario->window ? scenario->window : 64240));
    return out;
}

/* What the driver knows of the present responses: all. */
static bool is_changed_there;

static size_t respond_there(const uint8_t *request, size_t request_len, uint8_t *response)
{
    must_be(request_len == 17 && request[1] < scenario->count);
    write_response(request[1], is_changed_there, response);
    return response_len(request[1], is_changed_there);
}

/* The XDP program's part: what it leaves in the frame is sent. */
static bool driver_receive(struct world *world, struct memory *memory,
                           const struct segment *segment, uint8_t *frame, size_t frame_len)
{
    const struct driver_front_known known = {
        .respond = respond_there, .notes = notes, .snapshot = world->is_changed};
    enum driver_counter counter;
    struct segment out;
    is_changed_there = world->is_changed;
    switch (driver_front(&config, &keys, NULL, 0, &known, frame, &frame_len, &counter)) {
    case DRIVER_CLIMB:
        return false;
    case DRIVER_DROP:
        return true;
    case DRIVER_TX:
        memory->note = notes[note_place];
        out = look(segment, frame, frame_len);
        world_fly(world, &out);
        return true;
    }
    return false;
}

void server_receive(struct world *world, struct memory *memory, const struct segment *segment)
{
    static uint8_t frame[FRAME_CAP];
    size_t frame_len = build(segment, frame);
    struct packet packet;
    must_be(packet_parse(frame, frame_len, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP);
    struct train train = {.octets = train_octets, .cap = TRAIN_CAP};
    struct cookie_proof proof;
    if (!(packet.flags & PACKET_SYN) && cookie_read(&keys, &packet, &proof))
        note_place = recent_note_place(proof.connection);
    if (memory != NULL)
        notes[note_place] = memory->note;
    if (scenario->has_driver && driver_receive(world, memory, segment, frame, frame_len))
        return;
    struct recent_entry slot;
    struct recent recent;
    if (memory != NULL)
        recent = memory_open(world, memory, &slot);
    struct stateless_tcp_query query;
    is_changed_there = world->is_changed;
    if (stateless_tcp_receive(&config, &keys, &packet, !world->is_changed,
                              memory == NULL ? NULL : &recent, &query,
                              &train) == STATELESS_TCP_QUERY)
        respond_to(world, &query, &train);
    if (memory != NULL)
        memory_close(memory, &recent);
    else
        driver_front_compare(&config, &keys, &(struct driver_front_known){.respond = respond_there},
                             frame, frame_len, &train);
    must_be(train.frame_count <= config.burst);
    const uint8_t *at = train.octets;
    for (unsigned i = 0; i < train.frame_count; at += train.frame_len[i++]) {
        struct segment out = look(segment, at, train.frame_len[i]);
        world_fly(world, &out);
    }
}

/* ---- the beginning ---- */

static uint32_t shake_hands(void)
{
    struct segment syn = {.seq = IRS, .flags = PACKET_SYN, .value = 5};
    static uint8_t frame[FRAME_CAP];
    size_t frame_len = build(&syn, frame);
    struct packet packet;
    struct stateless_tcp_query query;
    struct train train = {.octets = train_octets, .cap = TRAIN_CAP};
    must_be(packet_parse(frame, frame_len, false, PACKET_CHECKSUM_AUTO, &packet) == PACKET_TCP);
    must_be(stateless_tcp_receive(&config, &keys, &packet, true, NULL, &query, &train) ==
            STATELESS_TCP_SEND);
    model_iss = frame_view(train.octets, train.frame_len[0]).seq;
    return look(&syn, train.octets, train.frame_len[0]).value;
}

uint32_t server_prepare(void)
{
    model_requests_len = 0;
    for (unsigned i = 0; i < scenario->count; i++) {
        uint8_t request[19] = {0, 17, 0, (uint8_t)i, 1, 0, 0, 1, [15] = 2, [17] = 1};
        memcpy(model_requests + model_requests_len, request, sizeof(request));
        model_requests_len += sizeof(request);
        model_request_end[i + 1] = model_requests_len;
    }
    write_streams();
    ring_cap = model_stream_len[model_versions() - 1];
    ring_cap =
        (ring_cap > model_stream_len[0] ? ring_cap : model_stream_len[0]) + 4 * model_requests_len;
    must_be(ring_cap <= RING_CAP);
    config = stateless_tcp_config_default();
    config.profile = STATELESS_TCP_MODERN;
    config.burst = (uint16_t)(scenario->burst ? scenario->burst : STATELESS_TCP_BURST_DEFAULT);
    return shake_hands();
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The agent between a network and a firewall that are only written down here.
 */
#include "stateless_frames.h"
#include "test_main.h"
#include "tools/goaway/agent.h"

#define NEWS_MAX 4096

static const struct goaway_keys keys = {{{1}, {2}}};
static struct agent agent;
static uint64_t now_ms;

/* What it did. */
static struct {
    enum agent_event events[NEWS_MAX];
    unsigned event_count, sent_count, block_count;
    uint8_t sent[GOAWAY_MESSAGE_MAX];
    size_t sent_len;
    struct goaway_ends sent_ends;
    enum goaway_code code;
    struct goaway_packet blocked;
    unsigned seconds;
    int send_outcome, block_outcome;
} did;

static int take_send(void *context, const struct goaway_ends *ends, const uint8_t *octets,
                     size_t len)
{
    (void)context;
    did.sent_count++;
    did.sent_ends = *ends;
    memcpy(did.sent, octets, len);
    did.sent_len = len;
    return did.send_outcome;
}

static int take_block(void *context, enum goaway_code code, const struct goaway_packet *packet,
                      unsigned seconds)
{
    (void)context;
    did.block_count++;
    did.code = code;
    did.blocked = *packet;
    did.seconds = seconds;
    return did.block_outcome;
}

static void take_news(void *context, const struct agent_news *news)
{
    (void)context;
    ck_assert_uint_lt(did.event_count, NEWS_MAX);
    did.events[did.event_count++] = news->event;
}

static void begin(void)
{
    const struct agent_config config = {.dampening_s = 60, .rate = 10, .key = {7}};
    const struct agent_io io = {NULL, take_send, take_block, take_news};
    memset(&did, 0, sizeof did);
    now_ms = 1000000;
    agent_begin(&agent, &config, &io);
}

static enum agent_event last(void)
{
    ck_assert_uint_gt(did.event_count, 0);
    return did.events[did.event_count - 1];
}

/* ---- packets ---- */

static uint8_t payload[80] = {0xab, 0xcd};

/* A query as a kernel hands it to its device: the checksum is not there yet. */
static struct frame_spec query(int family, uint16_t id)
{
    struct frame_spec spec = frame_spec_client(family);
    payload[0] = (uint8_t)(id >> 8);
    payload[1] = (uint8_t)id;
    spec.is_udp = true;
    spec.is_checksum_unset = true;
    spec.payload = payload;
    spec.payload_len = sizeof payload;
    return spec;
}

static void show(const struct frame_spec *spec, bool is_outgoing)
{
    static uint8_t frame[FRAME_CAP];
    size_t len = frame_build(spec, frame) - 14;
    uint8_t *copy = exact_copy(frame + 14, len);
    agent_packet(&agent, now_ms, is_outgoing, copy, len);
    free(copy);
}

static void answer(const struct frame_spec *spec)
{
    struct frame_spec back = *spec;
    memcpy(back.source, spec->destination, 16);
    memcpy(back.destination, spec->source, 16);
    back.source_port = spec->destination_port;
    back.destination_port = spec->source_port;
    show(&back, false);
}

static struct goaway_ends ends_of(const struct frame_spec *spec)
{
    struct goaway_ends ends = {{.family = (uint8_t)spec->family},
                               {.family = (uint8_t)spec->family}};
    size_t len = spec->family == 4 ? 4 : 16;
    memcpy(ends.source.octets, spec->source, len);
    memcpy(ends.destination.octets, spec->destination, len);
    return ends;
}

/* An ICMP message comes in. */
static void deliver(const struct goaway_ends *ends, const uint8_t *message, size_t len)
{
    uint8_t octets[PACKET_IPV6_HEADER_LEN + GOAWAY_MESSAGE_MAX] = {0};
    size_t header = ends->source.family == 4 ? 20 : 40;
    if (ends->source.family == 4) {
        octets[0] = 0x45;
        octets[3] = (uint8_t)(header + len);
        octets[8] = 64;
        octets[9] = 1;
        memcpy(octets + 12, ends->source.octets, 4);
        memcpy(octets + 16, ends->destination.octets, 4);
        uint32_t sum = 0;
        for (size_t i = 0; i < 20; i += 2)
            sum += (uint32_t)(octets[i] << 8 | octets[i + 1]);
        sum = (sum & 0xffff) + (sum >> 16);
        octets[10] = (uint8_t)(~sum >> 8);
        octets[11] = (uint8_t)~sum;
    } else {
        octets[0] = 0x60;
        octets[5] = (uint8_t)len;
        octets[6] = 58;
        memcpy(octets + 8, ends->source.octets, 16);
        memcpy(octets + 24, ends->destination.octets, 16);
    }
    memcpy(octets + header, message, len);
    uint8_t *copy = exact_copy(octets, header + len);
    agent_packet(&agent, now_ms, false, copy, header + len);
    free(copy);
}

static void goaway(const struct frame_spec *spec)
{
    uint8_t message[GOAWAY_MESSAGE_MAX];
    struct goaway_packet packet;
    const struct goaway_ends ends = ends_of(spec), back = {ends.destination, ends.source};
    ck_assert(goaway_packet_udp(&ends, spec->source_port, spec->destination_port, spec->payload,
                                spec->payload_len, &packet));
    size_t len = goaway_make(&keys, &packet, message);
    ck_assert_uint_gt(len, 0);
    deliver(&back, message, len);
}

/* The target's reply to the last Block. */
static void reply(enum goaway_code code)
{
    uint8_t message[GOAWAY_MESSAGE_MAX];
    struct goaway_message block;
    const struct goaway_ends *ends = &did.sent_ends, back = {ends->destination, ends->source};
    ck_assert(goaway_read(ends, did.sent, did.sent_len, &block));
    ck_assert(goaway_is_ours(&keys, &block));
    size_t len = goaway_make_reply(ends, did.sent, did.sent_len, code, message);
    deliver(&back, message, len);
}

/* ---- tests ---- */

START_TEST(test_exchange)
{
    for (int family = 4; family <= 6; family += 2)
        for (int code = GOAWAY_HOST; code <= GOAWAY_SOURCE; code++) {
            begin();
            const struct frame_spec spec = query(family, 1);
            show(&spec, true);
            goaway(&spec);
            ck_assert_int_eq(last(), AGENT_ASKED);
            ck_assert_uint_eq(did.block_count, 0);
            reply((enum goaway_code)code);
            ck_assert_int_eq(last(), AGENT_BLOCKED);
            ck_assert(did.block_count == 1 && (int)did.code == code && did.seconds == 60);
            ck_assert_uint_eq(did.blocked.destination_port, 53);
            reply((enum goaway_code)code); /* again */
            ck_assert_int_eq(last(), AGENT_UNASKED);
            ck_assert_uint_eq(did.block_count, 1);
            now_ms += 59999;
            agent_tick(&agent, now_ms);
            ck_assert_uint_eq(did.event_count, 3);
            now_ms += 1;
            agent_tick(&agent, now_ms);
            ck_assert_int_eq(last(), AGENT_ENDED);
        }
}
END_TEST

/* About nothing that was sent, or not quite that. */
START_TEST(test_spoofed)
{
    begin();
    struct frame_spec spec = query(4, 1);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_UNKNOWN);
    show(&spec, true);
    for (unsigned i = 0; i < 5; i++) {
        struct frame_spec other = query(4, 1);
        if (i == 0)
            other.source_port++;
        else if (i == 1)
            other.destination_port++;
        else if (i == 2)
            other.destination[3] += 5;
        else if (i == 3)
            other.payload_len--;
        else
            other = query(4, 2);
        goaway(&other);
        ck_assert_int_eq(last(), AGENT_UNKNOWN);
    }
    ck_assert_uint_eq(did.sent_count, 0);
    /* What comes in was not sent by us. */
    begin();
    spec = query(4, 1);
    show(&spec, false);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_UNKNOWN);
}
END_TEST

START_TEST(test_answered)
{
    begin();
    struct frame_spec spec = query(6, 1);
    show(&spec, true);
    answer(&spec);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_ANSWERED);
    /* An answer to what was before is none to this one. */
    spec = query(6, 2);
    show(&spec, true);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_ASKED);
    /* And one that comes while the Block is under way ends it. */
    answer(&spec);
    reply(GOAWAY_HOST);
    ck_assert_int_eq(last(), AGENT_ANSWERED);
    ck_assert_uint_eq(did.block_count, 0);
}
END_TEST

START_TEST(test_repeated)
{
    begin();
    const struct frame_spec spec = query(4, 1);
    show(&spec, true);
    goaway(&spec);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_REPEATED);
    ck_assert_uint_eq(did.sent_count, 1);
    reply(GOAWAY_PORT);
    now_ms += 61000;
    agent_tick(&agent, now_ms);
    goaway(&spec); /* replayed when the block is over */
    ck_assert_int_eq(last(), AGENT_UNKNOWN);
    ck_assert_uint_eq(did.block_count, 1);
}
END_TEST

START_TEST(test_late)
{
    begin();
    const struct frame_spec spec = query(4, 1);
    show(&spec, true);
    now_ms += AGENT_MEMORY_MS + 1;
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_UNKNOWN);
    show(&spec, true);
    goaway(&spec);
    now_ms += AGENT_WAIT_MS;
    agent_tick(&agent, now_ms);
    ck_assert_int_eq(last(), AGENT_SILENT);
    reply(GOAWAY_HOST);
    ck_assert_int_eq(last(), AGENT_UNASKED);
    ck_assert_uint_eq(did.block_count, 0);
}
END_TEST

/* A Block Reply with another nonce, from somebody else, or about another Block. */
START_TEST(test_wrong_reply)
{
    begin();
    const struct frame_spec spec = query(4, 1);
    show(&spec, true);
    goaway(&spec);
    uint8_t block[GOAWAY_MESSAGE_MAX], message[GOAWAY_MESSAGE_MAX];
    struct goaway_packet packet;
    struct goaway_ends ends = ends_of(&spec), back = {ends.destination, ends.source};
    ck_assert(goaway_packet_udp(&ends, spec.source_port, spec.destination_port, spec.payload,
                                spec.payload_len, &packet));
    uint8_t about[GOAWAY_MESSAGE_MAX];
    size_t len = goaway_make(&keys, &packet, about);
    size_t block_len = goaway_make_block(&back, about, len, 12345, block);
    deliver(&back, message, goaway_make_reply(&ends, block, block_len, GOAWAY_HOST, message));
    ck_assert_int_eq(last(), AGENT_UNASKED);
    /* The right nonce, from another host. */
    struct goaway_ends forged = did.sent_ends;
    forged.destination.octets[3] += 5;
    const struct goaway_ends forged_back = {forged.destination, forged.source};
    deliver(&forged_back, message,
            goaway_make_reply(&forged, did.sent, did.sent_len, GOAWAY_HOST, message));
    ck_assert_int_eq(last(), AGENT_UNSOUND);
    ck_assert_uint_eq(did.block_count, 0);
    reply(GOAWAY_NO_BLOCK);
    ck_assert_int_eq(last(), AGENT_DECLINED);
    reply(GOAWAY_HOST);
    ck_assert_int_eq(last(), AGENT_UNASKED);
    ck_assert_uint_eq(did.block_count, 0);
}
END_TEST

START_TEST(test_unsound)
{
    begin();
    const struct frame_spec spec = query(4, 1);
    const struct goaway_ends ends = ends_of(&spec), back = {ends.destination, ends.source};
    uint8_t message[GOAWAY_MESSAGE_MAX] = {GOAWAY_TYPE_V4};
    show(&spec, true);
    deliver(&back, message, 60);
    ck_assert_int_eq(last(), AGENT_UNSOUND);
    message[0] = 8; /* an echo request is not our business */
    deliver(&back, message, 60);
    ck_assert_uint_eq(did.event_count, 1);
}
END_TEST

/* However many come, Blocks are few, and all of them about what was sent. */
START_TEST(test_flood)
{
    begin();
    for (uint16_t id = 0; id < 1000; id++) {
        const struct frame_spec spec = query(4, id);
        show(&spec, true);
    }
    for (uint16_t id = 0; id < 1000; id++) {
        const struct frame_spec spec = query(4, id);
        goaway(&spec);
    }
    ck_assert_uint_eq(did.sent_count, 10);
    ck_assert_uint_eq(agent.counts[AGENT_BUSY] + agent.counts[AGENT_UNKNOWN], 990);
    now_ms += 500;
    for (uint16_t id = 0; id < 1000; id++) {
        const struct frame_spec spec = query(4, id);
        goaway(&spec);
    }
    ck_assert_uint_eq(did.sent_count, 15);
}
END_TEST

/* Of two packets that begin alike the last is meant. */
START_TEST(test_same_beginning)
{
    begin();
    struct frame_spec spec = query(4, 1);
    spec.payload_len = 36; /* no more than eight octets are quoted */
    memcpy(&payload[20], "\1\2\3\4", 4);
    show(&spec, true);
    now_ms += AGENT_MEMORY_MS + 1;
    memcpy(&payload[20], "\3\4\1\2", 4); /* the same checksum */
    show(&spec, true);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_ASKED);
}
END_TEST

/* More was sent than is remembered: the newest are known, the oldest not. */
START_TEST(test_memory)
{
    begin();
    const unsigned count = 3 * SENT_BUCKETS * SENT_WAYS;
    for (unsigned i = 0; i < count; i++) {
        struct frame_spec spec = query(4, (uint16_t)i);
        spec.source_port = (uint16_t)(1024 + i / 0x10000);
        show(&spec, true);
    }
    struct frame_spec spec = query(4, (uint16_t)(count - 1));
    spec.source_port = (uint16_t)(1024 + (count - 1) / 0x10000);
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_ASKED);
    spec = query(4, 0);
    spec.source_port = 1024;
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_UNKNOWN);
}
END_TEST

START_TEST(test_covered)
{
    begin();
    struct frame_spec one = query(4, 1);
    show(&one, true);
    struct frame_spec two = query(4, 2);
    show(&two, true);
    one = query(4, 1);
    goaway(&one);
    reply(GOAWAY_PORT);
    two = query(4, 2);
    goaway(&two);
    ck_assert_int_eq(last(), AGENT_COVERED);
    ck_assert_uint_eq(did.sent_count, 1);
    struct frame_spec elsewhere = query(4, 3);
    elsewhere.destination_port = 54;
    show(&elsewhere, true);
    goaway(&elsewhere);
    ck_assert_int_eq(last(), AGENT_ASKED);
}
END_TEST

/* On a router one source's block covers no other's packets. */
START_TEST(test_edge)
{
    for (unsigned is_edge = 0; is_edge < 2; is_edge++)
        for (unsigned code = GOAWAY_HOST; code < GOAWAY_CODE_COUNT; code++) {
            begin();
            agent.config.is_edge = is_edge != 0;
            struct frame_spec one = query(4, 1), two = query(4, 1);
            two.source[3] ^= 1;
            show(&one, true);
            goaway(&one);
            reply((enum goaway_code)code);
            ck_assert_int_eq(last(), AGENT_BLOCKED);
            show(&two, true);
            goaway(&two);
            bool is_other = is_edge != 0 || code == GOAWAY_SOURCE;
            ck_assert_int_eq(last(), is_other ? AGENT_ASKED : AGENT_COVERED);
            ck_assert_uint_eq(did.sent_count, is_other ? 2 : 1);
        }
}
END_TEST

START_TEST(test_failures)
{
    begin();
    const struct frame_spec spec = query(4, 1);
    show(&spec, true);
    did.send_outcome = -1;
    goaway(&spec);
    ck_assert_int_eq(last(), AGENT_FAILED);
    did.send_outcome = 0;
    show(&spec, true);
    goaway(&spec);
    did.block_outcome = -1;
    reply(GOAWAY_HOST);
    ck_assert_int_eq(last(), AGENT_FAILED);
    now_ms += 70000;
    agent_tick(&agent, now_ms);
    ck_assert_uint_eq(agent.counts[AGENT_ENDED], 0);
}
END_TEST

TEST_MAIN("goaway_agent", test_exchange, test_spoofed, test_answered, test_repeated, test_late,
          test_wrong_reply, test_unsound, test_flood, test_memory, test_same_beginning,
          test_covered, test_edge, test_failures)

/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/driver_frames.h"

#include "stateless_tcp/modern_point.h"
#include "test/must.h"
#include "test/unit/dice.h"

#include <stdio.h>

const struct stateless_tcp_keys driver_keys = {
    .epochs = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, {98, 77, 0xff}}};

const struct packet_endpoint driver_endpoints[2] = {
    {.address = {.family = 4, .octets = {198, 18, 0, 1}}, .port = 53},
    {.address = {.family = 6, .octets = {0xfd, 0, 1, 0x98, 0, 0x18, [15] = 1}}, .port = 53},
};

struct stateless_tcp_config driver_server(unsigned index)
{
    struct stateless_tcp_config config = stateless_tcp_config_default();
    config.profile = index % 4 == 3 ? STATELESS_TCP_CLASSIC : STATELESS_TCP_MODERN;
    config.has_stale_reset = index != 1 && index != 6;
    config.has_fast_open = index == 2;
    config.mss = index == 4 ? 1460 : STATELESS_TCP_MSS_DEFAULT;
    config.checksum_policy = index == 5   ? PACKET_CHECKSUM_ALWAYS
                             : index >= 6 ? PACKET_CHECKSUM_NEVER
                                          : PACKET_CHECKSUM_AUTO;
    return config;
}

/* ---- frames ---- */

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Octets of one option, of any kind; `value` and `echo` where it is Timestamps. */
static size_t make_option(unsigned kind, uint32_t value, uint32_t echo, uint8_t *out)
{
    static const uint16_t mss[] = {0, 536, 1219, 1220, 1439, 1440, 1460, 65535};
    static const struct {
        uint8_t len, octets[20];
    } fixed[] = {
        {1, {1}},
        {2, {1, 1}},
        {2, {4, 2}},
        {3, {3, 3, 7}},
        {2, {34, 2}},
        {10, {34, 10, 1, 2, 3, 4, 5, 6, 7, 8}},
        {1, {0}},
        {4, {5, 10, 0, 0}},
        {4, {2, 3, 5, 180}},
        {6, {254, 6, 0, 1}},
        {18, {34, 18}},
        {10, {8, 9, 3}},
        {2, {99, 0}},
        {2, {4, 1}},
        {3, {1, 1, 1}},
    };
    if (kind == 0) {
        uint16_t offered = mss[below(8)];
        memcpy(out, (uint8_t[]){2, 4, (uint8_t)(offered >> 8), (uint8_t)offered}, 4);
        return 4;
    }
    if (kind == 1) {
        memcpy(out, (uint8_t[]){8, 10}, 2);
        put32(out + 2, value);
        put32(out + 6, echo);
        return 10;
    }
    unsigned which = (kind - 2) % (sizeof fixed / sizeof *fixed);
    memcpy(out, fixed[which].octets, fixed[which].len);
    return fixed[which].len;
}

static size_t make_options(bool is_syn, uint32_t value, uint32_t echo, uint8_t out[40])
{
    static const uint8_t linux_syn[] = {0, 4, 1, 2, 5}, linux_all[] = {3, 1},
                         windows_syn[] = {0, 2, 5, 3, 4}, mac_syn[] = {0, 2, 5, 3, 1, 4, 8, 8};
    const uint8_t *kinds = NULL;
    size_t count = 0, len = 0;
    uint8_t random_kinds[14];
    switch (below(8)) {
    case 0:
        break;
    case 1:
        kinds = windows_syn;
        count = is_syn ? sizeof windows_syn : 0;
        break;
    case 2:
        kinds = mac_syn;
        count = sizeof mac_syn;
        break;
    case 3:
        count = below(sizeof random_kinds);
        for (size_t i = 0; i < count; i++)
            random_kinds[i] = (uint8_t)below(below(2) ? 8 : 20);
        kinds = random_kinds;
        break;
    default:
        kinds = is_syn ? linux_syn : linux_all;
        count = is_syn ? sizeof linux_syn : sizeof linux_all;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t option[20];
        size_t option_len = make_option(kinds[i], value, echo, option);
        if (len + option_len > 40)
            break;
        memcpy(out + len, option, option_len);
        len += option_len;
    }
    for (; len % 4 != 0; len++)
        out[len] = below(2) ? 1 : 0;
    return len;
}

/* SEG.ACK and the echo as of a client that holds some octets of its stream, mostly. */
static void make_state(struct frame_spec *spec, const struct packet *packet, uint32_t *echo_out)
{
    static const uint32_t held[] = {0,       1,       300,     2900,    65537,      131074,
                                    1 << 19, 1 << 22, 1 << 23, 1 << 28, 0x1fffffff, 131075};
    static const uint32_t ahead[] = {0,   0,     0,     1,       1,       2,
                                     500, 65536, 65537, 0x7ffff, 0x70000, 0x60000};
    static const uint32_t behind[] = {0, 0, 0, 0, 1, 2, 2560, 2561, 4094, 4095};
    struct packet syn = *packet;
    syn.mss = (uint16_t)(below(3) * 700);
    uint32_t at = below(2) ? held[below(12)] : below(5000);
    struct stateless_tcp_keys keys = driver_keys;
    if (below(4) == 0)
        memcpy(keys.epochs[0], driver_keys.epochs[1], COOKIE_KEY_LEN);
    if (below(3) == 0) {
        syn.seq = spec->seq - 1 - (below(2) ? 0 : 2 * below(3));
        spec->ack = cookie_make_first(&keys, &syn) + 1 + (below(2) ? below(3) : at);
    } else {
        spec->ack = cookie_make(&keys, &syn) + 1 + at;
    }
    bool is_at_point = (spec->flags & PACKET_PSH) && below(4) > 0; /* else few requests were */
    *echo_out = point_make(at - ahead[is_at_point ? 0 : below(12)],
                           spec->seq - behind[is_at_point ? 0 : below(10)], below(3) == 0);
    if (below(10) == 0)
        spec->ack = any();
    if (below(10) == 0)
        *echo_out = any();
}

/* Data of all sorts: one request mostly, or several, or what is none. */
static size_t make_requests(uint8_t out[FRAME_CAP])
{
    static const uint16_t lens[] = {11, 12, 17, 40, 41, 42, 43, 509, 510, 511, 512};
    size_t len = 0;
    unsigned count = below(6) ? 1 : 2;
    for (unsigned i = 0; i < count; i++) {
        uint32_t request_len = below(3) ? 17 + below(60) : lens[below(11)];
        out[len++] = (uint8_t)(request_len >> 8);
        out[len++] = (uint8_t)request_len;
        memset(out + len, 0, request_len);
        for (uint32_t j = 12; j < request_len; j++)
            out[len + j] = (uint8_t)any();
        out[len] = (uint8_t)any();
        out[len + 1] = (uint8_t)any();
        out[len + 5] = 1;
        len += request_len;
    }
    if (below(8) == 0)
        len = below(2) ? below((uint32_t)len) : len + 1;
    if (below(50) == 0)
        len = 1200;
    out[len] = 0;
    return len;
}

static void spoil(uint8_t *frame, size_t *len)
{
    switch (below(4)) {
    case 0:
        *len = below((uint32_t)*len);
        return;
    case 1:
        frame[below((uint32_t)*len)] = (uint8_t)any();
        return;
    case 2:
        frame[below((uint32_t)*len)] ^= (uint8_t)(1u << below(8));
        return;
    default: /* in the TCP header, more likely */
        if (*len > 34)
            frame[34 + below((uint32_t)*len - 34)] ^= (uint8_t)(1u << below(8));
    }
}

size_t driver_frame_make(uint32_t seed, uint8_t *frame)
{
    static const uint8_t flags[] = {0x02, 0x02, 0x02, 0xc2, 0x10, 0x10, 0x10, 0x10, 0x11,
                                    0x11, 0x11, 0x18, 0x18, 0x18, 0x18, 0x18, 0x19, 0x14,
                                    0x12, 0x04, 0x01, 0x00, 0x13, 0x30, 0x0a};
    static const uint16_t tags[][4] = {{0x8100, 0xa123}, {0x88a8, 5, 0x8100, 0x0fff}};
    static uint8_t payload[FRAME_CAP];
    dice_begin(seed);
    for (unsigned i = 0; i < 8; i++)
        any();
    struct frame_spec spec = frame_spec_client(below(2) ? 4 : 6);
    spec.source[spec.family == 4 ? 3 : 15] = (uint8_t)any();
    spec.source_port = (uint16_t)(1024 + below(60000));
    spec.tag_count = below(3) ? 0 : 1 + below(2);
    spec.tags = tags[spec.tag_count == 2];
    spec.seq = below(4) ? any() : 0 - below(4);
    spec.ack = any();
    spec.flags = flags[below(sizeof flags)];
    spec.window = (uint16_t)(below(8) ? any() : below(1300));
    bool is_syn = spec.flags & PACKET_SYN;
    struct packet packet = {.source.family = (uint8_t)spec.family,
                            .destination.family = (uint8_t)spec.family,
                            .source_port = spec.source_port,
                            .destination_port = spec.destination_port};
    memcpy(packet.source.octets, spec.source, 16);
    memcpy(packet.destination.octets, spec.destination, 16);
    uint32_t echo = any();
    if (!is_syn)
        make_state(&spec, &packet, &echo);
    uint8_t options[40];
    spec.options_len = make_options(is_syn, any(), echo, options);
    spec.options = options;
    spec.payload = payload;
    spec.payload_len = spec.flags & PACKET_PSH || below(12) == 0 ? make_requests(payload) : 0;
    spec.is_checksum_unset = below(6) == 0;
    size_t len = frame_build(&spec, frame);
    while (len < 60) /* as Ethernet pads */
        frame[len++] = (uint8_t)any();
    if (below(4) == 0)
        spoil(frame, &len);
    return len;
}

/* ---- what user space does ---- */

size_t driver_respond(const uint8_t *request, size_t request_len, uint8_t *response)
{
    static const uint16_t lens[] = {12, 13, 510, 511, 522, 523, 1206, 1207, 1218, 1219, 9000};
    unsigned id = request[0] * 256u + request[1];
    size_t len = id % 16 == 0 ? 0 : id % 2 ? lens[id / 2 % 11] : request_len + id % 601;
    for (size_t i = 0; i < len; i++)
        response[i] = i < request_len ? request[i] : (uint8_t)(id + i * i);
    return len;
}

static void respond_to(struct stateless_tcp_query *query, struct train *train)
{
    static uint8_t stream[2 * STATELESS_TCP_STREAM_CAP];
    const uint8_t *request;
    size_t request_len;
    while (stateless_tcp_next(query, &request, &request_len)) {
        uint8_t *at = stream + query->stream_at;
        stateless_tcp_send(query, at, driver_respond(request, request_len, at + 2), train);
    }
    stateless_tcp_finish(query, train);
}

void driver_compare(const struct stateless_tcp_config *config, const uint8_t *frame, size_t len,
                    enum driver_verdict verdict, enum driver_counter counter, const uint8_t *result,
                    size_t result_len, struct driver_tally *tally)
{
    static uint8_t octets[TRAIN_CAP];
    struct train train = {.octets = octets, .cap = sizeof octets};
    struct stateless_tcp_query query;
    struct packet packet;
    enum stateless_tcp_outcome outcome = STATELESS_TCP_DROP;
    if (packet_parse(frame, len, false, config->checksum_policy, &packet) == PACKET_TCP &&
        packet_is_for(&packet, driver_endpoints, 2))
        outcome = stateless_tcp_receive(config, &driver_keys, &packet, true, NULL, &query, &train);
    bool is_query = outcome == STATELESS_TCP_QUERY;
    if (is_query)
        respond_to(&query, &train);
    switch (verdict) {
    case DRIVER_CLIMB:
        MUST(result_len == len && memcmp(result, frame, len) == 0);
        tally->climbed++;
        tally->silent_climbs += outcome == STATELESS_TCP_DROP;
        tally->answered_climbs += outcome == STATELESS_TCP_SEND;
        tally->single_climbs +=
            is_query && train.frame_count == 1 && frame_view(octets, train.len).payload_len > 0;
        return;
    case DRIVER_DROP:
        MUST(outcome == STATELESS_TCP_DROP);
        tally->dropped++;
        break;
    case DRIVER_TX:
        MUST(is_query == (counter == DRIVER_COUNT_REQUEST));
        MUST((is_query || outcome == STATELESS_TCP_SEND) && train.frame_count == 1);
        MUST(result_len == train.len && memcmp(result, octets, train.len) == 0);
        tally->answered++;
        break;
    }
    tally->counters[counter]++;
}

void driver_tally_check(const struct driver_tally *tally)
{
    printf("%u climbed (%u to be answered without a query, %u in vain, %u requests answered in a "
           "segment), %u dropped, %u answered (%u requests);",
           tally->climbed, tally->answered_climbs, tally->silent_climbs, tally->single_climbs,
           tally->dropped, tally->answered, tally->counters[DRIVER_COUNT_REQUEST]);
    for (unsigned i = DRIVER_COUNT_SYN; i <= DRIVER_COUNT_JUNK; i++) {
        printf(" %u", tally->counters[i]);
        MUST(tally->counters[i] > 0);
    }
    printf("\n");
    MUST(tally->climbed > 0 && tally->dropped > 0 && tally->answered > 0);
}

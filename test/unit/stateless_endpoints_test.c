/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which packets are for us, of packet.c.
 */
#include "stateless_tcp/packet.h"
#include "test/unit/stateless_frames.h"
#include "test_main.h"

static enum packet_outcome parse(const struct frame_spec *spec, struct packet *packet)
{
    static uint8_t frame[FRAME_CAP];
    return packet_parse(frame, frame_build(spec, frame), false, PACKET_CHECKSUM_AUTO, packet);
}

START_TEST(few_endpoints)
{
    struct frame_spec spec = frame_spec_client(4);
    struct packet packet;
    const struct packet_endpoint ours[2] = {
        {.address = {.family = 4, .octets = {198, 18, 0, 1}}, .port = 53},
        {.address = {.family = 4, .octets = {198, 18, 0, 9}}, .port = 53},
    };
    const struct packet_endpoint any = {.port = 53};
    ck_assert_int_eq(parse(&spec, &packet), PACKET_TCP);
    ck_assert(packet_is_for(&packet, ours, 2));
    ck_assert(packet_is_for(&packet, &any, 1));
    ck_assert(!packet_is_for(&packet, ours + 1, 1));
    ck_assert(!packet_is_for(&packet, NULL, 0));
    /* From another address of ours, port 53. */
    memcpy(spec.source, ours[1].address.octets, 4);
    ck_assert_int_eq(parse(&spec, &packet), PACKET_TCP);
    ck_assert(packet_is_for(&packet, ours, 2));
    spec.source_port = 53;
    ck_assert_int_eq(parse(&spec, &packet), PACKET_TCP);
    ck_assert(!packet_is_for(&packet, ours, 2));
    ck_assert(!packet_is_for(&packet, &any, 1));
    spec.destination_port = 54;
    spec.source_port = 40000;
    ck_assert_int_eq(parse(&spec, &packet), PACKET_TCP);
    ck_assert(!packet_is_for(&packet, ours, 2));
}
END_TEST

/* As many as there may be, on two ports; each is found, those between are not. */
START_TEST(many_endpoints)
{
    enum { PAIRS = 500 };
    static struct packet_endpoint ours[2 * PAIRS];
    for (unsigned count = 1; count <= PAIRS; count = count < 20 ? count + 1 : count * 5) {
        for (unsigned i = 0; i < 2 * count; i++) {
            ours[i] = (struct packet_endpoint){.address.family = i % 2 ? 6 : 4, .port = 53};
            ours[i].address.octets[3] = (uint8_t)(i & 0xfe); /* even ones only */
            ours[i].address.octets[i % 2 ? 15 : 2] = (uint8_t)(i >> 8);
        }
        qsort(ours, 2 * count, sizeof *ours, packet_endpoint_compare);
        for (unsigned i = 0; i < 2 * count; i++) {
            struct packet packet = {.source = {.family = 4, .octets = {9}},
                                    .source_port = 40000,
                                    .destination = ours[i].address,
                                    .destination_port = 53};
            ck_assert(i == 0 || packet_endpoint_compare(&ours[i - 1], &ours[i]) < 0);
            ck_assert_int_eq(packet_endpoint_compare(&ours[i], &ours[i]), 0);
            ck_assert(packet_is_for(&packet, ours, 2 * count));
            packet.destination_port = 52;
            ck_assert(!packet_is_for(&packet, ours, 2 * count));
            packet.destination_port = 54;
            ck_assert(!packet_is_for(&packet, ours, 2 * count));
            packet.destination_port = 53;
            packet.source = ours[2 * count - 1 - i].address;
            packet.source_port = 53;
            ck_assert(!packet_is_for(&packet, ours, 2 * count));
            packet.source.octets[3]++;
            ck_assert(packet_is_for(&packet, ours, 2 * count));
            packet.destination.octets[3]++;
            ck_assert(!packet_is_for(&packet, ours, 2 * count));
        }
    }
}
END_TEST

/* A wildcard beside addresses on other ports. */
START_TEST(any_address_on_a_port)
{
    struct packet_endpoint ours[3] = {
        {.address = {.family = 6, .octets = {1}}, .port = 54},
        {.port = 53},
        {.address = {.family = 4, .octets = {1}}, .port = 52},
    };
    qsort(ours, 3, sizeof *ours, packet_endpoint_compare);
    static const struct {
        uint16_t port;
        uint8_t family, octet;
        bool is_ours;
    } asked[] = {{53, 4, 9, true},  {53, 6, 9, true}, {52, 4, 1, true},  {52, 4, 2, false},
                 {52, 6, 1, false}, {54, 6, 1, true}, {54, 4, 1, false}, {51, 4, 1, false},
                 {55, 6, 1, false}, {54, 6, 2, false}};
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct packet packet = {
            .source = {.family = asked[i].family, .octets = {8}},
            .source_port = 40000,
            .destination = {.family = asked[i].family, .octets = {asked[i].octet}},
            .destination_port = asked[i].port};
        ck_assert_int_eq(packet_is_for(&packet, ours, 3), asked[i].is_ours);
    }
}
END_TEST

TEST_MAIN("stateless_tcp/endpoints", few_endpoints, many_endpoints, any_address_on_a_port)

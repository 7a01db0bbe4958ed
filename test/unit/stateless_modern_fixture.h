/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stateless_modern_fixture.h - a server of profile `modern` with a cache, for the tests that talk
 * to it frame by frame: what it is given is in `frame`, what it sends in `train`.
 */
#ifndef TEST_UNIT_STATELESS_MODERN_FIXTURE_H
#define TEST_UNIT_STATELESS_MODERN_FIXTURE_H

#include "stateless_tcp/modern.h"
#include "test/unit/stateless_frames.h"
#include "test/unit/test_main.h"

#include <stdlib.h>
#include <string.h>

#define IRS 5000u
#define REQUEST_LEN 19 /* with its length */

static const struct stateless_tcp_keys keys = {.epochs = {{2}, {1}}};
static struct stateless_tcp_config config;
static _Alignas(max_align_t) uint8_t memory[RECENT_SIZE_DEFAULT];
static struct recent recent;
static uint8_t train_octets[TRAIN_CAP], frame[FRAME_CAP], stream[STATELESS_TCP_STREAM_CAP];
static struct train train;
static size_t frame_len, response_len;
static bool is_waiting;    /* requests are not answered at once, but later */
static unsigned evaluated; /* requests, by the last frame */
static size_t fixture_request_len = REQUEST_LEN - 2; /* of each */

static inline void store_be32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline uint32_t load_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void fixture_set_up(void)
{
    config = stateless_tcp_config_default();
    config.profile = STATELESS_TCP_MODERN;
    config.segment_size = STATELESS_TCP_SEGMENT_MAX;
    memset(memory, 0, sizeof memory);
    recent = recent_make(memory, sizeof memory);
    response_len = 50;
}

/* Octet `i` of the response to the request that has this ID. */
static inline uint8_t response_octet(unsigned id, size_t i)
{
    return (uint8_t)(id + i * 31 + i / 256);
}

/* `cache`: NULL is allowed. */
static inline enum stateless_tcp_outcome fixture_serve(const struct frame_spec *spec,
                                                       bool is_settled, struct recent *cache)
{
    frame_len = frame_build(spec, frame);
    uint8_t *block = malloc(frame_len); /* exact, so that a sanitizer sees an octet read too many */
    memcpy(block, frame, frame_len);
    struct packet packet;
    struct stateless_tcp_query query;
    ck_assert_int_eq(packet_parse(block, frame_len, false, PACKET_CHECKSUM_ALWAYS, &packet),
                     PACKET_TCP);
    train = (struct train){.octets = train_octets, .cap = TRAIN_CAP};
    evaluated = 0;
    enum stateless_tcp_outcome outcome =
        stateless_tcp_receive(&config, &keys, &packet, is_settled, cache, &query, &train);
    if (outcome == STATELESS_TCP_QUERY && is_waiting) {
        stateless_tcp_wait(&query, &packet, &train);
    } else if (outcome == STATELESS_TCP_QUERY) {
        const uint8_t *request;
        size_t request_len;
        for (; stateless_tcp_next(&query, &request, &request_len); evaluated++) {
            ck_assert_uint_eq(request_len, fixture_request_len);
            for (size_t i = 0; i < response_len; i++)
                stream[query.stream_at + 2 + i] = response_octet(request[1], i);
            stateless_tcp_send(&query, stream + query.stream_at, response_len, &train);
        }
        stateless_tcp_finish(&query, &train);
    }
    free(block);
    return outcome;
}

static inline struct frame_view sent(unsigned index)
{
    ck_assert_uint_lt(index, train.frame_count);
    const uint8_t *at = train.octets;
    for (unsigned i = 0; i < index; i++)
        at += train.frame_len[i];
    return frame_view(at, train.frame_len[index]);
}

/* MSS 1460, SACK permitted, Timestamps, window scale: what a client of today offers. */
static const uint8_t offer[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                  0, 7, 0,    0,    0, 0, 1, 3,  3, 7};

static inline struct frame_spec syn_spec(int family, const uint8_t *options, size_t options_len)
{
    struct frame_spec spec = frame_spec_client(family);
    spec.seq = IRS;
    spec.flags = PACKET_SYN;
    spec.options = options;
    spec.options_len = options_len;
    return spec;
}

/* The SYN+ACK for such a SYN. */
static inline struct frame_view fixture_connect(int family)
{
    struct frame_spec spec = syn_spec(family, offer, sizeof offer);
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_SEND);
    return sent(0);
}

/* With its length and an ID. */
static inline void request_make(unsigned id, uint8_t out[REQUEST_LEN])
{
    const uint8_t octets[REQUEST_LEN] = {0, 17, 0, (uint8_t)id, 0, 0, 0, 1, [15] = 2, [18] = 1};
    memcpy(out, octets, REQUEST_LEN);
}

#endif

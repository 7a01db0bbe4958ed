/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/cookie.h"

#include "stateless_tcp/siphash.h"
#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

/* 536: nothing offered, or old. 1220: an IPv6 path of 1280. 1440: Ethernet under IPv6. */
static const uint16_t class_mss[COOKIE_CLASSES] = {536, 1220, 1440};

unsigned cookie_class(uint16_t mss)
{
    unsigned mss_class = COOKIE_CLASSES - 1;
    while (mss_class > 0 && mss < class_mss[mss_class])
        mss_class--;
    return mss_class;
}

uint16_t cookie_class_mss(unsigned mss_class)
{
    assert(mss_class < COOKIE_CLASSES);
    return class_mss[mss_class];
}

/* 0       1                 17                33       35       37
 * | family | client address | server address  | port   | port   | use |     38 octets
 * IPv4 addresses fill their first four octets; the family keeps them apart from IPv6 ones. Cookies
 * without timestamps have the client's initial sequence number in four octets more. */
#define COOKIE_INPUT_LEN 38
#define COOKIE_FIRST_INPUT_LEN 42

enum {
    USE_ISS = 0,
    USE_FAST_OPEN = 1,
};

static_assert(COOKIE_CLASSES < 4, "the last quarter keeps the epochs apart");

static void cookie_input(const struct packet *packet, uint32_t irs,
                         uint8_t input[COOKIE_FIRST_INPUT_LEN])
{
    input[0] = packet->source.family;
    memcpy(input + 1, packet->source.octets, 16);
    memcpy(input + 17, packet->destination.octets, 16);
    wire_store_be16(input + 33, packet->source_port);
    wire_store_be16(input + 35, packet->destination_port);
    input[COOKIE_INPUT_LEN - 1] = USE_ISS;
    wire_store_be32(input + COOKIE_INPUT_LEN, irs);
}

/* The ISS for class 0. */
static uint32_t iss_base(const uint8_t key[COOKIE_KEY_LEN], uint64_t hash)
{
    return (uint32_t)(key[0] & 1) << 31 | ((uint32_t)hash & (COOKIE_STREAM_MAX - 1));
}

static uint32_t make(const struct stateless_tcp_keys *keys, const struct packet *packet,
                     size_t input_len)
{
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, packet->seq, input);
    uint64_t hash = siphash_2_4_64(keys->epochs[0], input, input_len);
    return iss_base(keys->epochs[0], hash) + cookie_class(packet->mss) * COOKIE_STREAM_MAX;
}

uint32_t cookie_make(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    return make(keys, packet, COOKIE_INPUT_LEN);
}

uint32_t cookie_make_first(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    return make(keys, packet, COOKIE_FIRST_INPUT_LEN);
}

static bool read_proof(const struct stateless_tcp_keys *keys, const struct packet *packet,
                       uint32_t irs, size_t input_len, struct cookie_proof *proof_out)
{
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, irs, input);
    assert((keys->epochs[0][0] ^ keys->epochs[1][0]) & 1);
    uint32_t first = packet->ack - 1; /* what was acknowledged, less the SYN */
    const uint8_t *key = keys->epochs[(keys->epochs[0][0] & 1) != first >> 31];
    uint64_t hash = siphash_2_4_64(key, input, input_len);
    uint32_t above = first - iss_base(key, hash);
    if (above >= COOKIE_CLASSES * COOKIE_STREAM_MAX)
        return false;
    *proof_out = (struct cookie_proof){
        .offset = above % COOKIE_STREAM_MAX,
        .mss_class = above / COOKIE_STREAM_MAX,
        .connection = hash,
    };
    return true;
}

bool cookie_read(const struct stateless_tcp_keys *keys, const struct packet *packet,
                 struct cookie_proof *proof_out)
{
    return read_proof(keys, packet, 0, COOKIE_INPUT_LEN, proof_out);
}

bool cookie_verify(const struct stateless_tcp_keys *keys, const struct packet *packet,
                   struct cookie_proof *proof_out)
{
    struct cookie_proof proof;
    if (!cookie_read(keys, packet, &proof) || proof.offset > COOKIE_OFFSET_MAX)
        return false;
    *proof_out = proof;
    return true;
}

bool cookie_verify_first(const struct stateless_tcp_keys *keys, const struct packet *packet,
                         uint32_t irs, uint32_t offset_max, struct cookie_proof *proof_out)
{
    struct cookie_proof proof;
    if (!read_proof(keys, packet, irs, COOKIE_FIRST_INPUT_LEN, &proof) || proof.offset > offset_max)
        return false;
    *proof_out = proof;
    return true;
}

/* The same octets as for a connection, less the ports, and marked. */
static uint64_t fast_open_hash(const uint8_t key[COOKIE_KEY_LEN], const struct packet *packet)
{
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, 0, input);
    memset(input + 33, 0, 4);
    input[COOKIE_INPUT_LEN - 1] = USE_FAST_OPEN;
    return siphash_2_4_64(key, input, COOKIE_INPUT_LEN);
}

void cookie_make_fast_open(const struct stateless_tcp_keys *keys, const struct packet *packet,
                           uint8_t cookie_out[PACKET_FAST_OPEN_COOKIE_LEN])
{
    uint64_t hash = fast_open_hash(keys->epochs[0], packet);
    wire_store_be32(cookie_out, (uint32_t)(hash >> 32));
    wire_store_be32(cookie_out + 4, (uint32_t)hash);
}

bool cookie_verify_fast_open(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    if (!packet->has_fast_open_cookie)
        return false;
    uint64_t shown = (uint64_t)wire_load_be32(packet->fast_open_cookie) << 32 |
                     wire_load_be32(packet->fast_open_cookie + 4);
    bool is_made = false;
    for (unsigned epoch = 0; epoch < COOKIE_EPOCHS; epoch++)
        is_made |= shown == fast_open_hash(keys->epochs[epoch], packet);
    return is_made;
}

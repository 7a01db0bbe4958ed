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

/* 0       1                 17                17+16        ports    class
 * | family | client address | server address  | 2 | 2      | 1      |     38 octets
 * IPv4 addresses fill their first four octets; the family keeps them apart from IPv6 ones. Cookies
 * without timestamps have the client's initial sequence number in four octets more. */
#define COOKIE_INPUT_LEN 38
#define COOKIE_FIRST_INPUT_LEN 42

static void cookie_input(const struct packet *packet, uint32_t irs,
                         uint8_t input[COOKIE_FIRST_INPUT_LEN])
{
    input[0] = packet->source.family;
    memcpy(input + 1, packet->source.octets, 16);
    memcpy(input + 17, packet->destination.octets, 16);
    wire_store_be16(input + 33, packet->source_port);
    wire_store_be16(input + 35, packet->destination_port);
    wire_store_be32(input + COOKIE_INPUT_LEN, irs);
}

static uint32_t make(const struct stateless_tcp_keys *keys, const struct packet *packet,
                     size_t input_len)
{
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, packet->seq, input);
    input[COOKIE_INPUT_LEN - 1] = (uint8_t)cookie_class(packet->mss);
    return (uint32_t)siphash_2_4_64(keys->epochs[0], input, input_len);
}

uint32_t cookie_make(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    return make(keys, packet, COOKIE_INPUT_LEN);
}

uint32_t cookie_make_first(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    return make(keys, packet, COOKIE_FIRST_INPUT_LEN);
}

/* Whether a client may hold so many octets. */
static bool is_in_range(const struct cookie_range *range, uint32_t offset)
{
    uint32_t from_first = offset - range->expected + range->behind;
    return offset <= range->max &&
           (from_first & (range->modulus - 1)) <= range->behind + range->ahead;
}

static bool verify(const struct stateless_tcp_keys *keys, const struct packet *packet,
                   uint8_t input[COOKIE_FIRST_INPUT_LEN], size_t input_len,
                   const struct cookie_range *range, struct cookie_proof *proof_out)
{
    bool is_found = false;
    for (unsigned epoch = 0; epoch < COOKIE_EPOCHS; epoch++) {
        /* Most clients are of the highest class. */
        for (unsigned mss_class = COOKIE_CLASSES; mss_class-- > 0;) {
            input[COOKIE_INPUT_LEN - 1] = (uint8_t)mss_class;
            uint64_t connection = siphash_2_4_64(keys->epochs[epoch], input, input_len);
            uint32_t offset = packet->ack - (uint32_t)connection - 1;
            if (!is_in_range(range, offset))
                continue;
            bool is_expected = ((offset - range->expected) & (range->modulus - 1)) == 0;
            if (is_expected || !is_found)
                *proof_out = (struct cookie_proof){
                    .offset = offset, .mss_class = mss_class, .connection = connection};
            if (is_expected)
                return true;
            is_found = true;
        }
    }
    return is_found;
}

/* 0 to `max`, whatever is expected. */
static struct cookie_range range_up_to(uint32_t max)
{
    return (struct cookie_range){.max = max, .modulus = 1u << 31, .ahead = max};
}

uint64_t cookie_range_size(const struct cookie_range *range)
{
    uint64_t turns = ((uint64_t)range->max + range->modulus) / range->modulus;
    return turns * ((uint64_t)range->behind + range->ahead + 1);
}

bool cookie_verify(const struct stateless_tcp_keys *keys, const struct packet *packet,
                   struct cookie_proof *proof_out)
{
    const struct cookie_range range = range_up_to(COOKIE_OFFSET_MAX);
    return cookie_verify_within(keys, packet, &range, proof_out);
}

bool cookie_verify_within(const struct stateless_tcp_keys *keys, const struct packet *packet,
                          const struct cookie_range *range, struct cookie_proof *proof_out)
{
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, 0, input);
    return verify(keys, packet, input, COOKIE_INPUT_LEN, range, proof_out);
}

bool cookie_verify_first(const struct stateless_tcp_keys *keys, const struct packet *packet,
                         uint32_t irs, uint32_t offset_max, struct cookie_proof *proof_out)
{
    const struct cookie_range range = range_up_to(offset_max);
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, irs, input);
    return verify(keys, packet, input, COOKIE_FIRST_INPUT_LEN, &range, proof_out);
}

/* The same octets as for a connection, less the ports, and marked by a class that none has. */
static uint64_t fast_open_hash(const uint8_t key[COOKIE_KEY_LEN], const struct packet *packet)
{
    uint8_t input[COOKIE_FIRST_INPUT_LEN];
    cookie_input(packet, 0, input);
    memset(input + 33, 0, 4);
    input[COOKIE_INPUT_LEN - 1] = COOKIE_CLASSES;
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

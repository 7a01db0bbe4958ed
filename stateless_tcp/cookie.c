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

static struct cookie_candidates candidates_of(const struct stateless_tcp_keys *keys,
                                              const struct packet *packet, uint32_t irs,
                                              uint8_t input_len)
{
    struct cookie_candidates candidates = {
        .keys = keys, .ack = packet->ack, .input_len = input_len};
    static_assert(sizeof(candidates.input) == COOKIE_FIRST_INPUT_LEN, "room for either");
    cookie_input(packet, irs, candidates.input);
    return candidates;
}

struct cookie_candidates cookie_candidates(const struct stateless_tcp_keys *keys,
                                           const struct packet *packet)
{
    return candidates_of(keys, packet, 0, COOKIE_INPUT_LEN);
}

bool cookie_candidates_next(struct cookie_candidates *candidates, struct cookie_proof *proof_out)
{
    unsigned epoch = candidates->next / COOKIE_CLASSES;
    unsigned mss_class = COOKIE_CLASSES - 1 - candidates->next % COOKIE_CLASSES;
    if (epoch == COOKIE_EPOCHS)
        return false;
    candidates->next++;
    candidates->input[COOKIE_INPUT_LEN - 1] = (uint8_t)mss_class; /* most are of the highest */
    uint64_t connection =
        siphash_2_4_64(candidates->keys->epochs[epoch], candidates->input, candidates->input_len);
    *proof_out = (struct cookie_proof){.offset = candidates->ack - (uint32_t)connection - 1,
                                       .mss_class = mss_class,
                                       .connection = connection};
    return true;
}

static bool verify(struct cookie_candidates *candidates, uint32_t offset_max,
                   struct cookie_proof *proof_out)
{
    for (struct cookie_proof proof; cookie_candidates_next(candidates, &proof);)
        if (proof.offset <= offset_max) {
            *proof_out = proof;
            return true;
        }
    return false;
}

bool cookie_verify(const struct stateless_tcp_keys *keys, const struct packet *packet,
                   struct cookie_proof *proof_out)
{
    struct cookie_candidates candidates = cookie_candidates(keys, packet);
    return verify(&candidates, COOKIE_OFFSET_MAX, proof_out);
}

bool cookie_verify_first(const struct stateless_tcp_keys *keys, const struct packet *packet,
                         uint32_t irs, uint32_t offset_max, struct cookie_proof *proof_out)
{
    struct cookie_candidates candidates = candidates_of(keys, packet, irs, COOKIE_FIRST_INPUT_LEN);
    return verify(&candidates, offset_max, proof_out);
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

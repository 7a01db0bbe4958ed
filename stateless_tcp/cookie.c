/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/cookie_hash.h"

#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

unsigned cookie_class(uint16_t mss)
{
    return cookie_mss_class(mss);
}

uint16_t cookie_class_mss(unsigned mss_class)
{
    assert(mss_class < COOKIE_CLASSES);
    return cookie_class_limit(mss_class);
}

static_assert(COOKIE_CLASSES < 4, "the last quarter keeps the epochs apart");

static struct cookie_ends ends_of(const struct packet *packet)
{
    const uint8_t *client = packet->source.octets, *server = packet->destination.octets;
    return (struct cookie_ends){
        .client = {siphash_load_le64(client), siphash_load_le64(client + 8)},
        .server = {siphash_load_le64(server), siphash_load_le64(server + 8)},
        .client_port = packet->source_port,
        .server_port = packet->destination_port,
        .family = packet->source.family,
    };
}

uint32_t cookie_make(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    const struct cookie_ends ends = ends_of(packet);
    const uint8_t *key = keys->epochs[0];
    return cookie_iss(key, cookie_hash(key, &ends, COOKIE_USE_ISS), packet->mss);
}

uint32_t cookie_make_first(const struct stateless_tcp_keys *keys, const struct packet *packet)
{
    const struct cookie_ends ends = ends_of(packet);
    const uint8_t *key = keys->epochs[0];
    return cookie_iss(key, cookie_hash_first(key, &ends, packet->seq), packet->mss);
}

static bool read_proof(const struct packet *packet, const uint8_t key[COOKIE_KEY_LEN],
                       uint64_t hash, struct cookie_proof *proof_out)
{
    uint32_t above = cookie_above(key, hash, packet->ack);
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
    assert((keys->epochs[0][0] ^ keys->epochs[1][0]) & 1);
    const struct cookie_ends ends = ends_of(packet);
    const uint8_t *key = cookie_key(keys, packet->ack);
    return read_proof(packet, key, cookie_hash(key, &ends, COOKIE_USE_ISS), proof_out);
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
    assert((keys->epochs[0][0] ^ keys->epochs[1][0]) & 1);
    const struct cookie_ends ends = ends_of(packet);
    const uint8_t *key = cookie_key(keys, packet->ack);
    struct cookie_proof proof;
    if (!read_proof(packet, key, cookie_hash_first(key, &ends, irs), &proof) ||
        proof.offset > offset_max)
        return false;
    *proof_out = proof;
    return true;
}

/* As for a connection, less the ports. */
static uint64_t fast_open_hash(const uint8_t key[COOKIE_KEY_LEN], const struct packet *packet)
{
    struct cookie_ends ends = ends_of(packet);
    ends.client_port = ends.server_port = 0;
    return cookie_hash(key, &ends, COOKIE_USE_FAST_OPEN);
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

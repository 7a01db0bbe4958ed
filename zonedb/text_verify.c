/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_verify.h"
#include "zonedb/name.h"
#include "zonedb/text_rdata.h"

#include <errno.h>
#include <nettle/bignum.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/eddsa.h>
#include <nettle/rsa.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_ZONE 0x0100

enum algorithm {
    RSASHA1 = 5,
    RSASHA1_NSEC3 = 7,
    RSASHA256 = 8,
    RSASHA512 = 10,
    ECDSAP256 = 13,
    ECDSAP384 = 14,
    ED25519 = 15,
};

struct key {
    const uint8_t *public_key;
    size_t public_key_len;
    uint16_t tag;
    uint8_t algorithm;
    bool is_usable; /* well-formed, and of an algorithm that is known here */
    struct rsa_public_key rsa;
    struct ecc_point point;
};

struct text_keys {
    size_t count;
    uint8_t *buffer;
    size_t buffer_len, buffer_cap;
    struct key keys[];
};

/* RFC 4034, appendix B. */
static uint16_t key_tag(const uint8_t *dnskey, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += (i & 1) != 0 ? dnskey[i] : (uint32_t)dnskey[i] << 8;
    return (uint16_t)(sum + (sum >> 16));
}

static bool is_rsa(uint8_t algorithm)
{
    return algorithm == RSASHA1 || algorithm == RSASHA1_NSEC3 || algorithm == RSASHA256 ||
           algorithm == RSASHA512;
}

static bool is_ecdsa(uint8_t algorithm)
{
    return algorithm == ECDSAP256 || algorithm == ECDSAP384;
}

static bool is_known(uint8_t algorithm)
{
    return is_rsa(algorithm) || is_ecdsa(algorithm) || algorithm == ED25519;
}

/* RFC 3110 2: exponent length (1 octet, or 0 and 2 octets), exponent, modulus. */
static bool set_rsa(struct key *key)
{
    const uint8_t *octets = key->public_key;
    size_t len = key->public_key_len, skip = 1;

    if (len < 3)
        return false;
    size_t exponent_len = octets[0];
    if (exponent_len == 0) {
        exponent_len = (size_t)(octets[1] << 8 | octets[2]);
        skip = 3;
    }
    if (exponent_len == 0 || len <= skip + exponent_len)
        return false;
    nettle_mpz_set_str_256_u(key->rsa.e, exponent_len, octets + skip);
    nettle_mpz_set_str_256_u(key->rsa.n, len - skip - exponent_len, octets + skip + exponent_len);
    return rsa_public_key_prepare(&key->rsa) == 1;
}

/* RFC 6605 4: x and y. */
static bool set_ecdsa(struct key *key)
{
    const size_t half = key->algorithm == ECDSAP256 ? 32 : 48;
    mpz_t x, y;

    if (key->public_key_len != 2 * half)
        return false;
    nettle_mpz_init_set_str_256_u(x, half, key->public_key);
    nettle_mpz_init_set_str_256_u(y, half, key->public_key + half);
    const bool is_on_curve = ecc_point_set(&key->point, x, y) == 1;
    mpz_clear(x);
    mpz_clear(y);
    return is_on_curve;
}

static void key_init(struct key *key, const uint8_t *dnskey, size_t len)
{
    const unsigned flags = (unsigned)(dnskey[0] << 8 | dnskey[1]);

    key->tag = key_tag(dnskey, len);
    key->algorithm = dnskey[3];
    key->public_key = dnskey + 4;
    key->public_key_len = len - 4;
    if (is_rsa(key->algorithm)) {
        rsa_public_key_init(&key->rsa);
        key->is_usable = set_rsa(key);
    } else if (is_ecdsa(key->algorithm)) {
        ecc_point_init(&key->point, key->algorithm == ECDSAP256 ? nettle_get_secp_256r1()
                                                                : nettle_get_secp_384r1());
        key->is_usable = set_ecdsa(key);
    } else {
        key->is_usable = key->algorithm == ED25519 && key->public_key_len == ED25519_KEY_SIZE;
    }
    if ((flags & FLAG_ZONE) == 0 || dnskey[2] != 3)
        key->is_usable = false;
}

struct text_keys *text_keys_new(const struct zonedb_rrset *dnskeys)
{
    struct text_keys *keys = calloc(1, sizeof(*keys) + dnskeys->rr_count * sizeof(keys->keys[0]));
    const uint8_t *at = dnskeys->rdata;

    if (keys == NULL)
        return NULL;
    for (unsigned i = 0; i < dnskeys->rr_count; i++) {
        const size_t len = (size_t)(at[0] << 8 | at[1]);
        key_init(&keys->keys[keys->count++], at + 2, len);
        at += 2 + len;
    }
    return keys;
}

void text_keys_free(struct text_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        if (is_rsa(keys->keys[i].algorithm))
            rsa_public_key_clear(&keys->keys[i].rsa);
        else if (is_ecdsa(keys->keys[i].algorithm))
            ecc_point_clear(&keys->keys[i].point);
    }
    free(keys->buffer);
    free(keys);
}

/* ---- what is signed ---- */

static uint8_t *put(uint8_t *out, const uint8_t *octets, size_t len)
{
    memcpy(out, octets, len);
    return out + len;
}

/* RFC 4034 3.1.8.1: RRSIG RDATA without the signature, then the records in canonical form. */
static int build_message(struct text_keys *keys, const uint8_t *owner,
                         const struct zonedb_rrset *rrset, const uint8_t *rrsig, size_t head_len)
{
    const size_t owner_len = name_len(owner, NAME_MAX_LEN);
    const size_t needed = head_len + rrset->rdata_len + rrset->rr_count * (owner_len + 8);
    const uint8_t *at = rrset->rdata;

    if (needed > keys->buffer_cap) {
        free(keys->buffer);
        keys->buffer = malloc(needed * 2);
        keys->buffer_cap = keys->buffer == NULL ? 0 : needed * 2;
        if (keys->buffer == NULL)
            return -ENOMEM;
    }
    text_rdata_canonical(46, rrsig, head_len, keys->buffer);
    uint8_t *out = keys->buffer + head_len;
    for (unsigned i = 0; i < rrset->rr_count; i++) {
        const size_t len = (size_t)(at[0] << 8 | at[1]);
        const uint8_t type[4] = {(uint8_t)(rrset->type >> 8), (uint8_t)rrset->type, 0, 1};
        out = put(out, owner, owner_len);
        out = put(out, type, sizeof(type));
        out = put(out, rrsig + 4, 4); /* original TTL */
        out = put(out, at, 2);
        text_rdata_canonical(rrset->type, at + 2, len, out);
        out += len;
        at += 2 + len;
    }
    keys->buffer_len = (size_t)(out - keys->buffer);
    return 0;
}

static size_t digest_message(const struct text_keys *keys, uint8_t algorithm,
                             uint8_t digest[SHA512_DIGEST_SIZE])
{
    union {
        struct sha1_ctx sha1;
        struct sha256_ctx sha256;
        struct sha384_ctx sha384;
        struct sha512_ctx sha512;
    } hash;

    switch (algorithm) {
    case RSASHA1:
    case RSASHA1_NSEC3:
        sha1_init(&hash.sha1);
        sha1_update(&hash.sha1, keys->buffer_len, keys->buffer);
        sha1_digest(&hash.sha1, SHA1_DIGEST_SIZE, digest);
        return SHA1_DIGEST_SIZE;
    case RSASHA512:
        sha512_init(&hash.sha512);
        sha512_update(&hash.sha512, keys->buffer_len, keys->buffer);
        sha512_digest(&hash.sha512, SHA512_DIGEST_SIZE, digest);
        return SHA512_DIGEST_SIZE;
    case ECDSAP384:
        sha384_init(&hash.sha384);
        sha384_update(&hash.sha384, keys->buffer_len, keys->buffer);
        sha384_digest(&hash.sha384, SHA384_DIGEST_SIZE, digest);
        return SHA384_DIGEST_SIZE;
    default:
        sha256_init(&hash.sha256);
        sha256_update(&hash.sha256, keys->buffer_len, keys->buffer);
        sha256_digest(&hash.sha256, SHA256_DIGEST_SIZE, digest);
        return SHA256_DIGEST_SIZE;
    }
}

/* ---- the signature ---- */

static bool verify_rsa(const struct key *key, const uint8_t *digest, const uint8_t *signature,
                       size_t signature_len)
{
    mpz_t value;
    int is_good;

    nettle_mpz_init_set_str_256_u(value, signature_len, signature);
    if (key->algorithm == RSASHA256)
        is_good = rsa_sha256_verify_digest(&key->rsa, digest, value);
    else if (key->algorithm == RSASHA512)
        is_good = rsa_sha512_verify_digest(&key->rsa, digest, value);
    else
        is_good = rsa_sha1_verify_digest(&key->rsa, digest, value);
    mpz_clear(value);
    return is_good == 1;
}

static bool verify_ecdsa(const struct key *key, const uint8_t *digest, size_t digest_len,
                         const uint8_t *signature, size_t signature_len)
{
    struct dsa_signature pair;

    if (signature_len != 2 * digest_len)
        return false;
    dsa_signature_init(&pair);
    nettle_mpz_set_str_256_u(pair.r, digest_len, signature);
    nettle_mpz_set_str_256_u(pair.s, digest_len, signature + digest_len);
    const bool is_good = ecdsa_verify(&key->point, digest_len, digest, &pair) == 1;
    dsa_signature_clear(&pair);
    return is_good;
}

static bool verify_with(const struct text_keys *keys, const struct key *key,
                        const uint8_t *signature, size_t signature_len)
{
    uint8_t digest[SHA512_DIGEST_SIZE];

    if (key->algorithm == ED25519)
        return signature_len == ED25519_SIGNATURE_SIZE &&
               ed25519_sha512_verify(key->public_key, keys->buffer_len, keys->buffer, signature) ==
                   1;
    const size_t digest_len = digest_message(keys, key->algorithm, digest);
    return is_rsa(key->algorithm) ? verify_rsa(key, digest, signature, signature_len)
                                  : verify_ecdsa(key, digest, digest_len, signature, signature_len);
}

int text_verify(struct text_keys *keys, const uint8_t *owner, const struct zonedb_rrset *rrset,
                const uint8_t *rrsig, size_t rrsig_len)
{
    const uint8_t algorithm = rrsig[2];
    const uint16_t tag = (uint16_t)(rrsig[16] << 8 | rrsig[17]);
    const size_t head_len = 18 + name_len(rrsig + 18, rrsig_len - 18);
    bool has_key = false;

    for (size_t i = 0; i < keys->count; i++) {
        const struct key *key = &keys->keys[i];
        if (key->tag != tag || key->algorithm != algorithm)
            continue;
        if (!is_known(algorithm))
            return TEXT_SIGNATURE_UNKNOWN;
        if (!has_key && build_message(keys, owner, rrset, rrsig, head_len) != 0)
            return -ENOMEM;
        has_key = true;
        if (key->is_usable && verify_with(keys, key, rrsig + head_len, rrsig_len - head_len))
            return TEXT_SIGNATURE_GOOD;
    }
    return has_key ? TEXT_SIGNATURE_BAD : TEXT_SIGNATURE_NO_KEY;
}

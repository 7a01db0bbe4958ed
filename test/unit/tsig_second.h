/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tsig_second.h - a second opinion on signatures: written from RFC 8945 4.3 alone, over one flat
 * buffer, with nothing of the code under test.
 */
#ifndef TEST_TSIG_SECOND_H
#define TEST_TSIG_SECOND_H

#include "message.h"

#include <nettle/hmac.h>

enum second_hash {
    SECOND_SHA1,
    SECOND_SHA256,
    SECOND_SHA384,
    SECOND_SHA512,
};

struct second_key {
    const char *name; /* text */
    enum second_hash hash;
    const uint8_t *secret;
    size_t secret_len;
};

/* A TSIG record where it stands in the message. */
struct second {
    size_t at;
    uint8_t name[NAME_MAX_LEN], algorithm[NAME_MAX_LEN]; /* lower case */
    size_t name_len, algorithm_len;
    const uint8_t *times; /* time signed, fudge */
    const uint8_t *mac;
    unsigned mac_len;
    const uint8_t *rest; /* original ID, error, other length, other */
    size_t rest_len;
};

/* A name at *at, which moves behind it; false: it is none. */
static inline bool second_name(const uint8_t *m, size_t len, size_t *at, uint8_t *name,
                               size_t *name_len_out)
{
    size_t p = *at, n = 0, jumps = 0;
    bool has_jumped = false;
    for (;;) {
        if (p >= len)
            return false;
        if (m[p] >= 0xc0) {
            if (p + 1 >= len || ++jumps > 127)
                return false;
            if (!has_jumped)
                *at = p + 2;
            has_jumped = true;
            p = get16(m + p) & 0x3fff;
            continue;
        }
        if (m[p] > 63 || p + 1 + m[p] > len || n + 1 + m[p] > NAME_MAX_LEN)
            return false;
        for (unsigned i = 0; i <= m[p]; i++) {
            uint8_t c = m[p + i];
            name[n + i] = i > 0 && c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
        }
        n += 1u + m[p];
        if (m[p] == 0)
            break;
        p += 1u + m[p];
    }
    if (!has_jumped)
        *at = p + 1;
    *name_len_out = n;
    return true;
}

/* The message's last record, if it is a TSIG record. */
static inline bool second_find(const uint8_t *m, size_t len, struct second *out)
{
    uint8_t name[NAME_MAX_LEN];
    size_t at = 12, n;
    if (len < 12)
        return false;
    for (unsigned i = get16(m + 4); i > 0; i--, at += 4)
        if (!second_name(m, len, &at, name, &n))
            return false;
    unsigned count = get16(m + 6) + get16(m + 8) + get16(m + 10);
    for (unsigned i = 0; i < count; i++) {
        out->at = at;
        if (!second_name(m, len, &at, out->name, &out->name_len) || at + 10 > len ||
            at + 10 + get16(m + at + 8) > len)
            return false;
        at += 10 + get16(m + at + 8);
    }
    size_t end = at;
    at = out->at;
    if (count == 0 || get16(m + 10) == 0 || end != len ||
        !second_name(m, len, &at, out->name, &out->name_len) || get16(m + at) != 250)
        return false;
    at += 10;
    if (!second_name(m, len, &at, out->algorithm, &out->algorithm_len) || at + 10 > len)
        return false;
    out->times = m + at;
    out->mac_len = get16(m + at + 8);
    out->mac = m + at + 10;
    at += 10 + out->mac_len;
    if (at + 6 > len)
        return false;
    out->rest = m + at;
    out->rest_len = len - at;
    return get16(m + at + 4) + 6u == out->rest_len;
}

/* The whole MAC. `prior`: of the request, for a response; else NULL. */
static inline void second_mac(const struct second_key *key, const uint8_t *m,
                              const struct second *s, const struct second *prior, uint8_t mac[64])
{
    uint8_t *flat = malloc(70000 + s->at), *p = flat;
    MUST(flat != NULL);
    if (prior != NULL) {
        *p++ = (uint8_t)(prior->mac_len >> 8);
        *p++ = (uint8_t)prior->mac_len;
        memcpy(p, prior->mac, prior->mac_len);
        p += prior->mac_len;
    }
    memcpy(p, m, s->at);
    p[0] = s->rest[0];
    p[1] = s->rest[1];
    p[10] = (uint8_t)((get16(m + 10) - 1) >> 8);
    p[11] = (uint8_t)(get16(m + 10) - 1);
    p += s->at;
    memcpy(p, s->name, s->name_len);
    p += s->name_len;
    memcpy(p, "\0\377\0\0\0\0", 6);
    p += 6;
    memcpy(p, s->algorithm, s->algorithm_len);
    p += s->algorithm_len;
    memcpy(p, s->times, 8);
    p += 8;
    memcpy(p, s->rest + 2, s->rest_len - 2);
    p += s->rest_len - 2;
    size_t len = (size_t)(p - flat);
    union {
        struct hmac_sha1_ctx sha1;
        struct hmac_sha256_ctx sha256;
        struct hmac_sha512_ctx sha512;
    } h;
    switch (key->hash) {
    case SECOND_SHA1:
        hmac_sha1_set_key(&h.sha1, key->secret_len, key->secret);
        hmac_sha1_update(&h.sha1, len, flat);
        hmac_sha1_digest(&h.sha1, 20, mac);
        break;
    case SECOND_SHA256:
        hmac_sha256_set_key(&h.sha256, key->secret_len, key->secret);
        hmac_sha256_update(&h.sha256, len, flat);
        hmac_sha256_digest(&h.sha256, 32, mac);
        break;
    case SECOND_SHA384:
        hmac_sha384_set_key(&h.sha512, key->secret_len, key->secret);
        hmac_sha384_update(&h.sha512, len, flat);
        hmac_sha384_digest(&h.sha512, 48, mac);
        break;
    case SECOND_SHA512:
        hmac_sha512_set_key(&h.sha512, key->secret_len, key->secret);
        hmac_sha512_update(&h.sha512, len, flat);
        hmac_sha512_digest(&h.sha512, 64, mac);
        break;
    }
    free(flat);
}

/* Is the MAC right, as far as it goes? */
static inline bool second_is_signed(const struct second_key *key, const uint8_t *m,
                                    const struct second *s, const struct second *prior)
{
    static const char *const algorithms[] = {"hmac-sha1", "hmac-sha256", "hmac-sha384",
                                             "hmac-sha512"};
    uint8_t mac[64], name[NAME_MAX_LEN];
    second_mac(key, m, s, prior, mac);
    bool is_key =
        name_from_text(key->name, name) == s->name_len && memcmp(name, s->name, s->name_len) == 0 &&
        memcmp(s->algorithm + 1, algorithms[key->hash], strlen(algorithms[key->hash])) == 0;
    return is_key && s->mac_len >= 10 && s->mac_len <= 64 && memcmp(mac, s->mac, s->mac_len) == 0;
}

#endif

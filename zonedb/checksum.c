/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/checksum.h"

#include "stateless_tcp/siphash.h"
#include "zonedb/digest.h"
#include "zonedb/node.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>

#define DIGEST_LEN_MAX 32
#define HEADER_LEN 12

static size_t nonce_len(enum checksum_layout layout)
{
    return layout == CHECKSUM_LAYOUT_00 ? 16 : 8;
}

size_t digest_head_len(enum checksum_layout layout)
{
    return layout == CHECKSUM_LAYOUT_00 ? 16 + 2 : 8 + 1;
}

size_t digest_len(uint16_t algorithm)
{
    switch (algorithm) {
    case CHECKSUM_ALGORITHM_SHA1:
        return SHA1_DIGEST_SIZE;
    case CHECKSUM_ALGORITHM_SHA256:
        return SHA256_DIGEST_SIZE;
    case CHECKSUM_ALGORITHM_SIPHASH:
        return 16;
    default:
        return 0;
    }
}

size_t checksum_request_write(enum checksum_layout layout, const uint8_t *nonce, uint8_t *out)
{
    size_t len = digest_head_len(layout);
    memset(out, 0, len);
    memcpy(out, nonce, nonce_len(layout));
    return len;
}

/* Digest of a message given in three pieces, the middle one being the DIGEST field: so many zeros.
 */
struct pieces {
    const uint8_t *before;
    size_t before_len;
    size_t zero_len;
    const uint8_t *after;
    size_t after_len;
};

static const uint8_t zeros[DIGEST_LEN_MAX];

static void digest_sha1(const struct pieces *p, uint8_t *digest)
{
    struct sha1_ctx sha;
    sha1_init(&sha);
    sha1_update(&sha, p->before_len, p->before);
    sha1_update(&sha, p->zero_len, zeros);
    sha1_update(&sha, p->after_len, p->after);
    sha1_digest(&sha, SHA1_DIGEST_SIZE, digest);
}

static void digest_sha256(const struct pieces *p, uint8_t *digest)
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, p->before_len, p->before);
    sha256_update(&sha, p->zero_len, zeros);
    sha256_update(&sha, p->after_len, p->after);
    sha256_digest(&sha, SHA256_DIGEST_SIZE, digest);
}

static uint8_t piece_octet(const struct pieces *p, size_t i)
{
    if (i < p->before_len)
        return p->before[i];
    i -= p->before_len;
    return i < p->zero_len ? 0 : p->after[i - p->zero_len];
}

/* SipHash takes words of 8 octets, which may straddle pieces. */
static void digest_siphash(const struct pieces *p, const uint8_t key[16], uint8_t digest[16])
{
    struct siphash_state s = siphash_begin_128(key);
    size_t len = p->before_len + p->zero_len + p->after_len, i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word = 0;
        for (unsigned octet = 0; octet < 8; octet++)
            word |= (uint64_t)piece_octet(p, i + octet) << (8 * octet);
        siphash_compress(&s, word);
    }
    uint64_t last = (uint64_t)len << 56;
    for (unsigned shift = 0; i < len; i++, shift += 8)
        last |= (uint64_t)piece_octet(p, i) << shift;
    siphash_compress(&s, last);
    siphash_end_128(&s, digest);
}

/* Digest of `message` with the field at `field` taken as zero. Returns its length, 0 if the
 * algorithm is unknown. */
static size_t digest_compute(enum checksum_layout layout, uint16_t algorithm, const uint8_t *nonce,
                             const uint8_t *message, size_t message_len, const uint8_t *field,
                             uint8_t digest[DIGEST_LEN_MAX])
{
    size_t len = digest_len(algorithm), before_len = (size_t)(field - message);
    if (len == 0)
        return 0;
    struct pieces p = {message, before_len, len, field + len, message_len - before_len - len};
    uint8_t key[16] = {0};
    if (algorithm == CHECKSUM_ALGORITHM_SHA1) {
        digest_sha1(&p, digest);
    } else if (algorithm == CHECKSUM_ALGORITHM_SHA256) {
        digest_sha256(&p, digest);
    } else {
        memcpy(key, nonce, nonce_len(layout));
        digest_siphash(&p, key, digest);
    }
    return len;
}

void digest_fill(enum checksum_layout layout, uint8_t algorithm, const uint8_t *nonce,
                 const uint8_t *message, size_t message_len, uint8_t *data)
{
    size_t head_len = digest_head_len(layout);
    uint8_t digest[DIGEST_LEN_MAX];
    memcpy(data, nonce, nonce_len(layout));
    if (layout == CHECKSUM_LAYOUT_00)
        store_be16(data + 16, algorithm);
    else
        data[8] = algorithm;
    size_t len =
        digest_compute(layout, algorithm, nonce, message, message_len, data + head_len, digest);
    assert(len > 0 && data + head_len + len <= message + message_len);
    memcpy(data + head_len, digest, len);
}

/* ---- the client's side ---- */

/* Where a name at `at` ends, compressed or not; 0: not within the message. */
static size_t name_end(const uint8_t *message, size_t message_len, size_t at)
{
    while (at < message_len) {
        uint8_t len = message[at];
        if (len == 0)
            return at + 1;
        if (len >= 0xc0)
            return at + 2 <= message_len ? at + 2 : 0;
        if (len > 63)
            return 0;
        at += 1u + len;
    }
    return 0;
}

/* Find the OPT record's RDATA. Returns 1 found, 0 none, -1 the message is malformed. */
static int opt_find(const uint8_t *message, size_t message_len, const uint8_t **opt_out,
                    uint16_t *opt_len_out)
{
    if (message_len < HEADER_LEN)
        return -1;
    size_t at = HEADER_LEN;
    for (unsigned i = load_be16(message + 4); i > 0; i--) {
        at = name_end(message, message_len, at);
        if (at == 0 || message_len - at < 4)
            return -1;
        at += 4;
    }
    unsigned count =
        (unsigned)load_be16(message + 6) + load_be16(message + 8) + load_be16(message + 10);
    int found = 0;
    for (; count > 0; count--) {
        at = name_end(message, message_len, at);
        if (at == 0 || message_len - at < 10)
            return -1;
        uint16_t type = load_be16(message + at), len = load_be16(message + at + 8);
        at += 10;
        if (message_len - at < len || (type == RR_OPT && found != 0))
            return -1;
        if (type == RR_OPT) {
            *opt_out = message + at;
            *opt_len_out = len;
            found = 1;
        }
        at += len;
    }
    return found;
}

/* The only option of this code. Returns its data, NULL if there is none or more than one;
 * *is_bad_out: the options are malformed. */
static const uint8_t *option_find(const uint8_t *opt, uint16_t opt_len, uint16_t code,
                                  uint16_t *len_out, bool *is_bad_out)
{
    const uint8_t *data = NULL;
    unsigned count = 0;
    *is_bad_out = false;
    for (size_t at = 0; at < opt_len;) {
        if (opt_len - at < 4 || opt_len - at - 4 < load_be16(opt + at + 2)) {
            *is_bad_out = true;
            return NULL;
        }
        uint16_t len = load_be16(opt + at + 2);
        if (load_be16(opt + at) == code) {
            data = opt + at + 4;
            *len_out = len;
            count++;
        }
        at += 4u + len;
    }
    return count == 1 ? data : NULL;
}

enum checksum_verdict checksum_verify(const uint8_t *message, size_t message_len, uint16_t code,
                                      enum checksum_layout layout, const uint8_t *nonce)
{
    const uint8_t *opt;
    uint16_t opt_len, data_len = 0;
    bool is_bad;
    int status = opt_find(message, message_len, &opt, &opt_len);
    if (status != 1)
        return status == 0 ? CHECKSUM_ABSENT : CHECKSUM_FORMERR;
    const uint8_t *data = option_find(opt, opt_len, code, &data_len, &is_bad);
    if (is_bad)
        return CHECKSUM_FORMERR;
    size_t head_len = digest_head_len(layout);
    if (data == NULL || data_len < head_len)
        return CHECKSUM_ABSENT;
    uint16_t algorithm = layout == CHECKSUM_LAYOUT_00 ? load_be16(data + 16) : data[8];
    if (digest_len(algorithm) == 0 || data_len != head_len + digest_len(algorithm))
        return CHECKSUM_ABSENT;
    if (memcmp(data, nonce, nonce_len(layout)) != 0)
        return CHECKSUM_BAD;
    uint8_t digest[DIGEST_LEN_MAX];
    size_t len =
        digest_compute(layout, algorithm, nonce, message, message_len, data + head_len, digest);
    return memcmp(digest, data + head_len, len) == 0 ? CHECKSUM_GOOD : CHECKSUM_BAD;
}

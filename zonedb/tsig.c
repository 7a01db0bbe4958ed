/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/tsig.h"

#include "zonedb/name.h"
#include "zonedb/node.h"

#include <nettle/memops.h>

#define HEADER_LEN 12
#define RECORD_FIXED_LEN 10 /* type, class, TTL, RDLENGTH */
#define TIMES_LEN 8         /* time signed, fudge */
#define ERRORS_LEN 4        /* error, other length */
#define SERVER_TIME_LEN 6
#define MAC_LEN_MIN 10 /* RFC 8945 5.2.2.1 */
#define TIME_MASK ((UINT64_C(1) << 48) - 1)

enum hash {
    HASH_SHA1,
    HASH_SHA256,
    HASH_SHA384,
    HASH_SHA512,
};

#define ALGORITHM_TEXT_MAX 16

static const struct {
    char text[ALGORITHM_TEXT_MAX];
    enum hash hash;
    uint8_t mac_len;
} algorithms[TSIG_ALGORITHM_COUNT] = {
    [TSIG_HMAC_SHA1] = {"hmac-sha1", HASH_SHA1, 20},
    [TSIG_HMAC_SHA256] = {"hmac-sha256", HASH_SHA256, 32},
    [TSIG_HMAC_SHA384] = {"hmac-sha384", HASH_SHA384, 48},
    [TSIG_HMAC_SHA512] = {"hmac-sha512", HASH_SHA512, 64},
    [TSIG_HMAC_SHA256_128] = {"hmac-sha256-128", HASH_SHA256, 16},
    [TSIG_HMAC_SHA384_192] = {"hmac-sha384-192", HASH_SHA384, 24},
    [TSIG_HMAC_SHA512_256] = {"hmac-sha512-256", HASH_SHA512, 32},
};

static const uint8_t hash_len[] = {
    [HASH_SHA1] = 20, [HASH_SHA256] = 32, [HASH_SHA384] = 48, [HASH_SHA512] = 64};

/* ---- algorithms and keys ---- */

static bool is_text(const char *text, size_t len, enum tsig_algorithm algorithm)
{
    const char *name = algorithms[algorithm].text;
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name_octet_lower((uint8_t)text[i]) != (uint8_t)name[i])
            return false;
    return true;
}

static int algorithm_find(const char *text, size_t len)
{
    for (int i = 0; i < TSIG_ALGORITHM_COUNT; i++)
        if (is_text(text, len, (enum tsig_algorithm)i))
            return i;
    return -1;
}

int tsig_algorithm_from_text(const char *text)
{
    size_t len = strlen(text);
    return algorithm_find(text, len > 0 && text[len - 1] == '.' ? len - 1 : len);
}

const char *tsig_algorithm_text(enum tsig_algorithm algorithm)
{
    return algorithms[algorithm].text;
}

/* All that we know are of one label. */
static int algorithm_from_name(const uint8_t *name, size_t len)
{
    if (len < 2 || name[0] != len - 2)
        return -1;
    return algorithm_find((const char *)name + 1, len - 2);
}

static size_t algorithm_to_name(enum tsig_algorithm algorithm, uint8_t *name)
{
    size_t len = strlen(algorithms[algorithm].text);
    name[0] = (uint8_t)len;
    memcpy(name + 1, algorithms[algorithm].text, len);
    name[1 + len] = 0;
    return len + 2;
}

bool tsig_key_set(struct tsig_key *key_out, const uint8_t *name, enum tsig_algorithm algorithm,
                  const uint8_t *secret, size_t secret_len)
{
    size_t len = name_len(name, NAME_MAX_LEN);
    if (len == 0 || len > TSIG_KEY_NAME_MAX)
        return false;
    memset(key_out, 0, sizeof *key_out);
    key_out->name_len = (uint8_t)name_copy_lower(key_out->name, name);
    key_out->algorithm = algorithm;
    switch (algorithms[algorithm].hash) {
    case HASH_SHA1:
        hmac_sha1_set_key(&key_out->hmac.sha1, secret_len, secret);
        break;
    case HASH_SHA256:
        hmac_sha256_set_key(&key_out->hmac.sha256, secret_len, secret);
        break;
    case HASH_SHA384:
        hmac_sha384_set_key(&key_out->hmac.sha512, secret_len, secret);
        break;
    case HASH_SHA512:
        hmac_sha512_set_key(&key_out->hmac.sha512, secret_len, secret);
        break;
    }
    return true;
}

void tsig_key_set_well_known(struct tsig_key *key_out)
{
    static const uint8_t root[1] = {0}, secret[32] = {0};
    bool is_set = tsig_key_set(key_out, root, TSIG_HMAC_SHA256, secret, sizeof secret);
    assert(is_set);
    (void)is_set;
}

static int name_order(const struct tsig_key *key, const uint8_t *name, size_t len)
{
    if (key->name_len != len)
        return key->name_len < len ? -1 : 1;
    return memcmp(key->name, name, len);
}

int tsig_key_compare(const struct tsig_key *a, const struct tsig_key *b)
{
    return name_order(a, b->name, b->name_len);
}

static const struct tsig_key *key_find(const struct tsig_keys *keys, const struct tsig *tsig)
{
    size_t low = 0, high = keys != NULL ? keys->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = name_order(&keys->items[middle], tsig->name, tsig->name_len);
        if (order == 0)
            return &keys->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- the digest ---- */

/* What a message's MAC covers besides the message and its TSIG record. */
struct mac_prior {
    const uint8_t *mac; /* of the request, for a response */
    size_t len;         /* 0: this is a request */
};

static void mac_update(enum hash hash, union tsig_hmac *hmac, size_t len, const uint8_t *octets)
{
    switch (hash) {
    case HASH_SHA1:
        hmac_sha1_update(&hmac->sha1, len, octets);
        return;
    case HASH_SHA256:
        hmac_sha256_update(&hmac->sha256, len, octets);
        return;
    case HASH_SHA384:
    case HASH_SHA512:
        hmac_sha512_update(&hmac->sha512, len, octets);
        return;
    }
}

static void mac_end(enum hash hash, union tsig_hmac *hmac, uint8_t mac[TSIG_MAC_MAX])
{
    switch (hash) {
    case HASH_SHA1:
        hmac_sha1_digest(&hmac->sha1, hash_len[hash], mac);
        return;
    case HASH_SHA256:
        hmac_sha256_digest(&hmac->sha256, hash_len[hash], mac);
        return;
    case HASH_SHA384:
        hmac_sha384_digest(&hmac->sha512, hash_len[hash], mac);
        return;
    case HASH_SHA512:
        hmac_sha512_digest(&hmac->sha512, hash_len[hash], mac);
        return;
    }
}

static void store_be48(uint8_t *p, uint64_t value)
{
    store_be16(p, (uint16_t)(value >> 32));
    store_be32(p + 2, (uint32_t)value);
}

static uint64_t load_be48(const uint8_t *p)
{
    return (uint64_t)load_be16(p) << 32 | load_be32(p + 2);
}

static void times_write(const struct tsig *tsig, uint8_t out[TIMES_LEN])
{
    store_be48(out, tsig->time_s);
    store_be16(out + 6, tsig->fudge_s);
}

static void errors_write(const struct tsig *tsig, uint8_t out[ERRORS_LEN])
{
    store_be16(out, tsig->error);
    store_be16(out + 2, tsig->other_len);
}

/* RFC 8945 4.3: the request's MAC, the message as it was before it got the record, the variables of
 * the record. `arcount`: without the record. */
static void mac_compute(const struct tsig_key *key, struct mac_prior prior, const uint8_t *message,
                        unsigned arcount, const struct tsig *tsig, uint8_t mac[TSIG_MAC_MAX])
{
    static const uint8_t class_and_ttl[6] = {0, 255, 0, 0, 0, 0};
    enum hash hash = algorithms[key->algorithm].hash;
    union tsig_hmac hmac = key->hmac;
    uint8_t octets[HEADER_LEN], name[NAME_MAX_LEN];
    if (prior.len > 0) {
        store_be16(octets, (uint16_t)prior.len);
        mac_update(hash, &hmac, 2, octets);
        mac_update(hash, &hmac, prior.len, prior.mac);
    }
    memcpy(octets, message, HEADER_LEN);
    store_be16(octets, tsig->original_id);
    store_be16(octets + 10, (uint16_t)arcount);
    mac_update(hash, &hmac, HEADER_LEN, octets);
    mac_update(hash, &hmac, tsig->at - HEADER_LEN, message + HEADER_LEN);
    mac_update(hash, &hmac, tsig->name_len, tsig->name);
    mac_update(hash, &hmac, sizeof class_and_ttl, class_and_ttl);
    name_copy_lower(name, tsig->algorithm);
    mac_update(hash, &hmac, tsig->algorithm_len, name);
    times_write(tsig, octets);
    mac_update(hash, &hmac, TIMES_LEN, octets);
    errors_write(tsig, octets);
    mac_update(hash, &hmac, ERRORS_LEN, octets);
    mac_update(hash, &hmac, tsig->other_len, tsig->other);
    mac_end(hash, &hmac, mac);
}

/* ---- reading ---- */

/* A name that may be compressed, in lower case; pointers must lead backwards. Returns its length, 0
 * if it is not valid; *end_out is where it ends at its own place. */
static size_t name_expand(const uint8_t *message, size_t message_len, size_t at,
                          uint8_t name[NAME_MAX_LEN], size_t *end_out)
{
    size_t len = 0, before = at;
    *end_out = 0;
    while (at < message_len) {
        size_t label_len = message[at];
        if (label_len >= 0xc0) {
            size_t to = message_len - at < 2 ? before : load_be16(message + at) & 0x3fffu;
            if (to >= before || to < HEADER_LEN)
                return 0;
            *end_out = *end_out != 0 ? *end_out : at + 2;
            at = before = to;
            continue;
        }
        if (label_len > 63 || message_len - at < 1 + label_len ||
            len + 1 + label_len > NAME_MAX_LEN)
            return 0;
        for (size_t i = 0; i <= label_len; i++)
            name[len + i] = name_octet_lower(message[at + i]);
        len += 1 + label_len;
        at += 1 + label_len;
        if (label_len == 0) {
            *end_out = *end_out != 0 ? *end_out : at;
            return len;
        }
    }
    return 0;
}

/* RDATA (RFC 8945 4.2), which ends the message: every octet of it is accounted for. */
static bool rdata_read(const uint8_t *rdata, size_t len, struct tsig *tsig)
{
    tsig->algorithm = rdata;
    tsig->algorithm_len = (uint16_t)name_len(rdata, len);
    size_t at = tsig->algorithm_len;
    if (at == 0 || len - at < TIMES_LEN + 2)
        return false;
    tsig->time_s = load_be48(rdata + at);
    tsig->fudge_s = load_be16(rdata + at + 6);
    tsig->mac_len = load_be16(rdata + at + TIMES_LEN);
    at += TIMES_LEN + 2;
    if (len - at < tsig->mac_len + 2u + ERRORS_LEN)
        return false;
    tsig->mac = rdata + at;
    at += tsig->mac_len;
    tsig->original_id = load_be16(rdata + at);
    tsig->error = load_be16(rdata + at + 2);
    tsig->other_len = load_be16(rdata + at + 4);
    tsig->other = rdata + at + 6;
    return len - at - 6 == tsig->other_len;
}

bool tsig_read(const uint8_t *message, size_t message_len, size_t at, struct tsig *tsig_out)
{
    size_t end;
    assert(at >= HEADER_LEN);
    tsig_out->at = at;
    tsig_out->name_len = (uint16_t)name_expand(message, message_len, at, tsig_out->name, &end);
    if (tsig_out->name_len == 0 || message_len - end < RECORD_FIXED_LEN)
        return false;
    const uint8_t *fixed = message + end;
    size_t rdata_len = message_len - end - RECORD_FIXED_LEN;
    return load_be16(fixed) == RR_TSIG && load_be16(fixed + 2) == CLASS_ANY &&
           load_be32(fixed + 4) == 0 && load_be16(fixed + 8) == rdata_len &&
           rdata_read(fixed + RECORD_FIXED_LEN, rdata_len, tsig_out);
}

/* Where a name at `at` ends, compressed or not; 0: not within the message. */
static size_t name_end(const uint8_t *message, size_t message_len, size_t at)
{
    while (at < message_len) {
        size_t len = message[at];
        if (len == 0)
            return at + 1;
        if (len >= 0xc0)
            return message_len - at >= 2 ? at + 2 : 0;
        if (len > 63)
            return 0;
        at += 1 + len;
    }
    return 0;
}

int tsig_find(const uint8_t *message, size_t message_len, struct tsig *tsig_out)
{
    size_t at = HEADER_LEN;
    if (message_len < HEADER_LEN)
        return -1;
    for (unsigned i = load_be16(message + 4); i > 0; i--) {
        at = name_end(message, message_len, at);
        if (at == 0 || message_len - at < 4)
            return -1;
        at += 4;
    }
    unsigned additional = load_be16(message + 10),
             count = additional + load_be16(message + 6) + load_be16(message + 8);
    for (; count > 0; count--) {
        size_t begin = at;
        at = name_end(message, message_len, at);
        if (at == 0 || message_len - at < RECORD_FIXED_LEN)
            return -1;
        if (load_be16(message + at) == RR_TSIG)
            return count == 1 && additional > 0 && tsig_read(message, message_len, begin, tsig_out)
                       ? 1
                       : -1;
        at += RECORD_FIXED_LEN;
        if (message_len - at < load_be16(message + at - 2))
            return -1;
        at += load_be16(message + at - 2);
    }
    return at == message_len ? 0 : -1;
}

/* ---- writing ---- */

static size_t record_len(size_t name_octets, size_t algorithm_octets, size_t mac_len,
                         size_t other_len)
{
    return name_octets + RECORD_FIXED_LEN + algorithm_octets + TIMES_LEN + 2 + mac_len + 2 +
           ERRORS_LEN + other_len;
}

/* The record behind the message, which is counted. Returns the message's length. */
static size_t record_write(uint8_t *message, const struct tsig *tsig)
{
    uint8_t *p = message + tsig->at;
    memcpy(p, tsig->name, tsig->name_len);
    p += tsig->name_len;
    store_be16(p, RR_TSIG);
    store_be16(p + 2, CLASS_ANY);
    store_be32(p + 4, 0);
    store_be16(p + 8,
               (uint16_t)(record_len(0, tsig->algorithm_len, tsig->mac_len, tsig->other_len) -
                          RECORD_FIXED_LEN));
    p += RECORD_FIXED_LEN;
    p += name_copy_lower(p, tsig->algorithm);
    times_write(tsig, p);
    store_be16(p + TIMES_LEN, tsig->mac_len);
    p += TIMES_LEN + 2;
    memcpy(p, tsig->mac, tsig->mac_len);
    p += tsig->mac_len;
    store_be16(p, tsig->original_id);
    errors_write(tsig, p + 2);
    p += 2 + ERRORS_LEN;
    memcpy(p, tsig->other, tsig->other_len);
    store_be16(message + 10, (uint16_t)(load_be16(message + 10) + 1));
    return (size_t)(p + tsig->other_len - message);
}

/* ---- servers ---- */

/* RFC 8945 5.2.3. */
static bool is_in_time(const struct tsig *tsig, uint64_t now_s)
{
    uint64_t now = now_s & TIME_MASK;
    return (now > tsig->time_s ? now - tsig->time_s : tsig->time_s - now) <= tsig->fudge_s;
}

/* RFC 8945 5.2.2.1: neither longer than the algorithm makes it, nor so short that it says little.
 */
static bool is_mac_len_possible(enum tsig_algorithm algorithm, size_t mac_len)
{
    size_t half = hash_len[algorithms[algorithm].hash] / 2u;
    return mac_len <= algorithms[algorithm].mac_len &&
           mac_len >= (half > MAC_LEN_MIN ? half : MAC_LEN_MIN);
}

/* The key, if the request's algorithm is one that it serves (RFC 8945 5.2.1). */
static const struct tsig_key *key_for(const struct tsig_keys *keys, const struct tsig *tsig,
                                      enum tsig_algorithm *algorithm_out)
{
    int algorithm = algorithm_from_name(tsig->algorithm, tsig->algorithm_len);
    const struct tsig_key *key = key_find(keys, tsig);
    if (algorithm < 0 || key == NULL ||
        algorithms[algorithm].hash != algorithms[key->algorithm].hash ||
        algorithms[algorithm].mac_len < algorithms[key->algorithm].mac_len)
        return NULL;
    *algorithm_out = (enum tsig_algorithm)algorithm;
    return key;
}

enum tsig_verdict tsig_request_verify(const struct tsig_keys *keys, const uint8_t *request,
                                      size_t request_len, uint64_t now_s,
                                      struct tsig_reply *reply_out)
{
    struct tsig *tsig = &reply_out->request;
    uint8_t mac[TSIG_MAC_MAX];
    if (tsig_find(request, request_len, tsig) != 1)
        return TSIG_IS_MALFORMED;
    reply_out->server_time_s = now_s & TIME_MASK;
    reply_out->error = TSIG_BADKEY;
    reply_out->mac_len = 0;
    const struct tsig_key *key = reply_out->key = key_for(keys, tsig, &reply_out->algorithm);
    if (key == NULL)
        return TSIG_IS_REFUSED;
    if (!is_mac_len_possible(reply_out->algorithm, tsig->mac_len))
        return TSIG_IS_MALFORMED;
    mac_compute(key, (struct mac_prior){0}, request, load_be16(request + 10) - 1u, tsig, mac);
    if (!memeql_sec(mac, tsig->mac, tsig->mac_len)) {
        reply_out->error = TSIG_BADSIG;
        reply_out->key = NULL;
        return TSIG_IS_REFUSED;
    }
    size_t mac_len_min = algorithms[key->algorithm].mac_len;
    bool is_short = tsig->mac_len < mac_len_min;
    reply_out->mac_len = is_short ? mac_len_min : tsig->mac_len;
    if (!is_in_time(tsig, now_s))
        reply_out->error = TSIG_BADTIME;
    else if (is_short)
        reply_out->error = TSIG_BADTRUNC;
    else
        reply_out->error = TSIG_NOERROR;
    return reply_out->error == TSIG_NOERROR ? TSIG_IS_GOOD : TSIG_IS_REFUSED;
}

size_t tsig_reply_len(const struct tsig_reply *reply)
{
    return record_len(reply->request.name_len, reply->request.algorithm_len, reply->mac_len,
                      reply->error == TSIG_BADTIME ? SERVER_TIME_LEN : 0);
}

size_t tsig_reply_sign(const struct tsig_reply *reply, uint8_t *response, size_t len, size_t cap)
{
    struct tsig tsig = reply->request;
    uint8_t server_time[SERVER_TIME_LEN], mac[TSIG_MAC_MAX];
    const struct mac_prior prior = {reply->request.mac, reply->request.mac_len};
    assert(len >= HEADER_LEN && cap >= len && cap - len >= tsig_reply_len(reply));
    store_be48(server_time, reply->server_time_s);
    tsig.at = len;
    tsig.original_id = load_be16(response);
    tsig.error = (uint16_t)reply->error;
    tsig.other = server_time;
    tsig.other_len = reply->error == TSIG_BADTIME ? SERVER_TIME_LEN : 0;
    if (reply->error != TSIG_BADTIME) /* then it is the client's too: RFC 8945 5.2.3 */
        tsig.fudge_s = TSIG_FUDGE_S;
    tsig.mac = mac;
    tsig.mac_len = (uint16_t)reply->mac_len;
    if (reply->key != NULL)
        mac_compute(reply->key, prior, response, load_be16(response + 10), &tsig, mac);
    return record_write(response, &tsig);
}

/* ---- clients ---- */

size_t tsig_request_sign(const struct tsig_key *key, uint64_t now_s, const uint8_t *other,
                         size_t other_len, uint8_t *request, size_t len, size_t cap,
                         struct tsig_asked *asked_out)
{
    uint8_t algorithm[ALGORITHM_TEXT_MAX + 2];
    struct tsig tsig = {
        .at = len,
        .time_s = now_s & TIME_MASK,
        .fudge_s = TSIG_FUDGE_S,
        .original_id = load_be16(request),
        .mac = asked_out->mac,
        .mac_len = algorithms[key->algorithm].mac_len,
        .other = other_len > 0 ? other : algorithm,
        .other_len = (uint16_t)other_len,
        .algorithm = algorithm,
        .algorithm_len = (uint16_t)algorithm_to_name(key->algorithm, algorithm),
        .name_len = key->name_len,
    };
    assert(len >= HEADER_LEN && len <= cap && other_len <= TSIG_OTHER_MAX);
    if (cap - len < record_len(tsig.name_len, tsig.algorithm_len, tsig.mac_len, other_len))
        return 0;
    memcpy(tsig.name, key->name, key->name_len);
    mac_compute(key, (struct mac_prior){0}, request, load_be16(request + 10), &tsig,
                asked_out->mac);
    asked_out->key = key;
    asked_out->mac_len = tsig.mac_len;
    return record_write(request, &tsig);
}

enum tsig_answer tsig_response_verify(const struct tsig_asked *asked, const uint8_t *message,
                                      size_t message_len, uint64_t now_s, struct tsig *tsig_out)
{
    const struct tsig_key *key = asked->key;
    uint8_t mac[TSIG_MAC_MAX];
    int found = tsig_find(message, message_len, tsig_out);
    if (found != 1)
        return found == 0 ? TSIG_ANSWER_ABSENT : TSIG_ANSWER_MALFORMED;
    if (tsig_out->mac_len == 0)
        return TSIG_ANSWER_UNSIGNED;
    int algorithm = algorithm_from_name(tsig_out->algorithm, tsig_out->algorithm_len);
    if (name_order(key, tsig_out->name, tsig_out->name_len) != 0 ||
        algorithm != (int)key->algorithm || tsig_out->mac_len != algorithms[algorithm].mac_len)
        return TSIG_ANSWER_BAD;
    mac_compute(key, (struct mac_prior){asked->mac, asked->mac_len}, message,
                load_be16(message + 10) - 1u, tsig_out, mac);
    if (!memeql_sec(mac, tsig_out->mac, tsig_out->mac_len))
        return TSIG_ANSWER_BAD;
    if (!is_in_time(tsig_out, now_s) && tsig_out->error != TSIG_BADTIME)
        return TSIG_ANSWER_LATE;
    return tsig_out->error == TSIG_NOERROR ? TSIG_ANSWER_GOOD : TSIG_ANSWER_REFUSED;
}

uint64_t tsig_server_time(const struct tsig *tsig)
{
    return tsig->error == TSIG_BADTIME && tsig->other_len == SERVER_TIME_LEN
               ? load_be48(tsig->other)
               : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signatures against those of another implementation, each rule of RFC 8945 5.2, and what a client
 * says of responses. Every message lies in a block of its exact size.
 */
#include "test_main.h"
#include "zonedb/name.h"
#include "zonedb/tsig.h"

#include "tsig_vectors.h"

#define VECTOR_COUNT (sizeof vectors / sizeof *vectors)
#define KEY_NAME ((const uint8_t *)"\3key\7example")

static uint8_t secret[256];
static uint8_t octets[2048];

static size_t vector_key(size_t i, struct tsig_key *key_out)
{
    size_t secret_len = hex_decode(vectors[i].secret, secret, sizeof secret);
    ck_assert(tsig_key_set(key_out, vectors[i].name, vectors[i].algorithm, secret, secret_len));
    return secret_len;
}

static uint8_t *block_of(const char *hex, size_t *len_out)
{
    *len_out = hex_decode(hex, octets, sizeof octets);
    return exact_copy(octets, *len_out);
}

/* The message without its record, as it was before it was signed, in `out`. Returns its length. */
static size_t unsign(uint8_t *out, const uint8_t *message, const struct tsig *tsig)
{
    memcpy(out, message, tsig->at);
    out[11]--;
    return tsig->at;
}

static void same_record(const struct tsig *ours, const struct tsig *theirs)
{
    ck_assert_uint_eq(ours->at, theirs->at);
    ck_assert_uint_eq(ours->time_s, theirs->time_s);
    ck_assert_uint_eq(ours->fudge_s, theirs->fudge_s);
    ck_assert_uint_eq(ours->original_id, theirs->original_id);
    ck_assert_uint_eq(ours->error, theirs->error);
    ck_assert_uint_eq(ours->mac_len, theirs->mac_len);
    ck_assert_mem_eq(ours->mac, theirs->mac, theirs->mac_len);
    ck_assert_uint_eq(ours->other_len, theirs->other_len);
    ck_assert_mem_eq(ours->other, theirs->other, theirs->other_len);
    ck_assert_uint_eq(ours->name_len, theirs->name_len);
    ck_assert_mem_eq(ours->name, theirs->name, theirs->name_len);
}

START_TEST(test_vectors_as_client)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        struct tsig_key key;
        struct tsig theirs, ours;
        struct tsig_asked asked;
        uint8_t made[512];
        size_t len;
        vector_key(i, &key);
        uint8_t *request = block_of(vectors[i].request, &len);
        ck_assert_int_eq(tsig_find(request, len, &theirs), 1);
        size_t made_len = unsign(made, request, &theirs);
        /* Theirs may bear another ID by now. */
        made[0] = (uint8_t)(theirs.original_id >> 8);
        made[1] = (uint8_t)theirs.original_id;
        made_len = tsig_request_sign(&key, VECTOR_TIME_S, theirs.other, theirs.other_len, made,
                                     made_len, sizeof made, &asked);
        ck_assert_uint_gt(made_len, 0);
        ck_assert_int_eq(tsig_find(made, made_len, &ours), 1);
        same_record(&ours, &theirs);
        ck_assert_uint_eq(asked.mac_len, theirs.mac_len);
        free(request);
        uint8_t *response = block_of(vectors[i].response, &len);
        ck_assert_int_eq(tsig_response_verify(&asked, response, len, VECTOR_TIME_S + 300, &ours),
                         TSIG_ANSWER_GOOD);
        ck_assert_int_eq(tsig_response_verify(&asked, response, len, VECTOR_TIME_S + 301, &ours),
                         TSIG_ANSWER_LATE);
        free(response);
    }
}
END_TEST

START_TEST(test_vectors_as_server)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        struct tsig_key key;
        struct tsig_keys keys = {&key, 1};
        struct tsig theirs, ours;
        struct tsig_reply reply;
        uint8_t made[512];
        size_t request_len, len;
        vector_key(i, &key);
        uint8_t *request = block_of(vectors[i].request, &request_len);
        uint8_t *response = block_of(vectors[i].response, &len);
        ck_assert_int_eq(tsig_find(request, request_len, &theirs), 1);
        ck_assert_int_eq(tsig_request_verify(&keys, request, request_len, VECTOR_TIME_S, &reply),
                         TSIG_IS_GOOD);
        ck_assert_int_eq(tsig_find(response, len, &theirs), 1);
        size_t made_len = unsign(made, response, &theirs);
        made_len = tsig_reply_sign(&reply, made, made_len, made_len + tsig_reply_len(&reply));
        ck_assert_int_eq(tsig_find(made, made_len, &ours), 1);
        same_record(&ours, &theirs);
        free(request);
        free(response);
    }
}
END_TEST

/* ---- a request of our own, and what is done to it ---- */

struct made {
    struct tsig_key key;
    struct tsig_keys keys;
    struct tsig_asked asked;
    size_t plain_len, len;
    uint8_t request[512];
};

static size_t question_make(uint8_t *out)
{
    static const uint8_t plain[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1";
    memcpy(out, plain, sizeof plain - 1);
    return sizeof plain - 1;
}

static void made_begin(struct made *made, enum tsig_algorithm algorithm)
{
    ck_assert(tsig_key_set(&made->key, KEY_NAME, algorithm, (const uint8_t *)"secret", 6));
    made->keys = (struct tsig_keys){&made->key, 1};
    made->plain_len = question_make(made->request);
    made->len = tsig_request_sign(&made->key, VECTOR_TIME_S, NULL, 0, made->request,
                                  made->plain_len, sizeof made->request, &made->asked);
    ck_assert_uint_gt(made->len, made->plain_len);
}

static enum tsig_verdict verify(const struct made *made, uint64_t now_s, struct tsig_reply *reply)
{
    uint8_t *block = exact_copy(made->request, made->len);
    enum tsig_verdict verdict = tsig_request_verify(&made->keys, block, made->len, now_s, reply);
    /* What the reply points to is compared by the caller in the original. */
    free(block);
    return verdict;
}

/* The response to it, signed; returns its length. */
static size_t answer(const struct made *made, const struct tsig_keys *keys, uint64_t now_s,
                     uint8_t *response, enum tsig_error error)
{
    struct tsig_reply reply;
    enum tsig_verdict verdict = tsig_request_verify(keys, made->request, made->len, now_s, &reply);
    ck_assert_int_eq(verdict, error == TSIG_NOERROR ? TSIG_IS_GOOD : TSIG_IS_REFUSED);
    ck_assert_int_eq(reply.error, error);
    size_t len = question_make(response);
    response[2] |= 0x80;
    return tsig_reply_sign(&reply, response, len, len + tsig_reply_len(&reply));
}

/* Offsets in the request, whose names are of 13 octets and of one label each. */
static size_t at_rdata(const struct made *made)
{
    return made->plain_len + 13 + 10;
}

static size_t at_mac(const struct made *made)
{
    return at_rdata(made) + made->request[at_rdata(made)] + 2u + 10;
}

START_TEST(test_every_octet_counts)
{
    struct made made;
    struct tsig_reply reply;
    made_begin(&made, TSIG_HMAC_SHA256);
    ck_assert_int_eq(verify(&made, VECTOR_TIME_S, &reply), TSIG_IS_GOOD);
    for (size_t i = 0; i < made.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            made.request[i] ^= (uint8_t)(1u << bit);
            enum tsig_verdict verdict = verify(&made, VECTOR_TIME_S, &reply);
            /* Not the ID, which forwarders change; not the case of the record's two names. */
            bool is_free = i < 2 ||
                           (bit == 5 && i >= made.plain_len && i < made.plain_len + 13 &&
                            made.request[i] > 63) ||
                           (bit == 5 && i > at_rdata(&made) && i < at_rdata(&made) + 12 &&
                            (made.request[i] & 0x40) != 0);
            ck_assert_msg((verdict == TSIG_IS_GOOD) == is_free, "octet %zu bit %u: %d", i, bit,
                          (int)verdict);
            made.request[i] ^= (uint8_t)(1u << bit);
        }
}
END_TEST

START_TEST(test_keys)
{
    struct made made;
    struct tsig tsig;
    uint8_t response[512];
    made_begin(&made, TSIG_HMAC_SHA256);
    struct tsig_key others[3];
    struct tsig_keys keys = {others, 3};
    /* BADKEY: no such name, no keys, another algorithm; unsigned (RFC 8945 5.3.2). */
    tsig_key_set_well_known(&others[0]);
    ck_assert(
        tsig_key_set(&others[1], (const uint8_t *)"\3kex\7example", TSIG_HMAC_SHA256, NULL, 0));
    ck_assert(
        tsig_key_set(&others[2], (const uint8_t *)"\3key\7exampld\0", TSIG_HMAC_SHA256, NULL, 0));
    ck_assert_int_lt(tsig_key_compare(&others[0], &others[1]), 0);
    struct tsig_key swap = others[1];
    others[1] = others[2];
    others[2] = swap;
    if (tsig_key_compare(&others[1], &others[2]) > 0) {
        others[2] = others[1];
        others[1] = swap;
    }
    size_t len = answer(&made, &keys, VECTOR_TIME_S, response, TSIG_BADKEY);
    ck_assert_int_eq(tsig_find(response, len, &tsig), 1);
    ck_assert_uint_eq(tsig.mac_len, 0);
    ck_assert_uint_eq(tsig.error, TSIG_BADKEY);
    ck_assert_int_eq(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_UNSIGNED);
    answer(&made, NULL, VECTOR_TIME_S, response, TSIG_BADKEY);
    ck_assert(tsig_key_set(&others[0], KEY_NAME, TSIG_HMAC_SHA512, (const uint8_t *)"secret", 6));
    keys.count = 1;
    answer(&made, &keys, VECTOR_TIME_S, response, TSIG_BADKEY);
    ck_assert(tsig_key_set(&others[0], KEY_NAME, TSIG_HMAC_SHA1, (const uint8_t *)"secret", 6));
    answer(&made, &keys, VECTOR_TIME_S, response, TSIG_BADKEY);
    /* The same secret does for the same name only, in any case. */
    ck_assert(tsig_key_set(&others[0], (const uint8_t *)"\3KEY\7exAmple", TSIG_HMAC_SHA256,
                           (const uint8_t *)"secret", 6));
    answer(&made, &keys, VECTOR_TIME_S, response, TSIG_NOERROR);
    ck_assert(tsig_key_set(&others[0], KEY_NAME, TSIG_HMAC_SHA256, (const uint8_t *)"secreu", 6));
    len = answer(&made, &keys, VECTOR_TIME_S, response, TSIG_BADSIG);
    ck_assert_int_eq(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_UNSIGNED);
    ck_assert_uint_eq(tsig.error, TSIG_BADSIG);
}
END_TEST

START_TEST(test_key_is_found_among_many)
{
    struct tsig_key keys[26];
    struct tsig_keys table = {keys, 26};
    for (unsigned i = 0; i < 26; i++) {
        const uint8_t name[3] = {1, (uint8_t)('a' + i), 0};
        ck_assert(tsig_key_set(&keys[i], name, TSIG_HMAC_SHA256, name, 3));
    }
    for (unsigned i = 0; i < 26; i++) {
        struct tsig_asked asked;
        struct tsig_reply reply;
        uint8_t request[512];
        size_t plain = question_make(request);
        size_t len =
            tsig_request_sign(&keys[i], 1, NULL, 0, request, plain, sizeof request, &asked);
        ck_assert_int_eq(tsig_request_verify(&table, request, len, 1, &reply), TSIG_IS_GOOD);
        ck_assert_ptr_eq(reply.key, &keys[i]);
    }
}
END_TEST

START_TEST(test_time)
{
    struct made made;
    struct tsig tsig;
    uint8_t response[512], again[512];
    made_begin(&made, TSIG_HMAC_SHA256);
    size_t len = answer(&made, &made.keys, VECTOR_TIME_S, response, TSIG_NOERROR);
    for (int64_t by = -300; by <= 300; by += 50) {
        uint64_t now_s = (uint64_t)(VECTOR_TIME_S + by);
        ck_assert_uint_eq(answer(&made, &made.keys, now_s, again, TSIG_NOERROR), len);
        ck_assert_mem_eq(again, response, len);
    }
    ck_assert_int_eq(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_GOOD);
    for (int by = -301; by <= 301; by += 602) {
        uint64_t now_s = (uint64_t)(VECTOR_TIME_S + by);
        len = answer(&made, &made.keys, now_s, response, TSIG_BADTIME);
        ck_assert_int_eq(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S, &tsig),
                         TSIG_ANSWER_REFUSED);
        ck_assert_uint_eq(tsig.error, TSIG_BADTIME);
        ck_assert_uint_eq(tsig.time_s, VECTOR_TIME_S);
        ck_assert_uint_eq(tsig.fudge_s, TSIG_FUDGE_S);
        ck_assert_uint_eq(tsig_server_time(&tsig), now_s);
    }
    /* Who waits for long for it is told all the same. */
    ck_assert_int_eq(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S + 999, &tsig),
                     TSIG_ANSWER_REFUSED);
    tsig.other_len = 5;
    ck_assert_uint_eq(tsig_server_time(&tsig), 0);
    tsig.other_len = 6;
    tsig.error = TSIG_BADTRUNC;
    ck_assert_uint_eq(tsig_server_time(&tsig), 0);
    /* Without a clock every signature is too new. */
    answer(&made, &made.keys, 0, response, TSIG_BADTIME);
}
END_TEST

/* Seconds have 48 bits. */
START_TEST(test_late_times)
{
    static const uint64_t times_s[] = {UINT64_C(1) << 32, UINT64_C(5) << 32,
                                       (UINT64_C(1) << 48) - 400};
    for (size_t i = 0; i < sizeof times_s / sizeof *times_s; i++) {
        struct made made;
        struct tsig tsig;
        uint8_t response[512];
        made_begin(&made, TSIG_HMAC_SHA256);
        size_t plain_len = question_make(made.request);
        made.len = tsig_request_sign(&made.key, times_s[i], NULL, 0, made.request, plain_len,
                                     sizeof made.request, &made.asked);
        for (unsigned by = 300; by <= 301; by++) {
            size_t len = answer(&made, &made.keys, times_s[i] + by, response,
                                by == 300 ? TSIG_NOERROR : TSIG_BADTIME);
            tsig_response_verify(&made.asked, response, len, times_s[i], &tsig);
            ck_assert_uint_eq(tsig.time_s, times_s[i]);
            ck_assert_uint_eq(tsig_server_time(&tsig), by == 300 ? 0 : times_s[i] + by);
        }
        answer(&made, &made.keys, times_s[i] & UINT32_MAX, response, TSIG_BADTIME);
    }
}
END_TEST

/* Shorten the MAC of the request in place; it stays right as far as it goes. */
static void mac_cut(struct made *made, size_t mac_len)
{
    size_t at = at_mac(made), old_len = made->request[at - 1], by = old_len - mac_len;
    memmove(made->request + at + mac_len, made->request + at + old_len, made->len - at - old_len);
    made->request[at - 1] = (uint8_t)mac_len;
    made->request[at_rdata(made) - 1] = (uint8_t)(made->request[at_rdata(made) - 1] - by);
    made->len -= by;
    made->asked.mac_len = mac_len;
}

START_TEST(test_truncated_mac)
{
    static const struct {
        enum tsig_algorithm algorithm;
        size_t half;
    } cases[] = {{TSIG_HMAC_SHA1, 10},
                 {TSIG_HMAC_SHA256, 16},
                 {TSIG_HMAC_SHA384, 24},
                 {TSIG_HMAC_SHA512, 32}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made made;
        struct tsig tsig;
        struct tsig_reply reply;
        uint8_t response[512];
        made_begin(&made, cases[i].algorithm);
        size_t whole = made.request[at_mac(&made) - 1];
        mac_cut(&made, cases[i].half);
        /* BADTRUNC is signed, by the whole MAC, over the short one. */
        size_t len = answer(&made, &made.keys, VECTOR_TIME_S, response, TSIG_BADTRUNC);
        ck_assert_int_eq(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S, &tsig),
                         TSIG_ANSWER_REFUSED);
        ck_assert_uint_eq(tsig.error, TSIG_BADTRUNC);
        ck_assert_uint_eq(tsig.mac_len, whole);
        /* The time is looked at first (RFC 8945 5.2). */
        answer(&made, &made.keys, VECTOR_TIME_S + 301, response, TSIG_BADTIME);
        mac_cut(&made, cases[i].half - 1);
        ck_assert_int_eq(verify(&made, VECTOR_TIME_S, &reply), TSIG_IS_MALFORMED);
        mac_cut(&made, 0);
        ck_assert_int_eq(verify(&made, VECTOR_TIME_S, &reply), TSIG_IS_MALFORMED);
    }
}
END_TEST

/* Another octet behind the whole MAC: more than the hash makes (RFC 8945 5.2.2.1). */
START_TEST(test_long_mac)
{
    for (int i = 0; i < TSIG_ALGORITHM_COUNT; i++) {
        struct made made;
        struct tsig_reply reply;
        made_begin(&made, (enum tsig_algorithm)i);
        ck_assert_int_eq(verify(&made, VECTOR_TIME_S, &reply), TSIG_IS_GOOD);
        size_t at = at_mac(&made), end = at + made.request[at - 1];
        memmove(made.request + end + 1, made.request + end, made.len++ - end);
        made.request[at - 1]++;
        made.request[at_rdata(&made) - 1]++;
        ck_assert_int_eq(verify(&made, VECTOR_TIME_S, &reply), TSIG_IS_MALFORMED);
    }
}
END_TEST

/* A key for short MACs takes the whole algorithm's name too, and longer MACs; the response's is as
 * long as the request's. */
START_TEST(test_key_for_truncated_mac)
{
    struct made made;
    struct tsig_key key;
    struct tsig_reply reply;
    struct tsig_keys keys = {&key, 1};
    uint8_t response[512];
    ck_assert(tsig_key_set(&key, KEY_NAME, TSIG_HMAC_SHA256_128, (const uint8_t *)"secret", 6));
    for (size_t mac_len = 32; mac_len >= 16; mac_len -= 8) {
        made_begin(&made, TSIG_HMAC_SHA256);
        mac_cut(&made, mac_len);
        answer(&made, &keys, VECTOR_TIME_S, response, TSIG_NOERROR);
        ck_assert_int_eq(tsig_request_verify(&keys, made.request, made.len, VECTOR_TIME_S, &reply),
                         TSIG_IS_GOOD);
        ck_assert_uint_eq(reply.mac_len, mac_len);
    }
    /* Not the other way about. */
    made_begin(&made, TSIG_HMAC_SHA256_128);
    ck_assert(tsig_key_set(&key, KEY_NAME, TSIG_HMAC_SHA256, (const uint8_t *)"secret", 6));
    answer(&made, &keys, VECTOR_TIME_S, response, TSIG_BADKEY);
}
END_TEST

START_TEST(test_malformed)
{
    struct made made;
    struct tsig tsig;
    made_begin(&made, TSIG_HMAC_SHA256);
    for (size_t len = made.plain_len; len < made.len; len++) {
        uint8_t *block = exact_copy(made.request, len);
        ck_assert(!tsig_read(block, len, made.plain_len, &tsig));
        ck_assert_int_eq(tsig_find(block, len, &tsig), -1);
        free(block);
    }
    /* Not the last record, twice, in another section, not counted. */
    static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
    memcpy(made.request + made.len, opt, sizeof opt);
    made.request[11] = 2;
    ck_assert_int_eq(tsig_find(made.request, made.len + sizeof opt, &tsig), -1);
    size_t record_len = made.len - made.plain_len;
    memcpy(made.request + made.len, made.request + made.plain_len, record_len);
    ck_assert_int_eq(tsig_find(made.request, made.len + record_len, &tsig), -1);
    made.request[11] = 0;
    made.request[9] = 1;
    ck_assert_int_eq(tsig_find(made.request, made.len, &tsig), -1);
    made.request[9] = 0;
    ck_assert_int_eq(tsig_find(made.request, made.len, &tsig), -1);
    ck_assert_int_eq(tsig_find(made.request, made.plain_len, &tsig), 0);
    /* More records counted than are there, in this section and before. */
    made.request[11] = 2;
    ck_assert_int_eq(tsig_find(made.request, made.len, &tsig), -1);
    made.request[11] = 1;
    ck_assert_int_eq(tsig_find(made.request, made.len, &tsig), 1);
    made.request[9] = 1;
    ck_assert_int_eq(tsig_find(made.request, made.len, &tsig), -1);
}
END_TEST

START_TEST(test_owner_by_pointer)
{
    /* "key.example" as "key" and a pointer to the question's "example"; then pointers that do not
     * lead back. */
    static const uint16_t pointers[] = {0x10, 0x20, 0x21, 0x24, 0x2d, 0x3fff, 0, 11};
    struct made made;
    struct tsig tsig;
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        made_begin(&made, TSIG_HMAC_SHA256);
        uint8_t *owner = made.request + made.plain_len;
        memmove(owner + 6, owner + 13, made.len - made.plain_len - 13);
        owner[4] = (uint8_t)(0xc0 | pointers[i] >> 8);
        owner[5] = (uint8_t)pointers[i];
        made.len -= 7;
        made.request[0] = made.request[11] = 0; /* what would be names */
        uint8_t *block = exact_copy(made.request, made.len);
        ck_assert_int_eq(tsig_read(block, made.len, made.plain_len, &tsig), i == 0);
        if (i == 0)
            ck_assert_mem_eq(tsig.name, KEY_NAME, 13);
        free(block);
    }
}
END_TEST

START_TEST(test_responses_of_others)
{
    struct made made, other;
    struct tsig tsig;
    uint8_t response[512];
    made_begin(&made, TSIG_HMAC_SHA256);
    size_t len = answer(&made, &made.keys, VECTOR_TIME_S, response, TSIG_NOERROR);
    for (size_t i = 2; i < len; i++) {
        uint8_t was = response[i];
        response[i] ^= 0x80;
        ck_assert_int_ne(tsig_response_verify(&made.asked, response, len, VECTOR_TIME_S, &tsig),
                         TSIG_ANSWER_GOOD);
        response[i] = was;
    }
    /* Of another request; of another key; none. */
    made_begin(&other, TSIG_HMAC_SHA256);
    other.asked.mac[0] ^= 1;
    ck_assert_int_eq(tsig_response_verify(&other.asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_BAD);
    made_begin(&other, TSIG_HMAC_SHA384);
    ck_assert_int_eq(tsig_response_verify(&other.asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_BAD);
    /* Of a key of another name that has the same secret. */
    struct tsig_key namesake;
    struct tsig_asked asked = made.asked;
    ck_assert(tsig_key_set(&namesake, (const uint8_t *)"\3kez\7example", TSIG_HMAC_SHA256,
                           (const uint8_t *)"secret", 6));
    asked.key = &namesake;
    ck_assert_int_eq(tsig_response_verify(&asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_BAD);
    namesake = made.key;
    ck_assert_int_eq(tsig_response_verify(&asked, response, len, VECTOR_TIME_S, &tsig),
                     TSIG_ANSWER_GOOD);
    /* Right as far as it goes, which is not far. */
    struct made shorter = made;
    memcpy(shorter.request, response, len);
    shorter.len = len;
    mac_cut(&shorter, 16);
    ck_assert_int_eq(
        tsig_response_verify(&made.asked, shorter.request, shorter.len, VECTOR_TIME_S, &tsig),
        TSIG_ANSWER_BAD);
    response[11] = 0;
    ck_assert_int_eq(
        tsig_response_verify(&made.asked, response, made.plain_len, VECTOR_TIME_S, &tsig),
        TSIG_ANSWER_ABSENT);
    ck_assert_int_eq(
        tsig_response_verify(&made.asked, response, made.plain_len - 1, VECTOR_TIME_S, &tsig),
        TSIG_ANSWER_MALFORMED);
}
END_TEST

START_TEST(test_room_and_names)
{
    struct made made;
    struct tsig_key key;
    uint8_t name[NAME_MAX_LEN] = {63};
    made_begin(&made, TSIG_HMAC_SHA256);
    size_t len = question_make(made.request), need = made.len;
    ck_assert_uint_eq(
        tsig_request_sign(&made.key, 1, NULL, 0, made.request, len, need - 1, &made.asked), 0);
    ck_assert_uint_eq(
        tsig_request_sign(&made.key, 1, NULL, 0, made.request, len, need, &made.asked), need);
    memset(name + 1, 'a', 63);
    name[64] = TSIG_KEY_NAME_MAX - 66;
    memset(name + 65, 'b', TSIG_KEY_NAME_MAX - 66);
    ck_assert_uint_eq(name_len(name, sizeof name), TSIG_KEY_NAME_MAX);
    ck_assert(tsig_key_set(&key, name, TSIG_HMAC_SHA256, NULL, 0));
    name[64]++;
    name[TSIG_KEY_NAME_MAX - 1] = 'b';
    ck_assert(!tsig_key_set(&key, name, TSIG_HMAC_SHA256, NULL, 0));
    ck_assert_int_eq(tsig_algorithm_from_text("HMAC-sha512-256."), TSIG_HMAC_SHA512_256);
    ck_assert_int_eq(tsig_algorithm_from_text("hmac-sha512-257"), -1);
    ck_assert_int_eq(tsig_algorithm_from_text("hmac-md5.sig-alg.reg.int"), -1);
    ck_assert_int_eq(tsig_algorithm_from_text(""), -1);
    for (int i = 0; i < TSIG_ALGORITHM_COUNT; i++)
        ck_assert_int_eq(tsig_algorithm_from_text(tsig_algorithm_text((enum tsig_algorithm)i)), i);
}
END_TEST

TEST_MAIN("zonedb_tsig", test_vectors_as_client, test_vectors_as_server, test_every_octet_counts,
          test_keys, test_key_is_found_among_many, test_time, test_late_times, test_truncated_mac,
          test_long_mac, test_key_for_truncated_mac, test_malformed, test_owner_by_pointer,
          test_responses_of_others, test_room_and_names)

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tsig.h - signed messages (TSIG, RFC 8945), for servers and clients.
 *
 * A client:
 *
 *     tsig_key_set(&key, name, TSIG_HMAC_SHA256, secret, secret_len);
 *     len = tsig_request_sign(&key, now_s, NULL, 0, request, len, sizeof request, &asked);
 *     send and receive;
 *     verdict = tsig_response_verify(&asked, response, len, now_s, &tsig);
 *
 * A server:
 *
 *     tsig_request_verify(keys, request, request_len, now_s, &reply)    what to answer
 *     room = tsig_reply_len(&reply);                                    to keep free
 *     len = tsig_reply_sign(&reply, response, len, cap);
 *
 * TIME SIGNED OF RESPONSES. The time in a response to a request that was good is the request's own,
 * not the server's. So the response is a function of the request alone, as long as the request is
 * good, and a server that keeps no state makes the same octets again when a request is sent again:
 * parts of a long response that were made at different times fit together. Nothing is lost by it:
 * the response's MAC covers the request's (RFC 8945 4.3.1), so that a response serves no other
 * request whatever time it bears; the client's own time is the one that its check of the time
 * (5.2.3) cannot fail but by waiting for longer than the fudge; and RFC 8945 5.2.3 itself wants the
 * client's time there in the one case where server and client disagree. DEVIATES from 4.2, by which
 * Time Signed is when the response was signed: the server's clock is told in BADTIME responses only.
 * The exceptions: a BADTIME response tells the server's time, and a request that is sent again after
 * its fudge is over gets BADTIME where it was good before. A client that has a part of a long
 * response by then finds no signature that is good, and must ask anew.
 * DEVIATES from a SHOULD of 5.2.3: no time of a key's former requests is kept, so an older request
 * is good as long as its fudge lasts. It is a question that gets its answer again, and changes
 * nothing.
 *
 * Names are digested, and written, in lower case and uncompressed. All functions are pure; any
 * thread. Keys hold what was derived from the secret: overwrite them when done.
 */
#ifndef ZONEDB_TSIG_H
#define ZONEDB_TSIG_H

#include <nettle/hmac.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets of a key's name in wire format: with more, a question and the TSIG record of its response
 * might not fit in 512 octets. */
#define TSIG_KEY_NAME_MAX 90
#define TSIG_MAC_MAX 64
#define TSIG_FUDGE_S 300 /* RFC 8945 10 */
/* Other Data of a request that tsig_request_sign() makes. */
#define TSIG_OTHER_MAX 16

/* RFC 8945 6, without HMAC-MD5 and HMAC-SHA-224; HMAC-SHA1 only whole (DEVIATES: 96 bits of it are a
 * SHOULD there). The truncated ones have names of their own; BIND says "hmac-sha256-128" for a key
 * too but sends the name of the whole one with a short MAC: a server's key of a truncated algorithm
 * takes both. */
enum tsig_algorithm {
    TSIG_HMAC_SHA1, /* not recommended (RFC 8945 6) */
    TSIG_HMAC_SHA256,
    TSIG_HMAC_SHA384,
    TSIG_HMAC_SHA512,
    TSIG_HMAC_SHA256_128,
    TSIG_HMAC_SHA384_192,
    TSIG_HMAC_SHA512_256,
    TSIG_ALGORITHM_COUNT,
};

/* Values of the record's Error field (RFC 8945 3). */
enum tsig_error {
    TSIG_NOERROR = 0,
    TSIG_BADSIG = 16,
    TSIG_BADKEY = 17,
    TSIG_BADTIME = 18,
    TSIG_BADTRUNC = 22,
};

/* A key ready for use. Set by tsig_key_set(). */
struct tsig_key {
    uint8_t name_len;
    uint8_t name[TSIG_KEY_NAME_MAX]; /* wire format, lower case */
    enum tsig_algorithm algorithm;
    union tsig_hmac {
        struct hmac_sha1_ctx sha1;
        struct hmac_sha256_ctx sha256;
        struct hmac_sha512_ctx sha512; /* of SHA-384 too */
    } hmac;
};

/* Keys of a server, in the order of tsig_key_compare(), no two equal. */
struct tsig_keys {
    const struct tsig_key *items;
    size_t count;
};

/* The algorithm whose name is this text ("hmac-sha256"; any case, with or without final dot); -1:
 * none that we know. */
int tsig_algorithm_from_text(const char *text);

/* The algorithm's name as text, without final dot. */
const char *tsig_algorithm_text(enum tsig_algorithm algorithm);

/* Make a key. `name`: a valid name in wire format, any case. False: the name is longer than
 * TSIG_KEY_NAME_MAX. */
bool tsig_key_set(struct tsig_key *key_out, const uint8_t *name, enum tsig_algorithm algorithm,
                  const uint8_t *secret, size_t secret_len);

/* The key that everybody knows (draft-andrews-dnsop-defeat-frag-attack): ".", HMAC-SHA256, 32 zero
 * octets. It proves nothing of who answers; that a response belongs to a request, it does, if the
 * request has a nonce in its Other Data that nobody but who sees the request can know. */
void tsig_key_set_well_known(struct tsig_key *key_out);

/* Order of keys, by name alone: negative, 0, positive. */
int tsig_key_compare(const struct tsig_key *a, const struct tsig_key *b);

/* ---- the record ---- */

/* A TSIG record (RFC 8945 4.2). Pointers go into the message that it was read from. */
struct tsig {
    size_t at; /* where the record begins; the message without it is so long, and its ARCOUNT one
                  less */
    uint64_t time_s;
    uint16_t fudge_s;
    uint16_t original_id;
    uint16_t error; /* as received: any value */
    uint16_t mac_len;
    const uint8_t *mac;
    uint16_t other_len;
    const uint8_t *other;
    uint16_t algorithm_len;
    const uint8_t *algorithm; /* wire format, valid, case as it came */
    uint16_t name_len;
    uint8_t name[255]; /* wire format, lower case */
};

/* Read the TSIG record that begins at `at` (12 or more) and ends the message. False: that is none,
 * its names are not valid, or its class or TTL are not ANY and 0. */
bool tsig_read(const uint8_t *message, size_t message_len, size_t at, struct tsig *tsig_out);

/* Look for the record. Outcomes: 1 with *tsig_out; 0 the message has none; -1 the message is
 * malformed, or has a TSIG record elsewhere than at its end. */
int tsig_find(const uint8_t *message, size_t message_len, struct tsig *tsig_out);

/* ---- servers ---- */

/* What a response's TSIG record is made from. Pointers go into the keys and the request, which must
 * stay until it is written. */
struct tsig_reply {
    const struct tsig_key *key; /* NULL: the record goes unsigned (RFC 8945 5.3.2) */
    enum tsig_algorithm algorithm;
    size_t mac_len;
    uint64_t server_time_s;
    struct tsig request;
    enum tsig_error error;
};

enum tsig_verdict {
    TSIG_IS_GOOD,
    TSIG_IS_REFUSED,   /* answer NOTAUTH, with the record that says why */
    TSIG_IS_MALFORMED, /* answer FORMERR, without a record */
};

/* Check a request that has a TSIG record as RFC 8945 5.2 says: its place, the key, MAC, time,
 * truncation. `keys`: NULL, there are none. `now_s`: Unix time. For TSIG_IS_MALFORMED *reply_out is
 * not set. */
enum tsig_verdict tsig_request_verify(const struct tsig_keys *keys, const uint8_t *request,
                                      size_t request_len, uint64_t now_s,
                                      struct tsig_reply *reply_out);

/* Octets of the record that tsig_reply_sign() will add. */
size_t tsig_reply_len(const struct tsig_reply *reply);

/* Add the record to a complete response of `len` octets (12 or more) in a buffer of `cap`, and count
 * it in ARCOUNT. Returns the new length; `cap` must have room for it. */
size_t tsig_reply_sign(const struct tsig_reply *reply, uint8_t *response, size_t len, size_t cap);

/* ---- clients ---- */

/* What a client keeps of a request that it signed, until the response. The key must stay too. */
struct tsig_asked {
    const struct tsig_key *key;
    size_t mac_len;
    uint8_t mac[TSIG_MAC_MAX];
};

/* Sign a complete request of `len` octets (12 or more) in a buffer of `cap`, and count the record in
 * ARCOUNT. `other`: other_len octets for Other Data, at most TSIG_OTHER_MAX: a nonce, with the
 * well-known key; else 0. Returns the new length; 0: it does not fit. */
size_t tsig_request_sign(const struct tsig_key *key, uint64_t now_s, const uint8_t *other,
                         size_t other_len, uint8_t *request, size_t len, size_t cap,
                         struct tsig_asked *asked_out);

/* What a response's signature says (RFC 8945 5.4). */
enum tsig_answer {
    TSIG_ANSWER_GOOD,      /* signed, by our key, for our request, in time */
    TSIG_ANSWER_BAD,       /* the MAC is wrong, or of another key: discard the message */
    TSIG_ANSWER_LATE,      /* signed, but its time is not within its fudge of ours: discard it */
    TSIG_ANSWER_REFUSED,   /* signed, and says that our request was not good: tsig->error; with
                              BADTIME the server's time is tsig_server_time() */
    TSIG_ANSWER_UNSIGNED,  /* a record with tsig->error but without MAC: BADKEY or BADSIG. Anybody
                              can have said so: wait for another response */
    TSIG_ANSWER_ABSENT,    /* no record: anybody can have sent it */
    TSIG_ANSWER_MALFORMED, /* discard the message */
};

/* Check the response to a request that was signed. The message is not modified; what the signature
 * covers is its first tsig->at octets, with ARCOUNT one less. *tsig_out is set but for
 * TSIG_ANSWER_ABSENT and TSIG_ANSWER_MALFORMED. */
enum tsig_answer tsig_response_verify(const struct tsig_asked *asked, const uint8_t *message,
                                      size_t message_len, uint64_t now_s, struct tsig *tsig_out);

/* The server's time in a BADTIME response; 0: it is not there. */
uint64_t tsig_server_time(const struct tsig *tsig);

#endif

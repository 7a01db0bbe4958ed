/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_message.h - what a proxy changes in DNS messages on their way to a back end and back.
 *
 *     client, over TCP                                    back end, over UDP
 *       request, any ID                        ---->        fresh ID, EDNS payload 65,535
 *                                                           (an OPT of ours if there was none),
 *                                                           no edns-tcp-keepalive (RFC 7828: that
 *                                                           is about this hop and no other)
 *       the request's ID, no OPT of ours       <----        response with that ID and question
 *       SERVFAIL, why in EDE (RFC 8914)        <----        truncated, malformed, or nothing
 *
 * Both directions are hostile. Pure; any thread.
 */
#ifndef SERVER_PROXY_MESSAGE_H
#define SERVER_PROXY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_REQUEST_MAX 1500
#define PROXY_OPT_LEN 11 /* without options */
#define PROXY_ASK_MAX (PROXY_REQUEST_MAX + PROXY_OPT_LEN)
#define PROXY_FAILURE_MAX 512

/* Where things are in a message with one question. Offsets from its beginning. */
struct proxy_shape {
    uint16_t question_end;
    uint16_t opt_at;  /* 0: there is none */
    uint16_t opt_len; /* all of the record */
    uint16_t qtype;
    bool has_signature; /* TSIG or SIG(0): nothing may be changed */
};

/* Walk through a message: one question, whose name is not compressed; every record whole; at most
 * one OPT, in the additional section, with well-formed options (RFC 6891 6.1.1); nothing behind.
 * Returns false, *shape_out undefined, if it is anything else. */
bool proxy_message_shape(const uint8_t *message, size_t message_len, struct proxy_shape *shape_out);

enum proxy_verdict {
    PROXY_FORWARD, /* the back end shall say */
    PROXY_SILENT,  /* no request at all: too short, or a response */
    PROXY_FORMERR, /* no message of one question, or longer than PROXY_REQUEST_MAX */
    PROXY_NOTIMP,  /* not a QUERY, a zone transfer, or signed: nothing that UDP and a changed OPT
                      could carry (DEVIATES from RFC 8945 5.5: what is signed is not forwarded) */
};

/* What to do with a request of request_len octets. *shape_out is set for FORWARD and NOTIMP. */
enum proxy_verdict proxy_message_judge(const uint8_t *request, size_t request_len,
                                       struct proxy_shape *shape_out);

/* Write the question for the back end. Only for a request that was judged FORWARD with `shape`.
 * `ask_out`: PROXY_ASK_MAX octets, apart from the request. Returns the length. */
size_t proxy_message_ask(const uint8_t *request, size_t request_len,
                         const struct proxy_shape *shape, uint16_t id, uint8_t *ask_out);

/* Whether `response`, any octets, has this ID and repeats the request's question octet by octet
 * (RFC 5452 9.1; stricter than it in not ignoring case). */
bool proxy_message_matches(const uint8_t *request, const struct proxy_shape *shape, uint16_t id,
                           const uint8_t *response, size_t response_len);

/* Turn a response that matches into the one for the client, in place: of response_len octets, in
 * memory of at least PROXY_FAILURE_MAX and response_len. What is truncated or malformed becomes
 * SERVFAIL, with EDE if `has_ede` and the client has EDNS. An edns-tcp-keepalive that the back end
 * says over UDP is taken out (RFC 7828 3.2.2). Returns the length. */
size_t proxy_message_answer(const uint8_t *request, const struct proxy_shape *shape, bool has_ede,
                            uint8_t *response, size_t response_len);

/* What went wrong. */
struct proxy_failure {
    unsigned rcode;
    uint16_t ede;     /* info-code (RFC 8914 4) */
    const char *text; /* at most 64 octets; NULL: no EDE */
};

enum {
    PROXY_RCODE_FORMERR = 1,
    PROXY_RCODE_SERVFAIL = 2,
    PROXY_RCODE_NOTIMP = 4,
    PROXY_EDE_OTHER = 0,
    PROXY_EDE_NOT_SUPPORTED = 21,
    PROXY_EDE_NETWORK_ERROR = 23,
};

/* Write a response that only says what went wrong; why, only to a client with EDNS. `request`: at
 * least the 12 octets of a header. `shape`: NULL if it has none; then nothing but the header is
 * there. `out`: PROXY_FAILURE_MAX octets. Returns the length. */
size_t proxy_message_fail(const uint8_t *request, const struct proxy_shape *shape,
                          const struct proxy_failure *failure, uint8_t *out);

#endif

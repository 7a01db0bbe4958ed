/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond.h - a request in, a response out. This is all of DNS as seen by whoever carries it.
 */
#ifndef ZONEDB_RESPOND_H
#define ZONEDB_RESPOND_H

#include "zonedb/dns_cookie.h"
#include "zonedb/zonedb.h"

struct tsig_keys;

/* Longest message over TCP (RFC 1035 4.2.2). */
#define RESPOND_MESSAGE_MAX 65535
/* Limits of respond_policy.udp_payload. */
#define RESPOND_UDP_PAYLOAD_MIN 512
#define RESPOND_UDP_PAYLOAD_MAX 4096
#define RESPOND_UDP_PAYLOAD_DEFAULT 1232
/* Code point of the reference implementation of draft-muks-dnsop-dns-message-checksums. */
#define RESPOND_CHECKSUM_CODE_DEFAULT 65002

enum respond_transport {
    RESPOND_UDP,
    RESPOND_TCP,
};

/* How to answer: configuration, the same for all clients. Constant while in use. */
struct respond_policy {
    uint16_t udp_payload;      /* our largest UDP response, 512..4096 */
    bool has_edns;             /* false: OPT records are ignored, none is sent */
    bool is_any_full;          /* ANY gets every RRset; false: one RRset (RFC 8482 4.1) */
    bool is_minimal;           /* answers name hosts without their addresses; referrals keep glue */
    bool has_keepalive;        /* edns-tcp-keepalive announced (RFC 7828) */
    bool has_padding;          /* padding over TCP where asked for (RFC 7830) */
    bool has_ede;              /* extended errors (RFC 8914) */
    bool has_checksum;         /* CHECKSUM option served */
    bool has_checksum_siphash; /* CHECKSUM with experimental algorithm 240 instead of SHA-256 */
    uint16_t checksum_code;    /* its option code */
    const struct dns_cookie_secrets *cookie; /* RFC 7873; NULL: option not served */
    const uint8_t *nsid;                     /* RFC 5001; NULL: option not served */
    uint16_t nsid_len;                       /* at most 128 */
    const char *chaos_version;    /* version.bind., version.server. CH TXT; NULL: REFUSED */
    const char *chaos_id;         /* id.server., hostname.bind. CH TXT (RFC 4892); NULL: REFUSED */
    const struct tsig_keys *tsig; /* tsig.h; NULL: we know no key */
};

/* The values that a server has when nothing is configured. */
struct respond_policy respond_policy_default(void);

/* What a client must show before it gets an answer that is longer than its question. */
enum respond_restraint {
    RESPOND_FREELY,
    RESPOND_WITH_COOKIE, /* a good cookie: else BADCOOKIE if it knows COOKIE, else TC=1 */
    RESPOND_TRUNCATED,   /* nothing would do: TC=1 */
};

/* What else the answer may depend on. */
struct respond_client {
    enum respond_transport transport;
    /* RFC 7828, in units of 100 ms, announced to a client that sent edns-tcp-keepalive over TCP;
     * meaningful when has_keepalive. */
    bool has_keepalive;
    uint16_t keepalive_100ms;
    uint64_t now_s; /* Unix time, for requests with TSIG or COOKIE */
    /* Whom the request is from, network order, 4 or 16 octets; needed when COOKIE is served. */
    const uint8_t *address;
    uint8_t address_len;
    enum respond_restraint restraint;
};

/* Whether a request has a server cookie that is good for this client: then its address is its own
 * (RFC 7873 5.2.5). */
bool respond_has_cookie(const struct respond_policy *policy, const struct respond_client *client,
                        const uint8_t *request, size_t request_len);

/* Write the data of the COOKIE option that this client's response has, DNS_COOKIE_LEN octets;
 * `cookie`: that of the request, of a length that dns_cookie_has_len() allows. Needs
 * policy->cookie. */
void respond_cookie_write(const struct respond_policy *policy, const struct respond_client *client,
                          const uint8_t *cookie, size_t len, uint8_t *out);

/* Answer one request.
 *
 * `request`: request_len octets (0..65535), no TCP length prefix; not modified.
 * `response`: response_cap octets, 512..65535; does not overlap the request. Over UDP the response
 * is never longer than min(requestor's payload size, policy->udp_payload, response_cap); over TCP
 * response_cap is the limit. What does not fit: optional additional data is left out, then TC=1.
 * Returns the length of the response, 12 or more; 0: stay silent (a message with QR set, or shorter
 * than a DNS header).
 * A request with a TSIG that can be read gets a response with one, whatever it asks, also if the
 * request is otherwise malformed or of an opcode that we do not know (RFC 8945 5.2, 5.3). As long as
 * it is within its time, client->now_s changes nothing in the response (tsig.h).
 * The response is a pure function of the arguments and the snapshot: no clock, no random choice.
 * Threads: one call at a time per view; no other state. */
size_t respond(struct zonedb_view *view, const struct respond_policy *policy,
               const struct respond_client *client, const uint8_t *request, size_t request_len,
               uint8_t *response, size_t response_cap);

/* Whether the response depends on nothing but the octets of the request, the snapshot and the
 * policy: whoever sends them gets the same, at any time. False of a request with a TSIG, or with
 * COOKIE where that is served. */
bool respond_is_lasting(const struct respond_policy *policy, const uint8_t *request,
                        size_t request_len);

#endif

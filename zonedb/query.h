/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.h - a request, parsed. Private to the room. Pure.
 */
#ifndef ZONEDB_QUERY_H
#define ZONEDB_QUERY_H

#include "zonedb/checksum.h"
#include "zonedb/respond.h"

#define HEADER_LEN 12
/* Header flags (RFC 1035 4.1.1, RFC 4035 3.2). */
#define FLAG_QR 0x8000u
#define FLAG_AA 0x0400u
#define FLAG_TC 0x0200u
#define FLAG_RD 0x0100u
#define OPCODE_MASK 0x7800u
#define RCODE_MASK 0x000fu

enum rcode {
    RCODE_NOERROR = 0,
    RCODE_FORMERR = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3,
    RCODE_NOTIMP = 4,
    RCODE_REFUSED = 5,
    RCODE_YXDOMAIN = 6,
    RCODE_NOTAUTH = 9,
    RCODE_BADVERS = 16,
    RCODE_BADCOOKIE = 23,
};

enum edns_option {
    EDNS_NSID = 3,
    EDNS_COOKIE = 10,
    EDNS_KEEPALIVE = 11,
    EDNS_PADDING = 12,
    EDNS_EDE = 15,
};

/* The OPT record of a request and the options of it that we serve. Pointers go into the request. */
struct query_edns {
    bool is_present;
    bool is_do;
    uint8_t version;
    uint16_t payload;
    bool wants_nsid;
    bool wants_keepalive;
    bool wants_padding;
    uint16_t cookie_len;
    enum checksum_layout checksum_layout;
    const uint8_t *cookie; /* data of the COOKIE option; NULL: there is none, or it is not served */
    const uint8_t *checksum_nonce; /* NULL: no CHECKSUM asked for */
};

struct query {
    uint16_t id;
    uint16_t flags; /* as received */
    bool has_question;
    /* Some record is a TSIG record; for FORMERR and NOTIMP: the last one, and well-formed. */
    bool has_tsig;
    const uint8_t *qname; /* valid, uncompressed, case as asked (0x20) */
    uint16_t qname_len;
    uint16_t qtype;
    uint16_t qclass;
    struct query_edns edns;
};

enum query_outcome {
    QUERY_SILENT,  /* nothing to answer to: QR set, or less than a header */
    QUERY_FORMERR, /* answer with has_question and edns as far as they were understood */
    QUERY_NOTIMP,  /* opcode other than QUERY; nothing but the header is understood */
    QUERY_BADVERS, /* EDNS version above 0 (RFC 6891 6.1.3) */
    QUERY_NOTAUTH, /* its TSIG is refused; never from query_parse() */
    QUERY_COOKIE, /* no question, but a COOKIE option: what is asked for is a cookie (RFC 7873 5.4) */
    QUERY_OK,
};

/* Parse a request: one question (RFC 9619), or none with COOKIE, then any records, among them at most one OPT, then
 * nothing more. Whether a TSIG record is the last one, and any good, is for tsig.h to say.
 * `query_out` points into `request`. */
enum query_outcome query_parse(const struct respond_policy *policy, const uint8_t *request,
                               size_t request_len, struct query *query_out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * protect.h - what lethe-forward adds to a query, and takes from its response, so that a response
 * somebody has altered is told from one of the server's: the CHECKSUM option or TSIG.
 *
 * Both directions are hostile. Pure; any thread.
 */
#ifndef TOOLS_FORWARD_PROTECT_H
#define TOOLS_FORWARD_PROTECT_H

#include "server/proxy_message.h"
#include "zonedb/checksum.h"
#include "zonedb/tsig.h"

#define PROTECT_NONCE_LEN 16
/* What protect_request() adds, at most: a TSIG record with the longest names and MAC. */
#define PROTECT_ROOM (TSIG_KEY_NAME_MAX + 10 + 32 + 16 + TSIG_MAC_MAX + TSIG_OTHER_MAX)

enum protect_means {
    PROTECT_BY_NOTHING,
    PROTECT_BY_CHECKSUM,
    PROTECT_BY_TSIG,
};

struct protect {
    enum protect_means means;
    uint16_t checksum_code;
    enum checksum_layout layout;
    struct tsig_key key;
    bool has_nonce; /* in the TSIG record: the key is known to everybody */
};

/* What is kept of a query until its response. */
struct protect_asked {
    bool is_protected; /* false: nothing could be added */
    uint8_t nonce[PROTECT_NONCE_LEN];
    struct tsig_asked tsig;
};

enum protect_verdict {
    PROTECT_GOOD,   /* as the server sent it; or nothing was to be checked */
    PROTECT_ABSENT, /* the server does not do it: it may be anybody's */
    PROTECT_BAD,    /* altered, or forged */
};

/* Protect the complete query of `len` octets, with `shape`, in a buffer of at least PROTECT_ROOM
 * more; asked->nonce must be random. A query that is signed already, or for CHECKSUM has no OPT as
 * its last record, stays as it is. Returns the new length. */
size_t protect_request(const struct protect *protect, const struct proxy_shape *shape,
                       uint64_t now_s, uint8_t *query, size_t len, struct protect_asked *asked);

/* Check the response to it, and take a TSIG record from its end; *len is the new length then. A
 * CHECKSUM option stays, clients ignore it (RFC 6891 6.1.2). */
enum protect_verdict protect_response(const struct protect *protect,
                                      const struct protect_asked *asked, uint64_t now_s,
                                      uint8_t *response, size_t *len);

#endif

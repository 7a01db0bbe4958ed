/* SPDX-License-Identifier: BSD-2-Clause
 *
 * edns.h - the end of a response: truncation, OPT and its options. Private to the room. Pure.
 */
#ifndef ZONEDB_EDNS_H
#define ZONEDB_EDNS_H

#include "zonedb/query.h"
#include "zonedb/response.h"

/* RFC 8914. */
#define EDE_NONE 0
#define EDE_NOT_AUTHORITATIVE 20

/* The most octets that the response may have. */
size_t edns_response_limit(const struct respond_policy *policy, const struct respond_client *client,
                           const struct query *query, size_t response_cap);

/* Octets to keep free for what edns_end() must write: OPT, NSID, keepalive, COOKIE, CHECKSUM. EDE and
 * padding go in only where room is left. */
size_t edns_reserve(const struct respond_policy *policy, const struct respond_client *client,
                    const struct query *query);

/* Whether the request has a server cookie that is good for its client. */
bool edns_has_good_cookie(const struct respond_policy *policy, const struct respond_client *client,
                          const struct query *query);

/* Finish the response within `limit` octets; the only place where counts, TC, OPT and CHECKSUM are
 * written. On overflow the records go and TC=1 stays. Returns the response's length. */
size_t edns_end(struct response *response, const struct respond_policy *policy,
                const struct respond_client *client, const struct query *query, size_t limit,
                uint16_t ede);

#endif

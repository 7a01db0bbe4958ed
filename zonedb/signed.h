/* SPDX-License-Identifier: BSD-2-Clause
 *
 * signed.h - a request that has a TSIG record: what becomes of it. Private to the room. Pure.
 */
#ifndef ZONEDB_SIGNED_H
#define ZONEDB_SIGNED_H

#include "zonedb/query.h"
#include "zonedb/response.h"
#include "zonedb/tsig.h"

/* Check the signature, and find room for that of the response. Nothing but the request was looked
 * at before (RFC 8945 5.2). `outcome`: of query_parse(); it becomes QUERY_NOTAUTH or QUERY_FORMERR
 * if the signature is refused. `limit`: octets that the response may have. Where they are few,
 * `query` forgets options that were asked for. query->has_tsig becomes whether the response gets a
 * record too. Returns what it may have without that. */
size_t signed_check(const struct respond_policy *policy, const struct respond_client *client,
                    const uint8_t *request, size_t request_len, size_t limit, struct query *query,
                    enum query_outcome *outcome, struct tsig_reply *reply_out);

/* Add the record to a response that is complete but for it; `limit`: as signed_check() returned it.
 * Returns the response's length. */
size_t signed_end(const struct tsig_reply *reply, struct response *response, size_t limit);

#endif

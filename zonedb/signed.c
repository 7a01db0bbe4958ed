/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/signed.h"

#include "zonedb/edns.h"

/* A response has room for header, question and `more` octets. */
static bool has_room(const struct query *query, size_t limit, size_t more)
{
    size_t question_len = query->has_question ? query->qname_len + 4u : 0;
    return limit >= HEADER_LEN + question_len + more;
}

/* Where the longest names meet 512 octets, options go before signatures, and a record that proves
 * nothing goes too. */
static size_t room_find(const struct respond_policy *policy, const struct respond_client *client,
                        size_t limit, struct query *query, const struct tsig_reply *reply)
{
    size_t len = tsig_reply_len(reply);
    if (!has_room(query, limit, edns_reserve(policy, client, query) + len)) {
        query->edns.wants_nsid = query->edns.wants_keepalive = false;
        query->edns.checksum_nonce = query->edns.cookie = NULL;
    }
    query->has_tsig = has_room(query, limit, edns_reserve(policy, client, query) + len);
    assert(query->has_tsig || reply->key == NULL);
    return query->has_tsig ? limit - len : limit;
}

size_t signed_check(const struct respond_policy *policy, const struct respond_client *client,
                    const uint8_t *request, size_t request_len, size_t limit, struct query *query,
                    enum query_outcome *outcome, struct tsig_reply *reply_out)
{
    query->has_tsig = false;
    switch (tsig_request_verify(policy->tsig, request, request_len, client->now_s, reply_out)) {
    case TSIG_IS_GOOD:
        return room_find(policy, client, limit, query, reply_out);
    case TSIG_IS_REFUSED:
        *outcome = QUERY_NOTAUTH;
        return room_find(policy, client, limit, query, reply_out);
    case TSIG_IS_MALFORMED:
        *outcome = QUERY_FORMERR;
        return limit;
    }
    return limit;
}

size_t signed_end(const struct tsig_reply *reply, struct response *r, size_t limit)
{
    r->len = tsig_reply_sign(reply, r->octets, r->len, limit + tsig_reply_len(reply));
    return r->len;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/signed.h"

#include "zonedb/edns.h"

/* A response has room for header, question and `more` octets. */
static bool has_room(const struct query *query, size_t limit, size_t more)
{
    size_t question_len = query->has_question ? query->qname_len + 4u : 0;
    return limit >= HEADER_LEN + question_len + more;
}

size_t signed_check(const struct respond_policy *policy, const struct respond_client *client,
                    const uint8_t *request, size_t request_len, size_t limit, struct query *query,
                    enum query_outcome *outcome, struct tsig_reply *reply_out)
{
    if (*outcome == QUERY_FORMERR)
        return 0;
    switch (tsig_request_verify(policy->tsig, request, request_len, query->tsig_at, client->now_s,
                                reply_out)) {
    case TSIG_IS_GOOD:
        break;
    case TSIG_IS_REFUSED:
        *outcome = QUERY_NOTAUTH;
        break;
    case TSIG_IS_MALFORMED:
        *outcome = QUERY_FORMERR;
        return 0;
    }
    size_t len = tsig_reply_len(reply_out);
    /* Where the longest names meet 512 octets, options go before signatures, and a record that
     * proves nothing goes too. */
    if (!has_room(query, limit, edns_reserve(policy, client, query) + len)) {
        query->edns.wants_nsid = query->edns.wants_keepalive = false;
        query->edns.checksum_nonce = query->edns.cookie = NULL;
    }
    if (has_room(query, limit, edns_reserve(policy, client, query) + len))
        return len;
    assert(reply_out->key == NULL);
    return 0;
}

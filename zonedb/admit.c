/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/admit.h"

#include "zonedb/edns.h"

bool respond_has_cookie(const struct respond_policy *policy, const struct respond_client *client,
                        const uint8_t *request, size_t request_len)
{
    struct query query;
    return policy->cookie != NULL &&
           query_parse(policy, request, request_len, &query) != QUERY_SILENT &&
           edns_has_good_cookie(policy, client, &query);
}

void admit_briefly(const struct respond_client *client, struct query *query)
{
    if (client->restraint == RESPOND_FREELY)
        return;
    query->edns.wants_nsid = false;
    query->edns.checksum_nonce = NULL;
}

bool admit(const struct respond_policy *policy, const struct respond_client *client,
           struct query *query, struct response *r)
{
    bool has_cookie = query->edns.cookie != NULL;
    switch (client->restraint) {
    case RESPOND_FREELY:
        return true;
    case RESPOND_WITH_COOKIE:
        if (has_cookie && edns_has_good_cookie(policy, client, query))
            return true;
        if (has_cookie)
            r->rcode = RCODE_BADCOOKIE; /* RFC 7873 5.2.3: the response has the right one */
        else
            r->flags |= FLAG_TC;
        admit_briefly(client, query);
        return false;
    case RESPOND_TRUNCATED:
        r->flags |= FLAG_TC;
        admit_briefly(client, query);
        return false;
    }
    return false;
}

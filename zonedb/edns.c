/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/edns.h"

#include "zonedb/digest.h"

#define OPT_FIXED_LEN 11
#define OPTION_FIXED_LEN 4
#define NSID_LEN_MAX 128
/* RFC 8467 4.1: responses are padded to a multiple of this. */
#define PADDING_BLOCK 468
/* A response over TCP may be made again when its client has taken a part of it: with the same
 * octets, but at the turn of so many seconds. */
#define COOKIE_TCP_STEP_S 256

size_t edns_response_limit(const struct respond_policy *policy, const struct respond_client *client,
                           const struct query *query, size_t response_cap)
{
    if (client->transport == RESPOND_TCP)
        return response_cap;
    size_t limit = query->edns.is_present ? query->edns.payload : RESPOND_UDP_PAYLOAD_MIN;
    if (limit < RESPOND_UDP_PAYLOAD_MIN)
        limit = RESPOND_UDP_PAYLOAD_MIN; /* RFC 6891 6.2.3 */
    if (limit > policy->udp_payload)
        limit = policy->udp_payload;
    return limit < response_cap ? limit : response_cap;
}

static bool has_keepalive(const struct respond_policy *policy, const struct respond_client *client,
                          const struct query *query)
{
    return policy->has_keepalive && query->edns.wants_keepalive && client->has_keepalive &&
           client->transport == RESPOND_TCP;
}

static bool has_nsid(const struct respond_policy *policy, const struct query *query)
{
    return query->edns.wants_nsid && policy->nsid != NULL;
}

static uint8_t checksum_algorithm(const struct respond_policy *policy, const struct query *query)
{
    if (policy->has_checksum_siphash)
        return CHECKSUM_ALGORITHM_SIPHASH;
    return query->edns.checksum_layout == CHECKSUM_LAYOUT_00 ? CHECKSUM_ALGORITHM_SHA1
                                                             : CHECKSUM_ALGORITHM_SHA256;
}

static size_t checksum_option_len(const struct respond_policy *policy, const struct query *query)
{
    return digest_head_len(query->edns.checksum_layout) +
           digest_len(checksum_algorithm(policy, query));
}

size_t edns_reserve(const struct respond_policy *policy, const struct respond_client *client,
                    const struct query *query)
{
    if (!query->edns.is_present)
        return 0;
    size_t len = OPT_FIXED_LEN;
    if (has_nsid(policy, query))
        len += OPTION_FIXED_LEN + (size_t)policy->nsid_len;
    if (has_keepalive(policy, client, query))
        len += OPTION_FIXED_LEN + 2;
    if (query->edns.cookie != NULL)
        len += OPTION_FIXED_LEN + DNS_COOKIE_LEN;
    if (query->edns.checksum_nonce != NULL)
        len += OPTION_FIXED_LEN + checksum_option_len(policy, query);
    return len;
}

/* Append an option; returns where its data begins. The room was reserved or checked. */
static uint8_t *option_add(struct response *r, uint16_t code, size_t data_len)
{
    uint8_t *option = r->octets + r->len;
    store_be16(option, code);
    store_be16(option + 2, (uint16_t)data_len);
    r->len += OPTION_FIXED_LEN + data_len;
    return option + OPTION_FIXED_LEN;
}

bool edns_has_good_cookie(const struct respond_policy *policy, const struct respond_client *client,
                          const struct query *query)
{
    const struct dns_cookie_client asker = {client->address, client->address_len, client->now_s};
    return query->edns.cookie != NULL &&
           dns_cookie_is_good(policy->cookie, &asker, query->edns.cookie, query->edns.cookie_len);
}

void respond_cookie_write(const struct respond_policy *policy, const struct respond_client *client,
                          const uint8_t *cookie, size_t len, uint8_t *out)
{
    const struct dns_cookie_client asker = {client->address, client->address_len, client->now_s};
    uint64_t step_s = client->transport == RESPOND_TCP ? COOKIE_TCP_STEP_S : 1;
    dns_cookie_write(policy->cookie, &asker, client->now_s - client->now_s % step_s, cookie, len,
                     out);
}

/* RFC 7830 6: not where the transport is not encrypted, so over TCP only, and if the operator says that
 * somebody in front of us encrypts. The CHECKSUM option still to come counts as part of the message, a
 * signature does not. */
static void padding_add(struct response *r, size_t limit, size_t still_to_come)
{
    size_t len = r->len + still_to_come;
    if (limit - len < OPTION_FIXED_LEN)
        return;
    size_t padded = (len + OPTION_FIXED_LEN + PADDING_BLOCK - 1) / PADDING_BLOCK * PADDING_BLOCK;
    if (padded > limit)
        padded = limit;
    size_t data_len = padded - len - OPTION_FIXED_LEN;
    memset(option_add(r, EDNS_PADDING, data_len), 0, data_len);
}

/* The message must be complete: the digest covers all of it. */
static void checksum_add(struct response *r, const struct respond_policy *policy,
                         const struct query *query, uint8_t *opt)
{
    size_t data_len = checksum_option_len(policy, query);
    uint8_t *data = option_add(r, policy->checksum_code, data_len);
    store_be16(opt + 9, (uint16_t)(r->len - (size_t)(opt - r->octets) - OPT_FIXED_LEN));
    digest_fill(query->edns.checksum_layout, checksum_algorithm(policy, query),
                query->edns.checksum_nonce, r->octets, r->len, data);
}

static void opt_add(struct response *r, const struct respond_policy *policy,
                    const struct respond_client *client, const struct query *query, size_t limit,
                    uint16_t ede)
{
    size_t checksum_len = 0;
    if (query->edns.checksum_nonce != NULL)
        checksum_len = OPTION_FIXED_LEN + checksum_option_len(policy, query);
    uint8_t *opt = r->octets + r->len;
    memset(opt, 0, OPT_FIXED_LEN);
    store_be16(opt + 1, RR_OPT);
    store_be16(opt + 3, policy->udp_payload);
    opt[5] = (uint8_t)(r->rcode >> 4);
    opt[7] = query->edns.is_do ? 0x80 : 0; /* RFC 3225 3: copied */
    r->len += OPT_FIXED_LEN;
    if (has_nsid(policy, query))
        memcpy(option_add(r, EDNS_NSID, policy->nsid_len), policy->nsid, policy->nsid_len);
    if (has_keepalive(policy, client, query))
        store_be16(option_add(r, EDNS_KEEPALIVE, 2), client->keepalive_100ms);
    if (query->edns.cookie != NULL)
        respond_cookie_write(policy, client, query->edns.cookie, query->edns.cookie_len,
                             option_add(r, EDNS_COOKIE, DNS_COOKIE_LEN));
    if (ede != EDE_NONE && policy->has_ede && limit - r->len >= OPTION_FIXED_LEN + 2 + checksum_len)
        store_be16(option_add(r, EDNS_EDE, 2), ede);
    if (policy->has_padding && query->edns.wants_padding && client->transport == RESPOND_TCP)
        padding_add(r, limit, checksum_len);
    store_be16(opt + 9, (uint16_t)(r->len - (size_t)(opt - r->octets) - OPT_FIXED_LEN));
    if (checksum_len > 0)
        checksum_add(r, policy, query, opt);
}

size_t edns_end(struct response *r, const struct respond_policy *policy,
                const struct respond_client *client, const struct query *query, size_t limit,
                uint16_t ede)
{
    assert(policy->nsid == NULL || policy->nsid_len <= NSID_LEN_MAX);
    if (r->is_overflow) {
        response_clear(r);
        r->flags |= FLAG_TC;
        if (query->has_tsig)
            r->rcode = RCODE_NOERROR; /* RFC 8945 5.3 */
    }
    /* The digest covers the header: it goes first. */
    response_header_write(r, query->edns.is_present);
    if (query->edns.is_present)
        opt_add(r, policy, client, query, limit, ede);
    assert(r->len <= limit);
    return r->len;
}

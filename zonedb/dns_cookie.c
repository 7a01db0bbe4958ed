/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/dns_cookie.h"

#include "stateless_tcp/siphash.h"
#include "zonedb/node.h"

#define VERSION 1
#define TIME_AT 12
#define HASH_AT 16
#define ADDRESS_LEN_MAX 16

/* The hash of what stands before it: the reserved octets as they came (RFC 9018 4.2). */
static uint64_t cookie_hash(const uint8_t *secret, const struct dns_cookie_client *client,
                            const uint8_t *cookie)
{
    uint8_t input[HASH_AT + ADDRESS_LEN_MAX];
    assert(client->address_len == 4 || client->address_len == ADDRESS_LEN_MAX);
    memcpy(input, cookie, HASH_AT);
    memcpy(input + HASH_AT, client->address, client->address_len);
    return siphash_2_4_64(secret, input, (size_t)HASH_AT + client->address_len);
}

/* Seconds since the cookie was made, negative: in the future (RFC 1982). */
static int32_t cookie_age_s(const struct dns_cookie_client *client, const uint8_t *cookie)
{
    return (int32_t)((uint32_t)client->now_s - load_be32(cookie + TIME_AT));
}

/* Index of the secret by which the cookie was made; `count`: by none, or it is none of ours. */
static unsigned cookie_secret(const struct dns_cookie_secrets *secrets,
                              const struct dns_cookie_client *client, const uint8_t *cookie,
                              size_t len)
{
    if (len != DNS_COOKIE_LEN || cookie[DNS_COOKIE_CLIENT_LEN] != VERSION)
        return secrets->count;
    int32_t age_s = cookie_age_s(client, cookie);
    if (age_s > DNS_COOKIE_LIFE_S || age_s < -DNS_COOKIE_AHEAD_S)
        return secrets->count;
    uint64_t hash = siphash_load_le64(cookie + HASH_AT);
    unsigned i = 0;
    /* One comparison of all octets: its time tells nothing of how many were right. */
    while (i < secrets->count && cookie_hash(secrets->octets[i], client, cookie) != hash)
        i++;
    return i;
}

bool dns_cookie_is_good(const struct dns_cookie_secrets *secrets,
                        const struct dns_cookie_client *client, const uint8_t *cookie, size_t len)
{
    return cookie_secret(secrets, client, cookie, len) < secrets->count;
}

void dns_cookie_write(const struct dns_cookie_secrets *secrets,
                      const struct dns_cookie_client *client, uint64_t made_s,
                      const uint8_t *cookie, size_t len, uint8_t *out)
{
    assert(dns_cookie_has_len(len) && secrets->count > 0);
    if (cookie_secret(secrets, client, cookie, len) == 0 &&
        cookie_age_s(client, cookie) <= DNS_COOKIE_RENEW_S) {
        memcpy(out, cookie, DNS_COOKIE_LEN);
        return;
    }
    memcpy(out, cookie, DNS_COOKIE_CLIENT_LEN);
    store_be32(out + DNS_COOKIE_CLIENT_LEN, (uint32_t)VERSION << 24);
    store_be32(out + TIME_AT, (uint32_t)made_s);
    siphash_store_le64(out + HASH_AT, cookie_hash(secrets->octets[0], client, out));
}

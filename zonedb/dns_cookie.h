/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dns_cookie.h - server cookies of DNS (RFC 7873), made so that servers of any kind that share a
 * secret take each other's (RFC 9018). Pure; any thread.
 *
 *     0          8         9         12          16             24
 *     +----------+---------+----------+-----------+--------------+
 *     | client's | version | reserved | timestamp | hash         |
 *     +----------+---------+----------+-----------+--------------+
 *      COOKIE's   1         0          Unix time   SipHash-2-4 of all before it and the client's
 *      first part                      modulo 2^32 address, 4 or 16 octets
 *
 * The server's part, from octet 8 on, is believed for an hour; with a timestamp that is older than
 * half an hour, or by another secret than the first, the response has a new one.
 */
#ifndef ZONEDB_DNS_COOKIE_H
#define ZONEDB_DNS_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_COOKIE_CLIENT_LEN 8
/* Both parts, as we make them. */
#define DNS_COOKIE_LEN 24
/* What others may have made (RFC 7873 4). */
#define DNS_COOKIE_LEN_MIN 16
#define DNS_COOKIE_LEN_MAX 40

#define DNS_COOKIE_SECRET_LEN 16
#define DNS_COOKIE_SECRETS_MAX 3

/* RFC 9018 4.3. */
#define DNS_COOKIE_LIFE_S 3600
#define DNS_COOKIE_RENEW_S 1800
#define DNS_COOKIE_AHEAD_S 300

/* By the first one cookies are made, by any of them they are taken: so a new secret can be told to
 * all servers of a name before one of them makes cookies by it, and the old one kept for an hour
 * at least (RFC 9018 5). */
struct dns_cookie_secrets {
    unsigned count; /* 1 or more */
    uint8_t octets[DNS_COOKIE_SECRETS_MAX][DNS_COOKIE_SECRET_LEN];
};

/* Who asks, and when. */
struct dns_cookie_client {
    const uint8_t *address; /* network order */
    uint8_t address_len;    /* 4 or 16 */
    uint64_t now_s;         /* Unix time */
};

/* May a COOKIE option be so long? (RFC 7873 5.2.2) */
static inline bool dns_cookie_has_len(size_t len)
{
    return len == DNS_COOKIE_CLIENT_LEN || (len >= DNS_COOKIE_LEN_MIN && len <= DNS_COOKIE_LEN_MAX);
}

/* Whether the server's part of a COOKIE option, `len` octets of data, was made for this client by
 * one of the secrets, within its time. False too if there is none. */
bool dns_cookie_is_good(const struct dns_cookie_secrets *secrets,
                        const struct dns_cookie_client *client, const uint8_t *cookie, size_t len);

/* Write the COOKIE option that a response has, DNS_COOKIE_LEN octets: the request's own, if that is
 * good and fresh, else with a server's part as of `made_s`, which may be somewhat before now. `cookie`:
 * that of the request, of a length that a COOKIE may have. */
void dns_cookie_write(const struct dns_cookie_secrets *secrets,
                      const struct dns_cookie_client *client, uint64_t made_s,
                      const uint8_t *cookie, size_t len, uint8_t *out);

#endif

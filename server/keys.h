/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys.h - the keys of stateless TCP's cookies, from one secret and the time.
 *
 *     epoch = now_s / KEYS_EPOCH_S
 *     key   = first 16 octets of HMAC-SHA-256(secret, "lethe cookie key" | epoch, 8 octets,
 * big-endian), the lowest bit of its first octet replaced by that of the epoch
 *
 * Nothing is stored or agreed: servers that have the same secret, and the same server after a
 * restart, have the same keys. Their clocks may differ by KEYS_SKEW_S: so early before an epoch
 * begins the cookies of servers that are ahead are taken, and those of the epoch before no more.
 *
 *     epoch                    |    e - 1    |      e      |    e + 1    |
 *     makes cookies by key e                 [ ........... ]
 *     takes cookies of key e                [ ........................ ]  RST to what is asked
 *
 * So a connection lives KEYS_LIFE_S seconds at least and less than two epochs, counted from its
 * beginning, whether it is idle or not; a request after that gets RST, and the client connects
 * anew. KEYS_LIFE_S is what edns-tcp-keepalive announces (RFC 7828), the same in every response:
 * what is left of a connection would differ between a response and its repetition. DEVIATES from
 * RFC 7828 in that time does not begin again with each request; clients must cope with a close at
 * any time (RFC 7766 6.2.4).
 *
 * Any thread.
 */
#ifndef SERVER_KEYS_H
#define SERVER_KEYS_H

#include "stateless_tcp/cookie.h"
#include "stateless_tcp/goaway.h"
#include "zonedb/dns_cookie.h"

#define KEYS_SECRET_LEN 32
#define KEYS_EPOCH_S 300
#define KEYS_SKEW_S 5
#define KEYS_LIFE_S (KEYS_EPOCH_S - KEYS_SKEW_S) /* in units of 100 ms it fits 16 bits */

struct keys_secret {
    uint8_t octets[KEYS_SECRET_LEN];
};

/* A secret that nobody knows, for a server that shares none. Outcomes: 0; negative errno. */
int keys_secret_random(struct keys_secret *secret_out);

/* The secret that `hex` spells: exactly 64 hexadecimal digits. False: anything else. */
bool keys_secret_parse(const char *hex, struct keys_secret *secret_out);

/* The secret that the first line of a file spells. Outcomes: 0; negative errno with the reason, the
 * path in it, as text in reason_out (reason_cap octets). */
int keys_secret_read(const char *path, struct keys_secret *secret_out, char *reason_out,
                     size_t reason_cap);

/* Secrets of DNS cookies that nobody knows: one. Outcomes: 0; negative errno. */
int keys_dns_cookie_random(struct dns_cookie_secrets *secrets_out);

/* Those that a file spells, one in each line, at most DNS_COOKIE_SECRETS_MAX, the first one first.
 * Outcomes: as keys_secret_read(). */
int keys_dns_cookie_read(const char *path, struct dns_cookie_secrets *secrets_out, char *reason_out,
                         size_t reason_cap);

/* The keys that are valid at `now_s` (Unix time): of its epoch, and of the one before or after. */
void keys_at(const struct keys_secret *secret, uint64_t now_s, struct stateless_tcp_keys *keys_out);

/* The same for nonces of GoAways: their label is "lethe goaway key". */
void keys_goaway_at(const struct keys_secret *secret, uint64_t now_s, struct goaway_keys *keys_out);

#endif

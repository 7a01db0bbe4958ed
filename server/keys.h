/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys.h - the keys of stateless TCP's cookies, from one secret and the time.
 *
 *     epoch = now_s / KEYS_EPOCH_S
 *     key   = first 16 octets of HMAC-SHA-256(secret, "lethe cookie key" | epoch, 8 octets,
 * big-endian)
 *
 * Nothing is stored or agreed: servers that have the same secret, and the same server after a
 * restart, have the same keys, as long as their clocks differ by less than an epoch.
 *
 * Any thread.
 */
#ifndef SERVER_KEYS_H
#define SERVER_KEYS_H

#include "stateless_tcp/cookie.h"

#define KEYS_SECRET_LEN 32
#define KEYS_EPOCH_S 300

struct keys_secret {
    uint8_t octets[KEYS_SECRET_LEN];
};

/* A secret that nobody knows, for a server that shares none. Outcomes: 0; negative errno. */
int keys_secret_random(struct keys_secret *secret_out);

/* The secret that `hex` spells: exactly 64 hexadecimal digits. False: anything else. */
bool keys_secret_parse(const char *hex, struct keys_secret *secret_out);

/* The keys that are valid at `now_s` (Unix time): of its epoch, and of the one before. */
void keys_at(const struct keys_secret *secret, uint64_t now_s, struct stateless_tcp_keys *keys_out);

#endif

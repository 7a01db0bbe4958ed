/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base32hex.h - NSEC3 hashes as labels (RFC 4648 7, RFC 5155 3), lower case, no padding.
 * Private to the room. Pure.
 */
#ifndef ZONEDB_BASE32HEX_H
#define ZONEDB_BASE32HEX_H

#include <stdbool.h>
#include <stdint.h>

#define BASE32HEX_HASH_LEN 32

/* 20 octets to 32 characters; no NUL. */
static inline void base32hex_encode(const uint8_t hash[20], uint8_t text[BASE32HEX_HASH_LEN])
{
    for (unsigned group = 0; group < 4; group++) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 5; i++)
            bits = bits << 8 | hash[5 * group + i];
        for (unsigned i = 0; i < 8; i++)
            text[8 * group + i] =
                (uint8_t) "0123456789abcdefghijklmnopqrstuv"[bits >> (35 - 5 * i) & 31];
    }
}

/* 32 characters, any case, to 20 octets. Returns false if they are not base32hex. */
static inline bool base32hex_decode(const uint8_t text[BASE32HEX_HASH_LEN], uint8_t hash[20])
{
    for (unsigned group = 0; group < 4; group++) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 8; i++) {
            uint8_t c = text[8 * group + i];
            unsigned digit;
            if (c >= '0' && c <= '9')
                digit = (unsigned)c - '0';
            else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'v')
                digit = (unsigned)(c | 0x20) - 'a' + 10;
            else
                return false;
            bits = bits << 5 | digit;
        }
        for (unsigned i = 0; i < 5; i++)
            hash[5 * group + i] = (uint8_t)(bits >> (32 - 8 * i));
    }
    return true;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * words.h - names eight octets at a time. Private to the room. Pure.
 */
#ifndef ZONEDB_WORDS_H
#define ZONEDB_WORDS_H

#include "zonedb/image.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

/* The eight octets at `p`, the first the lowest. */
static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

/* A name of `len` octets in lower case, in its place. The octets up to the next word are there too,
 * and do not matter. */
static inline void words_lower(uint8_t *name, size_t len)
{
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = htole64(image_word_lower(load_word(name + at)));
        memcpy(name + at, &word, sizeof word);
    }
}

#endif

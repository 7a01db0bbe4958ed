/* SPDX-License-Identifier: BSD-2-Clause
 *
 * must.h - a check that stays in every build, for tests, their helpers and fuzz targets alike.
 */
#ifndef TEST_MUST_H
#define TEST_MUST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                    \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* A copy in a block of exactly this size, so that the address sanitizer sees one octet too many. */
static inline uint8_t *exact_copy(const void *octets, size_t len)
{
    uint8_t *copy = calloc(1, len > 0 ? len : 1);
    MUST(copy != NULL);
    if (len > 0)
        memcpy(copy, octets, len);
    return copy;
}

#endif

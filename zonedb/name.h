/* SPDX-License-Identifier: BSD-2-Clause
 *
 * name.h - domain names in wire format (RFC 1035 3.1) and as database keys.
 *
 * A name is a run of labels (length octet, octets) ended by the root label; at most 255 octets,
 * at most 127 labels besides the root. "Valid" below means: name_len() said so.
 *
 * A key is made so that memcmp() orders keys as RFC 4034 6.1 orders names, and so that a name's key
 * is a prefix of the keys of all names below it:
 *
 *     www.Example.org.   ->   o r g 00 e x a m p l e 00 w w w 00
 *     .                  ->   (empty)
 *
 * labels from the root downwards, letters in lower case, each label ended by 0x00, and the octets
 * 0x00 and 0x01 inside of labels written as 0x01 0x01 and 0x01 0x02.
 *
 * Longest key: a name of 255 octets with n labels has 254 - n octets of text, each at most doubled,
 * and n terminators: 2 (254 - n) + n = 508 - n <= 507 for n >= 1. With the zone's number (4 octets)
 * that is 511, LMDB's limit.
 *
 * All functions are pure and thread-safe.
 */
#ifndef ZONEDB_NAME_H
#define ZONEDB_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_LEN 255
#define NAME_LABELS_MAX 127
#define NAME_KEY_MAX 507

/* An octet of a label as names are compared: ASCII letters in lower case (RFC 4343 3). */
static inline uint8_t name_octet_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Length of the valid uncompressed name that begins at `name` and ends within `available` octets,
 * root label included; 0: it is not one (compression pointer, label type other than 00, too long,
 * cut off). */
size_t name_len(const uint8_t *name, size_t available);

/* Number of labels without the root label. `name` must be valid. */
unsigned name_label_count(const uint8_t *name);

/* The name without its first `labels` labels; a pointer into `name`. */
const uint8_t *name_skip(const uint8_t *name, unsigned labels);

/* Same label, length octet first, upper and lower case not told apart. */
bool name_label_equal(const uint8_t *a, const uint8_t *b);

/* Same name, upper and lower case not told apart (RFC 4343). Both valid. */
bool name_equal(const uint8_t *a, const uint8_t *b);

/* `name` is `parent` or below it. Both valid. */
bool name_is_at_or_below(const uint8_t *name, const uint8_t *parent);

/* The same, for who has their lengths. */
bool name_ends_in(const uint8_t *name, size_t name_octets, const uint8_t *parent,
                  size_t parent_octets);

/* Canonical order of two valid names (RFC 4034 6.1): negative, 0, positive. */
int name_compare(const uint8_t *a, const uint8_t *b);

/* Copy a valid name in lower case; returns its length. `out` has room for NAME_MAX_LEN. */
size_t name_copy_lower(uint8_t *out, const uint8_t *name);

/* A valid name's key into `key` (room for NAME_KEY_MAX); returns its length. */
size_t name_to_key(const uint8_t *name, uint8_t *key);

/* The same, behind the `at` octets that `key` has already; end_out[d] is where the first d labels
 * of the key end (room for NAME_LABELS_MAX + 1). Returns the number of labels. */
unsigned name_to_key_labels(const uint8_t *name, uint8_t *key, size_t at, uint16_t *end_out);

/* The reverse: `name` gets room for NAME_MAX_LEN. Returns the name's length, 0 if the octets are
 * not a key. */
size_t name_from_key(const uint8_t *key, size_t key_len, uint8_t *name);

/* Text to name: RFC 1035 5.1 escapes (\DDD, \X); with or without the final dot; always absolute.
 * `name` gets room for NAME_MAX_LEN. Returns its length, 0 if it is not a name. */
size_t name_from_text(const char *text, uint8_t *name);

/* Name to text with final dot and escapes. `text` has room for NAME_TEXT_MAX, NUL included.
 * Returns `text`. */
#define NAME_TEXT_MAX 1024
char *name_to_text(const uint8_t *name, char *text);

#endif

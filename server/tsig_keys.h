/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tsig_keys.h - the keys that requests may be signed with (zonedb/tsig.h), from a file.
 *
 * Three forms are read, also mixed: one key a line; what tsig-keygen(8) writes, which is a part of
 * BIND's named.conf; and what keymgr -t of Knot DNS writes, a part of knot.conf:
 *
 *     example-key.  hmac-sha256  c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICE=
 *
 *     key "example-key" {
 *             algorithm hmac-sha256;
 *             secret "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICE=";
 *     };
 *
 *     key:
 *       - id: example-key.
 *         algorithm: hmac-sha256
 *         secret: c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICE=
 *
 * Comments begin with # or, at the begin of a line, with //; or stand between slash-asterisks. What
 * is wrong is told by file, line and cause; of the file's words none but names of keys is repeated.
 */
#ifndef SERVER_TSIG_KEYS_H
#define SERVER_TSIG_KEYS_H

#include "zonedb/tsig.h"

#define TSIG_KEYS_MAX 10000

/* Keys in memory of their own. */
struct tsig_key_list {
    struct tsig_key *items; /* NULL: none */
    size_t count;
    bool is_readable_by_all; /* the file that they are from */
};

/* What to read. */
struct tsig_key_source {
    const char *path; /* "" none */
    bool has_well_known;
    bool has_sha1; /* keys of HMAC-SHA1 are taken */
};

/* Outcomes: 0 with keys in the order that struct tsig_keys wants, the caller's until
 * tsig_keys_free(); -EINVAL; -EIO the file cannot be read; -ENOMEM; then `reason_out` (reason_cap
 * octets) says where and what, and there are none. */
int tsig_keys_read(const struct tsig_key_source *source, struct tsig_key_list *list_out,
                   char *reason_out, size_t reason_cap);

/* The same of text: `name` is the file that it is said to be from. */
int tsig_keys_read_text(const struct tsig_key_source *source, const char *name, const char *text,
                        size_t text_len, struct tsig_key_list *list_out, char *reason_out,
                        size_t reason_cap);

/* Overwrite and free. */
void tsig_keys_free(struct tsig_key_list *list);

#endif

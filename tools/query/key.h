/* SPDX-License-Identifier: BSD-2-Clause
 *
 * key.h - TSIG keys as people write them.
 */
#ifndef TOOLS_QUERY_KEY_H
#define TOOLS_QUERY_KEY_H

#include "zonedb/tsig.h"

/* "[ALGORITHM:]NAME:SECRET", the secret in base64, HMAC-SHA256 if no algorithm is named. Returns
 * NULL, or what is wrong. */
const char *key_parse(const char *text, struct tsig_key *key_out);

/* The first key of a file: such a line, or key "NAME" { algorithm "..."; secret "..."; };
 * Returns NULL, or what is wrong. */
const char *key_read(const char *path, struct tsig_key *key_out);

#endif

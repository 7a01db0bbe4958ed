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

/* The first key of a file: such a line; key "NAME" { algorithm "..."; secret "..."; }; as
 * tsig-keygen(8) writes it; or key: - id: NAME, algorithm: ..., secret: ... as keymgr(8) does.
 * Returns NULL, or what is wrong. */
const char *key_read(const char *path, struct tsig_key *key_out);

#endif

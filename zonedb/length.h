/* SPDX-License-Identifier: BSD-2-Clause
 *
 * length.h - is the data file as long as its snapshot needs? Private to the room.
 */
#ifndef ZONEDB_LENGTH_H
#define ZONEDB_LENGTH_H

#include <lmdb.h>

/* LMDB maps the file and trusts it: a page in use beyond the end is a bus error. Look before
 * anything but the first two pages is touched. Outcomes: 0; -EBADMSG cut off; other negative errno.
 */
int zonedb_length_check(MDB_env *env);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Be the writer of a database until standard input ends.
 *
 * usage: lock_holder DIRECTORY
 */
#include "test/must.h"
#include "zonedb/store.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_writer *writer;

    MUST(argc == 2);
    MUST(zonedb_open(argv[1], ZONEDB_WRITE, &db, &error) == 0);
    MUST(zonedb_writer_begin(db, &writer) == 0);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    zonedb_writer_abort(writer);
    zonedb_close(db);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe.h - what the subcommands of `lethe` share. Private to tools/.
 */
#ifndef TOOLS_LETHE_H
#define TOOLS_LETHE_H

#include "zonedb/name.h"
#include "zonedb/zonedb.h"

#include <stdio.h>

enum {
    EXIT_OK = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
};

struct lethe_arguments {
    const char *db;
    const char *list;
    const char *format; /* of zone files; NULL: as their name says */
    const char *policy, *hints, *spread, *findings, *timeout; /* of the audit, as written */
    const char *cache;
    const char *parents[8];
    int parent_count;
    bool is_quiet;
    bool is_json;
    bool has_time;
    uint64_t time_s;
    char **words; /* behind the subcommand */
    int word_count;
};

/* Subcommands; return the exit code. */
int lethe_zone_load(const struct lethe_arguments *arguments);
int lethe_zone_load_list(const struct lethe_arguments *arguments);
int lethe_zone_import(const struct lethe_arguments *arguments);
int lethe_zone_change(const struct lethe_arguments *arguments);
int lethe_zone_check(const struct lethe_arguments *arguments);
int lethe_zone_dump(const struct lethe_arguments *arguments);
int lethe_zone_list(const struct lethe_arguments *arguments);
int lethe_zone_remove(const struct lethe_arguments *arguments);
int lethe_zone_serve(const struct lethe_arguments *arguments);
int lethe_zone_stat(const struct lethe_arguments *arguments);
int lethe_zone_withhold(const struct lethe_arguments *arguments);
int lethe_audit(const struct lethe_arguments *arguments);
int lethe_kiting(const struct lethe_arguments *arguments);
int lethe_db_copy(const struct lethe_arguments *arguments);
int lethe_db_set(const struct lethe_arguments *arguments);

/* The file is one of tinydns-data: by --format, or its name. */
bool lethe_is_tinydns(const struct lethe_arguments *arguments, const char *file);

/* Load, or check, one zone of such a file (NAME FILE), or all (FILE). Returns the exit code. */
int lethe_tinydns(const struct lethe_arguments *arguments, bool is_check);

/* Print "lethe: ..." on standard error; returns EXIT_REFUSED. */
int lethe_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for wrong use; returns EXIT_USAGE. */
int lethe_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text to name; false: told. */
bool lethe_name(const char *text, uint8_t name[NAME_MAX_LEN]);

/* Open the database of --db; NULL: told. To write is to wait for other writers: if that takes long
 * it is told, until lethe_waiting_ends(). */
struct zonedb *lethe_open(const struct lethe_arguments *arguments, enum zonedb_mode mode);
void lethe_waiting_ends(void);

/* One transaction by `write`, again after the map has grown. No view of this process on `db` may be
 * active. Returns what it or the commit returned. */
struct zonedb_writer;
typedef int lethe_writing(struct zonedb_writer *writer, void *context);
int lethe_write(struct zonedb *db, lethe_writing *write, void *context);

/* Warn if NS at the apex of a zone live longer than its delegation, where a zone above is there. No
 * writer of this process may be active. */
void lethe_check_ns_ttl(struct zonedb *db, const uint8_t *apex);

/* A string as JSON, quotes included. */
void lethe_json_string(FILE *out, const char *text);

/* Flush standard output and look whether all of it was taken; returns the exit code. */
int lethe_finish_output(int exit_code);

#endif

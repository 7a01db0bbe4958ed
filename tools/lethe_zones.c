/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone list, remove, stat, dump; lethe db copy
 *
 * A snapshot that is being looked at keeps the pages that it shows from being used again. So
 * nothing is written to somebody who may be slow (a pager, a pipe) while one is held: results are
 * collected first, a dump in an unlinked temporary file.
 */
#include "tools/audit/store.h"
#include "tools/lethe.h"
#include "zonedb/store.h"
#include "zonedb/text_dump.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int fail_view(const struct lethe_arguments *arguments, int error)
{
    if (error == -EAGAIN)
        return lethe_fail("%s: too many readers", arguments->db);
    if (error == -EBADMSG)
        return lethe_fail("%s: the database is damaged; load the zones into a new directory",
                          arguments->db);
    return lethe_fail("%s: %s", arguments->db, strerror(-error));
}

static int fail_zone(const struct lethe_arguments *arguments, int error)
{
    if (error == -ENOENT)
        return lethe_fail("%s: no zone %s there; see: lethe --db %s zone list", arguments->db,
                          arguments->words[0], arguments->db);
    return fail_view(arguments, error);
}

static const char *state_name(enum zonedb_zone_state state)
{
    switch (state) {
    case ZONEDB_SERVING:
        return "serving";
    case ZONEDB_EXPIRED:
        return "expired";
    case ZONEDB_WITHHELD:
        return "withheld";
    }
    return "unknown";
}

static const char *signing_name(enum zonedb_signing signing)
{
    switch (signing) {
    case ZONEDB_UNSIGNED:
        return "unsigned";
    case ZONEDB_NSEC:
        return "nsec";
    case ZONEDB_NSEC3:
        return "nsec3";
    }
    return "unknown";
}

static void format_time(uint64_t time_s, char text[32])
{
    const time_t seconds = (time_t)time_s;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(text, 32, "%" PRIu64, time_s);
}

/* What the audit knows of a zone; all is unknown, if there was none. */
static struct audit_entry entry_of(struct audit_store *store, const struct zonedb_zone *zone)
{
    struct audit_entry entry = {.parent_count = 0};

    if (store != NULL && audit_store_get(store, zone->apex, &entry) != 0)
        entry = (struct audit_entry){.parent_count = 0};
    return entry;
}

static void print_delegation_json(const struct audit_record *record)
{
    char since[32], found[32];

    format_time(record->state_s, since);
    format_time(record->found_s, found);
    printf(", \"delegation\": {\"state\": \"%s\", \"since\": \"%s\", \"found\": \"%s\", "
           "\"asked\": \"%s\", \"findings\": %" PRIu32 ", \"ttl\": %" PRIu32 "}",
           audit_state_name(record->state), since, audit_state_name(record->found), found,
           record->series_count, record->delegation_ttl);
}

static void print_zone_json(const struct zonedb_zone *zone, const struct audit_entry *entry)
{
    char name[NAME_TEXT_MAX], loaded[32];

    format_time(zone->loaded_s, loaded);
    printf("{\"zone\": ");
    lethe_json_string(stdout, name_to_text(zone->apex, name));
    printf(", \"serial\": %" PRIu32 ", \"state\": \"%s\", \"signing\": \"%s\", \"names\": %" PRIu64
           ", \"records\": %" PRIu64 ", \"has_wildcard\": %s, \"loaded\": \"%s\", \"id\": %" PRIu32,
           zone->serial, state_name(zone->state), signing_name(zone->signing), zone->node_count,
           zone->record_count, zone->has_wildcard ? "true" : "false", loaded, zone->id);
    if (zone->signing == ZONEDB_NSEC3) {
        printf(", \"nsec3_iterations\": %u, \"nsec3_salt\": \"", zone->nsec3_iterations);
        for (unsigned i = 0; i < zone->nsec3_salt_len; i++)
            printf("%02x", zone->nsec3_salt[i]);
        printf("\"");
    }
    if (entry->record.found_s != 0)
        print_delegation_json(&entry->record);
    printf("}");
}

/* ---- list ---- */

static int collect(struct zonedb_view *view, struct zonedb_zone **zones_out, size_t *count_out)
{
    size_t cap = 0;
    int error;

    for (;;) {
        if (*count_out == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            struct zonedb_zone *grown = reallocarray(*zones_out, cap, sizeof(*grown));
            if (grown == NULL)
                return -ENOMEM;
            *zones_out = grown;
        }
        struct zonedb_zone *zones = *zones_out;
        const uint8_t *after = *count_out == 0 ? NULL : zones[*count_out - 1].apex;
        error = zonedb_zone_next(view, after, &zones[*count_out]);
        if (error != 0)
            return error == -ENOENT ? 0 : error;
        (*count_out)++;
    }
}

static void print_list(const struct zonedb_zone *zones, size_t count, struct audit_store *store,
                       bool is_json)
{
    for (size_t i = 0; i < count; i++) {
        char name[NAME_TEXT_MAX], loaded[32];
        const struct audit_entry entry = entry_of(store, &zones[i]);
        if (is_json) {
            fputs(i == 0 ? "[" : ",\n ", stdout);
            print_zone_json(&zones[i], &entry);
            continue;
        }
        format_time(zones[i].loaded_s, loaded);
        printf("%-30s %10" PRIu32 " %-8s %-8s %10" PRIu64 "  %s%s%s\n",
               name_to_text(zones[i].apex, name), zones[i].serial, state_name(zones[i].state),
               signing_name(zones[i].signing), zones[i].record_count, loaded,
               entry.record.found_s != 0 ? "  " : "",
               entry.record.found_s != 0 ? audit_state_name(entry.record.state) : "");
    }
    if (is_json)
        fputs(count == 0 ? "[]\n" : "]\n", stdout);
}

int lethe_zone_list(const struct lethe_arguments *arguments)
{
    struct zonedb *db = lethe_open(arguments, ZONEDB_READ);
    struct zonedb_view *view = NULL;
    struct zonedb_zone *zones = NULL;
    size_t count = 0;

    if (db == NULL)
        return EXIT_REFUSED;
    int error = zonedb_view_open(db, &view);
    if (error == 0)
        error = collect(view, &zones, &count);
    zonedb_view_close(view);
    zonedb_close(db);
    struct audit_store *store = NULL;
    if (error == 0 && audit_store_open(arguments->db, false, &store) != 0)
        store = NULL; /* there was no audit yet */
    if (error == 0)
        print_list(zones, count, store, arguments->is_json);
    audit_store_close(store);
    free(zones);
    return error == 0 ? lethe_finish_output(EXIT_OK) : fail_view(arguments, error);
}

/* ---- stat ---- */

static void print_stat(const struct zonedb_stat *stat, bool is_json)
{
    if (is_json)
        printf("{\"zones\": %" PRIu64 ", \"names\": %" PRIu64 ", \"version\": %" PRIu64
               ", \"readers\": %u, \"file_octets\": %" PRIu64 ", \"used_octets\": %" PRIu64
               ", \"map_octets\": %" PRIu64 "}\n",
               stat->zone_count, stat->node_count, stat->version, stat->reader_count,
               stat->file_octets, stat->used_octets, stat->map_octets);
    else
        printf("zones         %" PRIu64 "\n"
               "names         %" PRIu64 "\n"
               "version       %" PRIu64 "\n"
               "readers       %u\n"
               "file octets   %" PRIu64 "\n"
               "used octets   %" PRIu64 "\n"
               "map octets    %" PRIu64 "\n",
               stat->zone_count, stat->node_count, stat->version, stat->reader_count,
               stat->file_octets, stat->used_octets, stat->map_octets);
}

static void print_zone(const struct zonedb_zone *zone)
{
    char name[NAME_TEXT_MAX], loaded[32];

    format_time(zone->loaded_s, loaded);
    printf("zone          %s\n"
           "serial        %" PRIu32 "\n"
           "state         %s\n"
           "signing       %s\n"
           "names         %" PRIu64 "\n"
           "records       %" PRIu64 "\n"
           "wildcards     %s\n"
           "loaded        %s\n",
           name_to_text(zone->apex, name), zone->serial, state_name(zone->state),
           signing_name(zone->signing), zone->node_count, zone->record_count,
           zone->has_wildcard ? "yes" : "no", loaded);
    if (zone->signing != ZONEDB_NSEC3)
        return;
    printf("iterations    %u\nsalt          ", zone->nsec3_iterations);
    for (unsigned i = 0; i < zone->nsec3_salt_len; i++)
        printf("%02x", zone->nsec3_salt[i]);
    printf("%s\n", zone->nsec3_salt_len == 0 ? "-" : "");
}

int lethe_zone_stat(const struct lethe_arguments *arguments)
{
    uint8_t apex[NAME_MAX_LEN];
    struct zonedb_view *view = NULL;
    struct zonedb_stat stat;
    struct zonedb_zone zone;
    const bool has_zone = arguments->word_count > 0;

    if (has_zone && !lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    struct zonedb *db = lethe_open(arguments, ZONEDB_READ);
    if (db == NULL)
        return EXIT_REFUSED;
    int error = zonedb_view_open(db, &view);
    if (error == 0)
        error = has_zone ? zonedb_zone_get(view, apex, &zone) : zonedb_stat(view, &stat);
    zonedb_view_close(view);
    zonedb_close(db);
    if (error != 0)
        return has_zone ? fail_zone(arguments, error) : fail_view(arguments, error);
    if (!has_zone) {
        print_stat(&stat, arguments->is_json);
    } else if (arguments->is_json) {
        struct audit_store *store = NULL;
        if (audit_store_open(arguments->db, false, &store) != 0)
            store = NULL;
        const struct audit_entry entry = entry_of(store, &zone);
        audit_store_close(store);
        print_zone_json(&zone, &entry);
        printf("\n");
    } else {
        print_zone(&zone);
    }
    return lethe_finish_output(EXIT_OK);
}

/* ---- remove ---- */

static int remove_zone(struct zonedb_writer *writer, void *apex)
{
    return zonedb_writer_zone_remove(writer, apex);
}

int lethe_zone_remove(const struct lethe_arguments *arguments)
{
    uint8_t apex[NAME_MAX_LEN];

    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    struct zonedb *db = lethe_open(arguments, ZONEDB_WRITE);
    if (db == NULL)
        return EXIT_REFUSED;
    const int error = lethe_write(db, remove_zone, apex);
    zonedb_close(db);
    return error == 0 ? EXIT_OK : fail_zone(arguments, error);
}

/* ---- dump ---- */

static int write_all(void *context, const char *text, size_t text_len)
{
    const int descriptor = *(const int *)context;

    while (text_len > 0) {
        const ssize_t written = write(descriptor, text, text_len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        text += written;
        text_len -= (size_t)written;
    }
    return 0;
}

/* All of the zone into `descriptor`, a file, as fast as it goes. */
static int dump_to(const struct lethe_arguments *arguments, const uint8_t *apex, int descriptor,
                   int *exit_code_out)
{
    struct zonedb *db = lethe_open(arguments, ZONEDB_READ);
    struct zonedb_view *view = NULL;

    *exit_code_out = EXIT_REFUSED;
    if (db == NULL)
        return -ENOENT;
    int error = zonedb_view_open(db, &view);
    if (error == 0)
        error = text_dump(view, apex, write_all, &descriptor);
    zonedb_view_close(view);
    zonedb_close(db);
    *exit_code_out = error == 0 ? EXIT_OK : fail_zone(arguments, error);
    return error;
}

static int copy_out(FILE *spool, int descriptor, const char *name)
{
    char buffer[65536];
    size_t len;

    rewind(spool);
    while ((len = fread(buffer, 1, sizeof(buffer), spool)) > 0) {
        const int error = write_all(&descriptor, buffer, len);
        if (error != 0)
            return lethe_fail("%s: %s", name, strerror(-error));
    }
    return ferror(spool) ? lethe_fail("temporary file: %s", strerror(errno)) : EXIT_OK;
}

static int dump_spooled(const struct lethe_arguments *arguments, const uint8_t *apex,
                        int descriptor, const char *name)
{
    struct stat status;
    int exit_code;

    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        dump_to(arguments, apex, descriptor, &exit_code);
        return exit_code;
    }
    FILE *spool = tmpfile();
    if (spool == NULL)
        return lethe_fail("cannot make a temporary file: %s", strerror(errno));
    if (dump_to(arguments, apex, fileno(spool), &exit_code) == 0)
        exit_code = copy_out(spool, descriptor, name);
    fclose(spool);
    return exit_code;
}

/* A device or a pipe is written to, never replaced. */
static int dump_to_special(const struct lethe_arguments *arguments, const uint8_t *apex,
                           const char *file)
{
    const int descriptor = open(file, O_WRONLY | O_CLOEXEC | O_NOCTTY);

    if (descriptor < 0)
        return lethe_fail("%s: %s", file, strerror(errno));
    const int exit_code = dump_spooled(arguments, apex, descriptor, file);
    close(descriptor);
    return exit_code;
}

/* Under another name first: FILE is whole at any time. */
static int dump_to_file(const struct lethe_arguments *arguments, const uint8_t *apex,
                        const char *file)
{
    char *temporary = NULL;
    int exit_code = EXIT_REFUSED;

    if (asprintf(&temporary, "%s.XXXXXX", file) < 0)
        return lethe_fail("out of memory");
    const int descriptor = mkostemp(temporary, O_CLOEXEC);
    if (descriptor < 0) {
        exit_code = lethe_fail("%s: %s", file, strerror(errno));
        free(temporary);
        return exit_code;
    }
    const mode_t mask = umask(0);
    umask(mask);
    int error = dump_to(arguments, apex, descriptor, &exit_code);
    if (error == 0 && (fchmod(descriptor, 0666 & ~mask) != 0 || fsync(descriptor) != 0 ||
                       rename(temporary, file) != 0)) {
        error = -errno;
        exit_code = lethe_fail("%s: %s", file, strerror(-error));
    }
    if (error != 0)
        unlink(temporary);
    close(descriptor);
    free(temporary);
    return exit_code;
}

int lethe_zone_dump(const struct lethe_arguments *arguments)
{
    uint8_t apex[NAME_MAX_LEN];
    struct stat status;

    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    if (arguments->word_count < 2 || strcmp(arguments->words[1], "-") == 0)
        return dump_spooled(arguments, apex, STDOUT_FILENO, "standard output");
    if (stat(arguments->words[1], &status) == 0 && !S_ISREG(status.st_mode))
        return dump_to_special(arguments, apex, arguments->words[1]);
    return dump_to_file(arguments, apex, arguments->words[1]);
}

/* ---- copy ---- */

/* A file that is there already was not begun by us, and stays. */
static int fail_copy(const char *target, int error)
{
    char path[4096];

    if (error == -EEXIST)
        return lethe_fail("%s: there is a database already; name a directory that is empty or not "
                          "there yet",
                          target);
    snprintf(path, sizeof(path), "%s/data.mdb", target);
    unlink(path);
    if (error == -EDQUOT)
        return lethe_fail("%s: no room on the disk; nothing was left there", target);
    return lethe_fail("%s: %s", target, strerror(-error));
}

int lethe_db_copy(const struct lethe_arguments *arguments)
{
    const char *target = arguments->words[0];

    if (mkdir(target, 0755) != 0 && errno != EEXIST)
        return lethe_fail("%s: %s", target, strerror(errno));
    struct zonedb *db = lethe_open(arguments, ZONEDB_READ);
    if (db == NULL)
        return EXIT_REFUSED;
    const int error = zonedb_copy(db, target);
    zonedb_close(db);
    return error == 0 ? EXIT_OK : fail_copy(target, error);
}

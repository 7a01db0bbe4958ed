/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A zone that does not fit into memory, be it of a few octets, is taken like one that does: the
 * same outcome, messages and database.
 */
#include "test/unit/test_main.h"
#include "test/unit/zone_fixture.h"
#include "zonedb/text_dump.h"

#include <dirent.h>
#include <errno.h>

#define TOLD_MAX 64

struct buffer {
    char *octets;
    size_t len, cap;
};

static int put(void *context, const char *octets, size_t len)
{
    struct buffer *buffer = context;
    if (buffer->len + len + 1 > buffer->cap) {
        buffer->cap = (buffer->len + len + 1) * 2;
        buffer->octets = realloc(buffer->octets, buffer->cap);
        ck_assert_ptr_nonnull(buffer->octets);
    }
    memcpy(buffer->octets + buffer->len, octets, len);
    buffer->len += len;
    buffer->octets[buffer->len] = '\0';
    return 0;
}

struct told {
    unsigned count;
    char *text[TOLD_MAX];
};

static void note(void *context, const struct text_message *message)
{
    struct told *told = context;
    char text[1200];
    ck_assert_uint_lt(told->count, TOLD_MAX);
    snprintf(text, sizeof text, "%lu:%lu: %d %s", (unsigned long)message->line,
             (unsigned long)message->column, (int)message->severity, message->text);
    told->text[told->count++] = strdup(text);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void told_free(struct told *told)
{
    for (unsigned i = 0; i < told->count; i++)
        free(told->text[i]);
}

/* Of a refused zone, those that look far are not told. */
static void drop_warnings(struct told *told)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < told->count; i++)
        if (strstr(told->text[i], ": 1 ") != NULL)
            free(told->text[i]);
        else
            told->text[kept++] = told->text[i];
    told->count = kept;
}

/* What came of a load. */
struct outcome {
    int error;
    struct told told;
    struct text_counts counts;
    struct zonedb_zone zone;
    struct buffer dump;
    uint32_t serial;
};

static struct fixture f;
static unsigned streams; /* begun */

static struct zonedb *database(void *context)
{
    (void)context;
    streams++;
    zonedb_view_rest(f.view);
    return f.db;
}

static void load(const uint8_t *apex, const char *file, size_t memory_octets, bool has_stream,
                 struct outcome *out)
{
    struct text_zone *zone;
    struct text_options options = {.message = note, .context = &out->told};
    memset(out, 0, sizeof *out);
    options.spill_directory = memory_octets == 0 ? NULL : "/tmp";
    options.memory_octets = memory_octets;
    options.database = has_stream ? database : NULL;
    fixture_open(&f);
    out->error = text_zone_read(apex, file, &options, &zone, &out->counts);
    if (out->error == 0) {
        zonedb_view_rest(f.view);
        out->error = text_zone_store(zone, f.db, 1700000000);
        out->counts = *text_zone_counts(zone);
        out->serial = text_zone_serial(zone);
        ck_assert_int_ge(zonedb_view_refresh(f.view), 0);
    }
    text_zone_free(zone);
    ck_assert_int_ge(zonedb_view_refresh(f.view), 0);
    if (out->error == 0) {
        ck_assert_int_eq(text_dump(f.view, apex, put, &out->dump), 0);
        ck_assert_int_eq(zonedb_zone_get(f.view, apex, &out->zone), 0);
    } else {
        ck_assert_int_eq(zonedb_zone_get(f.view, apex, &out->zone), -ENOENT);
    }
    fixture_close(&f);
    if (out->error != 0)
        drop_warnings(&out->told);
    qsort(out->told.text, out->told.count, sizeof *out->told.text, compare);
}

static void expect_same(const char *file, size_t memory, const struct outcome *a,
                        const struct outcome *b)
{
    ck_assert_msg(a->error == b->error, "%s in %zu octets: %d, not %d: %s", file, memory, b->error,
                  a->error, b->told.count > 0 ? b->told.text[0] : "");
    /* Where many are wrong, which of them are told depends on the order. */
    if (a->counts.errors < TEXT_ERRORS_MAX && a->counts.warnings < TEXT_WARNINGS_MAX) {
        for (unsigned i = 0; i < a->told.count && i < b->told.count; i++)
            ck_assert_msg(strcmp(a->told.text[i], b->told.text[i]) == 0,
                          "%s in %zu octets: %s, not %s", file, memory, b->told.text[i],
                          a->told.text[i]);
        ck_assert_msg(a->told.count == b->told.count, "%s in %zu octets: %u messages, not %u", file,
                      memory, b->told.count, a->told.count);
    }
    if (a->error != 0)
        return;
    ck_assert_str_eq(a->dump.octets, b->dump.octets);
    ck_assert_uint_eq(a->serial, b->serial);
    ck_assert_uint_eq(a->counts.records, b->counts.records);
    ck_assert_uint_eq(a->counts.owners, b->counts.owners);
    ck_assert_uint_eq(a->counts.duplicates, b->counts.duplicates);
    ck_assert_uint_eq(a->counts.octets, b->counts.octets);
    ck_assert_uint_eq(a->counts.is_zonemd_verified, b->counts.is_zonemd_verified);
    ck_assert_uint_eq(a->zone.node_count, b->zone.node_count);
    ck_assert_uint_eq(a->zone.record_count, b->zone.record_count);
    ck_assert_uint_eq(a->zone.signing, b->zone.signing);
    ck_assert_uint_eq(a->zone.has_wildcard, b->zone.has_wildcard);
}

static void try_sizes(const char *apex_text, const char *file, const size_t *memories,
                      size_t memory_count)
{
    struct outcome whole, parts;
    uint8_t apex[NAME_MAX_LEN];
    ck_assert_uint_gt(name_from_text(apex_text, apex), 0);
    load(apex, file, 0, false, &whole);
    for (size_t i = 0; i < 2 * memory_count; i++) {
        load(apex, file, memories[i / 2], i % 2 == 1, &parts);
        expect_same(file, memories[i / 2], &whole, &parts);
        told_free(&parts.told);
        free(parts.dump.octets);
    }
    told_free(&whole.told);
    free(whole.dump.octets);
}

static void try_file(const char *apex_text, const char *file)
{
    static const size_t memories[] = {1, 1000, 20000};
    try_sizes(apex_text, file, memories, 3);
}

/* A signed zone with a digest over all of it. */
START_TEST(test_root_zone)
{
    static const size_t memories[] = {300000, 2000000};
    char path[] = "/tmp/lethe-runs-XXXXXX", command[1024];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    snprintf(command, sizeof command, "xz -dc " LETHE_DATA "/root.zone.xz > %s", path);
    ck_assert_int_eq(system(command), 0);
    try_sizes(".", path, memories, 2);
    unlink(path);
}
END_TEST

/* Zones that are refused or warned of: everything that is told. */
START_TEST(test_bad_zones)
{
    static const char folder[] = LETHE_DATA "/zones/bad";
    static const size_t memories[] = {1};
    DIR *directory = opendir(folder);
    unsigned count = 0;
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[1024];
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".zone") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        try_sizes("example.", path, memories, 1);
        count++;
    }
    closedir(directory);
    ck_assert_uint_gt(count, 40);
}
END_TEST

static void write_file(char *path, void (*write)(FILE *))
{
    strcpy(path, "/tmp/lethe-runs-XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    ck_assert_ptr_nonnull(file);
    write(file);
    ck_assert_int_eq(fclose(file), 0);
}

static void try_written(void (*write)(FILE *))
{
    char path[64];
    write_file(path, write);
    try_file("example.", path);
    unlink(path);
}

static uint32_t dice_state = 7;

static unsigned dice(unsigned limit)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % limit;
}

#define HEAD \
    "$TTL 60\n@ SOA ns.d7 admin 1 2 3 4 5\n@ NS ns.d7\n@ NS nobody\n@ NS alias\nalias CNAME x\n"

/* Cuts with glue, deep names, names in several places, TTLs that differ, in no order. */
static void write_any_order(FILE *file)
{
    fputs(HEAD, file);
    for (unsigned i = 0; i < 3000; i++) {
        unsigned n = dice(400);
        switch (dice(7)) {
        case 0:
            fprintf(file, "d%u NS ns.d%u\n", n, n);
            break;
        case 1:
            fprintf(file, "NS.d%u A 192.0.2.%u ; %u\n", n, dice(4), i);
            break;
        case 2:
            fprintf(file, "d%u (\n 60 ; (\n DS 1 13 2 %064u )\n", n, n);
            break;
        case 3:
            fprintf(file, "a.b.c.d%u TXT \"(;\" \\( \"%u\"\n", n, n);
            break;
        case 4:
            fprintf(file, "t%u %u TXT %u\n", n % 20, 60 + (i == 2000), dice(100));
            break;
        case 5:
            fprintf(file, "*.w%u MX %u d%u\n", n, dice(3), n);
            break;
        default:
            fprintf(file, "\\000%u.d%u AAAA 2001:db8::%x\n", n, n, dice(9));
        }
    }
}

START_TEST(test_any_order)
{
    try_written(write_any_order);
}
END_TEST

/* In order but for some names that come late, by a little or by far. */
static void write_in_order(FILE *file)
{
    fputs(HEAD, file);
    for (unsigned i = 0; i < 2000; i++) {
        fprintf(file, "d%04u NS ns2.d%04u\nd%04u NS ns1.d%04u\n", i, i, i, i);
        fprintf(file, "ns2.d%04u A 192.0.2.2\n", i);
        if (i > 500 && i % 3 == 0)
            fprintf(file, "NS1.D%04u A 192.0.2.1\nns1.d%04u AAAA ::1\n", i, i);
        if (i > 500 && i % 5 == 0)
            fprintf(file, "d%04u 30 DS 1 13 2 %064u\n", i, i);
    }
}

static void write_late_name(FILE *file)
{
    write_in_order(file);
    fputs("d0003 TXT late\nx A 192.0.2.1\n", file);
}

static void write_late_apex(FILE *file)
{
    write_in_order(file);
    fputs("@ TXT late\n", file);
}

static void write_late_error(FILE *file)
{
    write_in_order(file);
    fputs("d1998 CNAME a\nd1999 CNAME oops oops\nx CNAME a\nx CNAME b\n", file);
}

static void write_rule_errors(FILE *file)
{
    write_in_order(file);
    fputs("d1998 CNAME a\nd1999 CNAME oops\nx CNAME a\nx CNAME b\n", file);
}

START_TEST(test_in_order)
{
    streams = 0;
    try_written(write_in_order);
    ck_assert_uint_eq(streams, 3);
    try_written(write_late_name);
    try_written(write_late_apex);
    try_written(write_late_error);
    try_written(write_rule_errors);
    ck_assert_uint_eq(streams, 15);
}
END_TEST

static void write_nsec(FILE *file)
{
    fputs(HEAD "@ NSEC alias SOA NS NSEC\nalias NSEC n0000 CNAME NSEC\n", file);
    for (unsigned i = 0; i < 500; i++) {
        unsigned n = i * 7 % 500;
        fprintf(file, n == 499 ? "n%04u NSEC @ A NSEC\n" : "n%04u NSEC n%04u A NSEC\n", n, n + 1);
        fprintf(file, "n%04u A 192.0.2.%u\n", n, n % 256);
    }
}

static void write_broken_nsec(FILE *file)
{
    write_nsec(file);
    fputs("n0250a NSEC n0252 A NSEC\n", file);
}

static void write_nsec3(FILE *file)
{
    fputs(HEAD "@ NSEC3PARAM 1 0 3 ABCD\n", file);
    for (unsigned i = 0; i < 500; i++) {
        unsigned n = i * 7 % 500;
        fprintf(file, "n%u A 192.0.2.1\n%032u NSEC3 1 1 3 ABCD %032u A\n", n, n, (n + 1) % 500);
    }
}

static void write_broken_nsec3(FILE *file)
{
    write_nsec3(file);
    fprintf(file, "%031u00 NSEC3 1 1 3 ABCD %032u A\n", 0, 3);
}

static void write_open_nsec3(FILE *file)
{
    write_nsec3(file);
    fprintf(file, "%032u NSEC3 1 1 3 ABCD %032u A\n", 99999, 3);
}

START_TEST(test_chains)
{
    try_written(write_nsec);
    try_written(write_broken_nsec);
    try_written(write_nsec3);
    try_written(write_broken_nsec3);
    try_written(write_open_nsec3);
}
END_TEST

static void write_below_dname(FILE *file)
{
    fputs(HEAD "@ DNAME other.test.\n", file);
    for (unsigned i = 0; i < 15; i++)
        fprintf(file, "n%u A 192.0.2.1\n", i);
}

START_TEST(test_dname_at_apex)
{
    try_written(write_below_dname);
}
END_TEST

/* Nothing to write runs to. */
START_TEST(test_no_directory)
{
    char path[64];
    uint8_t apex[] = "\7example";
    struct text_zone *zone;
    struct text_options options = {.spill_directory = "/nonexistent", .memory_octets = 1000};
    write_file(path, write_any_order);
    ck_assert_int_eq(text_zone_read(apex, path, &options, &zone, NULL), -ENOENT);
    ck_assert_ptr_null(zone);
    unlink(path);
}
END_TEST

TEST_MAIN("zonedb_text_runs", test_root_zone, test_bad_zones, test_any_order, test_in_order,
          test_chains, test_dname_at_apex, test_no_directory)

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone load, lethe zone check
 */
#include "tools/lethe_session.h"
#include "zonedb/text_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As sort(1) has it, but not /tmp, which may be memory: that is just what is short here. */
static const char *spill_directory(void)
{
    const char *directory = getenv("TMPDIR");

    return directory != NULL && directory[0] != '\0' ? directory : "/var/tmp";
}

static int read_zone(struct session *session, const uint8_t *apex, bool is_thorough,
                     struct text_zone **zone_out, struct text_counts *counts_out)
{
    struct text_options options = session_options(session, is_thorough);

    if (!is_thorough) { /* a thorough check looks everywhere at any time */
        options.spill_directory = spill_directory();
        options.database = session_database;
    }
    const int error =
        text_zone_read(apex, session->arguments->words[1], &options, zone_out, counts_out);

    session_clear(session);
    if (error == -ENOMEM)
        lethe_fail("out of memory");
    else if (error != 0 && error != -EINVAL && session->db != NULL)
        session_fail_write(session, session->arguments->words[0], error);
    else if (error != 0 && error != -EINVAL && error != -EACCES)
        lethe_fail("cannot sort the zone in %s: %s; set TMPDIR to a folder with room for one and a "
                   "half times the text",
                   spill_directory(), strerror(-error));
    return error;
}

/* ---- zone load ---- */

struct timing {
    double read_s, write_s;
};

static void report_load(const struct session *session, const uint8_t *apex,
                        const struct text_zone *zone, struct timing timing)
{
    const struct text_counts *counts = text_zone_counts(zone);
    const double total_s = timing.read_s + timing.write_s;
    const double rate = total_s > 0 ? (double)counts->records / total_s : 0;
    char text[NAME_TEXT_MAX];

    name_to_text(apex, text);
    if (session->arguments->is_json) {
        printf("{\"zone\": ");
        lethe_json_string(stdout, text);
        printf(", \"serial\": %" PRIu32 ", \"records\": %" PRIu64 ", \"owners\": %" PRIu64
               ", \"duplicates\": %" PRIu64 ", \"warnings\": %" PRIu64 ", \"octets\": %" PRIu64
               ", \"zonemd_verified\": %s, \"read_s\": %.6f, \"write_s\": %.6f"
               ", \"records_per_s\": %.0f}\n",
               text_zone_serial(zone), counts->records, counts->owners, counts->duplicates,
               counts->warnings, counts->octets, counts->is_zonemd_verified ? "true" : "false",
               timing.read_s, timing.write_s, rate);
    } else if (!session->arguments->is_quiet) {
        printf("%s: serial %" PRIu32 ", %" PRIu64 " record%s at %" PRIu64 " name%s%s\n", text,
               text_zone_serial(zone), counts->records, session_plural(counts->records),
               counts->owners, session_plural(counts->owners),
               counts->is_zonemd_verified ? ", ZONEMD verified" : "");
        if (counts->duplicates > 0)
            printf("%s: %" PRIu64 " record%s occurred twice and %s taken once\n", text,
                   counts->duplicates, session_plural(counts->duplicates),
                   counts->duplicates == 1 ? "was" : "were");
        printf("%s: read and checked in %.3f s, written in %.3f s, %.0f records per second\n", text,
               timing.read_s, timing.write_s, rate);
    }
}

static int refuse(const struct session *session, const uint8_t *apex, uint64_t errors)
{
    char text[NAME_TEXT_MAX];

    (void)session;
    return lethe_fail("%s: refused, %" PRIu64 " error%s; the zone served before is unchanged",
                      name_to_text(apex, text), errors, session_plural(errors));
}

static bool serial_of(struct zonedb *db, const uint8_t *apex, uint32_t *serial_out)
{
    struct zonedb_view *view;
    struct zonedb_zone zone;

    if (zonedb_view_open(db, &view) != 0)
        return false;
    const bool is_there = zonedb_zone_get(view, apex, &zone) == 0;
    zonedb_view_close(view);
    *serial_out = is_there ? zone.serial : 0;
    return is_there;
}

/* What a hand that edits forgets. Who has the zone by transfer keeps what it has then (RFC 1982). */
static void check_serial(const uint8_t *apex, uint32_t before, uint32_t now)
{
    char text[NAME_TEXT_MAX];

    if ((int32_t)(now - before) < 0)
        fprintf(stderr,
                "lethe: %s: warning: serial %" PRIu32 " is lower than %" PRIu32
                ", which was served before: who compares them will not take the zone\n",
                name_to_text(apex, text), now, before);
}

static int store(struct session *session, const uint8_t *apex, struct text_zone *zone,
                 double read_s)
{
    struct zonedb *db = session_database(session);
    char text[NAME_TEXT_MAX];

    if (db == NULL)
        return EXIT_REFUSED;
    uint32_t serial;
    const bool has_serial = serial_of(db, apex, &serial);
    const double begun_s = session_clock_s();
    const int error = text_zone_store(zone, db, (uint64_t)time(NULL));
    const double write_s = session_clock_s() - begun_s;
    session_clear(session);
    session_hidden_warnings(session, text_zone_counts(zone));
    if (error == -EINVAL)
        return refuse(session, apex, text_zone_counts(zone)->errors);
    if (error != 0)
        return session_fail_write(session, name_to_text(apex, text), error);
    report_load(session, apex, zone, (struct timing){read_s, write_s});
    if (has_serial && !session->arguments->is_quiet)
        check_serial(apex, serial, text_zone_serial(zone));
    if (!session->arguments->is_quiet)
        lethe_check_ns_ttl(db, apex);
    return lethe_finish_output(EXIT_OK);
}

int lethe_zone_load(const struct lethe_arguments *arguments)
{
    struct session session = session_begin(arguments);
    uint8_t apex[NAME_MAX_LEN];
    struct text_zone *zone;
    struct text_counts counts = {0};

    if (arguments->list != NULL && arguments->word_count == 0)
        return lethe_zone_load_list(arguments);
    if (arguments->list != NULL || arguments->word_count != 2)
        return lethe_usage("zone load wants NAME FILE, or --list LIST");
    if (lethe_is_tinydns(arguments, arguments->words[1]))
        return lethe_tinydns(arguments, false);
    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    const double begun_s = session_clock_s();
    const int error = read_zone(&session, apex, false, &zone, &counts);
    const double read_s = session_clock_s() - begun_s;
    int exit_code = EXIT_REFUSED;
    if (error == 0)
        exit_code = store(&session, apex, zone, read_s);
    else
        session_hidden_warnings(&session, &counts);
    if (error == -EINVAL)
        refuse(&session, apex, counts.errors);
    text_zone_free(zone);
    zonedb_close(session.db);
    return exit_code;
}

/* ---- zone check ---- */

static int report_check(const struct session *session, const uint8_t *apex,
                        const struct text_counts *counts)
{
    char text[NAME_TEXT_MAX];

    name_to_text(apex, text);
    session_hidden_warnings(session, counts);
    if (session->arguments->is_json) {
        printf("{\"zone\": ");
        lethe_json_string(stdout, text);
        printf(", \"records\": %" PRIu64 ", \"owners\": %" PRIu64 ", \"errors\": %" PRIu64
               ", \"warnings\": %" PRIu64 ", \"signatures_verified\": %" PRIu64
               ", \"zonemd_verified\": %s}\n",
               counts->records, counts->owners, counts->errors, counts->warnings,
               counts->signatures, counts->is_zonemd_verified ? "true" : "false");
    } else if (!session->arguments->is_quiet) {
        printf("%s: %" PRIu64 " record%s at %" PRIu64 " name%s", text, counts->records,
               session_plural(counts->records), counts->owners, session_plural(counts->owners));
        if (counts->signatures > 0)
            printf(", %" PRIu64 " signature%s verified", counts->signatures,
                   session_plural(counts->signatures));
        printf("%s; %" PRIu64 " error%s, %" PRIu64 " warning%s\n",
               counts->is_zonemd_verified ? ", ZONEMD verified" : "", counts->errors,
               session_plural(counts->errors), counts->warnings, session_plural(counts->warnings));
    }
    return lethe_finish_output(counts->errors > 0 ? EXIT_REFUSED : EXIT_OK);
}

int lethe_zone_check(const struct lethe_arguments *arguments)
{
    struct session session = session_begin(arguments);
    uint8_t apex[NAME_MAX_LEN];
    struct text_zone *zone;
    struct text_counts counts = {0};

    if (lethe_is_tinydns(arguments, arguments->words[arguments->word_count - 1]))
        return lethe_tinydns(arguments, true);
    if (arguments->word_count != 2)
        return lethe_usage("zone check wants NAME FILE");
    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    int error = read_zone(&session, apex, true, &zone, &counts);
    if (error == 0) {
        error =
            text_zone_check(zone, arguments->has_time ? arguments->time_s : (uint64_t)time(NULL));
        counts = *text_zone_counts(zone);
        session_clear(&session);
    }
    text_zone_free(zone);
    if (error != 0 && error != -EINVAL)
        return lethe_fail("%s", strerror(-error));
    return report_check(&session, apex, &counts);
}

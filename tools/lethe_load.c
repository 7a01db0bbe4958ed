/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone load, lethe zone check
 */
#include "tools/lethe.h"
#include "zonedb/text_check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define BAR_EVERY_S 0.1
#define DISK_LOW ((uint64_t)1 << 20)

struct session {
    const struct lethe_arguments *arguments;
    bool has_bar; /* a terminal looks on */
    bool is_bar_drawn;
    double bar_s; /* when it was drawn last */
};

static double clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void clear_bar(struct session *session)
{
    if (session->is_bar_drawn)
        fputs("\r\033[K", stderr);
    session->is_bar_drawn = false;
}

static void show_message(void *context, const struct text_message *message)
{
    struct session *session = context;
    const char *kind = message->severity == TEXT_ERROR ? "error" : "warning";

    if (message->severity == TEXT_WARNING && session->arguments->is_quiet)
        return;
    clear_bar(session);
    if (message->line == 0)
        fprintf(stderr, "%s: %s: %s\n", message->file, kind, message->text);
    else
        fprintf(stderr, "%s:%" PRIu64 ":%" PRIu64 ": %s: %s\n", message->file, message->line,
                message->column, kind, message->text);
}

static const char *phase_name(enum text_phase phase)
{
    switch (phase) {
    case TEXT_READING:
        return "reading";
    case TEXT_CHECKING:
        return "checking";
    case TEXT_VERIFYING:
        return "verifying";
    case TEXT_WRITING:
        return "writing";
    }
    return "";
}

static void show_progress(void *context, enum text_phase phase, uint64_t done, uint64_t total)
{
    struct session *session = context;
    const double now = session->has_bar ? clock_s() : 0;

    if (phase == TEXT_WRITING)
        lethe_waiting_ends();
    if (!session->has_bar || total == 0 || (now - session->bar_s < BAR_EVERY_S && done < total))
        return;
    const int filled = (int)(done * BAR_WIDTH / total);
    fprintf(stderr, "\r%-10s [%.*s%*s] %3d %%", phase_name(phase), filled,
            "##############################", BAR_WIDTH - filled, "", (int)(done * 100 / total));
    session->bar_s = now;
    session->is_bar_drawn = true;
}

static struct session begin(const struct lethe_arguments *arguments)
{
    return (struct session){
        .arguments = arguments,
        .has_bar = !arguments->is_quiet && isatty(STDERR_FILENO) == 1,
        .bar_s = clock_s(),
    };
}

static int read_zone(struct session *session, const uint8_t *apex, bool is_thorough,
                     struct text_zone **zone_out, struct text_counts *counts_out)
{
    const struct text_options options = {
        .message = show_message,
        .progress = show_progress,
        .context = session,
        .is_thorough = is_thorough,
    };
    const int error =
        text_zone_read(apex, session->arguments->words[1], &options, zone_out, counts_out);

    clear_bar(session);
    if (error == -ENOMEM)
        lethe_fail("out of memory");
    return error;
}

static void show_hidden_warnings(const struct session *session, const struct text_counts *counts)
{
    if (!session->arguments->is_quiet && counts->warnings > TEXT_WARNINGS_MAX)
        fprintf(stderr, "lethe: %" PRIu64 " more warnings not shown\n",
                counts->warnings - TEXT_WARNINGS_MAX);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
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
               text_zone_serial(zone), counts->records, plural(counts->records), counts->owners,
               plural(counts->owners), counts->is_zonemd_verified ? ", ZONEMD verified" : "");
        if (counts->duplicates > 0)
            printf("%s: %" PRIu64 " record%s occurred twice and %s taken once\n", text,
                   counts->duplicates, plural(counts->duplicates),
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
                      name_to_text(apex, text), errors, plural(errors));
}

/* LMDB calls a write that a full disk cut short an input/output error. */
static bool is_disk_full(const char *directory, int error)
{
    struct statvfs status;

    return error == -EDQUOT || (error == -EIO && statvfs(directory, &status) == 0 &&
                                status.f_bavail * status.f_frsize < DISK_LOW);
}

static int store(struct session *session, const uint8_t *apex, struct text_zone *zone,
                 double read_s)
{
    struct zonedb *db = lethe_open(session->arguments, ZONEDB_CREATE);
    char text[NAME_TEXT_MAX];

    if (db == NULL)
        return EXIT_REFUSED;
    const double begun_s = clock_s();
    const int error = text_zone_store(zone, db, (uint64_t)time(NULL));
    const double write_s = clock_s() - begun_s;
    zonedb_close(db);
    clear_bar(session);
    if (is_disk_full(session->arguments->db, error))
        return lethe_fail(
            "%s: no room on the disk of %s; make room and load again; the zone served "
            "before is unchanged",
            name_to_text(apex, text), session->arguments->db);
    if (error != 0)
        return lethe_fail("%s: cannot write to %s: %s; the zone served before is unchanged",
                          name_to_text(apex, text), session->arguments->db, strerror(-error));
    report_load(session, apex, zone, (struct timing){read_s, write_s});
    return lethe_finish_output(EXIT_OK);
}

int lethe_zone_load(const struct lethe_arguments *arguments)
{
    struct session session = begin(arguments);
    uint8_t apex[NAME_MAX_LEN];
    struct text_zone *zone;
    struct text_counts counts = {0};

    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    const double begun_s = clock_s();
    const int error = read_zone(&session, apex, false, &zone, &counts);
    const double read_s = clock_s() - begun_s;
    show_hidden_warnings(&session, &counts);
    if (error != 0)
        return error == -EINVAL ? refuse(&session, apex, counts.errors) : EXIT_REFUSED;
    const int exit_code = store(&session, apex, zone, read_s);
    text_zone_free(zone);
    return exit_code;
}

/* ---- zone check ---- */

static int report_check(const struct session *session, const uint8_t *apex,
                        const struct text_counts *counts)
{
    char text[NAME_TEXT_MAX];

    name_to_text(apex, text);
    show_hidden_warnings(session, counts);
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
               plural(counts->records), counts->owners, plural(counts->owners));
        if (counts->signatures > 0)
            printf(", %" PRIu64 " signature%s verified", counts->signatures,
                   plural(counts->signatures));
        printf("%s; %" PRIu64 " error%s, %" PRIu64 " warning%s\n",
               counts->is_zonemd_verified ? ", ZONEMD verified" : "", counts->errors,
               plural(counts->errors), counts->warnings, plural(counts->warnings));
    }
    return lethe_finish_output(counts->errors > 0 ? EXIT_REFUSED : EXIT_OK);
}

int lethe_zone_check(const struct lethe_arguments *arguments)
{
    struct session session = begin(arguments);
    uint8_t apex[NAME_MAX_LEN];
    struct text_zone *zone;
    struct text_counts counts = {0};

    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    int error = read_zone(&session, apex, true, &zone, &counts);
    if (error == 0) {
        error =
            text_zone_check(zone, arguments->has_time ? arguments->time_s : (uint64_t)time(NULL));
        counts = *text_zone_counts(zone);
        clear_bar(&session);
    }
    text_zone_free(zone);
    if (error != 0 && error != -EINVAL)
        return lethe_fail("%s", strerror(-error));
    return report_check(&session, apex, &counts);
}

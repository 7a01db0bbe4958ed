/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone change
 */
#include "tools/lethe_session.h"
#include "zonedb/text_change.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

struct timing {
    double total_s, wait_s;
};

static void report(const struct lethe_arguments *arguments, const char *zone,
                   const struct text_change_counts *counts, struct timing timing)
{
    if (arguments->is_json) {
        printf("{\"zone\": ");
        lethe_json_string(stdout, zone);
        printf(", \"removed\": %" PRIu64 ", \"added\": %" PRIu64 ", \"owners\": %" PRIu64
               ", \"warnings\": %" PRIu64 ", \"serial_before\": %" PRIu32
               ", \"serial_after\": %" PRIu32 ", \"wait_s\": %.6f, \"change_s\": %.6f}\n",
               counts->removed, counts->added, counts->owners, counts->warnings,
               counts->serial_before, counts->serial_after, timing.wait_s,
               timing.total_s - timing.wait_s);
    } else if (arguments->is_quiet) {
        return;
    } else if (counts->owners == 0) {
        printf("%s: nothing to change\n", zone);
    } else {
        printf("%s: serial %" PRIu32 " to %" PRIu32 ", %" PRIu64 " record%s removed, %" PRIu64
               " added, at %" PRIu64 " name%s; changed in %.3f s\n",
               zone, counts->serial_before, counts->serial_after, counts->removed,
               session_plural(counts->removed), counts->added, counts->owners,
               session_plural(counts->owners), timing.total_s - timing.wait_s);
    }
}

int lethe_zone_change(const struct lethe_arguments *arguments)
{
    struct session session = session_begin(arguments);
    struct text_options options = session_options(&session, false);
    struct text_change_counts counts;
    uint8_t apex[NAME_MAX_LEN];
    char zone[NAME_TEXT_MAX];

    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    name_to_text(apex, zone);
    struct zonedb *db = lethe_open(arguments, ZONEDB_WRITE);
    if (db == NULL)
        return EXIT_REFUSED;
    const double begun_s = session_clock_s();
    const int error = text_zone_change(apex, arguments->word_count > 1 ? arguments->words[1] : "-",
                                       &options, db, (uint64_t)time(NULL), &counts);
    const struct timing timing = {session_clock_s() - begun_s, (double)counts.wait_ns / 1e9};
    lethe_waiting_ends();
    zonedb_close(db);
    if (error == -EINVAL)
        return lethe_fail("%s: change refused, %" PRIu64 " error%s; the zone is as it was", zone,
                          counts.errors, session_plural(counts.errors));
    if (error == -ENOENT)
        return lethe_fail("%s: no zone %s there; see: lethe --db %s zone list", arguments->db, zone,
                          arguments->db);
    if (error == -ENOMEM)
        return lethe_fail("out of memory");
    if (error != 0)
        return session_fail_write(&session, zone, error);
    report(arguments, zone, &counts, timing);
    return lethe_finish_output(EXIT_OK);
}

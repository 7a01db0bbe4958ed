/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone import; zone load and zone check of tinydns-data files
 */
#include "tools/lethe_session.h"
#include "zonedb/text_tinydns.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

bool lethe_is_tinydns(const struct lethe_arguments *arguments, const char *file)
{
    const char *slash = strrchr(file, '/');

    if (arguments->format != NULL)
        return strcmp(arguments->format, "tinydns") == 0;
    return strcmp(slash != NULL ? slash + 1 : file, "data") == 0;
}

static void report_json(struct text_zone *const *zones, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct text_counts *counts = text_zone_counts(zones[i]);
        char text[NAME_TEXT_MAX];
        printf("%s{\"zone\": ", i == 0 ? "[" : ",\n ");
        lethe_json_string(stdout, name_to_text(text_zone_apex(zones[i]), text));
        printf(", \"serial\": %" PRIu32 ", \"records\": %" PRIu64 ", \"owners\": %" PRIu64
               ", \"duplicates\": %" PRIu64 ", \"warnings\": %" PRIu64 "}",
               text_zone_serial(zones[i]), counts->records, counts->owners, counts->duplicates,
               counts->warnings);
    }
    fputs(count == 0 ? "[]\n" : "]\n", stdout);
}

static void report(const struct session *session, const struct text_tinydns *set,
                   const struct text_counts *sum)
{
    size_t count;
    struct text_zone *const *zones = text_tinydns_zones(set, &count);

    session_hidden_warnings(session, sum);
    if (session->arguments->is_json) {
        report_json(zones, count);
    } else if (!session->arguments->is_quiet) {
        for (size_t i = 0; i < count; i++) {
            const struct text_counts *counts = text_zone_counts(zones[i]);
            char text[NAME_TEXT_MAX];
            printf("%s: serial %" PRIu32 ", %" PRIu64 " record%s at %" PRIu64 " name%s\n",
                   name_to_text(text_zone_apex(zones[i]), text), text_zone_serial(zones[i]),
                   counts->records, session_plural(counts->records), counts->owners,
                   session_plural(counts->owners));
        }
    }
}

static int import(const struct lethe_arguments *arguments, const char *file, const uint8_t *apex,
                  bool is_check)
{
    struct session session = session_begin(arguments);
    const struct text_options options = session_options(&session, is_check);
    struct text_tinydns *set;
    struct text_counts sum = {0};
    int error = text_tinydns_read(file, apex, (uint64_t)time(NULL), &options, &set, &sum);

    session_clear(&session);
    if (error == -EINVAL) {
        session_hidden_warnings(&session, &sum);
        return lethe_fail("%s: refused, %" PRIu64 " error%s%s", file, sum.errors,
                          session_plural(sum.errors),
                          is_check ? "" : "; the zones served before are unchanged");
    }
    if (error != 0)
        return lethe_fail("%s: %s", file, strerror(-error));
    if (!is_check && session_database(&session) == NULL) {
        error = -ENOENT;
    } else if (!is_check) {
        size_t count;
        struct text_zone *const *zones = text_tinydns_zones(set, &count);
        error = text_zones_store(zones, count, session.db, (uint64_t)time(NULL));
        session_clear(&session);
        if (error != 0)
            session_fail_write(&session, file, error);
        for (size_t i = 0; i < count && error == 0 && !arguments->is_quiet; i++)
            lethe_check_ns_ttl(session.db, text_zone_apex(zones[i]));
    }
    if (error == 0)
        report(&session, set, &sum);
    text_tinydns_free(set);
    zonedb_close(session.db);
    return error == 0 ? lethe_finish_output(EXIT_OK) : EXIT_REFUSED;
}

int lethe_zone_import(const struct lethe_arguments *arguments)
{
    if (arguments->format != NULL && strcmp(arguments->format, "tinydns") != 0)
        return lethe_usage("zone import reads tinydns-data files; for zone text: zone load");
    return import(arguments, arguments->words[0], NULL, false);
}

int lethe_tinydns(const struct lethe_arguments *arguments, bool is_check)
{
    uint8_t apex[NAME_MAX_LEN];
    const bool has_name = arguments->word_count == 2;

    if (has_name && !lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    return import(arguments, arguments->words[has_name ? 1 : 0], has_name ? apex : NULL, is_check);
}

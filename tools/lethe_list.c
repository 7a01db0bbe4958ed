/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone load --list: many zones.
 *
 * Zones are read without a lock and written by the batch: a transaction, with its wait for the
 * disk, costs as much as a thousand small zones. A zone with errors stays as it was; the others
 * load.
 */
#include "tools/lethe_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A batch is written when it has so many zones, or so many octets of text, whichever is first: the
 * writer's lock is held well below a second. */
#define BATCH_ZONES 10000
#define BATCH_OCTETS ((uint64_t)64 << 20)

struct list {
    struct session session;
    struct text_options options;
    const char *name, *folder; /* of the list; of what is relative in it */
    size_t folder_len;
    struct zonedb *db;
    struct text_zone *zones[BATCH_ZONES]; /* read, not yet written */
    size_t batch_count;
    uint64_t batch_octets;
    uint64_t loaded, refused, records, octets, line;
    double read_s, write_s;
};

/* ---- a line ---- */

/* Cut the line into its two words. Returns 1, 0 for a blank line or comment, -1 if there are not
 * two. */
static int split(char *line, char **zone_out, char **file_out)
{
    static const char space[] = " \t\r\n";
    char *rest, *more;

    *zone_out = strtok_r(line, space, &rest);
    if (*zone_out == NULL || (*zone_out)[0] == '#' || (*zone_out)[0] == ';')
        return 0;
    *file_out = strtok_r(NULL, space, &rest);
    more = strtok_r(NULL, space, &rest);
    return *file_out != NULL && (more == NULL || more[0] == '#' || more[0] == ';') ? 1 : -1;
}

static int refuse_line(struct list *list, const char *why)
{
    session_clear(&list->session);
    fprintf(stderr, "%s:%" PRIu64 ": error: %s\n", list->name, list->line, why);
    list->refused++;
    return 0;
}

/* ---- the batch ---- */

static int write_batch(struct list *list)
{
    const double begun_s = session_clock_s();
    int error = 0;

    if (list->batch_count > 0)
        error = text_zones_store(list->zones, list->batch_count, list->db, (uint64_t)time(NULL));
    for (size_t i = 0; i < list->batch_count; i++) {
        list->records += error == 0 ? text_zone_counts(list->zones[i])->records : 0;
        text_zone_free(list->zones[i]);
    }
    list->loaded += error == 0 ? list->batch_count : 0;
    list->batch_count = 0;
    list->batch_octets = 0;
    list->write_s += session_clock_s() - begun_s;
    return error;
}

/* Read one zone into the batch. 0, or what ends it all. */
static int take_zone(struct list *list, const char *zone, const char *file)
{
    uint8_t apex[NAME_MAX_LEN];
    struct text_counts counts = {0};
    char *path = NULL;

    if (name_from_text(zone, apex) == 0)
        return refuse_line(list, "the first word is not a domain name");
    const int folder_len = file[0] == '/' ? 0 : (int)list->folder_len;
    if (asprintf(&path, "%.*s%s", folder_len, list->folder, file) < 0)
        return -ENOMEM;
    const int error =
        text_zone_read(apex, path, &list->options, &list->zones[list->batch_count], &counts);
    free(path);
    session_hidden_warnings(&list->session, &counts);
    list->octets += counts.octets;
    list->batch_octets += counts.octets;
    if (error == -EINVAL) {
        list->refused++;
        session_clear(&list->session);
        lethe_fail("%s: refused, %" PRIu64 " error%s; the zone served before is unchanged", zone,
                   counts.errors, session_plural(counts.errors));
    }
    list->batch_count += error == 0;
    return error == -EINVAL ? 0 : error;
}

static int take_line(struct list *list, char *line)
{
    char *zone, *file;
    const int words = split(line, &zone, &file);
    int error = 0;

    if (words < 0)
        error = refuse_line(list, "a line is: NAME FILE");
    else if (words > 0)
        error = take_zone(list, zone, file);
    if (error == 0 && (list->batch_count == BATCH_ZONES || list->batch_octets >= BATCH_OCTETS))
        error = write_batch(list);
    return error;
}

/* ---- the whole ---- */

static int take_lines(struct list *list, FILE *file)
{
    char *line = NULL;
    size_t cap = 0;
    int error = 0;
    const uint64_t size = fseeko(file, 0, SEEK_END) == 0 ? (uint64_t)ftello(file) : 0;

    rewind(file); /* fails on a pipe, as it may */
    for (ssize_t len; error == 0 && (len = getline(&line, &cap, file)) >= 0;) {
        list->line++;
        /* The name of a file has no NUL in it. */
        error = strlen(line) == (size_t)len ? take_line(list, line)
                                            : refuse_line(list, "a zero octet in the line");
        if (list->line % 64 == 0)
            session_draw(&list->session, "loading", size > 0 ? (uint64_t)ftello(file) : 0, size);
    }
    if (error == 0 && ferror(file))
        error = -EIO;
    if (error == 0)
        error = write_batch(list);
    free(line);
    return error;
}

static int report(struct list *list, double total_s)
{
    const double read_s = total_s - list->write_s;
    const double rate = total_s > 0 ? (double)list->loaded / total_s : 0;

    if (list->session.arguments->is_json)
        printf("{\"zones\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"records\": %" PRIu64
               ", \"octets\": %" PRIu64 ", \"read_s\": %.6f, \"write_s\": %.6f"
               ", \"zones_per_s\": %.0f}\n",
               list->loaded, list->refused, list->records, list->octets, read_s, list->write_s,
               rate);
    else if (!list->session.arguments->is_quiet)
        printf("%" PRIu64 " zone%s loaded, %" PRIu64 " refused; %" PRIu64 " record%s\n"
               "read and checked in %.3f s, written in %.3f s, %.0f zones per second\n",
               list->loaded, session_plural(list->loaded), list->refused, list->records,
               session_plural(list->records), read_s, list->write_s, rate);
    return lethe_finish_output(list->refused == 0 ? EXIT_OK : EXIT_REFUSED);
}

static int load(struct list *list, FILE *file)
{
    const double begun_s = session_clock_s();
    int error;

    list->db = lethe_open(list->session.arguments, ZONEDB_CREATE);
    if (list->db == NULL)
        return EXIT_REFUSED;
    lethe_waiting_ends();
    error = take_lines(list, file);
    for (size_t i = 0; i < list->batch_count; i++)
        text_zone_free(list->zones[i]);
    zonedb_close(list->db);
    session_clear(&list->session);
    if (error == -ENOMEM)
        return lethe_fail("out of memory");
    if (error != 0)
        return session_fail_write(&list->session, list->name, error);
    return report(list, session_clock_s() - begun_s);
}

int lethe_zone_load_list(const struct lethe_arguments *arguments)
{
    const bool is_stdin = strcmp(arguments->list, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(arguments->list, "re");
    struct list *list = calloc(1, sizeof(*list));
    int exit_code;

    if (file != NULL && list != NULL) {
        const char *slash = is_stdin ? NULL : strrchr(arguments->list, '/');
        list->session = session_begin(arguments);
        list->session.is_phase_hidden = true;
        list->options = session_options(&list->session, false);
        list->name = is_stdin ? "(standard input)" : arguments->list;
        list->folder = arguments->list;
        list->folder_len = slash == NULL ? 0 : (size_t)(slash - arguments->list) + 1;
        exit_code = load(list, file);
    } else {
        exit_code = lethe_fail("%s: %s", arguments->list, strerror(errno));
    }
    if (file != NULL && !is_stdin)
        fclose(file);
    free(list);
    return exit_code;
}

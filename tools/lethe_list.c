/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone load --list: many zones.
 *
 * Zones are read without a lock and written by the batch: a transaction, with its wait for the
 * disk, costs as much as a thousand small zones. A zone with errors stays as it was; the others
 * load. They are taken in the order of the database, whose pages are full then.
 */
#include "tools/lethe_session.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A batch is written when it has so many zones, or so many octets of text, whichever is first: the
 * writer's lock is held well below a second. */
#define BATCH_ZONES 10000
#define BATCH_OCTETS ((uint64_t)64 << 20)

/* A line: what it says stands behind it, the key of the zone's name first. */
struct line {
    const char *zone, *file;
    uint64_t number;
    size_t key_len;
    uint8_t key[];
};

struct list {
    struct session session;
    struct text_options options;
    const char *name, *folder; /* of the list; of what is relative in it */
    size_t folder_len;
    struct zonedb *db;
    struct text_zone *zones[BATCH_ZONES]; /* read, not yet written */
    size_t batch_count;
    uint64_t batch_octets;
    struct line **lines;
    size_t line_count, line_cap;
    uint64_t loaded, refused, records, octets;
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

static int refuse_line(struct list *list, uint64_t number, const char *why)
{
    session_clear(&list->session);
    fprintf(stderr, "%s:%" PRIu64 ": error: %s\n", list->name, number, why);
    list->refused++;
    return 0;
}

static int keep_line(struct list *list, uint64_t number, const char *zone, const char *file)
{
    uint8_t name[NAME_MAX_LEN], key[NAME_KEY_MAX];
    if (name_from_text(zone, name) == 0)
        return refuse_line(list, number, "the first word is not a domain name");
    if (list->line_count == list->line_cap) {
        const size_t cap = list->line_cap == 0 ? 1024 : list->line_cap * 2;
        void *lines = reallocarray(list->lines, cap, sizeof(list->lines[0]));
        if (lines == NULL)
            return -ENOMEM;
        list->lines = lines;
        list->line_cap = cap;
    }
    const size_t key_len = name_to_key(name, key);
    const size_t zone_size = strlen(zone) + 1, file_size = strlen(file) + 1;
    struct line *line = malloc(sizeof(*line) + key_len + zone_size + file_size);
    if (line == NULL)
        return -ENOMEM;
    char *text = (char *)line->key + key_len;
    memcpy(line->key, key, key_len);
    memcpy(text, zone, zone_size);
    memcpy(text + zone_size, file, file_size);
    line->zone = text;
    line->file = text + zone_size;
    line->number = number;
    line->key_len = key_len;
    list->lines[list->line_count++] = line;
    return 0;
}

static int take_line(struct list *list, uint64_t number, char *text)
{
    char *zone, *file;
    const int words = split(text, &zone, &file);

    if (words < 0)
        return refuse_line(list, number, "a line is: NAME FILE");
    return words == 0 ? 0 : keep_line(list, number, zone, file);
}

/* Canonical order; of lines with the same zone the last one is to stay. */
static int line_compare(const void *a, const void *b)
{
    const struct line *x = *(struct line *const *)a, *y = *(struct line *const *)b;
    const size_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
    const int order = memcmp(x->key, y->key, len);

    if (order != 0)
        return order;
    if (x->key_len != y->key_len)
        return x->key_len < y->key_len ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static int read_lines(struct list *list, FILE *file)
{
    char *text = NULL;
    size_t cap = 0;
    uint64_t number = 0;
    int error = 0;

    for (ssize_t len; error == 0 && (len = getline(&text, &cap, file)) >= 0;) {
        number++;
        /* The name of a file has no NUL in it. */
        error = strlen(text) == (size_t)len ? take_line(list, number, text)
                                            : refuse_line(list, number, "a zero octet in the line");
    }
    if (error == 0 && ferror(file))
        error = -EIO;
    free(text);
    if (list->line_count > 0)
        qsort(list->lines, list->line_count, sizeof(list->lines[0]), line_compare);
    return error;
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
static int take_zone(struct list *list, const struct line *line)
{
    uint8_t apex[NAME_MAX_LEN];
    struct text_counts counts = {0};
    char *path = NULL;

    name_from_text(line->zone, apex);
    const int folder_len = line->file[0] == '/' ? 0 : (int)list->folder_len;
    if (asprintf(&path, "%.*s%s", folder_len, list->folder, line->file) < 0)
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
        lethe_fail("%s: refused, %" PRIu64 " error%s; the zone served before is unchanged",
                   line->zone, counts.errors, session_plural(counts.errors));
    }
    list->batch_count += error == 0;
    return error == -EINVAL ? 0 : error;
}

/* ---- the whole ---- */

static int take_zones(struct list *list)
{
    int error = 0;

    for (size_t i = 0; i < list->line_count && error == 0; i++) {
        error = take_zone(list, list->lines[i]);
        if (error == 0 && (list->batch_count == BATCH_ZONES || list->batch_octets >= BATCH_OCTETS))
            error = write_batch(list);
        if (i % 64 == 0)
            session_draw(&list->session, "loading", i, list->line_count);
    }
    return error == 0 ? write_batch(list) : error;
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

    /* A batch's memory is wanted for the next: to give it back and have it anew costs as much as to
     * write it. */
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    list->db = lethe_open(list->session.arguments, ZONEDB_CREATE);
    if (list->db == NULL)
        return EXIT_REFUSED;
    lethe_waiting_ends();
    error = read_lines(list, file);
    if (error == 0)
        error = take_zones(list);
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
        list->options.scanner = text_scanner_new(); /* NULL: slower */
        list->name = is_stdin ? "(standard input)" : arguments->list;
        list->folder = arguments->list;
        list->folder_len = slash == NULL ? 0 : (size_t)(slash - arguments->list) + 1;
        exit_code = load(list, file);
    } else {
        exit_code = lethe_fail("%s: %s", arguments->list, strerror(errno));
    }
    if (file != NULL && !is_stdin)
        fclose(file);
    for (size_t i = 0; list != NULL && i < list->line_count; i++)
        free(list->lines[i]);
    if (list != NULL) {
        free(list->lines);
        text_scanner_free(list->options.scanner);
    }
    free(list);
    return exit_code;
}

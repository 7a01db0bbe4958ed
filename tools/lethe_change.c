/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone change
 */
#include "tools/lethe_session.h"
#include "zonedb/text_change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

/* Of these text tells one by one. */
#define MOVED_TOLD_MAX 10
#define TYPE_NS 2

/* A delegation that has lost the name servers that it had: until when may caches keep to them? */
struct moved {
    uint8_t cut[NAME_MAX_LEN];
    uint32_t ttl; /* of NS in the zone above */
    bool is_gone;
    bool has_own;     /* the zone is in our database, */
    uint32_t own_ttl; /* and this is the TTL of its own NS */
};

struct changing {
    struct session session; /* first: it is the context of messages */
    struct moved *moved;
    size_t moved_count;
    bool is_full; /* there is no memory for all of them */
};

static void note_moved(void *context, const uint8_t *cut, uint32_t ttl, bool is_gone)
{
    struct changing *changing = context;
    struct moved *grown = NULL;

    /* Room for a power of two of them. */
    if ((changing->moved_count & (changing->moved_count - 1)) != 0) {
        grown = changing->moved;
    } else {
        const size_t wanted = changing->moved_count == 0 ? 1 : 2 * changing->moved_count;
        grown = reallocarray(changing->moved, wanted, sizeof(*grown));
    }
    changing->is_full |= grown == NULL;
    if (changing->is_full)
        return;
    changing->moved = grown;
    struct moved *moved = &grown[changing->moved_count++];
    *moved = (struct moved){.ttl = ttl, .is_gone = is_gone};
    name_copy_lower(moved->cut, cut);
}

static void look_up_own(struct changing *changing, struct zonedb *db)
{
    struct zonedb_view *view;
    struct zonedb_rrset servers;

    if (changing->moved_count == 0 || zonedb_view_open(db, &view) != 0)
        return;
    for (size_t i = 0; i < changing->moved_count; i++) {
        struct moved *moved = &changing->moved[i];
        moved->has_own = zonedb_rrset_get(view, moved->cut, moved->cut, TYPE_NS, &servers) == 0;
        if (moved->has_own)
            moved->own_ttl = servers.ttl;
    }
    zonedb_view_close(view);
}

/* When what a cache learned now is over. */
static const char *end_text(uint32_t ttl, char text[32])
{
    const time_t end = time(NULL) + (time_t)ttl;
    struct tm parts;

    if (gmtime_r(&end, &parts) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        text[0] = '\0';
    return text;
}

static void tell_moved(const struct moved *moved)
{
    char name[NAME_TEXT_MAX], end[32];

    printf("%s: %s; caches may have the delegation of before until %s (TTL %" PRIu32 ")",
           name_to_text(moved->cut, name),
           moved->is_gone ? "no delegation any more" : "delegated to others",
           end_text(moved->ttl, end), moved->ttl);
    if (moved->has_own)
        printf(", and the zone's own NS until %s (TTL %" PRIu32 ")", end_text(moved->own_ttl, end),
               moved->own_ttl);
    else
        printf(", and for how long the zone's own NS, lethe kiting tells");
    printf("; longer, where its old servers go on to answer\n");
}

static void tell_all_moved(const struct changing *changing)
{
    for (size_t i = 0; i < changing->moved_count && i < MOVED_TOLD_MAX; i++)
        tell_moved(&changing->moved[i]);
    if (changing->moved_count > MOVED_TOLD_MAX)
        printf("%zu more delegations have changed so; --json has all\n",
               changing->moved_count - MOVED_TOLD_MAX);
}

static void tell_json_moved(const struct changing *changing)
{
    char name[NAME_TEXT_MAX], end[32];

    printf(", \"moved\": [");
    for (size_t i = 0; i < changing->moved_count; i++) {
        const struct moved *moved = &changing->moved[i];
        printf("%s{\"zone\": ", i > 0 ? ", " : "");
        lethe_json_string(stdout, name_to_text(moved->cut, name));
        printf(", \"delegated\": %s, \"parent_ttl\": %" PRIu32 ", \"parent_end\": \"%s\"",
               moved->is_gone ? "false" : "true", moved->ttl, end_text(moved->ttl, end));
        if (moved->has_own)
            printf(", \"own_ttl\": %" PRIu32 ", \"own_end\": \"%s\"", moved->own_ttl,
                   end_text(moved->own_ttl, end));
        printf("}");
    }
    printf("]");
}

struct timing {
    double total_s, wait_s;
};

static void report(const struct changing *changing, const char *zone,
                   const struct text_change_counts *counts, struct timing timing)
{
    const struct lethe_arguments *arguments = changing->session.arguments;

    if (arguments->is_json) {
        printf("{\"zone\": ");
        lethe_json_string(stdout, zone);
        printf(", \"removed\": %" PRIu64 ", \"added\": %" PRIu64 ", \"owners\": %" PRIu64
               ", \"warnings\": %" PRIu64 ", \"serial_before\": %" PRIu32
               ", \"serial_after\": %" PRIu32 ", \"wait_s\": %.6f, \"change_s\": %.6f",
               counts->removed, counts->added, counts->owners, counts->warnings,
               counts->serial_before, counts->serial_after, timing.wait_s,
               timing.total_s - timing.wait_s);
        tell_json_moved(changing);
        printf("}\n");
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
        tell_all_moved(changing);
    }
    if (changing->is_full)
        fprintf(stderr, "lethe: no memory to tell of all delegations that have changed\n");
}

int lethe_zone_change(const struct lethe_arguments *arguments)
{
    struct changing changing = {.session = session_begin(arguments)};
    struct text_options options = session_options(&changing.session, false);
    struct text_change_counts counts;
    uint8_t apex[NAME_MAX_LEN];
    char zone[NAME_TEXT_MAX];

    if (!lethe_name(arguments->words[0], apex))
        return EXIT_USAGE;
    name_to_text(apex, zone);
    struct zonedb *db = lethe_open(arguments, ZONEDB_WRITE);
    if (db == NULL)
        return EXIT_REFUSED;
    options.moved = note_moved;
    const double begun_s = session_clock_s();
    const int error = text_zone_change(apex, arguments->word_count > 1 ? arguments->words[1] : "-",
                                       &options, db, (uint64_t)time(NULL), &counts);
    const struct timing timing = {session_clock_s() - begun_s, (double)counts.wait_ns / 1e9};
    lethe_waiting_ends();
    look_up_own(&changing, db);
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
        return session_fail_write(&changing.session, zone, error);
    report(&changing, zone, &counts, timing);
    free(changing.moved);
    return lethe_finish_output(EXIT_OK);
}

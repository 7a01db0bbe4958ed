/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe zone withhold, zone serve; lethe db set
 */
#include "tools/lethe.h"
#include "zonedb/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TTL_MAX 0x7fffffffUL
#define TYPE_NS 2

int lethe_write(struct zonedb *db, lethe_writing *write, void *context)
{
    for (;;) {
        struct zonedb_writer *writer;
        int error = zonedb_writer_begin(db, &writer);
        lethe_waiting_ends();
        if (error != 0)
            return error;
        error = write(writer, context);
        if (error == 0)
            error = zonedb_writer_commit(writer);
        else
            zonedb_writer_abort(writer);
        if (error != -ENOSPC || (error = zonedb_grow(db)) != 0)
            return error;
    }
}

/* Of the closest zone above that is there. Returns whether it has the delegation. */
static bool delegation_ttl(struct zonedb_view *view, const uint8_t *apex, uint32_t *ttl_out)
{
    struct zonedb_zone above;
    struct zonedb_rrset servers;

    for (unsigned labels = 1; labels <= name_label_count(apex); labels++) {
        const uint8_t *name = name_skip(apex, labels);
        if (zonedb_zone_get(view, name, &above) != 0)
            continue;
        if (zonedb_rrset_get(view, name, apex, TYPE_NS, &servers) != 0)
            return false;
        *ttl_out = servers.ttl;
        return true;
    }
    return false;
}

void lethe_check_ns_ttl(struct zonedb *db, const uint8_t *apex)
{
    struct zonedb_view *view;
    struct zonedb_rrset servers;
    uint32_t ttl;
    char text[NAME_TEXT_MAX];

    if (zonedb_view_open(db, &view) != 0)
        return;
    if (zonedb_rrset_get(view, apex, apex, TYPE_NS, &servers) == 0 &&
        delegation_ttl(view, apex, &ttl) && servers.ttl > ttl)
        fprintf(stderr,
                "lethe: %s: warning: its NS have a TTL of %" PRIu32 ", its delegation in the zone "
                "above %" PRIu32 ": caches may keep to them after a move; see: lethe db set "
                "ns-ttl-cap\n",
                name_to_text(apex, text), servers.ttl, ttl);
    zonedb_view_close(view);
}

struct wanted {
    uint8_t apex[NAME_MAX_LEN];
    enum zonedb_zone_state state;
    uint32_t cap_s;
};

static int write_state(struct zonedb_writer *writer, void *context)
{
    const struct wanted *wanted = context;

    return zonedb_writer_zone_state(writer, wanted->apex, wanted->state);
}

static int write_cap(struct zonedb_writer *writer, void *context)
{
    const struct wanted *wanted = context;

    return zonedb_writer_ns_ttl_cap(writer, wanted->cap_s);
}

static int change(const struct lethe_arguments *arguments, lethe_writing *write,
                  struct wanted *wanted)
{
    struct zonedb *db = lethe_open(arguments, ZONEDB_WRITE);

    if (db == NULL)
        return EXIT_REFUSED;
    const int error = lethe_write(db, write, wanted);
    zonedb_close(db);
    if (error == -ENOENT)
        return lethe_fail("%s: no zone %s there; see: lethe --db %s zone list", arguments->db,
                          arguments->words[0], arguments->db);
    return error == 0 ? EXIT_OK : lethe_fail("%s: %s", arguments->db, strerror(-error));
}

int lethe_zone_withhold(const struct lethe_arguments *arguments)
{
    struct wanted wanted = {.state = ZONEDB_WITHHELD};

    if (!lethe_name(arguments->words[0], wanted.apex))
        return EXIT_USAGE;
    return change(arguments, write_state, &wanted);
}

int lethe_zone_serve(const struct lethe_arguments *arguments)
{
    struct wanted wanted = {.state = ZONEDB_SERVING};

    if (!lethe_name(arguments->words[0], wanted.apex))
        return EXIT_USAGE;
    return change(arguments, write_state, &wanted);
}

int lethe_db_set(const struct lethe_arguments *arguments)
{
    struct wanted wanted = {.cap_s = UINT32_MAX};
    const char *value = arguments->words[1];
    const size_t digits = strspn(value, "0123456789");

    if (strcmp(arguments->words[0], "ns-ttl-cap") != 0)
        return lethe_usage("no setting \"%s\"; there is: ns-ttl-cap", arguments->words[0]);
    if (strcmp(value, "off") != 0) {
        if (digits == 0 || digits > 10 || value[digits] != '\0' ||
            strtoul(value, NULL, 10) > TTL_MAX)
            return lethe_usage("ns-ttl-cap %s: neither seconds (0 to 2147483647) nor off", value);
        wanted.cap_s = (uint32_t)strtoul(value, NULL, 10);
    }
    return change(arguments, write_cap, &wanted);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone_fixture.h - a database in a temporary directory, filled from zone text.
 */
#ifndef ZONE_FIXTURE_H
#define ZONE_FIXTURE_H

#include "../must.h"
#include "zonedb/name.h"
#include "zonedb/text_load.h"
#include "zonedb/zonedb.h"

#include <stdio.h>
#include <unistd.h>

struct fixture {
    char directory[64];
    struct zonedb *db;
    struct zonedb_view *view;
};

static inline void fixture_message(void *context, const struct text_message *message)
{
    (void)context;
    fprintf(stderr, "%s:%lu: %s\n", message->file, (unsigned long)message->line, message->text);
}

static inline void fixture_open(struct fixture *f)
{
    struct zonedb_error error;
    strcpy(f->directory, "/tmp/lethe-test-XXXXXX");
    MUST(mkdtemp(f->directory) != NULL);
    MUST(zonedb_open(f->directory, ZONEDB_CREATE, &f->db, &error) == 0);
    MUST(zonedb_view_open(f->db, &f->view) == 0);
}

/* Load (or replace) a zone; the view sees it afterwards. */
static inline void fixture_load(struct fixture *f, const char *apex_text, const char *zone_text)
{
    uint8_t apex[NAME_MAX_LEN];
    struct text_zone *zone;
    struct text_options options = {.message = fixture_message};
    MUST(name_from_text(apex_text, apex) > 0);
    MUST(text_zone_read_memory(apex, apex_text, zone_text, strlen(zone_text), &options, &zone,
                               NULL) == 0);
    zonedb_view_rest(f->view);
    MUST(text_zone_store(zone, f->db, 1700000000) == 0);
    text_zone_free(zone);
    MUST(zonedb_view_refresh(f->view) == 1);
}

/* Remove the files. The database stays usable until it is closed; a program that never closes it,
 * such as a fuzz target, leaves nothing behind that way. */
static inline void fixture_unlink(const struct fixture *f)
{
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", f->directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", f->directory);
    unlink(path);
    rmdir(f->directory);
}

static inline void fixture_close(struct fixture *f)
{
    zonedb_view_close(f->view);
    zonedb_close(f->db);
    fixture_unlink(f);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Zone text from arbitrary octets. What is accepted must come out of the database as text that is
 * accepted without a word and comes out the same.
 */
#include "../unit/zone_fixture.h"
#include "fuzz_text.h"
#include "zonedb/text_check.h"
#include "zonedb/text_dump.h"

static const uint8_t apex[] = "\7example";
static struct fixture fixture;

static void look(void *context, const struct text_message *message)
{
    unsigned *count = context;
    must_be_message(message);
    (*count)++;
}

/* Into the database and out again; false: refused. */
static bool load(const char *octets, size_t len, unsigned *messages, struct text *dumped)
{
    const struct text_options options = {.message = look, .context = messages, .is_thorough = true};
    struct text_zone *zone;
    const int error = text_zone_read_memory(apex, "fuzz", octets, len, &options, &zone, NULL);

    MUST(error == 0 || *messages > 0);
    if (error != 0)
        return false;
    zonedb_view_rest(fixture.view);
    MUST(text_zone_store(zone, fixture.db, 1) == 0);
    (void)text_zone_check(zone, 1786000000);
    text_zone_free(zone);
    MUST(zonedb_view_refresh(fixture.view) == 1);
    MUST(text_dump(fixture.view, apex, text_append, dumped) == 0);
    return true;
}

static void clean_up(void)
{
    fixture_close(&fixture);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fixture_open(&fixture);
    fixture_unlink(&fixture);
    atexit(clean_up);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text once = {0}, twice = {0};
    unsigned messages = 0, again = 0;

    if (load((const char *)data, size, &messages, &once)) {
        MUST(load(once.octets, once.len, &again, &twice));
        MUST(once.len == twice.len && memcmp(once.octets, twice.octets, once.len) == 0);
    }
    free(once.octets);
    free(twice.octets);
    return 0;
}

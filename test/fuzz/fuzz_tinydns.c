/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A tinydns-data file from arbitrary octets. What is accepted goes into the database, and each zone of
 * it comes out as zone text that is accepted.
 */
#include "../unit/zone_fixture.h"
#include "fuzz_text.h"
#include "zonedb/text_dump.h"
#include "zonedb/text_tinydns.h"

static struct fixture fixture;

static void look(void *context, const struct text_message *message)
{
    unsigned *count = context;
    must_be_message(message);
    *count += message->severity == TEXT_ERROR;
}

static void look_back(const struct text_zone *zone)
{
    const uint8_t *apex = text_zone_apex(zone);
    const struct text_options options = {.message = fixture_message};
    struct text_zone *again;
    struct text text = {0};
    MUST(text_dump(fixture.view, apex, text_append, &text) == 0);
    MUST(text_zone_read_memory(apex, "dump", text.octets, text.len, &options, &again, NULL) == 0);
    MUST(text_zone_counts(again)->records == text_zone_counts(zone)->records);
    text_zone_free(again);
    free(text.octets);
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
    unsigned errors = 0;
    const struct text_options options = {.message = look, .context = &errors};
    struct text_tinydns *set;
    struct text_counts counts;
    size_t count;
    const int error = text_tinydns_read_memory("fuzz", (const char *)data, size, 1, NULL,
                                               1700000000, &options, &set, &counts);
    MUST((error == 0) == (errors == 0) && (error == 0 || counts.errors >= errors));
    if (error != 0)
        return 0;
    struct text_zone *const *zones = text_tinydns_zones(set, &count);
    MUST(count > 0);
    zonedb_view_rest(fixture.view);
    MUST(text_zones_store(zones, count, fixture.db, 1) == 0);
    MUST(zonedb_view_refresh(fixture.view) == 1);
    for (size_t i = 0; i < count; i++)
        look_back(zones[i]);
    text_tinydns_free(set);
    return 0;
}

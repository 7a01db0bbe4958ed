/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot_reader.c - look at a zone again and again while somebody else replaces it.
 *
 * usage: snapshot_reader DB RECORDS
 *
 * The zone is example., its RECORDS TXT records all say the serial of its SOA. Each round takes one
 * snapshot and asks for the serial in three ways (zone record, respond(), walk): all must agree,
 * and all records must be there. Ends on SIGTERM, with a line "ROUNDS rounds, VERSIONS versions";
 * exit code 1 and a line on standard error on the first thing that is not so.
 */
#include "../must.h"
#include "zonedb/name.h"
#include "zonedb/respond.h"

#include <signal.h>
#include <unistd.h>

static const uint8_t apex[] = "\7example";
static volatile sig_atomic_t is_ending;

static void end(int signal)
{
    (void)signal;
    is_ending = 1;
}

struct count {
    uint32_t serial;
    unsigned records;
};

static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct count *count = context;
    char text[16];

    (void)owner;
    if (rrset->type != 16)
        return 0;
    const int len = snprintf(text, sizeof(text), "%u", count->serial);
    MUST(rrset->rr_count == 1 && rrset->rdata[2] == len);
    MUST(memcmp(rrset->rdata + 3, text, (size_t)len) == 0);
    count->records++;
    return 0;
}

/* The serial in an answer to "example. SOA": 20 octets from its end, no EDNS. */
static uint32_t ask_serial(struct zonedb_view *view)
{
    static const uint8_t query[] = "\0\1\0\0\0\1\0\0\0\0\0\0\7example\0\0\6\0\1";
    const struct respond_policy policy = respond_policy_default();
    const struct respond_client client = {.transport = RESPOND_UDP};
    uint8_t response[512];
    const size_t len =
        respond(view, &policy, &client, query, sizeof(query) - 1, response, sizeof(response));

    MUST(len > 40 && response[7] == 1);
    const uint8_t *serial = response + len - 20;
    return (uint32_t)serial[0] << 24 | (uint32_t)serial[1] << 16 | (uint32_t)serial[2] << 8 |
           serial[3];
}

static void look(struct zonedb_view *view, unsigned records)
{
    struct zonedb_zone zone;
    MUST(zonedb_zone_get(view, apex, &zone) == 0);
    struct count count = {.serial = zone.serial};
    MUST(ask_serial(view) == zone.serial);
    MUST(zonedb_zone_walk(view, apex, visit, &count) == 0);
    MUST(count.records == records);
}

int main(int argc, char **argv)
{
    struct zonedb *db;
    struct zonedb_view *view;
    struct zonedb_error error;
    unsigned rounds = 0, versions = 1;

    if (argc != 3)
        return 2;
    signal(SIGTERM, end);
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    MUST(zonedb_view_open(db, &view) == 0);
    for (; !is_ending; rounds++) {
        const int refreshed = zonedb_view_refresh(view);
        MUST(refreshed >= 0);
        versions += refreshed == 1;
        look(view, (unsigned)atoi(argv[2]));
        if (rounds == 0) {
            puts("ready");
            fflush(stdout);
        }
    }
    printf("%u rounds, %u versions\n", rounds, versions);
    zonedb_view_close(view);
    zonedb_close(db);
    return 0;
}

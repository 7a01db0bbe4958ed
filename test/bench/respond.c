/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond DB ZONE CASE ROUNDS: ask respond() ROUNDS questions of one kind, in memory, and print how
 * many, nanoseconds per query and octets per response. For the kinds of questions see questions.h.
 * All are asked three times before it counts; with "+cold" behind the case none was asked before,
 * and none is asked twice. Run under callgrind with --toggle-collect=measured it gives
 * instructions per query (see instructions.py).
 */
#include "zonedb/respond.h"
#include "test/bench/questions.h"

#include <stdlib.h>
#include <time.h>

static struct questions questions;

/* In an order that jumps about the zone. */
static size_t ask(struct zonedb_view *view, unsigned long round)
{
    static uint8_t response[RESPOND_MESSAGE_MAX];
    const struct respond_policy policy = respond_policy_default();
    const struct respond_client client = {.transport = RESPOND_UDP};
    size_t which = round * 7919 % questions.count;
    return respond(view, &policy, &client, questions.octets[which], questions.len[which], response,
                   sizeof response);
}

/* What is counted: callgrind switches on when it enters here. */
__attribute__((noinline)) static unsigned long measured(struct zonedb_view *view,
                                                        unsigned long rounds)
{
    unsigned long octets = 0;
    for (unsigned long round = 0; round < rounds; round++)
        octets += ask(view, round);
    return octets;
}

static void run(struct zonedb_view *view, unsigned long rounds, bool is_cold)
{
    struct timespec begin, end;
    if (is_cold && rounds > questions.count)
        rounds = questions.count;
    for (unsigned long round = 0; !is_cold && round < 3ul * questions.count; round++)
        ask(view, round);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    unsigned long octets = measured(view, rounds);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = 1e9 * (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec);
    printf("%lu %.1f %.1f\n", rounds, ns / (double)rounds, (double)octets / (double)rounds);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: respond DB ZONE KIND[+edns|+do][+cold] ROUNDS\n");
        return 2;
    }
    unsigned long rounds = strtoul(argv[4], NULL, 10);
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "respond: %s\n", error.text);
        return 1;
    }
    if (zonedb_view_open(db, &view) != 0 || !questions_make(view, argv[2], argv[3], &questions) ||
        rounds == 0) {
        fprintf(stderr, "respond: no zone %s with such delegations in %s\n", argv[2], argv[1]);
        return 1;
    }
    run(view, rounds, strstr(argv[3], "+cold") != NULL);
    zonedb_view_close(view);
    zonedb_close(db);
    return 0;
}

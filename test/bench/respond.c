/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond DB ZONE CASE ROUNDS: ask respond() ROUNDS questions of one kind (questions.h), in memory,
 * and print nanoseconds per query and octets per response. instructions.py counts what respond()
 * does meanwhile.
 */
#include "zonedb/respond.h"
#include "test/bench/questions.h"

#include <stdlib.h>
#include <time.h>

static struct questions questions;

int main(int argc, char **argv)
{
    unsigned long rounds = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    if (rounds == 0) {
        fprintf(stderr, "usage: respond DB ZONE referral|ds|nxdomain|apex[+do] ROUNDS\n");
        return 2;
    }
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "respond: %s\n", error.text);
        return 1;
    }
    if (zonedb_view_open(db, &view) != 0 || !questions_make(view, argv[2], argv[3], &questions)) {
        fprintf(stderr, "respond: no zone %s with delegations in %s\n", argv[2], argv[1]);
        return 1;
    }
    static uint8_t response[RESPOND_MESSAGE_MAX];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    struct timespec begin, end;
    unsigned long octets = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned long i = 0; i < rounds; i++) {
        unsigned which = (unsigned)(i * 7919 % questions.count);
        octets += respond(view, &policy, &client, questions.octets[which], questions.len[which],
                          response, sizeof response);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = 1e9 * (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec);
    printf("%lu %.1f %.1f\n", rounds, ns / (double)rounds, (double)octets / (double)rounds);
    zonedb_view_close(view);
    zonedb_close(db);
    return 0;
}

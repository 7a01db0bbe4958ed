/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond DB ZONE CASE ROUNDS: ask respond() ROUNDS questions of one kind, in memory, and print
 * nanoseconds per query and octets per response. The questions are made from the zone:
 *
 *   referral  a name below each delegation     nxdomain  names that do not exist
 *   ds        DS of each delegation            apex      SOA of the apex
 *
 * With "+do" behind the case the questions carry EDNS with DO. Run under callgrind with
 * --toggle-collect=respond it gives instructions per query (see respond.py).
 */
#include "zonedb/respond.h"
#include "zonedb/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUESTIONS_MAX 4096
#define REQUEST_MAX 320

struct questions {
    unsigned count;
    uint16_t len[QUESTIONS_MAX];
    uint8_t octets[QUESTIONS_MAX][REQUEST_MAX];
};

static struct questions questions;
static uint8_t apex[NAME_MAX_LEN];
static unsigned seen; /* delegations met so far */

static void question_add(const uint8_t *prefix, size_t prefix_len, const uint8_t *name,
                         uint16_t qtype, bool is_do)
{
    static const uint8_t opt[11] = {0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0};
    size_t name_octets = name_len(name, NAME_MAX_LEN);
    if (questions.count == QUESTIONS_MAX || prefix_len + name_octets > NAME_MAX_LEN)
        return;
    uint8_t *q = questions.octets[questions.count];
    memset(q, 0, 12);
    q[5] = 1;
    q[11] = is_do;
    uint8_t *at = q + 12;
    memcpy(at, prefix, prefix_len);
    memcpy(at + prefix_len, name, name_octets);
    at += prefix_len + name_octets;
    const uint8_t type_class[4] = {(uint8_t)(qtype >> 8), (uint8_t)qtype, 0, 1};
    memcpy(at, type_class, sizeof type_class);
    at += sizeof type_class;
    if (is_do) {
        memcpy(at, opt, sizeof opt);
        at += sizeof opt;
    }
    questions.len[questions.count++] = (uint16_t)(at - q);
}

struct plan {
    const char *kind;
    bool is_do;
};

/* Called for every RRset of the zone: one question per delegation, spread over the zone. */
static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    const struct plan *plan = context;
    if (rrset->type != 2 || name_equal(owner, apex))
        return 0;
    seen++;
    if (strcmp(plan->kind, "referral") == 0) {
        question_add((const uint8_t *)"\3www\4test", 9, owner, 1, plan->is_do);
    } else if (strcmp(plan->kind, "ds") == 0) {
        question_add(NULL, 0, owner, 43, plan->is_do);
    } else if (strcmp(plan->kind, "nxdomain") == 0) {
        uint8_t label[13 + 1] = {12}; /* snprintf ends with NUL */
        snprintf((char *)label + 1, sizeof label - 1, "%08x-zz", seen * 2654435761u);
        question_add(label, 13, apex, 1, plan->is_do);
    } else {
        question_add(NULL, 0, apex, 6, plan->is_do);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5 || name_from_text(argv[2], apex) == 0) {
        fprintf(stderr, "usage: respond DB ZONE referral|ds|nxdomain|apex[+do] ROUNDS\n");
        return 2;
    }
    struct plan plan = {argv[3], strstr(argv[3], "+do") != NULL};
    argv[3][strcspn(argv[3], "+")] = '\0';
    unsigned long rounds = strtoul(argv[4], NULL, 10);
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "respond: %s\n", error.text);
        return 1;
    }
    if (zonedb_view_open(db, &view) != 0 || zonedb_zone_walk(view, apex, visit, &plan) != 0 ||
        questions.count == 0 || rounds == 0) {
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

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond DB ZONE CASE ROUNDS [WARM]: ask respond() ROUNDS questions of one kind, in memory, and
 * print nanoseconds per query and octets per response. The questions are made from the zone:
 *
 *   referral  a name below each delegation     nxdomain  names that do not exist
 *   outside   where no server has glue         glue      where all servers are below the cut
 *   ds        DS of each delegation            apex      SOA of the apex
 *   mix       three referrals, two nxdomain    deep      names that do not exist, four labels more
 *
 * With "+do" behind the case the questions carry EDNS with DO, with "+edns" without DO. WARM
 * questions are asked before the clock runs. Run under callgrind with --toggle-collect=measured it
 * gives instructions per query (see respond.py).
 */
#include "zonedb/respond.h"
#include "zonedb/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUESTIONS_MAX ((size_t)1 << 20)
#define REQUEST_MAX 128

struct questions {
    size_t count;
    uint8_t len[QUESTIONS_MAX];
    uint8_t octets[QUESTIONS_MAX][REQUEST_MAX];
};

struct plan {
    const char *kind;
    bool is_do, has_edns;
};

static struct questions questions;
static uint8_t apex[NAME_MAX_LEN];
static unsigned seen; /* delegations met so far */

static void question_add(const struct plan *plan, const uint8_t *prefix, size_t prefix_len,
                         const uint8_t *name, uint16_t qtype)
{
    static const uint8_t opt[11] = {0, 0, 41, 0x04, 0xd0};
    size_t name_octets = name_len(name, NAME_MAX_LEN);
    if (questions.count == QUESTIONS_MAX ||
        12 + prefix_len + name_octets + 4 + sizeof opt > REQUEST_MAX)
        return;
    uint8_t *q = questions.octets[questions.count];
    memset(q, 0, 12);
    q[5] = 1;
    q[11] = plan->has_edns;
    uint8_t *at = q + 12;
    memcpy(at, prefix, prefix_len);
    memcpy(at + prefix_len, name, name_octets);
    at += prefix_len + name_octets;
    const uint8_t type_class[4] = {(uint8_t)(qtype >> 8), (uint8_t)qtype, 0, 1};
    memcpy(at, type_class, sizeof type_class);
    at += sizeof type_class;
    if (plan->has_edns) {
        memcpy(at, opt, sizeof opt);
        at[7] = plan->is_do ? 0x80 : 0;
        at += sizeof opt;
    }
    questions.len[questions.count++] = (uint8_t)(at - q);
}

/* How many of the servers of a delegation have names that end in `suffix`. */
static unsigned servers_below(const struct zonedb_rrset *ns, const uint8_t *suffix)
{
    unsigned count = 0;
    const uint8_t *at = ns->rdata;
    for (unsigned i = 0; i < ns->rr_count; i++) {
        count += name_is_at_or_below(at + 2, suffix);
        at += 2 + (at[0] << 8 | at[1]);
    }
    return count;
}

static void question_random(const struct plan *plan, bool is_deep)
{
    uint8_t prefix[32];
    size_t deep_len = is_deep ? 15 : 0;
    memcpy(prefix, "\4_sip\4_tcp\3www", deep_len);
    prefix[deep_len] = 12;
    snprintf((char *)prefix + deep_len + 1, 13 + 1, "%08x-zz0", seen * 2654435761u);
    question_add(plan, prefix, deep_len + 13, apex, 1);
}

/* Called for every RRset of the zone: one question per delegation, spread over the zone. */
static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    static const uint8_t www[] = "\3www";
    const struct plan *plan = context;
    const char *kind = plan->kind;
    if (rrset->type != 2 || name_equal(owner, apex))
        return 0;
    seen++;
    if (strcmp(kind, "ds") == 0)
        question_add(plan, NULL, 0, owner, 43);
    else if (strcmp(kind, "apex") == 0)
        question_add(plan, NULL, 0, apex, 6);
    else if (strcmp(kind, "deep") == 0)
        question_random(plan, true);
    else if (strcmp(kind, "nxdomain") == 0 || (strcmp(kind, "mix") == 0 && seen % 5 < 2))
        question_random(plan, false);
    else if ((strcmp(kind, "outside") != 0 || servers_below(rrset, apex) == 0) &&
             (strcmp(kind, "glue") != 0 || servers_below(rrset, owner) == rrset->rr_count))
        question_add(plan, www, 4, owner, 1);
    return 0;
}

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
                                                        unsigned long begin, unsigned long end)
{
    unsigned long octets = 0;
    for (unsigned long round = begin; round < end; round++)
        octets += ask(view, round);
    return octets;
}

static void run(struct zonedb_view *view, unsigned long rounds, unsigned long warm)
{
    struct timespec begin, end;
    for (unsigned long round = 0; round < warm; round++)
        ask(view, round);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    unsigned long octets = measured(view, warm, warm + rounds);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = 1e9 * (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec);
    printf("%lu %.1f %.1f\n", rounds, ns / (double)rounds, (double)octets / (double)rounds);
}

int main(int argc, char **argv)
{
    if (argc < 5 || name_from_text(argv[2], apex) == 0) {
        fprintf(stderr, "usage: respond DB ZONE CASE[+edns|+do] ROUNDS [WARM]\n");
        return 2;
    }
    bool is_do = strstr(argv[3], "+do") != NULL;
    struct plan plan = {argv[3], is_do, is_do || strstr(argv[3], "+edns") != NULL};
    argv[3][strcspn(argv[3], "+")] = '\0';
    unsigned long rounds = strtoul(argv[4], NULL, 10);
    unsigned long warm = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "respond: %s\n", error.text);
        return 1;
    }
    if (zonedb_view_open(db, &view) != 0 || zonedb_zone_walk(view, apex, visit, &plan) != 0 ||
        questions.count == 0 || rounds == 0) {
        fprintf(stderr, "respond: no zone %s with such delegations in %s\n", argv[2], argv[1]);
        return 1;
    }
    run(view, rounds, warm);
    zonedb_view_close(view);
    zonedb_close(db);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/test_main.h"
#include "tools/audit/state.h"
#include "tools/audit/store.h"

#include <netinet/in.h>
#include <string.h>

#define HOUR 3600u
#define TTL 7200u

static const struct audit_rules rules = {3, 6 * HOUR};

/* Findings d, m, u, - (unknown), one each `step_s`; what is believed after each of them. */
static void follow(const char *findings, const char *believed, uint64_t step_s)
{
    static const char letters[] = "-dmu";
    struct audit_record record = {.state = AUDIT_UNKNOWN};

    for (size_t i = 0; findings[i] != '\0'; i++) {
        const enum audit_state found = (enum audit_state)(strchr(letters, findings[i]) - letters);
        const enum audit_state before = record.state;
        const bool is_new = audit_find(&record, found, found == AUDIT_UNDELEGATED ? 0 : TTL,
                                       1000000 + i * step_s, &rules);
        ck_assert_msg(letters[record.state] == believed[i], "%s: %zu: %c", findings, i,
                      letters[record.state]);
        ck_assert_int_eq(is_new, record.state != before);
        ck_assert_int_eq(record.found, found);
    }
}

START_TEST(test_series)
{
    follow("-d", "-d", HOUR);
    follow("duuu", "dddu", 3 * HOUR);
    follow("duuuuuuuu", "ddddddduu", HOUR); /* three in time are not enough: six hours */
    follow("uuuuuuuu", "------uu", HOUR);   /* nothing was believed before */
    follow("d-----", "dddddd", 24 * HOUR);  /* nobody there is no news */
    follow("du-u-u", "dddddu", 3 * HOUR);   /* and ends no series */
    follow("duudu", "ddddd", 24 * HOUR);    /* good news does */
    follow("duummm", "dddddm", 3 * HOUR);   /* and so does other bad news */
    follow("dmmmd", "dddmd", 3 * HOUR);     /* back at once */
    follow("dmmmuuu", "dddmmmu", 3 * HOUR);
    follow("duuuu-d", "ddduuud", 5 * HOUR);
}
END_TEST

START_TEST(test_clock_set_back)
{
    struct audit_record record = {.state = AUDIT_UNKNOWN};

    audit_find(&record, AUDIT_DELEGATED, TTL, 1000000, &rules);
    for (unsigned i = 0; i < 10; i++)
        audit_find(&record, AUDIT_UNDELEGATED, 0, 1000000 - i * HOUR, &rules);
    ck_assert_int_eq(record.state, AUDIT_DELEGATED);
}
END_TEST

START_TEST(test_actions)
{
    struct audit_record record = {.state = AUDIT_UNKNOWN};
    const struct audit_rules quick = {2, 10};

    audit_find(&record, AUDIT_DELEGATED, TTL, 1000, &quick);
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 1000000), AUDIT_SERVE);
    audit_find(&record, AUDIT_UNDELEGATED, 0, 2000, &quick);
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 1000000), AUDIT_SERVE);
    ck_assert(audit_find(&record, AUDIT_UNDELEGATED, 0, 2010, &quick));
    ck_assert_int_eq(audit_act(&record, AUDIT_OFF, 1000000), AUDIT_SERVE);
    ck_assert_int_eq(audit_act(&record, AUDIT_WARN, 1000000), AUDIT_SERVE);
    ck_assert_int_eq(audit_act(&record, AUDIT_CUT_TTL, 1000000), AUDIT_SERVE_CUT);
    /* The delegation was there at 2000 at the latest: its TTL ends TTL later in the last cache. */
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 2010), AUDIT_SERVE_CUT);
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 2000 + TTL - 1), AUDIT_SERVE_CUT);
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 2000 + TTL), AUDIT_STOP);
    /* One kind of loss after the other does not begin it anew. */
    audit_find(&record, AUDIT_MISMATCHED, TTL, 2020, &quick);
    ck_assert(audit_find(&record, AUDIT_MISMATCHED, TTL, 2030, &quick));
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 2000 + TTL), AUDIT_STOP);
    /* A clock that was set back stops nothing. */
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 10), AUDIT_SERVE_CUT);
    ck_assert(audit_find(&record, AUDIT_DELEGATED, TTL, 3000, &quick));
    ck_assert_int_eq(audit_act(&record, AUDIT_WITHHOLD, 1000000), AUDIT_SERVE);
}
END_TEST

START_TEST(test_names)
{
    enum audit_policy policy;

    for (unsigned i = AUDIT_OFF; i <= AUDIT_WITHHOLD; i++) {
        ck_assert(audit_policy_parse(audit_policy_name((enum audit_policy)i), &policy));
        ck_assert_uint_eq(policy, i);
    }
    ck_assert(!audit_policy_parse("", &policy));
    ck_assert(!audit_policy_parse("withholds", &policy));
}
END_TEST

/* What was written is read; any cut, and any octet changed, is read safely. */
START_TEST(test_entry)
{
    struct audit_entry entry = {
        .record = {AUDIT_MISMATCHED, 1, AUDIT_UNKNOWN, 2, AUDIT_UNDELEGATED, 3, 4, 5, 6},
        .has_policy = true,
        .policy = AUDIT_WITHHOLD,
        .parent_count = 2,
        .is_withheld = true,
        .cut_zone = 7,
        .ttl_uncut = 8,
    };
    struct audit_entry again;
    struct sockaddr_in *in = (struct sockaddr_in *)&entry.parents[0];
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&entry.parents[1];
    uint8_t octets[AUDIT_ENTRY_MAX];

    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(53)};
    in->sin_addr.s_addr = htonl(0xc0000201);
    *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(5353)};
    in6->sin6_addr.s6_addr[15] = 1;
    const size_t len = audit_entry_write(&entry, octets);
    ck_assert(audit_entry_read(octets, len, &again));
    ck_assert_mem_eq(&entry.record, &again.record, sizeof(entry.record));
    ck_assert(again.has_policy && again.is_withheld);
    ck_assert_int_eq(again.policy, AUDIT_WITHHOLD);
    ck_assert_uint_eq(again.parent_count, 2);
    ck_assert_mem_eq(&again.parents, &entry.parents, 2 * sizeof(entry.parents[0]));
    ck_assert_uint_eq(again.cut_zone, 7);
    ck_assert_uint_eq(again.ttl_uncut, 8);
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t *copy = malloc(cut > 0 ? cut : 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, octets, cut);
        ck_assert_int_eq(audit_entry_read(copy, cut, &again), cut == len);
        for (size_t i = 0; i < cut; i++) {
            copy[i] ^= 0xff;
            (void)audit_entry_read(copy, cut, &again);
            ck_assert_uint_le(again.parent_count, AUDIT_PARENTS_MAX);
            copy[i] ^= 0xff;
        }
        free(copy);
    }
}
END_TEST

TEST_MAIN("audit_state", test_series, test_clock_set_back, test_actions, test_names, test_entry)

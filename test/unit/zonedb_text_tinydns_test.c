/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/test_main.h"
#include "zonedb/name.h"
#include "zonedb/text_tinydns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1700000000

struct told {
    char text[8192];
};

static void tell(void *context, const struct text_message *message)
{
    struct told *told = context;
    const size_t len = strlen(told->text);

    snprintf(told->text + len, sizeof(told->text) - len, "%llu:%llu: %s: %s\n",
             (unsigned long long)message->line, (unsigned long long)message->column,
             message->severity == TEXT_ERROR ? "error" : "warning", message->text);
}

/* From memory of just this size. Returns the outcome. */
static int read_as(const char *text, const char *apex_text, struct told *told,
                   struct text_tinydns **set_out, struct text_counts *counts_out)
{
    const struct text_options options = {.message = tell, .context = told};
    const size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);
    uint8_t apex[NAME_MAX_LEN];

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, len);
    told->text[0] = '\0';
    if (apex_text != NULL)
        ck_assert_uint_gt(name_from_text(apex_text, apex), 0);
    const int error = text_tinydns_read_memory("data", copy, len, 42, apex_text ? apex : NULL, NOW,
                                               &options, set_out, counts_out);
    if (error != 0)
        ck_assert_ptr_null(*set_out);
    free(copy); /* nothing is told any more */
    return error;
}

#define ZONE ".example:192.0.2.1:a\n"

START_TEST(test_zones)
{
    struct text_tinydns *set;
    struct text_counts counts;
    struct told told;
    size_t count;
    char name[NAME_TEXT_MAX];

    ck_assert_int_eq(read_as(ZONE "Zb.example:n.b.example:m.b.example:7\n&b.example:192.0.2.2:n.b."
                                  "example\n+x.b.example:192.0.2.3\n.example:192.0.2.9:z\n",
                             NULL, &told, &set, &counts),
                     0);
    ck_assert_str_eq(told.text, "");
    struct text_zone *const *zones = text_tinydns_zones(set, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(name_to_text(text_zone_apex(zones[0]), name), "example.");
    ck_assert_uint_eq(text_zone_serial(zones[0]), 42);
    /* SOA, two NS, their addresses; the delegation of b and its glue */
    ck_assert_uint_eq(text_zone_counts(zones[0])->records, 7);
    ck_assert_str_eq(name_to_text(text_zone_apex(zones[1]), name), "b.example.");
    ck_assert_uint_eq(text_zone_serial(zones[1]), 7);
    ck_assert_uint_eq(text_zone_counts(zones[1])->records, 4);
    ck_assert_uint_eq(counts.records, 11);
    text_tinydns_free(set);

    ck_assert_int_eq(read_as(ZONE ".other:192.0.2.9:a\n", "OTHER.", &told, &set, NULL), 0);
    text_tinydns_zones(set, &count);
    ck_assert_uint_eq(count, 1);
    text_tinydns_free(set);
}
END_TEST

static const struct {
    const char *text, *told;
} wrong[] = {
    {"", "0:0: error: no \".\" or \"Z\" line\n"},
    {"# only\n-x:1\n%ab:192\n\n", "0:0: error: no \".\" or \"Z\" line\n"},
    {"$x\n", "1:1: error: a line begins with one of . & = + @ - ' ^ C Z : % #\n"},
    {ZONE "+a.example:1.2.3\n", "2:12: error: not an IPv4 address\n"},
    {ZONE "+a.example:1.2.3.256\n", "2:12: error: not an IPv4 address\n"},
    {ZONE "+a.example:1.2.3.4.\n", "2:12: error: not an IPv4 address\n"},
    {ZONE "+a.example::60\n", "2:12: error: no IPv4 address\n"},
    {ZONE "+a.example:1.2.3.4:6x\n", "2:20: error: not a number\n"},
    {ZONE "+a.example:1.2.3.4:2147483648\n", "2:20: error: the number is too high\n"},
    {ZONE "@example:1.2.3.4:a:65536\n", "2:20: error: the number is too high\n"},
    {ZONE "+a.example:1.2.3.4:60:4000\n",
     "2:23: error: a time stamp has 16 hexadecimal digits (TAI64)\n"},
    {ZONE "+a.example:1.2.3.4:60::in\n",
     "2:24: error: a record for the clients of one location; zones are the same for all clients\n"},
    {ZONE ":a.example:5:\\001\n",
     "2:12: error: records of this type cannot be written with \":\"\n"},
    {ZONE ":a.example:255:x\n", "2:12: error: records of this type cannot be written with \":\"\n"},
    {ZONE ":a.example:1:x\n", "2:14: error: malformed RDATA of this type\n"},
    {ZONE "+1234567890123456789012345678901234567890123456789012345678901234.example:1.2.3.4\n",
     "2:2: error: a label of more than 63 octets\n"},
    {ZONE "Ca.example:b.example\n+a.example:1.2.3.4\n",
     "2:1: error: CNAME beside other data (A) at one name\n"},
    {"Zexample:a.example:b.example\n", "0:0: error: no NS at the zone's apex\n"},
};

START_TEST(test_errors)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct text_tinydns *set;
        struct text_counts counts;
        struct told told;
        ck_assert_int_eq(read_as(wrong[i].text, NULL, &told, &set, &counts), -EINVAL);
        ck_assert_str_eq(told.text, wrong[i].told);
        ck_assert_uint_ge(counts.errors, 1);
    }
}
END_TEST

START_TEST(test_no_such_zone)
{
    struct text_tinydns *set;
    struct told told;

    ck_assert_int_eq(read_as(ZONE, "a.example", &told, &set, NULL), -EINVAL);
    ck_assert_str_eq(told.text, "0:0: error: no \".\" or \"Z\" line of a.example.\n");
}
END_TEST

/* TAI64 of NOW is 4000000000000000 + NOW + 10. */
static const struct {
    const char *line, *told;
    unsigned records;
} times[] = {
    {"+a.example:1.2.3.4:60:400000006553f10a", /* begins now: not before the next second */
     "2:23: warning: left out: its time has not begun; load the file again then\n", 3},
    {"+a.example:1.2.3.4:60:400000006553f109", "", 4},
    {"+a.example:1.2.3.4:0:400000006553f10a",
     "2:22: warning: the record ends at this time: load the file again then\n", 4},
    {"+a.example:1.2.3.4:0:400000006553f109", "2:22: warning: left out: its time has ended\n", 3},
    {"+a.example:1.2.3.4:0:0000000000000001", "2:22: warning: left out: its time has ended\n", 3},
    {"+a.example:1.2.3.4:0:FFFFFFFFFFFFFFFF",
     "2:22: warning: the record ends at this time: load the file again then\n", 4},
};

START_TEST(test_time_stamps)
{
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char text[256];
        struct text_tinydns *set;
        struct text_counts counts;
        struct told told;
        snprintf(text, sizeof(text), ZONE "%s\n", times[i].line);
        ck_assert_int_eq(read_as(text, NULL, &told, &set, &counts), 0);
        ck_assert_str_eq(told.text, times[i].told);
        ck_assert_uint_eq(counts.records, times[i].records);
        text_tinydns_free(set);
    }
}
END_TEST

START_TEST(test_oddities)
{
    struct text_tinydns *set;
    struct text_counts counts;
    struct told told;

    ck_assert_int_eq(read_as(ZONE "+*.example:192.0.2.1\n+a.example:192.0.2.2  \t\n"
                                  "+b.org:192.0.2.2\n=c.example:192.0.2.3",
                             NULL, &told, &set, &counts),
                     0);
    ck_assert_str_eq(
        told.text, "4:1: warning: left out: in no zone of this file (no \".\" or \"Z\" line above "
                   "it)\n"
                   "2:1: warning: *.example. does not hold below names that exist, such as "
                   "a.example. (RFC 4592); with tinydns it does\n");
    ck_assert_uint_eq(counts.records, 6);
    text_tinydns_free(set);

    ck_assert_int_eq(read_as(ZONE "Zexample:m.example:h.example:9\n", NULL, &told, &set, &counts),
                     0);
    ck_assert_str_eq(told.text,
                     "2:1: warning: the zone has a SOA of a line before; this one is not used\n");
    text_tinydns_free(set);
}
END_TEST

TEST_MAIN("zonedb_text_tinydns", test_zones, test_errors, test_no_such_zone, test_time_stamps,
          test_oddities)

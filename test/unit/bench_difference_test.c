/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/compare.h"

#include "stateless_tcp/wire.h"
#include "test/unit/test_main.h"
#include "tools/bench/schedule.h"

/* A message that is written octet by octet. */
struct built {
    uint8_t octets[1024];
    size_t len;
};

static struct compare compare;
static char text[COMPARE_TEXT_CAP];

static void put(struct built *m, const void *octets, size_t len)
{
    MUST(m->len + len <= sizeof m->octets);
    memcpy(m->octets + m->len, octets, len);
    m->len += len;
}

static void put16(struct built *m, unsigned value)
{
    uint8_t octets[2];
    wire_store_be16(octets, (uint16_t)value);
    put(m, octets, 2);
}

/* A string literal in octets, its NUL left out. */
#define PUT(m, literal) put(m, literal, sizeof(literal) - 1)

/* An answer to www.example A; the question's name is at 12, example at 16. */
static void begin(struct built *m, unsigned flags)
{
    m->len = 0;
    put16(m, 7);
    put16(m, 0x8000 | flags);
    put16(m, 1);
    for (int i = 0; i < 3; i++)
        put16(m, 0);
    PUT(m, "\3www\7example\0\0\1\0\1");
}

static void count(struct built *m, unsigned section)
{
    uint8_t *at = m->octets + 6 + 2 * section;
    wire_store_be16(at, (uint16_t)(wire_load_be16(at) + 1));
}

static void put_fixed(struct built *m, unsigned section, unsigned type, unsigned ttl,
                      unsigned rdata_len)
{
    count(m, section);
    put16(m, type);
    put16(m, 1);
    put16(m, 0);
    put16(m, ttl);
    put16(m, rdata_len);
}

static void put_a(struct built *m, unsigned section, unsigned ttl, const char address[4])
{
    PUT(m, "\300\14");
    put_fixed(m, section, 1, ttl, 4);
    put(m, address, 4);
}

/* 12 octets of class, flags and length for EDNS */
static void put_opt(struct built *m, unsigned payload, unsigned rcode_above, unsigned flags)
{
    count(m, 2);
    PUT(m, "\0\0\51");
    put16(m, payload);
    put16(m, rcode_above << 8);
    put16(m, flags);
    put16(m, 0);
}

static bool is_same(const struct built *got, const struct built *expected)
{
    uint8_t *a = exact_copy(got->octets, got->len),
            *b = exact_copy(expected->octets, expected->len);
    bool is = compare_messages(&compare, a, got->len, b, expected->len, text);
    free(a);
    free(b);
    return is;
}

static void expect_difference(const struct built *got, const struct built *expected,
                              const char *said)
{
    ck_assert(!is_same(got, expected));
    ck_assert_msg(strstr(text, said) != NULL, "%s", text);
}

START_TEST(writing_does_not_count)
{
    struct built a, b;
    begin(&a, 0x0400);
    put_a(&a, 0, 9, "\1\1\1\1");
    put_a(&a, 0, 9, "\2\2\2\2");
    /* MX with its name whole */
    PUT(&a, "\7example\0");
    put_fixed(&a, 1, 15, 9, 15);
    PUT(&a, "\0\1\3www\7example\0");
    put_opt(&a, 1232, 0, 0);

    begin(&b, 0x0400);
    put_a(&b, 0, 9, "\2\2\2\2");
    PUT(&b, "\3wWw\7eXample\0");
    put_fixed(&b, 0, 1, 9, 4);
    PUT(&b, "\1\1\1\1");
    PUT(&b, "\300\20");
    put_fixed(&b, 1, 15, 9, 8);
    PUT(&b, "\0\1\3WWW\300\20");
    put_opt(&b, 4096, 0, 0);
    ck_assert_msg(is_same(&a, &b), "%s", text);
    ck_assert_msg(is_same(&b, &a), "%s", text);
}
END_TEST

START_TEST(records_count)
{
    struct built a, b;
    begin(&a, 0);
    put_a(&a, 0, 9, "\1\1\1\1");
    begin(&b, 0);
    put_a(&b, 0, 8, "\1\1\1\1");
    ck_assert(!is_same(&a, &b));
    ck_assert(strstr(text, "in section answer: www.example. ") != NULL);
    begin(&b, 0);
    expect_difference(&a, &b,
                      "not expected in section answer: www.example. 9 CLASS1 TYPE1 \\# 4 01010101");
    expect_difference(&b, &a,
                      "missing in section answer: www.example. 9 CLASS1 TYPE1 \\# 4 01010101");
    put_a(&b, 1, 9, "\1\1\1\1");
    expect_difference(&a, &b, "not expected in section answer");
    /* as often */
    begin(&b, 0);
    put_a(&b, 0, 9, "\1\1\1\1");
    put_a(&b, 0, 9, "\1\1\1\1");
    expect_difference(&a, &b, "missing in section answer");
    ck_assert(is_same(&b, &b));
    /* what may not be compressed has case (here TYPE999) */
    begin(&a, 0);
    PUT(&a, "\300\14");
    put_fixed(&a, 2, 999, 9, 3);
    PUT(&a, "\1a\0");
    begin(&b, 0);
    PUT(&b, "\300\14");
    put_fixed(&b, 2, 999, 9, 3);
    PUT(&b, "\1A\0");
    expect_difference(&a, &b, "in section additional: www.example. 9 CLASS1 TYPE999 \\# 3 01");
}
END_TEST

START_TEST(the_rest_counts)
{
    struct built a, b;
    begin(&a, 0x0403);
    begin(&b, 0x0400);
    expect_difference(&a, &b, "RCODE 3, expected 0");
    begin(&a, 0x0500);
    expect_difference(&a, &b, "flags AA RD, expected AA");
    begin(&a, 0);
    expect_difference(&a, &b, "flags none, expected AA");
    begin(&a, 0x0400);
    put_opt(&a, 1232, 0, 0);
    expect_difference(&a, &b, "EDNS without DO, expected absent");
    put_opt(&b, 1232, 0, 0x8000);
    expect_difference(&a, &b, "EDNS without DO, expected with DO");
    begin(&b, 0x0400);
    put_opt(&b, 1232, 1, 0);
    expect_difference(&a, &b, "RCODE 0, expected 16");
    /* what is cut off is not compared */
    begin(&a, 0x0200);
    begin(&b, 0x0200);
    put_a(&b, 0, 9, "\1\1\1\1");
    ck_assert(is_same(&a, &b));
    begin(&b, 0);
    expect_difference(&a, &b, "flags TC, expected none");
}
END_TEST

/* Every cut, and octets that say otherwise: nothing is read beyond the end, and it ends. */
START_TEST(hostile_messages)
{
    struct built good, bad;
    uint64_t random = 3;
    begin(&good, 0x0400);
    PUT(&good, "\300\20");
    put_fixed(&good, 0, 6, 9, 24);
    PUT(&good, "\300\14\300\14\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1");
    PUT(&good, "\300\20");
    put_fixed(&good, 1, 35, 9, 12);
    PUT(&good, "\0\1\0\1\1a\1b\1c\300\14");
    put_a(&good, 2, 9, "\1\1\1\1");
    put_opt(&good, 1232, 0, 0x8000);
    ck_assert(is_same(&good, &good));
    for (bad = good; bad.len-- > 0;) {
        expect_difference(&bad, &good, "malformed");
        expect_difference(&good, &bad, "what was expected is malformed");
    }
    bad = good;
    PUT(&bad, "x");
    expect_difference(&bad, &good, "malformed");
    /* a name that points at itself, and further on */
    for (unsigned to = 29; to < 40; to++) {
        bad = good;
        wire_store_be16(bad.octets + 29, (uint16_t)(0xc000 | to));
        expect_difference(&bad, &good, "malformed");
    }
    unsigned same = 0;
    for (unsigned i = 0; i < 200000; i++) {
        bad = good;
        for (uint64_t n = 1 + schedule_random(&random) % 3; n > 0; n--)
            bad.octets[schedule_random(&random) % bad.len] ^=
                (uint8_t)(1u << schedule_random(&random) % 8);
        same += is_same(&bad, &good);
    }
    ck_assert_uint_gt(same, 0); /* the ID, and the case of letters */
    ck_assert_uint_lt(same, 100000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench_difference");
    TCase *tcase = tcase_create("bench_difference");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, writing_does_not_count);
    tcase_add_test(tcase, records_count);
    tcase_add_test(tcase, the_rest_counts);
    tcase_add_test(tcase, hostile_messages);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

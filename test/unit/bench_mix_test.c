/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/mix.h"

#include "test_main.h"
#include "tools/bench/verify.h"
#include "zone_fixture.h"

#include <errno.h>

static struct fixture fixture;
static struct question_pool pool;
static uint8_t apex[NAME_MAX_LEN];

static void setup(void)
{
    static const struct question_form form = {.payload = 1232};
    static char text[60000];
    char *at = text + sprintf(text, "$ORIGIN example.\n@ 9 SOA a b 1 2 3 4 5\n@ 9 NS ns\n"
                                    "ns 9 A 192.0.2.1\n");
    for (int i = 0; i < 400; i++)
        at += sprintf(at,
                      "name%d 9 TXT x\nname%d 9 MX 1 ns\ncut%d 9 NS ns.cut%d\n"
                      "ns.cut%d 9 A 192.0.2.2\n",
                      i, i, i, i, i);
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", text);
    name_from_text("example.", apex);
    question_pool_begin(&pool, &form);
}

static void teardown(void)
{
    question_pool_end(&pool);
    fixture_close(&fixture);
}

static void make(unsigned existing, unsigned missing, unsigned random, uint32_t count,
                 uint64_t seed)
{
    const struct mix_order order = {
        .apex = apex, .parts = {existing, missing, random}, .count = count, .seed = seed};
    ck_assert_int_eq(mix_make(&pool, fixture.view, &order), 0);
    ck_assert_uint_eq(pool.count, count);
}

static uint16_t type_of(uint32_t question)
{
    const uint8_t *end = question_framed(&pool, question) + 2 + question_len(&pool, question);
    return (uint16_t)(end[-4] << 8 | end[-3]);
}

/* What it expects is what is answered, octet by octet. */
static void expect_right(void)
{
    static struct verify verify;
    static struct tally tally;
    uint8_t request[QUESTION_MESSAGE_MAX];
    static uint8_t response[RESPOND_MESSAGE_MAX];
    const struct respond_policy policy = respond_policy_default();
    const struct respond_client client = {.transport = RESPOND_UDP};
    verify_begin(&verify, &pool);
    memset(&tally, 0, sizeof tally);
    for (uint32_t i = 0; i < pool.count; i++) {
        uint16_t len = question_copy(&pool, i, 7, 0, request);
        size_t response_len =
            respond(fixture.view, &policy, &client, request, len, response, sizeof response);
        ck_assert(verify_response(&verify, i, 7, 0, response, response_len, &tally));
    }
    ck_assert_uint_eq(tally.unexpected, 0);
}

START_TEST(existing_names)
{
    unsigned cuts = 0;
    make(1, 0, 0, 2000, 1);
    for (uint32_t i = 0; i < pool.count; i++) {
        ck_assert_uint_eq(pool.rcodes[i], 0);
        const uint8_t *name = question_framed(&pool, i) + 2 + QUESTION_HEADER_LEN;
        if (memcmp(name + 1, "cut", 3) == 0) {
            cuts++;
            ck_assert_uint_eq(type_of(i), 1); /* asked for an address, not for NS */
        }
    }
    /* one owner in three is a cut */
    ck_assert_uint_gt(cuts, 500);
    ck_assert_uint_lt(cuts, 850);
    expect_right();
}
END_TEST

START_TEST(missing_names)
{
    make(0, 1, 1, 2000, 1);
    for (uint32_t i = 0; i < pool.count; i++)
        ck_assert_uint_eq(pool.rcodes[i], 3);
    expect_right();
}
END_TEST

START_TEST(parts_are_kept_and_seeds_repeat)
{
    unsigned missing = 0;
    make(60, 30, 10, 5000, 9);
    for (uint32_t i = 0; i < pool.count; i++)
        missing += pool.rcodes[i] == 3;
    ck_assert_uint_gt(missing, 1800);
    ck_assert_uint_lt(missing, 2200);
    struct question_pool first = pool;
    question_pool_begin(&pool, &first.form);
    make(60, 30, 10, 5000, 9);
    ck_assert_uint_eq(pool.len, first.len);
    ck_assert_mem_eq(pool.octets, first.octets, first.len);
    question_pool_end(&pool);
    question_pool_begin(&pool, &first.form);
    make(60, 30, 10, 5000, 10);
    ck_assert(pool.len != first.len || memcmp(pool.octets, first.octets, first.len) != 0);
    question_pool_end(&first);
}
END_TEST

START_TEST(no_such_zone)
{
    uint8_t other[NAME_MAX_LEN];
    name_from_text("org.", other);
    const struct mix_order order = {.apex = other, .parts = {1, 0, 0}, .count = 1};
    ck_assert_int_eq(mix_make(&pool, fixture.view, &order), -ENOENT);
    ck_assert_uint_eq(pool.count, 0);
}
END_TEST

/* Responses that are no answer, or not the one expected. */
START_TEST(verdicts)
{
    static struct verify verify;
    struct tally tally = {0};
    uint8_t request[QUESTION_MESSAGE_MAX], response[512];
    const struct respond_policy policy = respond_policy_default();
    const struct respond_client client = {.transport = RESPOND_UDP};
    make(1, 0, 0, 1, 1);
    verify_begin(&verify, &pool);
    verify.view = fixture.view;
    uint16_t request_len = question_copy(&pool, 0, 0x1234, 0, request);
    size_t len =
        respond(fixture.view, &policy, &client, request, request_len, response, sizeof response);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = exact_copy(response, cut);
        ck_assert_int_eq(verify_response(&verify, 0, 0x1234, 0, part, cut, &tally),
                         cut >= request_len);
        free(part);
    }
    /* cut behind the question it is an answer, and not the one computed */
    ck_assert_uint_eq(tally.unexpected, len - request_len);
    memset(&tally, 0, sizeof tally);
    for (size_t i = 0; i < len; i++) {
        response[i] ^= 1;
        bool is_answer = verify_response(&verify, 0, 0x1234, 0, response, len, &tally);
        response[i] ^= 1;
        ck_assert_int_eq(is_answer, (i >= 2 && i < 4) || (i >= 6 && i < 12) || i >= request_len);
    }
    ck_assert_uint_eq(tally.unexpected, tally.compared);
    ck_assert(verify_response(&verify, 0, 0x1234, 0, response, len, &tally));
    ck_assert_uint_eq(tally.unexpected + 1, tally.compared);
    ck_assert(!verify_response(&verify, 0, 0x1234, 0, request, request_len, &tally)); /* no QR */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {existing_names, missing_names, parts_are_kept_and_seeds_repeat,
                                  no_such_zone, verdicts};
    return test_run("bench/mix", tests, sizeof tests / sizeof *tests, setup, teardown);
}

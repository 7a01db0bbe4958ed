/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every policy, met by who has a cookie and who has none, below and beyond the rate.
 */
#include "message.h"
#include "server/restrain.h"
#include "test_main.h"

#define S UINT64_C(1000000)
#define NOW_S UINT64_C(1559731985)

static const struct dns_cookie_secrets secrets = {1, {{1, 2, 3}}};
static const uint8_t ours[4] = {192, 0, 2, 1}, theirs[4] = {198, 51, 100, 1};
static struct respond_policy policy;
static struct respond_client client;
static uint8_t plain[256], known[256];
static size_t plain_len, known_len;

static void setup(void)
{
    uint8_t opt[4 + DNS_COOKIE_LEN] = {0, 10, 0, DNS_COOKIE_LEN};
    const struct dns_cookie_client asker = {ours, 4, NOW_S};
    policy = respond_policy_default();
    policy.cookie = &secrets;
    client = (struct respond_client){
        .transport = RESPOND_UDP, .now_s = NOW_S, .address = ours, .address_len = 4};
    dns_cookie_write(&secrets, &asker, NOW_S, (const uint8_t *)"12345678", 8, opt + 4);
    plain_len = request_make(plain, "www.example.", 1, 0, false, NULL, 0);
    known_len = request_make(known, "www.example.", 1, 1232, false, opt, sizeof opt);
}

static struct restrain_config config_with(unsigned rate, enum restrain_when require_cookie,
                                          enum restrain_when tcp_only)
{
    return (struct restrain_config){.rate = rate,
                                    .slip = 1,
                                    .ipv4_len = 24,
                                    .ipv6_len = 56,
                                    .require_cookie = require_cookie,
                                    .tcp_only = tcp_only};
}

static struct restrain *open_config(const struct restrain_config *config)
{
    struct restrain *restrain;
    ck_assert_int_eq(restrain_open(config, &restrain), 0);
    return restrain;
}

static enum restrain_verdict judge(struct restrain *restrain, bool is_known, uint64_t now_us)
{
    return restrain_judge(restrain, &policy, is_known ? known : plain,
                          is_known ? known_len : plain_len, now_us, &client);
}

#define NEVER RESTRAIN_WHEN_NEVER
#define OVER RESTRAIN_WHEN_OVER_RATE
#define ALWAYS RESTRAIN_WHEN_ALWAYS
#define FREELY RESPOND_FREELY
#define COOKIE RESPOND_WITH_COOKIE
#define TRUNCATED RESPOND_TRUNCATED

/* With a rate: what is asked of who has no cookie, and who has one, below the rate and beyond. */
START_TEST(test_policies)
{
    static const struct {
        enum restrain_when require_cookie, tcp_only;
        enum respond_restraint below, beyond, known_below, known_beyond;
    } cases[] = {
        {NEVER, NEVER, FREELY, TRUNCATED, FREELY, TRUNCATED},
        {OVER, NEVER, FREELY, COOKIE, FREELY, FREELY},
        {ALWAYS, NEVER, COOKIE, COOKIE, FREELY, FREELY},
        {NEVER, OVER, FREELY, TRUNCATED, FREELY, TRUNCATED},
        {OVER, OVER, FREELY, TRUNCATED, FREELY, TRUNCATED},
        {ALWAYS, OVER, COOKIE, TRUNCATED, COOKIE, TRUNCATED},
        {NEVER, ALWAYS, TRUNCATED, TRUNCATED, TRUNCATED, TRUNCATED},
        {OVER, ALWAYS, TRUNCATED, TRUNCATED, TRUNCATED, TRUNCATED},
        {ALWAYS, ALWAYS, TRUNCATED, TRUNCATED, TRUNCATED, TRUNCATED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct restrain_config config =
            config_with(1, cases[i].require_cookie, cases[i].tcp_only);
        for (unsigned is_known = 0; is_known < 2; is_known++) {
            struct restrain *restrain = open_config(&config);
            ck_assert_int_eq(judge(restrain, is_known, S), RESTRAIN_NOT);
            ck_assert_msg(client.restraint == (is_known ? cases[i].known_below : cases[i].below),
                          "%zu", i);
            enum restrain_verdict verdict = judge(restrain, is_known, S);
            enum respond_restraint beyond = is_known ? cases[i].known_beyond : cases[i].beyond;
            ck_assert_msg(client.restraint == beyond, "%zu", i);
            /* Who is free by its cookie counts for no rate. */
            ck_assert(verdict ==
                      (is_known && beyond == FREELY ? RESTRAIN_NOT : RESTRAIN_OVER_RATE));
            ck_assert_uint_eq(restrain_count(restrain).over_rate, verdict == RESTRAIN_OVER_RATE);
            restrain_close(restrain);
        }
    }
}
END_TEST

START_TEST(test_nobody_is_restrained)
{
    const struct restrain_config none = config_with(0, OVER, OVER);
    ck_assert(!restrain_is_wanted(&none));
    ck_assert_ptr_null(open_config(&none));
    client.restraint = RESPOND_TRUNCATED;
    ck_assert_int_eq(judge(NULL, false, S), RESTRAIN_NOT);
    ck_assert_int_eq(client.restraint, RESPOND_FREELY);
    ck_assert_uint_eq(restrain_count(NULL).over_rate, 0);
    restrain_close(NULL);
}
END_TEST

START_TEST(test_slip)
{
    static const struct {
        unsigned slip, answered;
    } cases[] = {{0, 0}, {1, 60}, {2, 30}, {3, 20}, {60, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct restrain_config config = config_with(1, OVER, NEVER);
        config.slip = cases[i].slip;
        struct restrain *restrain = open_config(&config);
        unsigned answered = 0;
        ck_assert_int_eq(judge(restrain, false, S), RESTRAIN_NOT);
        for (unsigned q = 0; q < 60; q++)
            answered += judge(restrain, false, S) == RESTRAIN_OVER_RATE;
        ck_assert_uint_eq(answered, cases[i].answered);
        const struct restrain_counts counts = restrain_count(restrain);
        ck_assert(counts.over_rate == 60 && counts.dropped == 60 - answered);
        restrain_close(restrain);
    }
}
END_TEST

/* Who sends two queries for each of another's is not why that one goes without an answer. */
START_TEST(test_slip_in_step)
{
    struct restrain_config config = config_with(1, OVER, NEVER);
    config.slip = 3;
    struct restrain *restrain = open_config(&config);
    unsigned answered = 0;
    judge(restrain, false, S);
    for (unsigned q = 0; q < 3000; q++)
        answered += judge(restrain, false, S) == RESTRAIN_OVER_RATE && q % 3 == 0;
    ck_assert_msg(answered > 200 && answered < 466, "%u", answered); /* of 1000: 9 deviations */
    restrain_close(restrain);
}
END_TEST

/* A cookie is its client's, and of its time; a source is not another's. */
START_TEST(test_who_is_who)
{
    const struct restrain_config config = config_with(1, OVER, NEVER);
    struct restrain *restrain = open_config(&config);
    judge(restrain, false, S);
    ck_assert_int_eq(judge(restrain, true, S), RESTRAIN_NOT);
    client.now_s += DNS_COOKIE_LIFE_S + 1;
    ck_assert_int_eq(judge(restrain, true, S), RESTRAIN_OVER_RATE);
    client.now_s = NOW_S;
    client.address = theirs;
    ck_assert_int_eq(judge(restrain, true, S), RESTRAIN_NOT);
    ck_assert_int_eq(judge(restrain, true, S), RESTRAIN_OVER_RATE);
    policy.cookie = NULL;
    client.address = ours;
    ck_assert_int_eq(judge(restrain, true, S), RESTRAIN_OVER_RATE);
    /* Rubbish counts too. */
    for (size_t len = 0; len < 12; len++)
        ck_assert_int_eq(restrain_judge(restrain, &policy, known, len, S, &client),
                         RESTRAIN_OVER_RATE);
    restrain_close(restrain);
}
END_TEST

START_TEST(test_allow_list)
{
    const struct prefix allowed[] = {{{4, {192, 0, 2}}, 24}, {{6, {0x20, 1, 0xd, 0xb8}}, 32}};
    const uint8_t ipv6[16] = {0x20, 1, 0xd, 0xb8, 1};
    struct restrain_config config = config_with(1, ALWAYS, ALWAYS);
    config.allowed = allowed;
    config.allowed_count = 2;
    struct restrain *restrain = open_config(&config);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(judge(restrain, false, S), RESTRAIN_NOT);
        ck_assert_int_eq(client.restraint, RESPOND_FREELY);
    }
    client.address = ipv6;
    client.address_len = 16;
    judge(restrain, false, S);
    ck_assert_int_eq(client.restraint, RESPOND_FREELY);
    client.address = theirs;
    client.address_len = 4;
    judge(restrain, false, S);
    ck_assert_int_eq(client.restraint, RESPOND_TRUNCATED);
    restrain_close(restrain);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_policies,     test_nobody_is_restrained, test_slip,
                                  test_slip_in_step, test_who_is_who,           test_allow_list};
    return test_run("server/restrain", tests, sizeof tests / sizeof *tests, setup, NULL);
}

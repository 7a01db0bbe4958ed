/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is changed in messages, and what is not let through. Messages are written out in hex.
 */
#include "server/proxy_message.h"
#include "test_main.h"

/* ID 0001, RD, one question: a. A IN; what follows is counted by the last four digits. */
#define HEAD "0001 0100 0001 0000 0000 "
#define QUESTION "0161 00 0001 0001 "
#define RESPONSE_HEAD "beef 8180 0001 0001 0000 "
#define ANSWER "c00c 0001 0001 0000003c 0004 c0000201 "
#define OPT(payload, rdata_len) "00 0029 " payload " 0000 0000 " rdata_len " "

static uint8_t request[PROXY_REQUEST_MAX + 100], ask[PROXY_ASK_MAX], response[2000], wanted[2000];
static size_t request_len, wanted_len;
static struct proxy_shape shape;

static enum proxy_verdict judge(const char *hex)
{
    request_len = hex_decode(hex, request, sizeof request);
    uint8_t *copy = exact_copy(request, request_len);
    enum proxy_verdict verdict = proxy_message_judge(copy, request_len, &shape);
    free(copy);
    return verdict;
}

static void must_ask(const char *from, const char *to)
{
    ck_assert_int_eq(judge(from), PROXY_FORWARD);
    wanted_len = hex_decode(to, wanted, sizeof wanted);
    uint8_t *copy = exact_copy(request, request_len);
    ck_assert_uint_eq(proxy_message_ask(copy, request_len, &shape, 0xbeef, ask), wanted_len);
    ck_assert_mem_eq(ask, wanted, wanted_len);
    ck_assert_mem_eq(copy, request, request_len);
    free(copy);
}

START_TEST(test_ask)
{
    must_ask(HEAD "0000" QUESTION, "beef 0100 0001 0000 0000 0001" QUESTION OPT("ffff", "0000"));
    must_ask(HEAD "0001" QUESTION OPT("04d0", "0000"),
             "beef 0100 0001 0000 0000 0001" QUESTION OPT("ffff", "0000"));
    /* options stay, but keepalive, wherever it stands */
    must_ask(
        HEAD "0001" QUESTION OPT("04d0", "000a") "0003 0000 000a 0002 1234",
        "beef 0100 0001 0000 0000 0001" QUESTION OPT("ffff", "000a") "0003 0000 000a 0002 1234");
    must_ask(
        HEAD
        "0001" QUESTION OPT("04d0", "0014") "000b 0000 0003 0000 000b 0002 1234 000c 0002 0000",
        "beef 0100 0001 0000 0000 0001" QUESTION OPT("ffff", "000a") "0003 0000 000c 0002 0000");
    must_ask(HEAD "0002" QUESTION OPT("04d0", "0004") "000b 0000" ANSWER,
             "beef 0100 0001 0000 0000 0002" QUESTION OPT("ffff", "0000") ANSWER);
}
END_TEST

static const struct {
    const char *hex;
    enum proxy_verdict verdict;
} judged[] = {
    {"", PROXY_SILENT},
    {"0001 0100 0001 0000 0000 00", PROXY_SILENT},
    {"0001 8100 0001 0000 0000 0000" QUESTION, PROXY_SILENT},
    {HEAD "0000", PROXY_FORMERR},
    {HEAD "0000 0161 00 0001 00", PROXY_FORMERR},
    {HEAD "0000 c00c 0001 0001", PROXY_FORMERR},
    {HEAD "0000 4161 00 0001 0001", PROXY_FORMERR},
    {HEAD "0000" QUESTION "00", PROXY_FORMERR},
    {HEAD "0001" QUESTION, PROXY_FORMERR},
    {"0001 0100 0000 0000 0000 0000", PROXY_FORMERR},
    {"0001 0100 0002 0000 0000 0000" QUESTION QUESTION, PROXY_FORMERR},
    {HEAD "0002" QUESTION OPT("04d0", "0000") OPT("04d0", "0000"), PROXY_FORMERR},
    {HEAD "0001" QUESTION "0161" OPT("04d0", "0000"), PROXY_FORMERR},
    {HEAD "0001" QUESTION OPT("04d0", "0001"), PROXY_FORMERR},
    {HEAD "0001" QUESTION OPT("04d0", "0003") "000300", PROXY_FORMERR},
    {HEAD "0001" QUESTION OPT("04d0", "0004") "0003 0001", PROXY_FORMERR},
    {"0001 0100 0001 0001 0000 0000" QUESTION OPT("04d0", "0000"), PROXY_FORMERR},
    {HEAD "0001" QUESTION "c0ff 0001 0001 00000000 0000", PROXY_FORMERR},
    {HEAD "0000 0161 00 00fc 0001", PROXY_NOTIMP},
    {HEAD "0000 0161 00 00fb 0001", PROXY_NOTIMP},
    {"0001 2000 0001 0000 0000 0000" QUESTION, PROXY_NOTIMP},
    {"0001 2800 0001 0000 0000 0000" QUESTION, PROXY_NOTIMP},
    {HEAD "0001" QUESTION "00 00fa 00ff 00000000 0000", PROXY_NOTIMP},
    {HEAD "0001" QUESTION "c00c 0001 0001 00000000 0000", PROXY_FORWARD},
};

START_TEST(test_judge)
{
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
        enum proxy_verdict verdict = judge(judged[i].hex);
        ck_assert_msg(verdict == judged[i].verdict, "%s: %d", judged[i].hex, (int)verdict);
    }
    memset(request, 0, sizeof request);
    request[5] = 1; /* the root; then a record as long as need be */
    request[9] = 1;
    for (size_t len = PROXY_REQUEST_MAX; len <= PROXY_REQUEST_MAX + 1; len++) {
        size_t rdata_len = len - 12 - 5 - 11;
        request[17 + 9] = (uint8_t)(rdata_len >> 8);
        request[17 + 10] = (uint8_t)rdata_len;
        ck_assert_int_eq(proxy_message_judge(request, len, &shape),
                         len <= PROXY_REQUEST_MAX ? PROXY_FORWARD : PROXY_FORMERR);
    }
}
END_TEST

static bool matches(const char *hex)
{
    size_t len = hex_decode(hex, response, sizeof response);
    uint8_t *copy = exact_copy(response, len);
    bool is_match = proxy_message_matches(request, &shape, 0xbeef, copy, len);
    free(copy);
    return is_match;
}

START_TEST(test_matches)
{
    ck_assert_int_eq(judge(HEAD "0000" QUESTION), PROXY_FORWARD);
    ck_assert(matches(RESPONSE_HEAD "0000" QUESTION ANSWER));
    ck_assert(matches("beef 8380 0001 0000 0000 0000" QUESTION));
    ck_assert(!matches("0001 8180 0001 0000 0000 0000" QUESTION)); /* the client's ID */
    ck_assert(!matches("beee 8180 0001 0000 0000 0000" QUESTION));
    ck_assert(!matches("beef 0180 0001 0000 0000 0000" QUESTION));
    ck_assert(!matches("beef a180 0001 0000 0000 0000" QUESTION));
    ck_assert(!matches("beef 8180 0000 0000 0000 0000" QUESTION));
    ck_assert(!matches("beef 8180 0002 0000 0000 0000" QUESTION QUESTION));
    ck_assert(!matches("beef 8180 0001 0000 0000 0000 0162 00 0001 0001"));
    ck_assert(!matches("beef 8180 0001 0000 0000 0000 0141 00 0001 0001"));
    ck_assert(!matches("beef 8180 0001 0000 0000 0000 0161 00 0002 0001"));
    ck_assert(!matches("beef 8180 0001 0000 0000 0000 0161 00 0001 0003"));
    ck_assert(!matches("beef 8180 0001 0000 0000 0000 0161 00 0001 00"));
    ck_assert(!matches("beef"));
    ck_assert(!matches(""));
}
END_TEST

static bool has_ede = true;

/* The client's request, the back end's response, and what becomes of it. */
static void must_answer(const char *asked, const char *got, const char *becomes)
{
    ck_assert_int_eq(judge(asked), PROXY_FORWARD);
    ck_assert_msg(matches(got), "%s", got);
    size_t len = hex_decode(got, response, sizeof response);
    wanted_len = hex_decode(becomes, wanted, sizeof wanted);
    len = proxy_message_answer(request, &shape, has_ede, response, len);
    ck_assert_msg(len == wanted_len && memcmp(response, wanted, len) == 0, "%s: length %zu", got,
                  len);
}

#define PLAIN HEAD "0000" QUESTION
#define WITH_OPT HEAD "0001" QUESTION OPT("04d0", "0000")
#define FAILED "0001 8102 0001 0000 0000 0000" QUESTION

START_TEST(test_answer)
{
    must_answer(PLAIN, RESPONSE_HEAD "0000" QUESTION ANSWER,
                "0001 8180 0001 0001 0000 0000" QUESTION ANSWER);
    must_answer(PLAIN, RESPONSE_HEAD "0001" QUESTION ANSWER OPT("04d0", "0000"),
                "0001 8180 0001 0001 0000 0000" QUESTION ANSWER);
    must_answer(WITH_OPT, RESPONSE_HEAD "0001" QUESTION ANSWER OPT("04d0", "0004") "0003 0000",
                "0001 8180 0001 0001 0000 0001" QUESTION ANSWER OPT("04d0", "0004") "0003 0000");
    must_answer(WITH_OPT, RESPONSE_HEAD "0000" QUESTION ANSWER,
                "0001 8180 0001 0001 0000 0000" QUESTION ANSWER);
}
END_TEST

START_TEST(test_opt_that_is_not_last)
{
    /* question 12-18, answer 19-34, OPT 35-45, records behind it from 46 = 0x2e on */
    must_answer(PLAIN,
                RESPONSE_HEAD "0003" QUESTION ANSWER OPT(
                    "04d0", "0000") "0162 c00c 0001 0001 0000003c 0004 c0000202 "
                                    "0163 c02e 0001 0001 0000003c 0004 c0000203",
                "0001 8180 0001 0001 0000 0002" QUESTION ANSWER
                "0162 c00c 0001 0001 0000003c 0004 c0000202 "
                "0163 c023 0001 0001 0000003c 0004 c0000203");
    /* a name into the OPT; a name in RDATA that may point behind it */
    must_answer(PLAIN,
                RESPONSE_HEAD
                "0002" QUESTION ANSWER OPT("04d0", "0000") "c023 0001 0001 0000003c 0004 c0000202",
                FAILED);
    must_answer(PLAIN,
                RESPONSE_HEAD
                "0002" QUESTION ANSWER OPT("04d0", "0000") "c00c 0002 0001 0000003c 0002 c00c",
                FAILED);
}
END_TEST

START_TEST(test_bad_answers)
{
    static const char *const bad[] = {
        "beef 8380 0001 0001 0000 0000" QUESTION ANSWER, /* TC */
        "beef 8380 0001 0000 0000 0000" QUESTION,
        RESPONSE_HEAD "0000" QUESTION,
        RESPONSE_HEAD "0000" QUESTION ANSWER "00",
        RESPONSE_HEAD "0001" QUESTION ANSWER,
        RESPONSE_HEAD "0002" QUESTION ANSWER OPT("04d0", "0000") OPT("04d0", "0000"),
        RESPONSE_HEAD "0000" QUESTION "c0ff 0001 0001 0000003c 0004 c0000201",
        RESPONSE_HEAD "0000" QUESTION "c00c 0001 0001 0000003c ffff c0000201",
        /* BADVERS to somebody who cannot read it */
        "beef 8180 0001 0000 0000 0001" QUESTION "00 0029 04d0 01000000 0000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        must_answer(PLAIN, bad[i], FAILED);
    must_answer(HEAD "0001" QUESTION "00 0029 04d0 00008000 0000",
                "beef 8380 0001 0000 0000 0000" QUESTION,
                "0001 8102 0001 0000 0000 0001" QUESTION "00 0029 04d0 00008000 002a 000f 0026 0000"
                "746865206261636b20656e64277320726573706f6e7365206973207472756e6361746564");
    has_ede = false;
    must_answer(WITH_OPT, "beef 8380 0001 0000 0000 0000" QUESTION,
                "0001 8102 0001 0000 0000 0001" QUESTION OPT("04d0", "0000"));
    must_answer(WITH_OPT, RESPONSE_HEAD "0000" QUESTION ANSWER "00",
                "0001 8102 0001 0000 0000 0001" QUESTION OPT("04d0", "0000"));
    has_ede = true;
}
END_TEST

START_TEST(test_keepalive_of_another_hop)
{
    must_answer(WITH_OPT,
                RESPONSE_HEAD
                "0001" QUESTION ANSWER OPT("04d0", "000b") "000b 0002 0064 0003 0001 78",
                "0001 8180 0001 0001 0000 0001" QUESTION ANSWER OPT("04d0", "0005") "0003 0001 78");
    /* 34: OPT, 45: option, 51: record, 67: one whose name is that record's */
    must_answer(WITH_OPT,
                RESPONSE_HEAD "0003" QUESTION ANSWER OPT(
                    "04d0", "0006") "000b 0002 0064 0162 00 0001 0001 0000003c 0004 c0000202 "
                                    "0163 c034 0001 0001 0000003c 0004 c0000203",
                "0001 8180 0001 0001 0000 0003" QUESTION ANSWER OPT(
                    "04d0", "0000") "0162 00 0001 0001 0000003c 0004 c0000202 "
                                    "0163 c02e 0001 0001 0000003c 0004 c0000203");
    /* a name in RDATA could point behind it: it stays */
    must_answer(WITH_OPT,
                RESPONSE_HEAD "0002" QUESTION ANSWER OPT(
                    "04d0", "0006") "000b 0002 0064 c00c 0002 0001 0000003c 0002 c00c",
                "0001 8180 0001 0001 0000 0002" QUESTION ANSWER OPT(
                    "04d0", "0006") "000b 0002 0064 c00c 0002 0001 0000003c 0002 c00c");
}
END_TEST

/* As many as a message holds, some others between them, and as many records behind: work that grows
 * with the octets, or this takes longer than a test may. `type`: of the last record, which can be
 * moved or not. */
static size_t make_many_keepalives(unsigned type, uint8_t *out)
{
    enum { OPTIONS = 8000, RECORDS = 2000, RECORD_LEN = 15 };
    static const uint8_t head[] = {0, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};
    uint8_t *at = out + sizeof head;
    memset(out, 0, 65535);
    memcpy(out, head, sizeof head);
    out[10] = (RECORDS + 1) >> 8;
    out[11] = (RECORDS + 1) & 0xff;
    at[2] = 41;
    at[9] = (4 * OPTIONS) >> 8;
    at[10] = (4 * OPTIONS) & 0xff;
    at += 11;
    for (unsigned i = 0; i < OPTIONS; i++, at += 4)
        at[1] = i % 1000 == 1 ? 99 : 11;
    for (unsigned i = 0; i < RECORDS; i++, at += RECORD_LEN) {
        at[2] = (uint8_t)(i + 1 < RECORDS ? 1 : type);
        at[4] = 1;
        at[10] = 4;
    }
    return (size_t)(at - out);
}

START_TEST(test_many_keepalives)
{
    static const uint8_t asked_for[] = {0, 9, 1, 0, 0, 1,  0,    0, 0, 0, 0, 1, 0, 0,
                                        1, 0, 1, 0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0};
    static uint8_t message[70000];
    struct proxy_shape asked, left;
    ck_assert(proxy_message_shape(asked_for, sizeof asked_for, &asked));
    for (unsigned i = 0; i < 1000; i++) {
        bool is_movable = i % 2;
        size_t len = make_many_keepalives(is_movable ? 1 : 16, message);
        size_t answer_len = proxy_message_answer(asked_for, &asked, true, message, len);
        ck_assert_uint_eq(answer_len, is_movable ? len - 4u * (8000 - 8) : len);
        ck_assert(proxy_message_shape(message, answer_len, &left));
        ck_assert_uint_eq(left.opt_len, is_movable ? 11 + 4 * 8 : 11 + 4 * 8000);
    }
}
END_TEST

START_TEST(test_fail_without_question)
{
    const uint8_t header[12] = {1, 2, 0x79, 0xff, 0, 9, 0, 9, 0, 9, 0, 9};
    const struct proxy_failure failure = {.rcode = 1};
    uint8_t *copy = exact_copy(header, sizeof header);
    ck_assert_uint_eq(proxy_message_fail(copy, NULL, &failure, response), 12);
    const uint8_t expected[12] = {1, 2, 0xf9, 0x11};
    ck_assert_mem_eq(response, expected, 12);
    free(copy);
}
END_TEST

START_TEST(test_longest_failure)
{
    char text[65];
    const struct proxy_failure failure = {.rcode = 2, .ede = 23, .text = text};
    memset(text, 'x', 64);
    text[64] = '\0';
    memset(request, 0, sizeof request);
    request[5] = 1;
    request[11] = 1;
    size_t at = 12;
    for (unsigned len = 63; at < 12 + 254; at += 1 + len, len = at == 12 + 192 ? 61 : 63)
        request[at] = (uint8_t)len;
    at += 1 + 4;
    request[at + 2] = 41;
    ck_assert(proxy_message_shape(request, at + 11, &shape));
    ck_assert_uint_eq(shape.question_end, 12 + 255 + 4);
    size_t len = proxy_message_fail(request, &shape, &failure, response);
    ck_assert_uint_eq(len, 12 + 259 + 11 + 6 + 64);
    ck_assert_uint_le(len, PROXY_FAILURE_MAX);
}
END_TEST

TEST_MAIN("proxy_message", test_ask, test_judge, test_matches, test_answer,
          test_opt_that_is_not_last, test_bad_answers, test_keepalive_of_another_hop,
          test_many_keepalives, test_fail_without_question, test_longest_failure)

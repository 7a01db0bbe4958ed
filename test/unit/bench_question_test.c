/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/question.h"

#include "test/unit/test_main.h"
#include "zonedb/checksum.h"
#include "zonedb/name.h"

#include <errno.h>

static char complaints[4096];

/* Read a text into a pool. */
static int read_text(struct question_pool *pool, const struct question_form *form, const char *text,
                     size_t text_len, struct question_error *error)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, text_len, "r");
    FILE *told = fmemopen(complaints, sizeof complaints, "w");
    MUST(file != NULL && told != NULL);
    question_pool_begin(pool, form);
    int result = question_read(pool, file, "FILE", told, error);
    fclose(told);
    fclose(file);
    return result;
}

static void expect(const struct question_pool *pool, uint32_t index, const char *hex)
{
    uint8_t expected[512];
    size_t len = hex_decode(hex, expected, sizeof expected);
    ck_assert_uint_eq(question_len(pool, index) + 2u, len);
    ck_assert_mem_eq(question_framed(pool, index), expected, len);
    ck_assert_uint_eq(pool->sums[index], question_sum(expected + 2, len - 2));
}

START_TEST(lines_become_messages)
{
    const struct question_form form = {.payload = 1232};
    const char *text = "www.Example A\n"
                       "\n"
                       "; a comment\n"
                       "# another\n"
                       "  .\tNS \r\n"
                       "a\\.b.example. type65281";
    struct question_pool pool;
    struct question_error error;
    ck_assert_int_eq(read_text(&pool, &form, text, strlen(text), &error), 0);
    ck_assert_uint_eq(pool.count, 3);
    expect(&pool, 0, "001d 0000 0000 0001 0000 0000 0000 03777777 074578616d706c65 00 0001 0001");
    expect(&pool, 1, "0011 0000 0000 0001 0000 0000 0000 00 0002 0001");
    expect(&pool, 2, "001d 0000 0000 0001 0000 0000 0000 03612e62 076578616d706c65 00 ff01 0001");
    question_pool_end(&pool);
}
END_TEST

START_TEST(forms_of_edns)
{
    const struct question_form edns = {.payload = 1232, .has_edns = true};
    const struct question_form secure = {.payload = 4096, .is_do = true, .has_rd = true};
    struct question_pool pool;
    struct question_error error;
    ck_assert_int_eq(read_text(&pool, &edns, ". A", 3, &error), 0);
    expect(&pool, 0,
           "001c 0000 0000 0001 0000 0000 0001 00 0001 0001"
           "00 0029 04d0 00000000 0000");
    question_pool_end(&pool);
    ck_assert_int_eq(read_text(&pool, &secure, ". A", 3, &error), 0);
    expect(&pool, 0,
           "001c 0000 0100 0001 0000 0000 0001 00 0001 0001"
           "00 0029 1000 00008000 0000");
    question_pool_end(&pool);
}
END_TEST

START_TEST(a_copy_has_id_and_nonce)
{
    const struct question_form form = {
        .payload = 1232, .has_checksum = true, .checksum_code = 65002};
    const uint64_t nonce = 0x0706050403020100;
    uint8_t message[QUESTION_MESSAGE_MAX], expected[128];
    struct question_pool pool;
    struct question_error error;
    ck_assert_int_eq(read_text(&pool, &form, "example.com A", 13, &error), 0);
    uint16_t len = question_copy(&pool, 0, 0x1234, nonce, message);
    size_t expected_len = hex_decode("123400000001000000000001076578616d706c6503636f6d000001000100"
                                     "002904d000000000000dfdea0009000102030405060700",
                                     expected, sizeof expected);
    ck_assert_uint_eq(len, expected_len);
    ck_assert_mem_eq(message, expected, len);
    question_pool_end(&pool);
}
END_TEST

START_TEST(wrong_lines_are_told_by_number)
{
    const char text[] = "www.example A\n"
                        "www.example\n"
                        "www.example A AAAA\n"
                        "www.example TYPE65536\n"
                        "www..example A\n"
                        "www.exa\0mple A\n";
    const struct question_form form = {0};
    struct question_pool pool;
    struct question_error error;
    ck_assert_int_eq(read_text(&pool, &form, text, sizeof text - 1, &error), -EINVAL);
    ck_assert_str_eq(error.text, "5 lines of FILE are no question");
    ck_assert_ptr_eq(strstr(complaints, "FILE:2: a line has a name and a type"), complaints);
    ck_assert_ptr_nonnull(strstr(complaints, "FILE:3: there is something behind the type"));
    ck_assert_ptr_nonnull(strstr(complaints, "FILE:4: this is no type"));
    ck_assert_ptr_nonnull(strstr(complaints, "FILE:5: this is no domain name"));
    ck_assert_ptr_nonnull(strstr(complaints, "FILE:6: there is a NUL"));
    question_pool_end(&pool);
}
END_TEST

START_TEST(a_flood_of_wrong_lines_is_cut)
{
    char text[64] = "";
    const struct question_form form = {0};
    struct question_pool pool;
    struct question_error error;
    for (int i = 0; i < 12; i++)
        strcat(text, "x y\n");
    ck_assert_int_eq(read_text(&pool, &form, text, strlen(text), &error), -EINVAL);
    ck_assert_str_eq(error.text, "12 lines of FILE are no question");
    ck_assert_ptr_nonnull(strstr(complaints, "FILE:10:"));
    ck_assert_ptr_null(strstr(complaints, "FILE:11:"));
    question_pool_end(&pool);
}
END_TEST

START_TEST(a_pool_grows)
{
    const struct question_form form = {.has_edns = true, .payload = 1232};
    const uint32_t count = 20000;
    struct question_pool pool;
    uint8_t name[NAME_MAX_LEN], copy[QUESTION_MESSAGE_MAX];
    char text[64];
    question_pool_begin(&pool, &form);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "n%u.example", i);
        ck_assert_uint_gt(name_from_text(text, name), 0);
        ck_assert_int_eq(question_add(&pool, name, 1, 3), 0);
    }
    ck_assert_uint_eq(pool.count, count);
    for (uint32_t i = 0; i < count; i += 77) {
        snprintf(text, sizeof text, "n%u.example", i);
        size_t len = name_from_text(text, name);
        ck_assert_uint_eq(question_copy(&pool, i, 7, 0, copy), 12 + len + 4 + 11);
        ck_assert_mem_eq(copy + 12, name, len);
        ck_assert_uint_eq(pool.rcodes[i], 3);
    }
    question_pool_end(&pool);
}
END_TEST

START_TEST(types_have_names)
{
    ck_assert_uint_eq(question_type("aaaa"), 28);
    ck_assert_uint_eq(question_type("HTTPS"), 65);
    ck_assert_uint_eq(question_type("TYPE1"), 1);
    ck_assert_uint_eq(question_type("TYPE"), 0);
    ck_assert_uint_eq(question_type("TYPE1x"), 0);
    ck_assert_uint_eq(question_type("TYPE000001"), 0);
    ck_assert_uint_eq(question_type("B"), 0);
    ck_assert_uint_eq(question_type(""), 0);
}
END_TEST

TEST_MAIN("bench/question", lines_become_messages, forms_of_edns, a_copy_has_id_and_nonce,
          wrong_lines_are_told_by_number, a_flood_of_wrong_lines_is_cut, a_pool_grows,
          types_have_names)

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_main.h - what every test program needs. Define the cases, then:
 *
 *     TEST_MAIN("name", test_one, test_two)
 */
#ifndef TEST_MAIN_H
#define TEST_MAIN_H

#include "../must.h"

#include <check.h>

#define TEST_MAIN(name, ...)                                                    \
    int main(void)                                                              \
    {                                                                           \
        const TTest *const tests[] = {__VA_ARGS__};                             \
        return test_run(name, tests, sizeof tests / sizeof *tests, NULL, NULL); \
    }

/* Run a suite, and free it; returns what main() is to. For those whose tests need a loop, or a timeout
 * of their own; the others have TEST_MAIN. */
static inline int test_suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Run each test in a process of its own, between setup and teardown (both may be NULL). */
static inline int test_run(const char *name, const TTest *const *tests, size_t count,
                           void (*setup)(void), void (*teardown)(void))
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 120);
    if (setup != NULL)
        tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

/* Hex digits (white space ignored) to octets; returns how many. */
static inline size_t hex_decode(const char *hex, uint8_t *out, size_t cap)
{
    size_t digits = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ' || *hex == '\n')
            continue;
        unsigned value = (unsigned)(*hex <= '9' ? *hex - '0' : (*hex | 0x20) - 'a' + 10);
        ck_assert_uint_lt(digits / 2, cap);
        if (digits % 2 == 0)
            out[digits / 2] = (uint8_t)(value << 4);
        else
            out[digits / 2] = (uint8_t)(out[digits / 2] | value);
        digits++;
    }
    return digits / 2;
}

#endif

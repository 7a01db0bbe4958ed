/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/histogram.h"

#include "test/unit/test_main.h"
#include "tools/bench/schedule.h"

static struct histogram histogram, other;

START_TEST(nothing_was_seen)
{
    ck_assert_uint_eq(histogram_quantile_ns(&histogram, 0.5), 0);
    ck_assert(histogram_mean_ns(&histogram) == 0);
}
END_TEST

/* Whatever the value: its quantile is not below it and above it by no more than 1/128. */
START_TEST(one_value_is_found_again)
{
    for (uint64_t value = 0; value < (uint64_t)1 << 37; value = value * 17 / 16 + 1) {
        memset(&histogram, 0, sizeof histogram);
        histogram_record(&histogram, value);
        histogram_record(&histogram, (uint64_t)1 << 36 | value);
        uint64_t found = histogram_quantile_ns(&histogram, 0.5);
        ck_assert_uint_ge(found, value);
        ck_assert_uint_le(found - value, value / 128);
    }
}
END_TEST

START_TEST(quantiles_are_in_order)
{
    uint64_t random = 7;
    memset(&histogram, 0, sizeof histogram);
    for (uint64_t value = 1; value <= 100000; value++)
        histogram_record(&histogram, value * 1000);
    ck_assert_uint_eq(histogram.min_ns, 1000);
    ck_assert_uint_eq(histogram_quantile_ns(&histogram, 1), 100000000);
    for (double q = 0.01; q < 1; q += 0.01) {
        double found = (double)histogram_quantile_ns(&histogram, q);
        ck_assert_double_ge(found, q * 1e8 - 1000);
        ck_assert_double_le(found, q * 1e8 * (1 + 1.0 / 128) + 1000);
    }
    ck_assert_double_eq_tol(histogram_mean_ns(&histogram), 50000500, 1);
    /* the rest is in the last bucket, and the largest is exact all the same */
    histogram_record(&histogram, schedule_random(&random) | (uint64_t)1 << 60);
    ck_assert_uint_eq(histogram_quantile_ns(&histogram, 1), histogram.max_ns);
}
END_TEST

START_TEST(added_is_as_recorded_in_one)
{
    static struct histogram both;
    uint64_t random = 3;
    memset(&histogram, 0, sizeof histogram);
    memset(&other, 0, sizeof other);
    for (int i = 0; i < 10000; i++) {
        uint64_t value = schedule_random(&random) >> (20 + i % 40);
        histogram_record(i % 3 == 0 ? &histogram : &other, value);
        histogram_record(&both, value);
    }
    histogram_add(&histogram, &other);
    memset(&other, 0, sizeof other);
    histogram_add(&histogram, &other);
    ck_assert_mem_eq(&histogram, &both, sizeof both);
}
END_TEST

TEST_MAIN("bench/histogram", nothing_was_seen, one_value_is_found_again, quantiles_are_in_order,
          added_is_as_recorded_in_one)

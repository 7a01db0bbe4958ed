/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/schedule.h"

#include "test/unit/test_main.h"

#include <math.h>

START_TEST(even_times_keep_the_rate)
{
    struct schedule schedule;
    schedule_begin(&schedule, SCHEDULE_EVEN, 3000, 0, 1, 1, 500);
    ck_assert_uint_eq(schedule_due_ns(&schedule), 500);
    for (int i = 0; i < 3000 * 60; i++)
        schedule_advance(&schedule);
    /* a minute of thirds of a millisecond: no error adds up */
    ck_assert_uint_le(schedule_due_ns(&schedule), 500 + 60000001000u);
    ck_assert_uint_ge(schedule_due_ns(&schedule), 500 + 59999999000u);
}
END_TEST

START_TEST(threads_interleave)
{
    struct schedule schedules[4];
    for (unsigned i = 0; i < 4; i++)
        schedule_begin(&schedules[i], SCHEDULE_EVEN, 1000, i, 4, 1, 0);
    for (unsigned n = 0; n < 400; n++) {
        ck_assert_uint_eq(schedule_due_ns(&schedules[n % 4]), n * 250000);
        schedule_advance(&schedules[n % 4]);
    }
}
END_TEST

/* Mean and deviation of exponentially distributed distances are equal. */
START_TEST(random_times_keep_the_rate)
{
    struct schedule schedule, same;
    double sum = 0, squares = 0;
    const int count = 200000;
    schedule_begin(&schedule, SCHEDULE_POISSON, 1000, 1, 2, 42, 0);
    schedule_begin(&same, SCHEDULE_POISSON, 1000, 1, 2, 42, 0);
    uint64_t before = schedule_due_ns(&schedule);
    for (int i = 0; i < count; i++) {
        schedule_advance(&schedule);
        schedule_advance(&same);
        uint64_t due = schedule_due_ns(&schedule);
        ck_assert_uint_ge(due, before);
        ck_assert_uint_eq(due, schedule_due_ns(&same));
        double distance = (double)(due - before) / 1e6;
        sum += distance;
        squares += distance * distance;
        before = due;
    }
    double mean = sum / count, deviation = sqrt(squares / count - mean * mean);
    ck_assert_double_eq_tol(mean, 1, 0.02);
    ck_assert_double_eq_tol(deviation, 1, 0.02);
}
END_TEST

START_TEST(seeds_differ)
{
    struct schedule a, b;
    schedule_begin(&a, SCHEDULE_POISSON, 1000, 0, 1, 1, 0);
    schedule_begin(&b, SCHEDULE_POISSON, 1000, 0, 1, 2, 0);
    ck_assert_uint_ne(schedule_due_ns(&a), schedule_due_ns(&b));
}
END_TEST

TEST_MAIN("bench/schedule", even_times_keep_the_rate, threads_interleave,
          random_times_keep_the_rate, seeds_differ)

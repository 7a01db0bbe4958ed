/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Buckets: what one source may take, at its rate and at once; what others do to it; threads.
 */
#include "server/buckets.h"
#include "test_main.h"

#include <pthread.h>

#define S UINT64_C(1000000)

static struct buckets *buckets;

static void open_with(size_t size, unsigned rate)
{
    ck_assert_int_eq(buckets_open(size, rate, &buckets), 0);
}

static void teardown(void)
{
    buckets_close(buckets);
    buckets = NULL;
}

static unsigned take(uint32_t address, unsigned times, uint64_t now_us)
{
    const uint8_t octets[4] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
                               (uint8_t)(address >> 8), (uint8_t)address};
    unsigned taken = 0;
    for (unsigned i = 0; i < times; i++)
        taken += buckets_take(buckets, octets, 4, 24, now_us);
    return taken;
}

START_TEST(test_rate_and_burst)
{
    static const unsigned rates[] = {1, 3, 100, 7001, 300000, BUCKETS_RATE_MAX};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        unsigned rate = rates[r];
        open_with(BUCKETS_SIZE_DEFAULT, rate);
        /* All at once, then nothing more at the same time. */
        unsigned got = take(0xc0000201, rate + rate / 8 + 1, 100 * S);
        ck_assert_msg(got >= rate && got <= rate + rate / 8, "%u: %u", rate, got);
        ck_assert_uint_eq(take(0xc0000202, 10, 100 * S), 0);
        /* A second later as much again, and so on; half a second gives half of it. */
        got = take(0xc0000201, rate + rate / 8 + 1, 101 * S);
        ck_assert_msg(got >= rate && got <= rate + rate / 8, "%u: %u", rate, got);
        got = take(0xc0000201, rate + 1, 101 * S + S / 2);
        ck_assert_msg(got >= rate / 2 && got <= rate / 2 + rate / 8 + 1, "%u: %u", rate, got);
        /* Never more than the burst, however long it waits. */
        got = take(0xc0000201, rate + rate / 8 + 1, 100000 * S);
        ck_assert_msg(got >= rate && got <= rate + rate / 8, "%u: %u", rate, got);
        teardown();
    }
}
END_TEST

START_TEST(test_prefixes)
{
    uint8_t a[16] = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0xf8}, b[16];
    open_with(BUCKETS_SIZE_DEFAULT, 1);
    for (unsigned len = 1; len <= 128; len++) {
        memcpy(b, a, sizeof a);
        b[(len - 1) / 8] ^= (uint8_t)(0x80 >> (len - 1) % 8); /* the last bit that counts */
        uint64_t now_us = len * 1000 * S;
        ck_assert(buckets_take(buckets, a, 16, len, now_us));
        ck_assert(!buckets_take(buckets, a, 16, len, now_us));
        ck_assert(buckets_take(buckets, b, 16, len, now_us));
        if (len == 128)
            break;
        memcpy(b, a, sizeof a);
        b[len / 8] ^= (uint8_t)(0x80 >> len % 8); /* the first one that does not */
        ck_assert(!buckets_take(buckets, b, 16, len, now_us));
    }
    /* 32.1.13.184 is not 2001:db8::. */
    ck_assert(buckets_take(buckets, a, 4, 32, 200000 * S));
    ck_assert(buckets_take(buckets, a, 16, 32, 200000 * S));
}
END_TEST

/* Many sources in little memory: the heavy one is not forgotten for them. */
START_TEST(test_heavy_source_stays)
{
    open_with(0, 1000);
    unsigned heavy = take(0xc0000201, 2000, 10 * S);
    ck_assert_uint_le(heavy, 1001);
    for (uint32_t i = 0; i < 20000; i++) {
        take(0x0a000000 + (i << 8), 1, 10 * S + i);
        heavy += take(0xc0000201, 1, 10 * S + i);
    }
    /* 20 ms have passed: 20 tokens. */
    ck_assert_uint_le(heavy, 1021);
}
END_TEST

/* 2^48 units are 203 days: a bucket that was left long ago is full, also half a turn later. */
START_TEST(test_turn_of_time)
{
    const uint64_t turn_us = (UINT64_C(1) << 48) / 16;
    open_with(BUCKETS_SIZE_DEFAULT, 10);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t now_us = S + i * (turn_us / 4 + 3 * S);
        ck_assert_uint_eq(take(0xc0000201, 20, now_us), 10);
    }
    uint64_t edge_us = 3 * turn_us;
    ck_assert_uint_eq(take(0xc0000201, 20, edge_us - 1), 10);
    ck_assert_uint_eq(take(0xc0000201, 20, edge_us), 0);
    ck_assert_uint_eq(take(0xc0000201, 20, edge_us + S - 1), 10);
    /* Clocks of threads may be apart: nobody gains by it. */
    ck_assert_uint_eq(take(0xc0000201, 20, edge_us + S - 20000), 0);
}
END_TEST

static void *taker(void *argument)
{
    unsigned *taken = argument;
    for (unsigned i = 0; i < 20000; i++)
        *taken += take(0xc0000201 + i % 50, 1, 7 * S);
    return NULL;
}

START_TEST(test_threads_share_one_rate)
{
    pthread_t threads[4];
    unsigned taken[4] = {0}, sum = 0;
    open_with(BUCKETS_SIZE_DEFAULT, 5000);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, taker, &taken[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += taken[i];
    }
    /* Some may pass where others were quicker too often. */
    ck_assert_msg(sum >= 5000 && sum <= 5100, "%u", sum);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_rate_and_burst, test_prefixes, test_heavy_source_stays,
                                  test_turn_of_time, test_threads_share_one_rate};
    return test_run("server/buckets", tests, sizeof tests / sizeof *tests, NULL, NULL);
}

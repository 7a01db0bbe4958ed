/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Threads that ask for a halt at random: while one acts, nobody works; and all go on afterwards.
 */
#include "server/park.h"
#include "test_main.h"

#define MEMBERS 6
#define ROUNDS 2000

static struct park park;
static atomic_int working, acts, wakes, overlaps;

static void act(void *context)
{
    (void)context;
    if (atomic_load(&working) != 0)
        atomic_fetch_add(&overlaps, 1);
    atomic_fetch_add(&acts, 1);
}

static void wake(void *context)
{
    (void)context;
    atomic_fetch_add(&wakes, 1);
}

static void *member(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 97 == number * 13)
            park_ask(&park);
        if (park_is_asked(&park))
            park_wait(&park);
        atomic_fetch_add(&working, 1);
        atomic_fetch_sub(&working, 1);
    }
    park_leave(&park);
    return NULL;
}

START_TEST(test_nobody_works_during_the_act)
{
    pthread_t threads[MEMBERS];
    unsigned numbers[MEMBERS];
    park_open(&park, act, wake, NULL);
    for (unsigned i = 0; i < MEMBERS; i++)
        park_join(&park);
    for (unsigned i = 0; i < MEMBERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, member, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&overlaps), 0);
    ck_assert_int_ge(atomic_load(&acts), ROUNDS / 97);
    ck_assert_int_ge(atomic_load(&wakes), atomic_load(&acts));
    park_close(&park);
}
END_TEST

START_TEST(test_alone)
{
    park_open(&park, act, wake, NULL);
    park_join(&park);
    park_wait(&park); /* nobody asked: no wait */
    ck_assert_int_eq(atomic_load(&acts), 0);
    park_ask(&park);
    ck_assert(park_is_asked(&park));
    park_wait(&park);
    ck_assert_int_eq(atomic_load(&acts), 1);
    ck_assert(!park_is_asked(&park));
    park_leave(&park);
    park_close(&park);
}
END_TEST

static void *waiter(void *argument)
{
    (void)argument;
    park_wait(&park);
    park_leave(&park);
    return NULL;
}

START_TEST(test_who_leaves_lets_the_others_go)
{
    pthread_t thread;
    park_open(&park, act, wake, NULL);
    park_join(&park);
    park_join(&park);
    park_ask(&park);
    ck_assert_int_eq(pthread_create(&thread, NULL, waiter, NULL), 0);
    park_leave(&park);
    pthread_join(thread, NULL);
    ck_assert_int_eq(atomic_load(&acts), 1);
    park_close(&park);
}
END_TEST

TEST_MAIN("server_park", test_nobody_works_during_the_act, test_alone,
          test_who_leaves_lets_the_others_go)

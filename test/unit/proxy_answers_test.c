/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is remembered is right, what is overwritten is known to be gone; against a plain model.
 */
#include "server/proxy_answers.h"
#include "test_main.h"

#include <stdbool.h>

static uint8_t *memory;
static struct proxy_answers answers;
static uint8_t pattern[256 + UINT16_MAX];

static void setup(void)
{
    memory = calloc(1, PROXY_ANSWERS_SIZE_MIN);
    answers = proxy_answers_make(memory, PROXY_ANSWERS_SIZE_MIN);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)i;
}

static void teardown(void)
{
    free(memory);
}

/* Different for each question, nearly. */
static const uint8_t *response_to(uint64_t question)
{
    return pattern + question * 31 % 256;
}

static void put(uint64_t question, size_t len)
{
    proxy_answers_put(&answers, question, response_to(question), len);
}

static enum proxy_answers_outcome find(uint64_t question, size_t len)
{
    const uint8_t *octets;
    size_t octets_len;
    enum proxy_answers_outcome outcome =
        proxy_answers_find(&answers, question, &octets, &octets_len);
    if (outcome == PROXY_ANSWERS_FOUND) {
        ck_assert(octets >= answers.ring.octets &&
                  octets + octets_len <= answers.ring.octets + answers.ring.cap);
        ck_assert_uint_eq(octets_len, len);
        ck_assert(memcmp(octets, response_to(question), len) == 0);
    }
    return outcome;
}

START_TEST(test_memory_is_what_was_given)
{
    ck_assert_ptr_eq(answers.entries, memory);
    uint8_t *entries_end = memory + (answers.set_mask + 1) * 4 * sizeof(struct proxy_answer);
    ck_assert_ptr_eq(answers.ring.octets, entries_end);
    ck_assert_ptr_eq(answers.ring.octets + answers.ring.cap, memory + PROXY_ANSWERS_SIZE_MIN);
    ck_assert_uint_eq(answers.set_mask & (answers.set_mask + 1), 0);
}
END_TEST

START_TEST(test_lengths)
{
    static const size_t lengths[] = {1, 2, 12, 255, 256, 1220, 65534, 65535};
    ck_assert_int_eq(find(1, 0), PROXY_ANSWERS_NONE);
    for (uint64_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        put(i + 1, lengths[i]);
    for (uint64_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        ck_assert_int_eq(find(i + 1, lengths[i]), PROXY_ANSWERS_FOUND);
    put(1, 77);
    ck_assert_int_eq(find(1, 77), PROXY_ANSWERS_FOUND);
}
END_TEST

/* The octets are overwritten, the entry is not. */
START_TEST(test_gone)
{
    put(1, 100);
    size_t left = answers.ring.cap - 102;
    for (uint64_t i = 2; left > 65537; i++, left -= 65537)
        put(i, 65535);
    ck_assert_int_eq(find(1, 100), PROXY_ANSWERS_FOUND);
    put(1000, left - 2); /* the ring is full to its last octet */
    ck_assert_int_eq(find(1, 100), PROXY_ANSWERS_FOUND);
    ck_assert_int_eq(find(1000, left - 2), PROXY_ANSWERS_FOUND);
    put(1001, 1);
    ck_assert_int_eq(find(1, 100), PROXY_ANSWERS_GONE);
    ck_assert_int_eq(find(1000, left - 2), PROXY_ANSWERS_FOUND);
}
END_TEST

/* Five that want the same four places. */
START_TEST(test_oldest_of_a_set_makes_room)
{
    uint64_t step = (uint64_t)answers.set_mask + 1;
    for (uint64_t i = 1; i <= 5; i++)
        put(i * step, 10);
    ck_assert_int_eq(find(step, 10), PROXY_ANSWERS_NONE);
    for (uint64_t i = 2; i <= 5; i++)
        ck_assert_int_eq(find(i * step, 10), PROXY_ANSWERS_FOUND);
}
END_TEST

/* Many more octets than there is room: the last ones are all there, unchanged, and none before. */
START_TEST(test_like_a_model)
{
    enum { COUNT = 3000 };
    static size_t lengths[COUNT + 1];
    uint32_t random = 1;
    for (uint64_t i = 1; i <= COUNT; i++) {
        random = random * 1664525u + 1013904223u;
        lengths[i] = 1 + (random >> 16) % ((random & 0x700) != 0 ? 2000 : 65535);
        put(i, lengths[i]);
        if (i % 200 != 0 && i > 20)
            continue;
        size_t used = 0, found = 0;
        bool is_there = true;
        for (uint64_t j = i; j > 0; j--) {
            used += 2 + lengths[j];
            enum proxy_answers_outcome outcome = find(j, lengths[j]);
            ck_assert(outcome != PROXY_ANSWERS_NONE);
            ck_assert(is_there || outcome == PROXY_ANSWERS_GONE);
            is_there = outcome == PROXY_ANSWERS_FOUND;
            found += is_there;
            if (used > answers.ring.cap)
                ck_assert(!is_there);
            /* what one skips at the end of the ring is less than the longest */
            if (used + 65537 <= answers.ring.cap)
                ck_assert(is_there);
        }
        ck_assert_uint_ge(found, i < 40 ? i : 40);
    }
    ck_assert_uint_gt(answers.ring.written, 2 * (uint64_t)answers.ring.cap);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_memory_is_what_was_given, test_lengths, test_gone,
                                  test_oldest_of_a_set_makes_room, test_like_a_model};
    return test_run("proxy_answers", tests, sizeof tests / sizeof *tests, setup, teardown);
}

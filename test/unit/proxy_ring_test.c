/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ring: who makes room, who is found, who is late; and against a plain model of it.
 */
#include "server/proxy_ring.h"
#include "test_main.h"

#define COUNT 4

static struct proxy_question *questions;
static struct proxy_key *keys;
static struct proxy_ring ring;

/* ID 0, RD; a. A IN */
static const uint8_t octets[] = {0, 19, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};

static void setup(void)
{
    questions = calloc(COUNT, sizeof *questions);
    keys = calloc(COUNT, sizeof *keys);
    proxy_ring_init(&ring, questions, keys, COUNT);
}

static void teardown(void)
{
    free(questions);
    free(keys);
}

/* The question of client `number`. */
static struct proxy_question *put(uint16_t number, uint16_t id, uint8_t port, uint64_t deadline_ms)
{
    const struct proxy_ticket ticket = {id, port};
    struct proxy_question *question = proxy_ring_put(&ring, number, &ticket, deadline_ms);
    ck_assert_uint_eq(question->deadline_ms, deadline_ms);
    question->packet.source_port = number;
    memcpy(question->payload, octets, sizeof octets);
    question->request_at = 2;
    ck_assert(proxy_message_shape(octets + 2, sizeof octets - 2, &question->shape));
    return question;
}

/* Which client a response with this ID through this port would go to; 0: none. */
static unsigned found(uint16_t id, uint8_t port)
{
    uint8_t response[sizeof octets - 2];
    memcpy(response, octets + 2, sizeof response);
    response[0] = (uint8_t)(id >> 8);
    response[1] = (uint8_t)id;
    response[2] |= 0x80;
    const struct proxy_question *question =
        proxy_ring_match(&ring, port, response, sizeof response);
    return question != NULL ? question->packet.source_port : 0;
}

START_TEST(test_only_id_and_port_and_question_find_it)
{
    const struct proxy_question *question = put(1, 500, 3, 9);
    ck_assert_ptr_nonnull(question);
    ck_assert_uint_eq(proxy_ring_number(&ring, question), 1);
    ck_assert_uint_eq(proxy_ring_ticket(&ring, question).id, 500);
    ck_assert_uint_eq(proxy_ring_ticket(&ring, question).port, 3);
    ck_assert_uint_eq(found(500, 3), 1);
    ck_assert_uint_eq(found(500, 2), 0);
    ck_assert_uint_eq(found(501, 3), 0);
    uint8_t other[sizeof octets - 2];
    memcpy(other, octets + 2, sizeof other);
    other[0] = 500 >> 8;
    other[1] = 500 & 255;
    other[2] = 0x81;
    ck_assert_ptr_nonnull(proxy_ring_match(&ring, 3, other, sizeof other));
    other[13] = 'b';
    ck_assert_ptr_null(proxy_ring_match(&ring, 3, other, sizeof other));
    proxy_ring_remove(&ring, question);
    ck_assert_uint_eq(found(500, 3), 0);
}
END_TEST

START_TEST(test_full_drops_the_oldest)
{
    for (uint16_t i = 1; i <= COUNT; i++)
        put(i, i, 0, i);
    ck_assert_uint_eq(ring.dropped, 0);
    put(COUNT + 1, COUNT + 1, 0, COUNT + 1);
    ck_assert_uint_eq(ring.dropped, 1);
    ck_assert_uint_eq(found(1, 0), 0);
    for (uint16_t i = 2; i <= COUNT + 1; i++)
        ck_assert_uint_eq(found(i, 0), i);
    /* one that is answered makes room: nobody is dropped */
    proxy_ring_remove(&ring, &questions[2]);
    put(COUNT + 2, COUNT + 2, 0, COUNT + 2);
    ck_assert_uint_eq(ring.dropped, 1);
    ck_assert_uint_eq(found(2, 0), 2);
    put(COUNT + 3, COUNT + 3, 0, COUNT + 3);
    ck_assert_uint_eq(ring.dropped, 2);
    ck_assert_uint_eq(found(2, 0), 0);
}
END_TEST

START_TEST(test_number_and_ticket)
{
    const struct proxy_ticket ticket = {10, 1}, other_id = {11, 1}, other_port = {10, 2};
    struct proxy_question *question = put(1, 10, 1, 5);
    ck_assert_ptr_eq(proxy_ring_find(&ring, 1), question);
    ck_assert_ptr_null(proxy_ring_find(&ring, 2));
    ck_assert(proxy_ring_is_taken(&ring, &ticket));
    ck_assert(!proxy_ring_is_taken(&ring, &other_id));
    ck_assert(!proxy_ring_is_taken(&ring, &other_port));
    proxy_ring_remove(&ring, question);
    ck_assert_ptr_null(proxy_ring_find(&ring, 1));
    ck_assert(!proxy_ring_is_taken(&ring, &ticket));
}
END_TEST

START_TEST(test_overdue_one_by_one)
{
    ck_assert_ptr_null(proxy_ring_overdue(&ring, UINT64_MAX));
    put(1, 1, 0, 100);
    put(2, 2, 0, 100);
    put(3, 3, 0, 200);
    ck_assert_ptr_null(proxy_ring_overdue(&ring, 99));
    for (unsigned i = 1; i <= 2; i++) {
        const struct proxy_question *question = proxy_ring_overdue(&ring, 100);
        ck_assert_ptr_nonnull(question);
        ck_assert_uint_eq(question->packet.source_port, i);
        proxy_ring_remove(&ring, question);
    }
    ck_assert_ptr_null(proxy_ring_overdue(&ring, 199));
    ck_assert_ptr_nonnull(proxy_ring_overdue(&ring, 200));
}
END_TEST

/* A list of what should be there, oldest first. */
START_TEST(test_like_a_model)
{
    uint16_t model[COUNT + 1];
    unsigned model_count = 0;
    uint32_t random = 1;
    for (uint16_t step = 1; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        if (random >> 30 != 0 || model_count == 0) {
            ck_assert_ptr_nonnull(put(step, step, (uint8_t)(step % 3), step));
            model[model_count++] = step;
            if (model_count > COUNT)
                memmove(model, model + 1, --model_count * sizeof *model);
        } else {
            unsigned at = (random >> 8) % model_count;
            uint32_t i = 0;
            while (!keys[i].is_used || keys[i].id != model[at])
                i++;
            proxy_ring_remove(&ring, &questions[i]);
            model_count--;
            memmove(model + at, model + at + 1, (model_count - at) * sizeof *model);
        }
        for (unsigned i = 0; i < model_count; i++)
            ck_assert_uint_eq(found(model[i], (uint8_t)(model[i] % 3)), model[i]);
        const struct proxy_question *oldest = proxy_ring_overdue(&ring, UINT64_MAX);
        ck_assert_uint_eq(oldest != NULL ? oldest->packet.source_port : 0,
                          model_count > 0 ? model[0] : 0);
        unsigned used = 0;
        for (uint32_t i = 0; i < COUNT; i++)
            used += keys[i].is_used;
        ck_assert_uint_eq(used, model_count);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_only_id_and_port_and_question_find_it,
                                  test_full_drops_the_oldest, test_number_and_ticket,
                                  test_overdue_one_by_one, test_like_a_model};
    return test_run("proxy_ring", tests, sizeof tests / sizeof *tests, setup, teardown);
}

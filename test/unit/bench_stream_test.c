/* SPDX-License-Identifier: BSD-2-Clause */
#include "test_main.h"
#include "tools/bench/raw_tcp.h"

#define STREAM_LEN 200000u
#define BASE 0xffff8000u /* sequence numbers pass through zero */

static uint8_t stream[STREAM_LEN];
static struct raw_buffer buffer_memory;
static uint32_t stream_len, message_ends[5000], message_count, message_next;

/* Messages of all lengths, their octets telling their place. */
static void make_stream(uint64_t *random)
{
    stream_len = message_count = message_next = 0;
    for (;;) {
        uint32_t len = (uint32_t)(schedule_random(random) % (message_count % 7 == 0 ? 60000 : 300));
        if (stream_len + 2 + len > STREAM_LEN)
            break;
        stream[stream_len] = (uint8_t)(len >> 8);
        stream[stream_len + 1] = (uint8_t)len;
        for (uint32_t i = 0; i < len; i++)
            stream[stream_len + 2 + i] = (uint8_t)((stream_len + i) * 2654435761u >> 24);
        stream_len += 2 + len;
        message_ends[message_count++] = stream_len;
    }
}

static void take(void *context, const uint8_t *message, size_t message_len)
{
    (void)context;
    uint32_t start = message_next == 0 ? 0 : message_ends[message_next - 1];
    ck_assert_uint_lt(message_next, message_count);
    ck_assert_uint_eq(message_len, message_ends[message_next] - start - 2);
    ck_assert_mem_eq(message, stream + start + 2, message_len);
    message_next++;
}

static struct raw_buffer *get(void *context)
{
    (void)context;
    return &buffer_memory;
}

static struct raw_buffer *get_none(void *context)
{
    (void)context;
    return NULL;
}

/* Segments cut anywhere, some sent ahead, some again, within the window: all messages, in order. */
START_TEST(any_order_gives_the_messages)
{
    uint64_t random = (uint64_t)_i + 1;
    struct raw_buffer *buffer = NULL;
    uint32_t rcv = BASE, old_count = 0, ahead_count = 0;
    make_stream(&random);
    while (rcv - BASE < stream_len) {
        uint32_t done = rcv - BASE, back = (uint32_t)(schedule_random(&random) % 3000);
        uint32_t at =
            done +
            (uint32_t)(schedule_random(&random) % 4 == 0 ? schedule_random(&random) % 50000 : 0);
        if (schedule_random(&random) % 4 == 0)
            at = at > back ? at - back : 0;
        uint32_t len = (uint32_t)(schedule_random(&random) % 1460) + 1;
        if (at >= stream_len)
            continue;
        if (len > stream_len - at)
            len = stream_len - at;
        uint8_t *payload = exact_copy(stream + at, len);
        switch (raw_stream_take(&rcv, &buffer, get, BASE + at, payload, len, take, NULL)) {
        case RAW_STREAM_IN_ORDER:
            ck_assert_uint_ge(rcv - BASE, at + len);
            break;
        case RAW_STREAM_OUT_OF_ORDER:
            ck_assert_uint_gt(at, done);
            ck_assert_uint_eq(rcv - BASE, done);
            ahead_count++;
            break;
        case RAW_STREAM_OLD:
            ck_assert_uint_le(at + len, done);
            old_count++;
            break;
        }
        free(payload);
        for (uint32_t i = 0; buffer != NULL && i < buffer->ahead_count; i++) {
            ck_assert_uint_gt(buffer->ahead[i].left - BASE, rcv - BASE);
            ck_assert_uint_gt(buffer->ahead[i].right - BASE, buffer->ahead[i].left - BASE);
        }
        if (buffer != NULL && raw_stream_is_empty(buffer))
            buffer = NULL;
    }
    ck_assert_uint_eq(message_next, message_count);
    ck_assert_ptr_null(buffer);
    ck_assert_uint_gt(ahead_count, 10);
    ck_assert_uint_gt(old_count, 10);
}
END_TEST

START_TEST(without_a_buffer_whole_messages_still_come)
{
    const uint8_t two[] = {0, 1, 'a', 0, 2, 'b', 'c', 0, 9, 'd'};
    struct raw_buffer *buffer = NULL;
    uint32_t rcv = BASE;
    memcpy(stream, two, sizeof two);
    stream_len = sizeof two;
    message_ends[0] = 3;
    message_ends[1] = 7;
    message_count = 2;
    message_next = 0;
    raw_stream_take(&rcv, &buffer, get_none, BASE, two, sizeof two, take, NULL);
    ck_assert_uint_eq(message_next, 2);
    ck_assert_uint_eq(rcv, BASE + 7);
    ck_assert_ptr_null(buffer);
}
END_TEST

START_TEST(far_beyond_the_window_is_dropped)
{
    const uint8_t octets[] = {0, 1, 2, 3};
    struct raw_buffer *buffer = NULL;
    uint32_t rcv = BASE;
    for (uint32_t offset = 1; offset != 0; offset *= 2) {
        enum raw_stream_outcome outcome =
            raw_stream_take(&rcv, &buffer, get, BASE + offset, octets, sizeof octets, take, NULL);
        ck_assert_int_eq(outcome, offset < 1u << 31 ? RAW_STREAM_OUT_OF_ORDER : RAW_STREAM_OLD);
    }
    ck_assert_uint_eq(rcv, BASE);
    ck_assert_uint_le(buffer->ahead_count, RAW_AHEAD_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench/stream");
    TCase *tcase = tcase_create("stream");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, any_order_gives_the_messages, 0, 30);
    tcase_add_test(tcase, without_a_buffer_whole_messages_still_come);
    tcase_add_test(tcase, far_beyond_the_window_is_dropped);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

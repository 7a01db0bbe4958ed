/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP answered from the zone image, as the kernel runs it: lethe_driver and, by a tail call,
 * lethe_image, beside image_respond() and packet_reply_udp(). The frames of image_driver_test.c.
 */
#include "test/must.h"
#include "test/unit/driver_frames.h"
#include "test/unit/driver_run.h"
#include "test/unit/image_frames.h"
#include "test/unit/image_program.h"

#include <linux/bpf.h>
#include <unistd.h>

#define FRAMES 20000u

enum { SKIPPED = 77 };

static struct image_program program;
static struct image_made made;
static uint8_t frame[FRAME_CAP], result[FRAME_CAP], answer[TRAIN_CAP];
static unsigned answered, climbed, passed;

static bool was_counted(enum driver_counter counter)
{
    static uint64_t seen[DRIVER_COUNTERS];
    uint64_t now = image_program_count(&program, counter), before = seen[counter];
    seen[counter] = now;
    return now != before;
}

static void tell(enum packet_checksum_policy policy, bool has_next)
{
    image_program_tell(
        &program,
        (struct driver_config){.checksum_policy = (uint8_t)policy,
                               .next = has_next ? DRIVER_TRANSPORT_TCP | DRIVER_TRANSPORT_UDP : 0});
}

/* Returns whether it was answered. */
static bool check(enum packet_checksum_policy policy, size_t len, bool is_whole)
{
    size_t result_len;
    bool is_short;
    uint32_t action = driver_run(program.program, frame, len, result, sizeof result, &result_len);
    size_t answer_len = image_frame_answer(&made, policy, frame, len, answer, &is_short);
    bool is_answered = was_counted(DRIVER_COUNT_ANSWERED),
         is_climbed = was_counted(DRIVER_COUNT_CLIMBED);
    MUST(was_counted(DRIVER_COUNT_IMAGE) == is_answered);
    if (action == XDP_PASS) {
        MUST(result_len == len && memcmp(result, frame, len) == 0 && !is_answered);
        /* lethe_driver checks the sum of an IPv4 header whatever the policy. */
        MUST(answer_len == 0 || !is_short || !is_whole || len > DRIVER_FRAME_MAX ||
             (policy == PACKET_CHECKSUM_NEVER && !is_climbed));
        climbed += is_climbed;
        passed += !is_climbed;
        return false;
    }
    MUST((action == XDP_TX && is_answered) || (action == XDP_DROP && !is_whole));
    MUST(!is_climbed);
    MUST(!is_whole || (result_len == answer_len && memcmp(result, answer, answer_len) == 0 &&
                       frame_is_sound(result, result_len)));
    answered += is_answered;
    return is_answered;
}

static unsigned check_frames(unsigned count, uint32_t first, bool is_whole)
{
    unsigned before = answered;
    for (unsigned policy = 0; policy < 3; policy++) {
        tell((enum packet_checksum_policy)policy, true);
        for (uint32_t seed = 0; seed < count / 3; seed++) {
            size_t len = image_frame_make(&made, first + 3 * seed + policy, frame);
            check((enum packet_checksum_policy)policy, len, is_whole);
        }
    }
    return answered - before;
}

static void check_switches(void)
{
    struct image_head *head = (struct image_head *)(void *)program.pages;
    MUST(check_frames(1000, 0, true) > 0);
    image_program_join(&program, false);
    MUST(check_frames(1000, 0, false) == 0);
    image_program_join(&program, true);
    head->until_ns = 1; /* long ago */
    MUST(check_frames(1000, 0, false) == 0);
    head->until_ns = UINT64_MAX;
    head->version = 0;
    MUST(check_frames(1000, 0, false) == 0);
    head->version = 1;
    MUST(check_frames(1000, 0, true) > 0);
    tell(PACKET_CHECKSUM_AUTO, false);
    for (uint32_t seed = 0; seed < 1000; seed++)
        MUST(!check(PACKET_CHECKSUM_AUTO, image_frame_make(&made, seed, frame), false));
}

int main(void)
{
    if (geteuid() != 0) {
        printf("SKIPPED: needs root\n");
        return SKIPPED;
    }
    if (!image_program_open(IMAGE_FRAMES_PAGES, &program))
        return SKIPPED;
    for (unsigned index = 0; index < IMAGE_FRAMES_IMAGES; index++) {
        image_made_begin(&made, index);
        memcpy(program.pages, made.pages, sizeof made.pages);
        check_frames(FRAMES, index * FRAMES, true);
        check_switches();
        image_made_spoil(&made, index);
        memcpy(program.pages, made.pages, sizeof made.pages);
        check_frames(FRAMES / 2, index * FRAMES, false);
    }
    printf("%u answered, %u climbed, %u passed\n", answered, climbed, passed);
    MUST(answered > IMAGE_FRAMES_IMAGES * FRAMES / 8 && climbed > answered / 4 && passed > 0);
    image_program_close(&program);
    return EXIT_SUCCESS;
}

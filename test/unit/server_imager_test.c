/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The thread that keeps the image, beside a database that changes: answers come out of the image
 * while it is equal to the snapshot, and out of the database otherwise.
 */
#include "server/imager.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"

#include <errno.h>
#include <time.h>

#define SIZE ((size_t)8 << 20)
#define PATIENCE_MS 20000

/* www.cut.test. A, IN */
static const uint8_t request[] = {0x12, 0x34, 0,   0,   0,   1,   0, 0,   0,   0,
                                  0,    0,    3,   'w', 'w', 'w', 3, 'c', 'u', 't',
                                  4,    't',  'e', 's', 't', 0,   0, 1,   0,   1};

static struct fixture fixture;
static struct park park;
static struct imager *imager;
static struct respond_policy policy;
static unsigned act_count;

static void act(void *context)
{
    (void)context;
    act_count++;
}

static void wake(void *context)
{
    (void)context;
    imager_wake(imager);
}

static void load(const char *glue, unsigned serial)
{
    char text[512];
    snprintf(text, sizeof text,
             "$TTL 300\n@ SOA ns hostmaster %u 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
             "cut NS ns.cut\nns.cut A %s\n",
             serial, glue);
    fixture_load(&fixture, "test.", text);
}

static struct imager_config config(void)
{
    return (struct imager_config){
        .db = fixture.db, .park = &park, .policy = &policy, .size_max = SIZE};
}

static void set_up(void)
{
    policy = respond_policy_default();
    fixture_open(&fixture);
    park_open(&park, act, wake, NULL);
    load("192.0.2.7", 1);
    const struct imager_config wanted = config();
    ck_assert_int_eq(imager_open(&wanted, &imager), 0);
}

static void tear_down(void)
{
    imager_close(imager);
    imager = NULL;
    park_close(&park);
    fixture_close(&fixture);
}

static uint64_t version(void)
{
    return image_version(imager_image(imager)->octets);
}

static void wait_for_image(void)
{
    const struct timespec pause = {0, 1000000};
    zonedb_view_refresh(fixture.view);
    for (unsigned i = 0; version() != zonedb_view_version(fixture.view); i++) {
        ck_assert_msg(i < PATIENCE_MS, "no image comes");
        nanosleep(&pause, NULL);
    }
}

/* The last octet of the glue, which is the last of the answer. */
static uint8_t ask(void)
{
    static const struct respond_client client = {.transport = RESPOND_UDP};
    uint8_t answer[512];
    size_t len = answer_request(fixture.view, imager_image(imager), &policy, &client, request,
                                sizeof request, answer, sizeof answer);
    ck_assert_uint_gt(len, sizeof request);
    return answer[len - 1];
}

/* Write another address into the image, so that it is seen who answers. */
static void tamper(uint8_t from, uint8_t to)
{
    const struct answer_image *image = imager_image(imager);
    uint8_t *octets = (uint8_t *)(uintptr_t)image->octets;
    const uint8_t wanted[] = {0, 4, 192, 0, 2, from};
    unsigned count = 0;
    for (size_t i = 0; i + sizeof wanted <= image->len; i++)
        if (memcmp(octets + i, wanted, sizeof wanted) == 0) {
            octets[i + sizeof wanted - 1] = to;
            count++;
        }
    ck_assert_uint_gt(count, 0);
}

START_TEST(test_who_answers)
{
    set_up();
    ck_assert_uint_eq(version(), 0);
    ck_assert_uint_eq(ask(), 7);
    ck_assert_int_eq(imager_start(imager), 0);
    imager_begin(imager);
    wait_for_image();
    ck_assert_uint_eq(ask(), 7);
    imager_halt(imager);
    tamper(7, 99);
    ck_assert_uint_eq(ask(), 99);
    /* A newer snapshot: the image is of none of the view's. */
    load("192.0.2.8", 2);
    ck_assert_uint_eq(ask(), 8);
    tear_down();
}
END_TEST

START_TEST(test_follows_the_database)
{
    set_up();
    ck_assert_int_eq(imager_start(imager), 0);
    imager_begin(imager);
    for (uint8_t i = 10; i < 15; i++) {
        char glue[16];
        snprintf(glue, sizeof glue, "192.0.2.%u", i);
        load(glue, i);
        ck_assert_uint_eq(ask(), i);
        wait_for_image();
        ck_assert_uint_eq(ask(), i);
    }
    imager_halt(imager);
    tamper(14, 99);
    ck_assert_uint_eq(ask(), 99);
    ck_assert_int_eq(imager_start(imager), 0);
    imager_begin(imager);
    load("192.0.2.15", 15);
    wait_for_image();
    ck_assert_uint_eq(ask(), 15);
    tear_down();
}
END_TEST

/* The database outgrew the map: the thread must be among those that wait. */
START_TEST(test_halts_with_the_others)
{
    set_up();
    park_join(&park);
    ck_assert_int_eq(imager_start(imager), 0);
    imager_begin(imager);
    for (unsigned i = 1; i <= 50; i++) {
        park_ask(&park);
        park_wait(&park);
        ck_assert_uint_eq(act_count, i);
    }
    wait_for_image();
    ck_assert_uint_eq(ask(), 7);
    park_leave(&park);
    tear_down();
}
END_TEST

START_TEST(test_no_image_by_this_policy)
{
    struct imager *none;
    set_up();
    policy.has_edns = false;
    const struct imager_config wanted = config();
    ck_assert_int_eq(imager_open(&wanted, &none), -ENOTSUP);
    ck_assert_ptr_null(none);
    ck_assert_ptr_null(imager_image(none));
    tear_down();
}
END_TEST

TEST_MAIN("imager", test_who_answers, test_follows_the_database, test_halts_with_the_others,
          test_no_image_by_this_policy)

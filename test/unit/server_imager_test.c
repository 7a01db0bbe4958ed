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

/* A request with OPT, and `option` behind it. Returns its length. */
static size_t with_opt(const void *option, size_t option_len, unsigned payload, uint8_t *out)
{
    const uint8_t opt[] = {0, 0, 41, (uint8_t)(payload >> 8), (uint8_t)payload, 0, 0,
                           0, 0, 0,  (uint8_t)option_len};
    memcpy(out, request, sizeof request);
    out[11] = 1;
    memcpy(out + sizeof request, opt, sizeof opt);
    memcpy(out + sizeof request + sizeof opt, option, option_len);
    return sizeof request + sizeof opt + option_len;
}

/* With COOKIE the image answers too, as the database does; what only looks like it climbs. */
START_TEST(test_cookies_from_the_image)
{
    static const struct dns_cookie_secrets secrets = {1, {{1, 2, 3}}};
    static const uint8_t address[4] = {192, 0, 2, 1};
    struct respond_client client = {.now_s = 1559731985, .address = address, .address_len = 4};
    uint8_t asked[128], option[64] = {0, 10, 0, 0}, ours[600], theirs[600];
    set_up();
    ck_assert_int_eq(imager_start(imager), 0);
    imager_begin(imager);
    wait_for_image();
    imager_halt(imager);
    policy.cookie = &secrets;
    for (unsigned is_tcp = 0; is_tcp < 2; is_tcp++)
        for (size_t cookie_len = 0; cookie_len <= 44; cookie_len++)
            for (unsigned payload = 0; payload < 1300; payload += 100) {
                client.transport = is_tcp ? RESPOND_TCP : RESPOND_UDP;
                option[3] = (uint8_t)cookie_len;
                size_t asked_len = with_opt(option, 4 + cookie_len, payload, asked);
                size_t len = answer_request(fixture.view, imager_image(imager), &policy, &client,
                                            asked, asked_len, ours, sizeof ours);
                ck_assert_uint_eq(answer_request(fixture.view, NULL, &policy, &client, asked,
                                                 asked_len, theirs, sizeof theirs),
                                  len);
                ck_assert_mem_eq(ours, theirs, len);
            }
    tamper(7, 99);
    option[3] = 8;
    size_t asked_len = with_opt(option, 12, 1232, asked);
    size_t len = answer_request(fixture.view, imager_image(imager), &policy, &client, asked,
                                asked_len, ours, sizeof ours);
    const size_t opt_len = 11 + 4 + DNS_COOKIE_LEN;
    ck_assert_uint_eq(ours[len - opt_len - 1], 99);
    /* By its own cookie, too; who is restrained gets nothing from there. */
    asked_len = with_opt(ours + len - 28, 28, 1232, asked);
    len = answer_request(fixture.view, imager_image(imager), &policy, &client, asked, asked_len,
                         ours, sizeof ours);
    ck_assert_uint_eq(ours[len - opt_len - 1], 99);
    ck_assert_mem_eq(ours + len - 28, asked + asked_len - 28, 28);
    client.restraint = RESPOND_TRUNCATED;
    len = answer_request(fixture.view, imager_image(imager), &policy, &client, asked, asked_len,
                         ours, sizeof ours);
    ck_assert((ours[2] & 2) != 0 && ours[9] == 0);
    policy.cookie = NULL;
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

TEST_MAIN("imager", test_who_answers, test_cookies_from_the_image, test_follows_the_database,
          test_halts_with_the_others, test_no_image_by_this_policy)

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond DB ZONE CASE ROUNDS: ask respond() ROUNDS questions of one kind, in memory, and print how
 * many, nanoseconds per query and octets per response. For the kinds of questions see questions.h.
 * All are asked three times before it counts; with "+cold" behind the case none was asked before,
 * and none is asked twice; with "+tsig" all are signed by a key of HMAC-SHA256; with "+cookie" they
 * have a client's COOKIE, with "+known" one that we gave, which is asked for. Run under callgrind with --toggle-collect=measured it gives
 * instructions per query (see instructions.py). With "+image" an image of the database is made, and
 * asked first; how long that took, and how large it is, goes to the standard error.
 */
#include "zonedb/respond.h"
#include "test/bench/questions.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"
#include "zonedb/tsig.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* Address space. */
#define IMAGE_LEN ((size_t)1 << 33)

static struct questions questions;
static void *image_octets;
static unsigned long climbed;
#define NOW_S 1700000000
static struct tsig_key key;
static struct tsig_keys keys = {&key, 1};
static const struct dns_cookie_secrets secrets = {1, {{1, 2, 3}}};
static const uint8_t address[4] = {192, 0, 2, 1};
static const struct dns_cookie_secrets *cookie; /* NULL: nobody has one */
static enum respond_restraint restraint;

/* In an order that jumps about the zone. */
static size_t ask(struct zonedb_view *view, unsigned long round)
{
    static uint8_t response[RESPOND_MESSAGE_MAX];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP, .now_s = NOW_S};
    policy.tsig = &keys;
    if (cookie != NULL) {
        policy.cookie = cookie;
        client.address = address;
        client.address_len = sizeof address;
        client.restraint = restraint;
    }
    size_t which = round * 7919 % questions.count;
    if (image_octets != NULL && image_version(image_octets) == zonedb_view_version(view)) {
        size_t len = image_respond(image_octets, IMAGE_LEN, false, questions.octets[which],
                                   questions.len[which], response, sizeof response);
        if (len > 0)
            return len;
        climbed++;
    }
    return respond(view, &policy, &client, questions.octets[which], questions.len[which], response,
                   sizeof response);
}

/* What is counted: callgrind switches on when it enters here. */
__attribute__((noinline)) static unsigned long measured(struct zonedb_view *view,
                                                        unsigned long rounds)
{
    unsigned long octets = 0;
    for (unsigned long round = 0; round < rounds; round++)
        octets += ask(view, round);
    return octets;
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + 1e-9 * (double)(now.tv_nsec - begin->tv_nsec);
}

static bool image_make(struct zonedb_view *view)
{
    const struct respond_policy policy = respond_policy_default();
    struct timespec begin;
    struct image *image;
    void *octets = mmap(NULL, IMAGE_LEN, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (octets == MAP_FAILED || image_open(&policy, &image) != 0)
        return false;
    madvise(octets, IMAGE_LEN, MADV_HUGEPAGE);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (image_build(image, (struct image_memory){octets, IMAGE_LEN}, view) != 0)
        return false;
    fprintf(stderr, "image: %.3f s, %.1f MB\n", seconds_since(&begin),
            (double)image_used(image) / 1e6);
    image_octets = octets;
    return true;
}

static bool sign_all(void)
{
    struct tsig_asked asked;
    if (!tsig_key_set(&key, (const uint8_t *)"\3key\7example", TSIG_HMAC_SHA256,
                      (const uint8_t *)"32 octets are what most keys have", 32))
        return false;
    for (unsigned i = 0; i < questions.count; i++) {
        size_t len = tsig_request_sign(&key, NOW_S, NULL, 0, questions.octets[i], questions.len[i],
                                       REQUEST_MAX, &asked);
        if (len == 0)
            return false;
        questions.len[i] = (uint16_t)len;
    }
    return true;
}

static void cookies_add(const char *kind)
{
    const struct dns_cookie_client client = {address, sizeof address, NOW_S};
    bool is_known = strstr(kind, "+known") != NULL;
    if (is_known)
        restraint = RESPOND_WITH_COOKIE;
    if (!is_known && strstr(kind, "+cookie") == NULL)
        return;
    cookie = &secrets;
    questions_add_cookie(&questions, is_known ? &secrets : NULL, &client);
}

static void run(struct zonedb_view *view, unsigned long rounds, bool is_cold)
{
    struct timespec begin;
    if (is_cold && rounds > questions.count)
        rounds = questions.count;
    for (unsigned long round = 0; !is_cold && round < 3ul * questions.count; round++)
        ask(view, round);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    unsigned long octets = measured(view, rounds);
    double ns = 1e9 * seconds_since(&begin);
    printf("%lu %.1f %.1f\n", rounds, ns / (double)rounds, (double)octets / (double)rounds);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr,
                "usage: respond DB ZONE KIND[+edns|+do][+cookie|+known][+cold][+image] ROUNDS\n");
        return 2;
    }
    unsigned long rounds = strtoul(argv[4], NULL, 10);
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    if (zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "respond: %s\n", error.text);
        return 1;
    }
    if (zonedb_view_open(db, &view) != 0 || !questions_make(view, argv[2], argv[3], &questions) ||
        rounds == 0) {
        fprintf(stderr, "respond: no zone %s with such delegations in %s\n", argv[2], argv[1]);
        return 1;
    }
    if (strstr(argv[3], "+tsig") != NULL && !sign_all()) {
        fprintf(stderr, "respond: the questions cannot be signed\n");
        return 1;
    }
    cookies_add(argv[3]);
    if (strstr(argv[3], "+image") != NULL && !image_make(view)) {
        fprintf(stderr, "respond: no image can be made\n");
        return 1;
    }
    run(view, rounds, strstr(argv[3], "+cold") != NULL);
    if (climbed > 0)
        fprintf(stderr, "image: %lu climbed\n", climbed);
    zonedb_view_close(view);
    zonedb_close(db);
    return 0;
}

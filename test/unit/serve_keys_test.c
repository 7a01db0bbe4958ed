/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/keys.h"
#include "test_main.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

START_TEST(parse)
{
    struct keys_secret secret;
    memset(&secret, 0xee, sizeof(secret));
    ck_assert(!keys_secret_parse("", &secret));
    char text[80];
    strcpy(text, hex);
    text[63] = '\0';
    ck_assert(!keys_secret_parse(text, &secret));
    strcpy(text, hex);
    strcat(text, "0");
    ck_assert(!keys_secret_parse(text, &secret));
    for (unsigned i = 0; i < 64; i++) {
        strcpy(text, hex);
        text[i] = "gG/:@`x -"[i % 9];
        ck_assert(!keys_secret_parse(text, &secret));
    }
    for (unsigned i = 0; i < KEYS_SECRET_LEN; i++)
        ck_assert_uint_eq(secret.octets[i], 0xee);
    ck_assert(keys_secret_parse(hex, &secret));
    for (unsigned i = 0; i < KEYS_SECRET_LEN; i++)
        ck_assert_uint_eq(secret.octets[i], i);
}
END_TEST

/* Made with another implementation: printf 'lethe cookie key\0\0\0\0\0\0\0\1' | openssl dgst
 * -sha256 -mac HMAC -macopt hexkey:0001..1f; then the lowest bit of the first octet becomes 1. */
START_TEST(derivation_is_as_documented)
{
    static const uint8_t epoch_1[COOKIE_KEY_LEN] = {0x19, 0x01, 0x67, 0x6e, 0xaf, 0x69, 0x68, 0x24,
                                                    0xe8, 0x3a, 0xbe, 0xaa, 0xff, 0x24, 0xb8, 0xca};
    struct keys_secret secret;
    struct stateless_tcp_keys keys;
    ck_assert(keys_secret_parse(hex, &secret));
    keys_at(&secret, KEYS_EPOCH_S, &keys);
    ck_assert_mem_eq(keys.epochs[0], epoch_1, COOKIE_KEY_LEN);
    keys_at(&secret, 2 * KEYS_EPOCH_S + KEYS_LIFE_S - 1, &keys);
    ck_assert_mem_eq(keys.epochs[1], epoch_1, COOKIE_KEY_LEN);
}
END_TEST

START_TEST(rotation)
{
    struct keys_secret secret;
    struct stateless_tcp_keys now, same, next, zero;
    ck_assert(keys_secret_parse(hex, &secret));
    uint64_t begin_s = 1786000200; /* a multiple of 300 */
    ck_assert_uint_eq(begin_s % KEYS_EPOCH_S, 0);
    keys_at(&secret, begin_s, &now);
    keys_at(&secret, begin_s + KEYS_LIFE_S - 1, &same);
    keys_at(&secret, begin_s + KEYS_EPOCH_S, &next);
    ck_assert_mem_eq(&now, &same, sizeof(now));
    ck_assert_mem_ne(next.epochs[0], now.epochs[0], COOKIE_KEY_LEN);
    ck_assert_mem_eq(next.epochs[1], now.epochs[0], COOKIE_KEY_LEN);
    keys_at(&secret, begin_s + KEYS_LIFE_S, &same);
    ck_assert_mem_eq(same.epochs[0], now.epochs[0], COOKIE_KEY_LEN);
    ck_assert_mem_eq(same.epochs[1], next.epochs[0], COOKIE_KEY_LEN);
    keys_at(&secret, 0, &zero); /* a clock that was never set */
    ck_assert_mem_ne(zero.epochs[0], zero.epochs[1], COOKIE_KEY_LEN);
    for (unsigned i = 0; i < 20; i++) {
        keys_at(&secret, i * KEYS_EPOCH_S, &now);
        ck_assert_uint_eq(now.epochs[0][0] & 1, i & 1);
        ck_assert_uint_ne(now.epochs[1][0] & 1, i & 1);
    }
}
END_TEST

static bool knows(const struct stateless_tcp_keys *keys, const uint8_t key[COOKIE_KEY_LEN])
{
    return memcmp(keys->epochs[0], key, COOKIE_KEY_LEN) == 0 ||
           memcmp(keys->epochs[1], key, COOKIE_KEY_LEN) == 0;
}

/* At every second, whatever one server makes the other takes, and goes on to take for the life that
 * is promised. */
START_TEST(servers_of_different_clocks_agree)
{
    struct keys_secret secret;
    ck_assert(keys_secret_parse(hex, &secret));
    for (uint64_t now_s = 1786000200; now_s < 1786000200 + 2 * KEYS_EPOCH_S; now_s++) {
        struct stateless_tcp_keys maker, taker;
        keys_at(&secret, now_s, &maker);
        ck_assert_mem_ne(maker.epochs[0], maker.epochs[1], COOKIE_KEY_LEN);
        for (uint64_t other_s = now_s - KEYS_SKEW_S; other_s <= now_s + KEYS_LIFE_S; other_s++) {
            keys_at(&secret, other_s, &taker);
            ck_assert(knows(&taker, maker.epochs[0]));
        }
        keys_at(&secret, now_s + 2 * KEYS_EPOCH_S, &taker);
        ck_assert(!knows(&taker, maker.epochs[0]));
    }
}
END_TEST

/* The keys of GoAways change with those of cookies, and are none of them. */
START_TEST(goaways_outlive_an_epoch)
{
    struct keys_secret secret;
    ck_assert(keys_secret_parse(hex, &secret));
    for (uint64_t now_s = 1786000200; now_s < 1786000200 + KEYS_EPOCH_S; now_s += 7) {
        struct stateless_tcp_keys cookies;
        struct goaway_keys maker, taker;
        keys_at(&secret, now_s, &cookies);
        keys_goaway_at(&secret, now_s, &maker);
        ck_assert(!knows(&cookies, maker.epochs[0]) && !knows(&cookies, maker.epochs[1]));
        for (uint64_t other_s = now_s - KEYS_SKEW_S; other_s <= now_s + KEYS_LIFE_S; other_s++) {
            keys_goaway_at(&secret, other_s, &taker);
            ck_assert(memcmp(taker.epochs[0], maker.epochs[0], GOAWAY_KEY_LEN) == 0 ||
                      memcmp(taker.epochs[1], maker.epochs[0], GOAWAY_KEY_LEN) == 0);
        }
        keys_goaway_at(&secret, now_s + 2 * KEYS_EPOCH_S, &taker);
        ck_assert_mem_ne(taker.epochs[0], maker.epochs[0], GOAWAY_KEY_LEN);
        ck_assert_mem_ne(taker.epochs[1], maker.epochs[0], GOAWAY_KEY_LEN);
    }
}
END_TEST

START_TEST(random_secrets_differ)
{
    struct keys_secret a, b;
    ck_assert_int_eq(keys_secret_random(&a), 0);
    ck_assert_int_eq(keys_secret_random(&b), 0);
    ck_assert_mem_ne(&a, &b, sizeof(a));
}
END_TEST

/* What a key file of DNS cookies may look like, and which line is the first that is wrong. */
START_TEST(dns_cookie_files)
{
#define SECRET "000102030405060708090a0b0c0d0e0F"
    static const struct {
        const char *text;
        unsigned count, bad_line;
    } cases[] = {
        {SECRET, 1, 0},
        {SECRET "\n", 1, 0},
        {SECRET "\n" SECRET "\n" SECRET, 3, 0},
        {SECRET "\n" SECRET "\n" SECRET "\n", 3, 0},
        {"", 0, 1},
        {"\n", 0, 1},
        {SECRET "0\n", 0, 1},
        {SECRET "\n" SECRET " \n", 0, 2},
        {SECRET "\n\n" SECRET, 0, 2},
        {SECRET "\n000102030405060708090a0b0c0d0e0g\n", 0, 2},
        {SECRET "\r\n", 0, 1},
        {SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n", 0, 4},
        {SECRET "\n" SECRET "\n" SECRET "\n0", 0, 4},
        {SECRET "\n" SECRET "\n" SECRET "\n\n", 0, 4},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[] = "/tmp/lethe-keys-XXXXXX", reason[256] = "", line[16];
        struct dns_cookie_secrets secrets;
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        ssize_t len = (ssize_t)strlen(cases[i].text);
        ck_assert_int_eq(write(fd, cases[i].text, (size_t)len), len);
        close(fd);
        int outcome = keys_dns_cookie_read(path, &secrets, reason, sizeof(reason));
        unlink(path);
        ck_assert_msg(outcome == (cases[i].bad_line == 0 ? 0 : -EINVAL), "%zu: %s", i, reason);
        snprintf(line, sizeof(line), ":%u: ", cases[i].bad_line);
        ck_assert_msg(outcome == 0 || strstr(reason, line) != NULL, "%zu: %s", i, reason);
        for (unsigned s = 0; outcome == 0 && s < cases[i].count; s++)
            for (unsigned octet = 0; octet < DNS_COOKIE_SECRET_LEN; octet++)
                ck_assert_uint_eq(secrets.octets[s][octet], octet);
        ck_assert(outcome != 0 || secrets.count == cases[i].count);
    }
    struct dns_cookie_secrets secrets;
    char reason[256];
    ck_assert_int_eq(keys_dns_cookie_read("/nonexistent", &secrets, reason, sizeof(reason)),
                     -ENOENT);
    ck_assert_ptr_nonnull(strstr(reason, "/nonexistent"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server/keys");
    TCase *tcase = tcase_create("keys");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, parse);
    tcase_add_test(tcase, derivation_is_as_documented);
    tcase_add_test(tcase, rotation);
    tcase_add_test(tcase, servers_of_different_clocks_agree);
    tcase_add_test(tcase, goaways_outlive_an_epoch);
    tcase_add_test(tcase, random_secrets_differ);
    tcase_add_test(tcase, dns_cookie_files);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

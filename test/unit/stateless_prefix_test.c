/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/prefix.h"
#include "test_main.h"

static struct prefix prefix_of(uint8_t family, const char *hex, uint8_t len)
{
    struct prefix prefix = {.address.family = family, .len = len};
    hex_decode(hex, prefix.address.octets, sizeof prefix.address.octets);
    return prefix;
}

static bool has(const struct prefix *prefixes, size_t count, uint8_t family, const char *hex)
{
    const struct prefix one = prefix_of(family, hex, 0);
    return prefix_has(prefixes, count, &one.address);
}

START_TEST(test_none)
{
    ck_assert(!has(NULL, 0, 4, "c0000201"));
}
END_TEST

START_TEST(test_one_address)
{
    const struct prefix one = prefix_of(4, "c0000201", 32);
    ck_assert(has(&one, 1, 4, "c0000201"));
    ck_assert(!has(&one, 1, 4, "c0000200"));
    ck_assert(!has(&one, 1, 4, "40000201"));
    ck_assert(!has(&one, 1, 6, "c0000201"));
    const struct prefix other = prefix_of(6, "20010db8 00000000 00000000 00000001", 128);
    ck_assert(has(&other, 1, 6, "20010db8 00000000 00000000 00000001"));
    ck_assert(!has(&other, 1, 6, "20010db8 00000000 00000000 00000000"));
    ck_assert(!has(&other, 1, 4, "20010db8"));
}
END_TEST

/* For every length: the last bit of the prefix matters, the one after it does not. */
START_TEST(test_every_length)
{
    for (unsigned family = 4; family <= 6; family += 2)
        for (unsigned len = 0; len <= (family == 4 ? 32u : 128u); len++) {
            const struct prefix prefix = {.address.family = (uint8_t)family, .len = (uint8_t)len};
            for (unsigned bit = 0; bit < (family == 4 ? 32u : 128u); bit++) {
                struct packet_address address = {.family = (uint8_t)family};
                address.octets[bit / 8] = (uint8_t)(0x80 >> bit % 8);
                ck_assert_int_eq(prefix_has(&prefix, 1, &address), bit >= len);
            }
        }
}
END_TEST

START_TEST(test_any_of_several)
{
    const struct prefix several[] = {prefix_of(4, "c0000200", 24), prefix_of(6, "20010db8", 32),
                                     prefix_of(4, "c6336480", 25)};
    ck_assert(has(several, 3, 4, "c00002ff") && has(several, 3, 6, "20010db8ffff"));
    ck_assert(has(several, 3, 4, "c63364ff"));
    ck_assert(!has(several, 3, 4, "c6336400") && !has(several, 2, 4, "c63364ff"));
    ck_assert(!has(several, 3, 6, "20010db9") && !has(several, 3, 4, "c0000300"));
}
END_TEST

TEST_MAIN("stateless_prefix", test_none, test_one_address, test_every_length, test_any_of_several)

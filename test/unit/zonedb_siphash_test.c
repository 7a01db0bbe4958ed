/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/siphash.h"
#include "test_main.h"

/* The key 00 01 .. 0f and the inputs of the reference vectors: 00, 00 01, 00 01 02, ... */
static void key_and_input(uint8_t key[16], uint8_t input[64])
{
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (uint8_t i = 0; i < 64; i++)
        input[i] = i;
}

START_TEST(test_64_bits)
{
    /* The example of the paper's appendix A, and the first vectors of the reference table. */
    uint8_t key[16], input[64];
    key_and_input(key, input);
    ck_assert_uint_eq(siphash_2_4_64(key, input, 15), 0xa129ca6149be45e5U);
    ck_assert_uint_eq(siphash_2_4_64(key, input, 0), 0x726fdb47dd0e0e31U);
    ck_assert_uint_eq(siphash_2_4_64(key, input, 1), 0x74f839c593dc67fdU);
    ck_assert_uint_eq(siphash_2_4_64(key, input, 8), 0x93f5f5799a932462U);
}
END_TEST

START_TEST(test_128_bits)
{
    uint8_t key[16], input[64], out[16], expected[16];
    key_and_input(key, input);
    siphash_2_4_128(key, input, 0, out);
    hex_decode("a3817f04ba25a8e66df67214c7550293", expected, sizeof expected);
    ck_assert_mem_eq(out, expected, 16);
    siphash_2_4_128(key, input, 1, out);
    hex_decode("da87c1d86b99af44347659119b22fc45", expected, sizeof expected);
    ck_assert_mem_eq(out, expected, 16);
}
END_TEST

TEST_MAIN("siphash", test_64_bits, test_128_bits)

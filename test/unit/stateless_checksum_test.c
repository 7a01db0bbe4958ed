/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Checksums against a sum of octet pairs, one at a time.
 */
#include "stateless_tcp/checksum.h"
#include "test_main.h"

#define LEN_MAX 200

static uint8_t octets[LEN_MAX + 8];

static uint16_t pairs_sum(uint32_t sum, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? at[i] * 256u : at[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* Of any length, at any alignment, and from no octet in front of it or behind. */
START_TEST(octets_of_any_length)
{
    static const uint8_t fills[] = {0, 1, 0x80, 0xff};
    for (unsigned fill = 0; fill <= sizeof fills; fill++) {
        for (size_t i = 0; i < sizeof octets; i++)
            octets[i] = fill < sizeof fills ? fills[fill] : (uint8_t)(i * 197 + i / 3);
        for (size_t len = 0; len <= LEN_MAX; len++) {
            for (size_t at = 0; at < 8; at++)
                ck_assert_uint_eq(checksum_fold(checksum_add_octets(0, octets + at, len)),
                                  pairs_sum(0, octets + at, len));
            uint8_t *exact = malloc(len == 0 ? 1 : len); /* a sanitizer sees an octet too many */
            memcpy(exact, octets, len);
            ck_assert_uint_eq(checksum_fold(checksum_add_octets(0, exact, len)),
                              pairs_sum(0, exact, len));
            free(exact);
        }
    }
}
END_TEST

/* Whatever is added first, and however the sum is carried between. */
START_TEST(pieces_and_numbers)
{
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i * 89 + 7);
    for (size_t cut = 0; cut <= LEN_MAX; cut += 2) {
        uint64_t sum = checksum_add_octets(UINT64_MAX, octets, cut); /* no sum, but full */
        sum = checksum_narrow(checksum_add_octets(sum, octets + cut, LEN_MAX - cut));
        ck_assert_uint_le(sum, (uint64_t)1 << 33);
        ck_assert_uint_eq(checksum_fold(sum), pairs_sum(0, octets, LEN_MAX));
        sum += checksum_be16((uint16_t)(cut * 321)) + checksum_be16(0xfffe);
        uint8_t numbers[4] = {(uint8_t)(cut * 321 >> 8), (uint8_t)(cut * 321), 0xff, 0xfe};
        ck_assert_uint_eq(checksum_fold(sum), pairs_sum(pairs_sum(0, octets, LEN_MAX), numbers, 4));
    }
    ck_assert_uint_eq(checksum_fold(0), 0);
    ck_assert_uint_eq(checksum_fold(UINT64_MAX), 0xffff);
    ck_assert_uint_eq(checksum_fold(checksum_add(UINT64_MAX, checksum_be16(1))), 1);
}
END_TEST

TEST_MAIN("stateless_tcp/checksum", octets_of_any_length, pieces_and_numbers)

/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/test_main.h"
#include "zonedb/text_rdata.h"

#include <stdio.h>

struct sample {
    uint16_t type;
    bool is_valid;
    const char *hex;
};

static bool is_valid(uint16_t type, const char *hex)
{
    uint8_t octets[512];
    const size_t len = hex_decode(hex, octets, sizeof(octets));
    uint8_t *rdata = exact_copy(octets, len);
    const bool verdict = text_rdata_is_valid(type, rdata, len);

    free(rdata);
    return verdict;
}

START_TEST(test_shapes)
{
    static const struct sample samples[] = {
        {1, true, "c0000201"},
        {1, false, "c00002"},
        {1, false, "c000020100"},
        {2, true, "00"},
        {2, true, "016100"},
        {2, false, ""},
        {2, false, "0161"},
        {2, false, "c00c"},
        {2, false, "01610000"},
        {6, true, "0000 00000001 00000002 00000003 00000004 00000005"},
        {6, false, "0000 00000001 00000002 00000003 00000004 000000"},
        {15, true, "000a 016100"},
        {15, false, "000a"},
        {15, false, "00"},
        {16, true, "00"},
        {16, true, "0161 0162"},
        {16, false, ""},
        {16, false, "0261"},
        {28, true, "20010db8000000000000000000000001"},
        {28, false, "20010db80000000000000000000000"},
        {33, true, "0000 0000 0035 00"},
        {33, false, "0000 0000 0035"},
        {35, true, "0001 0002 0161 00 00 016100"},
        {35, false, "0001 0002 0161 00 00"},
        {43, true, "0001 0d 02 ab"},
        {43, false, "0001 0d 02"},
        {46, true, "0001 0d 02 00000e10 00000000 00000000 0001 00 ab"},
        {46, false, "0001 0d 02 00000e10 00000000 00000000 0001 00"},
        {46, false, "0001 0d 02 00000e10 00000000 00000000 0001"},
        {47, true, "00 00 01 40"},
        {47, true, "00"},
        {47, false, "00 00 00"},
        {47, false, "00 00 21 00"},
        {47, false, "00 00 02 40"},
        {47, false, "00 01 01 40 00 01 40"}, /* windows must ascend */
        {50, true, "01 00 0000 00 01 ab 00 01 40"},
        {50, true, "01 00 0000 02 aabb 01 ab"},
        {50, false, "01 00 0000 00 00"},
        {50, false, "01 00 0000 02 aa"},
        {51, true, "01 00 0000 00"},
        {51, false, "01 00 0000 01"},
        {64, true, "0001 00 0001 0003 026832 0003 0002 0035"},
        {64, false, "0001 00 0003 0002 0035 0001 0003 026832"}, /* keys must ascend */
        {64, false, "0001 00 0003 ffff 0035"},
        {64, false, "0001 c00c"},
        {257, true, "00 05 6973737565"},
        {257, false, "00 00"},
        {65280, true, ""},
        {65280, true, "ffff"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        ck_assert_msg(is_valid(samples[i].type, samples[i].hex) == samples[i].is_valid,
                      "type %u, %s", samples[i].type, samples[i].hex);
}
END_TEST

/* Whatever the octets: no read outside of them, and what is valid keeps its length in canonical
 * form and equals itself. */
START_TEST(test_any_octets)
{
    uint32_t state = 1;

    for (unsigned round = 0; round < 200000; round++) {
        uint8_t octets[40], canonical[40];
        const size_t len = round % sizeof(octets);
        const uint16_t type = (uint16_t)(round % 260);
        for (size_t i = 0; i < len; i++) {
            state = state * 1664525 + 1013904223;
            octets[i] = (uint8_t)(state >> 24) & ((state >> 16 & 1) != 0 ? 0xff : 0x03);
        }
        uint8_t *rdata = exact_copy(octets, len);
        if (text_rdata_is_valid(type, rdata, len)) {
            text_rdata_canonical(type, rdata, len, canonical);
            ck_assert_int_eq(text_rdata_compare(type, rdata, len, canonical, len), 0);
        }
        free(rdata);
    }
}
END_TEST

static int compare_hex(uint16_t type, const char *a_hex, const char *b_hex)
{
    uint8_t a[64], b[64];
    const size_t a_len = hex_decode(a_hex, a, sizeof(a)), b_len = hex_decode(b_hex, b, sizeof(b));

    return text_rdata_compare(type, a, a_len, b, b_len);
}

START_TEST(test_canonical_order)
{
    /* RFC 4034 6.3: as octet strings, the shorter one first */
    ck_assert_int_lt(compare_hex(65280, "01", "0100"), 0);
    ck_assert_int_gt(compare_hex(65280, "02", "0100"), 0);
    /* names of RFC 4034 6.2 without case: NS "A." and "a." */
    ck_assert_int_eq(compare_hex(2, "014100", "016100"), 0);
    ck_assert_int_gt(compare_hex(2, "014200", "016100"), 0);
    /* RFC 6840 5.1: the next name of NSEC keeps its case */
    ck_assert_int_ne(compare_hex(47, "014100", "016100"), 0);
    /* SVCB is not in that list */
    ck_assert_int_ne(compare_hex(64, "0001014100", "0001016100"), 0);
    /* what follows the name counts */
    ck_assert_int_lt(compare_hex(6, "0000 0000000100000002000000030000000400000005",
                                 "0000 0000000200000002000000030000000400000005"),
                     0);
}
END_TEST

START_TEST(test_meta_types)
{
    ck_assert(text_type_is_meta(0));
    ck_assert(text_type_is_meta(41));
    ck_assert(text_type_is_meta(128));
    ck_assert(text_type_is_meta(255));
    ck_assert(!text_type_is_meta(1));
    ck_assert(!text_type_is_meta(127));
    ck_assert(!text_type_is_meta(256));
}
END_TEST

TEST_MAIN("zonedb_text_rdata", test_shapes, test_any_octets, test_canonical_order, test_meta_types)

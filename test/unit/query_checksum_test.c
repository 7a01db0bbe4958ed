/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The library for clients, against messages that the server's own maker has made: each octet
 * altered in each way.
 */
#include "test_main.h"
#include "zonedb/digest.h"

#define CODE 65002
#define MESSAGE_CAP 512

static const uint8_t nonce[16] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6};

struct made {
    uint8_t octets[MESSAGE_CAP];
    size_t len;
    /* What says where things are and what they are: whoever alters it may hide the option. The
     * others are contents. */
    bool is_structure[MESSAGE_CAP];
    enum checksum_layout layout;
};

static void add(struct made *made, bool is_structure, const char *hex)
{
    size_t len = hex_decode(hex, made->octets + made->len, MESSAGE_CAP - made->len);
    for (size_t i = 0; i < len; i++)
        made->is_structure[made->len + i] = is_structure;
    made->len += len;
}

static void make(struct made *made, enum checksum_layout layout, uint8_t algorithm)
{
    *made = (struct made){.layout = layout};
    add(made, false, "1234 8500");
    add(made, true, "0001 0001 0000 0001  03");
    add(made, false, "777777");
    add(made, true, "07");
    add(made, false, "6578616d706c65");
    add(made, true, "00");
    add(made, false, "0001 0001");
    add(made, true, "c00c 0001");
    add(made, false, "0001 00000e10");
    add(made, true, "0004");
    add(made, false, "c0000201");
    add(made, true, "00 0029");
    add(made, false, "04d0 00000000");
    size_t rdlength_at = made->len;
    add(made, true, "0000  0003 0003");
    add(made, false, "6e7331");
    add(made, true, "fdea");
    size_t data_len = digest_head_len(layout) + digest_len(algorithm);
    made->octets[made->len + 1] = (uint8_t)data_len;
    made->is_structure[made->len] = made->is_structure[made->len + 1] = true;
    made->len += 2;
    uint8_t *data = made->octets + made->len;
    size_t nonce_len = layout == CHECKSUM_LAYOUT_00 ? 16 : 8;
    for (size_t i = nonce_len; i < digest_head_len(layout); i++)
        made->is_structure[made->len + i] = true; /* ALGORITHM */
    made->len += data_len;
    made->octets[rdlength_at + 1] = (uint8_t)(made->len - rdlength_at - 2);
    digest_fill(layout, algorithm, nonce, made->octets, made->len, data);
}

static enum checksum_verdict verify(const struct made *made)
{
    return checksum_verify(made->octets, made->len, CODE, made->layout, nonce);
}

static const struct {
    enum checksum_layout layout;
    uint8_t algorithm;
} kinds[] = {
    {CHECKSUM_LAYOUT_00, CHECKSUM_ALGORITHM_SHA1},
    {CHECKSUM_LAYOUT_00, CHECKSUM_ALGORITHM_SHA256},
    {CHECKSUM_LAYOUT_00, CHECKSUM_ALGORITHM_SIPHASH},
    {CHECKSUM_LAYOUT_01, CHECKSUM_ALGORITHM_SHA1},
    {CHECKSUM_LAYOUT_01, CHECKSUM_ALGORITHM_SHA256},
    {CHECKSUM_LAYOUT_01, CHECKSUM_ALGORITHM_SIPHASH},
};

START_TEST(test_good)
{
    struct made made;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make(&made, kinds[i].layout, kinds[i].algorithm);
        ck_assert_int_eq(verify(&made), CHECKSUM_GOOD);
    }
}
END_TEST

/* No altered message is good. What is content is bad when altered; only what is structure can hide
 * the option, and does so in places that are there. */
START_TEST(test_every_octet_altered_in_every_way)
{
    struct made made;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make(&made, kinds[i].layout, kinds[i].algorithm);
        unsigned hidden = 0;
        for (size_t at = 0; at < made.len; at++) {
            for (unsigned by = 1; by < 256; by++) {
                made.octets[at] ^= (uint8_t)by;
                enum checksum_verdict verdict = verify(&made);
                made.octets[at] ^= (uint8_t)by;
                ck_assert_msg(verdict != CHECKSUM_GOOD, "kind %zu, octet %zu ^ %u", i, at, by);
                ck_assert_msg(verdict == CHECKSUM_BAD || made.is_structure[at],
                              "kind %zu, octet %zu ^ %u is content: %d", i, at, by, (int)verdict);
                hidden += verdict == CHECKSUM_ABSENT;
            }
        }
        ck_assert_uint_gt(hidden, 0);
    }
}
END_TEST

START_TEST(test_every_shorter_and_longer_message)
{
    struct made made;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make(&made, kinds[i].layout, kinds[i].algorithm);
        size_t len = made.len;
        for (made.len = 0; made.len < len; made.len++)
            ck_assert_int_eq(verify(&made), CHECKSUM_FORMERR);
        made.len = len + 1;
        ck_assert_int_eq(verify(&made), CHECKSUM_BAD);
    }
}
END_TEST

/* What is good for one request is not for another, nor in the other layout. */
START_TEST(test_another_request)
{
    struct made made;
    uint8_t other[16];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make(&made, kinds[i].layout, kinds[i].algorithm);
        size_t nonce_len = made.layout == CHECKSUM_LAYOUT_00 ? 16 : 8;
        for (size_t bit = 0; bit < 8 * nonce_len; bit++) {
            memcpy(other, nonce, sizeof other);
            other[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_assert_int_eq(checksum_verify(made.octets, made.len, CODE, made.layout, other),
                             CHECKSUM_BAD);
        }
        enum checksum_layout wrong =
            made.layout == CHECKSUM_LAYOUT_00 ? CHECKSUM_LAYOUT_01 : CHECKSUM_LAYOUT_00;
        ck_assert_int_ne(checksum_verify(made.octets, made.len, CODE, wrong, nonce), CHECKSUM_GOOD);
    }
}
END_TEST

TEST_MAIN("query_checksum", test_good, test_every_octet_altered_in_every_way,
          test_every_shorter_and_longer_message, test_another_request)

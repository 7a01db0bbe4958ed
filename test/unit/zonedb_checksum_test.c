/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client's side, on vectors made from the draft's rules; the server's side is in
 * zonedb_respond_test.c.
 */
#include "test_main.h"
#include "zonedb/digest.h"

#define CODE 65002

static const uint8_t nonce[8] = {0, 1, 2, 3, 4, 5, 6, 7};

static size_t response_sha256(uint8_t *out)
{
    return hex_decode("123484000001000100000001076578616d706c6503636f6d0000010001c00c00010001"
                      "00000e100004c000020100002904d000000000002dfdea0029000102030405060702d4"
                      "1ab1cd906a9529d1753b51ede4b8faa5a8a0de7fb8dd25bf8df6a9a9d94ddb",
                      out, 512);
}

/* The same message as an algorithm 1 response in the layout with 8 octets of nonce. */
static size_t response_sha1(uint8_t *out)
{
    return hex_decode("123484000001000100000001076578616d706c6503636f6d0000010001c00c00010001"
                      "00000e100004c000020100002904d0000000000021fdea001d000102030405060701d1"
                      "c4f885a9225fdbcb6fd77b1e92e8284cf2c851",
                      out, 512);
}

static enum checksum_verdict verify(const uint8_t *message, size_t len)
{
    uint8_t *copy = exact_copy(message, len);
    enum checksum_verdict verdict = checksum_verify(copy, len, CODE, CHECKSUM_LAYOUT_01, nonce);
    ck_assert_mem_eq(copy, message, len);
    free(copy);
    return verdict;
}

START_TEST(test_good)
{
    uint8_t message[512];
    ck_assert_int_eq(verify(message, response_sha256(message)), CHECKSUM_GOOD);
    ck_assert_int_eq(verify(message, response_sha1(message)), CHECKSUM_GOOD);
}
END_TEST

START_TEST(test_every_altered_octet_is_noticed)
{
    uint8_t message[512];
    size_t len = response_sha256(message);
    for (size_t i = 0; i < len; i++) {
        message[i] ^= 1;
        ck_assert_msg(verify(message, len) != CHECKSUM_GOOD, "octet %zu", i);
        message[i] ^= 1;
    }
}
END_TEST

START_TEST(test_every_shorter_message_is_refused)
{
    uint8_t message[512];
    size_t len = response_sha256(message);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_msg(verify(message, cut) == CHECKSUM_FORMERR, "%zu octets", cut);
}
END_TEST

START_TEST(test_wrong_nonce)
{
    uint8_t message[512], other[8] = {9};
    size_t len = response_sha256(message);
    ck_assert_int_eq(checksum_verify(message, len, CODE, CHECKSUM_LAYOUT_01, other), CHECKSUM_BAD);
}
END_TEST

START_TEST(test_absent)
{
    uint8_t message[512];
    size_t len = response_sha256(message);
    ck_assert_int_eq(checksum_verify(message, len, CODE + 1, CHECKSUM_LAYOUT_01, nonce),
                     CHECKSUM_ABSENT);
    /* The other layout's nonce is 16 octets and its algorithm two: not of this shape. */
    uint8_t nonce_00[16] = {0};
    ck_assert_int_eq(checksum_verify(message, len, CODE, CHECKSUM_LAYOUT_00, nonce_00),
                     CHECKSUM_ABSENT);
    message[len - 33] = 77; /* an algorithm that nobody knows */
    ck_assert_int_eq(verify(message, len), CHECKSUM_ABSENT);
}
END_TEST

START_TEST(test_two_options_protect_nothing)
{
    uint8_t message[512];
    size_t len = response_sha256(message), option_len = 4 + 41;
    memcpy(message + len, message + len - option_len, option_len);
    message[len - option_len - 1] = (uint8_t)(2 * option_len);
    ck_assert_int_eq(verify(message, len + option_len), CHECKSUM_ABSENT);
}
END_TEST

/* An option that is not as long as its algorithm says; a server that sends back what it got. */
START_TEST(test_wrong_lengths)
{
    uint8_t message[512];
    size_t len = response_sha256(message), data_at = len - 41;
    message[len++] = 0;
    message[data_at - 1]++;
    message[data_at - 5]++;
    digest_fill(CHECKSUM_LAYOUT_01, CHECKSUM_ALGORITHM_SHA256, nonce, message, len,
                message + data_at);
    ck_assert_int_eq(verify(message, len), CHECKSUM_ABSENT);
    for (unsigned algorithm = 0; algorithm < 256; algorithm++) {
        message[data_at - 1] = 9;
        message[data_at - 5] = 4 + 9;
        message[data_at + 8] = (uint8_t)algorithm;
        ck_assert_int_eq(verify(message, data_at + 9), CHECKSUM_ABSENT);
    }
}
END_TEST

START_TEST(test_two_opt_records)
{
    uint8_t message[512];
    size_t len = response_sha256(message), opt_len = 11 + 4 + 41;
    memcpy(message + len, message + len - opt_len, opt_len);
    message[11]++;
    ck_assert_int_eq(verify(message, len + opt_len), CHECKSUM_FORMERR);
}
END_TEST

START_TEST(test_request)
{
    uint8_t out[18], nonce_00[16] = {7};
    ck_assert_uint_eq(checksum_request_write(CHECKSUM_LAYOUT_01, nonce, out), 9);
    ck_assert_mem_eq(out, nonce, 8);
    ck_assert_uint_eq(out[8], 0);
    ck_assert_uint_eq(checksum_request_write(CHECKSUM_LAYOUT_00, nonce_00, out), 18);
    ck_assert_mem_eq(out, nonce_00, 16);
    ck_assert_uint_eq(out[16] + out[17], 0);
}
END_TEST

TEST_MAIN("checksum", test_good, test_every_altered_octet_is_noticed,
          test_every_shorter_message_is_refused, test_wrong_nonce, test_absent,
          test_two_options_protect_nothing, test_wrong_lengths, test_two_opt_records, test_request)

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Responses with CHECKSUM, and what should be some: the first octet says layout and nonce, the others
 * are the message. What is called good stays so for no altered octet; what the maker makes is good.
 */
#include "fuzz.h"
#include "zonedb/digest.h"

#define CODE 65002

static const uint8_t nonces[2][16] = {"nnnnnnnnnnnnnnn", "something other"};

static enum checksum_verdict verify(const uint8_t *message, size_t len, enum checksum_layout layout,
                                    const uint8_t *nonce)
{
    uint8_t *exact = exact_copy(message, len);
    enum checksum_verdict verdict = checksum_verify(exact, len, CODE, layout, nonce);
    MUST(memcmp(exact, message, len) == 0);
    free(exact);
    return verdict;
}

/* The last option, if it is where and what it should be, gets its digest. */
static void mend(uint8_t *message, size_t len, enum checksum_layout layout, const uint8_t *nonce)
{
    static const uint8_t algorithms[] = {CHECKSUM_ALGORITHM_SHA1, CHECKSUM_ALGORITHM_SHA256,
                                         CHECKSUM_ALGORITHM_SIPHASH};
    for (size_t i = 0; i < sizeof algorithms; i++) {
        size_t data_len = digest_head_len(layout) + digest_len(algorithms[i]);
        if (len < 12 + 15 + data_len)
            continue;
        uint8_t *data = message + len - data_len;
        if (data[-4] != CODE >> 8 || data[-3] != (CODE & 255) || data[-2] != 0 ||
            data[-1] != data_len)
            continue;
        digest_fill(layout, algorithms[i], nonce, message, len, data);
        /* Not good: the octets are no message, or this is not its option. */
        if (verify(message, len, layout, nonce) != CHECKSUM_GOOD)
            continue;
        size_t at = (size_t)data[data_len - 1] * len / 256;
        message[at] ^= (uint8_t)(1 + at % 255);
        MUST(verify(message, len, layout, nonce) != CHECKSUM_GOOD);
        message[at] ^= (uint8_t)(1 + at % 255);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    enum checksum_layout layout = data[0] & 1 ? CHECKSUM_LAYOUT_01 : CHECKSUM_LAYOUT_00;
    const uint8_t *nonce = nonces[data[0] >> 1 & 1];
    enum checksum_verdict verdict = verify(data + 1, size - 1, layout, nonce);
    MUST(verdict == verify(data + 1, size - 1, layout, nonce));
    uint8_t *message = exact_copy(data + 1, size - 1);
    mend(message, size - 1, layout, nonce);
    free(message);
    return 0;
}

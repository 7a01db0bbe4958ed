/* SPDX-License-Identifier: BSD-2-Clause
 *
 * checksum.h - the Internet checksum (RFC 1071).
 *
 * The sum does not care for octet order as long as it is kept, nor for the width of what is added:
 * add in the machine's order, eight octets at a time, with the carry that goes out at the top
 * coming in at the bottom (2^64 is 1 modulo 2^16 - 1), and turn the folded result at the end. Every
 * piece but the last is of even length.
 *
 * Pure; any thread.
 */
#ifndef STATELESS_TCP_CHECKSUM_H
#define STATELESS_TCP_CHECKSUM_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Both are sums, or one is eight octets as they are in memory. */
static inline uint64_t checksum_add(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;
    return sum + (sum < b);
}

/* The same sum in 33 bits, so that numbers of 32 bits may be added as they are. */
static inline uint64_t checksum_narrow(uint64_t sum)
{
    return (sum >> 32) + (uint32_t)sum;
}

/* A number of 16 bits as it is in a header, to be added. */
static inline uint64_t checksum_be16(uint16_t value)
{
    return htobe16(value);
}

static inline uint64_t checksum_load(const uint8_t *octets)
{
    uint64_t word;
    memcpy(&word, octets, sizeof(word));
    return word;
}

/* The last octets of a piece, fewer than eight, as if zeros followed. They are read with those in
 * front of them where there are so many. */
static inline uint64_t checksum_load_rest(const uint8_t *octets, size_t len, size_t before_len)
{
    uint8_t padded[8] = {0};
    if (len == 0)
        return 0;
    if (before_len + len >= 8)
        return htole64(le64toh(checksum_load(octets + len - 8)) >> (64 - 8 * len));
    for (size_t i = 0; i < len; i++)
        padded[i] = octets[i];
    return checksum_load(padded);
}

static inline uint64_t checksum_add_octets(uint64_t sum, const uint8_t *octets, size_t len)
{
    uint64_t word, carries = 0;
    size_t left = len;
    for (; left >= 32; octets += 32, left -= 32) {
        sum += word = checksum_load(octets);
        carries += sum < word;
        sum += word = checksum_load(octets + 8);
        carries += sum < word;
        sum += word = checksum_load(octets + 16);
        carries += sum < word;
        sum += word = checksum_load(octets + 24);
        carries += sum < word;
    }
    sum = checksum_add(sum, carries);
    for (; left >= 8; octets += 8, left -= 8)
        sum = checksum_add(sum, checksum_load(octets));
    return checksum_add(sum, checksum_load_rest(octets, left, len - left));
}

/* The sum as a number of 16 bits in host order: 0xffff where everything, checksum included, was
 * added and is right. Its complement is a checksum. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    uint32_t half = (uint32_t)sum + (uint32_t)(sum >> 32);
    half += half < (uint32_t)sum;
    uint16_t quarter = (uint16_t)((uint16_t)half + (uint16_t)(half >> 16));
    quarter = (uint16_t)(quarter + (quarter < (uint16_t)half));
    return be16toh(quarter);
}

#endif

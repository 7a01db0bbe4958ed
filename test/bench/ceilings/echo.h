/* SPDX-License-Identifier: BSD-2-Clause
 *
 * echo.h - what the programs here do instead of DNS: a query goes back as its own response.
 *
 * They are the least that a server with this kind of I/O can cost. IPv4 without options or IPv6
 * without extension headers, UDP, port 53; only for namespaces of a benchmark.
 */
#ifndef TEST_BENCH_CEILINGS_ECHO_H
#define TEST_BENCH_CEILINGS_ECHO_H

#include <stdint.h>

enum {
    ECHO_PORT = 53,
    ECHO_ETHERNET_LEN = 14,
    ECHO_TYPE = 12,     /* of Ethernet */
    ECHO_PROTOCOL = 23, /* of IPv4 */
    ECHO_ADDRESSES = 26,
    ECHO_PORTS = 34,
    ECHO_UDP_CHECKSUM = 40,
    ECHO_UDP_FLAGS = 44, /* of DNS */
    ECHO_FRAME_MIN = 54,
    ECHO_IPV6_PROTOCOL = 20,
    ECHO_IPV6_ADDRESSES = 22,
    ECHO_IPV6_SHIFT = 20, /* its header is so much longer */
    ECHO_QR_AA = 0x84,
};

static inline __attribute__((always_inline)) void echo_swap(uint8_t *first, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        uint8_t octet = first[i];
        first[i] = first[len + i];
        first[len + i] = octet;
    }
}

/* The low octet of the type of an Ethernet frame tells 0x86dd from 0x0800. */
static inline __attribute__((always_inline)) int echo_is_ipv6(const uint8_t *frame)
{
    return frame[ECHO_TYPE + 1] == 0xdd;
}

/* As echo_turn() with IPv6, at least ECHO_FRAME_MIN + ECHO_IPV6_SHIFT octets. There UDP must have a
 * checksum: only the flags of DNS change it (RFC 1624), the high octet of a pair. */
static inline __attribute__((always_inline)) void echo_turn_ipv6(uint8_t *frame)
{
    uint8_t *checksum = frame + ECHO_UDP_CHECKSUM + ECHO_IPV6_SHIFT;
    uint8_t *flags = frame + ECHO_UDP_FLAGS + ECHO_IPV6_SHIFT;
    uint32_t sum = (uint32_t)(uint8_t)~checksum[0] << 8 | (uint8_t)~checksum[1];
    echo_swap(frame, 6);
    echo_swap(frame + ECHO_IPV6_ADDRESSES, 16);
    echo_swap(frame + ECHO_PORTS + ECHO_IPV6_SHIFT, 2);
    sum += (uint32_t)(uint8_t)(*flags ^ (*flags | ECHO_QR_AA)) << 8;
    *flags |= ECHO_QR_AA;
    sum = (sum & 0xffff) + (sum >> 16);
    checksum[0] = (uint8_t) ~(sum >> 8);
    checksum[1] = (uint8_t)~sum;
    if (checksum[0] == 0 && checksum[1] == 0)
        checksum[0] = checksum[1] = 0xff;
}

/* The frame, at least ECHO_FRAME_MIN octets, back to where it came from; UDP without a checksum. */
static inline __attribute__((always_inline)) void echo_turn(uint8_t *frame)
{
    echo_swap(frame, 6);
    echo_swap(frame + ECHO_ADDRESSES, 4);
    echo_swap(frame + ECHO_PORTS, 2);
    frame[ECHO_UDP_CHECKSUM] = frame[ECHO_UDP_CHECKSUM + 1] = 0;
    frame[ECHO_UDP_FLAGS] |= ECHO_QR_AA;
}

/* Whether the frame was a query and is its response now. */
static inline int echo_answer(uint8_t *frame, uint32_t len)
{
    if (len < ECHO_FRAME_MIN)
        return 0;
    if (!echo_is_ipv6(frame))
        echo_turn(frame);
    else if (len >= ECHO_FRAME_MIN + ECHO_IPV6_SHIFT)
        echo_turn_ipv6(frame);
    else
        return 0;
    return 1;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * echo.h - what the programs here do instead of DNS: a query goes back as its own response.
 *
 * They are the least that a server with this kind of I/O can cost. IPv4 without options, UDP, port
 * 53; only for namespaces of a benchmark.
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

/* The frame, at least ECHO_FRAME_MIN octets, back to where it came from; UDP without a checksum. */
static inline __attribute__((always_inline)) void echo_turn(uint8_t *frame)
{
    echo_swap(frame, 6);
    echo_swap(frame + ECHO_ADDRESSES, 4);
    echo_swap(frame + ECHO_PORTS, 2);
    frame[ECHO_UDP_CHECKSUM] = frame[ECHO_UDP_CHECKSUM + 1] = 0;
    frame[ECHO_UDP_FLAGS] |= ECHO_QR_AA;
}

#endif

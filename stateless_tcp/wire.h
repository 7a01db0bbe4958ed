/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.h - numbers in network order. Only the files that parse and write include this.
 */
#ifndef STATELESS_TCP_WIRE_H
#define STATELESS_TCP_WIRE_H

#include <stdint.h>

static inline uint16_t wire_load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_load_be32(const uint8_t *p)
{
    return (uint32_t)wire_load_be16(p) << 16 | wire_load_be16(p + 2);
}

static inline void wire_store_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void wire_store_be32(uint8_t *p, uint32_t value)
{
    wire_store_be16(p, (uint16_t)(value >> 16));
    wire_store_be16(p + 2, (uint16_t)value);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dice.h - numbers for random frames: the same seed, the same numbers.
 */
#ifndef TEST_UNIT_DICE_H
#define TEST_UNIT_DICE_H

#include <stdint.h>

static uint32_t dice_state;

static inline void dice_begin(uint32_t seed)
{
    dice_state = seed * 2654435761u + 1;
}

static inline uint32_t any(void)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 17;
    dice_state ^= dice_state << 5;
    return dice_state;
}

static inline uint32_t below(uint32_t bound)
{
    return (any() >> 8) % bound;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * train.h - the frames that answer one frame, in the order in which they are to be sent.
 */
#ifndef STATELESS_TCP_TRAIN_H
#define STATELESS_TCP_TRAIN_H

#include <stdint.h>

/* 65,537 octets of stream in segments of 512, an ACK before, a FIN after, and room to spare. */
#define TRAIN_FRAMES_MAX 160

/* The caller owns `octets`; frame i begins where frame i - 1 ended. */
struct train {
    uint8_t *octets;
    uint32_t cap;
    uint32_t len;
    uint32_t frame_count;
    uint16_t frame_len[TRAIN_FRAMES_MAX];
};

/* Enough for the longest train with the largest headers. */
#define TRAIN_CAP (65537u + TRAIN_FRAMES_MAX * 160u)

#endif

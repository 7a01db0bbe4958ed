/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A buffer begins where a message does:
 *
 *     octets  [ part of a message ][ missing ][ ahead ][ missing ][ ahead ]
 *               len, in order
 *     seq   ---^                  ^--- rcv
 */
#include "tools/bench/raw_tcp.h"

#include "stateless_tcp/wire.h"

#include <string.h>

/* a is before b, as sequence numbers go (RFC 9293 3.4) */
static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* Hand over whole messages; returns how many octets they took. */
static size_t take_messages(const uint8_t *octets, size_t len, raw_message *message, void *context)
{
    size_t at = 0;
    while (len - at >= 2) {
        size_t message_len = wire_load_be16(octets + at);
        if (len - at - 2 < message_len)
            break;
        message(context, octets + at + 2, message_len);
        at += 2 + message_len;
    }
    return at;
}

/* Remember that [left, right) is there, joined with what it touches; it becomes the first. */
static void add_ahead(struct raw_buffer *buffer, uint32_t left, uint32_t right)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < buffer->ahead_count; i++) {
        struct packet_sack range = buffer->ahead[i];
        if (is_before(right, range.left) || is_before(range.right, left)) {
            buffer->ahead[kept++] = range;
            continue;
        }
        if (is_before(range.left, left))
            left = range.left;
        if (is_before(right, range.right))
            right = range.right;
    }
    /* one too many: the oldest is forgotten, and will be sent again */
    if (kept == RAW_AHEAD_MAX)
        kept--;
    memmove(buffer->ahead + 1, buffer->ahead, kept * sizeof buffer->ahead[0]);
    buffer->ahead[0] = (struct packet_sack){.left = left, .right = right};
    buffer->ahead_count = kept + 1;
}

/* What is now in order thanks to what was ahead. */
static void join_ahead(struct raw_buffer *buffer, uint32_t *rcv)
{
    for (uint32_t i = 0; i < buffer->ahead_count;) {
        struct packet_sack range = buffer->ahead[i];
        if (is_before(*rcv, range.left)) {
            i++;
            continue;
        }
        if (is_before(*rcv, range.right))
            *rcv = range.right;
        buffer->ahead[i] = buffer->ahead[--buffer->ahead_count];
        i = 0;
    }
}

/* Copy into the buffer; false: it would be beyond its end. */
static bool store(struct raw_buffer *buffer, uint32_t seq, const uint8_t *payload, size_t len)
{
    uint32_t offset = seq - buffer->seq;
    if (offset > RAW_BUFFER_CAP || len > RAW_BUFFER_CAP - offset)
        return false;
    memcpy(buffer->octets + offset, payload, len);
    return true;
}

static void consume(struct raw_buffer *buffer, uint32_t rcv, raw_message *message, void *context)
{
    buffer->len = rcv - buffer->seq;
    size_t taken = take_messages(buffer->octets, buffer->len, message, context);
    if (taken == 0)
        return;
    size_t end = buffer->len;
    for (uint32_t i = 0; i < buffer->ahead_count; i++)
        if (buffer->ahead[i].right - buffer->seq > end)
            end = buffer->ahead[i].right - buffer->seq;
    memmove(buffer->octets, buffer->octets + taken, end - taken);
    buffer->seq += (uint32_t)taken;
    buffer->len -= (uint32_t)taken;
}

enum raw_stream_outcome raw_stream_take(uint32_t *rcv, struct raw_buffer **buffer,
                                        struct raw_buffer *(*get)(void *context), uint32_t seq,
                                        const uint8_t *payload, size_t payload_len,
                                        raw_message *message, void *context)
{
    if (is_before(seq, *rcv)) {
        uint32_t known = *rcv - seq;
        if (payload_len <= known)
            return RAW_STREAM_OLD;
        payload += known;
        payload_len -= known;
        seq = *rcv;
    }
    bool is_in_order = seq == *rcv;
    if (is_in_order && *buffer == NULL) {
        size_t taken = take_messages(payload, payload_len, message, context);
        *rcv += (uint32_t)taken;
        if (taken == payload_len)
            return RAW_STREAM_IN_ORDER;
        payload += taken;
        payload_len -= taken;
        seq = *rcv;
    }
    if (*buffer == NULL) {
        *buffer = get(context);
        if (*buffer == NULL)
            return RAW_STREAM_OUT_OF_ORDER;
        (*buffer)->seq = *rcv;
        (*buffer)->len = (*buffer)->ahead_count = 0;
    }
    if (!store(*buffer, seq, payload, payload_len))
        return RAW_STREAM_OUT_OF_ORDER;
    if (!is_in_order) {
        add_ahead(*buffer, seq, seq + (uint32_t)payload_len);
        return RAW_STREAM_OUT_OF_ORDER;
    }
    *rcv += (uint32_t)payload_len;
    join_ahead(*buffer, rcv);
    consume(*buffer, *rcv, message, context);
    return RAW_STREAM_IN_ORDER;
}

bool raw_stream_is_empty(const struct raw_buffer *buffer)
{
    return buffer->len == 0 && buffer->ahead_count == 0;
}

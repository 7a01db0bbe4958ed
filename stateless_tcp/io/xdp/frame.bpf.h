/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frame.bpf.h - TCP segments without data read out of a frame, and answered in its place: what
 * packet.c does, as BPF's verifier wants it. For tcp.bpf.h, and other programs of that kind.
 *
 * Nothing here is believed without looking at the end of the frame, even where the caller knows
 * better. Numbers that are only added up or exchanged keep the order in which they lie in memory.
 */
#ifndef STATELESS_TCP_IO_XDP_FRAME_BPF_H
#define STATELESS_TCP_IO_XDP_FRAME_BPF_H

#include "stateless_tcp/io/xdp/driver.h"
#include "stateless_tcp/numbers.h"
#include "stateless_tcp/packet.h"

#define DRIVER_INLINE static inline __attribute__((always_inline))

/* A step that the verifier looks at once, by itself, with any arguments: they may be NULL there. */
#ifdef __bpf__
#define DRIVER_STEP __attribute__((noinline))
#else
#define DRIVER_STEP static inline
#endif

/* What is in memory is to be read again, as unknown to the verifier. */
#define DRIVER_FORGET() __asm__ volatile("" ::: "memory")

enum {
    DRIVER_HEADER_WORDS = 15, /* the longest TCP header */
    DRIVER_DATA_MAX = 512,    /* octets of data that are added up here: a request is shorter */
    DRIVER_OPTIONS_MAX = 12,  /* options, paddings among them; real clients have eight at most */
    DRIVER_TIMESTAMPS_ALONE = 0x0101080a, /* the first four octets of the usual twelve */
};

/* ---- memory: unaligned at will where the verifier checks it ---- */

DRIVER_INLINE uint32_t driver_load32(const uint8_t *at)
{
#ifdef __bpf__
    return *(const uint32_t *)at;
#else
    uint32_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
#endif
}

DRIVER_INLINE uint64_t driver_load64(const uint8_t *at)
{
#ifdef __bpf__
    return *(const uint64_t *)at;
#else
    uint64_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
#endif
}

DRIVER_INLINE uint16_t driver_load16(const uint8_t *at)
{
#ifdef __bpf__
    return *(const uint16_t *)at;
#else
    uint16_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
#endif
}

DRIVER_INLINE void driver_store32(uint8_t *at, uint32_t value)
{
#ifdef __bpf__
    *(uint32_t *)at = value;
#else
    __builtin_memcpy(at, &value, sizeof value);
#endif
}

DRIVER_INLINE void driver_store64(uint8_t *at, uint64_t value)
{
#ifdef __bpf__
    *(uint64_t *)at = value;
#else
    __builtin_memcpy(at, &value, sizeof value);
#endif
}

DRIVER_INLINE void driver_store16(uint8_t *at, uint16_t value)
{
#ifdef __bpf__
    *(uint16_t *)at = value;
#else
    __builtin_memcpy(at, &value, sizeof value);
#endif
}

/* Between the machine's order and the network's, either way. */
DRIVER_INLINE uint32_t driver_be32(uint32_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(value) : value;
}

/* RFC 1071; `sum` of words in the order in which they lie in memory, and so is the result. */
DRIVER_INLINE uint16_t driver_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* ---- what came ---- */

struct driver_segment {
    /* The TCP header; zeros follow, and what is behind it if that is data. */
    uint32_t words[DRIVER_HEADER_WORDS];
    uint32_t addresses[8]; /* the sender's, then ours; as they lie in memory */
    uint32_t header_len, data_len;
    uint32_t option_at; /* of the option that is read now */
    uint32_t seq, ack;
    uint8_t family;
    uint8_t flags;
    uint16_t mss; /* and the options as in struct packet */
    bool has_sack_permitted, has_timestamps, has_fast_open;
    uint32_t timestamp_value, timestamp_echo;
};

enum driver_parsed {
    DRIVER_PARSED,
    DRIVER_MALFORMED, /* packet_parse() drops it */
    DRIVER_UNREAD,    /* it may be good */
};

/* All of the header, octet by octet after the fixed part. Beyond its end there are zeros. */
DRIVER_INLINE bool driver_read_header(const uint8_t *tcp, const uint8_t *end,
                                      struct driver_segment *segment)
{
    if (tcp + PACKET_TCP_HEADER_LEN > end)
        return false;
    uint32_t header_len = (uint32_t)(tcp[12] >> 4) * 4;
#pragma GCC unroll 15
    for (unsigned i = 0; i < DRIVER_HEADER_WORDS; i++) {
        segment->words[i] = 0;
        if (4 * i >= header_len)
            continue;
        if (tcp + 4 * i + 4 > end)
            return false;
        segment->words[i] = driver_load32(tcp + 4 * i);
    }
    segment->header_len = header_len;
    segment->seq = driver_be32(segment->words[1]);
    segment->ack = driver_be32(segment->words[2]);
    return true;
}

/* Four octets at `at` of the header, at whatever place they begin. */
DRIVER_INLINE uint32_t driver_header_be32(const uint8_t *header, uint32_t at)
{
    if (at > 4 * DRIVER_HEADER_WORDS - 4) /* never: for the verifier */
        return 0;
    return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 |
           (uint32_t)header[at + 2] << 8 | header[at + 3];
}

/* One option with a length, as in parse_tcp_options() in packet.c. */
DRIVER_INLINE void driver_read_option(const uint8_t *header, uint32_t at, uint32_t option_len,
                                      struct driver_segment *segment)
{
    uint32_t kind = header[at];
    if (kind == OPTION_MSS && option_len == 4) {
        segment->mss = (uint16_t)driver_header_be32(header, at);
    } else if (kind == OPTION_SACK_PERMITTED && option_len == 2) {
        segment->has_sack_permitted = true;
    } else if (kind == OPTION_TIMESTAMPS && option_len == 10) {
        segment->has_timestamps = true;
        segment->timestamp_value = driver_header_be32(header, at + 2);
        segment->timestamp_echo = driver_header_be32(header, at + 6);
    } else if (kind == OPTION_FAST_OPEN) {
        segment->has_fast_open = true;
    }
}

/* Whether there is but one, in the usual place. */
DRIVER_INLINE bool driver_read_timestamps(struct driver_segment *segment)
{
    if (segment->header_len != PACKET_TCP_HEADER_LEN + PACKET_TCP_TIMESTAMPS_OPTION_LEN ||
        segment->words[5] != driver_be32(DRIVER_TIMESTAMPS_ALONE))
        return false;
    segment->has_timestamps = true;
    segment->timestamp_value = driver_be32(segment->words[6]);
    segment->timestamp_echo = driver_be32(segment->words[7]);
    return true;
}

/* All of them. */
DRIVER_STEP enum driver_parsed driver_read_options(struct driver_segment *segment)
{
    if (segment == NULL)
        return DRIVER_UNREAD;
    const uint8_t *header = (const uint8_t *)segment->words;
    segment->option_at = PACKET_TCP_HEADER_LEN;
    for (unsigned count = 0; count < DRIVER_OPTIONS_MAX; count++) {
        DRIVER_FORGET();
        uint32_t at = segment->option_at, len = segment->header_len;
        if (at >= len || at > 4 * DRIVER_HEADER_WORDS - 1 || header[at] == 0)
            return DRIVER_PARSED;
        if (header[at] == 1) {
            segment->option_at = at + 1;
            continue;
        }
        if (at + 2 > len || at > 4 * DRIVER_HEADER_WORDS - 2)
            return DRIVER_MALFORMED;
        uint32_t option_len = header[at + 1];
        if (option_len < 2 || option_len > len - at)
            return DRIVER_MALFORMED;
        driver_read_option(header, at, option_len, segment);
        segment->option_at = at + option_len;
    }
    return segment->option_at >= segment->header_len ? DRIVER_PARSED : DRIVER_UNREAD;
}

/* The addresses; for IPv4 the second to fourth word of each is zero. */
DRIVER_INLINE bool driver_read_addresses(const uint8_t *ip, const uint8_t *end,
                                         struct driver_segment *segment)
{
    if (segment->family == 4) {
        if (ip + PACKET_IPV4_HEADER_LEN > end)
            return false;
        segment->addresses[0] = driver_load32(ip + 12);
        segment->addresses[4] = driver_load32(ip + 16);
#pragma GCC unroll 3
        for (unsigned i = 1; i < 4; i++)
            segment->addresses[i] = segment->addresses[4 + i] = 0;
        return true;
    }
    if (ip + PACKET_IPV6_HEADER_LEN > end)
        return false;
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++)
        segment->addresses[i] = driver_load32(ip + 8 + 4 * i);
    return true;
}

/* ---- checksums ---- */

/* The same for either direction. */
DRIVER_INLINE uint64_t driver_sum_pseudo_header(const struct driver_segment *segment,
                                                uint32_t protocol, uint32_t len)
{
    uint64_t sum = (uint64_t)driver_be32(len) + driver_be32(protocol);
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++)
        sum += segment->addresses[i];
    return sum;
}

/* Add `len` octets, DRIVER_DATA_MAX at most. False: they are not there. */
DRIVER_INLINE bool driver_sum_data(const uint8_t *at, const uint8_t *end, uint32_t len,
                                   uint64_t *sum)
{
    uint8_t tail[4] = {0};
    for (unsigned i = 0; i < DRIVER_DATA_MAX / 4 && len >= 4; i++, at += 4, len -= 4) {
        if (at + 4 > end)
            return false;
        *sum += driver_load32(at);
        __asm__ volatile("" : "+r"(at)); /* else clang reckons with ~at, which no verifier takes */
    }
#pragma GCC unroll 3
    for (unsigned i = 0; i < 3 && i < len; i++) {
        if (at + i + 1 > end)
            return false;
        tail[i] = at[i];
    }
    *sum += driver_load32(tail);
    return len < 4;
}

/* is_transport_sum_good() in packet.c. `data_sum`: of the segment's data. */
DRIVER_INLINE bool driver_is_sum_right(const struct driver_segment *segment, uint64_t data_sum,
                                       uint8_t policy)
{
    uint32_t len = segment->header_len + segment->data_len;
    uint64_t pseudo = driver_sum_pseudo_header(segment, PROTOCOL_TCP, len), sum = pseudo + data_sum;
    if (policy == PACKET_CHECKSUM_NEVER)
        return true;
#pragma GCC unroll 15
    for (unsigned i = 0; i < DRIVER_HEADER_WORDS; i++)
        sum += segment->words[i];
    if (driver_fold(sum) == 0xffff)
        return true;
    uint16_t field = (uint16_t)(driver_be32(segment->words[4]) >> 16);
    uint16_t left_to_hardware = driver_fold(pseudo);
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        left_to_hardware = __builtin_bswap16(left_to_hardware);
    return policy == PACKET_CHECKSUM_AUTO && field == left_to_hardware;
}

/* The same. `tcp`: the segment in the frame. */
DRIVER_INLINE bool driver_is_sum_good(const struct driver_segment *segment, const uint8_t *tcp,
                                      const uint8_t *end, uint8_t policy)
{
    uint64_t sum = 0;
    if (policy == PACKET_CHECKSUM_NEVER)
        return true;
    if (segment->data_len > 0 &&
        !driver_sum_data(tcp + (segment->header_len & 0x3c), end, segment->data_len, &sum))
        return false;
    return driver_is_sum_right(segment, sum, policy);
}

/* ---- answers: packet_reply_tcp(), in place ---- */

/* Four octets more of an answer. False: beyond the frame, which never happens. */
DRIVER_INLINE bool driver_put(uint8_t **at, const uint8_t *end, uint32_t word, uint64_t *sum)
{
    uint8_t *to = *at;
    if (to + 4 > end)
        return false;
    driver_store32(to, word);
    *sum += word;
    *at = to + 4;
    return true;
}

DRIVER_INLINE uint32_t driver_reply_len(const struct packet_segment *reply)
{
    uint32_t len = PACKET_TCP_HEADER_LEN + (reply->mss ? PACKET_TCP_MSS_OPTION_LEN : 0);
    if (reply->has_timestamps)
        return len + PACKET_TCP_TIMESTAMPS_OPTION_LEN;
    return len + (reply->has_sack_permitted ? 4 : 0);
}

/* `data_sum`: of the `data_len` octets of data behind the header, which the caller puts there. */
DRIVER_INLINE bool driver_put_tcp(uint8_t *tcp, const uint8_t *end, uint32_t header_len,
                                  const struct driver_segment *segment,
                                  const struct packet_segment *reply, uint32_t data_len,
                                  uint64_t data_sum)
{
    uint64_t sum =
        driver_sum_pseudo_header(segment, PROTOCOL_TCP, header_len + data_len) + data_sum;
    uint32_t ports = segment->words[0];
    uint32_t aligning = reply->has_sack_permitted ? 0x04020000 : 0x01010000;
    uint8_t *at = tcp;
    bool is_put =
        driver_put(&at, end, ports << 16 | ports >> 16, &sum) &&
        driver_put(&at, end, driver_be32(reply->seq), &sum) &&
        driver_put(&at, end, driver_be32(reply->ack), &sum) &&
        driver_put(&at, end,
                   driver_be32(header_len << 26 | (uint32_t)reply->flags << 16 | reply->window),
                   &sum) &&
        driver_put(&at, end, 0, &sum);
    if (reply->mss)
        is_put = is_put && driver_put(&at, end, driver_be32(0x02040000 | reply->mss), &sum);
    if (reply->has_timestamps)
        is_put = is_put && driver_put(&at, end, driver_be32(aligning | 0x080a), &sum) &&
                 driver_put(&at, end, driver_be32(reply->timestamp_value), &sum) &&
                 driver_put(&at, end, driver_be32(reply->timestamp_echo), &sum);
    else if (reply->has_sack_permitted)
        is_put = is_put && driver_put(&at, end, driver_be32(aligning | 0x0101), &sum);
    if (!is_put || tcp + PACKET_TCP_HEADER_LEN > end)
        return false;
    driver_store16(tcp + 16, (uint16_t)~driver_fold(sum));
    return true;
}

DRIVER_INLINE bool driver_put_ipv4(uint8_t *ip, const uint8_t *end, uint32_t protocol, uint32_t len,
                                   const struct driver_segment *segment)
{
    if (ip + PACKET_IPV4_HEADER_LEN > end)
        return false;
    uint64_t sum = 0;
    uint8_t *at = ip;
    bool is_put =
        driver_put(&at, end, driver_be32(0x45u << 24 | (PACKET_IPV4_HEADER_LEN + len)), &sum) &&
        driver_put(&at, end, driver_be32(0x4000), &sum) && /* do not fragment */
        driver_put(&at, end, driver_be32(64u << 24 | protocol << 16), &sum) &&
        driver_put(&at, end, segment->addresses[4], &sum) &&
        driver_put(&at, end, segment->addresses[0], &sum);
    driver_store16(ip + 10, (uint16_t)~driver_fold(sum));
    return is_put;
}

DRIVER_INLINE bool driver_put_ipv6(uint8_t *ip, const uint8_t *end, uint32_t protocol, uint32_t len,
                                   const struct driver_segment *segment)
{
    if (ip + PACKET_IPV6_HEADER_LEN > end)
        return false;
    uint32_t flow_label = driver_be32(driver_load32(ip)) & 0xfffff;
    driver_store32(ip, driver_be32(6u << 28 | flow_label));
    driver_store32(ip + 4, driver_be32(len << 16 | protocol << 8 | 64));
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++)
        driver_store32(ip + 8 + 4 * i, segment->addresses[(i + 4) % 8]);
    return true;
}

/* Everything before the transport header, which has `len` octets with what follows it. */
DRIVER_INLINE bool driver_put_before(uint8_t *data, const uint8_t *end,
                                     const struct driver_frame *frame,
                                     const struct driver_segment *segment, uint32_t protocol,
                                     uint32_t len)
{
    uint8_t *ip = data + (frame->ip_at & 0x3f);
    if (data + 12 > end)
        return false;
    bool is_put = frame->family == 4 ? driver_put_ipv4(ip, end, protocol, len, segment)
                                     : driver_put_ipv6(ip, end, protocol, len, segment);
#pragma GCC unroll 3
    for (unsigned i = 0; i < 6; i += 2) {
        uint16_t to = driver_load16(data + i);
        driver_store16(data + i, driver_load16(data + 6 + i));
        driver_store16(data + 6 + i, to);
    }
    return is_put;
}

/* Overwrite the frame with the answer. Returns its length; 0: no room, which never happens. */
DRIVER_INLINE uint32_t driver_put_frame(uint8_t *data, const uint8_t *end,
                                        const struct driver_frame *frame,
                                        const struct driver_segment *segment,
                                        const struct packet_segment *reply)
{
    uint32_t len = driver_reply_len(reply);
    if (len > segment->header_len + segment->data_len ||
        !driver_put_before(data, end, frame, segment, PROTOCOL_TCP, len) ||
        !driver_put_tcp(data + (frame->tcp_at & 0x7f), end, len, segment, reply, 0, 0))
        return 0;
    return frame->tcp_at + len;
}

#endif

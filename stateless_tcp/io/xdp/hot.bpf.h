/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hot.bpf.h - UDP answers given again by the XDP program, without waking user space.
 *
 * respond() is a pure function of the octets of a request, the snapshot and the policy, and but for
 * the ID, which it repeats, of nothing else: not of who asks. So whoever sends the same octets but
 * for the ID gets the same octets but for the ID. That is all there is to prove, and nothing of DNS
 * is known here: the key is the request as it came, letter case and EDNS options included.
 *
 * FRESH. User space gives a lease: "answers of version v are right until then", some milliseconds
 * ahead, after it has looked whether the snapshot is still the newest; each answer bears the
 * version that it was made in. A commit makes all of them stale at once, and without user space
 * there are none.
 */
#ifndef STATELESS_TCP_IO_XDP_HOT_BPF_H
#define STATELESS_TCP_IO_XDP_HOT_BPF_H

#include "stateless_tcp/io/xdp/tcp.bpf.h"
#include "stateless_tcp/io/xdp/udp.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, DRIVER_HOT_ANSWERS); /* one where nobody wants any */
    __type(key, uint32_t);
    __type(value, struct driver_hot_answer);
} driver_hot_answers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct driver_hot_lease);
} driver_hot_leases SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct driver_hot_request);
} driver_hot_requests SEC(".maps");

/* The request behind its ID, `at`, of `len` octets. */
static __always_inline bool driver_hot_read(const uint8_t *at, const uint8_t *end, uint32_t len,
                                            struct driver_hot_request *request)
{
    const unsigned word_count = DRIVER_HOT_REQUEST_MAX / 8;
    request->words[word_count] = len;
#pragma GCC unroll 15
    for (unsigned i = 0; i < word_count; i++) {
        request->words[i] = 0;
        if (8 * i + 8 > len)
            continue;
        if (at + 8 * i + 8 > end)
            return false;
        request->words[i] = *(const uint64_t *)(at + 8 * i);
    }
    uint32_t whole = len & ~7u;
    const uint8_t *rest = at + (whole & 0x7f);
    uint8_t *to = (uint8_t *)request->words;
#pragma GCC unroll 7
    for (unsigned i = 0; i < 7; i++) {
        uint32_t place = whole + i;
        if (place >= len || place >= DRIVER_HOT_REQUEST_MAX)
            break;
        if (rest + i + 1 > end)
            return false;
        to[place] = rest[i];
    }
    return true;
}

/* RFC 1071. */
static __always_inline uint64_t driver_hot_sum(const struct driver_hot_request *request)
{
    uint64_t sum = 0;
#pragma GCC unroll 15
    for (unsigned i = 0; i < DRIVER_HOT_REQUEST_MAX / 8; i++) {
        DRIVER_FORGET(); /* else all words wait on the stack */
        sum += (request->words[i] & 0xffffffff) + (request->words[i] >> 32);
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

/* `len` octets of the response, to `to`. */
static __always_inline bool driver_hot_put(uint8_t *to, const uint8_t *end,
                                           const struct driver_hot_answer *answer, uint32_t len)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < DRIVER_HOT_RESPONSE_MAX / 8 && at + 8 <= len; i++) {
        if (to + 8 > end)
            return false;
        *(uint64_t *)to = *(const uint64_t *)(answer->response + 8 * i);
        to += 8;
        at += 8;
        __asm__ volatile("" : "+r"(to)); /* as in driver_sum_data() */
    }
#pragma GCC unroll 7
    for (unsigned i = 0; i < 7; i++) {
        if (at + i >= len || at + i >= DRIVER_HOT_RESPONSE_MAX)
            break;
        if (to + i + 1 > end)
            return false;
        to[i] = answer->response[at + i];
    }
    return true;
}

/* The frame has the answer's length by now. */
static __always_inline bool driver_hot_put_frame(uint8_t *data, const uint8_t *end,
                                                 const struct driver_work *work,
                                                 const struct driver_hot_answer *answer,
                                                 uint32_t len)
{
    uint8_t *id = data + (work->frame.tcp_at & 0x7f) + PACKET_UDP_HEADER_LEN;
    if (id + 2 > end)
        return false;
    uint64_t sum = (uint64_t)driver_load16(id) + answer->sum;
    return driver_udp_put(data, end, &work->frame, &work->segment, 10 + len, sum) &&
           driver_hot_put(id + 2, end, answer, len);
}

/* What is read before is read before what is read behind. */
static __always_inline void driver_hot_fence(struct driver_work *work)
{
#ifdef __x86_64__
    (void)work;
    __asm__ volatile("" ::: "memory");
#else
    __sync_fetch_and_add(&work->fence, 1);
#endif
}

static __always_inline bool driver_hot_is_same(const struct driver_hot_request *a,
                                               const struct driver_hot_request *b)
{
    uint64_t differing = 0;
#pragma GCC unroll 16
    for (unsigned i = 0; i < sizeof(a->words) / sizeof(a->words[0]); i++)
        differing |= a->words[i] ^ b->words[i];
    return differing == 0;
}

/* The answer to the request in the frame, if it is known; *sequence_out is what it was by then. */
static __always_inline const struct driver_hot_answer *
driver_hot_find(const uint8_t *data, const uint8_t *end, const struct driver_config *config,
                struct driver_work *work, uint32_t *sequence_out)
{
    uint32_t key = 0, ip_at = work->frame.ip_at & 0x3f, udp_at = work->frame.tcp_at & 0x7f;
    const struct driver_hot_lease *lease = bpf_map_lookup_elem(&driver_hot_leases, &key);
    struct driver_hot_request *request = bpf_map_lookup_elem(&driver_hot_requests, &key);
    const uint8_t *udp = data + udp_at;
    if (!lease || !request || udp + 10 > end)
        return NULL;
    uint32_t len = driver_be32(driver_load32(udp + 4)) >> 16;
    if (len <= 10 || len > 10 + DRIVER_HOT_REQUEST_MAX || udp_at + len > work->frame.end_at ||
        !driver_hot_read(udp + 10, end, len - 10, request))
        return NULL;
    uint32_t place = driver_hot_place(driver_hot_mix(request));
    const struct driver_hot_answer *answer = bpf_map_lookup_elem(&driver_hot_answers, &place);
    if (!answer)
        return NULL;
    *sequence_out = *(const volatile uint32_t *)&answer->sequence;
    driver_hot_fence(work);
    if ((*sequence_out & 1) != 0 || !driver_hot_is_same(&answer->request, request) ||
        answer->version != lease->version || bpf_ktime_get_ns() >= lease->until_ns)
        return NULL;
    work->segment.family = work->frame.family;
    uint64_t sum = (uint64_t)driver_load16(udp + 8) + driver_hot_sum(request);
    if (!driver_read_addresses(data + ip_at, end, &work->segment) ||
        !driver_udp_is_sum_good(udp, end, &work->segment, sum, len, config->checksum_policy))
        return NULL;
    return answer;
}

/* Answer the datagram of which driver_works tells. On a stack of its own. */
DRIVER_STEP enum driver_verdict driver_hot(struct xdp_md *ctx, const struct driver_config *config)
{
    uint8_t *data = (uint8_t *)(long)ctx->data, *end = (uint8_t *)(long)ctx->data_end;
    uint32_t key = 0, sequence = 0;
    struct driver_work *work = bpf_map_lookup_elem(&driver_works, &key);
    if (!work || !config)
        return DRIVER_CLIMB;
    const struct driver_hot_answer *answer = driver_hot_find(data, end, config, work, &sequence);
    if (!answer)
        return DRIVER_CLIMB;
    uint32_t len = answer->len;
    uint32_t front_len = (work->frame.tcp_at & 0x7f) + 10;
    if (len > DRIVER_HOT_RESPONSE_MAX || !driver_udp_has_room(config, &work->frame, 2 + len))
        return DRIVER_CLIMB;
    enum driver_verdict verdict = driver_resize(ctx, front_len + len, front_len);
    if (verdict != DRIVER_TX)
        return verdict;
    data = (uint8_t *)(long)ctx->data;
    end = (uint8_t *)(long)ctx->data_end;
    bool is_put = driver_hot_put_frame(data, end, work, answer, len);
    driver_hot_fence(work);
    /* Was it another's meanwhile, its frame is lost, and it will ask again. */
    if (!is_put || *(const volatile uint32_t *)&answer->sequence != sequence)
        return DRIVER_DROP;
    driver_count(DRIVER_COUNT_HOT);
    return DRIVER_TX;
}

#endif

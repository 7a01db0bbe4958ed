/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/driver_front.h"

#include "stateless_tcp/io/xdp/resize.bpf.h"
#include "stateless_tcp/io/xdp/tcp.bpf.h"
#include "test/must.h"

struct driver_config driver_front_config(const struct stateless_tcp_config *config,
                                         const struct stateless_tcp_keys *keys)
{
    return (struct driver_config){
        .keys = *keys,
        .mss = config->mss,
        .segment_size = config->segment_size,
        .burst = config->burst,
        .checksum_policy = (uint8_t)config->checksum_policy,
        .profile = (uint8_t)config->profile,
        .has_stale_reset = config->has_stale_reset,
        .has_fast_open = config->has_fast_open,
        .is_answering = true,
    };
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] * 256 + p[1];
}

/* What the program's main promises of a frame (driver.h). Whether packet_parse() takes it does not
 * depend on options, nor on TCP's checksum. */
static bool find(const struct packet_endpoint *endpoints, size_t endpoint_count,
                 const uint8_t *frame, size_t len, struct driver_frame *found_out)
{
    static uint8_t copy[1 << 16];
    struct packet packet;
    size_t ip_at = 14;
    if (len > DRIVER_FRAME_MAX || len < 14)
        return false;
    while (ip_at <= 22 && ip_at + 20 <= len &&
           (get16(frame + ip_at - 2) == 0x8100 || get16(frame + ip_at - 2) == 0x88a8))
        ip_at += 4;
    if (ip_at + 20 > len)
        return false;
    bool is_v4 = get16(frame + ip_at - 2) == 0x0800;
    size_t tcp_at = ip_at + (is_v4 ? 20 : 40);
    if (tcp_at + 20 > len || (is_v4 ? frame[ip_at] != 0x45 : frame[ip_at + 6] != 6))
        return false;
    memcpy(copy, frame, len);
    copy[tcp_at + 12] = 0x50;
    if (packet_parse(copy, len, true, PACKET_CHECKSUM_AUTO, &packet) != PACKET_TCP ||
        (endpoint_count > 0 && !packet_is_for(&packet, endpoints, endpoint_count)))
        return false;
    size_t header_len = (frame[tcp_at + 12] >> 4) * 4u;
    if (header_len < 20 || tcp_at + header_len > ip_at + packet.ip_len)
        return false;
    *found_out = (struct driver_frame){.family = packet.source.family,
                                       .ip_at = (uint16_t)ip_at,
                                       .tcp_at = (uint16_t)tcp_at,
                                       .end_at = (uint16_t)(ip_at + packet.ip_len)};
    return true;
}

/* Four octets at a time, as if zeros followed. */
static uint64_t sum_of(const uint8_t *octets, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i += 4) {
        uint8_t word[4] = {0};
        memcpy(word, octets + i, len - i < 4 ? len - i : 4);
        sum += driver_load32(word);
    }
    return sum;
}

/* The second program, */
static enum driver_verdict go_on(const struct driver_config *driver, struct driver_work *work,
                                 const struct driver_front_known *known, uint8_t *frame,
                                 size_t *frame_len)
{
    /* On some interfaces there is room behind a frame, on some in front of it only. */
    static uint8_t room[3 * DRIVER_CHUNK_LEN];
    uint8_t *at = room + DRIVER_CHUNK_LEN, *end = at + *frame_len;
    bool is_behind = work->segment.seq % 4 != 0;
    struct driver_context ctx = {at, end, room, is_behind ? at + DRIVER_CHUNK_LEN : end};
    memcpy(at, frame, *frame_len);
    memset(end, 0xa5, DRIVER_CHUNK_LEN);
    enum driver_verdict verdict = known->next(&ctx, driver, work);
    if (verdict == DRIVER_TX || verdict == DRIVER_CLIMB) {
        *frame_len = (size_t)(ctx.data_end - ctx.data);
        memcpy(frame, ctx.data, *frame_len);
    }
    return verdict;
}

/* or with a response from elsewhere. */
static enum driver_verdict answer_request(const struct driver_config *driver,
                                          struct driver_work *work,
                                          const struct driver_front_known *known, uint8_t *frame,
                                          size_t *frame_len)
{
    static uint8_t response[1 << 16];
    uint32_t request_len = 0;
    uint32_t at = driver_request_find(frame, frame + *frame_len, work, &request_len);
    if (at == 0)
        return DRIVER_CLIMB;
    MUST(at + request_len <= *frame_len);
    if (!driver_request_is_sum_good(work, driver, sum_of(frame + at, request_len)))
        return DRIVER_CLIMB;
    size_t len = known->respond(frame + at, request_len, response);
    if (len == 0 || len + LENGTH_LEN > work->decision.room)
        return DRIVER_CLIMB;
    memcpy(frame + at, response, len);
    *frame_len = at + len;
    MUST(driver_request_put(frame, frame + *frame_len, work, (uint32_t)len, sum_of(response, len)));
    if (known->notes != NULL)
        driver_request_note(work, (uint32_t)len, known->snapshot,
                            &known->notes[recent_note_place(work->decision.place.connection)]);
    return DRIVER_TX;
}

enum driver_verdict driver_front(const struct stateless_tcp_config *config,
                                 const struct stateless_tcp_keys *keys,
                                 const struct packet_endpoint *endpoints, size_t endpoint_count,
                                 const struct driver_front_known *known, uint8_t *frame,
                                 size_t *frame_len, enum driver_counter *counter_out)
{
    const struct driver_config driver = driver_front_config(config, keys);
    struct driver_frame found;
    struct driver_work work;
    uint32_t len = 0;
    if (!find(endpoints, endpoint_count, frame, *frame_len, &found))
        return DRIVER_CLIMB;
    memset(&work, 0xa5, sizeof work); /* what the frame before left there */
    enum driver_verdict verdict =
        driver_tcp_answer(frame, frame + *frame_len, &found, &driver, &work, &len, counter_out);
    if (verdict == DRIVER_TX)
        *frame_len = len;
    if (verdict == DRIVER_CLIMB && known != NULL && driver_is_undecided(&work.decision))
        verdict = known->next != NULL ? go_on(&driver, &work, known, frame, frame_len)
                                      : answer_request(&driver, &work, known, frame, frame_len);
    return verdict;
}

void driver_front_compare(const struct stateless_tcp_config *config,
                          const struct stateless_tcp_keys *keys,
                          const struct driver_front_known *known, const uint8_t *frame, size_t len,
                          const struct train *train)
{
    enum driver_counter counter;
    static uint8_t room[1 << 17], grown[1 << 17];
    MUST(len <= sizeof room);
    uint8_t *copy = room + sizeof room - len; /* so that one octet too many is noticed */
    memcpy(copy, frame, len);
    size_t copy_len = len;
    enum driver_verdict verdict =
        driver_front(config, keys, NULL, 0, NULL, copy, &copy_len, &counter);
    if (verdict == DRIVER_CLIMB && known != NULL) {
        MUST(copy_len == len && memcmp(copy, frame, len) == 0);
        copy = memcpy(grown, frame, len);
        verdict = driver_front(config, keys, NULL, 0, known, copy, &copy_len, &counter);
    }
    switch (verdict) {
    case DRIVER_CLIMB:
        MUST(copy_len == len && memcmp(copy, frame, len) == 0);
        break;
    case DRIVER_DROP:
        MUST(train->frame_count == 0);
        break;
    case DRIVER_TX:
        MUST(train->frame_count == 1 && train->len == copy_len);
        MUST(memcmp(copy, train->octets, copy_len) == 0);
        break;
    }
}

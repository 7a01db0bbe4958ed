/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_tail.h"

#include "stateless_tcp/framing.h"

#include <assert.h>
#include <string.h>

static_assert(RECENT_TAIL_MAX >= MODERN_WINDOW, "all that may come can be held");

/* Of a tail that is acknowledged, which leaves some window. */
#define ACKED_MAX 2048
static_assert(ACKED_MAX + MODERN_WINDOW / 10 < MODERN_WINDOW, "an acknowledged tail leaves window");

/* The data of `packet` behind `len` octets that are before it. */
static bool join(const struct packet *packet, const uint8_t *before, uint32_t len,
                 struct recent *recent, struct packet *joined_out)
{
    const uint8_t *whole = recent_join(recent, before, len, packet->payload, packet->payload_len);
    if (whole == NULL)
        return false;
    *joined_out = *packet;
    joined_out->seq = packet->seq - len;
    joined_out->payload = whole;
    joined_out->payload_len += len;
    joined_out->is_joined = true;
    return true;
}

bool modern_tail_join(const struct packet *packet, uint64_t connection, struct recent *recent,
                      struct packet *joined_out)
{
    if (packet->payload_len == 0)
        return false;
    const struct recent_entry *entry = recent_find(recent, connection);
    if (entry != NULL) {
        const uint8_t *tail = recent_tail(recent, entry);
        uint32_t len = packet->seq - entry->seq_end;
        if (tail != NULL && len > 0 && len <= entry->tail_len &&
            packet->payload_len >= entry->tail_len - len &&
            join(packet, tail, len, recent, joined_out))
            return true;
    }
    const struct recent_head *head = recent_find_head(recent, connection);
    if (head == NULL)
        return false;
    const uint8_t *octets = recent_head_octets(recent, head);
    uint32_t len = packet->seq - head->seq;
    return octets != NULL && len > 0 && len <= head->len && packet->payload_len > head->len - len &&
           join(packet, octets, len, recent, joined_out);
}

bool modern_tail_take(const struct packet *packet, const struct recent_entry *entry,
                      const struct point *point, struct recent *recent, struct packet *joined_out)
{
    if (entry == NULL || entry->tail_len == 0 || entry->end != point->offset ||
        ((entry->seq_end - point->seq) & MODERN_SEQ_MASK) != 0)
        return false;
    const uint8_t *tail = recent_tail(recent, entry);
    struct packet behind = *packet;
    behind.seq = entry->seq_end + entry->tail_len;
    return tail != NULL && framing_request_len(tail, entry->tail_len) > 0 &&
           join(&behind, tail, entry->tail_len, recent, joined_out);
}

/* The entry of a connection whose client holds everything up to the response to what begins at
 * `seq`, which belongs at `offset`, although nothing is known of it. */
static struct recent_entry *entry_make(const struct stateless_tcp_query *query, uint32_t seq,
                                       uint32_t offset)
{
    struct recent_entry *entry = recent_take(query->recent, query->connection);
    if (entry == NULL)
        return NULL;
    entry->seq = entry->seq_end = entry->ack = entry->acked = seq;
    entry->start = entry->end = offset;
    entry->held = entry->sent = query->held;
    entry->repaired = entry->recover = query->held;
    entry->cwnd = modern_send_cwnd(query, NULL);
    entry->ssthresh = UINT32_MAX;
    return entry;
}

enum stateless_tcp_outcome modern_tail_receive(const struct stateless_tcp_query *query,
                                               const struct point *point, struct train *train)
{
    const struct packet *packet = query->packet;
    uint32_t len = packet->payload_len;
    bool is_at_point = query->point_len == 0 && !query->is_prefix_absent;
    if (!is_at_point || !packet->has_timestamps || len > ACKED_MAX)
        return STATELESS_TCP_DROP;
    /* Or more: of what comes later, which it did not send again. */
    bool is_all_there = query->held >= point->offset;
    struct recent_entry *entry = recent_find(query->recent, query->connection);
    /* What is known of others is old: a train that was sent again took the place of this one. */
    if (is_all_there &&
        (entry == NULL || entry->seq_end != packet->seq || entry->end != point->offset))
        entry = entry_make(query, packet->seq, point->offset);
    if (entry == NULL || entry->seq_end != packet->seq || entry->end != point->offset ||
        entry->has_fin)
        return STATELESS_TCP_DROP;
    const uint8_t *tail = recent_tail(query->recent, entry);
    bool is_known = len <= entry->tail_len; /* even if its octets were overwritten meanwhile */
    if (is_known && (!is_all_there || (tail != NULL && memcmp(tail, packet->payload, len) != 0)))
        return STATELESS_TCP_DROP;
    if (!is_known || tail == NULL)
        recent_keep_tail(query->recent, entry, packet->payload, len);
    if (!is_known)
        return STATELESS_TCP_DROP;
    entry->tail_len = len;
    entry->acked = packet->seq + len;
    recent_keep_head(query->recent, query->connection, packet->seq, packet->payload, len);
    return modern_send_ack(packet, packet->seq + len, 0, MODERN_WINDOW - len,
                           point_make(point->offset, packet->seq, true), train);
}

void modern_tail_wait(const struct stateless_tcp_query *query)
{
    const struct packet *packet = query->packet;
    struct recent_entry *entry = recent_find(query->recent, query->connection);
    if (entry != NULL && entry->seq_end == packet->seq && !entry->has_fin &&
        packet->has_timestamps && packet->payload_len > entry->tail_len &&
        packet->payload_len <= RECENT_TAIL_MAX)
        recent_keep_tail(query->recent, entry, packet->payload, packet->payload_len);
}

void modern_tail_hold(const struct stateless_tcp_query *query)
{
    const struct packet *packet = query->packet;
    const uint8_t *from = query->requests;
    uint32_t len = (uint32_t)(packet->payload + packet->payload_len - from);
    struct recent_entry *entry = recent_find(query->recent, query->connection);
    if (!packet->has_timestamps || !query->is_start_known || query->is_prefix_absent)
        return;
    if (entry == NULL && query->held == query->start)
        entry = entry_make(query, query->request_seq, query->start);
    if (entry == NULL || entry->seq_end != query->request_seq || entry->end != query->start ||
        entry->has_fin)
        return;
    len = len < RECENT_TAIL_MAX ? len : RECENT_TAIL_MAX;
    if (len > entry->tail_len || recent_tail(query->recent, entry) == NULL)
        recent_keep_tail(query->recent, entry, from, len);
}

uint32_t modern_tail_acked(const struct stateless_tcp_query *query)
{
    const struct recent_entry *entry = recent_find(query->recent, query->connection);
    const struct recent_head *head = recent_find_head(query->recent, query->connection);
    uint32_t of_entry = entry != NULL ? entry->acked - query->request_seq : 0;
    uint32_t of_head = head != NULL ? head->seq + head->len - query->request_seq : 0;
    /* What is older ends before them. */
    of_entry = of_entry <= ACKED_MAX ? of_entry : 0;
    of_head = of_head <= ACKED_MAX ? of_head : 0;
    return of_entry > of_head ? of_entry : of_head;
}

uint32_t modern_tail_copy(const struct stateless_tcp_query *query, uint8_t *tail_out)
{
    const struct packet *packet = query->packet;
    const uint8_t *from = query->requests + query->answered_len;
    size_t len = (size_t)(packet->payload + packet->payload_len - from);
    if (query->recent == NULL || !packet->has_timestamps || len > RECENT_TAIL_MAX)
        return 0;
    memcpy(tail_out, from, len);
    return (uint32_t)len;
}

void modern_tail_keep(const struct stateless_tcp_query *query, const uint8_t *tail,
                      uint32_t tail_len)
{
    struct recent_entry *entry = recent_find(query->recent, query->connection);
    if (tail_len > 0 && entry != NULL && !entry->has_fin)
        recent_keep_tail(query->recent, entry, tail, tail_len);
}

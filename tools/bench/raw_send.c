/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/raw_send.h"

#include "stateless_tcp/wire.h"

/* SYNs, and servers' FINs, take longer than data (RFC 6298: 1 s and 200 ms in most kernels). */
#define SYN_PATIENCE 5
#define OPTIONS_MAX 40u

void raw_send_frame(struct raw_tcp *tcp, uint32_t tuple, const struct raw_segment *segment,
                    const uint8_t *payload, size_t payload_len, uint16_t payload_sum)
{
    tcp->worker->tally.segments_sent++;
    while (!raw_frame_tcp(tcp->path, tuple, segment, payload, payload_len, payload_sum, tcp->train))
        tcp->flush(tcp->flush_context);
}

/* A segment of a connection that has had its SYN+ACK. */
static void send_segment(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns,
                         uint8_t flags, uint32_t seq, const uint8_t *payload, size_t payload_len,
                         uint16_t payload_sum)
{
    struct raw_segment segment = {.seq = seq,
                                  .ack = c->rcv,
                                  .flags = flags,
                                  .has_timestamps = c->has_timestamps,
                                  .timestamp_value = raw_timestamp(now_ns),
                                  .timestamp_echo = c->echo};
    if (c->buffer != NULL && c->has_sack)
        for (uint32_t i = 0; i < c->buffer->ahead_count && i < RAW_SACKS_MAX; i++)
            segment.sacks[segment.sack_count++] = c->buffer->ahead[i];
    c->acked = c->rcv;
    c->is_ack_due = false;
    c->unacked_segments = 0;
    raw_send_frame(tcp, c->tuple, &segment, payload, payload_len, payload_sum);
}

void raw_send_ack(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    send_segment(tcp, c, now_ns, PACKET_ACK, c->next, NULL, 0, 0);
}

/* What a segment carries of the queries. */
struct burst {
    uint8_t octets[RAW_MSS];
    size_t len;
    uint32_t sum;
};

/* Queries from number `from` on, as many as fit. Returns the number after the last. */
static uint32_t burst_make(const struct raw_tcp *tcp, const struct raw_connection *c, uint32_t from,
                           struct burst *burst)
{
    const struct worker *worker = tcp->worker;
    const struct question_pool *pool = worker->pool;
    /* options count as data here (RFC 9293 3.7.1) */
    size_t cap = (c->mss < sizeof burst->octets ? c->mss : sizeof burst->octets) - OPTIONS_MAX;
    burst->len = 0;
    burst->sum = 0;
    while (from != c->asked) {
        const struct raw_query *q = raw_query_at(tcp, c, from);
        uint32_t question = q->query.question;
        uint16_t len = question_len(pool, question);
        if (burst->len + 2u + len > cap)
            break;
        uint8_t *at = burst->octets + burst->len;
        worker_copy(worker, &q->query, at + 2);
        wire_store_be16(at, len);
        uint32_t sum = (uint32_t)pool->sums[question] + q->query.id + len;
        if (pool->form.has_checksum)
            sum = question_sum(at, 2u + len);
        /* behind an odd number of octets a sum's halves change places (RFC 1071 2B) */
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        burst->sum += burst->len % 2 == 0 ? sum : (sum << 8 & 0xff00) | sum >> 8;
        burst->len += 2u + len;
        from++;
    }
    burst->sum = (burst->sum & 0xffff) + (burst->sum >> 16);
    burst->sum = (burst->sum & 0xffff) + (burst->sum >> 16);
    return from;
}

void raw_arm(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    uint64_t wait_ns = tcp->worker->config->retransmit_ns << (c->tries < 6 ? c->tries : 6);
    bool is_patient = c->state == RAW_SYN_SENT || (c->state == RAW_FIN_SENT && c->una == c->next);
    c->deadline_ns = now_ns + (is_patient ? SYN_PATIENCE : 1) * wait_ns;
}

void raw_send_queries(struct raw_tcp *tcp, struct raw_connection *c, uint32_t from, uint64_t now_ns)
{
    struct burst burst;
    while (from != c->asked) {
        uint32_t seq = raw_query_at(tcp, c, from)->seq;
        uint32_t next = burst_make(tcp, c, from, &burst);
        if (next == from)
            break; /* the server's MSS is smaller than a query */
        send_segment(tcp, c, now_ns, PACKET_PSH | PACKET_ACK, seq, burst.octets, burst.len,
                     (uint16_t)burst.sum);
        if (raw_is_before(c->next, seq + (uint32_t)burst.len))
            c->next = seq + (uint32_t)burst.len;
        from = next;
    }
    if (c->deadline_ns == RAW_NEVER)
        raw_arm(tcp, c, now_ns);
}

/* Without data again, and without Fast Open: something on the way may not like it (RFC 7413
 * 4.1.3). */
void raw_send_syn(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    const struct bench_config *config = tcp->worker->config;
    const struct raw_cookie *cookie = &tcp->cookies[c->tuple % tcp->path->tuples.address_count];
    struct raw_segment segment = {.seq = c->una,
                                  .flags = PACKET_SYN,
                                  .is_syn = true,
                                  .has_timestamps = true,
                                  .timestamp_value = raw_timestamp(now_ns),
                                  .has_fast_open = config->has_fast_open && c->tries == 0};
    struct burst burst = {.len = 0};
    if (segment.has_fast_open && cookie->is_known) {
        segment.fast_open_cookie = cookie->octets;
        burst_make(tcp, c, 0, &burst);
        c->next = c->una + 1 + (uint32_t)burst.len;
    }
    raw_send_frame(tcp, c->tuple, &segment, burst.octets, burst.len, (uint16_t)burst.sum);
    raw_arm(tcp, c, now_ns);
}

void raw_send_reset(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    send_segment(tcp, c, now_ns, PACKET_RST | PACKET_ACK, c->next, NULL, 0, 0);
}

void raw_send_fin(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    send_segment(tcp, c, now_ns, PACKET_FIN | PACKET_ACK, c->end, NULL, 0, 0);
    c->next = c->end + 1;
    raw_arm(tcp, c, now_ns);
}

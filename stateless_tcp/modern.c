/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_repair.h"
#include "stateless_tcp/modern_requests.h"
#include "stateless_tcp/modern_send.h"
#include "stateless_tcp/modern_tail.h"

#include "stateless_tcp/framing.h"

#include <assert.h>
#include <string.h>

enum {
    /* Of what is before a point; beyond, the client may as well be ahead. */
    PAST_MAX = MODERN_SEQ_MASK + 1 - MODERN_WINDOW - 1,
    /* How often the same segment is met with silence. Whoever doubles its timer from 200
     * milliseconds waits 3 seconds for its connection to end. */
    SILENCES_MAX = 3,
};

static enum stateless_tcp_outcome reply(const struct packet *packet,
                                        const struct packet_segment *segment, struct train *train)
{
    return packet_reply_tcp(packet, segment, NULL, 0, train) ? STATELESS_TCP_SEND
                                                             : STATELESS_TCP_DROP;
}

static enum stateless_tcp_outcome reply_ack(const struct packet *packet, uint32_t ack,
                                            uint8_t flags, uint32_t tag, struct train *train)
{
    return modern_send_ack(packet, ack, flags, MODERN_WINDOW, tag, train);
}

/* RFC 9293 3.10.7.1: what belongs to no connection. No options (RFC 7323 3.2 allows that). */
static enum stateless_tcp_outcome reply_reset(const struct stateless_tcp_config *config,
                                              const struct packet *packet, struct train *train)
{
    struct packet_segment segment = {.seq = packet->ack, .flags = PACKET_RST};
    return config->has_stale_reset ? reply(packet, &segment, train) : STATELESS_TCP_DROP;
}

/* The SYN+ACK for the SYN in `packet`, acknowledging `data_len` octets of its data. */
static enum stateless_tcp_outcome reply_syn_ack(const struct stateless_tcp_config *config,
                                                const struct stateless_tcp_keys *keys,
                                                const struct packet *packet, uint32_t data_len,
                                                struct train *train)
{
    uint32_t headers_len =
        PACKET_TCP_HEADER_LEN +
        (packet->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN);
    uint32_t room = packet->ip_len - headers_len;
    bool has_timestamps = packet->has_timestamps && room >= PACKET_TCP_TIMESTAMPS_OPTION_LEN;
    room -= has_timestamps ? PACKET_TCP_TIMESTAMPS_OPTION_LEN : 0;
    uint8_t cookie[PACKET_FAST_OPEN_COOKIE_LEN];
    bool has_cookie = config->has_fast_open && packet->has_fast_open && has_timestamps &&
                      room >= PACKET_TCP_FAST_OPEN_OPTION_LEN;
    room -= has_cookie ? PACKET_TCP_FAST_OPEN_OPTION_LEN : 0;
    if (has_cookie)
        cookie_make_fast_open(keys, packet, cookie);
    bool has_mss = room >= PACKET_TCP_MSS_OPTION_LEN;
    room -= has_mss ? PACKET_TCP_MSS_OPTION_LEN : 0;
    struct packet_segment syn_ack = {
        .seq = has_timestamps ? cookie_make(keys, packet) : cookie_make_first(keys, packet),
        .ack = packet->seq + 1 + data_len,
        .window = MODERN_WINDOW,
        .flags = PACKET_SYN | PACKET_ACK,
        .mss = has_mss ? config->mss : 0,
        .has_sack_permitted = packet->has_sack_permitted && (has_timestamps || room >= 4),
        .has_timestamps = has_timestamps,
        .timestamp_value = point_make(0, packet->seq + 1, true),
        .timestamp_echo = packet->timestamp_value,
        .fast_open_cookie = has_cookie ? cookie : NULL,
    };
    return reply(packet, &syn_ack, train);
}

/* The client holds all up to the point, perhaps our FIN too. What is before the point is done. */
static enum stateless_tcp_outcome receive_after(const struct stateless_tcp_config *config,
                                                const struct packet *packet, bool has_fin,
                                                struct stateless_tcp_query *query,
                                                struct train *train)
{
    bool has_our_fin = query->held > query->point_offset;
    query->at += query->point_len;
    query->left -= query->point_len;
    query->request_seq += query->point_len;
    query->ack = query->request_seq;
    query->is_prefix_absent &= query->point_len == 0;
    query->point_len = 0;
    if (query->left == 0) {
        uint32_t tag = point_make(query->point_offset, query->ack, true);
        bool is_end = has_fin && query->at == packet->payload + packet->payload_len;
        return reply_ack(packet, query->ack + is_end, is_end && !has_our_fin ? PACKET_FIN : 0, tag,
                         train);
    }
    if (has_our_fin || query->point_offset > MODERN_CLOSE_AT)
        return reply_reset(config, packet, train);
    return STATELESS_TCP_QUERY;
}

/* The client has sent ahead of responses that it does not hold yet, up to those that `entry` tells
 * of. `ack`: of the point. */
static enum stateless_tcp_outcome receive_ahead(const struct packet *packet, uint32_t ack,
                                                struct recent_entry *entry,
                                                struct stateless_tcp_query *query,
                                                struct train *train)
{
    if (entry->sent < entry->end ||
        entry->is_alone) { /* their turn comes later; but this is an ACK too */
        if (recent_octets(query->recent, entry) != NULL && query->held >= entry->start)
            modern_send_more(query, entry, train);
        return train->frame_count > 0 ? STATELESS_TCP_SEND : STATELESS_TCP_DROP;
    }
    uint32_t flight = entry->end - query->held;
    if (flight >= modern_send_cwnd(query, entry) || flight >= packet->window)
        return STATELESS_TCP_DROP;
    query->is_ahead = true;
    query->ack = ack;
    return STATELESS_TCP_QUERY;
}

/* Whether what is asked was answered lately, and with which octets: then they are sent, since some
 * of them may be there. */
static bool is_answered(const struct stateless_tcp_query *query, const struct recent_entry *entry)
{
    return entry != NULL && query->request_seq - entry->seq < MODERN_WINDOW &&
           entry->seq_end - query->request_seq - query->left < MODERN_WINDOW &&
           entry->start <= query->held && query->held < entry->end &&
           recent_octets(query->recent, entry) != NULL;
}

/* Whether the data of `packet` is what the client has not seen acknowledged of the requests of a
 * train, of which it misses something and whose octets are known. Where it ends does not matter. */
static bool is_of_train(const struct stateless_tcp_query *query, const struct packet *packet,
                        const struct recent_entry *entry)
{
    return packet->has_timestamps && entry != NULL &&
           (packet->seq == entry->seq || packet->seq == entry->acked) &&
           packet->seq - entry->seq < entry->seq_end - entry->seq && entry->start <= query->held &&
           query->held < entry->end && recent_octets(query->recent, entry) != NULL;
}

/* Whether all that was answered on the connection is there. `entry`: of it; NULL: none. */
static bool is_all_there(const struct recent_entry *entry, uint32_t held)
{
    return entry != NULL && held == entry->end && !entry->has_fin;
}

/* Where the responses belong is known: what may be done about them? `entry`: of the connection;
 * NULL: none. */
static enum stateless_tcp_outcome
judge_requests(const struct packet *packet, const struct point *point, bool is_settled,
               struct recent_entry *entry, struct stateless_tcp_query *query, struct train *train)
{
    bool has_fin = packet->flags & PACKET_FIN;
    bool is_partly_there = modern_repair_has_pieces(packet);
    enum stateless_tcp_outcome outcome = STATELESS_TCP_QUERY;
    /* One more than the point is our FIN, if all the requests are before it: the first octet of a
     * response never arrives alone. */
    if (query->held == point->offset ||
        (packet->has_timestamps && query->held == point->offset + 1))
        outcome = receive_after(query->config, packet, has_fin, query, train);
    else if (query->point_len == 0 && query->held < point->offset)
        /* Should the response before have to be evaluated anew it must not get another length. */
        return entry != NULL && (is_settled || entry->snapshot == query->recent->snapshot) &&
                       entry->seq_end == packet->seq && entry->end == point->offset &&
                       !entry->has_fin && entry->end <= MODERN_CLOSE_AT
                   ? receive_ahead(packet, point->ack, entry, query, train)
                   : STATELESS_TCP_DROP;
    else
        is_partly_there = true;
    if (outcome != STATELESS_TCP_QUERY)
        return outcome;
    if (point->is_refined) /* never beyond the point that the client itself has */
        query->ack = point->ack;
    if (!is_answered(query, entry))
        return is_partly_there && !is_settled ? reply_reset(query->config, packet, train)
                                              : STATELESS_TCP_QUERY;
    bool is_half_closed =
        query->is_half_closed && query->at + query->left == packet->payload + packet->payload_len;
    is_half_closed &= entry->seq_end == query->request_seq + query->left;
    entry->has_fin |= is_half_closed;
    modern_send_again(query, entry, entry->seq_end + is_half_closed, train);
    return STATELESS_TCP_SEND;
}

static enum stateless_tcp_outcome
receive_data(const struct stateless_tcp_config *config, const struct packet *packet,
             const struct cookie_proof *proof, const struct point *point, bool is_settled,
             struct recent *recent, struct stateless_tcp_query *query, struct train *train)
{
    bool has_fin = packet->flags & PACKET_FIN;
    /* A length that travels alone; its ACK may acknowledge nothing else that is open. */
    if (packet->payload_len == LENGTH_LEN && !has_fin && proof->offset >= point->offset &&
        ((point->seq - packet->seq) & MODERN_SEQ_MASK) == 0) {
        /* In case that the message is cut too: else it says itself how long it is. */
        recent_keep_head(recent, proof->connection, packet->seq, packet->payload, LENGTH_LEN);
        return reply_ack(packet, packet->seq + LENGTH_LEN, 0,
                         point_make(point->offset, point->seq, true), train);
    }
    memset(query, 0, offsetof(struct stateless_tcp_query, joined));
    query->config = config;
    query->packet = packet;
    query->recent = recent;
    query->connection = proof->connection;
    query->base = packet->ack - proof->offset;
    query->request_seq = query->ack = packet->seq;
    query->segment_size = modern_segment_size(config, packet, proof->mss_class);
    query->held = proof->offset;
    query->point_offset = point->offset;
    query->is_closing = !packet->has_timestamps;
    struct recent_entry *entry = recent_find(recent, proof->connection);
    if (packet->has_timestamps && !has_fin && is_all_there(entry, proof->offset) &&
        entry->seq_end - packet->seq - packet->payload_len < MODERN_WINDOW) /* whatever it echoes */
        return reply_ack(packet, entry->seq_end, 0, point_make(entry->end, entry->seq_end, true),
                         train);
    if (!modern_requests_find(packet, point, query)) {
        /* Some clients send only a part again, all of which is answered and there. */
        bool is_past = packet->payload_len < query->point_len && query->point_len <= PAST_MAX &&
                       proof->offset >= point->offset;
        if (is_past)
            return reply_ack(packet, packet->seq + query->point_len, 0,
                             point_make(point->offset, point->seq, true), train);
        /* Only a part of the requests of a train, which it echoes but does not have. */
        if (is_of_train(query, packet, entry)) {
            modern_send_again(query, entry, entry->seq_end, train);
            return STATELESS_TCP_SEND;
        }
        return has_fin && query->point_len == 0 ? reply_reset(config, packet, train)
                                                : modern_tail_receive(query, point, train);
    }
    query->is_half_closed =
        has_fin && query->at + query->left == packet->payload + packet->payload_len;
    enum stateless_tcp_outcome outcome =
        judge_requests(packet, point, is_settled, entry, query, train);
    query->requests = query->at;
    query->start = query->point_offset;
    query->is_start_known = query->point_len == 0;
    if (outcome != STATELESS_TCP_QUERY && query->held < point->offset)
        modern_tail_wait(query);
    return outcome;
}

/* Requests with a SYN, whose sender has proven by its cookie that it hears us. */
static enum stateless_tcp_outcome receive_fast_open(const struct stateless_tcp_config *config,
                                                    const struct stateless_tcp_keys *keys,
                                                    const struct packet *packet,
                                                    struct stateless_tcp_query *query)
{
    const struct point first = {.seq = (packet->seq + 1) & MODERN_SEQ_MASK, .is_done = true};
    struct packet data = *packet; /* as its data would come without the SYN */
    data.seq = packet->seq + 1;
    *query = (struct stateless_tcp_query){
        .config = config,
        .keys = keys,
        .packet = packet,
        .base = cookie_make(keys, packet) + 1,
        .request_seq = packet->seq + 1,
        .ack = packet->seq + 1,
        .segment_size = modern_segment_size(config, packet, cookie_class(packet->mss)),
        .is_start_known = true,
        .is_fast_open = true,
    };
    if (!modern_requests_find(&data, &first, query))
        return STATELESS_TCP_DROP;
    query->requests = query->at;
    return STATELESS_TCP_QUERY;
}

/* RFC 9293 3.10.7.2, the state LISTEN. */
static enum stateless_tcp_outcome
receive_syn(const struct stateless_tcp_config *config, const struct stateless_tcp_keys *keys,
            const struct packet *packet, struct stateless_tcp_query *query, struct train *train)
{
    if (config->has_fast_open && packet->payload_len > 0 && packet->has_timestamps &&
        cookie_verify_fast_open(keys, packet) &&
        receive_fast_open(config, keys, packet, query) == STATELESS_TCP_QUERY)
        return STATELESS_TCP_QUERY;
    return reply_syn_ack(config, keys, packet, 0, train);
}

/* A FIN alone. It may be acknowledged only if everything before it is answered and there. */
static enum stateless_tcp_outcome receive_fin(const struct stateless_tcp_config *config,
                                              const struct packet *packet, uint32_t held,
                                              const struct point *point, struct train *train)
{
    uint32_t behind = (packet->seq - point->seq) & MODERN_SEQ_MASK;
    if (behind == LENGTH_LEN) /* a length, and nothing after it */
        return reply_reset(config, packet, train);
    if (behind != 0 || (held != point->offset && held != point->offset + 1))
        return STATELESS_TCP_DROP;
    return reply_ack(packet, packet->seq + 1, held == point->offset ? PACKET_FIN : 0,
                     point_make(point->offset, point->seq, true), train);
}

/* Neither data nor FIN, but something of the train is missing: going on with it. An echo that is
 * `done` is of before: then it begins with the hole. */
static enum stateless_tcp_outcome
receive_progress(const struct stateless_tcp_config *config, const struct packet *packet,
                 const struct cookie_proof *proof, const struct point *point, struct recent *recent,
                 struct stateless_tcp_query *query_out, struct train *train)
{
    struct recent_entry *entry = recent_find(recent, proof->connection);
    if (point->is_done && !modern_repair_has_pieces(packet))
        return STATELESS_TCP_DROP;
    if (!modern_repair_is_known(packet, proof->offset, recent, entry))
        return modern_repair_begin(config, packet, proof, recent, query_out) ? STATELESS_TCP_QUERY
                                                                             : STATELESS_TCP_DROP;
    if (!point->is_done &&
        (entry->end != point->offset || ((entry->seq_end - point->seq) & MODERN_SEQ_MASK) != 0))
        return STATELESS_TCP_DROP;
    const struct stateless_tcp_query query = {
        .config = config,
        .packet = packet,
        .recent = recent,
        .connection = proof->connection,
        .base = packet->ack - proof->offset,
        .segment_size = modern_segment_size(config, packet, proof->mss_class),
        .held = proof->offset,
    };
    modern_send_more(&query, entry, train);
    return train->frame_count > 0 ? STATELESS_TCP_SEND : STATELESS_TCP_DROP;
}

/* Neither data nor FIN: completion, or a keep-alive probe. `entry`: of the connection, or NULL. */
static enum stateless_tcp_outcome receive_ack(const struct packet *packet, uint32_t held,
                                              const struct point *point, struct recent_entry *entry,
                                              struct train *train)
{
    /* Its echo may be older than what it holds (RFC 7323 4.3 (2)). */
    if (!point->is_done && is_all_there(entry, held) &&
        packet->seq - entry->seq_end <= MODERN_WINDOW)
        return reply_ack(packet, entry->seq_end, 0, point_make(entry->end, entry->seq_end, true),
                         train);
    uint32_t behind = (packet->seq - point->seq) & MODERN_SEQ_MASK;
    bool has_our_fin = held == point->offset + 1, is_exact = has_our_fin || held == point->offset;
    if (point->is_done && is_exact && behind == MODERN_SEQ_MASK)
        return reply_ack(packet, packet->seq + 1, 0, packet->timestamp_echo, train);
    if (point->is_done || !is_exact || behind > MODERN_WINDOW)
        return STATELESS_TCP_DROP;
    /* With our FIN came the answer to the client's. */
    uint32_t ack = packet->seq - (has_our_fin && behind == 1 ? 0 : behind);
    bool has_later = entry != NULL && entry->end > held && !entry->has_fin &&
                     ((entry->seq_end - point->seq) & MODERN_SEQ_MASK) != 0 && /* later requests */
                     packet->seq - entry->seq_end <= MODERN_WINDOW; /* not of a port's last user */
    if (!has_later)
        return reply_ack(packet, ack, 0, point_make(point->offset, point->seq, true), train);
    /* Behind what was sent ahead, or the client, which may have that meanwhile, takes it for old:
     * so its TSval is no less and its number no lower than that of what came before; but inside the
     * window (RFC 9293 3.10.7.4), and not twice: it is not `done`. */
    uint32_t flight = entry->sent > held ? entry->sent - held : 0;
    if (entry->is_early_acked || flight >= packet->window)
        return STATELESS_TCP_DROP;
    entry->is_early_acked = true;
    struct packet latest = *packet;
    latest.ack += flight;
    return reply_ack(&latest, ack, 0, point_make(entry->end, entry->seq_end, false), train);
}

/* Silence is right as long as the client has something else to send, or more of it. One that sends
 * the same for ever has been acknowledged what no cache remembers, or cannot send enough of it at
 * once; it must not wait for ever. Who has no room for a response is not stuck. */
static enum stateless_tcp_outcome receive_in_vain(const struct stateless_tcp_config *config,
                                                  const struct packet *packet,
                                                  const struct cookie_proof *proof,
                                                  struct recent *recent, struct train *train)
{
    bool is_over =
        packet->window >= STATELESS_TCP_SEGMENT_MIN &&
        recent_count_silence(recent, proof->connection, packet->seq, proof->offset) >= SILENCES_MAX;
    return is_over ? reply_reset(config, packet, train) : STATELESS_TCP_DROP;
}

enum stateless_tcp_outcome
modern_receive(const struct stateless_tcp_config *config, const struct stateless_tcp_keys *keys,
               const struct packet *packet, bool is_settled, struct recent *recent,
               struct stateless_tcp_query *query_out, struct train *train)
{
    assert(config->burst >= 1 && config->burst <= TRAIN_FRAMES_MAX);
    unsigned flags = packet->flags & (PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN);
    if (flags == PACKET_SYN)
        return receive_syn(config, keys, packet, query_out, train);
    if ((flags & (PACKET_SYN | PACKET_ACK | PACKET_RST)) != PACKET_ACK)
        return STATELESS_TCP_DROP;
    bool is_pure_ack = packet->payload_len == 0 && !(flags & PACKET_FIN);
    /* Without a hole: the most frequent case, and the cheapest. */
    if (is_pure_ack &&
        (!packet->has_timestamps || (point_is_silent(packet->timestamp_echo, packet->seq) &&
                                     !modern_repair_has_pieces(packet))))
        return STATELESS_TCP_DROP;

    struct cookie_proof proof;
    struct point point;
    if (!point_prove(keys, packet, recent, &proof, &point))
        return is_pure_ack ? STATELESS_TCP_DROP : reply_reset(config, packet, train);
    if (recent != NULL && recent->notes != NULL && packet->has_timestamps)
        modern_send_learn(config, packet, proof.connection, recent);
    struct recent_entry *entry = recent_find(recent, proof.connection);
    struct packet joined;
    bool is_joined = packet->has_timestamps &&
                     (is_pure_ack ? !point.is_done && proof.offset == point.offset &&
                                        modern_tail_take(packet, entry, &point, recent, &joined)
                                  : modern_tail_join(packet, proof.connection, recent, &joined));
    bool has_hole =
        proof.offset < point.offset || (point.is_done && modern_repair_has_pieces(packet));
    if (is_pure_ack && !is_joined && !has_hole)
        return receive_ack(packet, proof.offset, &point, entry, train);
    if (is_pure_ack && !is_joined)
        return receive_progress(config, packet, &proof, &point, recent, query_out, train);
    const struct packet *whole = is_joined ? &joined : packet;
    point_refine(whole, &proof, entry, &point);
    if (whole->payload_len == 0)
        return receive_fin(config, whole, proof.offset, &point, train);
    enum stateless_tcp_outcome outcome =
        receive_data(config, whole, &proof, &point, is_settled, recent, query_out, train);
    if (outcome == STATELESS_TCP_DROP && !is_pure_ack)
        return receive_in_vain(config, packet, &proof, recent, train);
    if (is_joined) {
        query_out->joined = joined;
        query_out->packet = &query_out->joined;
    }
    return outcome;
}

/* Whether one request more would make a train that the client cannot ask for again in one segment,
 * SACK blocks in its header: then the point would never come back. */
static bool is_next_too_far(const struct stateless_tcp_query *query)
{
    uint32_t again_max = query->config->mss - MODERN_OPTIONS_MAX;
    return query->packet->has_timestamps &&
           query->answered_len + framing_request_len(query->at, query->left) > again_max;
}

/* Whether it is better to see the client hold these responses first: as it may not send their
 * requests again in one piece, only the cache can repeat them. */
static bool is_enough_of_pieces(const struct stateless_tcp_query *query)
{
    return query->packet->is_joined &&
           query->stream_at >= (uint32_t)query->config->burst * query->segment_size;
}

/* Before the point there is no stopping: where the responses belong would never be known. Only what
 * the train that brought the point can hold is needed, so the beginning makes room. */
static void forget_beginning(struct stateless_tcp_query *query, uint8_t *stream)
{
    uint32_t kept = STATELESS_TCP_STREAM_CAP / 2;
    if (query->stream_at <= kept)
        return;
    memmove(stream, stream + query->stream_at - kept, kept);
    query->stream_at = kept;
}

void modern_send(struct stateless_tcp_query *query, uint8_t *stream, size_t response_len)
{
    if (response_len == 0) {
        query->left = 0;
        return;
    }
    wire_store_be16(stream, (uint16_t)response_len);
    query->stream = stream - query->stream_at;
    query->stream_at += LENGTH_LEN + (uint32_t)response_len;
    query->answered_len = (uint32_t)(query->at - query->requests);
    if (query->answered_len == query->point_len) {
        query->start = query->point_offset - query->stream_at; /* may wrap; finish() finds out */
        query->is_start_known = true;
    }
    if (!query->is_start_known && query->answered_len < query->point_len) {
        forget_beginning(query, stream - (query->stream_at - LENGTH_LEN - response_len));
        return;
    }
    bool is_full = query->stream_at > STATELESS_TCP_STREAM_CAP / 2 || is_next_too_far(query) ||
                   is_enough_of_pieces(query);
    /* Before the point there is no end: it would not be there. */
    if (query->is_start_known && query->start + query->stream_at > MODERN_CLOSE_AT)
        query->is_closing = is_full = true;
    if (is_full)
        query->left = 0;
}

/* Behind the SYN+ACK: all in one segment, or nothing. */
static void finish_fast_open(const struct stateless_tcp_query *query,
                             const struct recent_entry *entry, struct train *train)
{
    bool is_sent = query->answered_len > 0 && entry->end <= query->segment_size &&
                   entry->end <= query->packet->window;
    reply_syn_ack(query->config, query->keys, query->packet, is_sent ? query->answered_len : 0,
                  train);
    if (is_sent)
        modern_send_train(query, entry, query->stream, entry->seq_end, train);
}

/* Whether more than one request was answered: the client pipelines. */
static bool has_several(const struct stateless_tcp_query *query)
{
    uint32_t first_len = framing_request_len(query->requests, query->answered_len);
    return first_len > 0 && first_len < query->answered_len;
}

/* Whether they may be too many for the client's kernel to join: Linux keeps each write apart in its
 * memory, and no more than 17 in a segment. */
static bool has_many(const struct stateless_tcp_query *query)
{
    const uint8_t *at = query->requests;
    uint32_t left = query->answered_len, count = 0;
    for (uint32_t len; (len = framing_request_len(at, left)) > 0; at += len, left -= len)
        count++;
    return count > 16;
}

/* The client holds less than what comes before these responses. If they began elsewhere when they
 * were sent, or nothing is ever known, then of others than these. Else it is the last of several
 * requests that it sends again: their turn comes later, but this says how far it is. */
static void finish_early(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                         struct train *train)
{
    struct recent_entry *sent = recent_find(query->recent, query->connection);
    if (query->recent == NULL ||
        (sent != NULL && sent->seq == entry->seq && sent->start != entry->start))
        reply_reset(query->config, query->packet, train);
    else if (sent != NULL && sent->end == entry->end && sent->seq_end == entry->seq_end &&
             sent->start <= query->held && recent_octets(query->recent, sent) != NULL)
        modern_send_more(query, sent, train);
}

/* Without timestamps a request that is not the first proves its cookie by chance once in some
 * thousand times. What the client holds is then nothing where a segment of ours would end. */
static bool is_segment_end(const struct stateless_tcp_query *query)
{
    return query->packet->has_timestamps || query->held % query->segment_size == 0;
}

void modern_finish(struct stateless_tcp_query *query, struct train *train)
{
    const struct packet *packet = query->packet;
    bool is_all = query->answered_len > 0 &&
                  query->requests + query->answered_len == packet->payload + packet->payload_len;
    bool is_half_closed = query->is_half_closed && is_all;
    const struct recent_entry entry = {
        .seq = query->request_seq,
        .seq_end = query->request_seq + query->answered_len,
        .start = query->start,
        .end = query->start + query->stream_at,
        .ack = query->ack,
        .has_fin = query->is_closing || is_half_closed,
        .is_pressing = has_several(query),
        .is_pieced = packet->is_joined || has_many(query),
    };
    if (query->is_fast_open) {
        finish_fast_open(query, &entry, train);
        return;
    }
    if (query->is_repair) {
        modern_repair_finish(query, &entry, train);
        return;
    }
    /* It holds more than these responses: of requests behind them, which it did not send again. */
    if (query->stream_at > 0 && query->is_start_known && entry.start <= entry.end &&
        !entry.has_fin && query->held > entry.end) {
        reply_ack(packet, entry.seq_end, 0, point_make(entry.end, entry.seq_end, true), train);
        return;
    }
    /* No response, or not the responses of which the client holds a part. */
    if (query->stream_at == 0 || !query->is_start_known || entry.end < entry.start ||
        query->held > entry.end + entry.has_fin) {
        reply_reset(query->config, packet, train);
        return;
    }
    if (query->held < entry.start && !query->is_ahead) {
        finish_early(query, &entry, train);
        return;
    }
    uint32_t ack_done = entry.seq_end + is_half_closed;
    if (query->held >= entry.end) {
        reply_ack(packet, ack_done, entry.has_fin && query->held == entry.end ? PACKET_FIN : 0,
                  point_make(entry.end, entry.seq_end, true), train);
    } else if (!is_segment_end(query)) {
        reply_reset(query->config, packet, train);
    } else {
        uint8_t tail[RECENT_TAIL_MAX];
        uint32_t tail_len = is_all ? 0 : modern_tail_copy(query, tail);
        modern_send_train(query, &entry, query->stream, ack_done, train);
        modern_tail_keep(query, tail, tail_len);
    }
}

void modern_wait(const struct stateless_tcp_query *query, const struct packet *packet,
                 struct train *train)
{
    /* Completion: an ACK of all that is before the tail (modern_tail.h) brought these requests. A
     * part of them may be acknowledged; nothing falls behind that. */
    uint32_t acked_len = modern_tail_acked(query);
    if (packet->payload_len == 0 && query->held == query->start)
        modern_send_ack(packet, query->request_seq + acked_len, 0, MODERN_WINDOW - acked_len,
                        point_make(query->start, query->request_seq, true), train);
    modern_tail_hold(query);
}

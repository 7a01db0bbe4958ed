/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_send.h"

#include <assert.h>

enum {
    CWND_MAX = 1 << 17, /* more than any window that we obey */
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

enum stateless_tcp_outcome modern_send_ack(const struct packet *packet, uint32_t ack, uint8_t flags,
                                           uint32_t window, uint32_t tag, struct train *train)
{
    const struct packet_segment segment = {
        .seq = packet->ack,
        .ack = ack,
        .window = (uint16_t)window,
        .flags = flags | PACKET_ACK,
        .has_timestamps = packet->has_timestamps,
        .timestamp_value = tag,
        .timestamp_echo = packet->timestamp_value,
    };
    return packet_reply_tcp(packet, &segment, NULL, 0, train) ? STATELESS_TCP_SEND
                                                              : STATELESS_TCP_DROP;
}

/* What is behind all that the client knows to be acknowledged its kernel takes for old, with the
 * point that it bears. */
static inline uint32_t ack_of(const struct recent_entry *entry, uint32_t ack)
{
    return ack - entry->ack > entry->acked - entry->ack ? ack : entry->acked;
}

/* `len` octets of a train, from `from` on. False: no room. */
static inline bool send_segment(const struct stateless_tcp_query *query,
                                const struct recent_entry *entry, const uint8_t *octets,
                                uint32_t from, uint32_t len, uint32_t ack, bool is_done,
                                struct train *train)
{
    uint8_t end_flags = entry->has_fin ? PACKET_PSH | PACKET_FIN : PACKET_PSH;
    const struct packet_segment segment = {
        .seq = query->base + from,
        .ack = ack_of(entry, ack),
        .window = MODERN_WINDOW,
        .flags = PACKET_ACK | (from + len == entry->end ? end_flags : 0),
        .has_timestamps = query->packet->has_timestamps,
        .timestamp_value = point_make(entry->end, entry->seq_end, is_done),
        .timestamp_echo = query->packet->timestamp_value,
    };
    return packet_reply_tcp(query->packet, &segment, octets + (from - entry->start), len, train);
}

/* Segments that are not the last word, from `from` up to `to`, `count` at most. Returns where they
 * end. */
static uint32_t send_range(const struct stateless_tcp_query *query,
                           const struct recent_entry *entry, const uint8_t *octets, uint32_t from,
                           uint32_t to, unsigned count, struct train *train)
{
    for (; count > 0 && from < to; count--) {
        uint32_t rest = entry->end - from, len = least(rest, query->segment_size);
        if (len > to - from && from != query->held) /* RFC 9293 3.8.6.2.1: no silly pieces */
            break;
        len = least(len, to - from);
        if (len == 1 && rest > 1) /* one octet more than a point must be a FIN */
            break;
        /* What begins where the client waits brings its point, and so may acknowledge all
         * before. */
        bool is_next = from == query->held && from >= entry->start;
        if (!send_segment(query, entry, octets, from, len, is_next ? entry->seq : entry->ack, false,
                          train))
            break;
        from += len;
    }
    return from;
}

/* The end of what the client has room for. */
static uint32_t window_end(const struct stateless_tcp_query *query)
{
    return query->held + query->packet->window;
}

/* What is to be sent in one segment acknowledges the requests: if it is lost they come again. */
static bool is_single(const struct stateless_tcp_query *query, const struct recent_entry *entry)
{
    return query->held >= entry->start && entry->end - query->held <= query->segment_size &&
           entry->end <= window_end(query);
}

/* Behind the last segment, its last octet again: whoever has it acknowledges at once what he might
 * acknowledge 40 milliseconds later (RFC 9293 3.8.4, 3.8.6.3). */
static void press(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                  const uint8_t *octets, struct train *train)
{
    if (entry->is_pressing && !entry->has_fin && entry->sent == entry->end &&
        train->frame_count > 0 && train->frame_count < query->config->burst)
        send_range(query, entry, octets, entry->end - 1, entry->end, 1, train);
}

/* Begin at what the client holds. */
static void begin(const struct stateless_tcp_query *query, struct recent_entry *entry,
                  const uint8_t *octets, uint32_t ack_done, struct train *train)
{
    const struct stateless_tcp_config *config = query->config;
    entry->held = query->held;
    entry->repaired = entry->recover = query->held;
    entry->sent = most(query->held, entry->start);
    entry->is_alone |= entry->is_pieced && (entry->end - entry->sent > query->segment_size ||
                                            entry->end > window_end(query));
    if (is_single(query, entry)) {
        uint32_t len = entry->end - query->held;
        if (send_segment(query, entry, octets, query->held, len, ack_done, true, train))
            entry->sent = entry->end;
        return;
    }
    uint32_t flight = entry->sent - query->held; /* of responses before these */
    uint32_t room = entry->cwnd > flight ? entry->cwnd - flight : 0;
    room = least(room, config->burst * query->segment_size);
    uint32_t to = least(least(entry->end, window_end(query)), entry->sent + room);
    entry->sent = send_range(query, entry, octets, entry->sent, to, config->burst, train);
    press(query, entry, octets, train);
}

/* Slow start below ssthresh, about a segment for each round trip above it (RFC 5681 3.1). */
static void grow(struct recent_entry *entry, uint32_t held, uint32_t segment_size)
{
    if (held <= entry->held)
        return;
    uint32_t acked = held - entry->held;
    entry->cwnd += entry->cwnd < entry->ssthresh
                       ? acked
                       : (uint32_t)((uint64_t)segment_size * acked / entry->cwnd);
    entry->cwnd = least(entry->cwnd, CWND_MAX);
    entry->held = held;
    entry->sent = most(entry->sent, held);
}

uint32_t modern_send_cwnd(const struct stateless_tcp_query *query,
                          const struct recent_entry *before)
{
    if (before == NULL)
        return query->config->burst * query->segment_size;
    struct recent_entry grown = *before;
    grow(&grown, least(query->held, before->end), query->segment_size);
    return grown.cwnd;
}

void modern_send_learn(const struct stateless_tcp_config *config, const struct packet *packet,
                       uint64_t connection, struct recent *recent)
{
    struct recent_note note;
    const struct recent_entry *before = recent_find(recent, connection);
    bool is_known =
        before != NULL && before->seq_end == packet->seq && before->snapshot == recent->snapshot;
    if (is_known || !recent_read_note(recent, connection, &note) || note.seq_end != packet->seq)
        return;
    /* Or what was answered behind it. */
    if (before != NULL && before->seq_end - note.seq_end - 1 < MODERN_WINDOW)
        return;
    uint32_t cwnd = before != NULL ? before->cwnd : (uint32_t)config->burst * config->segment_size;
    uint32_t ssthresh = before != NULL ? before->ssthresh : UINT32_MAX;
    struct recent_entry *entry = recent_take(recent, connection);
    entry->seq = entry->ack = entry->acked = note.seq;
    entry->seq_end = note.seq_end;
    entry->start = entry->held = entry->repaired = entry->recover = note.start;
    entry->end = entry->sent = note.end;
    entry->snapshot = note.snapshot;
    entry->cwnd = cwnd;
    entry->ssthresh = ssthresh;
}

/* What is known to be acknowledged: `entry` says, or `acked` if that is later, but not of what
 * comes behind these requests. */
static uint32_t later_ack(const struct recent_entry *entry, uint32_t acked)
{
    uint32_t from = acked - entry->ack;
    return from <= entry->seq_end - entry->ack && from > entry->acked - entry->ack ? acked
                                                                                   : entry->acked;
}

void modern_send_train(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                       const uint8_t *octets, uint32_t ack_done, struct train *train)
{
    struct recent_entry here = *entry;
    const struct recent_entry *before = recent_find(query->recent, query->connection);
    here.connection = query->connection;
    here.cwnd = modern_send_cwnd(query, before);
    here.ssthresh = before == NULL ? UINT32_MAX : before->ssthresh;
    here.acked = here.ack;
    if (before != NULL)
        here.acked = later_ack(&here, before->acked);
    const struct recent_head *head = recent_find_head(query->recent, query->connection);
    if (head != NULL)
        here.acked = later_ack(&here, head->seq + head->len);
    begin(query, &here, octets, ack_done, train);
    struct recent_entry *kept = recent_take(query->recent, query->connection);
    if (kept == NULL)
        return;
    *kept = here;
    kept->snapshot = query->recent->snapshot;
    if (here.end - here.start > query->segment_size)
        recent_keep(query->recent, kept, octets, here.end - here.start);
}

void modern_send_again(const struct stateless_tcp_query *query, struct recent_entry *entry,
                       uint32_t ack_done, struct train *train)
{
    /* The client's timer has spoken, so begin anew (RFC 5681 3.1). */
    uint32_t flight = entry->sent > query->held ? entry->sent - query->held : 0;
    entry->ssthresh = most(flight / 2, 2 * query->segment_size);
    entry->cwnd = query->config->burst * query->segment_size;
    begin(query, entry, recent_octets(query->recent, entry), ack_done, train);
}

/* What SACK blocks say, in octets. */
struct holes {
    uint32_t first_end; /* where the first hole ends, in our stream; held: there is none */
    uint32_t sacked;    /* behind it */
};

static struct holes find_holes(const struct stateless_tcp_query *query,
                               const struct recent_entry *entry)
{
    const struct packet *packet = query->packet;
    struct holes holes = {.first_end = entry->sent};
    for (unsigned i = 0; i < packet->sack_count; i++) {
        uint32_t left = packet->sacks[i].left - query->base;
        uint32_t right = packet->sacks[i].right - query->base;
        /* D-SACK (RFC 2883) and nonsense lie outside. */
        if (left <= query->held || right > entry->sent + entry->has_fin || left >= right)
            continue;
        holes.first_end = least(holes.first_end, left);
        holes.sacked += right - left;
    }
    holes.sacked = least(holes.sacked, entry->sent - holes.first_end);
    if (holes.sacked == 0)
        holes.first_end = query->held;
    return holes;
}

/* RFC 6675 4, IsLost; or nothing else is in the air that could still show it (RFC 5827). */
static bool is_lost(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                    const struct holes *holes)
{
    return holes->sacked > 2 * query->segment_size ||
           (holes->sacked > 0 && holes->first_end + holes->sacked >= entry->sent);
}

void modern_send_more(const struct stateless_tcp_query *query, struct recent_entry *entry,
                      struct train *train)
{
    const uint8_t *octets = recent_octets(query->recent, entry);
    unsigned burst = query->config->burst;
    assert(octets != NULL && query->held < entry->end);
    grow(entry, query->held, query->segment_size);
    struct holes holes = find_holes(query, entry);
    uint32_t flight = entry->sent - query->held;
    uint32_t pipe = flight - holes.sacked;
    if (is_lost(query, entry, &holes)) {
        if (entry->recover <= query->held) {
            entry->ssthresh = entry->cwnd = most(flight / 2, 2 * query->segment_size);
            entry->recover = entry->sent;
        }
        uint32_t from = most(query->held, entry->repaired);
        if (from < holes.first_end)
            entry->repaired = send_range(query, entry, octets, from, holes.first_end, burst, train);
        pipe -= holes.first_end - query->held;
    }
    uint32_t room = entry->cwnd > pipe ? entry->cwnd - pipe : 0;
    uint32_t to = least(least(entry->end, window_end(query)), entry->sent + room);
    bool is_at_end = entry->sent == entry->end;
    entry->sent =
        send_range(query, entry, octets, entry->sent, to, burst - train->frame_count, train);
    if (!is_at_end)
        press(query, entry, octets, train);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_repair.h"

#include "stateless_tcp/framing.h"

#include <string.h>

bool modern_repair_has_pieces(const struct packet *packet)
{
    for (unsigned i = 0; i < packet->sack_count; i++)
        if (packet->sacks[i].right - packet->ack - 1 < UINT32_MAX / 2)
            return true;
    return false;
}

bool modern_repair_is_known(const struct packet *packet, uint32_t held, const struct recent *recent,
                            const struct recent_entry *entry)
{
    return entry != NULL && entry->start <= held && held < entry->end &&
           packet->seq - entry->seq_end <= MODERN_WINDOW && recent_octets(recent, entry) != NULL;
}

bool modern_repair_begin(const struct stateless_tcp_config *config, const struct packet *packet,
                         const struct cookie_proof *proof, struct recent *recent,
                         struct stateless_tcp_query *query_out)
{
    struct recent_train train;
    if (!modern_repair_has_pieces(packet) ||
        !recent_read_train(recent, proof->connection, &train) ||
        train.snapshot != recent->snapshot || proof->offset < train.start ||
        proof->offset >= train.end || packet->seq - train.seq_end > MODERN_WINDOW)
        return false;
    uint32_t len = train.seq_end - train.seq;
    const uint8_t *request = (const uint8_t *)train.request;
    const uint8_t *kept = recent_join(recent, request, len, request, 0);
    if (kept == NULL || len < LENGTH_LEN + REQUEST_LEN_MIN || framing_request_len(kept, len) != len)
        return false;
    memset(query_out, 0, sizeof(*query_out));
    query_out->joined = *packet;
    query_out->joined.seq = train.seq;
    query_out->joined.payload = kept;
    query_out->joined.payload_len = len;
    query_out->config = config;
    query_out->packet = &query_out->joined;
    query_out->recent = recent;
    query_out->connection = proof->connection;
    query_out->base = packet->ack - proof->offset;
    query_out->request_seq = query_out->ack = train.seq;
    query_out->segment_size = modern_segment_size(config, packet, proof->mss_class);
    query_out->requests = query_out->at = kept;
    query_out->left = len;
    query_out->held = proof->offset;
    query_out->start = train.start;
    query_out->point_offset = train.end;
    query_out->is_start_known = true;
    query_out->is_repair = true;
    return true;
}

void modern_repair_finish(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                          struct train *train)
{
    if (query->stream_at == 0 || entry->end != query->point_offset || entry->has_fin)
        return;
    struct recent_entry *kept = recent_take(query->recent, query->connection);
    *kept = *entry;
    kept->connection = query->connection;
    kept->acked = entry->ack;
    kept->held = kept->repaired = kept->recover = entry->start;
    kept->sent = entry->end;
    kept->snapshot = query->recent->snapshot;
    kept->cwnd = modern_send_cwnd(query, NULL);
    kept->ssthresh = UINT32_MAX;
    recent_keep(query->recent, kept, query->stream, entry->end - entry->start);
    if (kept->octets_len > 0)
        modern_send_more(query, kept, train);
}

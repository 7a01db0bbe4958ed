/* SPDX-License-Identifier: BSD-2-Clause
 *
 * modern_send.h - the sending half of `modern`: what of a train goes out now. For modern.c only.
 *
 * Three moments: its beginning (the client asks, or asks again), its going on (an ACK makes room),
 * its repair (an ACK shows a hole). The last two need recent.h; without it the first does it all.
 *
 *     congestion   cwnd begins with config->burst segments (RFC 6928), grows by what is
 *                  acknowledged, halves when a hole is seen (RFC 5681, RFC 6675); no event draws
 *                  more than a burst
 *     flow         nothing beyond SEG.ACK + SEG.WND: no scaling is offered, so the field is the
 *                  window
 *     pressing     Linux delays the acknowledgement of a short segment that comes alone; and
 *                  Nagle's algorithm, where a client pipelines, keeps further requests back until
 *                  what is in the air is acknowledged, which we do only behind a response that is
 *                  there. So behind a train for such a client its last octet is sent once more
 *     holes        sent again once, when more than two segments, or all that there was, arrived
 *                  behind them; whatever else is lost the client's timer brings back
 */
#ifndef STATELESS_TCP_MODERN_SEND_H
#define STATELESS_TCP_MODERN_SEND_H

#include "stateless_tcp/modern_point.h"

/* Octets of data that a segment for such a client has room for. */
static inline uint16_t modern_segment_size(const struct stateless_tcp_config *config,
                                           const struct packet *packet, unsigned mss_class)
{
    uint16_t options_len = packet->has_timestamps ? PACKET_TCP_TIMESTAMPS_OPTION_LEN : 0;
    uint16_t most = cookie_class_mss(mss_class) - options_len;
    return config->segment_size < most ? config->segment_size : most;
}

/* A segment without data. `flags`: besides ACK; `tag`: for TSval. Returns SEND; DROP: no room. */
enum stateless_tcp_outcome modern_send_ack(const struct packet *packet, uint32_t ack, uint8_t flags,
                                           uint32_t window, uint32_t tag, struct train *train);

/* Begin a train, or begin again where the client's part of it ends.
 * `query`: config, packet, recent, connection, segment_size, base and held are read.
 * `entry`: seq, seq_end, start, end, ack, has_fin, is_pressing; start <= held + window, held < end.
 * `octets`: end - start; they need not outlive the call. `ack_done`: what may be acknowledged once
 * the client holds everything. */
void modern_send_train(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                       const uint8_t *octets, uint32_t ack_done, struct train *train);

/* The same for a train of which `entry`, an entry of query->recent, still has the octets. */
void modern_send_again(const struct stateless_tcp_query *query, struct recent_entry *entry,
                       uint32_t ack_done, struct train *train);

/* Go on with such a train: query->packet acknowledges query->held, which is before its end. */
void modern_send_more(const struct stateless_tcp_query *query, struct recent_entry *entry,
                      struct train *train);

/* Learn what others have answered right before `packet`, unless more is known already (recent.h,
 * struct recent_note). */
void modern_send_learn(const struct stateless_tcp_config *config, const struct packet *packet,
                       uint64_t connection, struct recent *recent);

/* How much of our stream may be in the air at once towards the client of the connection: after what
 * is known of the train before, which may be none (NULL). */
uint32_t modern_send_cwnd(const struct stateless_tcp_query *query,
                          const struct recent_entry *before);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * modern_tail.h - requests that cannot be answered yet. For modern.c only.
 *
 * A client that pipelines more than fits a segment has it cut by its kernel, in the midst of a
 * request:
 *
 *     | request | request | requ |  | est | request | ...
 *                         ^      ^
 *                   seq_end      the next segment begins here
 *
 * Its kernel does not join the pieces when it sends them again, if what follows is longer than a
 * segment. Others come while the responses before them still wait for the client's window. So what
 * is behind the requests that were answered last, the tail, is remembered in the connection's entry
 * of the cache (recent.h). What comes next is read behind it, and when the client holds all there
 * is before it, its requests are answered without being sent again.
 *
 * If the rest of a request gets lost the client's timer sends its beginning alone and, one segment
 * at a time, waits for its acknowledgement. It gets one if that is known already: the only octets
 * that are acknowledged before they are answered. The window shrinks by as much, so that its end
 * stays where it is, and with it what modern.h says of points. Such octets never come again, so
 * they are kept apart from all else (struct recent_head), where few others push them out. Should
 * they be gone all the same the rest can never be understood: silence, then RST (modern.h).
 */
#ifndef STATELESS_TCP_MODERN_TAIL_H
#define STATELESS_TCP_MODERN_TAIL_H

#include "stateless_tcp/modern_send.h"

/* Whether the data of `packet`, which has some, or a FIN, begins inside or at the end of the tail
 * of its connection, or of what was acknowledged of one; `joined_out` is then the packet as if all
 * had come in one piece. */
bool modern_tail_join(const struct packet *packet, uint64_t connection, struct recent *recent,
                      struct packet *joined_out);

/* Whether `packet`, without data, acknowledges all that is before the tail, which has whole
 * requests; `joined_out` is then the packet as if it had brought the tail. `point`: what the packet
 * carries. */
bool modern_tail_take(const struct packet *packet, const struct recent_entry *entry,
                      const struct point *point, struct recent *recent, struct packet *joined_out);

/* Data without any whole request. `query`: as receive() has it; packet, recent, connection, config,
 * segment_size, held, point_len and is_prefix_absent are read. */
enum stateless_tcp_outcome modern_tail_receive(const struct stateless_tcp_query *query,
                                               const struct point *point, struct train *train);

/* The data of query->packet is ahead of its turn: it is the tail if it begins where that would. */
void modern_tail_wait(const struct stateless_tcp_query *query);

/* The requests of `query`, at its beginning, are not answered yet: they are the tail, so that what
 * comes next is read behind them. */
void modern_tail_hold(const struct stateless_tcp_query *query);

/* Octets of the requests of `query`, from their beginning on, that are known to be acknowledged. */
uint32_t modern_tail_acked(const struct stateless_tcp_query *query);

/* Copy what is behind the requests that were answered, RECENT_TAIL_MAX octets at most. Returns how
 * many; 0 also if there are more. */
uint32_t modern_tail_copy(const struct stateless_tcp_query *query, uint8_t *tail_out);

/* Keep that in the entry that was made for the answer. */
void modern_tail_keep(const struct stateless_tcp_query *query, const uint8_t *tail,
                      uint32_t tail_len);

#endif

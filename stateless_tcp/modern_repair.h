/* SPDX-License-Identifier: BSD-2-Clause
 *
 * modern_repair.h - holes in a train that others have sent: for modern.c only.
 *
 * The XDP program answers in several segments, and keeps none of their octets; but it notes the
 * request (struct recent_train). Where SACK shows a hole, the caller is asked to answer that once
 * more, and what comes is kept as if it had been sent here: then modern_send_more() fills the hole,
 * and those that may follow. Of another snapshot, or of another length: silence, and the client's
 * timer does the work.
 */
#ifndef STATELESS_TCP_MODERN_REPAIR_H
#define STATELESS_TCP_MODERN_REPAIR_H

#include "stateless_tcp/modern_send.h"

/* Whether SACK says that pieces are there behind what is acknowledged. (What came twice, it says
 * too, of what is before: D-SACK, RFC 2883 4.) */
bool modern_repair_has_pieces(const struct packet *packet);

/* Whether an entry has octets that the client, which holds `held`, lacks, and what it sends next
 * follows the entry's requests. `entry`: NULL is allowed. */
bool modern_repair_is_known(const struct packet *packet, uint32_t held, const struct recent *recent,
                            const struct recent_entry *entry);

/* Whether the pieces that `packet`, without data, tells of are of a train of others, of which the
 * octets can be had: query_out has its request then. `recent`: NULL is allowed. */
bool modern_repair_begin(const struct stateless_tcp_config *config, const struct packet *packet,
                         const struct cookie_proof *proof, struct recent *recent,
                         struct stateless_tcp_query *query_out);

/* The response is there. `entry`: of it, as modern_send_train() wants it. */
void modern_repair_finish(const struct stateless_tcp_query *query, const struct recent_entry *entry,
                          struct train *train);

#endif

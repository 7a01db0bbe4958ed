/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.h - from the servers of the root down to the answer, as a resolver goes (RFC 1034 5.3.3) that
 * remembers nothing.
 */
#ifndef TOOLS_QUERY_TRACE_H
#define TOOLS_QUERY_TRACE_H

#include "tools/query/exchange.h"

/* Ask the servers of the root, and those that each referral names, with RD off, and show each step on
 * standard output. Addresses of servers come from referrals as far as the server that gave them may
 * speak for them; others are looked up in the same way, without being shown. Servers that are dead,
 * lame or refer upwards are told about, and the next is asked. There is a bound on the queries.
 * Outcomes: 0 there was an answer, be it that there is none; -ENOENT, `error` (SERVERS_ERROR_MAX) says
 * why; -EIO the file of hints cannot be read; -ENOMEM. */
int trace_run(const struct plan *plan, char *error);

#endif

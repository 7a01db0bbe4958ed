/* SPDX-License-Identifier: BSD-2-Clause
 *
 * show.h - what came of a plan, for people (as dig has it) and for programs.
 */
#ifndef TOOLS_QUERY_SHOW_H
#define TOOLS_QUERY_SHOW_H

#include "tools/query/exchange.h"
#include "tools/query/received.h"

/* The exchange as text on standard output: comments, sections, statistics, as plan->show wants.
 * `response`: NULL where there is none; then only the notes, on standard error. */
void show_text(const struct plan *plan, const struct exchange *exchange,
               const struct received *response);

/* RDATA of the answer section alone, a line each; the notes go to standard error. */
void show_short(const struct plan *plan, const struct exchange *exchange,
                const struct received *response);

/* One line of JSON: the members of RFC 8427 of request and response, and ours. `segments`: NULL where
 * they are not to be shown. `error`: why there is
 * no response. */
void show_json(const struct plan *plan, const struct exchange *exchange,
               const struct received *response, const struct segments *segments, const char *error);

/* The records of one section, as lines. */
void show_section(const struct plan_show *show, const struct received *response,
                  enum received_section section);

/* Name of the value of a TSIG record's Error field; valid until the next call. */
const char *show_tsig_error(uint16_t error);

/* The time that is in `exchange`: "Sun Nov 22 17:00:00 UTC 2026". `text` has room for 64. */
const char *show_when(const struct exchange *exchange, char *text);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_change_rules.h - what a change of a zone must hold beside the rules of all zones. Private to
 * the text files.
 */
#ifndef ZONEDB_TEXT_CHANGE_RULES_H
#define ZONEDB_TEXT_CHANGE_RULES_H

#include "zonedb/store.h"
#include "zonedb/text_zone.h"

/* Before writing: `after` has the changed owners as they will be, and those above them. What is
 * wrong is told through it. */
void text_check_change(struct text_zone *after, const struct text_zone *lines,
                       enum zonedb_signing signing);

/* After writing: the denial chain is closed around all that `lines` change in it.
 * Outcomes: 0, with errors told or without; negative errno. */
int text_check_change_chain(struct text_zone *after, const struct text_zone *lines,
                            struct zonedb_writer *writer, enum zonedb_signing signing);

#endif

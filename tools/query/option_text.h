/* SPDX-License-Identifier: BSD-2-Clause
 *
 * option_text.h - EDNS options in words. Whatever the octets are, the words are printable ASCII.
 */
#ifndef TOOLS_QUERY_OPTION_TEXT_H
#define TOOLS_QUERY_OPTION_TEXT_H

#include "tools/query/plan.h"
#include "tools/query/request.h"

/* The longest option in hexadecimal digits and in characters, and more. */
#define OPTION_TEXT_MAX (8 * MESSAGE_MAX)

/* Name of the option `code` as this plan uses it. `text` has room for 32. */
const char *option_name(const struct plan_edns *edns, uint16_t code, char *text);

/* What the option says. `dice`: of the request that it answers;
 * NULL: it is of a request. `text` has room for
 * OPTION_TEXT_MAX. Returns `text`. */
const char *option_text(const struct plan_edns *edns, const struct request_dice *dice,
                        uint16_t code, const uint8_t *data, uint16_t len, char *text);

/* Octets as pairs of hexadecimal digits; `text` has room for 2 * len + 1. Returns `text`. */
char *option_hex(const uint8_t *data, size_t len, char *text);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * protection.h - CHECKSUM and TSIG of a request and its response.
 */
#ifndef TOOLS_QUERY_PROTECTION_H
#define TOOLS_QUERY_PROTECTION_H

#include "tools/query/exchange.h"

/* The request of a plan, signed if it has a key. `request` has room for MESSAGE_MAX. Returns its
 * length. *asked_out points into the plan. */
size_t protection_request(const struct plan *plan, struct request_dice *dice, uint64_t now_s,
                          uint8_t *request, struct tsig_asked *asked_out);

/* What the CHECKSUM of a response is worth. */
enum exchange_checksum protection_checksum(const struct plan *plan, const struct request_dice *dice,
                                           const uint8_t *response, size_t response_len);

/* What the signature of exchange->response is worth, *error_out what its record says. *fault_out:
 * the reason in words for EXCHANGE_TSIG_BAD. */
enum exchange_tsig protection_tsig(const struct plan *plan, const struct exchange *exchange,
                                   uint64_t now_s, uint16_t *error_out, const char **fault_out);

#endif

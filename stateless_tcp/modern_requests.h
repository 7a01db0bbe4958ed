/* SPDX-License-Identifier: BSD-2-Clause
 *
 * modern_requests.h - which requests a payload has, and where among them the point is. For modern.c
 * only.
 *
 *     | length | request | length | request | ...      the normal case: the point is at the
 *     ^                  ^                             beginning, or where an answered one ends
 *
 *              | request | length | request | ...      its length came before, alone: the point is
 *              ^         ^                             two octets before it, or where it ends
 */
#ifndef STATELESS_TCP_MODERN_REQUESTS_H
#define STATELESS_TCP_MODERN_REQUESTS_H

#include "stateless_tcp/modern_point.h"

/* Find the requests in the data of `packet`, and `point` among them. Reads held, sets at, left,
 * point_len, is_prefix_absent and bare_len of `query`. False: there are none, or the point is not
 * where a request begins or ends; point_len is set all the same. */
bool modern_requests_find(const struct packet *packet, const struct point *point,
                          struct stateless_tcp_query *query);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * admit.h - who gets an answer, where the server is not free with them. Private to the room. Pure.
 */
#ifndef ZONEDB_ADMIT_H
#define ZONEDB_ADMIT_H

#include "zonedb/query.h"
#include "zonedb/response.h"

/* Whether the client may have what it asks for, by client->restraint. If not, what it gets instead
 * is in the response: nothing but TC=1, or BADCOOKIE. */
bool admit(const struct respond_policy *policy, const struct respond_client *client,
           const struct query *query, struct response *response);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * admit.h - who gets an answer, where the server is not free with them. Private to the room. Pure.
 */
#ifndef ZONEDB_ADMIT_H
#define ZONEDB_ADMIT_H

#include "zonedb/query.h"
#include "zonedb/response.h"

/* Whether the client may have what it asks for, by client->restraint. If not, what it gets instead
 * is in the response: nothing but TC=1, or BADCOOKIE; and admit_briefly() was called. */
bool admit(const struct respond_policy *policy, const struct respond_client *client,
           struct query *query, struct response *response);

/* Where the server is not free with the client, which may be another one's victim: leave out what would
 * make the response longer than the request, but for the server's part of a COOKIE. For responses that
 * admit() is not asked about. */
void admit_briefly(const struct respond_client *client, struct query *query);

#endif

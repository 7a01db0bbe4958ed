/* SPDX-License-Identifier: BSD-2-Clause
 *
 * servers.h - whom to ask.
 */
#ifndef TOOLS_QUERY_SERVERS_H
#define TOOLS_QUERY_SERVERS_H

#include "tools/query/plan.h"

#define SERVERS_MAX 64

struct server {
    struct sockaddr_storage address;
    char name[PLAN_SERVER_MAX]; /* for people; "": it has none but its address */
};

struct servers {
    size_t count;
    struct server of[SERVERS_MAX];
};

#define SERVERS_ERROR_MAX 400

/* Add an address, unless there are SERVERS_MAX or its family is not wanted. */
void servers_add(struct servers *servers, int family, const struct sockaddr_storage *address,
                 const char *name);

/* The servers of a plan: its address, all addresses of its name, or what /etc/resolv.conf has.
 * Outcomes: 0; -ENOENT there are none, `error` (SERVERS_ERROR_MAX) says why. */
int servers_find(const struct plan *plan, struct servers *servers_out, char *error);

/* Where a trace begins: those of the root as they are built in, or of the plan's file of hints. It
 * has lines with an address or ADDRESS@PORT as last word; NAME TTL A ADDRESS will do, other records
 * are passed over. Outcomes as above; -EIO the file cannot be read. */
int servers_hints(const struct plan *plan, struct servers *servers_out, char *error);

#endif

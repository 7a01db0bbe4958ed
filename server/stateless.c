/* SPDX-License-Identifier: BSD-2-Clause
 *
 * This version has no raw worker yet: stateless addresses are refused, with a clear message.
 */
#include "server/stateless.h"

#include <errno.h>
#include <stdio.h>

int stateless_open(const struct config *config, struct zonedb *db, struct park *park,
                   const struct respond_policy *policy, struct stateless_set *former,
                   struct stateless_set **set_out, struct stateless_error *error)
{
    (void)db, (void)park, (void)policy, (void)former;
    *set_out = NULL;
    for (size_t i = 0; i < config->listen_count; i++)
        if (config->listen[i].tcp == CONFIG_TCP_STATELESS) {
            snprintf(error->text, sizeof error->text,
                     "stateless TCP is not in this version yet; use kernel TCP");
            return -ENOTSUP;
        }
    return 0;
}

int stateless_start(struct stateless_set *set, struct stateless_set *former)
{
    (void)set, (void)former;
    return 0;
}

void stateless_halt(struct stateless_set *set)
{
    (void)set;
}

void stateless_wake(struct stateless_set *set)
{
    (void)set;
}

void stateless_close(struct stateless_set *set)
{
    (void)set;
}

const char *stateless_interface(const struct stateless_set *set,
                                const struct sockaddr_storage *address)
{
    (void)set, (void)address;
    return "";
}

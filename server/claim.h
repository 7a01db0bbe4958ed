/* SPDX-License-Identifier: BSD-2-Clause
 *
 * claim.h - one process answers what comes to an address and port on an interface.
 *
 * A socket that is bound twice is refused by the kernel; packet sockets are not, and two servers
 * would both answer each frame. So whoever serves without sockets binds a name instead: a Unix
 * socket in the abstract namespace ("ss -xl" shows it), which is of the network namespace as the
 * interface is, and goes away with the process, however that ends.
 *
 *     @lethe-stateless/eth0/4/53/192.0.2.1        all zeros: every address of the family
 *
 * Such names are free to all users of the host. One that somebody takes who is neither root nor of
 * our user is no claim.
 *
 * One thread at a time.
 */
#ifndef SERVER_CLAIM_H
#define SERVER_CLAIM_H

#include "server/config.h"

#define CLAIM_ERROR_MAX 300 /* more than ADDRESS_TEXT_MAX */

struct claim;

/* Zeroed: none. Freed by claims_release(). */
struct claims {
    struct claim *items[CONFIG_LISTEN_MAX];
    size_t count;
};

/* Claim `address` on `interface`. What this process has claimed already, for `former` (NULL: none),
 * it shares with that; then it is free when both have released it. At most CONFIG_LISTEN_MAX times.
 * Outcomes: 0; -EADDRINUSE with `error`, CLAIM_ERROR_MAX octets, which names the process that has
 * it; -ENOMEM. Where the kernel has no such sockets there are no claims: 0. */
int claims_take(struct claims *claims, const struct claims *former, const char *interface,
                const struct sockaddr_storage *address, char *error);

/* Give up all of them. */
void claims_release(struct claims *claims);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * privilege.h - keep what the configuration needs, for good.
 */
#ifndef SERVER_PRIVILEGE_H
#define SERVER_PRIVILEGE_H

#include "server/config.h"

struct privilege_error {
    char text[1024];
};

/* Let go of every capability but those that a later SIGHUP may need for what is configured now
 * (CAP_NET_BIND_SERVICE for a port below the unprivileged ones; CAP_NET_RAW and CAP_NET_ADMIN for
 * stateless TCP; CAP_IPC_LOCK for AF_XDP within a limit of memory; CAP_SYS_NICE for an image in the
 * driver where RLIMIT_RTPRIO is 0 and cannot be raised); become the configured user, if any, and
 * make sure that no program started from here can gain any. Call before threads start.
 * Outcomes: 0; negative errno with `error`. */
int privilege_drop(const struct config *config, struct privilege_error *error);

/* Whether there is such a user as the configuration wants. Outcomes: as privilege_drop(). */
int privilege_check(const struct config *config, struct privilege_error *error);

/* All that is left, of the calling thread alone. */
void privilege_drop_all(void);

/* Let the process have `wanted` descriptors, as far as it may. Returns how many it may have. */
unsigned long privilege_raise_descriptors(unsigned long wanted);

#endif

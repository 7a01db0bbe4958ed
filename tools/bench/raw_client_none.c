/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Of a build without XDP.
 */
#include "tools/bench/raw_client.h"

#include <errno.h>

int raw_client_open(struct raw_client *run, struct worker *worker, const struct raw_path *path)
{
    (void)run, (void)path;
    worker_fail(worker, -EOPNOTSUPP, "--driver: this build has no XDP");
    return -EOPNOTSUPP;
}

int raw_client_turn(struct raw_client *run, uint64_t now_ns)
{
    (void)run, (void)now_ns;
    return -EOPNOTSUPP;
}

uint64_t raw_client_wait_ns(struct raw_client *run, uint64_t now_ns)
{
    (void)run, (void)now_ns;
    return 0;
}

uint64_t raw_client_busy(const struct raw_client *run)
{
    (void)run;
    return 0;
}

bool raw_client_has_rest(const struct raw_client *run)
{
    (void)run;
    return false;
}

void raw_client_close(struct raw_client *run)
{
    (void)run;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Of a build without live interfaces.
 */
#include "tools/bench/worker.h"

#include <errno.h>

void raw_run(struct worker *worker)
{
    worker_begin(worker);
    worker_fail(worker, -EOPNOTSUPP, "this build has nothing that carries frames");
    worker_finish(worker, 0);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_worker.h - a proxy at work: frames of one interface, a back end, and the clock.
 */
#ifndef SERVER_PROXY_WORKER_H
#define SERVER_PROXY_WORKER_H

#include "server/proxy.h"
#include "stateless_tcp/io/io.h"

#include <sys/socket.h>

/* Questions in flight, of one interface. */
#define PROXY_WORKER_QUESTIONS 1024
/* Memory of what was answered, of one interface: half a million answers, the octets of the last 24
 * MiB of them. The system gives it as it is first used. */
#define PROXY_WORKER_ANSWERS_SIZE (32u << 20)

struct proxy_worker;

/* Everything it will ever need, about 37 MB. The caller's until proxy_worker_close().
 * Outcomes: 0; negative errno with `error`. */
int proxy_worker_open(const struct sockaddr_storage *address, struct proxy_worker **worker_out,
                      struct io_error *error);

/* Wait for frames and responses, `timeout_ms` at most, and pass on what has come. `place`: what is
 * served now and how; its ring, answers, secret and memory are not looked at. Errors of the back
 * end are no failures: clients get SERVFAIL when the time is over.
 * Outcomes: 0; negative errno of the interface. */
int proxy_worker_step(struct proxy_worker *worker, const struct io_backend *backend, struct io *io,
                      const struct proxy *place, int timeout_ms);

/* NULL is allowed. */
void proxy_worker_close(struct proxy_worker *worker);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The raw worker of a build without any backend of io.h: says so.
 */
#include "server/raw.h"

#include <errno.h>
#include <stdio.h>

int raw_worker_open(const struct raw_config *config, struct raw_worker **worker_out,
                    struct io_error *error)
{
    *worker_out = NULL;
    snprintf(error->text, sizeof(error->text),
             "interface %s: this lethed was built without stateless TCP on live interfaces "
             "(libnftables and a backend); use --tcp kernel",
             config->interface);
    return -ENOTSUP;
}

const struct io_pages *const io_pages = NULL;

int raw_worker_run(struct raw_worker *worker, const struct respond_policy *policy,
                   const struct answer_image *image, struct restrain *restrain,
                   const atomic_bool *stop)
{
    (void)worker, (void)policy, (void)image, (void)restrain, (void)stop;
    return -ENOTSUP;
}

void raw_worker_unguard(struct raw_worker *first)
{
    (void)first;
}

void raw_worker_drain(struct raw_worker *worker, const struct respond_policy *policy,
                      uint64_t until_us)
{
    (void)worker, (void)policy, (void)until_us;
}

void raw_worker_discard(struct raw_worker *worker)
{
    (void)worker;
}

void raw_worker_begin(struct raw_worker *worker, uint64_t from_us)
{
    (void)worker, (void)from_us;
}

unsigned raw_worker_count(const struct raw_worker *worker)
{
    (void)worker;
    return 1;
}

void raw_worker_count_lost(const struct raw_worker *worker, struct io_lost *lost_out)
{
    (void)worker;
    *lost_out = (struct io_lost){0};
}

void raw_worker_count_answered(const struct raw_worker *worker, struct io_answered *answered_out)
{
    (void)worker;
    *answered_out = (struct io_answered){0};
}

const char *raw_worker_backend(const struct raw_worker *worker)
{
    (void)worker;
    return "";
}

const char *raw_worker_note(const struct raw_worker *worker)
{
    (void)worker;
    return "";
}

void raw_worker_close(struct raw_worker *worker)
{
    (void)worker; /* there never is one */
}

void raw_worker_leave(struct raw_worker *worker)
{
    raw_worker_close(worker);
}

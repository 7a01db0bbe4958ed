/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.h - answer datagrams, a batch at a time.
 */
#ifndef SERVER_UDP_H
#define SERVER_UDP_H

#include "server/answer.h"
#include "server/restrain.h"

#include <stdbool.h>

#define UDP_BATCH 64

/* How to answer now. The view is refreshed by the caller. */
struct udp_context {
    struct zonedb_view *view;
    const struct respond_policy *policy;
    const struct answer_image *image; /* NULL: none */
    uint64_t now_s;                   /* Unix time */
    struct restrain *restrain;        /* NULL: none */
    uint64_t now_us;                  /* as restrain_judge() wants it */
};

/* Memory for one batch. A worker's own; used by one thread at a time. */
struct udp_batch;

/* Outcomes: 0 with the batch, the caller's until udp_batch_close(); -ENOMEM. */
int udp_batch_open(struct udp_batch **batch_out);

/* NULL is allowed. */
void udp_batch_close(struct udp_batch *batch);

/* Answer what is waiting at the socket, UDP_BATCH datagrams at most, each from the address it was
 * sent to. Never blocks for long: a full send buffer is waited for once, for milliseconds, then
 * responses are dropped, as UDP may. A response too long for the interface (EMSGSIZE) is replaced by
 * one of 1232 octets at most, if that is too long too of 512, with TC=1 where data is missing. Errors that concern one client are passed over.
 * Returns the number of datagrams received: UDP_BATCH means that more may wait. */
unsigned udp_serve(struct udp_batch *batch, int fd, const struct udp_context *context);

#endif

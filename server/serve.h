/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve.h - a frame in, a train of frames out: where packets and DNS meet.
 */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "stateless_tcp/io/io.h"
#include "stateless_tcp/stateless_tcp.h"
#include "zonedb/respond.h"

/* What serve_frame() needs besides the frame. Constant while in use, but for the view. */
struct serve {
    struct zonedb_view *view;
    const struct respond_policy *policy;
    const struct stateless_tcp_config *tcp;
    const struct stateless_tcp_keys *keys;
    /* Room for one response. Owned by the caller; one thread at a time. */
    uint8_t *response; /* RESPOND_MESSAGE_MAX octets */
};

/* Answer one frame. `now_s` is Unix time. `train`: empty, with memory; gets the answer, or stays
 * empty for silence. */
void serve_frame(const struct serve *serve, uint64_t now_s, const struct io_frame *frame,
                 struct train *train);

#endif

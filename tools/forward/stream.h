/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream.h - a connection to each server that is asked over TCP, kept for further questions
 * (RFC 7766). A server that cannot be reached is not tried again for STREAM_REST_MS.
 */
#ifndef TOOLS_FORWARD_STREAM_H
#define TOOLS_FORWARD_STREAM_H

#include "tools/forward/forward.h"

#define STREAM_CONNECT_MS 1000
#define STREAM_REST_MS 30000
#define STREAM_ASK_MAX 65536

/* What epoll tells of streams begins here. */
#define STREAM_TAG 0x10000u

enum stream_state {
    STREAM_FREE,
    STREAM_CONNECTING,
    STREAM_OPEN,
    STREAM_RESTING, /* could not be reached */
};

struct stream {
    enum stream_state state;
    int fd;
    uint64_t until_ms; /* of CONNECTING and RESTING */
    uint64_t used_ms;
    struct sockaddr_storage server;
    size_t out_len, in_len;
    uint8_t out[STREAM_ASK_MAX];
    uint8_t in[2 + UINT16_MAX];
};

/* Ask an exchange's server over TCP. False: it rests, or nothing more fits; ask it otherwise. */
bool stream_ask(struct forward *forward, struct exchange *exchange);

/* Something has happened to stream `number`. */
void stream_work(struct forward *forward, size_t number, uint32_t events);

/* Give up connections that take too long. */
void stream_tick(struct forward *forward, uint64_t now_ms);

#endif

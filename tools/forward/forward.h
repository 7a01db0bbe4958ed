/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.h - lethe-forward's loop: queries of an unmodified resolver go to the servers it means,
 * protected; responses go back if they are good.
 *
 *     resolver --UDP--> forward_run -> protect_request -> UDP, or stream_ask ---> server
 *                       reply <------- protect_response <- UDP, or a stream <----
 *                                           bad: asked again over TCP
 *
 * One thread. Memory is fixed: the oldest of EXCHANGES questions makes room for a new one, a client
 * whose question was forgotten asks again.
 */
#ifndef TOOLS_FORWARD_FORWARD_H
#define TOOLS_FORWARD_FORWARD_H

#include "tools/forward/protect.h"

#include <signal.h>
#include <sys/socket.h>

#define FORWARD_EXCHANGES 4096
#define FORWARD_SOCKETS 32 /* for each family: ports that a forger would have to guess */
#define FORWARD_STREAMS 64

struct forward_config {
    struct sockaddr_storage listen;
    struct sockaddr_storage to; /* ss_family 0: transparent, to whom the client wrote */
    struct protect protect;
    bool is_tcp_first;     /* UDP only where TCP fails */
    bool is_absent_by_tcp; /* a response that is not protected is asked for again over TCP */
};

struct forward_counts {
    uint64_t questions;
    uint64_t refused; /* no queries, or malformed */
    uint64_t good, absent, bad;
    uint64_t by_tcp, fell_back; /* asked over TCP; over UDP since TCP failed */
    uint64_t forgotten;         /* without a response when room was needed */
};

/* A question that was forwarded. */
struct exchange {
    bool is_waiting;
    bool is_by_tcp, is_again; /* asked over TCP; on a second connection */
    uint16_t client_id, id;
    uint16_t socket; /* that it went out of */
    uint16_t stream;
    uint16_t payload; /* octets that the client takes over UDP */
    uint64_t begun_ms;
    struct sockaddr_storage client, server;
    struct proxy_shape shape;
    struct protect_asked asked;
    size_t len;
    uint8_t query[PROXY_REQUEST_MAX + PROTECT_ROOM]; /* as it was sent */
};

struct stream;

struct forward {
    struct forward_config config;
    struct forward_counts counts;
    int epoll, clients;
    int sockets[2][FORWARD_SOCKETS]; /* IPv4, IPv6; -1: none */
    struct stream *streams;          /* FORWARD_STREAMS */
    uint32_t next;
    uint16_t of_id[UINT16_MAX + 1]; /* exchange by ID, plus one; 0: none waits for it */
    struct exchange exchanges[FORWARD_EXCHANGES];
};

/* Milliseconds of a clock that only goes on. */
uint64_t forward_now_ms(void);

/* Open sockets. *reason_out says what failed. Outcomes: 0; negative errno. The forward is large and
 * all zero before. */
int forward_open(struct forward *forward, const struct forward_config *config,
                 const char **reason_out);

/* Forward until *is_ended. Outcomes: 0; negative errno. */
int forward_run(struct forward *forward, const volatile sig_atomic_t *is_ended);

void forward_close(struct forward *forward);

/* A response that came over TCP, in memory that may be written to. */
void forward_answered(struct forward *forward, struct exchange *exchange, uint8_t *response,
                      size_t len);

/* TCP has failed this question. */
void forward_tcp_failed(struct forward *forward, struct exchange *exchange);

/* The question that waits for a response with this ID, or NULL. */
struct exchange *forward_exchange(struct forward *forward, uint16_t id);

#endif

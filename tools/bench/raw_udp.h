/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_udp.h - UDP without sockets: each query from another tuple (raw_frame.h).
 *
 * No clock, no system call but memory. One thread at a time.
 */
#ifndef TOOLS_BENCH_RAW_UDP_H
#define TOOLS_BENCH_RAW_UDP_H

#include "tools/bench/raw_frame.h"
#include "tools/bench/worker.h"

struct raw_udp_query {
    struct worker_query query;
    uint32_t tuple;
};

struct raw_udp {
    struct worker *worker;
    const struct raw_path *path;
    struct train *train;
    void (*flush)(void *context);
    void *flush_context;
    struct raw_udp_query *places; /* query number n is in n & (place_count - 1) */
    uint32_t place_count;
    uint32_t next_tuple;
    uint64_t head, tail; /* numbers: of the next query, of the oldest that may be waiting */
};

/* As the functions of raw_tcp.h of the same names. */
int raw_udp_open(struct raw_udp *udp, struct worker *worker, const struct raw_path *path,
                 struct train *train, void (*flush)(void *context), void *flush_context);
void raw_udp_close(struct raw_udp *udp);
uint32_t raw_udp_places(const struct bench_config *config);
void raw_udp_receive(struct raw_udp *udp, uint64_t now_ns, const struct packet *packet);
void raw_udp_send_due(struct raw_udp *udp, uint64_t now_ns);
bool raw_udp_has_place(const struct raw_udp *udp);

#endif

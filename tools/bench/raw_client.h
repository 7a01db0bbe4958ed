/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_client.h - a run of the client in the driver (client.h): what begins when, what is given up,
 * and what it counted.
 *
 *     raw_client_open(&run, worker, &path)
 *     until raw_client_is_over(): raw_client_turn(&run, now_ns), and wait raw_client_wait_ns()
 *     raw_client_close(&run)
 */
#ifndef TOOLS_BENCH_RAW_CLIENT_H
#define TOOLS_BENCH_RAW_CLIENT_H

#include "tools/bench/client_load.h"
#include "tools/bench/processor.h"
#include "tools/bench/raw_frame.h"
#include "tools/bench/worker.h"

struct raw_client {
    struct worker *worker;
    struct client client;
    uint32_t place_count;
    uint32_t limit; /* connections, or queries over UDP, at a time */
    bool is_stopping;
    bool is_behind;         /* more are to begin, but not all at once */
    uint64_t flipped_ns;    /* 0, or when the other bank began to be filled */
    uint64_t opened, ended; /* of banks that were collected */
    uint32_t swept;
    uint64_t sweep_ns;
    uint64_t ended_before, rate_ns; /* how fast connections end: to know when to look again */
    uint64_t wait_ns;
    struct processor_load *before; /* of each processor */
};

/* `worker`, `path` must outlive it. Outcomes: 0; negative errno, worker->error filled. */
int raw_client_open(struct raw_client *run, struct worker *worker, const struct raw_path *path);

/* Begin what is due, give up what is out of time, tell what was counted.
 * Outcomes: 0; negative errno. */
int raw_client_turn(struct raw_client *run, uint64_t now_ns);

/* Until when nothing is to be done. */
uint64_t raw_client_wait_ns(struct raw_client *run, uint64_t now_ns);

/* Connections, or queries over UDP, that are not ended. */
uint64_t raw_client_busy(const struct raw_client *run);

/* Whether places wait for anything, if only for the server's FIN. */
bool raw_client_has_rest(const struct raw_client *run);

/* Count what is left, and undo raw_client_open(). */
void raw_client_close(struct raw_client *run);

#endif

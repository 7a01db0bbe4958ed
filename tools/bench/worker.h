/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.h - what every thread of a run needs, whatever carries its queries: the clock, what to ask
 * next and when, and where results go.
 *
 *     worker_begin(worker);
 *     until worker_is_over():
 *         now = worker_turn(worker);
 *         while there is a place and worker_may_send(worker, now):
 *             worker_take(worker, now, id, &query); send worker_copy()
 *         for each message: worker_receive(worker, now, the query of worker_id(), octets, len)
 *         wait, no longer than worker_patience_ns()
 *     worker_finish(worker, drops);
 */
#ifndef TOOLS_BENCH_WORKER_H
#define TOOLS_BENCH_WORKER_H

#include "tools/bench/report.h"
#include "tools/bench/verify.h"

#include <stdatomic.h>

struct worker {
    const struct bench_config *config;
    const struct question_pool *pool;
    struct report *report;
    const atomic_bool *is_stopped; /* somebody wants the run to end */
    unsigned index;
    uint64_t start_ns, end_ns; /* of sending */
    uint64_t sent_ns;          /* of the last query */
    uint64_t answered_ns;      /* of the last answer */
    uint64_t second_end_ns, second;
    uint64_t left;        /* queries that may still be sent */
    uint64_t outstanding; /* sent and not yet ended */
    struct schedule schedule;
    bool is_held;       /* queries are due, and those outstanding leave no place */
    uint32_t next;      /* question */
    uint64_t secret;    /* of nonces */
    struct tally tally; /* of this second */
    struct verify verify;
    struct report_usage usage;
    int result; /* 0; negative errno, with error filled */
    char error[512];
};

/* One query that was taken. */
struct worker_query {
    uint64_t due_ns; /* from then on its latency counts */
    uint32_t question;
    uint16_t id;
    bool is_waiting; /* for its answer */
};

/* Unhalting nanoseconds since some time in the past. */
uint64_t worker_clock_ns(void);

/* Call in the thread, first of all. */
void worker_begin(struct worker *worker);

/* The time; a second that is over is told to the report. */
uint64_t worker_turn(struct worker *worker);

/* Sending is over: by time, by count or by request. */
bool worker_is_done_sending(const struct worker *worker, uint64_t now_ns);

/* Whether a query may be sent now. What was due so long ago that its time is out is counted as
 * unsent on the way. */
bool worker_may_send(struct worker *worker, uint64_t now_ns);

/* There is no place for more outstanding: what is due meanwhile is late by the server's fault. */
void worker_hold(struct worker *worker, uint64_t now_ns);

/* Take the next query, after worker_may_send(), and give it this ID. */
void worker_take(struct worker *worker, uint64_t now_ns, uint16_t id,
                 struct worker_query *query_out);

/* The message of a query, as question_copy(): with its ID, and with a nonce of CHECKSUM that nobody
 * else can know. Returns its length. */
uint16_t worker_copy(const struct worker *worker, const struct worker_query *query, uint8_t *out);

/* The ID of a message; 0 also where it is too short for one. */
uint16_t worker_id(const uint8_t *message, size_t message_len);

/* A message came that has the place of this query: if it is the one waited for, judge and count it,
 * else count a stray one. Returns whether it was. */
bool worker_receive(struct worker *worker, uint64_t now_ns, struct worker_query *query,
                    const uint8_t *message, size_t message_len);

/* `count` queries will not be answered any more. */
void worker_lose(struct worker *worker, uint64_t count);

/* How long to wait at most: until the next query is due, if one may be sent, else `longest_ns`. */
uint64_t worker_patience_ns(const struct worker *worker, uint64_t now_ns, bool has_place,
                            uint64_t longest_ns);

/* Tell what is left to tell. `kernel_drops`: packets lost at our sockets. */
void worker_finish(struct worker *worker, uint64_t kernel_drops);

/* Fill `error` and `result` from a failed system call. */
void worker_fail(struct worker *worker, int result, const char *what);

/* The run of a thread; there is one function for each mode. */
void udp_run(struct worker *worker);
void tcp_run(struct worker *worker);
void raw_run(struct worker *worker); /* both raw ones */

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report.h - what the threads counted, put together and told: each second while it runs, and in
 * total at the end.
 *
 *     report_begin(&report, &config, ...);
 *     threads: report_second() for each second, in order; report_usage() last
 *     main:    report_follow()     returns when all threads have ended
 *              report_print()
 *     report_end()
 */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include "tools/bench/config.h"
#include "tools/bench/tally.h"

#include <pthread.h>
#include <stdio.h>

#define REPORT_THREADS_MAX 64
#define REPORT_RECENT 8 /* seconds that may be unfinished at a time */

/* One second, of all threads. */
struct report_row {
    uint64_t sent, answered, lost, wrong, unsent;
    uint64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
};

/* What a thread cost. */
struct report_usage {
    double user_s, system_s;
    double wait_s;     /* ready to run, but another was running */
    double busy_share; /* of the time it sent: running or waiting to */
    /* --driver: of its time that a processor was busy which the program runs on */
    double processor_share;
    int last_error;        /* 0, or errno of what failed last at a socket */
    uint64_t kernel_drops; /* received, and dropped for want of buffers */
};

struct report {
    const struct bench_config *config;
    uint32_t question_count;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t thread_second[REPORT_THREADS_MAX]; /* next one expected of it */
    bool is_ended[REPORT_THREADS_MAX];
    struct tally total;
    struct tally recent[REPORT_RECENT];
    struct report_row *rows;
    size_t row_count, row_cap;
    struct report_usage usage; /* busy_share: the largest */
    double sending_s;          /* the longest of the threads */
    FILE *csv;                 /* NULL: none */
};

/* Outcomes: 0; -ENOMEM. `csv` stays the caller's. */
int report_begin(struct report *report, const struct bench_config *config, uint32_t question_count,
                 FILE *csv);
void report_end(struct report *report);

/* A thread's second is over: add its tally, which is cleared. */
void report_second(struct report *report, unsigned thread, uint64_t second, struct tally *tally);

/* A thread's run is over; it sent, or tried to, for `sending_s`. */
void report_usage(struct report *report, unsigned thread, double sending_s,
                  const struct report_usage *usage);

/* Tell each second as it ends, until all threads have ended. One thread. */
void report_follow(struct report *report);

/* Tell the whole: text or JSON to `out`, warnings in text to stderr. */
void report_print(const struct report *report, FILE *out);

/* Tell all latencies as CSV: one line for each bucket in use, its upper end, how many were in it
 * and the share of all that were no longer. */
void report_print_histogram(const struct report *report, FILE *out);

/* Sentences on what made the figures less than they seem. Returns how many, at most `cap`; each is
 * written to texts[i]. */
#define REPORT_WARNINGS_MAX 8
#define REPORT_WARNING_CAP 256
size_t report_warnings(const struct report *report, char texts[][REPORT_WARNING_CAP], size_t cap);

/* ---- report_json.c ---- */
void report_print_json(const struct report *report, FILE *out);

/* Names of the RCODEs of a header, TALLY_RCODES of them. */
extern const char *const report_rcode_names[TALLY_RCODES];

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe-bench - a load generator for DNS.
 */
#include "tools/bench/worker.h"

#include "zonedb/zonedb.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

static atomic_bool is_stopped;

static void stop(int number)
{
    (void)number;
    atomic_store(&is_stopped, true);
}

static enum bench_exit refuse(const char *text)
{
    fprintf(stderr, "lethe-bench: %s\n", text);
    return BENCH_EXIT_REFUSED;
}

static void (*const runs[])(struct worker *) = {udp_run, tcp_run, raw_run, raw_run};

static void *run_thread(void *context)
{
    struct worker *worker = context;
    /* Wake when a query is due, not up to 50 us later. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    runs[worker->config->mode](worker);
    return NULL;
}

static enum bench_exit load_questions(const struct bench_config *config, struct question_pool *pool)
{
    struct question_error error;
    bool is_standard_input = strcmp(config->questions, "-") == 0;
    FILE *file = is_standard_input ? stdin : fopen(config->questions, "re");
    if (file == NULL) {
        snprintf(error.text, sizeof error.text, "cannot read questions from %s: %s",
                 config->questions, strerror(errno));
        return refuse(error.text);
    }
    int result = question_read(pool, file, config->questions, stderr, &error);
    if (!is_standard_input)
        fclose(file);
    if (result != 0)
        return refuse(error.text);
    if (pool->count > 0)
        return BENCH_EXIT_GOOD;
    snprintf(error.text, sizeof error.text, "there is no question in %s", config->questions);
    return refuse(error.text);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bool prepare_worker(struct worker *worker, const struct bench_config *config,
                           const struct question_pool *pool, struct report *report, unsigned index,
                           struct zonedb *compare)
{
    worker->config = config;
    worker->pool = pool;
    worker->report = report;
    worker->index = index;
    worker->is_stopped = &is_stopped;
    verify_begin(&worker->verify, pool);
    worker->verify.compare_every = config->compare_every;
    if (config->mode == BENCH_TCP || config->mode == BENCH_RAW)
        worker->verify.transport = RESPOND_TCP;
    if (getrandom(&worker->secret, sizeof worker->secret, 0) != sizeof worker->secret)
        return false;
    return compare == NULL || zonedb_view_open(compare, &worker->verify.view) == 0;
}

/* Start all threads, follow them, wait for all. */
static enum bench_exit run_workers(struct worker *workers, struct report *report, unsigned count)
{
    pthread_t threads[REPORT_THREADS_MAX];
    unsigned started = 0;
    while (started < count &&
           pthread_create(&threads[started], NULL, run_thread, &workers[started]) == 0)
        started++;
    if (started < count) {
        atomic_store(&is_stopped, true);
        for (unsigned i = started; i < count; i++)
            report->is_ended[i] = true;
    }
    report_follow(report);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (started < count)
        return refuse("cannot start so many threads (-T)");
    for (unsigned i = 0; i < count; i++)
        if (workers[i].result != 0)
            return refuse(workers[i].error);
    return BENCH_EXIT_GOOD;
}

static enum bench_exit run(const struct bench_config *config, const struct question_pool *pool,
                           struct zonedb *compare, FILE *csv)
{
    struct report *report = malloc(sizeof *report);
    struct worker *workers = calloc(config->threads, sizeof *workers);
    enum bench_exit exit_code = BENCH_EXIT_GOOD;
    if (report == NULL || workers == NULL || report_begin(report, config, pool->count, csv) != 0) {
        free(report);
        free(workers);
        return refuse("out of memory");
    }
    for (unsigned i = 0; i < config->threads && exit_code == BENCH_EXIT_GOOD; i++)
        if (!prepare_worker(&workers[i], config, pool, report, i, compare))
            exit_code =
                refuse("cannot prepare a thread; the zone database may have no reader left");
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = run_workers(workers, report, config->threads);
    if (exit_code == BENCH_EXIT_GOOD) {
        report_print(report, stdout);
        if (report->total.answered == 0)
            exit_code = BENCH_EXIT_UNANSWERED;
    }
    for (unsigned i = 0; i < config->threads; i++)
        zonedb_view_close(workers[i].verify.view);
    report_end(report);
    free(report);
    free(workers);
    return exit_code;
}

static enum bench_exit run_with_files(const struct bench_config *config,
                                      const struct question_pool *pool)
{
    struct zonedb *compare = NULL;
    struct zonedb_error error;
    FILE *csv = NULL;
    enum bench_exit exit_code = BENCH_EXIT_GOOD;
    if (config->compare != NULL && zonedb_open(config->compare, ZONEDB_READ, &compare, &error) != 0)
        return refuse(error.text);
    if (config->csv != NULL && (csv = fopen(config->csv, "we")) == NULL) {
        snprintf(error.text, sizeof error.text, "cannot write %s: %s", config->csv,
                 strerror(errno));
        exit_code = refuse(error.text);
    } else {
        exit_code = run(config, pool, compare, csv);
    }
    if (csv != NULL && fclose(csv) != 0 && exit_code == BENCH_EXIT_GOOD)
        exit_code = refuse("cannot write all of the CSV file");
    zonedb_close(compare);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct bench_config config;
    struct question_pool pool;
    bool is_done;
    enum bench_exit exit_code = config_read(argc, argv, &config, &is_done);
    if (exit_code != BENCH_EXIT_GOOD || is_done)
        return exit_code;
    const struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    raise_descriptor_limit();
    question_pool_begin(&pool, &config.form);
    exit_code = load_questions(&config, &pool);
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = run_with_files(&config, &pool);
    question_pool_end(&pool);
    return exit_code;
}

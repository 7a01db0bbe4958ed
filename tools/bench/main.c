/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe-bench - a load generator for DNS.
 *
 *     config     the command line
 *     question   the queries, rendered before the run; from a file, or by mix from a zone
 *     worker     a thread: what to ask next and when (schedule), is the answer right (verify), and
 *                the same as another server's (reference, compare)
 *       udp, tcp       on the kernel's sockets (kernel)
 *       raw            on frames of its own: raw_udp, raw_tcp with raw_send and raw_stream, put
 *                      together by raw_frame, reached by raw_link; pure but for raw.c itself
 *         raw_client   or carried by an XDP program: client, its frames in client_frame, put on an
 *                      interface by client_load
 *     report     what the threads counted (tally, histogram), each second and in total
 */
#include "tools/bench/mix.h"
#include "tools/bench/worker.h"

#include "server/address.h"
#include "zonedb/name.h"
#include "zonedb/zonedb.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

/* Databases in use. A process must not open one twice, so the two may be the same. */
struct databases {
    struct zonedb *zone, *compare; /* NULL: none */
};

/* What answers are compared with. */
struct standard {
    struct zonedb *db;          /* NULL: none */
    struct reference reference; /* has answers, or none */
    struct verify_differences differences;
};

static enum bench_exit open_database(const char *directory, struct zonedb **db_out)
{
    struct zonedb_error error;
    return zonedb_open(directory, ZONEDB_READ, db_out, &error) == 0 ? BENCH_EXIT_GOOD
                                                                    : refuse(error.text);
}

static bool is_same_directory(const char *a, const char *b)
{
    struct stat status_a, status_b;
    return stat(a, &status_a) == 0 && stat(b, &status_b) == 0 &&
           status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

/* `directory`: of --zone; NULL: none. */
static enum bench_exit open_databases(const struct bench_config *config, const char *directory,
                                      struct databases *databases)
{
    enum bench_exit exit_code = BENCH_EXIT_GOOD;
    if (directory != NULL)
        exit_code = open_database(directory, &databases->zone);
    if (exit_code != BENCH_EXIT_GOOD || config->compare == NULL)
        return exit_code;
    if (directory == NULL || !is_same_directory(directory, config->compare))
        return open_database(config->compare, &databases->compare);
    databases->compare = databases->zone;
    return BENCH_EXIT_GOOD;
}

static void close_databases(struct databases *databases)
{
    if (databases->compare != databases->zone)
        zonedb_close(databases->compare);
    zonedb_close(databases->zone);
}

static enum bench_exit make_questions(const struct bench_config *config, struct zonedb *db,
                                      const char *apex_text, struct question_pool *pool)
{
    uint8_t apex[NAME_MAX_LEN];
    char text[1200];
    struct zonedb_view *view;
    if (name_from_text(apex_text, apex) == 0) {
        snprintf(text, sizeof text, "--zone: %s is no domain name", apex_text);
        return refuse(text);
    }
    const struct mix_order order = {.apex = apex,
                                    .parts = {config->mix[0], config->mix[1], config->mix[2]},
                                    .count = config->question_count,
                                    .seed = config->seed};
    int result = zonedb_view_open(db, &view);
    if (result == 0) {
        result = mix_make(pool, view, &order);
        zonedb_view_close(view);
    }
    if (result == 0)
        return BENCH_EXIT_GOOD;
    snprintf(text, sizeof text, "cannot make questions of %s: %s", apex_text,
             result == -ENOENT ? "the database has no such zone" : strerror(-result));
    return refuse(text);
}

static enum bench_exit read_questions(const struct bench_config *config, struct question_pool *pool)
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
                           struct standard *standard)
{
    bool has_reference = standard->reference.answered > 0;
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
    worker->verify.differences = &standard->differences;
    worker->verify.reference = has_reference ? &standard->reference : NULL;
    if (standard->db == NULL && !has_reference)
        return true;
    worker->verify.compare = calloc(1, sizeof *worker->verify.compare);
    return worker->verify.compare != NULL &&
           getrandom(worker->verify.compare->key, sizeof worker->verify.compare->key, 0) ==
               sizeof worker->verify.compare->key &&
           (standard->db == NULL || zonedb_view_open(standard->db, &worker->verify.view) == 0);
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

/* Files to write. Opened before the run, so that it is not for nothing. */
struct outputs {
    FILE *csv, *histogram; /* NULL: none */
};

static enum bench_exit run(const struct bench_config *config, const struct question_pool *pool,
                           struct standard *standard, const struct outputs *outputs)
{
    struct report *report = malloc(sizeof *report);
    struct worker *workers = calloc(config->threads, sizeof *workers);
    enum bench_exit exit_code = BENCH_EXIT_GOOD;
    if (report == NULL || workers == NULL ||
        report_begin(report, config, pool->count, outputs->csv) != 0) {
        free(report);
        free(workers);
        return refuse("out of memory");
    }
    for (unsigned i = 0; i < config->threads && exit_code == BENCH_EXIT_GOOD; i++)
        if (!prepare_worker(&workers[i], config, pool, report, i, standard))
            exit_code =
                refuse("cannot prepare a thread; the zone database may have no reader left");
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = run_workers(workers, report, config->threads);
    if (exit_code == BENCH_EXIT_GOOD) {
        report_print(report, stdout);
        if (outputs->histogram != NULL)
            report_print_histogram(report, outputs->histogram);
        if (report->total.answered == 0)
            exit_code = BENCH_EXIT_UNANSWERED;
        else if (report->total.different > 0)
            exit_code = BENCH_EXIT_DIFFERENT;
    }
    for (unsigned i = 0; i < config->threads; i++) {
        zonedb_view_close(workers[i].verify.view);
        free(workers[i].verify.compare);
    }
    report_end(report);
    free(report);
    free(workers);
    return exit_code;
}

static enum bench_exit open_output(const char *path, FILE **file_out)
{
    char text[512];
    if (path == NULL || (*file_out = fopen(path, "we")) != NULL)
        return BENCH_EXIT_GOOD;
    snprintf(text, sizeof text, "cannot write %s: %s", path, strerror(errno));
    return refuse(text);
}

static enum bench_exit close_output(const char *path, FILE *file)
{
    char text[512];
    if (file == NULL || fclose(file) == 0)
        return BENCH_EXIT_GOOD;
    snprintf(text, sizeof text, "cannot write all of %s: %s", path, strerror(errno));
    return refuse(text);
}

static enum bench_exit ask_reference(const struct bench_config *config,
                                     const struct question_pool *pool, struct reference *reference)
{
    char text[512], server[ADDRESS_TEXT_MAX];
    bool is_tcp = config->mode == BENCH_TCP || config->mode == BENCH_RAW;
    int result = reference_ask(reference, pool, &config->compare_server, is_tcp, &is_stopped);
    address_to_text(&config->compare_server, server);
    if (result == 0 && reference->answered < pool->count && !config->is_quiet)
        fprintf(stderr,
                "lethe-bench: %u of %u questions are not compared: %s does not answer them\n",
                pool->count - reference->answered, pool->count, server);
    if (result == 0)
        return BENCH_EXIT_GOOD;
    snprintf(text, sizeof text, "cannot compare with %s: %s", server,
             result == -EHOSTUNREACH ? "it does not answer" : strerror(-result));
    return refuse(text);
}

static enum bench_exit run_with_standard(const struct bench_config *config,
                                         const struct question_pool *pool, struct zonedb *compare,
                                         const struct outputs *outputs)
{
    struct standard standard = {.db = compare,
                                .differences = {.out = stderr, .left = config->difference_count}};
    enum bench_exit exit_code = BENCH_EXIT_GOOD;
    if (config->compare_server.ss_family != 0)
        exit_code = ask_reference(config, pool, &standard.reference);
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = run(config, pool, &standard, outputs);
    reference_end(&standard.reference);
    return exit_code;
}

static enum bench_exit run_with_outputs(const struct bench_config *config,
                                        const struct question_pool *pool, struct zonedb *compare)
{
    struct outputs outputs = {.csv = NULL};
    enum bench_exit exit_code = open_output(config->csv, &outputs.csv);
    if (outputs.csv != NULL)
        setvbuf(outputs.csv, NULL, _IOLBF, BUFSIZ); /* a line is there when its second is over */
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = open_output(config->histogram, &outputs.histogram);
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = run_with_standard(config, pool, compare, &outputs);
    enum bench_exit csv_code = close_output(config->csv, outputs.csv);
    enum bench_exit histogram_code = close_output(config->histogram, outputs.histogram);
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = csv_code != BENCH_EXIT_GOOD ? csv_code : histogram_code;
    return exit_code;
}

int main(int argc, char **argv)
{
    struct bench_config config;
    struct databases databases = {.zone = NULL};
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
    /* DIRECTORY:APEX, and a directory may have a colon in its name */
    char *directory = config.zone != NULL ? strdup(config.zone) : NULL;
    char *colon = directory != NULL ? strrchr(directory, ':') : NULL;
    if (colon != NULL)
        *colon = '\0';
    exit_code = open_databases(&config, directory, &databases);
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = colon != NULL ? make_questions(&config, databases.zone, colon + 1, &pool)
                                  : read_questions(&config, &pool);
    if (exit_code == BENCH_EXIT_GOOD)
        exit_code = run_with_outputs(&config, &pool, databases.compare);
    close_databases(&databases);
    question_pool_end(&pool);
    free(directory);
    return exit_code;
}

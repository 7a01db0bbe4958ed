/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/worker.h"

#include "stateless_tcp/wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SECOND_NS 1000000000u
/* What took no longer does not tell how busy it would be. */
#define BUSY_MIN_S 0.1

uint64_t worker_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

/* Time spent ready to run while another ran; 0 where the kernel does not tell. */
static double waited_s(void)
{
    unsigned long long run_ns = 0, wait_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &run_ns, &wait_ns) != 2)
        wait_ns = 0;
    fclose(file);
    return (double)wait_ns / 1e9;
}

static struct report_usage usage_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (struct report_usage){.user_s = seconds_of(&usage.ru_utime),
                                 .system_s = seconds_of(&usage.ru_stime),
                                 .wait_s = waited_s()};
}

void worker_begin(struct worker *worker)
{
    const struct bench_config *config = worker->config;
    worker->start_ns = worker_clock_ns();
    worker->end_ns = worker->start_ns + (uint64_t)(config->seconds * 1e9);
    worker->sent_ns = worker->start_ns;
    worker->second_end_ns = worker->start_ns + SECOND_NS;
    worker->left = config->query_limit == UINT64_MAX
                       ? UINT64_MAX
                       : config->query_limit / config->threads +
                             (worker->index < config->query_limit % config->threads);
    worker->next = (uint32_t)((uint64_t)worker->pool->count * worker->index / config->threads);
    if (config->rate > 0)
        schedule_begin(&worker->schedule, config->arrivals, config->rate / config->threads,
                       worker->index, config->threads, config->seed, worker->start_ns);
    worker->usage = usage_now();
}

uint64_t worker_turn(struct worker *worker)
{
    uint64_t now_ns = worker_clock_ns();
    while (now_ns >= worker->second_end_ns) {
        report_second(worker->report, worker->index, worker->second++, &worker->tally);
        worker->second_end_ns += SECOND_NS;
    }
    return now_ns;
}

bool worker_is_done_sending(const struct worker *worker, uint64_t now_ns)
{
    if (worker->left == 0 || atomic_load_explicit(worker->is_stopped, memory_order_relaxed))
        return true;
    /* What was due before the end is sent, however late. */
    bool is_all_taken =
        worker->config->rate <= 0 || schedule_due_ns(&worker->schedule) >= worker->end_ns;
    return now_ns >= worker->end_ns && is_all_taken;
}

bool worker_may_send(struct worker *worker, uint64_t now_ns)
{
    if (worker_is_done_sending(worker, now_ns))
        return false;
    if (worker->config->rate <= 0)
        return true;
    uint64_t due_ns = schedule_due_ns(&worker->schedule);
    while (due_ns + worker->config->timeout_ns < now_ns && due_ns < worker->end_ns) {
        worker->tally.unsent++;
        schedule_advance(&worker->schedule);
        due_ns = schedule_due_ns(&worker->schedule);
    }
    if (due_ns > now_ns)
        worker->is_held = false;
    return due_ns <= now_ns && due_ns < worker->end_ns;
}

void worker_hold(struct worker *worker, uint64_t now_ns)
{
    worker->is_held = worker_may_send(worker, now_ns);
}

void worker_take(struct worker *worker, uint64_t now_ns, uint16_t id,
                 struct worker_query *query_out)
{
    query_out->id = id;
    query_out->is_waiting = true;
    query_out->due_ns = now_ns;
    query_out->question = worker->next;
    if (++worker->next == worker->pool->count)
        worker->next = 0;
    worker->left--;
    worker->outstanding++;
    worker->sent_ns = now_ns;
    worker->tally.sent++;
    worker->tally.octets_sent += question_len(worker->pool, query_out->question);
    if (worker->config->rate <= 0)
        return;
    query_out->due_ns = schedule_due_ns(&worker->schedule);
    schedule_advance(&worker->schedule);
    worker->tally.held += worker->is_held;
    if (!worker->is_held)
        histogram_record(&worker->tally.lag, now_ns - query_out->due_ns);
}

static uint64_t nonce_of(const struct worker *worker, const struct worker_query *query)
{
    if (!worker->pool->form.has_checksum)
        return 0;
    uint64_t state = worker->secret ^ (uint64_t)query->question << 16 ^ query->id;
    schedule_random(&state);
    return schedule_random(&state);
}

uint16_t worker_copy(const struct worker *worker, const struct worker_query *query, uint8_t *out)
{
    return question_copy(worker->pool, query->question, query->id, nonce_of(worker, query), out);
}

uint16_t worker_id(const uint8_t *message, size_t message_len)
{
    return message_len >= 2 ? wire_load_be16(message) : 0;
}

/* It is the query's: judge and count it. */
static void answer(struct worker *worker, uint64_t now_ns, const struct worker_query *query,
                   const uint8_t *response, size_t response_len)
{
    struct tally *tally = &worker->tally;
    worker->outstanding--;
    tally->octets_received += response_len;
    if (!verify_response(&worker->verify, query->question, query->id, nonce_of(worker, query),
                         response, response_len, tally)) {
        tally->wrong++;
        return;
    }
    tally->answered++;
    worker->answered_ns = now_ns;
    histogram_record(&tally->latency, now_ns > query->due_ns ? now_ns - query->due_ns : 0);
}

bool worker_receive(struct worker *worker, uint64_t now_ns, struct worker_query *query,
                    const uint8_t *message, size_t message_len)
{
    if (message_len < 2 || !query->is_waiting || query->id != worker_id(message, message_len)) {
        worker->tally.stray++;
        return false;
    }
    query->is_waiting = false;
    answer(worker, now_ns, query, message, message_len);
    return true;
}

void worker_lose(struct worker *worker, uint64_t count)
{
    worker->outstanding -= count;
    worker->tally.lost += count;
}

uint64_t worker_patience_ns(const struct worker *worker, uint64_t now_ns, bool has_place,
                            uint64_t longest_ns)
{
    if (!has_place || worker_is_done_sending(worker, now_ns))
        return longest_ns;
    if (worker->config->rate <= 0)
        return 0;
    uint64_t due_ns = schedule_due_ns(&worker->schedule);
    if (due_ns <= now_ns)
        return 0;
    return due_ns - now_ns < longest_ns ? due_ns - now_ns : longest_ns;
}

void worker_finish(struct worker *worker, uint64_t kernel_drops)
{
    struct report_usage before = worker->usage, after = usage_now();
    uint64_t now_ns = worker_turn(worker);
    uint64_t sending_end_ns =
        worker->sent_ns > worker->answered_ns ? worker->sent_ns : worker->answered_ns;
    if (worker->left > 0 && worker->end_ns < now_ns)
        sending_end_ns = worker->end_ns;
    double run_s = (double)(now_ns - worker->start_ns) / 1e9;
    double sending_s = (double)(sending_end_ns - worker->start_ns) / 1e9;
    struct report_usage usage = {
        .user_s = after.user_s - before.user_s,
        .system_s = after.system_s - before.system_s,
        .wait_s = after.wait_s - before.wait_s,
        .processor_share = before.processor_share,
        .last_error = before.last_error,
        .kernel_drops = kernel_drops,
    };
    /* What comes after the last query is waiting for answers that may never come. */
    double busy_s = usage.user_s + usage.system_s + usage.wait_s;
    double of_s = sending_s > 0 && sending_s < run_s ? sending_s : run_s;
    usage.busy_share = of_s > BUSY_MIN_S ? busy_s / of_s : 0;
    if (usage.busy_share > 1)
        usage.busy_share = 1;
    report_second(worker->report, worker->index, worker->second, &worker->tally);
    report_usage(worker->report, worker->index, sending_s, &usage);
}

void worker_fail(struct worker *worker, int result, const char *what)
{
    worker->result = result;
    snprintf(worker->error, sizeof worker->error, "%s: %s", what, strerror(-result));
}

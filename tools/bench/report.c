/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/report.h"

#include "server/address.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAG_NS_BAD 1000000
#define BUSY_SHARE_BAD 0.95

const char *const report_rcode_names[TALLY_RCODES] = {
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE",  "RCODE11",  "RCODE12", "RCODE13", "RCODE14",  "RCODE15"};

int report_begin(struct report *report, const struct bench_config *config, uint32_t question_count,
                 FILE *csv)
{
    *report = (struct report){.config = config, .question_count = question_count, .csv = csv};
    int result = pthread_mutex_init(&report->mutex, NULL);
    if (result == 0)
        result = pthread_cond_init(&report->changed, NULL);
    return -result;
}

void report_end(struct report *report)
{
    pthread_cond_destroy(&report->changed);
    pthread_mutex_destroy(&report->mutex);
    free(report->rows);
}

void report_second(struct report *report, unsigned thread, uint64_t second, struct tally *tally)
{
    pthread_mutex_lock(&report->mutex);
    tally_add(&report->total, tally);
    /* A thread that is so far ahead of what is printed finds the place taken by an older second. */
    if (second < report->row_count + REPORT_RECENT)
        tally_add(&report->recent[second % REPORT_RECENT], tally);
    report->thread_second[thread] = second + 1;
    pthread_cond_signal(&report->changed);
    pthread_mutex_unlock(&report->mutex);
    memset(tally, 0, sizeof *tally);
}

void report_usage(struct report *report, unsigned thread, double sending_s,
                  const struct report_usage *usage)
{
    pthread_mutex_lock(&report->mutex);
    report->usage.user_s += usage->user_s;
    report->usage.system_s += usage->system_s;
    report->usage.wait_s += usage->wait_s;
    report->usage.kernel_drops += usage->kernel_drops;
    if (usage->busy_share > report->usage.busy_share)
        report->usage.busy_share = usage->busy_share;
    if (usage->processor_share > report->usage.processor_share)
        report->usage.processor_share = usage->processor_share;
    if (usage->last_error != 0)
        report->usage.last_error = usage->last_error;
    if (sending_s > report->sending_s)
        report->sending_s = sending_s;
    report->is_ended[thread] = true;
    pthread_cond_signal(&report->changed);
    pthread_mutex_unlock(&report->mutex);
}

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

/* Put the oldest unfinished second among the rows. Returns false: no memory. */
static bool finish_second(struct report *report)
{
    if (report->row_count == report->row_cap) {
        size_t cap = report->row_cap * 2 + 64;
        struct report_row *rows = reallocarray(report->rows, cap, sizeof *rows);
        if (rows == NULL)
            return false;
        report->rows = rows;
        report->row_cap = cap;
    }
    struct tally *tally = &report->recent[report->row_count % REPORT_RECENT];
    report->rows[report->row_count++] = (struct report_row){
        .sent = tally->sent,
        .answered = tally->answered,
        .lost = tally->lost,
        .wrong = tally->wrong,
        .unsent = tally->unsent,
        .p50_ns = histogram_quantile_ns(&tally->latency, 0.5),
        .p90_ns = histogram_quantile_ns(&tally->latency, 0.9),
        .p99_ns = histogram_quantile_ns(&tally->latency, 0.99),
        .p999_ns = histogram_quantile_ns(&tally->latency, 0.999),
        .max_ns = tally->latency.max_ns,
    };
    memset(tally, 0, sizeof *tally);
    return true;
}

static void tell_second(const struct report *report, size_t second, const struct report_row *row)
{
    if (report->csv != NULL) {
        if (second == 0)
            fputs("second,sent,answered,lost,wrong,unsent,p50_us,p90_us,p99_us,p999_us,max_us\n",
                  report->csv);
        fprintf(report->csv,
                "%zu,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                ",%.1f,%.1f,%.1f,%.1f,%.1f\n",
                second, row->sent, row->answered, row->lost, row->wrong, row->unsent,
                us(row->p50_ns), us(row->p90_ns), us(row->p99_ns), us(row->p999_ns),
                us(row->max_ns));
    }
    if (!report->config->is_quiet && isatty(STDERR_FILENO))
        fprintf(stderr,
                "\r%4zu s  %9" PRIu64 " sent  %9" PRIu64 " answered  %6" PRIu64
                " lost  p50 %8.1f  p99 %8.1f us ",
                second + 1, row->sent, row->answered, row->lost, us(row->p50_ns), us(row->p99_ns));
}

/* Seconds that every thread has told of; and whether all have ended. */
static uint64_t seconds_ready(const struct report *report, bool *is_over_out)
{
    uint64_t all = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < report->config->threads; i++) {
        if (report->thread_second[i] > most)
            most = report->thread_second[i];
        if (!report->is_ended[i] && report->thread_second[i] < all)
            all = report->thread_second[i];
    }
    *is_over_out = all == UINT64_MAX;
    return *is_over_out ? most : all;
}

void report_follow(struct report *report)
{
    bool is_over = false;
    pthread_mutex_lock(&report->mutex);
    while (!is_over) {
        uint64_t ready = seconds_ready(report, &is_over);
        while (report->row_count < ready && finish_second(report)) {
            size_t second = report->row_count - 1;
            struct report_row row = report->rows[second];
            /* A slow terminal must not make the threads wait. */
            pthread_mutex_unlock(&report->mutex);
            tell_second(report, second, &row);
            pthread_mutex_lock(&report->mutex);
        }
        if (!is_over && seconds_ready(report, &is_over) <= report->row_count && !is_over)
            pthread_cond_wait(&report->changed, &report->mutex);
    }
    pthread_mutex_unlock(&report->mutex);
    if (!report->config->is_quiet && isatty(STDERR_FILENO) && report->row_count > 0)
        fputc('\n', stderr);
}

size_t report_warnings(const struct report *report, char texts[][REPORT_WARNING_CAP], size_t cap)
{
    const struct tally *total = &report->total;
    uint64_t lag_ns = histogram_quantile_ns(&total->lag, 0.99);
    size_t count = 0;
    if (report->usage.busy_share >= BUSY_SHARE_BAD && count < cap)
        snprintf(texts[count++], REPORT_WARNING_CAP,
                 "the generator was the limit: a thread of it was running or waiting for a "
                 "processor %.0f %% of the time; use more threads or faster modes (raw, raw-udp)",
                 report->usage.busy_share * 100);
    if (report->usage.processor_share >= BUSY_SHARE_BAD && count < cap)
        snprintf(texts[count++], REPORT_WARNING_CAP,
                 "the generator may have been the limit: a processor that its program runs on was "
                 "busy %.0f %% of the time, whatever with",
                 report->usage.processor_share * 100);
    if (report->config->has_driver && total->answered == 0 && count < cap)
        snprintf(texts[count++], REPORT_WARNING_CAP,
                 "nothing came back: the other end of a veth pair needs an XDP program or "
                 "generic receive offload (ethtool -K NAME gro on)");
    if (lag_ns > LAG_NS_BAD && count < cap)
        snprintf(
            texts[count++], REPORT_WARNING_CAP,
            "the generator was behind its schedule: 1 %% of the queries left more than %.1f ms "
            "late, which their latency includes",
            (double)lag_ns / 1e6);
    if (report->usage.kernel_drops > 0 && count < cap)
        snprintf(texts[count++], REPORT_WARNING_CAP,
                 "the generator was too slow to read: %" PRIu64
                 " packets were dropped at its sockets and may count as lost",
                 report->usage.kernel_drops);
    if (total->no_port > 0 && count < cap)
        snprintf(texts[count++], REPORT_WARNING_CAP,
                 "no source port was left %" PRIu64
                 " times; name more addresses with --source, or set net.ipv4.tcp_tw_reuse=1",
                 total->no_port);
    if (total->held > 0 && count < cap)
        snprintf(texts[count++], REPORT_WARNING_CAP,
                 "%" PRIu64 " queries waited for a place among those outstanding, which their "
                 "latency includes; -c gives more",
                 total->held);
    return count;
}

static void print_counts(const struct report *report, FILE *out)
{
    const struct tally *total = &report->total;
    double seconds = report->sending_s > 0 ? report->sending_s : 1;
    uint64_t ended = total->answered + total->wrong + total->lost;
    fprintf(out, "Sent       %" PRIu64 " queries in %.2f s, %.0f/s\n", total->sent,
            report->sending_s, (double)total->sent / seconds);
    fprintf(out, "Answered   %" PRIu64 ", %.0f/s\n", total->answered,
            (double)total->answered / seconds);
    fprintf(out, "Lost       %" PRIu64 " (%.4f %%)\n", total->lost,
            ended > 0 ? 100 * (double)total->lost / (double)ended : 0);
    if (total->wrong + total->stray + total->unexpected + total->unsent > 0)
        fprintf(out,
                "Wrong      %" PRIu64 ", unexpected %" PRIu64 ", stray %" PRIu64
                ", never sent %" PRIu64 "\n",
                total->wrong, total->unexpected, total->stray, total->unsent);
    if (total->compared > 0)
        fprintf(out, "Compared   %" PRIu64 ", different %" PRIu64 "\n", total->compared,
                total->different);
    if (total->checksum_good + total->checksum_bad + total->checksum_absent > 0)
        fprintf(out, "CHECKSUM   %" PRIu64 " good, %" PRIu64 " bad, %" PRIu64 " absent\n",
                total->checksum_good, total->checksum_bad, total->checksum_absent);
    if (total->answered == 0) {
        fprintf(out, "Nothing answered: %s\n",
                report->usage.last_error != 0 ? strerror(report->usage.last_error)
                                              : "nothing came in time");
        return;
    }
    fputs("RCODE     ", out);
    for (unsigned i = 0; i < TALLY_RCODES; i++)
        if (total->rcodes[i] > 0)
            fprintf(out, " %s %.2f %%", report_rcode_names[i],
                    100 * (double)total->rcodes[i] / (double)total->answered);
    fprintf(out, "; truncated %" PRIu64 "\n", total->truncated);
    if (total->connections + total->refused > 0)
        fprintf(out,
                "TCP        %" PRIu64 " connections, %" PRIu64 " not opened, %" PRIu64
                " reset, %" PRIu64 " with Fast Open, %" PRIu64 " retransmissions\n",
                total->connections, total->refused, total->resets, total->fast_open,
                total->retransmissions);
}

static void print_text(const struct report *report, FILE *out)
{
    const struct tally *total = &report->total;
    const struct histogram *latency = &total->latency;
    char server[ADDRESS_TEXT_MAX];
    fprintf(out, "Asked      %s over %s, %u question%s\n",
            address_to_text(&report->config->server, server),
            config_mode_name(report->config->mode), report->question_count,
            report->question_count == 1 ? "" : "s");
    print_counts(report, out);
    if (total->answered > 0)
        fprintf(out,
                "Latency    min %.1f, mean %.1f, p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max "
                "%.1f us\n",
                us(latency->min_ns), histogram_mean_ns(latency) / 1e3,
                us(histogram_quantile_ns(latency, 0.5)), us(histogram_quantile_ns(latency, 0.9)),
                us(histogram_quantile_ns(latency, 0.99)), us(histogram_quantile_ns(latency, 0.999)),
                us(latency->max_ns));
    double cpu_s = report->usage.user_s + report->usage.system_s;
    fprintf(out, "Generator  %.2f s CPU, %.2f us an answer\n", cpu_s,
            total->answered > 0 ? cpu_s * 1e6 / (double)total->answered : 0);
}

void report_print(const struct report *report, FILE *out)
{
    char warnings[REPORT_WARNINGS_MAX][REPORT_WARNING_CAP];
    size_t count = report_warnings(report, warnings, REPORT_WARNINGS_MAX);
    if (report->config->is_json)
        report_print_json(report, out);
    else
        print_text(report, out);
    if (!report->config->is_quiet)
        for (size_t i = 0; i < count; i++)
            fprintf(stderr, "lethe-bench: warning: %s\n", warnings[i]);
}

void report_print_histogram(const struct report *report, FILE *out)
{
    const struct histogram *latency = &report->total.latency;
    uint64_t seen = 0;
    fputs("latency_us,count,share\n", out);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (latency->buckets[i] == 0)
            continue;
        seen += latency->buckets[i];
        fprintf(out, "%.3f,%" PRIu64 ",%.9f\n", us(histogram_bucket_ns(i)), latency->buckets[i],
                (double)seen / (double)latency->count);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/address.h"
#include "tools/bench/report.h"

#include <inttypes.h>

static void put_count(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "  \"%s\": %" PRIu64 ",\n", name, value);
}

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static void put_durations(FILE *out, const char *name, const struct histogram *histogram)
{
    fprintf(out,
            "  \"%s\": {\"count\": %" PRIu64 ", \"min\": %.3f, \"mean\": %.3f, \"p50\": %.3f, "
            "\"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"p9999\": %.3f, \"max\": %.3f},\n",
            name, histogram->count, us(histogram->min_ns), histogram_mean_ns(histogram) / 1e3,
            us(histogram_quantile_ns(histogram, 0.5)), us(histogram_quantile_ns(histogram, 0.9)),
            us(histogram_quantile_ns(histogram, 0.99)), us(histogram_quantile_ns(histogram, 0.999)),
            us(histogram_quantile_ns(histogram, 0.9999)), us(histogram->max_ns));
}

static void put_setting(const struct report *report, FILE *out)
{
    const struct bench_config *config = report->config;
    char server[ADDRESS_TEXT_MAX];
    fprintf(out, "{\n  \"tool\": \"lethe-bench\",\n  \"version\": \"%s\",\n", LETHE_VERSION);
    fprintf(out, "  \"mode\": \"%s\",\n  \"server\": \"%s\",\n", config_mode_name(config->mode),
            address_to_text(&config->server, server));
    if (config->rate > 0)
        fprintf(out, "  \"rate\": %.3f,\n", config->rate);
    else
        fputs("  \"rate\": null,\n", out);
    put_count(out, "threads", config->threads);
    put_count(out, "connections", config->connections);
    put_count(out, "queries_per_connection", config->queries_per_connection);
    put_count(out, "pipeline", config->pipeline);
    put_count(out, "questions", report->question_count);
}

static void put_counts(const struct report *report, FILE *out)
{
    const struct tally *total = &report->total;
    double seconds = report->sending_s > 0 ? report->sending_s : 1;
    uint64_t ended = total->answered + total->wrong + total->lost;
    fprintf(out, "  \"seconds\": %.6f,\n", report->sending_s);
    put_count(out, "sent", total->sent);
    put_count(out, "answered", total->answered);
    put_count(out, "lost", total->lost);
    put_count(out, "wrong", total->wrong);
    put_count(out, "unexpected", total->unexpected);
    put_count(out, "stray", total->stray);
    put_count(out, "unsent", total->unsent);
    put_count(out, "held", total->held);
    put_count(out, "truncated", total->truncated);
    put_count(out, "compared", total->compared);
    put_count(out, "different", total->different);
    put_count(out, "octets_sent", total->octets_sent);
    put_count(out, "octets_received", total->octets_received);
    fprintf(out, "  \"sent_per_s\": %.1f,\n  \"answered_per_s\": %.1f,\n",
            (double)total->sent / seconds, (double)total->answered / seconds);
    fprintf(out, "  \"loss\": %.9f,\n", ended > 0 ? (double)total->lost / (double)ended : 0);
    fputs("  \"rcodes\": {", out);
    const char *separator = "";
    for (unsigned i = 0; i < TALLY_RCODES; i++) {
        if (total->rcodes[i] == 0)
            continue;
        fprintf(out, "%s\"%s\": %" PRIu64, separator, report_rcode_names[i], total->rcodes[i]);
        separator = ", ";
    }
    fprintf(out,
            "},\n  \"checksum\": {\"good\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"absent\": %" PRIu64
            "},\n",
            total->checksum_good, total->checksum_bad, total->checksum_absent);
    fprintf(out,
            "  \"tcp\": {\"opened\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"resets\": %" PRIu64
            ", \"no_port\": %" PRIu64 ", \"fast_open\": %" PRIu64 ", \"segments_sent\": %" PRIu64
            ", \"segments_received\": %" PRIu64 ", \"retransmissions\": %" PRIu64 "},\n",
            total->connections, total->refused, total->resets, total->no_port, total->fast_open,
            total->segments_sent, total->segments_received, total->retransmissions);
}

static void put_generator(const struct report *report, FILE *out)
{
    char warnings[REPORT_WARNINGS_MAX][REPORT_WARNING_CAP];
    size_t count = report_warnings(report, warnings, REPORT_WARNINGS_MAX);
    const struct report_usage *usage = &report->usage;
    double cpu_s = usage->user_s + usage->system_s;
    fprintf(out,
            "  \"generator\": {\"user_s\": %.6f, \"system_s\": %.6f, \"wait_s\": %.6f, "
            "\"busy_share\": %.4f, \"processor_share\": %.4f, \"us_per_answer\": %.4f, "
            "\"kernel_drops\": %" PRIu64 ", \"warnings\": [",
            usage->user_s, usage->system_s, usage->wait_s, usage->busy_share,
            usage->processor_share,
            report->total.answered > 0 ? cpu_s * 1e6 / (double)report->total.answered : 0,
            usage->kernel_drops);
    /* the sentences are ours and have nothing in them that JSON would have escaped */
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", warnings[i]);
    fputs("]},\n", out);
}

void report_print_json(const struct report *report, FILE *out)
{
    put_setting(report, out);
    put_counts(report, out);
    put_durations(out, "latency_us", &report->total.latency);
    put_durations(out, "lag_us", &report->total.lag);
    put_generator(report, out);
    fputs("  \"intervals\": [", out);
    for (size_t i = 0; i < report->row_count; i++) {
        const struct report_row *row = &report->rows[i];
        fprintf(out,
                "%s\n    {\"second\": %zu, \"sent\": %" PRIu64 ", \"answered\": %" PRIu64
                ", \"lost\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"unsent\": %" PRIu64
                ", \"p50_us\": %.3f, \"p90_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, "
                "\"max_us\": %.3f}",
                i > 0 ? "," : "", i, row->sent, row->answered, row->lost, row->wrong, row->unsent,
                us(row->p50_ns), us(row->p90_ns), us(row->p99_ns), us(row->p999_ns),
                us(row->max_ns));
    }
    fprintf(out, "%s]\n}\n", report->row_count > 0 ? "\n  " : "");
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe-query - ask a DNS server, and say what it said.
 */
#include "server/address.h"
#include "tools/query/arguments.h"
#include "tools/query/show.h"
#include "tools/query/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_WORDS_MAX 64

struct work {
    struct exchange_context context;
    struct exchange exchange;
    struct servers servers;
    struct segments segments;
    int exit_code; /* the worst so far */
};

static void work_fail(struct work *work, int exit_code)
{
    if (exit_code > work->exit_code)
        work->exit_code = exit_code;
}

static void show(const struct work *work, const struct plan *plan, const struct received *response,
                 const char *error)
{
    const struct exchange *exchange = &work->exchange;
    const struct segments *segments = work->segments.count > 0 ? &work->segments : NULL;
    switch (plan->show.format) {
    case PLAN_FORMAT_TEXT:
        show_text(plan, exchange, response);
        if (segments != NULL)
            segments_show(segments, stdout);
        break;
    case PLAN_FORMAT_SHORT:
        show_short(plan, exchange, response);
        break;
    case PLAN_FORMAT_JSON:
        show_json(plan, exchange, response, segments, error);
        break;
    }
    if (response == NULL)
        fprintf(stderr, "lethe-query: %s\n", error);
    fflush(stdout);
}

static void run_trace(struct work *work, const struct plan *plan)
{
    char error[SERVERS_ERROR_MAX] = "no memory";
    int outcome = trace_run(plan, error);
    if (outcome == 0)
        return;
    if (plan->show.format == PLAN_FORMAT_JSON)
        show_json(plan, &work->exchange, NULL, NULL, error);
    fflush(stdout);
    fprintf(stderr, "lethe-query: %s\n", error);
    work_fail(work, outcome == -EIO      ? EXIT_FILE
                    : outcome == -ENOENT ? EXIT_NO_REPLY
                                         : EXIT_INTERNAL);
}

static void run_plan(struct work *work, const struct plan *plan)
{
    if (plan->is_traced) {
        run_trace(work, plan);
        return;
    }
    char error[SERVERS_ERROR_MAX] = "no response";
    struct exchange *exchange = &work->exchange;
    exchange->note_count = exchange->tries = 0;
    exchange->request_len = exchange->response_len = 0;
    exchange->checksum = EXCHANGE_CHECKSUM_UNASKED;
    exchange->tsig = EXCHANGE_TSIG_UNASKED;
    segments_clear(&work->segments);
    if (servers_find(plan, &work->servers, error) != 0 ||
        exchange_run(plan, &work->servers, &work->context, exchange) != 0) {
        show(work, plan, NULL, error);
        work_fail(work, EXIT_NO_REPLY);
        return;
    }
    struct received response;
    received_begin(exchange->response, exchange->response_len, &response);
    show(work, plan, &response, NULL);
    received_end(&response);
    if (!exchange_is_believed(plan, exchange)) {
        fprintf(stderr, "lethe-query: TSIG %s: the response proves nothing\n",
                exchange_tsig_text(exchange->tsig));
        work_fail(work, EXIT_NO_REPLY);
    }
}

static void run_plans(struct work *work, const struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++)
        run_plan(work, &arguments->plans[i]);
}

/* A line of a file of queries is a command line of its own. */
static void run_line(struct work *work, const struct arguments *arguments, char *line)
{
    char *words[LINE_WORDS_MAX], *rest;
    int count = 0;
    struct arguments more;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *word = strtok_r(line, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest))
        if (count < LINE_WORDS_MAX)
            words[count++] = word;
    if (count == 0 || words[0][0] == '#' || words[0][0] == ';')
        return;
    int exit_code = arguments_read(count, words, &arguments->common, &more);
    if (exit_code >= 0)
        work_fail(work, exit_code);
    else if (more.file != NULL)
        work_fail(work, EXIT_USAGE);
    else
        run_plans(work, &more);
    free(more.plans);
}

static void run_file(struct work *work, const struct arguments *arguments)
{
    bool is_stdin = strcmp(arguments->file, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(arguments->file, "re");
    char *line = NULL;
    size_t cap = 0;
    if (file == NULL) {
        fprintf(stderr, "lethe-query: %s: %s\n", arguments->file, strerror(errno));
        work_fail(work, EXIT_FILE);
        return;
    }
    while (getline(&line, &cap, file) >= 0)
        run_line(work, arguments, line);
    if (ferror(file)) {
        fprintf(stderr, "lethe-query: %s: cannot be read\n", arguments->file);
        work_fail(work, EXIT_FILE);
    }
    free(line);
    if (!is_stdin)
        fclose(file);
}

/* -yKEY, +tsig=KEY, --key=KEY, and these cut short. */
static bool has_secret(const char *word)
{
    size_t sign_len = strspn(word, "+-");
    return sign_len > 0 && strchr("ytk", word[sign_len]) != NULL && strchr(word, ':') != NULL;
}

static void print_command(int argc, char **argv)
{
    printf("\n; <<>> lethe-query " LETHE_VERSION " <<>>");
    for (int i = 1; i < argc; i++) {
        bool is_key = i > 1 && strcmp(argv[i - 1], "-y") == 0;
        printf(" %s", is_key || has_secret(argv[i]) ? "(key)" : argv[i]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    static struct work work = {.context = {.fd = -1}, .segments = {.fd = -1}};
    static struct plan common;
    struct arguments arguments;
    work.context.segments = &work.segments;
    plan_init(&common);
    int exit_code = arguments_read(argc - 1, argv + 1, &common, &arguments);
    if (exit_code < 0) {
        const struct plan_show *show =
            arguments.count > 0 ? &arguments.plans[0].show : &arguments.common.show;
        if (show->has_command && show->format == PLAN_FORMAT_TEXT)
            print_command(argc, argv);
        run_plans(&work, &arguments);
        if (arguments.file != NULL)
            run_file(&work, &arguments);
        exchange_context_end(&work.context);
        exit_code = work.exit_code;
    }
    free(arguments.plans);
    if (fflush(stdout) != 0 || ferror(stdout))
        return EXIT_INTERNAL;
    return exit_code;
}

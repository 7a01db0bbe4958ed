/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/exchange.h"

#include "server/address.h"
#include "tools/query/protection.h"
#include "tools/query/received.h"
#include "tools/query/socket.h"

#include <assert.h>
#include <errno.h>
#include <libknot/rrtype/opt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Messages that are not ours and are told about; the others are ignored just so: whoever floods us
 * shall not make us give up before the time. */
#define STRANGERS_TOLD_MAX 8

/* How long a better response than an unsigned one is waited for. */
#define KEPT_US 1000000

/* How long the end of a closed connection is watched without a further segment. */
#define SEGMENTS_WAIT_MS 100

enum step {
    STEP_DONE,
    STEP_TCP,    /* ask the same server over TCP */
    STEP_COOKIE, /* ask again with the cookie that came */
    STEP_KEEP,   /* not signed as it should be: taken if nothing better comes */
    STEP_WAIT,   /* discarded: another may come */
    STEP_NEXT,   /* next server, next try */
};

struct run {
    struct plan plan; /* the user's, with the server's cookie once it is known */
    bool has_new_cookie;
    const struct server *server;
    struct exchange_context *context;
    struct exchange *to;
    int64_t begun_us;
};

__attribute__((format(printf, 2, 3))) static void note(struct exchange *exchange,
                                                       const char *format, ...)
{
    if (exchange->note_count == NOTES_MAX)
        return;
    va_list values;
    va_start(values, format);
    vsnprintf(exchange->notes[exchange->note_count++], NOTE_LEN_MAX, format, values);
    va_end(values);
}

/* "192.0.2.1@53 (TCP)" */
static const char *whom(const struct run *run)
{
    static char text[ADDRESS_TEXT_MAX + 8];
    address_to_text(&run->server->address, text);
    strcat(text, run->to->is_tcp ? " (TCP)" : " (UDP)");
    return text;
}

static void note_failure(struct run *run, const char *what, int outcome)
{
    const char *why = strerror(-outcome);
    if (outcome == -ETIMEDOUT)
        why = "timed out";
    else if (outcome == -ENODATA)
        why = "closed by the server without a response";
    else if (outcome == -EPIPE)
        why = "closed by the server within a message";
    note(run->to, "%s %s: %s", what, whom(run), why);
}

static int make_request(struct run *run)
{
    struct exchange *to = run->to;
    if (getrandom(&to->dice, sizeof to->dice, 0) != sizeof to->dice)
        return -EIO;
    to->when = time(NULL);
    to->request_len =
        protection_request(&run->plan, &to->dice, (uint64_t)to->when, to->request, &to->tsig_asked);
    run->begun_us = socket_clock_us();
    return 0;
}

/* RFC 7873 5.3: BADCOOKIE brings a new cookie; it is tried once. */
static enum step take_cookie(struct run *run, const struct received *response)
{
    uint16_t code, len;
    const uint8_t *data;
    struct plan_edns *edns = &run->plan.edns;
    for (size_t at = 0; received_option_next(response, &at, &code, &data, &len);) {
        if (code != KNOT_EDNS_OPTION_COOKIE || len < 16 || len > sizeof edns->cookie ||
            memcmp(data, run->to->dice.cookie, 8) != 0 || run->has_new_cookie)
            continue;
        memcpy(edns->cookie, data, len);
        edns->cookie_len = len;
        run->has_new_cookie = true;
        note(run->to, "response from %s: BADCOOKIE: asking again with its cookie", whom(run));
        return STEP_COOKIE;
    }
    return STEP_DONE;
}

/* The draft's rules for clients: bad is discarded, and asked for over TCP. */
static enum step judge_checksum(struct run *run)
{
    struct exchange *to = run->to;
    to->checksum = protection_checksum(&run->plan, &to->dice, to->response, to->response_len);
    if (to->checksum != EXCHANGE_CHECKSUM_BAD)
        return STEP_DONE;
    note(to, "response from %s: checksum bad: discarded%s", whom(run),
         to->is_tcp ? "" : ", asking over TCP");
    return to->is_tcp ? STEP_NEXT : STEP_TCP;
}

/* RFC 8945 5.4: what is wrong is discarded, and a right one waited for. */
static enum step judge_tsig(struct run *run)
{
    struct exchange *to = run->to;
    const char *fault = "";
    to->tsig = protection_tsig(&run->plan, to, (uint64_t)time(NULL), &to->tsig_error, &fault);
    switch (to->tsig) {
    case EXCHANGE_TSIG_UNASKED:
    case EXCHANGE_TSIG_GOOD:
    case EXCHANGE_TSIG_REFUSED:
        return STEP_DONE;
    case EXCHANGE_TSIG_UNSIGNED:
    case EXCHANGE_TSIG_ABSENT:
        return STEP_KEEP;
    case EXCHANGE_TSIG_BAD:
        break;
    }
    note(to, "response from %s: TSIG %s: discarded", whom(run), fault);
    return to->is_tcp ? STEP_NEXT : STEP_WAIT;
}

static enum step judge_response(struct run *run)
{
    struct exchange *to = run->to;
    enum step step = judge_checksum(run);
    if (step != STEP_DONE)
        return step;
    enum step signature = judge_tsig(run);
    if (signature != STEP_DONE && signature != STEP_KEEP)
        return signature;
    bool is_cut = (octets_be16(to->response + 2) & RECEIVED_TC) != 0;
    if (is_cut && !run->plan.is_tc_ignored && !to->is_tcp) {
        note(to, "response from %s: truncated, asking over TCP", whom(run));
        return STEP_TCP;
    }
    struct received response;
    received_begin(to->response, to->response_len, &response);
    if (response.fault[0] != '\0') {
        note(to, "response from %s: malformed: %s%s", whom(run), response.fault,
             is_cut ? "" : ": discarded");
        step = is_cut ? STEP_DONE : STEP_NEXT;
    } else if (response.rcode == KNOT_RCODE_BADCOOKIE && run->plan.edns.has_cookie) {
        step = take_cookie(run, &response);
    }
    received_end(&response);
    return step == STEP_DONE && !to->is_tcp ? signature : step;
}

/* A message behind its length. */
static int receive_tcp(struct exchange *to, int fd, int64_t deadline_us)
{
    uint8_t prefix[2];
    int outcome = socket_read(fd, prefix, sizeof prefix, deadline_us);
    if (outcome != 0)
        return outcome;
    to->response_len = octets_be16(prefix);
    outcome = socket_read(fd, to->response, to->response_len, deadline_us);
    return outcome == -ENODATA ? -EPIPE : outcome;
}

static int receive_one(struct exchange *to, int fd, int64_t deadline_us)
{
    return to->is_tcp ? receive_tcp(to, fd, deadline_us)
                      : socket_receive(fd, to->response, sizeof to->response, deadline_us,
                                       &to->response_len);
}

/* Receive until one is ours, or time is up. */
static enum step receive(struct run *run, int fd, int64_t deadline_us)
{
    static struct exchange kept;
    bool has_kept = false;
    struct exchange *to = run->to;
    for (unsigned strangers = 0;; strangers++) {
        int outcome = receive_one(to, fd, deadline_us);
        if (outcome != 0 && has_kept) {
            *to = kept;
            return STEP_DONE;
        }
        if (outcome != 0) {
            note_failure(run, "no response from", outcome);
            return STEP_NEXT;
        }
        enum request_match match =
            request_match(to->request, to->request_len, to->response, to->response_len);
        enum step step = match == REQUEST_MATCH_OURS ? judge_response(run) : STEP_WAIT;
        if (match != REQUEST_MATCH_OURS && strangers < STRANGERS_TOLD_MAX)
            note(to, "response from %s: %s: ignored", whom(run), request_match_text(match));
        if (step == STEP_KEEP && !has_kept) {
            int64_t soon_us = socket_clock_us() + KEPT_US;
            kept = *to;
            has_kept = true;
            deadline_us = soon_us < deadline_us ? soon_us : deadline_us;
        } else if (step != STEP_WAIT && step != STEP_KEEP) {
            return step;
        }
    }
}

static int64_t deadline_of(const struct run *run)
{
    return socket_clock_us() + (int64_t)run->plan.timeout_s * 1000000;
}

static const struct sockaddr_storage *source_of(const struct run *run)
{
    return run->plan.has_source ? &run->plan.source : NULL;
}

static enum step ask_udp(struct run *run)
{
    int fd, outcome = socket_open(SOCK_DGRAM, &run->server->address, source_of(run), &fd);
    int64_t deadline_us = deadline_of(run);
    run->to->is_tcp = false;
    if (outcome != 0) {
        note_failure(run, "no socket towards", outcome);
        return STEP_NEXT;
    }
    outcome = socket_connect(fd, &run->server->address, deadline_us);
    if (outcome == 0)
        outcome = make_request(run);
    if (outcome == 0)
        outcome = socket_send(fd, run->to->request, run->to->request_len, deadline_us);
    enum step step = STEP_NEXT;
    if (outcome == 0)
        step = receive(run, fd, deadline_us);
    else
        note_failure(run, "cannot send to", outcome);
    close(fd);
    return step;
}

static int connect_tcp(struct run *run, int64_t deadline_us, struct sockaddr_storage *client_out,
                       int *fd_out)
{
    socklen_t client_len = sizeof *client_out;
    int outcome = socket_open(SOCK_STREAM, &run->server->address, source_of(run), fd_out);
    if (outcome != 0)
        return outcome;
    outcome = socket_connect(*fd_out, &run->server->address, deadline_us);
    if (getsockname(*fd_out, (struct sockaddr *)client_out, &client_len) != 0)
        client_out->ss_family = AF_UNSPEC;
    if (outcome != 0)
        close(*fd_out);
    return outcome;
}

/* One request on an open connection, length and message in one write. */
static int send_tcp(struct run *run, int fd, int64_t deadline_us)
{
    static uint8_t framed[2 + MESSAGE_MAX];
    int outcome = make_request(run);
    if (outcome != 0)
        return outcome;
    octets_put_be16(framed, (uint16_t)run->to->request_len);
    memcpy(framed + 2, run->to->request, run->to->request_len);
    return socket_send(fd, framed, run->to->request_len + 2, deadline_us);
}

static enum step ask_tcp_once(struct run *run, int fd, int64_t deadline_us)
{
    int outcome = send_tcp(run, fd, deadline_us);
    if (outcome == 0)
        return receive(run, fd, deadline_us);
    note_failure(run, "cannot send to", outcome);
    return STEP_NEXT;
}

/* Whether segments are watched; if they should be and cannot, it is told. */
static bool watch_segments(struct run *run)
{
    struct segments *segments = run->context->segments;
    if (!run->plan.has_segments || segments == NULL)
        return false;
    int outcome = segments_begin(segments, &run->server->address);
    if (outcome != 0)
        note(run->to, "segments cannot be shown: %s%s", strerror(-outcome),
             outcome == -EPERM ? ": CAP_NET_RAW is needed (root has it)" : "");
    return outcome == 0;
}

/* Read what was seen; on a closed connection its end, too. */
static void collect_segments(struct run *run, const struct sockaddr_storage *client, bool is_open)
{
    segments_collect(run->context->segments, client,
                     is_open ? SEGMENTS_WAIT_MS / 10 : SEGMENTS_WAIT_MS);
}

static enum step ask_tcp_anew(struct run *run, int64_t deadline_us)
{
    struct exchange_context *context = run->context;
    struct sockaddr_storage client = {0};
    int fd;
    bool has_segments = watch_segments(run);
    run->begun_us = socket_clock_us();
    int outcome = connect_tcp(run, deadline_us, &client, &fd);
    if (outcome != 0) {
        note_failure(run, "no connection to", outcome);
        if (has_segments)
            collect_segments(run, &client, false);
        return STEP_NEXT;
    }
    enum step step = ask_tcp_once(run, fd, deadline_us);
    run->to->elapsed_us = socket_clock_us() - run->begun_us;
    bool is_open = run->plan.is_kept_open && step != STEP_NEXT;
    if (is_open) {
        context->fd = fd;
        context->fd_server = run->server->address;
    } else {
        close(fd);
    }
    if (has_segments)
        collect_segments(run, &client, is_open);
    return step;
}

static enum step ask_tcp(struct run *run)
{
    struct exchange_context *context = run->context;
    int64_t deadline_us = deadline_of(run);
    run->to->is_tcp = true;
    if (context->fd < 0 || !address_equal(&context->fd_server, &run->server->address)) {
        exchange_context_end(context);
        return ask_tcp_anew(run, deadline_us);
    }
    bool has_segments = run->plan.has_segments && context->segments != NULL;
    if (has_segments)
        segments_clear(context->segments);
    enum step step = ask_tcp_once(run, context->fd, deadline_us);
    run->to->elapsed_us = socket_clock_us() - run->begun_us;
    if (step != STEP_NEXT) {
        if (has_segments)
            collect_segments(run, &context->segments->client, true);
        return step;
    }
    note(run->to, "the open connection to %s does not serve any more: a new one", whom(run));
    exchange_context_end(context);
    return ask_tcp_anew(run, deadline_us);
}

static enum step ask_server(struct run *run)
{
    enum step step = run->plan.is_tcp ? ask_tcp(run) : ask_udp(run);
    if (step == STEP_COOKIE)
        step = run->to->is_tcp ? ask_tcp(run) : ask_udp(run);
    if (step == STEP_TCP)
        step = ask_tcp(run);
    if (step == STEP_COOKIE) /* at the second turn: it is what it is */
        step = STEP_DONE;
    return step;
}

int exchange_run(const struct plan *plan, const struct servers *servers,
                 struct exchange_context *context, struct exchange *to)
{
    struct run run = {.plan = *plan, .context = context, .to = to};
    to->note_count = 0;
    to->tries = 0;
    to->checksum = EXCHANGE_CHECKSUM_UNASKED;
    to->tsig = EXCHANGE_TSIG_UNASKED;
    for (unsigned round = 0; round < plan->tries; round++) {
        for (size_t i = 0; i < servers->count; i++) {
            run.server = &servers->of[i];
            to->tries++;
            enum step step = ask_server(&run);
            if (step == STEP_DONE) {
                to->server = *run.server;
                if (!to->is_tcp)
                    to->elapsed_us = socket_clock_us() - run.begun_us;
                return 0;
            }
        }
    }
    to->response_len = 0;
    return -ENOENT;
}

void exchange_context_end(struct exchange_context *context)
{
    if (context->fd >= 0)
        close(context->fd);
    context->fd = -1;
    if (context->segments != NULL)
        segments_end(context->segments);
}

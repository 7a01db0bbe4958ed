/* SPDX-License-Identifier: BSD-2-Clause
 *
 * visible - how soon a change is seen: change a delegation again and again while asking for it.
 *
 *     visible ADDRESS PORT DB ZONE [--changes N] [--flows N] [--rate N] [--pause MS]
 *
 * One thread changes the name servers of a delegation of its own ("visible" below the apex), each
 * time to another name, and notes when the commit returned. The other asks for it at an even rate,
 * from many ports in turn, so that each worker of the server is asked by some of them, and notes
 * when each port got the first answer with the new name. Prints one JSON object:
 *
 *   changes, flows, rate     as asked for
 *   queries, lost            sent; not answered within two seconds
 *   change_ms                one change, from text to the return of the commit: median, max
 *   visible_ms               from that return to the first new answer at the slowest port: median,
 *                            max over the changes. Ports ask every flows / rate seconds: that is
 *                            how exact it is.
 *   stale, stale_ms          answers with the old name to queries sent after the return; how long
 *                            after it the last of them came
 *
 * The delegation is removed at the end. Exit status: 0; 1 a fault; 2 bad usage.
 */
#include "zonedb/name.h"
#include "zonedb/text_change.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAX 256
#define CHANGES_MAX 10000
#define LOST_NS UINT64_C(2000000000)
#define MARK "\7v0" /* names of fewer than 100,000 changes; not that of the question */
#define MARK_DIGITS 5

struct flow {
    int fd;
    uint16_t id;
    uint64_t sent_ns[65536]; /* of the query with this ID; 0: there is none to be answered */
    uint32_t sent_at[65536]; /* which change had been committed then */
};

struct probe {
    unsigned changes, flows, rate, pause_ms;
    uint8_t apex[NAME_MAX_LEN];
    struct zonedb *db;
    uint8_t query[512];
    size_t query_len;
    struct flow *flow[FLOWS_MAX];
    atomic_uint committed; /* changes so far */
    atomic_bool is_done, has_failed;
    uint64_t begun_ns[CHANGES_MAX + 1], returned_ns[CHANGES_MAX + 1];
    uint64_t (*seen_ns)[FLOWS_MAX]; /* of each change, by each flow */
    uint64_t queries, answered, lost, stale, stale_ns;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* ---- the thread that changes ---- */

static void show(void *context, const struct text_message *message)
{
    (void)context;
    fprintf(stderr, "visible: %s: %s\n", message->file, message->text);
}

static bool change(struct probe *probe, const char *text)
{
    struct text_options options = {.message = show};
    int error = text_zone_change_memory(probe->apex, "change", text, strlen(text), &options,
                                        probe->db, (uint64_t)time(NULL), NULL);
    if (error != 0)
        fprintf(stderr, "visible: cannot change the zone: %s\n", strerror(-error));
    return error == 0;
}

static void *change_all(void *context)
{
    struct probe *probe = context;
    char text[256] = "+ visible 60 NS v000000.test.\n";
    bool is_good = change(probe, text);
    for (unsigned i = 1; i <= probe->changes && is_good; i++) {
        sleep_ms(probe->pause_ms);
        snprintf(text, sizeof text, "- visible NS v%06u.test.\n+ visible 60 NS v%06u.test.\n",
                 i - 1, i);
        probe->begun_ns[i] = clock_ns();
        is_good = change(probe, text);
        probe->returned_ns[i] = clock_ns();
        atomic_store(&probe->committed, i);
    }
    sleep_ms(probe->pause_ms);
    snprintf(text, sizeof text, "- visible NS v%06u.test.\n", atomic_load(&probe->committed));
    is_good = change(probe, text) && is_good;
    atomic_store(&probe->has_failed, !is_good);
    atomic_store(&probe->is_done, true);
    return NULL;
}

/* ---- asking ---- */

static bool flows_open(struct probe *probe, const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return false;
    for (unsigned i = 0; i < probe->flows; i++) {
        struct flow *flow = probe->flow[i] = calloc(1, sizeof *flow);
        int size = 1 << 20;
        if (flow == NULL || (flow->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) < 0 ||
            connect(flow->fd, (struct sockaddr *)&to, sizeof to) != 0)
            return false;
        setsockopt(flow->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    return true;
}

static void query_make(struct probe *probe)
{
    static const uint8_t head[12] = {0, 0, 0, 0, 0, 1}, tail[4] = {0, 2, 0, 1};
    uint8_t *out = probe->query;
    size_t apex_len = name_len(probe->apex, NAME_MAX_LEN);
    memcpy(out, head, sizeof head);
    memcpy(out + 12, "\7visible", 8);
    memcpy(out + 20, probe->apex, apex_len);
    memcpy(out + 20 + apex_len, tail, sizeof tail);
    probe->query_len = 24 + apex_len;
}

static void ask(struct probe *probe, struct flow *flow)
{
    uint8_t query[512];
    uint16_t id = ++flow->id;
    memcpy(query, probe->query, probe->query_len);
    query[0] = (uint8_t)(id >> 8);
    query[1] = (uint8_t)id;
    if (flow->sent_ns[id] != 0)
        probe->lost++;
    flow->sent_at[id] = atomic_load(&probe->committed);
    flow->sent_ns[id] = clock_ns();
    probe->queries++;
    (void)!send(flow->fd, query, probe->query_len, 0);
}

/* Which change an answer shows; -1: none. */
static long version_of(const uint8_t *answer, size_t len)
{
    const uint8_t *mark = memmem(answer, len, MARK, sizeof MARK - 1);
    char digits[MARK_DIGITS + 1] = "";
    if (mark == NULL || (size_t)(answer + len - mark) < sizeof MARK - 1 + MARK_DIGITS)
        return -1;
    memcpy(digits, mark + sizeof MARK - 1, MARK_DIGITS);
    return strtol(digits, NULL, 10);
}

static void take(struct probe *probe, unsigned which, const uint8_t *answer, size_t len)
{
    struct flow *flow = probe->flow[which];
    uint64_t now_ns = clock_ns();
    uint16_t id = (uint16_t)(answer[0] << 8 | answer[1]);
    if (flow->sent_ns[id] == 0)
        return;
    flow->sent_ns[id] = 0;
    probe->answered++;
    long version = version_of(answer, len);
    for (long i = version; i > 0 && probe->seen_ns[i][which] == 0; i--)
        probe->seen_ns[i][which] = now_ns;
    uint32_t expected = flow->sent_at[id];
    if (expected > 0 && version >= 0 && version < (long)expected) {
        uint64_t late_ns = now_ns - probe->returned_ns[expected];
        probe->stale++;
        probe->stale_ns = late_ns > probe->stale_ns ? late_ns : probe->stale_ns;
    }
}

static void take_all(struct probe *probe)
{
    uint8_t answer[4096];
    for (unsigned i = 0; i < probe->flows; i++)
        for (ssize_t len; (len = recv(probe->flow[i]->fd, answer, sizeof answer, 0)) >= 12;)
            take(probe, i, answer, (size_t)len);
}

static void ask_all(struct probe *probe)
{
    uint64_t begun_ns = clock_ns(), due = 0;
    while (!atomic_load(&probe->is_done)) {
        uint64_t wanted = (clock_ns() - begun_ns) * probe->rate / 1000000000u;
        for (; due < wanted; due++)
            ask(probe, probe->flow[due % probe->flows]);
        take_all(probe);
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    for (uint64_t end_ns = clock_ns() + LOST_NS;
         clock_ns() < end_ns && probe->answered + probe->lost < probe->queries;) {
        take_all(probe);
        sleep_ms(1);
    }
    probe->lost = probe->queries - probe->answered;
}

/* ---- the result ---- */

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static void print_ms(const char *name, double *ms, unsigned count)
{
    qsort(ms, count, sizeof *ms, compare);
    printf(", \"%s\": {\"median\": %.3f, \"max\": %.3f}", name, ms[count / 2], ms[count - 1]);
}

static void print(const struct probe *probe)
{
    static double change_ms[CHANGES_MAX], visible_ms[CHANGES_MAX];
    for (unsigned i = 1; i <= probe->changes; i++) {
        uint64_t last_ns = 0;
        change_ms[i - 1] = (double)(probe->returned_ns[i] - probe->begun_ns[i]) / 1e6;
        for (unsigned f = 0; f < probe->flows; f++) {
            uint64_t seen_ns = probe->seen_ns[i][f] != 0 ? probe->seen_ns[i][f] : UINT64_MAX / 2;
            last_ns = seen_ns > last_ns ? seen_ns : last_ns;
        }
        visible_ms[i - 1] =
            last_ns <= probe->returned_ns[i] ? 0 : (double)(last_ns - probe->returned_ns[i]) / 1e6;
    }
    printf("{\"changes\": %u, \"flows\": %u, \"rate\": %u, \"queries\": %llu, \"lost\": %llu",
           probe->changes, probe->flows, probe->rate, (unsigned long long)probe->queries,
           (unsigned long long)probe->lost);
    print_ms("change_ms", change_ms, probe->changes);
    print_ms("visible_ms", visible_ms, probe->changes);
    printf(", \"stale\": %llu, \"stale_ms\": %.3f}\n", (unsigned long long)probe->stale,
           (double)probe->stale_ns / 1e6);
}

static bool parse(int argc, char **argv, struct probe *probe)
{
    for (int i = 5; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        unsigned value = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--changes") == 0)
            probe->changes = value;
        else if (strcmp(argv[i], "--flows") == 0)
            probe->flows = value;
        else if (strcmp(argv[i], "--rate") == 0)
            probe->rate = value;
        else if (strcmp(argv[i], "--pause") == 0)
            probe->pause_ms = value;
        else
            return false;
    }
    return argc >= 5 && name_from_text(argv[4], probe->apex) > 0 && probe->changes > 0 &&
           probe->changes <= CHANGES_MAX && probe->flows > 0 && probe->flows <= FLOWS_MAX &&
           probe->rate > 0 && name_len(probe->apex, NAME_MAX_LEN) < 200;
}

int main(int argc, char **argv)
{
    static struct probe probe = {.changes = 20, .flows = 32, .rate = 20000, .pause_ms = 100};
    struct zonedb_error error;
    pthread_t thread;
    if (!parse(argc, argv, &probe)) {
        fputs("usage: visible ADDRESS PORT DB ZONE [--changes N] [--flows N] [--rate N] "
              "[--pause MS]\n",
              stderr);
        return 2;
    }
    probe.seen_ns = calloc(probe.changes + 1, sizeof *probe.seen_ns);
    query_make(&probe);
    if (zonedb_open(argv[3], ZONEDB_WRITE, &probe.db, &error) != 0) {
        fprintf(stderr, "visible: %s\n", error.text);
        return 1;
    }
    if (probe.seen_ns == NULL || !flows_open(&probe, argv[1], argv[2]) ||
        pthread_create(&thread, NULL, change_all, &probe) != 0) {
        fprintf(stderr, "visible: %s\n", strerror(errno));
        return 1;
    }
    ask_all(&probe);
    pthread_join(thread, NULL);
    zonedb_close(probe.db);
    if (atomic_load(&probe.has_failed))
        return 1;
    print(&probe);
    return 0;
}

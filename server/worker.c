/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/worker.h"
#include "server/log.h"
#include "server/udp.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64
/* UDP and TCP of every address, old and new ones side by side while settings change. */
#define SOCKETS_MAX (4 * CONFIG_LISTEN_MAX)
/* After descriptors ran out: how long listeners are left alone. */
#define ACCEPT_PAUSE_MS 100
/* Batches taken from a socket that is about to be closed. */
#define LAST_BATCHES 64

/* epoll's data: a struct tcp_connection (even, as pointers are), or one of these (odd). */
#define EVENT_WAKE UINT64_C(1)
#define EVENT_SOCKET(index) ((uint64_t)(index) << 2 | 3)
#define EVENT_IS_SOCKET(data) (((data)&3) == 3)
#define EVENT_INDEX(data) ((size_t)((data) >> 2))

struct change {
    const struct worker_settings *settings;
    const struct worker_socket *add;
    size_t add_count;
    const int *remove;
    size_t remove_count;
};

struct worker {
    struct park *park;
    const struct worker_settings *settings;
    struct zonedb_view *view;
    struct udp_batch *udp;
    struct tcp *tcp;
    int epoll, wake, cpu;
    struct worker_socket sockets[SOCKETS_MAX]; /* fd -1: free */
    uint64_t now_ms;
    uint64_t now_s;          /* Unix time */
    uint64_t accept_from_ms; /* listeners are left alone until then; 0: they are not */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    pthread_cond_t is_changed;
    const struct change *change; /* under the lock; NULL: none */
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t clock_unix_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec;
}

static int worker_watch(struct worker *worker, int operation, int fd, uint32_t events,
                        uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(worker->epoll, operation, fd, &event) == 0 ? 0 : -errno;
}

int worker_open(struct zonedb *db, struct park *park, const struct worker_settings *settings,
                int cpu, struct worker **worker_out)
{
    struct worker *worker = calloc(1, sizeof *worker);
    *worker_out = NULL;
    if (worker == NULL)
        return -ENOMEM;
    worker->park = park;
    worker->settings = settings;
    worker->cpu = cpu;
    atomic_init(&worker->is_stopping, false);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->is_changed, NULL);
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        worker->sockets[i].fd = -1;
    worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    int outcome = worker->wake < 0 || worker->epoll < 0 ? -errno : 0;
    if (outcome == 0)
        outcome = worker_watch(worker, EPOLL_CTL_ADD, worker->wake, EPOLLIN, EVENT_WAKE);
    if (outcome == 0)
        outcome = tcp_open(worker->epoll, &settings->tcp, &worker->tcp);
    if (outcome == 0)
        outcome = udp_batch_open(&worker->udp);
    if (outcome == 0)
        outcome = zonedb_view_open(db, &worker->view);
    if (outcome != 0) {
        worker_close(worker);
        return outcome;
    }
    zonedb_view_rest(worker->view);
    *worker_out = worker;
    return 0;
}

int worker_add_socket(struct worker *worker, struct worker_socket socket)
{
    size_t i = 0;
    while (i < SOCKETS_MAX && worker->sockets[i].fd >= 0)
        i++;
    assert(i < SOCKETS_MAX);
    int outcome = worker_watch(worker, EPOLL_CTL_ADD, socket.fd, EPOLLIN, EVENT_SOCKET(i));
    if (outcome == 0)
        worker->sockets[i] = socket;
    else
        close(socket.fd);
    return outcome;
}

/* ---- the thread ---- */

/* See the latest snapshot. The database may have outgrown the map: then all halt, see park.h. */
static void worker_refresh(struct worker *worker)
{
    if (zonedb_view_refresh(worker->view) != -ESTALE)
        return;
    zonedb_view_rest(worker->view);
    park_ask(worker->park);
    park_wait(worker->park);
    /* If mapping anew failed, the view shows nothing and clients get SERVFAIL. */
    (void)zonedb_view_refresh(worker->view);
}

static struct tcp_context worker_context(const struct worker *worker)
{
    return (struct tcp_context){worker->view, &worker->settings->policy, worker->settings->image,
                                worker->now_ms, worker->now_s};
}

static struct udp_context worker_udp_context(const struct worker *worker)
{
    return (struct udp_context){worker->view,  &worker->settings->policy,  worker->settings->image,
                                worker->now_s, worker->settings->restrain, worker->now_ms * 1000};
}

static void worker_listen(struct worker *worker, bool is_listening)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (worker->sockets[i].fd >= 0 && worker->sockets[i].is_tcp)
            worker_watch(worker, EPOLL_CTL_MOD, worker->sockets[i].fd, is_listening ? EPOLLIN : 0,
                         EVENT_SOCKET(i));
}

static void worker_accept(struct worker *worker, const struct worker_socket *listener)
{
    if (worker->accept_from_ms != 0 ||
        tcp_accept(worker->tcp, listener->fd, listener->is_for_peers, worker->now_ms) >= 0)
        return;
    worker->accept_from_ms = worker->now_ms + ACCEPT_PAUSE_MS;
    worker_listen(worker, false);
}

/* Serve what waits at a socket a last time, and close it. */
static void worker_end_socket(struct worker *worker, struct worker_socket *socket)
{
    const struct udp_context context = worker_udp_context(worker);
    bool is_more = true;
    for (unsigned i = 0; i < LAST_BATCHES && is_more; i++)
        is_more = socket->is_tcp ? tcp_accept(worker->tcp, socket->fd, socket->is_for_peers,
                                              worker->now_ms) > 0
                                 : udp_serve(worker->udp, socket->fd, &context) == UDP_BATCH;
    close(socket->fd);
    socket->fd = -1;
}

static void worker_clear_wake(struct worker *worker)
{
    uint64_t value;
    ssize_t ignored = read(worker->wake, &value, sizeof value);
    (void)ignored;
}

/* Take note of what a socket is for now. False: it is a new one. */
static bool worker_update_socket(struct worker *worker, const struct worker_socket *socket)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (worker->sockets[i].fd == socket->fd) {
            worker->sockets[i] = *socket;
            return true;
        }
    return false;
}

static void worker_change(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    const struct change *change = worker->change;
    if (change != NULL) {
        for (size_t i = 0; i < SOCKETS_MAX; i++)
            for (size_t r = 0; r < change->remove_count; r++)
                if (worker->sockets[i].fd >= 0 && worker->sockets[i].fd == change->remove[r])
                    worker_end_socket(worker, &worker->sockets[i]);
        for (size_t i = 0; i < change->add_count; i++)
            if (!worker_update_socket(worker, &change->add[i]) &&
                worker_add_socket(worker, change->add[i]) != 0)
                log_write(LOG_LEVEL_ERROR, "a worker cannot watch a new socket");
        worker->settings = change->settings;
        tcp_set_limits(worker->tcp, &worker->settings->tcp);
        worker->change = NULL;
        pthread_cond_signal(&worker->is_changed);
    }
    pthread_mutex_unlock(&worker->lock);
}

/* Connections first: a new one may cost an old one its place, but not its answer. */
static void worker_serve(struct worker *worker, const struct epoll_event *events, int count)
{
    const struct tcp_context context = worker_context(worker);
    const struct udp_context udp_context = worker_udp_context(worker);
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        if (data == EVENT_WAKE) {
            worker_clear_wake(worker);
        } else if (!EVENT_IS_SOCKET(data)) {
            tcp_event(worker->tcp, events[i].data.ptr, &context);
        } else if (!worker->sockets[EVENT_INDEX(data)].is_tcp) {
            udp_serve(worker->udp, worker->sockets[EVENT_INDEX(data)].fd, &udp_context);
        }
    }
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        if (EVENT_IS_SOCKET(data) && worker->sockets[EVENT_INDEX(data)].is_tcp)
            worker_accept(worker, &worker->sockets[EVENT_INDEX(data)]);
    }
    tcp_expire(worker->tcp, worker->now_ms);
    tcp_reap(worker->tcp);
}

static int earlier_ms(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Sleep, without a snapshot, until something happens. Returns the number of events. */
static int worker_wait(struct worker *worker, int timeout_ms, struct epoll_event *events)
{
    zonedb_view_rest(worker->view);
    int count = epoll_wait(worker->epoll, events, EVENTS_MAX, timeout_ms);
    if (park_is_asked(worker->park))
        park_wait(worker->park);
    worker->now_ms = clock_ms();
    worker->now_s = clock_unix_s();
    worker_refresh(worker);
    return count > 0 ? count : 0;
}

static int worker_timeout_ms(struct worker *worker)
{
    int timeout_ms = tcp_timeout_ms(worker->tcp, worker->now_ms);
    if (worker->accept_from_ms == 0)
        return timeout_ms;
    if (worker->accept_from_ms <= worker->now_ms) {
        worker->accept_from_ms = 0;
        worker_listen(worker, true);
        return timeout_ms;
    }
    return earlier_ms(timeout_ms, (int)(worker->accept_from_ms - worker->now_ms));
}

/* Answer what has arrived; wait a bounded time for clients to take it. */
static void worker_drain(struct worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    struct tcp_context context = worker_context(worker);
    uint64_t end_ms = worker->now_ms + WORKER_DRAIN_MS;
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (worker->sockets[i].fd >= 0)
            worker_end_socket(worker, &worker->sockets[i]);
    while (tcp_drain(worker->tcp, &context) != 0 && worker->now_ms < end_ms) {
        worker_clear_wake(worker);
        worker_wait(worker, (int)(end_ms - worker->now_ms), events);
        context = worker_context(worker);
        tcp_reap(worker->tcp);
    }
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct epoll_event events[EVENTS_MAX];
    worker->now_ms = clock_ms();
    worker->now_s = clock_unix_s();
    while (!atomic_load(&worker->is_stopping)) {
        int count = worker_wait(worker, worker_timeout_ms(worker), events);
        worker_serve(worker, events, count);
        worker_change(worker);
    }
    worker_drain(worker);
    zonedb_view_rest(worker->view);
    park_leave(worker->park);
    return NULL;
}

/* ---- from outside ---- */

int worker_start(struct worker *worker)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (worker->cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET((size_t)worker->cpu, &cpus);
        pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus);
    }
    park_join(worker->park);
    int outcome = -pthread_create(&worker->thread, &attributes, worker_run, worker);
    pthread_attr_destroy(&attributes);
    /* The CPU may have gone since we looked: then run anywhere. */
    if (outcome == -EINVAL)
        outcome = -pthread_create(&worker->thread, NULL, worker_run, worker);
    worker->has_thread = outcome == 0;
    if (outcome != 0)
        park_leave(worker->park);
    return outcome;
}

void worker_wake(struct worker *worker)
{
    const uint64_t one = 1;
    /* A full counter is awake already. */
    ssize_t ignored = write(worker->wake, &one, sizeof one);
    (void)ignored;
}

void worker_apply(struct worker *worker, const struct worker_settings *settings,
                  const struct worker_socket *add, size_t add_count, const int *remove,
                  size_t remove_count)
{
    const struct change change = {settings, add, add_count, remove, remove_count};
    assert(worker->has_thread);
    pthread_mutex_lock(&worker->lock);
    worker->change = &change;
    worker_wake(worker);
    while (worker->change != NULL)
        pthread_cond_wait(&worker->is_changed, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
}

void worker_stop(struct worker *worker)
{
    atomic_store(&worker->is_stopping, true);
    worker_wake(worker);
}

void worker_close(struct worker *worker)
{
    if (worker == NULL)
        return;
    if (worker->has_thread)
        pthread_join(worker->thread, NULL);
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (worker->sockets[i].fd >= 0)
            close(worker->sockets[i].fd);
    tcp_close(worker->tcp);
    udp_batch_close(worker->udp);
    zonedb_view_close(worker->view);
    if (worker->epoll >= 0)
        close(worker->epoll);
    if (worker->wake >= 0)
        close(worker->wake);
    pthread_cond_destroy(&worker->is_changed);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

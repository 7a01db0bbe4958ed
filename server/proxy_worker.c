/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy_worker.h"

#include "server/proxy_backend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Datagrams taken from one socket before the others have their turn. */
#define DATAGRAMS_MAX 64

struct proxy_worker {
    struct proxy_backend backend;
    struct proxy_ring ring;
    struct proxy_question questions[PROXY_WORKER_QUESTIONS];
    struct proxy_key keys[PROXY_WORKER_QUESTIONS];
    struct proxy_answers answers;
    uint8_t *answers_memory;
    uint8_t secret[COOKIE_KEY_LEN];
    struct proxy_draws draws;
    struct proxy_asks asks;
    uint8_t stream[STATELESS_TCP_STREAM_CAP];
    uint8_t datagram[PROXY_DATAGRAM_CAP];
};

int proxy_worker_open(const struct sockaddr_storage *address, struct proxy_worker **worker_out,
                      struct io_error *error)
{
    *worker_out = NULL;
    struct proxy_worker *worker = calloc(1, sizeof *worker);
    if (worker != NULL)
        worker->answers_memory = calloc(1, PROXY_WORKER_ANSWERS_SIZE);
    if (worker == NULL || worker->answers_memory == NULL) {
        free(worker);
        snprintf(error->text, sizeof error->text, "out of memory");
        return -ENOMEM;
    }
    proxy_ring_init(&worker->ring, worker->questions, worker->keys, PROXY_WORKER_QUESTIONS);
    worker->answers = proxy_answers_make(worker->answers_memory, PROXY_WORKER_ANSWERS_SIZE);
    int outcome = proxy_backend_open(address, &worker->backend, error);
    if (outcome == 0 && getrandom(worker->secret, sizeof worker->secret, 0) < 0) {
        outcome = -errno;
        snprintf(error->text, sizeof error->text, "no random octets: %s", strerror(errno));
    }
    if (outcome != 0)
        proxy_worker_close(worker);
    else
        *worker_out = worker;
    return outcome;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int pass_frames(struct proxy_worker *worker, const struct io_backend *backend, struct io *io,
                       const struct proxy *proxy)
{
    struct io_frame frames[IO_BATCH];
    int count = backend->receive(io, 0, frames, IO_BATCH);
    uint64_t now = now_ms();
    for (int i = 0; i < count; i++) {
        struct train train;
        if (proxy_backend_draw(&worker->draws) != 0)
            return 0;
        backend->lend(io, &train);
        proxy_frame(proxy, &frames[i], now, &worker->draws, &worker->asks, &train);
        for (unsigned a = 0; a < worker->asks.count; a++)
            proxy_backend_send(&worker->backend, &worker->asks.asks[a]);
        int outcome = backend->send(io, &train);
        if (outcome != 0)
            return outcome;
    }
    return count < 0 ? count : 0;
}

static int pass_responses(struct proxy_worker *worker, uint8_t port,
                          const struct io_backend *backend, struct io *io,
                          const struct proxy *proxy)
{
    uint64_t now = now_ms();
    for (int i = 0; i < DATAGRAMS_MAX; i++) {
        struct train train;
        ssize_t len = proxy_backend_receive(&worker->backend, port, worker->datagram,
                                            sizeof worker->datagram);
        if (len < 0)
            return 0;
        backend->lend(io, &train);
        int outcome = 0;
        if (proxy_response(proxy, port, (size_t)len, now, &train))
            outcome = backend->send(io, &train);
        if (outcome != 0)
            return outcome;
    }
    return 0;
}

static int give_up(const struct io_backend *backend, struct io *io, const struct proxy *proxy)
{
    uint64_t now = now_ms();
    for (;;) {
        struct train train;
        backend->lend(io, &train);
        if (!proxy_overdue(proxy, now, &train))
            return 0;
        int outcome = backend->send(io, &train);
        if (outcome != 0)
            return outcome;
    }
}

int proxy_worker_step(struct proxy_worker *worker, const struct io_backend *backend, struct io *io,
                      const struct proxy *place, int timeout_ms)
{
    struct pollfd fds[PROXY_PORTS + 1];
    struct proxy proxy = *place;
    proxy.ring = &worker->ring;
    proxy.answers = &worker->answers;
    proxy.secret = worker->secret;
    proxy.stream = worker->stream;
    proxy.datagram = worker->datagram;
    for (unsigned i = 0; i < PROXY_PORTS; i++)
        fds[i] = (struct pollfd){.fd = worker->backend.fds[i], .events = POLLIN};
    fds[PROXY_PORTS] = (struct pollfd){.fd = backend->descriptor(io), .events = POLLIN};
    int ready = poll(fds, PROXY_PORTS + 1, timeout_ms);
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    int outcome = 0;
    for (uint8_t i = 0; i < PROXY_PORTS && outcome == 0; i++)
        if (fds[i].revents != 0)
            outcome = pass_responses(worker, i, backend, io, &proxy);
    if (outcome == 0 && fds[PROXY_PORTS].revents != 0)
        outcome = pass_frames(worker, backend, io, &proxy);
    if (outcome == 0)
        outcome = give_up(backend, io, &proxy);
    /* Nobody receives before somebody sends. */
    return outcome == 0 && backend->flush != NULL ? backend->flush(io) : outcome;
}

void proxy_worker_close(struct proxy_worker *worker)
{
    if (worker == NULL)
        return;
    proxy_backend_close(&worker->backend);
    explicit_bzero(worker->secret, sizeof worker->secret);
    free(worker->answers_memory);
    free(worker);
}

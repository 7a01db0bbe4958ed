/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/raw.h"

#include "server/image_program.h"
#include "server/proxy_worker.h"
#include "server/raw_place.h"
#include "server/serve.h"
#include "stateless_tcp/io/guard.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How soon an address that came or went is noticed, where addresses were not named. */
#define ADDRESSES_AGE_S 2
/* More than wait in any backend's memory. */
#define DRAIN_BATCHES 256
#define DRAIN_GRACE_MS 2
/* For how long the driver may take UDP answers for right without asking. */
#define LEASE_MS 8

struct raw_worker {
    struct raw_place place;
    struct raw_worker *first; /* NULL: this one */
    unsigned count;           /* of workers there */
    struct stateless_tcp_config tcp;
    uint16_t segment_wanted; /* tcp.segment_size where the interface carries it */
    struct keys_secret secret;
    struct zonedb_view *view;         /* NULL in a proxy */
    const struct answer_image *image; /* while it runs; NULL: none */
    struct restrain *restrain;        /* NULL: none */
    struct proxy_worker *proxy;       /* NULL with zones */
    const struct io_backend *backend;
    struct io *io;
    bool is_told;     /* the backend has the facts of now */
    bool is_learning; /* and learns UDP answers from this worker */
    bool has_lease;
    uint64_t lease_version; /* the snapshot's */
    void (*warn)(const char *text);
    char note[sizeof((struct io_error *)0)->text];
    struct guard *guard; /* of the first alone */

    struct stateless_tcp_keys keys;
    uint64_t keys_s;      /* when they were so */
    uint64_t committed_s; /* of the view's snapshot, or later; 0: not yet known */
    uint64_t now_s;
    uint64_t from_us, until_us; /* frames from before, and since then, are not its to answer */
    uint8_t *stream;
    uint8_t *recent_memory; /* of `recent`; NULL: there is none */
    struct recent recent;
};

/* Everything but what others may have to be asked for. */
static int worker_make(struct raw_worker *worker, const struct raw_config *config,
                       struct io_error *error)
{
    worker->tcp = *config->tcp;
    worker->segment_wanted = config->tcp->segment_size;
    worker->secret = *config->secret;
    worker->keys_s = UINT64_MAX;
    worker->until_us = UINT64_MAX;
    worker->warn = config->warn;
    worker->first = config->first;
    worker->stream = malloc(SERVE_STREAM_CAP);
    int result = raw_place_open(config, &worker->place, error);
    if (result == 0 && worker->stream == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        result = -ENOMEM;
    }
    return result;
}

/* Each worker has its share of the memory for recent responses. */
static int worker_make_recent(struct raw_worker *worker, const struct raw_config *config,
                              struct io_error *error)
{
    size_t size = config->recent_size / worker->count;
    if (config->tcp->profile != STATELESS_TCP_MODERN || config->recent_size == 0)
        return 0;
    if (size < RECENT_SIZE_MIN)
        size = RECENT_SIZE_MIN;
    worker->recent_memory = calloc(1, size);
    if (worker->recent_memory == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    worker->recent = recent_make(worker->recent_memory, size);
    if (worker->backend->notes != NULL)
        worker->backend->notes(worker->io, &worker->recent);
    return 0;
}

/* Open one backend for this worker: alone where it cannot share the interface. */
static int worker_try_io(struct raw_worker *worker, const struct io_backend *backend,
                         const struct raw_config *config, struct io_error *error)
{
    char *filter = raw_place_filter(&worker->place);
    if (filter == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    struct io_program program;
    bool is_shared = backend->is_shared && config->proxy == NULL;
    worker->count = is_shared && config->worker_count > 1 ? config->worker_count : 1;
    const struct io_config io_config = {
        .interface = worker->place.interface,
        .filter = filter,
        .endpoints = worker->place.named,
        .endpoint_count = worker->place.named_count,
        .peers = worker->place.peers,
        .peer_count = worker->place.peer_count,
        .has_driver = config->has_driver,
        .has_hot = config->has_hot && !config->is_restrained,
        .is_udp_restrained = config->is_restrained,
        .next = config->has_image && image_program_get(&program) ? &program : NULL,
        .has_udp = worker->place.has_udp,
        .worker = config->worker,
        .worker_count = worker->count,
        .first = config->first != NULL ? config->first->io : NULL,
    };
    error->text[0] = '\0';
    int result = backend->open(&io_config, &worker->io, error);
    free(filter);
    worker->backend = backend;
    worker->is_learning = config->has_hot && !config->is_restrained && config->has_udp &&
                          config->proxy == NULL && config->first == NULL && backend->learn != NULL;
    return result;
}

/* Open the backend that was asked for, or the first that opens; worker->note says why it is not the
 * one that is best, and what the one that opened has to say. */
static int worker_open_io(struct raw_worker *worker, const struct raw_config *config,
                          struct io_error *error)
{
    const struct io_backend *const only[] = {
        config->io != NULL ? io_backend_find(config->io) : NULL, NULL};
    const struct io_backend *const *backends = config->io != NULL ? only : io_backends_live;
    int result = -ENOTSUP;
    snprintf(error->text, sizeof(error->text),
             config->has_driver
                 ? "interface %s: this lethed has no program for its driver with io: %s"
                 : "interface %s: this lethed was built without io: %s",
             worker->place.interface, config->io != NULL ? config->io : "auto");
    for (size_t i = 0; backends[i] != NULL; i++) {
        const struct io_backend *backend =
            config->has_driver ? backends[i]->with_driver : backends[i];
        if (backend == NULL || (config->io == NULL && !backends[i]->is_automatic))
            continue;
        result = worker_try_io(worker, backend, config, error);
        if (result == 0) {
            size_t len = strlen(worker->note);
            snprintf(worker->note + len, sizeof(worker->note) - len, "%s%.400s",
                     len > 0 && error->text[0] != '\0' ? "; " : "", error->text);
            return 0;
        }
        snprintf(worker->note, sizeof(worker->note), "not %s: %.400s", backend->name, error->text);
    }
    return result;
}

/* Capture first: a frame that comes between is answered, and the kernel's RST beside it is no worse
 * than what was before. */
static int worker_attach(struct raw_worker *worker, const struct raw_config *config,
                         struct io_error *error)
{
    if (worker->first != NULL) {
        worker->from_us = worker->first->from_us;
        return worker_try_io(worker, worker->first->backend, config, error);
    }
    int result = worker_open_io(worker, config, error);
    struct guard_config guard_config = {
        .interface = worker->place.interface,
        .endpoints = worker->place.named,
        .endpoint_count = worker->place.named_count,
        .peers = worker->place.peers,
        .peer_count = worker->place.peer_count,
        .linger_s = config->linger_s,
    };
    if (result == 0) {
        /* Sockets may have UDP until the backend takes it away. */
        guard_config.has_udp = worker->place.has_udp && !worker->backend->is_sole;
        result = guard_open(&guard_config, &worker->guard, error);
    }
    if (result == 0)
        worker->from_us = guard_since_us(worker->guard);
    return result;
}

int raw_worker_open(const struct raw_config *config, struct raw_worker **worker_out,
                    struct io_error *error)
{
    assert(config->address_count > 0);
    *worker_out = NULL;
    struct raw_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    int result = worker_make(worker, config, error);
    if (result == 0)
        result = worker_attach(worker, config, error);
    if (result == 0)
        result = worker_make_recent(worker, config, error);
    if (result == 0 && config->proxy != NULL)
        result = proxy_worker_open(config->proxy, &worker->proxy, error);
    if (result == 0 && config->proxy == NULL) {
        result = zonedb_view_open(config->db, &worker->view);
        if (result == 0)
            zonedb_view_rest(worker->view);
        else
            snprintf(error->text, sizeof(error->text), "cannot read the zone database: %s",
                     strerror(-result));
    }
    if (result != 0) {
        raw_worker_close(worker);
        return result;
    }
    *worker_out = worker;
    return 0;
}

/* The cookie keys of now. */
static void keys_refresh(struct raw_worker *worker)
{
    struct stateless_tcp_keys keys;
    keys_at(&worker->secret, worker->now_s, &keys);
    if (worker->keys_s == UINT64_MAX || memcmp(&keys, &worker->keys, sizeof(keys)) != 0)
        worker->is_told = false;
    worker->keys = keys;
    worker->keys_s = worker->now_s;
}

/* What is longer than the interface carries would never leave. Below IPv6's least MTU there is only
 * IPv4. `mtu`: 0: unknown. */
static uint16_t segment_that_fits(uint16_t wanted, unsigned mtu)
{
    unsigned headers_len = PACKET_TCP_HEADER_LEN + PACKET_TCP_TIMESTAMPS_OPTION_LEN +
                           (mtu < 1280 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN);
    if (mtu == 0 || mtu >= wanted + headers_len)
        return wanted;
    return mtu < STATELESS_TCP_SEGMENT_MIN + headers_len ? STATELESS_TCP_SEGMENT_MIN
                                                         : (uint16_t)(mtu - headers_len);
}

static int worker_tell(struct raw_worker *worker)
{
    struct io_error note = {.text = ""};
    const struct io_facts facts = {
        .note = &note,
        .tcp = &worker->tcp,
        .keys = &worker->keys,
        .endpoints = worker->place.endpoints,
        .endpoint_count = worker->place.endpoint_count,
        .mtu = worker->place.mtu,
    };
    if (worker->is_told || worker->backend->tell == NULL)
        return 0;
    worker->is_told = true;
    int outcome = worker->backend->tell(worker->io, &facts);
    if (note.text[0] != '\0')
        worker->warn(note.text);
    return outcome;
}

/* What depends on the time. Outcomes: 0; -ECHILD the guard is gone; -ENODEV; other negative errno
 * of the interface. */
static int worker_tick(struct raw_worker *worker)
{
    uint64_t now_s = (uint64_t)time(NULL);
    worker->now_s = now_s;
    if (worker->keys_s == now_s)
        return 0;
    if (worker->keys_s != UINT64_MAX)
        worker->from_us = 0; /* the clock may be set back */
    keys_refresh(worker);
    bool is_due = now_s - worker->place.endpoints_s >= ADDRESSES_AGE_S;
    if (is_due) {
        if (!raw_place_is_there(&worker->place))
            return -ENODEV;
        raw_place_refresh(&worker->place, now_s);
        worker->tcp.segment_size = segment_that_fits(worker->segment_wanted, worker->place.mtu);
        worker->is_told = false;
    }
    int outcome = worker_tell(worker);
    bool is_guarded = worker->guard == NULL || !is_due || guard_is_up(worker->guard);
    return outcome == 0 && !is_guarded ? -ECHILD : outcome;
}

static uint64_t restrain_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t lease_clock_ns(const struct raw_worker *worker)
{
    struct timespec now = {0, 0};
    if (worker->is_learning)
        clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The driver may give UDP answers again while they are right, which is looked at twice as often as
 * it has to be. `refreshed`: outcome of zonedb_view_refresh(), not called before `looked_ns`.
 * Whether it is to learn the answers of now: one worker teaches, so that there is one snapshot that
 * counts. */
static bool worker_lease(struct raw_worker *worker, int refreshed, uint64_t looked_ns)
{
    if (!worker->is_learning || refreshed < 0 || worker->until_us != UINT64_MAX)
        return false;
    uint64_t version = zonedb_view_version(worker->view);
    worker->backend->lease(worker->io, !worker->has_lease || version != worker->lease_version,
                           looked_ns + LEASE_MS * UINT64_C(1000000));
    worker->has_lease = true;
    worker->lease_version = version;
    return true;
}

/* Answer a batch. Outcomes: 0; -ESTALE; negative errno of the interface. */
static int worker_answer(struct raw_worker *worker, const struct respond_policy *policy,
                         const struct io_frame *frames, int frame_count)
{
    uint64_t looked_ns = lease_clock_ns(worker);
    int outcome = zonedb_view_refresh(worker->view);
    if (outcome == -ESTALE)
        return outcome; /* other failures are answered: SERVFAIL */
    if ((outcome != 0 || worker->committed_s == 0) &&
        zonedb_view_committed(worker->view, &worker->committed_s) != 0)
        worker->committed_s = worker->now_s;
    worker->recent.snapshot = (uint32_t)zonedb_view_version(worker->view);
    const struct serve serve = {
        .view = worker->view,
        .policy = policy,
        .image = worker->image,
        .tcp = &worker->tcp,
        .keys = &worker->keys,
        .endpoints = worker->place.endpoints,
        .endpoint_count = worker->place.endpoint_count,
        .peers = worker->place.peers,
        .peer_count = worker->place.peer_count,
        .is_tcp_only = !worker->place.has_udp && !worker->backend->is_sole,
        /* A clock that was set back settles nothing. */
        .restrain = worker->restrain,
        .mtu = worker->place.mtu,
        .now_s = worker->now_s,
        .now_us = worker->restrain != NULL ? restrain_clock_us() : 0,
        .is_learning = worker_lease(worker, outcome, looked_ns),
        .is_settled = worker->now_s >= worker->committed_s + SERVE_SETTLED_S,
        .recent = worker->recent_memory != NULL ? &worker->recent : NULL,
        .stream = worker->stream,
    };
    for (int i = 0; i < frame_count; i++) {
        struct train train;
        bool is_mine = frames[i].time_us >= worker->from_us && frames[i].time_us < worker->until_us;
        if (!is_mine && frames[i].time_us != 0)
            continue;
        worker->backend->lend(worker->io, &train);
        if (serve_frame(&serve, &frames[i], &train))
            worker->backend->learn(worker->io, &frames[i], &train);
        outcome = worker->backend->send(worker->io, &train);
        if (outcome != 0)
            return outcome;
    }
    return 0;
}

/* The same, with a back end instead of zones; waits too. */
static int worker_pass(struct raw_worker *worker, const struct respond_policy *policy)
{
    int outcome = worker_tick(worker);
    if (outcome != 0)
        return outcome;
    const struct proxy place = {
        .tcp = &worker->tcp,
        .keys = &worker->keys,
        .endpoints = worker->place.endpoints,
        .endpoint_count = worker->place.endpoint_count,
        .has_ede = policy->has_ede,
        .recent = worker->recent_memory != NULL ? &worker->recent : NULL,
    };
    return proxy_worker_step(worker->proxy, worker->backend, worker->io, &place, RAW_STOP_MS);
}

static int worker_serve(struct raw_worker *worker, const struct respond_policy *policy,
                        int timeout_ms, int *frame_count_out)
{
    struct io_frame frames[IO_BATCH];
    if (worker->is_learning && timeout_ms > LEASE_MS / 2)
        timeout_ms = LEASE_MS / 2;
    int frame_count = worker->backend->receive(worker->io, timeout_ms, frames, IO_BATCH);
    *frame_count_out = frame_count;
    int outcome = frame_count < 0 ? frame_count : worker_tick(worker);
    if (outcome != 0 || (frame_count == 0 && !worker->is_learning))
        return outcome;
    outcome = worker_answer(worker, policy, frames, frame_count);
    zonedb_view_rest(worker->view);
    return outcome;
}

int raw_worker_run(struct raw_worker *worker, const struct respond_policy *policy,
                   const struct answer_image *image, struct restrain *restrain,
                   const atomic_bool *stop)
{
    int outcome = worker_tick(worker), frame_count;
    worker->image = image;
    worker->restrain = restrain;
    worker->has_lease = false; /* the policy may be another */
    while (outcome == 0 && !atomic_load(stop)) {
        outcome = worker->proxy != NULL ? worker_pass(worker, policy)
                                        : worker_serve(worker, policy, RAW_STOP_MS, &frame_count);
        if (outcome == -ENETDOWN) { /* it may come up again, and the capture with it */
            poll(NULL, 0, RAW_STOP_MS);
            outcome = 0;
        }
    }
    if (outcome == 0 && worker->backend->flush != NULL)
        outcome = worker->backend->flush(worker->io);
    worker->image = NULL;
    return outcome;
}

void raw_worker_unguard(struct raw_worker *worker)
{
    guard_close(worker->guard);
    worker->guard = NULL;
}

void raw_worker_discard(struct raw_worker *worker)
{
    struct io_frame frames[IO_BATCH];
    for (int i = 0; i < DRAIN_BATCHES && !worker->backend->is_sole; i++)
        if (worker->backend->receive(worker->io, 0, frames, IO_BATCH) <= 0)
            return;
}

void raw_worker_begin(struct raw_worker *worker, uint64_t from_us)
{
    worker->from_us = from_us;
}

void raw_worker_drain(struct raw_worker *worker, const struct respond_policy *policy,
                      uint64_t until_us)
{
    worker->until_us = until_us;
    /* A frame has its time before it has its place in a ring. */
    poll(NULL, 0, DRAIN_GRACE_MS);
    int outcome = 0, frame_count = 1;
    for (int i = 0; i < DRAIN_BATCHES && outcome == 0 && frame_count > 0; i++)
        outcome = worker->proxy != NULL ? -ENODATA : worker_serve(worker, policy, 0, &frame_count);
    if (outcome == 0 && worker->backend->flush != NULL)
        worker->backend->flush(worker->io);
}

unsigned raw_worker_count(const struct raw_worker *worker)
{
    return worker->count;
}

void raw_worker_count_lost(const struct raw_worker *worker, struct io_lost *lost_out)
{
    *lost_out = (struct io_lost){0};
    if (worker->backend->count_lost != NULL)
        worker->backend->count_lost(worker->io, lost_out);
}

void raw_worker_count_answered(const struct raw_worker *worker, struct io_answered *answered_out)
{
    *answered_out = (struct io_answered){0};
    if (worker->backend->count_answered != NULL)
        worker->backend->count_answered(worker->io, answered_out);
}

const char *raw_worker_backend(const struct raw_worker *worker)
{
    return worker->backend->name;
}

const char *raw_worker_note(const struct raw_worker *worker)
{
    return worker->note;
}

void raw_worker_close(struct raw_worker *worker)
{
    if (worker == NULL)
        return;
    zonedb_view_close(worker->view);
    proxy_worker_close(worker->proxy);
    if (worker->io != NULL)
        worker->backend->close(worker->io);
    guard_close(worker->guard);
    raw_place_close(&worker->place);
    free(worker->stream);
    free(worker->recent_memory);
    free(worker);
}

void raw_worker_leave(struct raw_worker *worker)
{
    if (worker == NULL)
        return;
    guard_leave(worker->guard);
    worker->guard = NULL;
    raw_worker_close(worker);
}

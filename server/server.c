/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/server.h"
#include "server/cpus.h"
#include "server/generation.h"
#include "server/log.h"
#include "server/privilege.h"
#include "server/stateless.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Descriptors besides connections: standard streams, LMDB, epoll, eventfd, captures. */
#define DESCRIPTORS_OTHER 64

/* To map anew, a millisecond apart. */
#define REMAP_ATTEMPTS 1000

struct server {
    struct generation_place place;
    struct park park;
    pthread_mutex_t lock; /* of `now`, for server_wake() in other threads */
    struct generation *now;
    struct worker *workers[CONFIG_WORKERS_MAX];
};

/* ---- the database outgrew the map ---- */

static void server_remap(void *context)
{
    const struct server *server = context;
    /* Who has no seat in the park, such as one that reads how many zones there are, holds a view
     * for a moment. If that lasts we are asked again. */
    const struct timespec pause = {.tv_nsec = 1000000};
    int outcome = zonedb_remap(server->place.db);
    for (unsigned i = 0; outcome == -EBUSY && i < REMAP_ATTEMPTS; i++) {
        nanosleep(&pause, NULL);
        outcome = zonedb_remap(server->place.db);
    }
    if (outcome == 0)
        log_write(LOG_LEVEL_INFO, "the database has outgrown its map: mapped anew");
    else
        log_write(LOG_LEVEL_ERROR, "the database has outgrown its map: %s; clients get SERVFAIL",
                  strerror(-outcome));
}

static void server_wake(void *context)
{
    struct server *server = context;
    for (unsigned w = 0; w < server->place.worker_count; w++)
        worker_wake(server->workers[w]);
    pthread_mutex_lock(&server->lock);
    stateless_wake(server->now->stateless);
    imager_wake(server->now->imager);
    pthread_mutex_unlock(&server->lock);
}

/* ---- start ---- */

static void server_raise_descriptors(const struct server *server)
{
    const struct config *config = &server->now->config;
    unsigned long wanted =
        server->place.worker_count *
            ((unsigned long)config->tcp_connections_max + server->now->endpoint_count) +
        DESCRIPTORS_OTHER;
    unsigned long got = privilege_raise_descriptors(wanted);
    if (got < wanted)
        log_write(LOG_LEVEL_WARNING,
                  "only %lu descriptors (RLIMIT_NOFILE) where %lu are wanted: long before "
                  "max-connections the connections idle longest are closed; raise LimitNOFILE= or "
                  "ulimit -n, or lower max-connections",
                  got, wanted);
}

static int server_open_workers(struct server *server, const int *cpus, unsigned cpu_count,
                               struct server_error *error)
{
    struct generation *now = server->now;
    for (unsigned w = 0; w < server->place.worker_count; w++) {
        int cpu = now->config.is_pinned && cpu_count != 0 ? cpus[w % cpu_count] : -1;
        int outcome =
            worker_open(server->place.db, &server->park, &now->settings, cpu, &server->workers[w]);
        for (size_t i = 0; i < now->endpoint_count && outcome == 0; i++) {
            struct endpoint *endpoint = &now->endpoints[i];
            outcome = worker_add_socket(server->workers[w], generation_socket(endpoint, w));
            endpoint->given_count = w + 1; /* it is closed already if that failed */
        }
        if (outcome != 0)
            return generation_refuse(error, outcome, "cannot set up worker %u of %u: %s", w + 1,
                                     server->place.worker_count, strerror(-outcome));
    }
    return 0;
}

int server_open(const struct config *config, struct server **server_out, struct server_error *error)
{
    int cpus[CONFIG_WORKERS_MAX];
    unsigned cpu_count = cpus_usable(cpus, CONFIG_WORKERS_MAX);
    struct zonedb_error reason;
    struct server *server = calloc(1, sizeof *server);
    *server_out = NULL;
    if (server == NULL)
        return generation_refuse(error, -ENOMEM, "out of memory");
    pthread_mutex_init(&server->lock, NULL);
    server->place.park = &server->park;
    park_open(&server->park, server_remap, server_wake, server);
    unsigned worker_count = config->workers != 0 ? config->workers : cpu_count;
    server->place.worker_count = worker_count != 0 ? worker_count : 1;
    int outcome = 0;
    if (config_is_proxy(config))
        server->place.worker_count = 0;
    else if ((outcome = zonedb_open(config->database, ZONEDB_READ, &server->place.db, &reason)) !=
             0)
        generation_refuse(error, outcome, "%s", reason.text);
    if (outcome == 0)
        outcome = generation_open(&server->place, config, NULL, &server->now, error);
    if (outcome == 0) {
        server_raise_descriptors(server);
        outcome = server_open_workers(server, cpus, cpu_count, error);
    }
    if (outcome != 0)
        server_close(server);
    else
        *server_out = server;
    return outcome;
}

static void server_start_image(const struct generation *generation)
{
    int outcome = generation->imager != NULL ? imager_start(generation->imager) : 0;
    if (outcome != 0)
        log_write(LOG_LEVEL_WARNING, "no image of the zones: %s", strerror(-outcome));
}

int server_start(struct server *server, struct server_error *error)
{
    int outcome = 0;
    server_start_image(server->now);
    for (unsigned w = 0; w < server->place.worker_count && outcome == 0; w++)
        outcome = worker_start(server->workers[w]);
    if (outcome == 0)
        outcome = stateless_start(server->now->stateless, NULL);
    if (outcome == 0)
        outcome = shun_start(restrain_shun(server->now->restrain));
    return outcome == 0
               ? 0
               : generation_refuse(error, outcome, "cannot start a thread: %s", strerror(-outcome));
}

/* ---- reload ---- */

static void keep_text(const char *key, char *text, const char *running)
{
    if (strcmp(text, running) == 0)
        return;
    log_write(LOG_LEVEL_WARNING, "%s: a change takes effect at the next start", key);
    strcpy(text, running);
}

/* What a running server cannot change stays as it is. */
static void keep_fixed(struct config *config, const struct config *running)
{
    keep_text("database", config->database, running->database);
    keep_text("proxy", config->proxy, running->proxy);
    keep_text("user", config->user, running->user);
    keep_text("pid-file", config->pid_file, running->pid_file);
    if (config->workers != running->workers || config->is_pinned != running->is_pinned)
        log_write(LOG_LEVEL_WARNING, "workers, pin: a change takes effect at the next start");
    config->workers = running->workers;
    config->is_pinned = running->is_pinned;
}

/* Have worker `w` go from `now` to `next`. */
static void server_change_worker(struct server *server, struct generation *next, unsigned w)
{
    struct generation *now = server->now;
    struct worker_socket add[ENDPOINTS_MAX];
    int remove[ENDPOINTS_MAX];
    size_t add_count = 0, remove_count = 0;
    for (size_t i = 0; i < next->endpoint_count; i++) {
        const struct endpoint *endpoint = &next->endpoints[i];
        const struct endpoint *before =
            generation_endpoint(now, &endpoint->address, endpoint->is_tcp);
        if (before == NULL || before->is_for_peers != endpoint->is_for_peers)
            add[add_count++] = generation_socket(endpoint, w);
    }
    for (size_t i = 0; i < now->endpoint_count; i++) {
        const struct endpoint *endpoint = &now->endpoints[i];
        if (generation_endpoint(next, &endpoint->address, endpoint->is_tcp) == NULL)
            remove[remove_count++] = endpoint->fd[w];
    }
    worker_apply(server->workers[w], &next->settings, add, add_count, remove, remove_count);
}

int server_reload(struct server *server, const struct config *config, struct server_error *error)
{
    struct generation *former = server->now, *next;
    struct config wanted = *config;
    if (config_is_proxy(config) != config_is_proxy(&former->config))
        return generation_refuse(error, -EINVAL,
                                 "from zones to a proxy and back only by a restart");
    keep_fixed(&wanted, &former->config);
    int outcome = generation_open(&server->place, &wanted, former, &next, error);
    if (outcome != 0)
        return outcome;
    for (unsigned w = 0; w < server->place.worker_count; w++)
        server_change_worker(server, next, w);
    for (size_t i = 0; i < next->endpoint_count; i++)
        next->endpoints[i].given_count = server->place.worker_count;
    stateless_halt(former->stateless);
    pthread_mutex_lock(&server->lock);
    server->now = next;
    pthread_mutex_unlock(&server->lock);
    outcome = stateless_start(next->stateless, former->stateless);
    if (next->imager != former->imager) {
        imager_close(former->imager);
        server_start_image(next);
        imager_begin(next->imager);
    }
    if (next->restrain != former->restrain) {
        int shun_outcome = shun_start(restrain_shun(next->restrain));
        if (shun_outcome != 0)
            log_write(LOG_LEVEL_ERROR, "goaway: no thread: %s; nothing is confirmed",
                      strerror(-shun_outcome));
        generation_close_restrain(former);
    }
    generation_free(former);
    server_raise_descriptors(server);
    /* There is no way back to what was before. */
    if (outcome != 0)
        log_write(LOG_LEVEL_ERROR, "cannot start a thread: %s; an interface is not served",
                  strerror(-outcome));
    return 0;
}

void server_begin_image(struct server *server)
{
    imager_begin(server->now->imager);
}

/* ---- about it ---- */

uint64_t server_zone_count(struct server *server)
{
    struct zonedb_view *view;
    struct zonedb_stat stat = {0};
    if (server->place.db == NULL || zonedb_view_open(server->place.db, &view) != 0)
        return 0;
    zonedb_stat(view, &stat);
    zonedb_view_close(view);
    return stat.zone_count;
}

void server_describe(struct server *server, char *text, size_t text_cap)
{
    const struct config *config = &server->now->config;
    uint64_t zones = server_zone_count(server);
    char address[ADDRESS_TEXT_MAX];
    size_t used;
    if (config_is_proxy(config))
        used = (size_t)snprintf(text, text_cap, "proxy for %s, listening on", config->proxy);
    else
        used = (size_t)snprintf(text, text_cap, "%ju zone%s from %s, %u worker%s, listening on",
                                (uintmax_t)zones, zones == 1 ? "" : "s", config->database,
                                server->place.worker_count,
                                server->place.worker_count == 1 ? "" : "s");
    for (size_t i = 0; i < config->listen_count && used < text_cap; i++) {
        const struct config_listen *listen = &config->listen[i];
        const char *interface = stateless_interface(server->now->stateless, &listen->address);
        const char *tcp = "UDP";
        if (listen->tcp == CONFIG_TCP_KERNEL)
            tcp = "UDP, TCP";
        else if (listen->tcp == CONFIG_TCP_STATELESS)
            tcp = config_is_proxy(config)          ? "stateless TCP on "
                  : config->udp == CONFIG_UDP_FAST ? "UDP and stateless TCP on "
                                                   : "UDP, stateless TCP on ";
        used += (size_t)snprintf(text + used, text_cap - used, "%s %s (%s%s)", i == 0 ? "" : ",",
                                 address_to_text(&listen->address, address), tcp, interface);
    }
    size_t peers = config->tcp_transfer_peers.count;
    if (stateless_count(server->now->stateless) != 0 && peers != 0 && used < text_cap)
        snprintf(text + used, text_cap - used, "; kernel TCP there for %zu transfer peer%s", peers,
                 peers == 1 ? "" : "s");
}

void server_close(struct server *server)
{
    if (server == NULL)
        return;
    for (unsigned w = 0; w < server->place.worker_count; w++)
        if (server->workers[w] != NULL)
            worker_stop(server->workers[w]);
    if (server->now != NULL)
        stateless_halt(server->now->stateless);
    for (unsigned w = 0; w < server->place.worker_count; w++)
        worker_close(server->workers[w]);
    if (server->now != NULL) {
        stateless_close(server->now->stateless);
        imager_close(server->now->imager);
        generation_close_restrain(server->now);
        generation_drop(server->now);
    }
    park_close(&server->park);
    pthread_mutex_destroy(&server->lock);
    zonedb_close(server->place.db);
    free(server);
}

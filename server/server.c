/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/server.h"
#include "server/cpus.h"
#include "server/imager.h"
#include "server/keys.h"
#include "server/log.h"
#include "server/park.h"
#include "server/privilege.h"
#include "server/socket.h"
#include "server/stateless.h"
#include "server/tsig_keys.h"
#include "server/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Descriptors besides connections: standard streams, LMDB, epoll, eventfd, captures. */
#define DESCRIPTORS_OTHER 64

/* UDP, or a TCP listener, at one address: a socket of each worker. */
struct endpoint {
    struct sockaddr_storage address;
    bool is_tcp;
    bool is_for_peers;    /* TCP: of the transfer peers alone */
    unsigned given_count; /* of them, those that their workers own by now */
    int fd[CONFIG_WORKERS_MAX];
};

#define ENDPOINTS_MAX (2 * CONFIG_LISTEN_MAX)
/* To map anew, a millisecond apart. */
#define REMAP_ATTEMPTS 1000

/* One configuration and what follows from it. Workers use `settings`, whose policy uses the texts
 * of `config`: a generation stays where it is until the next one is in use everywhere. */
struct generation {
    struct config config;
    struct tsig_key_list tsig_list;
    struct tsig_keys tsig;
    struct worker_settings settings;
    struct dns_cookie_secrets cookie;
    struct restrain *restrain; /* NULL: there is nobody to restrain */
    struct imager *imager;     /* NULL: none is wanted, or can be had */
    struct stateless_set *stateless;
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
};

struct server {
    struct zonedb *db;
    struct park park;
    pthread_mutex_t lock; /* of `now`, for server_wake() in other threads */
    struct generation *now;
    unsigned worker_count;
    struct worker *workers[CONFIG_WORKERS_MAX];
};

__attribute__((format(printf, 3, 4))) static int refuse(struct server_error *error, int outcome,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return outcome;
}

/* A proxy has no database, and only the threads of stateless TCP: UDP at its addresses may well be
 * the back end's own. */
static bool is_proxy(const struct config *config)
{
    return config->proxy[0] != '\0';
}

/* ---- the database outgrew the map ---- */

static void server_remap(void *context)
{
    const struct server *server = context;
    /* Who has no seat in the park, such as one that reads how many zones there are, holds a view
     * for a moment. If that lasts we are asked again. */
    const struct timespec pause = {.tv_nsec = 1000000};
    int outcome = zonedb_remap(server->db);
    for (unsigned i = 0; outcome == -EBUSY && i < REMAP_ATTEMPTS; i++) {
        nanosleep(&pause, NULL);
        outcome = zonedb_remap(server->db);
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
    for (unsigned w = 0; w < server->worker_count; w++)
        worker_wake(server->workers[w]);
    pthread_mutex_lock(&server->lock);
    stateless_wake(server->now->stateless);
    imager_wake(server->now->imager);
    pthread_mutex_unlock(&server->lock);
}

/* ---- generations ---- */

static struct endpoint *generation_find(struct generation *generation,
                                        const struct sockaddr_storage *address, bool is_tcp)
{
    for (size_t i = 0; generation != NULL && i < generation->endpoint_count; i++)
        if (generation->endpoints[i].is_tcp == is_tcp &&
            address_equal(&generation->endpoints[i].address, address))
            return &generation->endpoints[i];
    return NULL;
}

static struct worker_socket endpoint_socket(const struct endpoint *endpoint, unsigned w)
{
    return (struct worker_socket){endpoint->fd[w], endpoint->is_tcp, endpoint->is_for_peers};
}

/* Whether the port is ours already, by whatever address: then a probe would meet ourselves. */
static bool generation_has_port(const struct generation *generation, uint16_t port)
{
    for (size_t i = 0; generation != NULL && i < generation->endpoint_count; i++)
        if (address_port(&generation->endpoints[i].address) == port)
            return true;
    return false;
}

/* Take the endpoint over from the former generation, or open it. */
static int generation_add(struct generation *generation, struct generation *former,
                          const struct sockaddr_storage *address, bool is_tcp, bool is_for_peers,
                          unsigned worker_count, struct server_error *error)
{
    struct endpoint *endpoint = &generation->endpoints[generation->endpoint_count];
    const struct endpoint *before = generation_find(former, address, is_tcp);
    struct socket_error reason;
    assert(generation->endpoint_count < ENDPOINTS_MAX);
    generation->endpoint_count++;
    if (before != NULL) {
        *endpoint = *before;
        endpoint->is_for_peers = is_for_peers;
        return 0;
    }
    endpoint->address = *address;
    endpoint->is_tcp = is_tcp;
    endpoint->is_for_peers = is_for_peers;
    for (unsigned w = 0; w < CONFIG_WORKERS_MAX; w++)
        endpoint->fd[w] = -1;
    for (unsigned w = 0; w < worker_count; w++) {
        int outcome = is_tcp ? socket_open_tcp(address, &endpoint->fd[w], &reason)
                             : socket_open_udp(address, &endpoint->fd[w], &reason);
        if (outcome != 0)
            return refuse(error, outcome, "%s", reason.text);
    }
    return 0;
}

static bool has_peer(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->tcp_transfer_peers.count; i++)
        if (config->tcp_transfer_peers.items[i].address.family == family)
            return true;
    return false;
}

/* Where TCP is stateless it is the kernel's beside, for the peers. */
static bool has_kernel_tcp(const struct config *config, const struct config_listen *listen)
{
    return listen->tcp == CONFIG_TCP_KERNEL ||
           (listen->tcp == CONFIG_TCP_STATELESS &&
            has_peer(config, listen->address.ss_family == AF_INET ? 4 : 6));
}

static int generation_open_sockets(struct generation *generation, struct generation *former,
                                   unsigned worker_count, struct server_error *error)
{
    const struct config *config = &generation->config;
    struct socket_error reason;
    int outcome = 0;
    if (is_proxy(config))
        return 0;
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listen[i];
        if (generation_has_port(former, address_port(&listen->address)))
            continue;
        outcome = socket_probe(&listen->address, has_kernel_tcp(config, listen), &reason);
        if (outcome != 0)
            return refuse(error, outcome, "%s", reason.text);
    }
    for (size_t i = 0; i < config->listen_count && outcome == 0; i++) {
        const struct config_listen *listen = &config->listen[i];
        outcome =
            generation_add(generation, former, &listen->address, false, false, worker_count, error);
        if (outcome == 0 && has_kernel_tcp(config, listen))
            outcome = generation_add(generation, former, &listen->address, true,
                                     listen->tcp == CONFIG_TCP_STATELESS, worker_count, error);
    }
    return outcome;
}

/* Whether the image of one would be the same by the other. */
static bool has_same_image(const struct generation *a, const struct generation *b)
{
    return a->config.image_size == b->config.image_size &&
           (a->config.driver == CONFIG_DRIVER_ZONES) == (b->config.driver == CONFIG_DRIVER_ZONES) &&
           a->settings.policy.udp_payload == b->settings.policy.udp_payload &&
           a->settings.policy.has_edns == b->settings.policy.has_edns;
}

/* Without an image it only takes longer. */
static void generation_open_image(struct generation *generation, struct generation *former,
                                  struct server *server)
{
    const struct imager_config config = {.db = server->db,
                                         .park = &server->park,
                                         .policy = &generation->settings.policy,
                                         .size_max = generation->config.image_size,
                                         .has_driver =
                                             generation->config.driver == CONFIG_DRIVER_ZONES};
    if (is_proxy(&generation->config) || config.size_max == 0)
        return;
    if (former != NULL && former->imager != NULL && has_same_image(generation, former)) {
        generation->imager = former->imager;
    } else {
        int outcome = imager_open(&config, &generation->imager);
        if (outcome == -ENOTSUP && config.has_driver)
            log_write(LOG_LEVEL_WARNING, "driver: there is no image without EDNS to answer from");
        else if (outcome != 0 && outcome != -ENOTSUP)
            log_write(LOG_LEVEL_WARNING, "no image of the zones: %s", strerror(-outcome));
    }
    generation->settings.image = imager_image(generation->imager);
}

/* The keys of TSIG, which the policy uses. */
static int generation_read_keys(struct generation *generation, struct server_error *error)
{
    const struct config *config = &generation->config;
    const struct tsig_key_source source = {config->tsig_keys, config->has_tsig_well_known,
                                           config->has_tsig_sha1};
    struct tsig_key_list *list = &generation->tsig_list;
    int outcome = tsig_keys_read(&source, list, error->text, sizeof error->text);
    if (outcome != 0)
        return outcome;
    if (list->is_readable_by_all)
        log_write(LOG_LEVEL_WARNING, "tsig keys %s: everybody on this machine can read them",
                  config->tsig_keys);
    generation->tsig = (struct tsig_keys){list->items, list->count};
    generation->settings.policy.tsig = &generation->tsig;
    return 0;
}

static void generation_free(struct generation *generation)
{
    explicit_bzero(&generation->cookie, sizeof generation->cookie);
    tsig_keys_free(&generation->tsig_list);
    free(generation);
}

/* The secret made at random for one serves the next one too: cookies go on. */
static int generation_open_cookie(struct generation *generation, const struct generation *former,
                                  struct server_error *error)
{
    const struct config *config = &generation->config;
    int outcome = 0;
    if (!config->has_cookie)
        return 0;
    generation->settings.policy.cookie = &generation->cookie;
    if (config->cookie_key_file[0] != '\0')
        return keys_dns_cookie_read(config->cookie_key_file, &generation->cookie, error->text,
                                    sizeof error->text);
    if (former != NULL && former->cookie.count != 0 && former->config.cookie_key_file[0] == '\0')
        generation->cookie = former->cookie;
    else if ((outcome = keys_dns_cookie_random(&generation->cookie)) != 0)
        return refuse(error, outcome, "no random secret: %s", strerror(-outcome));
    return 0;
}

static int generation_open_restrain(struct generation *generation, const struct generation *former,
                                    struct server_error *error)
{
    const struct restrain_config config = config_restrain(&generation->config);
    int outcome = 0;
    if (former != NULL && config_is_same_restrain(&generation->config, &former->config))
        generation->restrain = former->restrain;
    else if ((outcome = restrain_open(&config, &generation->restrain)) != 0)
        return refuse(error, outcome, "policy: %s", strerror(-outcome));
    generation->settings.restrain = generation->restrain;
    return 0;
}

static int generation_open_shun(struct generation *generation, const struct generation *former,
                                struct server_error *error)
{
    const struct shun_config config = config_shun(&generation->config);
    const struct shun *before = former != NULL ? restrain_shun(former->restrain) : NULL;
    struct shun_error reason;
    struct shun *shun;
    if (generation->restrain == NULL || restrain_shun(generation->restrain) != NULL)
        return 0;
    int outcome = shun_open(&config, before, &shun, &reason);
    if (outcome != 0)
        return refuse(error, outcome, "goaway: %s%s", reason.text,
                      outcome == -EPERM && former != NULL ? "; a reload cannot begin it" : "");
    restrain_set_shun(generation->restrain, shun);
    return 0;
}

static void generation_tell_shun(const struct generation *generation)
{
    const struct shun_counts counts = shun_count(restrain_shun(generation->restrain));
    if (counts.asked + counts.denied + counts.confirmed + counts.declined != 0)
        log_write(LOG_LEVEL_INFO,
                  "goaway: %ju queries denied, %ju GoAways sent, %ju confirmed, %ju times no block",
                  (uintmax_t)counts.denied, (uintmax_t)counts.asked, (uintmax_t)counts.confirmed,
                  (uintmax_t)counts.declined);
}

static void generation_close_restrain(struct generation *generation)
{
    const struct restrain_counts counts = restrain_count(generation->restrain);
    if (counts.over_rate != 0)
        log_write(LOG_LEVEL_INFO,
                  "policy: %ju queries were over the rate of their prefix, %ju of them dropped",
                  (uintmax_t)counts.over_rate, (uintmax_t)counts.dropped);
    generation_tell_shun(generation);
    restrain_close(generation->restrain);
}

/* Close the sockets that no worker owns, and free it. */
static void generation_drop(struct generation *generation)
{
    for (size_t i = 0; i < generation->endpoint_count; i++) {
        const struct endpoint *endpoint = &generation->endpoints[i];
        for (unsigned w = endpoint->given_count; w < CONFIG_WORKERS_MAX; w++)
            if (endpoint->fd[w] >= 0)
                close(endpoint->fd[w]);
    }
    generation_free(generation);
}

static int generation_open(struct server *server, const struct config *config,
                           struct generation *former, struct generation **generation_out,
                           struct server_error *error)
{
    struct generation *generation = calloc(1, sizeof *generation);
    struct stateless_error reason;
    if (generation == NULL)
        return refuse(error, -ENOMEM, "out of memory");
    generation->config = *config;
    generation->settings.policy = config_policy(&generation->config);
    int outcome = generation_read_keys(generation, error);
    if (outcome == 0)
        outcome = generation_open_cookie(generation, former, error);
    if (outcome == 0)
        outcome = generation_open_restrain(generation, former, error);
    if (outcome == 0)
        outcome = generation_open_shun(generation, former, error);
    if (outcome != 0) {
        if (former == NULL || generation->restrain != former->restrain)
            restrain_close(generation->restrain);
        generation_drop(generation);
        return outcome;
    }
    generation->settings.tcp =
        (struct tcp_limits){.connections_max = config->tcp_connections_max,
                            .idle_timeout_s = config->tcp_idle_timeout_s,
                            .peers = generation->config.tcp_transfer_peers.items,
                            .peer_count = generation->config.tcp_transfer_peers.count};
    struct stateless_set *before = former != NULL ? former->stateless : NULL;
    generation_open_image(generation, former, server);
    const struct stateless_answers answers = {&generation->settings.policy,
                                              generation->settings.image, generation->restrain};
    /* Guards before listeners: what is not a peer's never begins a connection with the kernel. */
    outcome = stateless_open(&generation->config, server->db, &server->park, &answers, before,
                             &generation->stateless, &reason);
    if (outcome != 0)
        refuse(error, outcome, "%s", reason.text);
    else
        outcome = generation_open_sockets(generation, former, server->worker_count, error);
    if (outcome != 0) {
        stateless_abandon(generation->stateless, before);
        if (former == NULL || generation->restrain != former->restrain)
            restrain_close(generation->restrain);
        if (former == NULL || generation->imager != former->imager)
            imager_close(generation->imager);
        generation_drop(generation);
        return outcome;
    }
    *generation_out = generation;
    return 0;
}

/* ---- start ---- */

static void server_raise_descriptors(const struct server *server)
{
    const struct config *config = &server->now->config;
    unsigned long wanted = server->worker_count * ((unsigned long)config->tcp_connections_max +
                                                   server->now->endpoint_count) +
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
    for (unsigned w = 0; w < server->worker_count; w++) {
        int cpu = now->config.is_pinned && cpu_count != 0 ? cpus[w % cpu_count] : -1;
        int outcome =
            worker_open(server->db, &server->park, &now->settings, cpu, &server->workers[w]);
        for (size_t i = 0; i < now->endpoint_count && outcome == 0; i++) {
            struct endpoint *endpoint = &now->endpoints[i];
            outcome = worker_add_socket(server->workers[w], endpoint_socket(endpoint, w));
            endpoint->given_count = w + 1; /* it is closed already if that failed */
        }
        if (outcome != 0)
            return refuse(error, outcome, "cannot set up worker %u of %u: %s", w + 1,
                          server->worker_count, strerror(-outcome));
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
        return refuse(error, -ENOMEM, "out of memory");
    pthread_mutex_init(&server->lock, NULL);
    park_open(&server->park, server_remap, server_wake, server);
    unsigned worker_count = config->workers != 0 ? config->workers : cpu_count;
    server->worker_count = worker_count != 0 ? worker_count : 1;
    int outcome = 0;
    if (is_proxy(config))
        server->worker_count = 0;
    else if ((outcome = zonedb_open(config->database, ZONEDB_READ, &server->db, &reason)) != 0)
        refuse(error, outcome, "%s", reason.text);
    if (outcome == 0)
        outcome = generation_open(server, config, NULL, &server->now, error);
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
    privilege_drop_nice();
    for (unsigned w = 0; w < server->worker_count && outcome == 0; w++)
        outcome = worker_start(server->workers[w]);
    if (outcome == 0)
        outcome = stateless_start(server->now->stateless, NULL);
    if (outcome == 0)
        outcome = shun_start(restrain_shun(server->now->restrain));
    return outcome == 0 ? 0
                        : refuse(error, outcome, "cannot start a thread: %s", strerror(-outcome));
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
        const struct endpoint *before = generation_find(now, &endpoint->address, endpoint->is_tcp);
        if (before == NULL || before->is_for_peers != endpoint->is_for_peers)
            add[add_count++] = endpoint_socket(endpoint, w);
    }
    for (size_t i = 0; i < now->endpoint_count; i++) {
        const struct endpoint *endpoint = &now->endpoints[i];
        if (generation_find(next, &endpoint->address, endpoint->is_tcp) == NULL)
            remove[remove_count++] = endpoint->fd[w];
    }
    worker_apply(server->workers[w], &next->settings, add, add_count, remove, remove_count);
}

int server_reload(struct server *server, const struct config *config, struct server_error *error)
{
    struct generation *former = server->now, *next;
    struct config wanted = *config;
    if (is_proxy(config) != is_proxy(&former->config))
        return refuse(error, -EINVAL, "from zones to a proxy and back only by a restart");
    keep_fixed(&wanted, &former->config);
    int outcome = generation_open(server, &wanted, former, &next, error);
    if (outcome != 0)
        return outcome;
    for (unsigned w = 0; w < server->worker_count; w++)
        server_change_worker(server, next, w);
    for (size_t i = 0; i < next->endpoint_count; i++)
        next->endpoints[i].given_count = server->worker_count;
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
    if (server->db == NULL || zonedb_view_open(server->db, &view) != 0)
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
    if (is_proxy(config))
        used = (size_t)snprintf(text, text_cap, "proxy for %s, listening on", config->proxy);
    else
        used = (size_t)snprintf(text, text_cap, "%ju zone%s from %s, %u worker%s, listening on",
                                (uintmax_t)zones, zones == 1 ? "" : "s", config->database,
                                server->worker_count, server->worker_count == 1 ? "" : "s");
    for (size_t i = 0; i < config->listen_count && used < text_cap; i++) {
        const struct config_listen *listen = &config->listen[i];
        const char *interface = stateless_interface(server->now->stateless, &listen->address);
        const char *tcp = "UDP";
        if (listen->tcp == CONFIG_TCP_KERNEL)
            tcp = "UDP, TCP";
        else if (listen->tcp == CONFIG_TCP_STATELESS)
            tcp = is_proxy(config)                 ? "stateless TCP on "
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
    for (unsigned w = 0; w < server->worker_count; w++)
        if (server->workers[w] != NULL)
            worker_stop(server->workers[w]);
    if (server->now != NULL)
        stateless_halt(server->now->stateless);
    for (unsigned w = 0; w < server->worker_count; w++)
        worker_close(server->workers[w]);
    if (server->now != NULL) {
        stateless_close(server->now->stateless);
        imager_close(server->now->imager);
        generation_close_restrain(server->now);
        generation_drop(server->now);
    }
    park_close(&server->park);
    pthread_mutex_destroy(&server->lock);
    zonedb_close(server->db);
    free(server);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/generation.h"
#include "server/keys.h"
#include "server/log.h"
#include "server/socket.h"
#include "server/stateless.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int generation_refuse(struct server_error *error, int outcome, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return outcome;
}

struct endpoint *generation_endpoint(struct generation *generation,
                                     const struct sockaddr_storage *address, bool is_tcp)
{
    for (size_t i = 0; generation != NULL && i < generation->endpoint_count; i++)
        if (generation->endpoints[i].is_tcp == is_tcp &&
            address_equal(&generation->endpoints[i].address, address))
            return &generation->endpoints[i];
    return NULL;
}

struct worker_socket generation_socket(const struct endpoint *endpoint, unsigned w)
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
    const struct endpoint *before = generation_endpoint(former, address, is_tcp);
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
            return generation_refuse(error, outcome, "%s", reason.text);
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
    if (config_is_proxy(config))
        return 0;
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listen[i];
        if (generation_has_port(former, address_port(&listen->address)))
            continue;
        outcome = socket_probe(&listen->address, has_kernel_tcp(config, listen), &reason);
        if (outcome != 0)
            return generation_refuse(error, outcome, "%s", reason.text);
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
           a->settings.policy.is_minimal == b->settings.policy.is_minimal &&
           a->settings.policy.udp_payload == b->settings.policy.udp_payload &&
           a->settings.policy.has_edns == b->settings.policy.has_edns;
}

/* Without an image it only takes longer. */
static void generation_open_image(struct generation *generation, struct generation *former,
                                  const struct generation_place *place)
{
    const struct imager_config config = {.db = place->db,
                                         .park = place->park,
                                         .policy = &generation->settings.policy,
                                         .size_max = generation->config.image_size,
                                         .has_driver =
                                             generation->config.driver == CONFIG_DRIVER_ZONES};
    if (config_is_proxy(&generation->config) || config.size_max == 0)
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

void generation_free(struct generation *generation)
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
        return generation_refuse(error, outcome, "no random secret: %s", strerror(-outcome));
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
        return generation_refuse(error, outcome, "policy: %s", strerror(-outcome));
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
        return generation_refuse(error, outcome, "goaway: %s%s", reason.text,
                                 outcome == -EPERM && former != NULL ? "; a reload cannot begin it"
                                                                     : "");
    restrain_set_shun(generation->restrain, shun);
    return 0;
}

static void generation_tell_shun(const struct generation *generation)
{
    const struct shun_counts counts = shun_count(restrain_shun(generation->restrain));
    if (counts.asked + counts.denied + counts.confirmed + counts.declined != 0)
        log_write(LOG_LEVEL_INFO,
                  "goaway: %ju packets denied, %ju GoAways sent, %ju confirmed, %ju times no block",
                  (uintmax_t)counts.denied, (uintmax_t)counts.asked, (uintmax_t)counts.confirmed,
                  (uintmax_t)counts.declined);
}

void generation_close_restrain(struct generation *generation)
{
    const struct restrain_counts counts = restrain_count(generation->restrain);
    if (counts.over_rate != 0)
        log_write(LOG_LEVEL_INFO,
                  "policy: %ju queries were over the rate of their prefix, %ju of them dropped",
                  (uintmax_t)counts.over_rate, (uintmax_t)counts.dropped);
    generation_tell_shun(generation);
    restrain_close(generation->restrain);
}

void generation_drop(struct generation *generation)
{
    for (size_t i = 0; i < generation->endpoint_count; i++) {
        const struct endpoint *endpoint = &generation->endpoints[i];
        for (unsigned w = endpoint->given_count; w < CONFIG_WORKERS_MAX; w++)
            if (endpoint->fd[w] >= 0)
                close(endpoint->fd[w]);
    }
    generation_free(generation);
}

int generation_open(const struct generation_place *place, const struct config *config,
                    struct generation *former, struct generation **generation_out,
                    struct server_error *error)
{
    struct generation *generation = calloc(1, sizeof *generation);
    struct stateless_error reason;
    if (generation == NULL)
        return generation_refuse(error, -ENOMEM, "out of memory");
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
                            .peer_count = generation->config.tcp_transfer_peers.count,
                            .denied = generation->config.denied.items,
                            .denied_count = generation->config.denied.count};
    struct stateless_set *before = former != NULL ? former->stateless : NULL;
    generation_open_image(generation, former, place);
    const struct stateless_answers answers = {&generation->settings.policy,
                                              generation->settings.image, generation->restrain};
    /* Guards before listeners: what is not a peer's never begins a connection with the kernel. */
    outcome = stateless_open(&generation->config, place->db, place->park, &answers, before,
                             &generation->stateless, &reason);
    if (outcome != 0)
        generation_refuse(error, outcome, "%s", reason.text);
    else
        outcome = generation_open_sockets(generation, former, place->worker_count, error);
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

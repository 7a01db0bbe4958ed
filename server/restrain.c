/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/restrain.h"

#include "server/buckets.h"
#include "stateless_tcp/siphash.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Of a DNS header, and where in it the number of additional records is. */
#define HEADER_LEN 12
#define ADDITIONAL_AT 10

struct restrain {
    struct restrain_config config;
    struct buckets *buckets; /* NULL: no rate */
    struct shun *shun;       /* NULL: none */
    uint8_t key[16];         /* of slips */
    atomic_uint_fast64_t over_rate, dropped;
    struct prefix allowed[]; /* config.allowed */
};

bool restrain_is_wanted(const struct restrain_config *config)
{
    return config->rate != 0 || config->is_shunning ||
           config->require_cookie == RESTRAIN_WHEN_ALWAYS ||
           config->tcp_only == RESTRAIN_WHEN_ALWAYS;
}

int restrain_open(const struct restrain_config *config, struct restrain **restrain_out)
{
    int outcome = 0;
    *restrain_out = NULL;
    if (!restrain_is_wanted(config))
        return 0;
    size_t allowed_size = config->allowed_count * sizeof *config->allowed;
    struct restrain *restrain = calloc(1, sizeof *restrain + allowed_size);
    if (restrain == NULL)
        return -ENOMEM;
    restrain->config = *config;
    restrain->config.allowed = restrain->allowed;
    if (allowed_size != 0)
        memcpy(restrain->allowed, config->allowed, allowed_size);
    if (getrandom(restrain->key, sizeof restrain->key, 0) != sizeof restrain->key)
        outcome = -EIO;
    if (outcome == 0 && config->rate != 0)
        outcome = buckets_open(config->table_size, config->rate, &restrain->buckets);
    if (outcome == 0)
        *restrain_out = restrain;
    else
        free(restrain);
    return outcome;
}

void restrain_close(struct restrain *restrain)
{
    if (restrain == NULL)
        return;
    buckets_close(restrain->buckets);
    shun_close(restrain->shun);
    free(restrain);
}

void restrain_set_shun(struct restrain *restrain, struct shun *shun)
{
    restrain->shun = shun;
}

struct shun *restrain_shun(const struct restrain *restrain)
{
    return restrain != NULL ? restrain->shun : NULL;
}

static bool is_allowed(const struct restrain_config *config, const struct respond_client *client)
{
    struct packet_address address = {.family = client->address_len == 4 ? 4 : 6};
    memcpy(address.octets, client->address, client->address_len);
    return prefix_has(config->allowed, config->allowed_count, &address);
}

/* Whether a cookie frees the client, and it has one. */
static bool is_known(const struct restrain_config *config, const struct respond_policy *policy,
                     const struct respond_client *client, const uint8_t *request,
                     size_t request_len)
{
    if (config->require_cookie == RESTRAIN_WHEN_NEVER || config->tcp_only != RESTRAIN_WHEN_NEVER ||
        request_len < HEADER_LEN ||
        (request[ADDITIONAL_AT] == 0 && request[ADDITIONAL_AT + 1] == 0))
        return false;
    return respond_has_cookie(policy, client, request, request_len);
}

static bool is_over_rate(struct restrain *restrain, const struct respond_client *client,
                         uint64_t now_us)
{
    const struct restrain_config *config = &restrain->config;
    unsigned prefix_len = client->address_len == 4 ? config->ipv4_len : config->ipv6_len;
    return restrain->buckets != NULL && !buckets_take(restrain->buckets, client->address,
                                                      client->address_len, prefix_len, now_us);
}

static bool is_meant(enum restrain_when when, bool is_over)
{
    return when == RESTRAIN_WHEN_ALWAYS || (when == RESTRAIN_WHEN_OVER_RATE && is_over);
}

/* Whether this one beyond the rate is answered, after `before` others: one of each `slip`, at a place
 * by which nobody who sends in step with another could have that one always be dropped. */
static bool has_slipped(const struct restrain *restrain, uint64_t before)
{
    unsigned slip = restrain->config.slip;
    if (slip <= 1)
        return slip == 1;
    uint64_t round = before / slip;
    return before % slip ==
           siphash_2_4_64(restrain->key, (const uint8_t *)&round, sizeof round) % slip;
}

enum restrain_verdict restrain_judge(struct restrain *restrain, const struct respond_policy *policy,
                                     const uint8_t *request, size_t request_len, uint64_t now_us,
                                     struct respond_client *client)
{
    client->restraint = RESPOND_FREELY;
    if (restrain == NULL)
        return RESTRAIN_NOT;
    const struct restrain_config *config = &restrain->config;
    if (is_allowed(config, client) || is_known(config, policy, client, request, request_len))
        return RESTRAIN_NOT;
    bool is_over = is_over_rate(restrain, client, now_us);
    if (is_meant(config->tcp_only, is_over) ||
        (is_over && config->require_cookie == RESTRAIN_WHEN_NEVER))
        client->restraint = RESPOND_TRUNCATED;
    else if (is_meant(config->require_cookie, is_over))
        client->restraint = RESPOND_WITH_COOKIE;
    if (!is_over)
        return RESTRAIN_NOT;
    uint64_t before = atomic_fetch_add_explicit(&restrain->over_rate, 1, memory_order_relaxed);
    if (has_slipped(restrain, before))
        return RESTRAIN_OVER_RATE;
    atomic_fetch_add_explicit(&restrain->dropped, 1, memory_order_relaxed);
    return RESTRAIN_DROPPED;
}

struct restrain_counts restrain_count(const struct restrain *restrain)
{
    struct restrain_counts counts = {0, 0};
    if (restrain != NULL) {
        counts.over_rate = atomic_load_explicit(&restrain->over_rate, memory_order_relaxed);
        counts.dropped = atomic_load_explicit(&restrain->dropped, memory_order_relaxed);
    }
    return counts;
}

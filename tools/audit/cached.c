/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/ask.h"

#include "server/address.h"
#include "tools/query/exchange.h"
#include "tools/query/received.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPE_NS = 2,
    CLASS_IN = 1,
};

static_assert(AUDIT_ADDRESSES_MAX == SERVERS_MAX && AUDIT_WHY_MAX >= SERVERS_ERROR_MAX, "");

int audit_hints(const char *file, struct audit_servers *servers_out, char *error)
{
    struct servers servers = {.count = 0};
    struct plan plan;

    plan_init(&plan);
    if (strlen(file) >= sizeof(plan.hints)) {
        snprintf(error, AUDIT_WHY_MAX, "the path of the hints is too long");
        return -ENAMETOOLONG;
    }
    strcpy(plan.hints, file);
    const int outcome = servers_hints(&plan, &servers, error);
    servers_out->count = servers.count;
    for (size_t i = 0; i < servers.count; i++)
        servers_out->of[i] = servers.of[i].address;
    return outcome;
}

/* ---- caches ---- */

static void see_cached(const struct received *response, const uint8_t *apex,
                       struct audit_cached *cached)
{
    for (size_t i = 0; i < response->record_count; i++) {
        const struct received_record *record = &response->records[i];
        const knot_rdata_t *rdata = record->set.rrs.rdata;
        /* A cache that is asked without recursion may tell in the authority section. */
        if ((record->section != RECEIVED_ANSWER && record->section != RECEIVED_AUTHORITY) ||
            record->set.type != TYPE_NS || record->is_malformed || rdata == NULL ||
            !audit_is_name(rdata->data, rdata->len) || !name_equal(record->set.owner, apex) ||
            cached->servers.count == AUDIT_NAMES_MAX)
            continue;
        if (cached->servers.count == 0 || record->set.ttl < cached->ttl)
            cached->ttl = record->set.ttl;
        name_copy_lower(cached->servers.of[cached->servers.count++], rdata->data);
    }
}

static bool ask_cache_once(struct exchange *exchange, const struct plan *plan,
                           const struct sockaddr_storage *cache, struct audit_cached *cached,
                           char *why)
{
    struct exchange_context context = EXCHANGE_CONTEXT_INIT;
    struct servers one = {.count = 0};
    struct received response;
    char text[ADDRESS_TEXT_MAX];

    servers_add(&one, AF_UNSPEC, cache, "");
    const int error = exchange_run(plan, &one, &context, exchange);
    exchange_context_end(&context);
    if (error != 0 || exchange->response_len < HEADER_LEN) {
        snprintf(why, AUDIT_WHY_MAX, "no answer from %s", address_to_text(cache, text));
        return false;
    }
    received_begin(exchange->response, exchange->response_len, &response);
    /* NOERROR and NXDOMAIN tell something, and so does an answer without records. */
    const bool is_told = response.fault[0] == '\0' && (response.rcode == 0 || response.rcode == 3);
    snprintf(why, AUDIT_WHY_MAX, "%s says %s", address_to_text(cache, text),
             response.fault[0] != '\0' ? "nothing well-formed"
                                       : received_rcode_text(response.rcode, (char[32]){0}));
    if (is_told)
        see_cached(&response, plan->name, cached);
    received_end(&response);
    return is_told;
}

static void plan_for(const uint8_t *name, unsigned timeout_s, struct plan *plan)
{
    plan_init(plan);
    plan->has_name = plan->has_type = plan->has_class = true;
    name_copy_lower(plan->name, name);
    plan->type = TYPE_NS;
    plan->class = CLASS_IN;
    plan->is_ad = false;
    plan->edns.is_do = true;
    plan->timeout_s = timeout_s;
}

bool audit_ask_cache(const uint8_t *apex, const struct sockaddr_storage *cache, unsigned timeout_s,
                     unsigned tries, struct audit_cached *cached, char *why)
{
    struct exchange *exchange = malloc(sizeof(*exchange));
    bool is_told = false;
    struct plan plan;

    *cached = (struct audit_cached){.ttl = 0};
    if (exchange == NULL)
        snprintf(why, AUDIT_WHY_MAX, "out of memory");
    plan_for(apex, timeout_s, &plan);
    for (unsigned round = 0; exchange != NULL && round < 2 && !is_told; round++) {
        *cached = (struct audit_cached){.has_asked_others = round == 1};
        plan.is_rd = round == 1;
        plan.tries = round == 0 ? 1 : tries;
        /* dnscache knows no EDNS, and takes what is behind a question for a mistake. */
        plan.edns.is_present = round == 0;
        is_told = ask_cache_once(exchange, &plan, cache, cached, why);
    }
    free(exchange);
    return is_told;
}

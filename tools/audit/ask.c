/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/ask.h"

#include "server/address.h"
#include "tools/query/exchange.h"
#include "tools/query/received.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_AAAA = 28,
    CLASS_IN = 1,
};

static_assert(AUDIT_ADDRESSES_MAX == SERVERS_MAX && AUDIT_WHY_MAX >= SERVERS_ERROR_MAX, "");

struct audit_asker {
    unsigned timeout_s, tries; /* of each server */
    struct exchange exchange;
};

struct audit_asker *audit_asker_new(unsigned timeout_s, unsigned tries)
{
    struct audit_asker *asker = malloc(sizeof(*asker));

    if (asker != NULL) {
        asker->timeout_s = timeout_s;
        asker->tries = tries;
    }
    return asker;
}

void audit_asker_free(struct audit_asker *asker)
{
    free(asker);
}

static void servers_set(const struct audit_servers *from, struct servers *servers)
{
    servers->count = 0;
    for (size_t i = 0; i < from->count; i++)
        servers_add(servers, AF_UNSPEC, &from->of[i], "");
}

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

/* ---- one server ---- */

static void plan_for(const struct audit_asker *asker, const uint8_t *name, struct plan *plan)
{
    plan_init(plan);
    plan->has_name = plan->has_type = plan->has_class = true;
    name_copy_lower(plan->name, name);
    plan->type = TYPE_NS;
    plan->class = CLASS_IN;
    plan->is_rd = false;
    plan->is_ad = false;
    plan->edns.is_present = true;
    plan->edns.is_do = true;
    plan->timeout_s = asker->timeout_s;
    plan->tries = asker->tries;
}

static bool ask_server(struct audit_asker *asker, const struct audit_zone *zone,
                       const uint8_t *above, const struct server *server,
                       struct audit_answer *answer)
{
    struct exchange_context context = EXCHANGE_CONTEXT_INIT;
    struct servers one = {.count = 1, .of = {*server}};
    struct plan plan;
    char text[ADDRESS_TEXT_MAX];

    plan_for(asker, zone->apex, &plan);
    const int error = exchange_run(&plan, &one, &context, &asker->exchange);
    exchange_context_end(&context);
    if (error != 0 || asker->exchange.response_len < HEADER_LEN) {
        *answer = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS};
        snprintf(answer->why, sizeof(answer->why), "no answer from %s",
                 address_to_text(&server->address, text));
        return false;
    }
    audit_judge(zone, above, asker->exchange.response, asker->exchange.response_len, answer);
    return true;
}

/* ---- the servers of a referral ---- */

static void add_glue(struct servers *servers, const struct received_record *record, uint16_t port)
{
    const knot_rdata_t *rdata = record->set.rrs.rdata;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

    if (record->is_malformed || rdata == NULL)
        return;
    if (record->set.type == TYPE_A && rdata->len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, rdata->data, 4);
    } else if (record->set.type == TYPE_AAAA && rdata->len == 16) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, rdata->data, 16);
    }
    if (address.ss_family != AF_UNSPEC)
        servers_add(servers, AF_UNSPEC, &address, "");
}

/* Without glue the system's resolver has to know. */
static void add_looked_up(struct servers *servers, const uint8_t *name, uint16_t port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char text[NAME_TEXT_MAX], service[8];

    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(name_to_text(name, text), service, &hints, &found) != 0)
        return;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        if (at->ai_addrlen > sizeof(address))
            continue;
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        servers_add(servers, AF_UNSPEC, &address, "");
    }
    freeaddrinfo(found);
}

static bool is_server_of(const struct received *response, const uint8_t *cut, const uint8_t *name)
{
    for (size_t i = 0; i < response->record_count; i++) {
        const struct received_record *record = &response->records[i];
        const knot_rdata_t *rdata = record->set.rrs.rdata;
        if (record->section == RECEIVED_AUTHORITY && record->set.type == TYPE_NS &&
            !record->is_malformed && rdata != NULL && name_len(rdata->data, rdata->len) > 0 &&
            name_equal(record->set.owner, cut) && name_equal(rdata->data, name))
            return true;
    }
    return false;
}

/* Addresses that come along count if whoever told may tell of these names. */
static void servers_below(const struct audit_asker *asker, const uint8_t *above, const uint8_t *cut,
                          struct servers *servers)
{
    const uint16_t port = address_port(&asker->exchange.server.address);
    struct received response;

    servers->count = 0;
    received_begin(asker->exchange.response, asker->exchange.response_len, &response);
    for (size_t i = 0; i < response.record_count; i++) {
        const struct received_record *record = &response.records[i];
        if (record->section == RECEIVED_ADDITIONAL &&
            (above == NULL || name_is_at_or_below(record->set.owner, above)) &&
            is_server_of(&response, cut, record->set.owner))
            add_glue(servers, record, port);
    }
    for (size_t i = 0; i < response.record_count && servers->count == 0; i++) {
        const struct received_record *record = &response.records[i];
        const knot_rdata_t *rdata = record->set.rrs.rdata;
        if (record->section == RECEIVED_AUTHORITY && record->set.type == TYPE_NS &&
            !record->is_malformed && rdata != NULL && name_len(rdata->data, rdata->len) > 0 &&
            name_equal(record->set.owner, cut))
            add_looked_up(servers, rdata->data, port);
    }
    received_end(&response);
}

/* ---- from level to level ---- */

/* Better: delegated, then mismatched, then undelegated, then nothing. */
static bool is_better(const struct audit_answer *one, const struct audit_answer *other)
{
    if (one->verdict != AUDIT_VERDICT_FOUND || other->verdict != AUDIT_VERDICT_FOUND)
        return one->verdict == AUDIT_VERDICT_FOUND;
    return one->found < other->found;
}

/* Returns whether `below` has servers that are to be asked. */
static bool ask_level(struct audit_asker *asker, const struct audit_zone *zone,
                      const uint8_t *above, const struct servers *servers, struct servers *below,
                      struct audit_answer *best)
{
    unsigned told = 0;

    *best = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS, .why = "no server to ask"};
    for (size_t i = 0; i < servers->count && told < AUDIT_SERVERS_MAX; i++) {
        struct audit_answer answer;
        told += ask_server(asker, zone, above, &servers->of[i], &answer);
        if (answer.verdict == AUDIT_VERDICT_ABOVE && best->verdict != AUDIT_VERDICT_FOUND) {
            *best = answer;
            servers_below(asker, above, answer.cut, below);
            if (below->count > 0)
                return true;
            continue;
        }
        if (is_better(&answer, best) || best->verdict == AUDIT_VERDICT_USELESS)
            *best = answer;
        if (best->verdict == AUDIT_VERDICT_FOUND && best->found == AUDIT_DELEGATED)
            break;
    }
    return false;
}

void audit_ask(struct audit_asker *asker, const struct audit_zone *zone,
               const struct audit_servers *from, struct audit_answer *answer)
{
    struct servers now, below;
    uint8_t above[NAME_MAX_LEN];

    servers_set(from, &now);
    for (unsigned level = 0; level < AUDIT_LEVELS_MAX; level++) {
        if (!ask_level(asker, zone, level == 0 ? NULL : above, &now, &below, answer)) {
            if (answer->verdict == AUDIT_VERDICT_ABOVE)
                answer->verdict = AUDIT_VERDICT_USELESS;
            return;
        }
        name_copy_lower(above, answer->cut);
        now = below;
    }
    *answer = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS, .why = "too many referrals"};
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
            name_len(rdata->data, rdata->len) != rdata->len ||
            !name_equal(record->set.owner, apex) || cached->servers.count == AUDIT_NAMES_MAX)
            continue;
        if (cached->servers.count == 0 || record->set.ttl < cached->ttl)
            cached->ttl = record->set.ttl;
        name_copy_lower(cached->servers.of[cached->servers.count++], rdata->data);
    }
}

static bool ask_cache_once(struct audit_asker *asker, const struct plan *plan,
                           const struct sockaddr_storage *cache, struct audit_cached *cached,
                           char *why)
{
    struct exchange_context context = EXCHANGE_CONTEXT_INIT;
    struct servers one = {.count = 0};
    struct received response;
    char text[ADDRESS_TEXT_MAX];

    servers_add(&one, AF_UNSPEC, cache, "");
    const int error = exchange_run(plan, &one, &context, &asker->exchange);
    exchange_context_end(&context);
    if (error != 0 || asker->exchange.response_len < HEADER_LEN) {
        snprintf(why, AUDIT_WHY_MAX, "no answer from %s", address_to_text(cache, text));
        return false;
    }
    received_begin(asker->exchange.response, asker->exchange.response_len, &response);
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

bool audit_ask_cache(struct audit_asker *asker, const uint8_t *apex,
                     const struct sockaddr_storage *cache, struct audit_cached *cached, char *why)
{
    struct plan plan;

    plan_for(asker, apex, &plan);
    for (unsigned round = 0; round < 2; round++) {
        *cached = (struct audit_cached){.has_asked_others = round == 1};
        plan.is_rd = round == 1;
        plan.tries = round == 0 ? 1 : asker->tries;
        /* dnscache knows no EDNS, and takes what is behind a question for a mistake. */
        plan.edns.is_present = round == 0;
        if (ask_cache_once(asker, &plan, cache, cached, why))
            return true;
    }
    return false;
}

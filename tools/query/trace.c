/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/trace.h"

#include "server/address.h"
#include "tools/query/show.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Queries of a whole trace, whatever referrals want us to do. */
#define QUERIES_MAX 200
/* Look-ups of names of servers inside of each other. */
#define DEPTH_MAX 3
#define NAMES_MAX 16

struct trace {
    const struct plan *plan;
    struct servers hints;
    struct exchange_context context;
    unsigned query_count;
    char *error;
};

/* Where we are in one look-up. */
struct place {
    struct plan question;
    unsigned depth; /* 0: it is shown */
    uint8_t zone[NAME_MAX_LEN];
    struct servers servers;
    /* Names of servers of `zone` without an address yet. */
    uint8_t names[NAMES_MAX][NAME_MAX_LEN];
    unsigned name_count, name_next;
    struct exchange exchange;
    struct received received; /* valid while has_received */
    bool has_received;
};

enum kind {
    KIND_ANSWER,
    KIND_REFERRAL,
    KIND_LAME,
};

static int look_up(struct trace *trace, struct place *place);

static struct place *place_new(const struct plan *plan, const struct servers *hints, unsigned depth)
{
    struct place *place = calloc(1, sizeof *place);
    if (place == NULL)
        return NULL;
    place->question = *plan;
    place->question.is_rd = false;
    place->question.tries = 1; /* rounds are ours */
    place->depth = depth;
    place->servers = *hints;
    return place;
}

static void forget_response(struct place *place)
{
    if (place->has_received)
        received_end(&place->received);
    place->has_received = false;
}

static void place_free(struct place *place)
{
    forget_response(place);
    free(place);
}

/* The owner of the NS records that refer downwards; NULL: there are none. */
static const uint8_t *find_cut(const struct place *place, const struct received *m)
{
    for (size_t i = 0; i < m->record_count; i++) {
        const knot_rrset_t *set = &m->records[i].set;
        if (m->records[i].section == RECEIVED_AUTHORITY && set->type == KNOT_RRTYPE_NS &&
            name_is_at_or_below(place->question.name, set->owner) &&
            name_is_at_or_below(set->owner, place->zone) && !name_equal(set->owner, place->zone))
            return set->owner;
    }
    return NULL;
}

static bool has_section(const struct received *m, enum received_section section, uint16_t type)
{
    for (size_t i = 0; i < m->record_count; i++)
        if (m->records[i].section == section && (type == 0 || m->records[i].set.type == type))
            return true;
    return false;
}

static enum kind classify(const struct place *place, const struct received *m)
{
    if (m->rcode != 0)
        return m->rcode == 3 ? KIND_ANSWER : KIND_LAME; /* NXDOMAIN */
    if (has_section(m, RECEIVED_ANSWER, 0))
        return KIND_ANSWER;
    if ((m->flags & RECEIVED_AA) == 0 && find_cut(place, m) != NULL)
        return KIND_REFERRAL;
    return (m->flags & RECEIVED_AA) != 0 || has_section(m, RECEIVED_AUTHORITY, KNOT_RRTYPE_SOA)
               ? KIND_ANSWER
               : KIND_LAME;
}

static void tell(const struct place *place, const char *text)
{
    if (place->depth == 0 && place->question.show.has_comments)
        fprintf(place->question.show.format == PLAN_FORMAT_TEXT ? stdout : stderr, ";; %s\n", text);
}

static void tell_notes(const struct place *place)
{
    for (unsigned i = 0; i < place->exchange.note_count; i++)
        tell(place, place->exchange.notes[i]);
}

static void show_step(const struct place *place, enum kind kind)
{
    char address[ADDRESS_TEXT_MAX];
    const struct exchange *exchange = &place->exchange;
    const struct received *m = &place->received;
    if (place->depth > 0)
        return;
    if (place->question.show.format == PLAN_FORMAT_JSON) {
        show_json(&place->question, exchange, m, NULL, NULL);
        return;
    }
    if (place->question.show.format == PLAN_FORMAT_SHORT) {
        if (kind == KIND_ANSWER)
            show_short(&place->question, exchange, m);
        return;
    }
    tell_notes(place);
    show_section(&place->question.show, m, RECEIVED_ANSWER);
    show_section(&place->question.show, m, RECEIVED_AUTHORITY);
    if (!place->question.show.has_comments)
        return;
    if (kind == KIND_ANSWER) {
        char rcode[32];
        printf(";; status: %s%s\n", received_rcode_text(m->rcode, rcode),
               m->flags & RECEIVED_AA ? "" : ", not authoritative");
    }
    address_to_text(&exchange->server.address, address);
    printf(";; Received %zu bytes from %s(%s) in %lld ms (%s)\n\n", exchange->response_len, address,
           exchange->server.name, (long long)(exchange->elapsed_us / 1000),
           exchange->is_tcp ? "TCP" : "UDP");
}

/* Ask one server. */
static enum kind ask(struct trace *trace, struct place *place, const struct server *server)
{
    struct servers one = {.count = 1, .of = {*server}};
    char address[ADDRESS_TEXT_MAX], rcode[32], text[256];
    forget_response(place);
    trace->query_count++;
    if (exchange_run(&place->question, &one, &trace->context, &place->exchange) != 0) {
        tell_notes(place);
        return KIND_LAME;
    }
    received_begin(place->exchange.response, place->exchange.response_len, &place->received);
    place->has_received = true;
    enum kind kind = exchange_is_believed(&place->question, &place->exchange)
                         ? classify(place, &place->received)
                         : KIND_LAME;
    if (kind == KIND_LAME) {
        snprintf(text, sizeof text, "%s is lame: %s, neither answer nor referral downwards",
                 address_to_text(&server->address, address),
                 received_rcode_text(place->received.rcode, rcode));
        tell(place, text);
    }
    return kind;
}

static void add_address(const struct place *place, const knot_rrset_t *set, struct servers *servers)
{
    struct sockaddr_storage address = {0};
    char name[NAME_TEXT_MAX];
    const knot_rdata_t *rdata = set->rrs.rdata;
    if (set->type == KNOT_RRTYPE_A && rdata->len == 4) {
        struct sockaddr_in *in4 = (struct sockaddr_in *)&address;
        in4->sin_family = AF_INET;
        in4->sin_port = htons(place->question.port);
        memcpy(&in4->sin_addr, rdata->data, 4);
    } else if (set->type == KNOT_RRTYPE_AAAA && rdata->len == 16) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(place->question.port);
        memcpy(&in6->sin6_addr, rdata->data, 16);
    } else {
        return;
    }
    servers_add(servers, place->question.family, &address, name_to_text(set->owner, name));
}

/* Addresses of one name in a section. */
static size_t add_addresses(const struct place *place, const struct received *m,
                            enum received_section section, const uint8_t *name,
                            struct servers *servers)
{
    size_t before = servers->count;
    for (size_t i = 0; i < m->record_count; i++)
        if (m->records[i].section == section && name_equal(m->records[i].set.owner, name))
            add_address(place, &m->records[i].set, servers);
    return servers->count - before;
}

/* Go to the zone that the response refers to. A server may speak for the addresses of names in its
 * own zone; those of others are looked up. */
static void take_referral(struct place *place)
{
    const struct received *m = &place->received;
    uint8_t cut[NAME_MAX_LEN], asked[NAME_MAX_LEN];
    memcpy(asked, place->zone, sizeof asked);
    name_copy_lower(cut, find_cut(place, m));
    place->servers.count = 0;
    place->name_count = place->name_next = 0;
    for (size_t i = 0; i < m->record_count; i++) {
        const knot_rrset_t *set = &m->records[i].set;
        const uint8_t *name = set->rrs.rdata->data;
        if (m->records[i].section != RECEIVED_AUTHORITY || set->type != KNOT_RRTYPE_NS ||
            m->records[i].is_malformed || !name_equal(set->owner, cut))
            continue;
        if (name_is_at_or_below(name, asked) &&
            add_addresses(place, m, RECEIVED_ADDITIONAL, name, &place->servers) > 0)
            continue;
        if (place->name_count < NAMES_MAX)
            name_copy_lower(place->names[place->name_count++], name);
    }
    memcpy(place->zone, cut, sizeof cut);
}

/* Addresses of the next server's name, by a look-up of its own. */
static void find_addresses(struct trace *trace, struct place *place, const uint8_t *name)
{
    static const uint16_t types[] = {KNOT_RRTYPE_A, KNOT_RRTYPE_AAAA};
    place->servers.count = 0;
    for (size_t i = 0; i < 2 && place->servers.count == 0; i++) {
        if (place->question.family == (types[i] == KNOT_RRTYPE_A ? AF_INET6 : AF_INET))
            continue;
        struct place *below = place_new(trace->plan, &trace->hints, place->depth + 1);
        if (below == NULL)
            return;
        memcpy(below->question.name, name, NAME_MAX_LEN);
        below->question.type = types[i];
        if (look_up(trace, below) == 0)
            add_addresses(place, &below->received, RECEIVED_ANSWER, name, &place->servers);
        place_free(below);
    }
}

/* Ask the servers of this place until one says something of use. */
static enum kind ask_all(struct trace *trace, struct place *place)
{
    for (unsigned round = 0; round < trace->plan->tries; round++) {
        for (size_t i = 0; i < place->servers.count; i++) {
            if (trace->query_count >= QUERIES_MAX)
                return KIND_LAME;
            enum kind kind = ask(trace, place, &place->servers.of[i]);
            if (kind != KIND_LAME)
                return kind;
            if (place->has_received) {
                /* It is there, and will say the same again. */
                place->servers.of[i] = place->servers.of[--place->servers.count];
                i--;
            }
        }
    }
    return KIND_LAME;
}

static int look_up(struct trace *trace, struct place *place)
{
    char zone[NAME_TEXT_MAX];
    if (place->depth > DEPTH_MAX)
        return -ENOENT;
    for (;;) {
        enum kind kind = ask_all(trace, place);
        while (kind == KIND_LAME && place->name_next < place->name_count &&
               trace->query_count < QUERIES_MAX) {
            find_addresses(trace, place, place->names[place->name_next++]);
            kind = ask_all(trace, place);
        }
        if (kind == KIND_LAME) {
            snprintf(trace->error, SERVERS_ERROR_MAX, "no server of %.255s %s",
                     name_to_text(place->zone, zone),
                     trace->query_count >= QUERIES_MAX ? "within the bound on queries"
                                                       : "has an answer");
            return -ENOENT;
        }
        show_step(place, kind);
        if (kind == KIND_ANSWER)
            return 0;
        take_referral(place);
    }
}

/* The root's own NS records first, as dig does. */
static void show_root(struct trace *trace)
{
    struct place *place = place_new(trace->plan, &trace->hints, 0);
    if (place == NULL)
        return;
    memset(place->question.name, 0, sizeof place->question.name);
    place->question.type = KNOT_RRTYPE_NS;
    if (place->question.show.format != PLAN_FORMAT_SHORT && ask_all(trace, place) == KIND_ANSWER)
        show_step(place, KIND_REFERRAL);
    place_free(place);
}

int trace_run(const struct plan *plan, char *error)
{
    static struct trace trace;
    trace = (struct trace){.plan = plan, .context = EXCHANGE_CONTEXT_INIT, .error = error};
    int outcome = servers_hints(plan, &trace.hints, error);
    if (outcome != 0)
        return outcome;
    show_root(&trace);
    struct place *place = place_new(plan, &trace.hints, 0);
    if (place == NULL)
        return -ENOMEM;
    outcome = look_up(&trace, place);
    place_free(place);
    exchange_context_end(&trace.context);
    return outcome;
}

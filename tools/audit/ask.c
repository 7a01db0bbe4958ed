/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/ask.h"

#include "server/address.h"
#include "tools/audit/flight.h"
#include "tools/audit/referral.h"
#include "tools/query/socket.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Addresses that are kept in mind, a power of two, and places where one may be. */
#define PEERS 1024
#define PEER_PLACES 8
/* Zones above zones whose servers are kept in mind. */
#define KNOWN_MAX 256

/* An address that is asked, or was. Those of UDP and of TCP are counted apart. */
struct peer {
    struct sockaddr_storage address;
    unsigned in_flight, silent[2];
};

/* A referral that was followed. */
struct known {
    struct audit_servers from;
    bool is_strict;
    uint8_t cut[NAME_MAX_LEN];
    struct audit_servers servers;
};

/* One question on its way down. */
struct walk {
    struct audit_question *question; /* NULL: none */
    bool is_strict;                  /* over TCP alone, from the beginning */
    bool has_above;
    uint8_t above[NAME_MAX_LEN]; /* the zone whose servers `now` are */
    struct audit_servers now;
    size_t next; /* of them */
    unsigned level, told, tries;
    bool is_tcp;       /* the next try */
    struct peer *peer; /* that is asked; NULL: none, in line */
    struct flight flight;
    struct audit_answer best;
};

struct audit_asker {
    unsigned timeout_s, tries;
    struct peer peers[PEERS];
    struct known known[KNOWN_MAX];
    size_t known_count;
    struct walk walks[AUDIT_WALKS_MAX];
};

struct audit_asker *audit_asker_new(unsigned timeout_s, unsigned tries)
{
    struct audit_asker *asker = calloc(1, sizeof(*asker));

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

/* ---- whom ---- */

/* NULL: its places are taken by others that are being asked. */
static struct peer *peer_of(struct audit_asker *asker, const struct sockaddr_storage *address)
{
    struct peer *idle = NULL;
    uint8_t len;
    const uint8_t *octets = address_octets(address, &len);
    uint32_t hash = address_port(address);

    for (uint8_t i = 0; i < len; i++)
        hash = (hash ^ octets[i]) * UINT32_C(0x01000193);
    for (uint32_t i = 0; i < PEER_PLACES; i++) {
        struct peer *peer = &asker->peers[((hash ^ hash >> 16) + i) % PEERS];
        if (address_equal(&peer->address, address))
            return peer;
        if (peer->in_flight == 0 && (idle == NULL || peer->address.ss_family == AF_UNSPEC))
            idle = peer;
    }
    if (idle != NULL)
        *idle = (struct peer){.address = *address};
    return idle;
}

/* Of the servers that are left the one that is best asked now comes next: one that is not known to
 * be silent, of these the one that has least to do. */
static struct peer *walk_choose(struct audit_asker *asker, struct walk *walk)
{
    struct peer *chosen = NULL;
    size_t at = walk->next;

    for (size_t i = walk->next; i < walk->now.count; i++) {
        struct peer *peer = peer_of(asker, &walk->now.of[i]);
        if (peer == NULL)
            continue;
        const bool is_silent = peer->silent[walk->is_tcp] > 0;
        if (chosen != NULL && (chosen->silent[walk->is_tcp] > 0) <= is_silent &&
            ((chosen->silent[walk->is_tcp] > 0) < is_silent ||
             chosen->in_flight <= peer->in_flight))
            continue;
        chosen = peer;
        at = i;
    }
    const struct sockaddr_storage address = walk->now.of[at];
    walk->now.of[at] = walk->now.of[walk->next];
    walk->now.of[walk->next] = address;
    return chosen;
}

/* ---- from level to level ---- */

static void level_begin(struct walk *walk)
{
    walk->next = walk->told = walk->tries = 0;
    walk->is_tcp = walk->is_strict;
    walk->best = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS, .why = "no server to ask"};
}

static void walk_begin(struct walk *walk, bool is_strict)
{
    walk->is_strict = is_strict;
    walk->has_above = false;
    walk->level = 0;
    walk->now = *walk->question->from;
    walk->peer = NULL;
    level_begin(walk);
}

static void walk_descend(struct walk *walk, const uint8_t *cut, const struct audit_servers *servers)
{
    walk->has_above = true;
    name_copy_lower(walk->above, cut);
    walk->now = *servers;
    walk->level++;
    level_begin(walk);
}

static bool is_below(const uint8_t *name, const uint8_t *other)
{
    return name_is_at_or_below(name, other) && !name_equal(name, other);
}

static bool is_same(const struct audit_servers *one, const struct audit_servers *other)
{
    for (size_t i = 0; i < one->count && i < other->count; i++)
        if (!address_equal(&one->of[i], &other->of[i]))
            return false;
    return one->count == other->count;
}

/* Others may have been told meanwhile where it goes on. */
static void walk_skip(const struct audit_asker *asker, struct walk *walk)
{
    const struct known *best = NULL;

    for (size_t i = 0; i < KNOWN_MAX && i < asker->known_count; i++) {
        const struct known *known = &asker->known[i];
        if (known->is_strict >= walk->is_strict &&
            is_below(walk->question->zone->apex, known->cut) &&
            (!walk->has_above || is_below(known->cut, walk->above)) &&
            (best == NULL || is_below(known->cut, best->cut)) &&
            is_same(&known->from, walk->question->from))
            best = known;
    }
    if (best != NULL)
        walk_descend(walk, best->cut, &best->servers);
}

static void known_add(struct audit_asker *asker, const struct walk *walk, const uint8_t *cut,
                      const struct audit_servers *servers)
{
    struct known *known = &asker->known[asker->known_count++ % KNOWN_MAX];

    known->from = *walk->question->from;
    known->is_strict = walk->is_strict;
    name_copy_lower(known->cut, cut);
    known->servers = *servers;
}

/* Returns whether there are servers to go on with. */
static bool walk_follow(struct audit_asker *asker, struct walk *walk, const uint8_t *cut)
{
    const uint8_t *octets = flight_response(&walk->flight);
    const size_t len = walk->flight.response_len;
    const uint16_t port = address_port(&walk->now.of[walk->next]);
    struct audit_servers below;

    referral_glue(octets, len, walk->has_above ? walk->above : NULL, cut, port, &below);
    if (below.count == 0)
        referral_look_up(octets, len, cut, port, &below);
    if (below.count == 0 || walk->level + 1 == AUDIT_LEVELS_MAX)
        return false;
    known_add(asker, walk, cut, &below);
    walk_descend(walk, cut, &below);
    return true;
}

/* Better: delegated, then mismatched, then undelegated, then nothing. */
static bool is_better(const struct audit_answer *one, const struct audit_answer *other)
{
    if (one->verdict != AUDIT_VERDICT_FOUND || other->verdict != AUDIT_VERDICT_FOUND)
        return one->verdict == AUDIT_VERDICT_FOUND || other->verdict != AUDIT_VERDICT_FOUND;
    return one->found < other->found;
}

static void server_next(struct walk *walk)
{
    walk->next++;
    walk->tries = 0;
    walk->is_tcp = walk->is_strict;
}

static void walk_judge(struct audit_asker *asker, struct walk *walk)
{
    struct audit_answer answer;

    audit_judge(walk->question->zone, walk->has_above ? walk->above : NULL,
                flight_response(&walk->flight), walk->flight.response_len, &answer);
    walk->told++;
    if (answer.verdict == AUDIT_VERDICT_ABOVE && walk->best.verdict != AUDIT_VERDICT_FOUND &&
        walk_follow(asker, walk, answer.cut))
        return;
    if (is_better(&answer, &walk->best))
        walk->best = answer;
    server_next(walk);
}

static void walk_hear_nothing(struct walk *walk)
{
    char text[ADDRESS_TEXT_MAX];

    if (walk->best.verdict == AUDIT_VERDICT_USELESS)
        snprintf(walk->best.why, sizeof(walk->best.why), "no answer from %s%s",
                 address_to_text(&walk->now.of[walk->next], text), walk->is_tcp ? " over TCP" : "");
}

/* ---- one question after the other ---- */

/* What has become of the flight. Still waiting: its time is over. */
static void walk_land(struct audit_asker *asker, struct walk *walk, enum flight_outcome outcome)
{
    struct peer *peer = walk->peer;

    flight_end(&walk->flight);
    peer->in_flight--;
    walk->peer = NULL;
    switch (outcome) {
    case FLIGHT_DONE:
        peer->silent[walk->is_tcp] = 0;
        walk_judge(asker, walk);
        return;
    case FLIGHT_CUT:
        peer->silent[0] = 0;
        walk->is_tcp = true;
        return;
    case FLIGHT_WAITING:
    case FLIGHT_FAILED:
        break;
    }
    peer->silent[walk->is_tcp]++;
    walk_hear_nothing(walk);
    walk->tries++;
    if (walk->is_tcp || outcome == FLIGHT_FAILED || walk->tries >= asker->tries)
        server_next(walk);
}

static bool level_is_over(const struct walk *walk)
{
    return walk->next >= walk->now.count || walk->told >= AUDIT_SERVERS_MAX ||
           (walk->best.verdict == AUDIT_VERDICT_FOUND && walk->best.found == AUDIT_DELEGATED);
}

static bool is_doubted(const struct walk *walk)
{
    return !walk->is_strict && walk->question->trust != AUDIT_TRUST_UDP &&
           walk->best.verdict == AUDIT_VERDICT_FOUND && walk->best.found != AUDIT_DELEGATED;
}

/* Ask as soon as there is room. Returns false when the walk has its answer. */
static bool walk_go_on(struct audit_asker *asker, struct walk *walk)
{
    while (walk->peer == NULL) {
        if (walk->next == 0 && walk->told == 0 && walk->tries == 0)
            walk_skip(asker, walk);
        if (level_is_over(walk)) {
            if (!is_doubted(walk))
                return false;
            walk_begin(walk, true);
            continue;
        }
        /* The second try, and TCP after UDP, are of the same server. */
        const bool is_bound = walk->tries > 0 || walk->is_tcp != walk->is_strict;
        struct peer *peer =
            is_bound ? peer_of(asker, &walk->now.of[walk->next]) : walk_choose(asker, walk);
        if (peer == NULL || peer->in_flight >= AUDIT_PER_SERVER_MAX)
            return true;
        if (peer->silent[walk->is_tcp] >= AUDIT_SILENT_MAX) {
            walk_hear_nothing(walk);
            server_next(walk);
            continue;
        }
        walk->peer = peer;
        peer->in_flight++;
        const enum flight_outcome outcome =
            flight_begin(&walk->flight, walk->question->zone->apex, &walk->now.of[walk->next],
                         walk->is_tcp, socket_clock_us() + (int64_t)asker->timeout_s * 1000000);
        if (outcome != FLIGHT_WAITING)
            walk_land(asker, walk, outcome);
    }
    return true;
}

/* ---- all of them ---- */

struct errand {
    audit_next *next;
    audit_done *done;
    void *context;
    bool is_over; /* there is no next question */
};

/* Returns whether the walk has a question still. */
static bool walk_serve(struct audit_asker *asker, struct walk *walk, struct errand *errand)
{
    for (;;) {
        if (walk->question == NULL && !errand->is_over) {
            walk->question = errand->next(errand->context);
            errand->is_over = walk->question == NULL;
            if (walk->question != NULL)
                walk_begin(walk, walk->question->trust == AUDIT_TRUST_TCP);
        }
        if (walk->question == NULL)
            return false;
        if (walk_go_on(asker, walk))
            return true;
        struct audit_question *question = walk->question;
        question->answer = walk->best;
        if (question->answer.verdict == AUDIT_VERDICT_ABOVE)
            question->answer.verdict = AUDIT_VERDICT_USELESS;
        walk->question = NULL;
        errand->done(errand->context, question);
    }
}

/* Wait for whichever comes first; what has come is read before it is too late for it. */
static void walks_wait(struct audit_asker *asker)
{
    struct pollfd watched[AUDIT_WALKS_MAX];
    int64_t now_us = socket_clock_us(), first_us = INT64_MAX;

    for (size_t i = 0; i < AUDIT_WALKS_MAX; i++) {
        const struct walk *walk = &asker->walks[i];
        const bool is_flying = walk->question != NULL && walk->peer != NULL;
        watched[i] = (struct pollfd){.fd = is_flying ? walk->flight.fd : -1};
        if (!is_flying)
            continue;
        watched[i].events = flight_events(&walk->flight);
        if (walk->flight.deadline_us < first_us)
            first_us = walk->flight.deadline_us;
    }
    assert(first_us != INT64_MAX); /* who is in line waits for one that flies */
    const int64_t wait_ms = first_us > now_us ? (first_us - now_us + 999) / 1000 : 0;
    if (poll(watched, AUDIT_WALKS_MAX, (int)wait_ms) < 0)
        memset(watched, 0, sizeof(watched)); /* a signal */
    now_us = socket_clock_us();
    for (size_t i = 0; i < AUDIT_WALKS_MAX; i++) {
        struct walk *walk = &asker->walks[i];
        if (walk->question == NULL || walk->peer == NULL)
            continue;
        const enum flight_outcome outcome =
            watched[i].revents != 0 ? flight_turn(&walk->flight) : FLIGHT_WAITING;
        if (outcome != FLIGHT_WAITING || walk->flight.deadline_us <= now_us)
            walk_land(asker, walk, outcome);
    }
}

void audit_ask_all(struct audit_asker *asker, audit_next *next, audit_done *done, void *context)
{
    struct errand errand = {.next = next, .done = done, .context = context};

    asker->known_count = 0;
    for (;;) {
        bool is_busy = false;
        for (size_t i = 0; i < AUDIT_WALKS_MAX; i++)
            is_busy |= walk_serve(asker, &asker->walks[i], &errand);
        if (!is_busy)
            return;
        walks_wait(asker);
    }
}

static struct audit_question *next_once(void *context)
{
    struct audit_question **question = context, *next = *question;

    *question = NULL;
    return next;
}

static void done_once(void *context, struct audit_question *question)
{
    (void)context;
    (void)question;
}

void audit_ask(struct audit_asker *asker, const struct audit_zone *zone,
               const struct audit_servers *from, struct audit_answer *answer)
{
    struct audit_question question = {.zone = zone, .from = from, .trust = AUDIT_TRUST_UDP};
    struct audit_question *next = &question;

    audit_ask_all(asker, next_once, done_once, &next);
    *answer = question.answer;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every order of events between profile `modern` and a model of a client, within bounds: frames are
 * lost, repeated, overtaken; timers fire early, and send all again, or the oldest segment, or the
 * last one. Whatever happens the client must get exactly the octets that it should, its requests
 * must be acknowledged, nobody resets it, its connection must end, and once nothing more goes wrong
 * nothing may go on for ever.
 *
 * CACHE. The scenarios run without one, and ("cache" on the command line) with one of a single
 * entry and of octets for the longest train and its tail. Then one thing more may go wrong, at any
 * frame: the entry is gone, as when another connection takes its slot or the server was started
 * anew; the octets are gone, as others overwrote them; or the frame goes to another server that
 * shares the keys and has a cache of its own, while the entry of the first grows old. What a cache
 * keeps is compared with what was sent after each step.
 *
 * DRIVER. "driver" on the command line: the same, behind an XDP program that answers what it can
 * and knows no cache. Without a cache it is compared with what the server answers, frame by frame.
 *
 * RESPONSES CHANGE at any moment in the last scenarios, and are not settled afterwards. The client
 * then gets each response whole, old or new, or RST. Out of bounds is what modern.h leaves under
 * VERSIONS: no frames are repeated there and no timers early, so nothing old is in the air when the
 * client asks again; and it tells by SACK what it has out of order.
 *
 * RST ends a connection only without timestamps, where requests were sent ahead or after the end
 * (modern.h), and where responses changed.
 *
 * STATES of the client (RFC 9293 3.3.2), printed where they occur:
 *     SYN-SENT      "from the SYN": SYN and SYN+ACK lost, repeated, overtaken, sent again
 *     ESTABLISHED   all scenarios; those not "from the SYN" begin here
 *     FIN-WAIT-1    it closes when it has all the responses, or at once ("half close")
 *     FIN-WAIT-2    never, which is looked at: what acknowledges its FIN carries ours, or comes
 *                   later
 *     CLOSING       "half close": our FIN ends a long train, which acknowledges nothing
 *     TIME-WAIT     after either; what still comes is answered
 *     CLOSE-WAIT    "no timestamps": our FIN ends the train; it closes at once
 *     LAST-ACK      and is here
 *
 * BOUNDS: up to 4 requests and 3,400 octets of responses; of each thing that may go wrong as many
 * as the scenario says, up to 3; with the cache no more than 4 of all together, or 3 where that is
 * too much; one change. 3.5 million states without the cache, 9.3 million with it. The client is
 * described in stateless_model_client.c.
 */
#include "test/unit/stateless_model_scenarios.h"
#include "test_main.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define WAY_CAP 1000
#define VISITED_CAP (1u << 22)
#define QUIET_MAX 200 /* deliveries without a timer */
#define TIMERS_MAX 60 /* timers until the end */

/* RFC 9293 3.3.2 */
static const char *const client_states[] = {
    "SYN-SENT",   "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
    "CLOSE-WAIT", "LAST-ACK",    "CLOSING",    "TIME-WAIT",
};

static bool seen_states[8];
static uint64_t *visited;
static unsigned visited_count;

/* What happened so far, for who wants to know how it came. */
static struct step {
    const char *what;
    struct segment segment;
} way[WAY_CAP];
static unsigned way_len;

static const char *mode_name(void)
{
    return scenario->has_driver ? ", driver" : scenario->is_cached ? ", cache" : "";
}

static void note(const char *what, const struct segment *segment)
{
    must_be(way_len < WAY_CAP);
    way[way_len++] = (struct step){.what = what, .segment = *segment};
}

static void print_way(void)
{
    for (unsigned i = 0; i < way_len; i++) {
        const struct segment *s = &way[i].segment;
        uint32_t seq_base = s->is_to_server ? IRS : model_iss;
        uint32_t ack_base = s->is_to_server ? model_iss : IRS;
        uint32_t point = s->is_to_server ? s->echo : s->value;
        fprintf(stderr, "%3u %-20s %s flags %02x seq %d+%u ack %d point %u,%u,%u", i, way[i].what,
                s->is_to_server ? "->" : "<-", s->flags, (int)(s->seq - seq_base - 1), s->len,
                (int)(s->ack - ack_base - 1), point >> 13,
                ((point >> 1) - (IRS + 1)) & MODERN_SEQ_MASK, point & 1);
        for (unsigned j = 0; j < s->sack_count; j++)
            fprintf(stderr, " sack %u-%u", s->sacks[j].from, s->sacks[j].to);
        fprintf(stderr, "\n");
    }
}

void model_fail(const char *format, ...)
{
    print_way();
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ck_abort_msg("%s%s: %s", scenario->name, mode_name(), text);
}

/* ---- the air ---- */

void world_copy(const struct world *from, struct world *to_out)
{
    memcpy(to_out, from, scenario->changes > 0 ? sizeof(*from) : offsetof(struct world, octets));
}

void world_fly(struct world *world, const struct segment *segment)
{
    must_be(world->flight_count < FLIGHT_CAP);
    world->flight[world->flight_count++] = *segment;
}

/* ---- states that were there before ---- */

static uint64_t mix(uint64_t hash, const void *octets, size_t len)
{
    const uint8_t *at = octets;
    for (; len >= 4; at += 4, len -= 4) {
        uint32_t word;
        memcpy(&word, at, 4);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    for (; len > 0; at++, len--)
        hash = (hash ^ *at) * 0x100000001b3;
    return hash ^ hash >> 29;
}

static uint64_t hash_memory(uint64_t hash, const struct memory *memory)
{
    const struct recent_entry *e = &memory->entry;
    hash = mix(hash, &memory->note.check, sizeof(memory->note.check));
    if (e->connection == 0)
        return mix(hash, "nothing", 8);
    uint32_t state[] = {
        (uint32_t)e->at,
        (uint32_t)e->tail_at,
        (uint32_t)memory->written,
        e->octets_len,
        e->tail_len,
        memory->versions,
        e->seq,
        e->seq_end,
        e->start,
        e->end,
        e->ack,
        e->has_fin,
        e->is_pressing,
        e->snapshot,
        e->held,
        e->sent,
        e->repaired,
        e->recover,
        e->cwnd,
        e->ssthresh,
    };
    return mix(hash, state, sizeof(state));
}

static uint64_t hash_segment(uint64_t hash, const struct segment *s)
{
    uint32_t state[] = {s->seq,   s->ack,      s->value,        s->echo,      s->len,
                        s->flags, s->versions, s->is_to_server, s->sack_count};
    hash = mix(hash, state, sizeof(state));
    return mix(hash, s->sacks, s->sack_count * sizeof(s->sacks[0]));
}

static uint64_t world_hash(const struct world *world)
{
    const struct client *c = &world->client;
    uint32_t state[] = {
        c->una,         c->next,        c->rcv,
        c->last_ack,    c->recent,      c->fin_at,
        c->asked,       c->is_fin_sent, c->is_reset,
        c->is_ack_due,  c->has_fin,     c->is_open,
        c->sent_count,  c->ahead_count, world->losses,
        world->repeats, world->timers,  world->overtakes,
        world->forgets, world->changes, world->is_changed,
    };
    uint64_t hash = mix(0xcbf29ce484222325, state, sizeof(state));
    hash = mix(hash, c->sent, c->sent_count * sizeof(c->sent[0]));
    hash = mix(hash, c->ahead, c->ahead_count * sizeof(c->ahead[0]));
    for (unsigned i = 0; i < world->flight_count; i++)
        hash = hash_segment(hash, &world->flight[i]);
    for (unsigned i = 0; scenario->is_cached && i < 2; i++)
        hash = hash_memory(hash, &world->memories[i]);
    if (scenario->changes > 0)
        hash = mix(hash, world->octets, sizeof(world->octets));
    return (hash | 2) & ~(uint64_t)1;
}

/* The place of a state in the table, new or not. Its lowest bit: we are on a way that leads from
 * it. Who comes back to such a state goes round for ever, since what may go wrong is used up on a
 * way, and where nothing goes wrong there is one way only. */
static uint64_t *visit(uint64_t hash, bool *is_new_out)
{
    for (uint32_t at = (uint32_t)(hash >> 20);; at++) {
        uint64_t *slot = &visited[at % VISITED_CAP];
        must(*slot != (hash | 1), "round and round");
        *is_new_out = *slot == 0;
        if (*slot == hash)
            return slot;
        if (*slot == 0) {
            must(visited_count < VISITED_CAP / 2, "too many states");
            visited_count++;
            return slot;
        }
    }
}

/* ---- exploration ---- */

static void explore(const struct world *world, unsigned quiet, unsigned timers);

/* What becomes of a frame in the air. */
enum fate {
    ARRIVES,
    IS_LOST,
    IS_REPEATED,     /* arrives, and stays in the air */
    MEETS_NOTHING,   /* another connection has taken the entry */
    MEETS_NO_OCTETS, /* others have overwritten the octets */
    GOES_ELSEWHERE,  /* to the other server */
    FATES,
};

static const char *const fates[FATES] = {
    "arrives",        "is lost",         "arrives, is repeated",
    "meets no entry", "meets no octets", "goes elsewhere",
};

static bool may(const struct world *world, unsigned i, enum fate fate)
{
    const struct segment *segment = &world->flight[i];
    if ((i > 0 && world->overtakes == 0) ||
        world->troubles < (unsigned)(i > 0) + (unsigned)(fate != ARRIVES))
        return false;
    bool is_forgetting = scenario->is_cached && segment->is_to_server && world->forgets > 0;
    switch (fate) {
    case ARRIVES:
        return true;
    case IS_LOST:
        return world->losses > 0;
    case IS_REPEATED:
        return world->repeats > 0;
    case MEETS_NOTHING:
        return is_forgetting && world->memories[0].entry.connection != 0;
    case MEETS_NO_OCTETS:
        return is_forgetting && memory_has_octets(&world->memories[0]);
    case GOES_ELSEWHERE:
        return is_forgetting;
    case FATES:
        break;
    }
    return false;
}

static void arrive(struct world *world, const struct segment *segment, enum fate fate)
{
    struct memory *memory = &world->memories[fate == GOES_ELSEWHERE];
    if (!segment->is_to_server) {
        client_receive(world, segment);
        return;
    }
    if (fate == MEETS_NOTHING || fate == MEETS_NO_OCTETS)
        memory_forget(memory, fate == MEETS_NO_OCTETS);
    world->forgets -= fate >= MEETS_NOTHING;
    server_receive(world, scenario->is_cached ? memory : NULL, segment);
}

/* Take frame i out of the air. */
static void deliver(const struct world *before, unsigned i, enum fate fate, unsigned quiet,
                    unsigned timers)
{
    struct world world;
    world_copy(before, &world);
    struct segment segment = world.flight[i];
    if (fate != IS_REPEATED) {
        world.flight_count--;
        memmove(world.flight + i, world.flight + i + 1,
                (world.flight_count - i) * sizeof(world.flight[0]));
    }
    note(fates[fate], &segment);
    world.overtakes -= i > 0;
    world.troubles -= (unsigned)(i > 0) + (unsigned)(fate != ARRIVES);
    world.losses -= fate == IS_LOST;
    world.repeats -= fate == IS_REPEATED;
    if (fate != IS_LOST)
        arrive(&world, &segment, fate);
    explore(&world, quiet + 1, timers);
    way_len--;
}

static void check_end(const struct world *world)
{
    const struct client *client = &world->client;
    unsigned answers = client_answers(world);
    /* Sent ahead without timestamps: refused, and the client knows. */
    if (scenario->has_no_timestamps && scenario->is_pipelined && client->is_reset)
        return;
    /* Half of a response that has changed: refused, and the client knows. */
    if (world->is_changed && client->is_reset)
        return;
    must(client->has_fin || (client->is_reset && scenario->has_no_timestamps), "no end");
    /* Without timestamps the answers to what is in the first segment, then the end. */
    unsigned count = scenario->has_no_timestamps && !scenario->is_joined ? 1 : scenario->count;
    must(answers >= count, "%u octets, %u answers of %u", client->rcv, answers, count);
}

static void resend(const struct world *before, enum resend kind, unsigned timers)
{
    struct world world;
    world_copy(before, &world);
    bool is_early = before->flight_count > 0 || kind != RESEND_JOINED;
    world.timers -= is_early;
    world.troubles -= is_early;
    client_resend(&world, kind);
    note("timer", &world.flight[world.flight_count - 1]);
    explore(&world, 0, timers + 1);
    way_len--;
}

/* What may happen next. */
static void explore_from(const struct world *world, unsigned quiet, unsigned timers)
{
    struct world next;
    if (world->flight_count == 0 && world->client.is_ack_due) {
        world_copy(world, &next);
        client_ack(&next);
        note("late ACK", &next.flight[0]);
        explore(&next, quiet + 1, timers);
        way_len--;
        return;
    }
    if (world->flight_count == 0 && client_is_done(&world->client)) {
        check_end(world);
        return;
    }
    if (world->changes > 0) {
        world_copy(world, &next);
        next.changes--;
        next.is_changed = true;
        note("change", &world->flight[0]);
        explore(&next, quiet, timers);
        way_len--;
    }
    bool may_be_early = world->timers > 0 && world->troubles > 0;
    if (world->flight_count == 0 || may_be_early)
        resend(world, RESEND_JOINED, timers);
    if (may_be_early && world->client.sent_count > 1) {
        resend(world, RESEND_OLDEST, timers);
        resend(world, RESEND_LAST, timers);
    }
    for (unsigned i = 0; i < world->flight_count; i++)
        for (enum fate fate = ARRIVES; fate < FATES; fate++)
            if (may(world, i, fate))
                deliver(world, i, fate, quiet, timers);
}

static unsigned client_state(const struct client *client)
{
    bool is_acked = client->is_fin_sent && client->una == client->next;
    if (!client->is_open)
        return 0;
    if (!client->is_fin_sent)
        return client->has_fin ? 4 : 1;
    if (!client->has_fin)
        return is_acked ? 3 : 2;
    return client->is_last_ack ? 5 : is_acked ? 7 : 6;
}

static void explore(const struct world *world, unsigned quiet, unsigned timers)
{
    must(quiet < QUIET_MAX, "frames for ever");
    must(timers < TIMERS_MAX, "stuck");
    bool is_new;
    uint64_t hash = world_hash(world);
    uint64_t *slot = visit(hash, &is_new);
    if (!is_new)
        return;
    *slot = hash | 1;
    unsigned state = client_state(&world->client);
    must(state != 3, "our FIN is missing");
    seen_states[state] = true;
    explore_from(world, quiet, timers);
    *slot = hash;
}

/* ---- scenarios ---- */

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void explore_scenario(const struct scenario *chosen)
{
    scenario = chosen;
    uint32_t syn_tag = server_prepare();
    visited = calloc(VISITED_CAP, sizeof(*visited));
    visited_count = 0;
    struct world world = {
        .losses = scenario->losses,
        .repeats = scenario->repeats,
        .overtakes = scenario->overtakes,
        .timers = scenario->timers,
        .forgets = scenario->forgets,
        .troubles = scenario->troubles ? scenario->troubles : UINT32_MAX,
        .changes = scenario->changes,
    };
    client_begin(&world, syn_tag);
    explore(&world, 0, 0);
    printf("%s%s: %u states;", scenario->name, mode_name(), visited_count);
    for (unsigned i = 0; i < sizeof(seen_states) / sizeof(seen_states[0]); i++)
        printf("%s%s", seen_states[i] ? " " : "", seen_states[i] ? client_states[i] : "");
    printf("\n");
    free(visited);
}

START_TEST(without_cache)
{
    explore_scenario(&scenarios[_i]);
}
END_TEST

static void explore_with_cache(int index, bool has_driver)
{
    struct scenario cached = scenarios[index];
    cached.is_cached = true;
    cached.has_driver = has_driver;
    cached.forgets = 1;
    cached.troubles = cached.is_vast ? 3 : 4;
    explore_scenario(&cached);
}

START_TEST(with_cache)
{
    explore_with_cache(_i, false);
}
END_TEST

START_TEST(with_driver)
{
    explore_with_cache(_i, true);
}
END_TEST

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    const TTest *test = strcmp(mode, "cache") == 0    ? with_cache
                        : strcmp(mode, "driver") == 0 ? with_driver
                                                      : without_cache;
    Suite *suite = suite_create("stateless_tcp/modern, all orders");
    TCase *tcase = tcase_create("orders");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, test, 0, SCENARIOS);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every order of events between profile `modern` and a model of a client, within bounds: frames are
 * lost, repeated, overtaken; timers fire early; another server with the same keys takes over, or the
 * first one, as it was left. Whatever happens the client must get exactly the octets that it should,
 * its requests must be acknowledged, its connection must end, and once nothing more goes wrong
 * nothing may go on for ever.
 *
 * The client is unkind where kernels differ: it answers each segment that brings nothing new or is not
 * acceptable (RFC 9293 3.10.7.4: without data, one inside the window is), and each one in TIME-WAIT; it acknowledges at once or late, as the scenario says.
 *
 * Bounds, for each scenario: up to 4 requests; as many losses, repeats, overtakings, early timers
 * and changes of server as it says (up to 3 of each); from SYN-SENT to TIME-WAIT; one snapshot. The
 * caches, where there are any, have room for one connection and 4,096 octets. Where such a state
 * was reached the octets in the cache are taken to be the same, older or newer.
 */
#include "stateless_tcp/modern.h"
#include "test/unit/stateless_frames.h"
#include "test/unit/stateless_model_scenarios.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_CAP 3400
#define FLIGHT_CAP 24
#define IRS 0xfffffff0u /* the client's numbers wrap soon */
#define VISITED_CAP (1u << 22)
#define CACHE_CAP 4096
#define QUIET_MAX 200 /* deliveries without a timer */
#define TIMERS_MAX 60 /* timers until the end */

/* Check's own assertions tell their place to another process each time: millions are too many. */
#define must(condition, ...)           \
    do {                               \
        if (!(condition))              \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)
#define must_be(condition) must(condition, "%s: %s", scenario->name, #condition)

/* A segment on its way. */
struct segment {
    uint32_t seq, ack, value, echo;
    uint16_t at, len; /* data: where in the sender's stream */
    uint8_t flags;
    bool is_to_server;
};

struct client {
    uint32_t una, next;              /* offsets in our stream of requests, FIN counts */
    uint32_t sent[2 * REQUESTS + 2]; /* where segments begin, in flight ones */
    unsigned sent_count;
    uint32_t rcv, last_ack, recent; /* recent: TS.Recent */
    uint32_t fin_at;                /* of the server's, 0: unknown */
    uint16_t asked;                 /* requests given to the kernel */
    bool is_open, is_fin_sent, is_reset, is_ack_due, has_fin;
    bool got[STREAM_CAP + 2];
};

/* What a server remembers of the connection. */
struct cache {
    struct recent_entry entry;
    uint64_t written;
    uint8_t octets[CACHE_CAP];
};

struct world {
    struct client client;
    struct cache caches[2];
    unsigned server; /* which of them */
    struct segment flight[FLIGHT_CAP];
    unsigned flight_count;
    unsigned losses, repeats, overtakes, timers, swaps; /* left */
};

static const struct scenario *scenario;
static struct stateless_tcp_config config;
static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static uint32_t iss;
static uint8_t requests[200], expected[STREAM_CAP];
static uint32_t request_end[REQUESTS + 1], response_end[REQUESTS + 1], requests_len, expected_len;
static uint64_t *visited;
static unsigned visited_count;
static uint8_t stream[STATELESS_TCP_STREAM_CAP], train_octets[TRAIN_CAP];

static uint8_t response_octet(unsigned request, size_t at)
{
    return (uint8_t)(request * 101 + at * 31 + at / 256 + 7);
}

/* ---- the server's side: real frames ---- */

static size_t build(const struct segment *segment, uint8_t *frame)
{
    static const uint8_t offer[16] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5};
    uint8_t options[12] = {1, 1, 8, 10};
    for (unsigned i = 0; i < 4; i++) {
        options[4 + i] = (uint8_t)(segment->value >> (24 - 8 * i));
        options[8 + i] = (uint8_t)(segment->echo >> (24 - 8 * i));
    }
    struct frame_spec spec = frame_spec_client(4);
    spec.seq = segment->seq;
    spec.ack = segment->ack;
    spec.flags = segment->flags;
    spec.window = (uint16_t)scenario->window;
    spec.options = options;
    spec.options_len = scenario->has_no_timestamps ? 0 : sizeof(options);
    if (segment->flags & PACKET_SYN) {
        spec.options = offer;
        spec.options_len = scenario->has_no_timestamps ? 4 : sizeof(offer);
    }
    spec.payload = requests + segment->at;
    spec.payload_len = segment->len;
    return frame_build(&spec, frame);
}

static void fly(struct world *world, const struct segment *segment)
{
    must(world->flight_count < FLIGHT_CAP, "%s: the network overflows", scenario->name);
    world->flight[world->flight_count++] = *segment;
}

static void respond_to(struct stateless_tcp_query *query, struct train *train)
{
    const uint8_t *request;
    size_t request_len;
    while (stateless_tcp_next(query, &request, &request_len)) {
        must_be(request_len == 17);
        unsigned id = request[1];
        must_be(id < REQUESTS);
        size_t len = scenario->response_len[id];
        for (size_t i = 0; i < len; i++)
            stream[query->stream_at + 2 + i] = response_octet(id, i);
        stateless_tcp_send(query, stream + query->stream_at, len, train);
    }
    stateless_tcp_finish(query, train);
}

/* A segment of ours: is it one that may be? */
static void server_send(struct world *world, const struct segment *asked, const uint8_t *octets,
                        size_t len)
{
    struct frame_view view = frame_view(octets, len);
    struct packet packet;
    must_be(packet_parse(octets, len, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP);
    must_be(packet.has_timestamps ? packet.timestamp_echo == asked->value
                                  : scenario->has_no_timestamps || (view.flags & PACKET_RST));
    uint32_t offset = view.seq - iss - 1;
    if (view.payload_len > 0) {
        must(offset + view.payload_len <= expected_len, "%s: sent at %u + %zu of %u",
             scenario->name, offset, view.payload_len, expected_len);
        must_be(offset + view.payload_len <=
                asked->ack - iss - 1 + (scenario->window ? scenario->window : 64240));
        must(memcmp(view.payload, expected + offset, view.payload_len) == 0,
             "%s: wrong octets at %u", scenario->name, offset);
    }
    const struct segment out = {
        .seq = view.seq,
        .ack = view.ack,
        .flags = view.flags,
        .len = (uint16_t)view.payload_len,
        .value = packet.timestamp_value,
        .echo = packet.timestamp_echo,
        .at = (uint16_t)offset,
    };
    fly(world, &out);
}

static void server_receive(struct world *world, const struct segment *segment)
{
    static uint8_t frame[FRAME_CAP];
    size_t frame_len = build(segment, frame);
    struct packet packet;
    must_be(packet_parse(frame, frame_len, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP);
    struct train train = {.octets = train_octets, .cap = TRAIN_CAP};
    struct stateless_tcp_query query;
    struct cache *cache = &world->caches[world->server];
    struct recent recent = {.entries = &cache->entry,
                            .octets = cache->octets,
                            .octets_cap = CACHE_CAP,
                            .written = cache->written};
    if (stateless_tcp_receive(&config, &keys, &packet, true, scenario->has_recent ? &recent : NULL,
                              &query, &train) == STATELESS_TCP_QUERY)
        respond_to(&query, &train);
    cache->written = recent.written;
    must_be(train.frame_count <= config.burst + (unsigned)scenario->has_recent);
    const uint8_t *at = train.octets;
    for (unsigned i = 0; i < train.frame_count; at += train.frame_len[i++])
        server_send(world, segment, at, train.frame_len[i]);
}

/* ---- the client's side ---- */

static void client_emit(struct world *world, uint32_t from, uint32_t to, bool has_fin)
{
    struct client *client = &world->client;
    struct segment segment = {
        .seq = IRS + 1 + from,
        .ack = iss + 1 + client->rcv,
        .value = 5,
        .echo = client->recent,
        .at = (uint16_t)from,
        .len = (uint16_t)(to - from),
        .flags = PACKET_ACK | (has_fin ? PACKET_FIN : 0),
        .is_to_server = true,
    };
    client->last_ack = client->rcv;
    client->is_ack_due = false;
    fly(world, &segment);
}

static void client_ack(struct world *world)
{
    uint32_t next = world->client.next;
    client_emit(world, next, next, false);
}

static void client_syn(struct world *world)
{
    const struct segment segment = {
        .seq = IRS, .flags = PACKET_SYN, .value = 5, .is_to_server = true};
    fly(world, &segment);
}

static void client_push(struct world *world, uint32_t to)
{
    struct client *client = &world->client;
    client->sent[client->sent_count++] = client->next;
    client_emit(world, client->next, to, false);
    client->next = to;
}

/* How many responses are there. */
static unsigned client_answers(const struct client *client)
{
    unsigned count = 0;
    while (count < scenario->count && client->rcv >= response_end[count + 1])
        count++;
    return count;
}

static void client_fin(struct world *world)
{
    struct client *client = &world->client;
    client->is_fin_sent = true;
    client->sent[client->sent_count++] = client->next;
    client_emit(world, client->next, client->next, true);
    client->next++;
}

/* The application: what it does as soon as it can. */
static void client_act(struct world *world)
{
    struct client *client = &world->client;
    if (client->is_reset || !client->is_open)
        return;
    while (!client->is_fin_sent && client->asked < scenario->count &&
           (scenario->is_pipelined || scenario->is_joined ||
            client_answers(client) == client->asked ||
            (scenario->is_impatient && client->rcv > response_end[client->asked - 1]))) {
        uint32_t from = client->next;
        unsigned first = client->asked++;
        if (scenario->is_joined)
            client->asked = (uint16_t)scenario->count;
        must_be(from == request_end[first]);
        if (scenario->is_split)
            client_push(world, from + 2);
        client_push(world, request_end[client->asked]);
    }
    bool is_done = client_answers(client) == scenario->count || client->has_fin;
    if (!client->is_fin_sent && client->asked == scenario->count &&
        (is_done || (scenario->is_half_closing &&
                     (!scenario->is_impatient || client->rcv > response_end[client->asked - 1]))))
        client_fin(world);
}

static bool is_client_done(const struct client *client)
{
    return client->is_reset || (client->is_fin_sent && client->una == client->next);
}

static void client_take_ack(struct client *client, uint32_t ack)
{
    uint32_t acked = ack - IRS - 1;
    if (acked > client->next || acked <= client->una)
        return;
    client->una = acked;
    unsigned gone = 0;
    while (gone < client->sent_count &&
           (gone + 1 < client->sent_count ? client->sent[gone + 1] : client->next) <= acked)
        gone++;
    client->sent_count -= gone;
    memmove(client->sent, client->sent + gone, client->sent_count * sizeof(client->sent[0]));
    if (client->sent_count > 0 && client->sent[0] < acked)
        client->sent[0] = acked;
}

static void client_receive(struct world *world, const struct segment *segment)
{
    struct client *client = &world->client;
    if (client->is_reset)
        return;
    uint32_t offset = segment->seq - iss - 1;
    bool is_syn = segment->flags & PACKET_SYN;
    if (is_syn || !client->is_open) {
        if (is_syn && !client->is_open)
            client->recent = segment->value;
        client->is_open |= is_syn;
        if (client->is_open)
            client_ack(world); /* a SYN that comes again too (RFC 5961 4) */
        client_act(world);
        return;
    }
    if (segment->flags & PACKET_RST) {
        client->is_reset = offset == client->rcv;
        return;
    }
    if (!scenario->has_no_timestamps && (int32_t)(segment->value - client->recent) < 0) {
        client_ack(world); /* PAWS, RFC 7323 5.3 */
        return;
    }
    if (offset <= client->last_ack)
        client->recent = segment->value;
    bool is_new = false;
    uint32_t len = segment->len;
    for (uint32_t i = 0; i < len; i++) {
        is_new |= !client->got[offset + i];
        client->got[offset + i] = true;
    }
    if (segment->flags & PACKET_FIN) {
        is_new |= client->fin_at == 0;
        client->fin_at = offset + len;
        client->got[offset + len] = true;
    }
    bool was_closed = client->has_fin;
    while (client->got[client->rcv] && client->rcv < STREAM_CAP && !client->has_fin) {
        client->has_fin = client->fin_at != 0 && client->rcv == client->fin_at;
        client->rcv++;
    }
    client_take_ack(client, segment->ack);
    bool is_time_wait = was_closed && is_client_done(client);
    bool has_text = len > 0 || (segment->flags & PACKET_FIN);
    if (is_time_wait || (has_text && (!is_new || !scenario->is_ack_late || client->is_ack_due)) ||
        (!has_text && offset - client->rcv >= 64240))
        client_ack(world);
    else if (has_text)
        client->is_ack_due = true;
    client_act(world);
}

/* The oldest segment again, with those behind it, as kernels join them; a FIN too. */
static void client_retransmit(struct world *world)
{
    struct client *client = &world->client;
    if (!client->is_open)
        client_syn(world);
    if (client->sent_count == 0)
        return;
    client->sent_count = 1;
    client_emit(world, client->una, client->next - client->is_fin_sent, client->is_fin_sent);
}

/* ---- exploration ---- */

static uint64_t mix(uint64_t hash, const void *octets, size_t len)
{
    const uint8_t *at = octets;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return hash ^ hash >> 29;
}

/* But not how old its octets are: only whether they are there. */
static uint64_t cache_hash(const struct cache *cache, uint64_t hash)
{
    const struct recent_entry *e = &cache->entry;
    bool has_octets = e->octets_len > 0 && cache->written - e->at <= CACHE_CAP;
    bool has_tail = e->tail_len > 0 && cache->written - e->tail_at <= CACHE_CAP;
    uint32_t state[] = {
        e->connection != 0, e->seq,     e->seq_end, e->start,    e->end,     e->ack,  e->has_fin,
        e->is_pressing,     e->held,    e->sent,    e->repaired, e->recover, e->cwnd, e->ssthresh,
        e->tail_len,        has_octets, has_tail};
    return mix(hash, state, sizeof(state));
}

static uint64_t world_hash(const struct world *world)
{
    const struct client *c = &world->client;
    uint32_t state[] = {c->una,        c->next,        c->rcv,           c->last_ack,
                        c->recent,     c->fin_at,      c->asked,         c->is_fin_sent,
                        c->is_reset,   c->is_ack_due,  c->has_fin,       c->sent_count,
                        world->losses, world->repeats, world->overtakes, world->timers,
                        c->is_open,    world->server,  world->swaps};
    uint64_t hash = mix(0xcbf29ce484222325, state, sizeof(state));
    for (unsigned i = 0; i < 2 && scenario->has_recent; i++)
        hash = cache_hash(&world->caches[i], hash);
    for (uint32_t i = 0; i <= expected_len; i += 64) /* cut points are far apart */
        hash = hash * 31 + c->got[i];
    for (unsigned i = 0; i < world->flight_count; i++) {
        const struct segment *s = &world->flight[i];
        uint32_t octets[] = {s->seq, s->ack, s->value, s->echo, s->len, s->flags, s->is_to_server};
        hash = mix(hash, octets, sizeof(octets));
    }
    return (hash | 2) & ~(uint64_t)1;
}

/* The place of a state in the table, new or not. Its lowest bit: we are on a way that leads from it.
 * Who comes back to such a state goes round for ever, since what may go wrong is used up on a way,
 * and where nothing goes wrong there is one way only. */
static uint64_t *visit(const struct world *world, bool *is_new_out)
{
    uint64_t hash = world_hash(world);
    for (uint32_t at = (uint32_t)(hash >> 20);; at++) {
        uint64_t *slot = &visited[at % VISITED_CAP];
        must(*slot != (hash | 1), "%s: round and round", scenario->name);
        *is_new_out = *slot == 0;
        if (*slot == hash)
            return slot;
        if (*slot == 0) {
            must(visited_count < VISITED_CAP / 2, "%s: too many states", scenario->name);
            visited_count++;
            return slot;
        }
    }
}

static void explore(const struct world *world, unsigned quiet, unsigned timers);

/* Take frame i out of the air, and hand it over or lose it. */
static void deliver(const struct world *before, unsigned i, bool is_lost, bool is_kept,
                    unsigned quiet, unsigned timers)
{
    struct world world = *before;
    struct segment segment = world.flight[i];
    if (!is_kept) {
        world.flight_count--;
        memmove(world.flight + i, world.flight + i + 1,
                (world.flight_count - i) * sizeof(world.flight[0]));
    }
    world.overtakes -= i > 0;
    world.losses -= is_lost;
    world.repeats -= is_kept;
    if (!is_lost && segment.is_to_server)
        server_receive(&world, &segment);
    else if (!is_lost)
        client_receive(&world, &segment);
    explore(&world, quiet + 1, timers);
}

static void check_end(const struct world *world)
{
    const struct client *client = &world->client;
    /* Sent ahead without timestamps: refused, and the client knows. */
    if (scenario->has_no_timestamps && scenario->is_pipelined && client->is_reset)
        return;
    must(client->has_fin || client->is_reset, "%s: no end", scenario->name);
    /* Without timestamps the answers to what is in the first segment, then the end. */
    unsigned count = scenario->has_no_timestamps && !scenario->is_joined ? 1 : scenario->count;
    must(client->rcv >= response_end[count], "%s: %u octets of %u", scenario->name, client->rcv,
         response_end[count]);
}

/* The client's timers: for the ACK, else for what is not acknowledged. */
static void fire(const struct world *before, unsigned quiet, unsigned timers)
{
    struct world world = *before;
    if (before->flight_count == 0 && before->client.is_ack_due) {
        client_ack(&world);
        explore(&world, quiet + 1, timers);
        return;
    }
    world.timers -= before->flight_count > 0;
    client_retransmit(&world);
    explore(&world, 0, timers + 1);
}

/* The frame that is next comes to another server. */
static void swap(const struct world *before, unsigned quiet, unsigned timers)
{
    struct world world = *before;
    world.swaps--;
    world.server ^= 1;
    explore(&world, quiet, timers);
}

/* What may happen next. */
static void explore_from(const struct world *world, unsigned quiet, unsigned timers)
{
    if (world->flight_count == 0 && world->client.is_ack_due) {
        fire(world, quiet, timers);
        return;
    }
    if (world->swaps > 0 && world->flight_count > 0 && world->flight[0].is_to_server)
        swap(world, quiet, timers);
    if (world->flight_count == 0 && is_client_done(&world->client)) {
        check_end(world);
        return;
    }
    if (world->flight_count == 0 || world->timers > 0)
        fire(world, quiet, timers);
    for (unsigned i = 0; i < world->flight_count && (i == 0 || world->overtakes > 0); i++) {
        deliver(world, i, false, false, quiet, timers);
        if (world->losses > 0)
            deliver(world, i, true, false, quiet, timers);
        if (world->repeats > 0)
            deliver(world, i, false, true, quiet, timers);
    }
}

static void explore(const struct world *world, unsigned quiet, unsigned timers)
{
    must(quiet < QUIET_MAX, "%s: frames for ever", scenario->name);
    must(timers < TIMERS_MAX, "%s: stuck", scenario->name);
    bool is_new;
    uint64_t *slot = visit(world, &is_new);
    if (!is_new)
        return;
    uint64_t hash = world_hash(world);
    *slot = hash | 1;
    explore_from(world, quiet, timers);
    *slot = hash;
}

static void prepare(void)
{
    requests_len = expected_len = 0;
    for (unsigned i = 0; i < scenario->count; i++) {
        uint8_t request[19] = {0, 17, 0, (uint8_t)i, 1, 0, 0, 1, [15] = 2, [17] = 1};
        memcpy(requests + requests_len, request, sizeof(request));
        requests_len += sizeof(request);
        request_end[i + 1] = requests_len;
        unsigned len = scenario->response_len[i];
        expected[expected_len++] = (uint8_t)(len >> 8);
        expected[expected_len++] = (uint8_t)len;
        for (unsigned j = 0; j < len; j++)
            expected[expected_len++] = response_octet(i, j);
        response_end[i + 1] = expected_len;
    }
    config = stateless_tcp_config_default();
    config.profile = STATELESS_TCP_MODERN;
    config.burst = (uint16_t)(scenario->burst ? scenario->burst : STATELESS_TCP_BURST_DEFAULT);
}

/* The same for each SYN. */
static void find_iss(void)
{
    static uint8_t frame[FRAME_CAP];
    const struct segment syn = {.seq = IRS, .flags = PACKET_SYN, .value = 5, .is_to_server = true};
    size_t frame_len = build(&syn, frame);
    struct packet packet;
    ck_assert_int_eq(packet_parse(frame, frame_len, false, PACKET_CHECKSUM_AUTO, &packet),
                     PACKET_TCP);
    iss = scenario->has_no_timestamps ? cookie_make_first(&keys, &packet)
                                      : cookie_make(&keys, &packet);
}

/* Each scenario without a cache, and then with: there is more that may happen, so less goes wrong. */
START_TEST(all_orders)
{
    struct scenario here = scenarios[_i / 2];
    if (_i % 2 == 1) {
        here.has_recent = true;
        here.swaps = 1;
        here.losses = here.losses < 2 ? here.losses : 2;
        here.timers = 0;
    }
    scenario = &here;
    prepare();
    find_iss();
    visited = calloc(VISITED_CAP, sizeof(*visited));
    visited_count = 0;
    struct world world = {.losses = scenario->losses,
                          .repeats = scenario->repeats,
                          .overtakes = scenario->overtakes,
                          .timers = scenario->timers,
                          .swaps = scenario->swaps};
    client_syn(&world);
    explore(&world, 0, 0);
    printf("%s%s: %u states\n", scenario->name, here.has_recent ? ", caches" : "", visited_count);
    free(visited);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stateless_tcp/modern, all orders");
    TCase *tcase = tcase_create("orders");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, all_orders, 0, 2 * (int)(sizeof(scenarios) / sizeof(scenarios[0])));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

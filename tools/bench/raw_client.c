/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/raw_client.h"

#include "stateless_tcp/wire.h"
#include "tools/bench/raw_tcp.h"
#include "tools/bench/raw_udp.h"
#include "tools/bench/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_NS 5000000
#define SWEEP_PARTS 4
#define SETTLE_NS 1000000 /* after that nobody fills the bank of before */
#define WAIT_MIN_NS 50000
#define WAIT_MAX_NS 1000000
#define BURST 64 /* frames at once: a veth device holds 256 */

/* ---- questions ---- */

static uint32_t record_len(const struct question_pool *pool, uint32_t question)
{
    uint32_t len =
        (uint32_t)offsetof(struct client_question, framed) + 2u + question_len(pool, question);
    return (len + 7) & ~7u;
}

/* Where the record of a question goes, after one that ended at `at`. */
static uint64_t next_reference(uint64_t at)
{
    if (at % CLIENT_CHUNK_LEN > CLIENT_RECORD_AT_MAX)
        at += CLIENT_CHUNK_LEN - at % CLIENT_CHUNK_LEN;
    return at;
}

static int count_chunks(const struct question_pool *pool, uint32_t *chunks_out)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        at = next_reference(at) + record_len(pool, i);
        if (at > UINT32_MAX - CLIENT_CHUNK_LEN)
            return -EFBIG;
    }
    *chunks_out = (uint32_t)(at / CLIENT_CHUNK_LEN) + 1;
    return 0;
}

static void fill_questions(const struct question_pool *pool, struct client *client)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        uint16_t len = question_len(pool, i);
        at = next_reference(at);
        struct client_question *question =
            (struct client_question *)(client->chunks[at / CLIENT_CHUNK_LEN].octets +
                                       at % CLIENT_CHUNK_LEN);
        question->len = len;
        question->question_end = (uint16_t)(len - pool->tail_len);
        wire_store_be16((uint8_t *)&question->sum_wire, pool->sums[i]);
        question->rcode = pool->rcodes[i];
        memcpy(question->framed, question_framed(pool, i), 2u + len);
        client->references[i] = at;
        at += record_len(pool, i);
    }
}

/* ---- opening ---- */

static void set_config(struct raw_client *run, const struct raw_path *path)
{
    const struct worker *worker = run->worker;
    const struct bench_config *config = worker->config;
    struct client_config *to = run->client.config;
    struct packet_address first = source_address(&path->source, 0);
    unsigned last = path->server.family == 4 ? 0 : 12;
    *to = (struct client_config){
        .family = path->server.family,
        .is_udp = config->mode == BENCH_RAW_UDP,
        .is_reset = config->close == BENCH_CLOSE_RST,
        .is_looping = config->rate <= 0,
        .has_own_ack = config->mode == BENCH_RAW && !config->is_handshake_joined,
        .server_port = path->server_port,
        .port_first = path->port_first,
        .number_first = wire_load_be32(first.octets + last) -
                        wire_load_be32(path->source.address.octets + last),
        .tuples = path->tuples,
        .place_mask = run->place_count - 1,
        .question_count = worker->pool->count,
        .queries_per_connection = config->queries_per_connection,
        .window = path->window,
        .retransmit_ns = config->retransmit_ns,
    };
    memcpy(to->mac_own, path->mac_own, 6);
    memcpy(to->mac_peer, path->mac_peer, 6);
    memcpy(to->server_wire, path->server.octets, 16);
    memcpy(to->source_wire, path->source.address.octets, 16);
}

static int fail(struct worker *worker, int result, const struct client_error *error)
{
    worker->result = result;
    snprintf(worker->error, sizeof worker->error, "interface %s: the client in the driver: %s",
             worker->config->interface, error->text);
    return result;
}

int raw_client_open(struct raw_client *run, struct worker *worker, const struct raw_path *path)
{
    const struct bench_config *config = worker->config;
    bool is_udp = config->mode == BENCH_RAW_UDP;
    struct client_error error = {.text = "more questions than it can hold"};
    *run = (struct raw_client){.worker = worker,
                               .limit = is_udp && config->rate <= 0 ? config->outstanding
                                                                    : config->connections};
    run->place_count = is_udp ? raw_udp_places(config) : raw_tcp_places(config);
    while (run->place_count > path->tuples.count)
        run->place_count /= 2;
    if (is_udp && config->rate > 0)
        run->limit = run->place_count;
    struct client_sizes sizes = {.questions = worker->pool->count, .places = run->place_count};
    int result = count_chunks(worker->pool, &sizes.chunks);
    if (result == 0)
        result = client_open(&sizes, config->interface, &run->client, &error);
    if (result != 0)
        return fail(worker, result, &error);
    run->before = calloc(run->client.processor_count, sizeof *run->before);
    if (run->before == NULL) {
        worker_fail(worker, -ENOMEM, "cannot begin");
        return -ENOMEM;
    }
    processor_read(run->before, run->client.processor_count);
    fill_questions(worker->pool, &run->client);
    set_config(run, path);
    result = client_attach(&run->client, &error);
    return result != 0 ? fail(worker, result, &error) : 0;
}

/* ---- counting ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Take what a bank has counted. Nobody writes to it. */
static void collect(struct raw_client *run, uint32_t bank)
{
    struct worker *worker = run->worker;
    for (uint32_t i = 0; i < run->client.processor_count; i++) {
        struct client_tally *counts = &run->client.tallies[i * CLIENT_BANKS + bank];
        tally_add(&worker->tally, &counts->tally);
        worker->sent_ns = later(worker->sent_ns, counts->sent_ns);
        worker->answered_ns = later(worker->answered_ns, counts->answered_ns);
        run->before[i].is_used |= counts->tally.answered;
        run->opened += counts->opened;
        run->ended += counts->ended;
        if (worker->config->rate > 0)
            worker->tally.unsent += counts->refused;
        memset(counts, 0, sizeof *counts);
    }
}

/* When a second is over, the other bank is filled, and what the one before has is told. */
static void count_seconds(struct raw_client *run, uint64_t now_ns)
{
    struct client_shared *shared = run->client.shared;
    if (run->flipped_ns == 0 && now_ns >= run->worker->second_end_ns) {
        __atomic_store_n(&shared->bank, shared->bank ^ 1, __ATOMIC_RELEASE);
        run->flipped_ns = now_ns;
    } else if (run->flipped_ns != 0 && now_ns - run->flipped_ns >= SETTLE_NS) {
        collect(run, shared->bank ^ 1);
        run->flipped_ns = 0;
        worker_turn(run->worker);
    }
}

/* Of all processors and banks. */
static uint64_t total(const struct raw_client *run, size_t member, uint64_t collected)
{
    uint64_t sum = collected;
    for (uint32_t i = 0; i < run->client.processor_count * CLIENT_BANKS; i++)
        sum += *(const volatile uint64_t *)((const uint8_t *)&run->client.tallies[i] + member);
    return sum;
}

uint64_t raw_client_busy(const struct raw_client *run)
{
    /* What ended first, lest more have ended than were opened. */
    uint64_t ended = total(run, offsetof(struct client_tally, ended), run->ended);
    return total(run, offsetof(struct client_tally, opened), run->opened) - ended;
}

/* ---- turns ---- */

static void start_closed(struct raw_client *run, uint64_t now_ns)
{
    uint64_t busy = raw_client_busy(run);
    if (worker_is_done_sending(run->worker, now_ns))
        return;
    for (uint64_t i = busy; i < run->limit && i < busy + BURST; i++)
        client_tell(&run->client, CLIENT_START, 0, 0);
    run->is_behind = busy + BURST < run->limit;
}

static void start_due(struct raw_client *run, uint64_t now_ns)
{
    struct worker *worker = run->worker;
    uint64_t busy = raw_client_busy(run);
    uint64_t left = worker->left;
    while (left-- > 0 && client_waiting(&run->client) < CLIENT_COMMANDS &&
           worker_may_send(worker, now_ns)) {
        if (busy++ >= run->limit) {
            worker_hold(worker, now_ns);
            break;
        }
        client_tell(&run->client, CLIENT_START, 0, schedule_due_ns(&worker->schedule));
        schedule_advance(&worker->schedule);
    }
}

/* Look for places that wait too long, some at a time. */
static void sweep(struct raw_client *run, uint64_t now_ns)
{
    const struct worker *worker = run->worker;
    uint32_t count = run->place_count / SWEEP_PARTS, again = 0;
    if (now_ns - run->sweep_ns < SWEEP_NS)
        return;
    run->sweep_ns = now_ns;
    for (uint32_t i = 0; i < count && client_waiting(&run->client) < CLIENT_COMMANDS; i++) {
        const struct client_place *place = &run->client.places[run->swept & (run->place_count - 1)];
        uint64_t due_ns = place->due_ns;
        bool is_out = place->is_waiting && due_ns + worker->config->timeout_ns <= now_ns;
        if (place->state != CLIENT_FREE && (is_out || place->deadline_ns <= now_ns)) {
            if (!is_out && ++again > BURST) {
                run->sweep_ns = 0; /* go on in the next turn */
                return;
            }
            client_tell(&run->client, is_out ? CLIENT_END : CLIENT_AGAIN, place->tuple, due_ns);
        }
        run->swept++;
    }
}

/* Let the program begin no more. */
static void stop(struct raw_client *run)
{
    struct worker *worker = run->worker;
    run->is_stopping = true;
    run->client.config->end_ns = 0;
    for (uint32_t i = 0; i < run->client.processor_count * CLIENT_BANKS; i++)
        run->before[i / CLIENT_BANKS].is_used |= run->client.tallies[i].tally.answered;
    worker->usage.processor_share = processor_share(run->before, run->client.processor_count);
}

int raw_client_turn(struct raw_client *run, uint64_t now_ns)
{
    struct worker *worker = run->worker;
    struct client_shared *shared = run->client.shared;
    if (run->client.config->end_ns == 0 && !run->is_stopping) {
        shared->left = worker->left < INT64_MAX ? (int64_t)worker->left : INT64_MAX;
        run->client.config->end_ns = worker->config->rate > 0 ? UINT64_MAX : worker->end_ns;
    }
    if (worker->left != UINT64_MAX)
        worker->left = shared->left > 0 ? (uint64_t)shared->left : 0;
    if (!run->is_stopping && worker_is_done_sending(worker, now_ns))
        stop(run);
    count_seconds(run, now_ns);
    sweep(run, now_ns);
    if (worker->config->rate > 0)
        start_due(run, now_ns);
    else
        start_closed(run, now_ns);
    return client_run(&run->client);
}

/* So often that in between a quarter of the connections may end. */
static uint64_t closed_wait_ns(struct raw_client *run, uint64_t now_ns)
{
    if (run->is_behind)
        return WAIT_MIN_NS;
    uint64_t ended = total(run, offsetof(struct client_tally, ended), run->ended);
    uint64_t span_ns = now_ns - run->rate_ns, count = ended - run->ended_before;
    if (span_ns >= WAIT_MAX_NS || run->wait_ns == 0) {
        uint64_t wait_ns = count > 0 ? span_ns / count * run->limit / 4 : WAIT_MAX_NS;
        run->wait_ns = wait_ns < WAIT_MIN_NS   ? WAIT_MIN_NS
                       : wait_ns > WAIT_MAX_NS ? WAIT_MAX_NS
                                               : wait_ns;
        run->ended_before = ended;
        run->rate_ns = now_ns;
    }
    return run->wait_ns;
}

uint64_t raw_client_wait_ns(struct raw_client *run, uint64_t now_ns)
{
    const struct worker *worker = run->worker;
    if (worker->config->rate <= 0)
        return closed_wait_ns(run, now_ns);
    uint64_t wait_ns = worker_patience_ns(worker, now_ns, true, WAIT_MAX_NS);
    return wait_ns > WAIT_MIN_NS ? wait_ns : WAIT_MIN_NS;
}

bool raw_client_has_rest(const struct raw_client *run)
{
    for (uint32_t i = 0; i < run->place_count; i++)
        if (run->client.places[i].state != CLIENT_FREE)
            return true;
    return false;
}

void raw_client_close(struct raw_client *run)
{
    if (run->before != NULL) {
        client_detach(&run->client);
        collect(run, 0);
        collect(run, 1);
    }
    free(run->before);
    run->before = NULL;
    client_close(&run->client);
}

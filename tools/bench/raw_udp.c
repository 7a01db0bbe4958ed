/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/raw_udp.h"

#include "stateless_tcp/wire.h"

#include <errno.h>
#include <stdlib.h>

#define PLACES_MIN 4096u
#define PLACES_MAX (1u << 22)
#define ID_STEP 40503u

uint32_t raw_udp_places(const struct bench_config *config)
{
    double wanted = 2.0 * config->outstanding;
    if (config->rate > 0)
        wanted = 2 * config->rate / config->threads * (double)config->timeout_ns / 1e9;
    uint32_t count = PLACES_MIN;
    while (count < PLACES_MAX && count < wanted)
        count *= 2;
    return count;
}

int raw_udp_open(struct raw_udp *udp, struct worker *worker, const struct raw_path *path,
                 struct train *train, void (*flush)(void *context), void *flush_context)
{
    *udp = (struct raw_udp){.worker = worker,
                            .path = path,
                            .train = train,
                            .flush = flush,
                            .flush_context = flush_context,
                            .place_count = raw_udp_places(worker->config)};
    while (udp->place_count > path->tuples.count)
        udp->place_count /= 2;
    udp->places = calloc(udp->place_count, sizeof *udp->places);
    return udp->places != NULL ? 0 : -ENOMEM;
}

void raw_udp_close(struct raw_udp *udp)
{
    free(udp->places);
    udp->places = NULL;
}

/* Tuples are taken in turn and there is a whole number of rounds of places in them, so the tuple
 * tells the place. */
static struct raw_udp_query *place_of(const struct raw_udp *udp, uint64_t number)
{
    return &udp->places[number & (udp->place_count - 1)];
}

void raw_udp_receive(struct raw_udp *udp, uint64_t now_ns, const struct packet *packet)
{
    uint32_t tuple;
    if (!raw_path_tuple(udp->path, packet, &tuple))
        return;
    struct raw_udp_query *q = place_of(udp, tuple);
    if (q->tuple != tuple)
        udp->worker->tally.stray++;
    else
        worker_receive(udp->worker, now_ns, &q->query, packet->payload, packet->payload_len);
}

static void send_query(struct raw_udp *udp, uint64_t now_ns)
{
    struct worker *worker = udp->worker;
    const struct question_pool *pool = worker->pool;
    struct raw_udp_query *q = place_of(udp, udp->head++);
    uint8_t message[QUESTION_MESSAGE_MAX];
    worker_take(worker, now_ns, (uint16_t)(udp->head * ID_STEP), &q->query);
    q->tuple = udp->next_tuple;
    udp->next_tuple = q->tuple + 1 < udp->path->tuples.count ? q->tuple + 1 : 0;
    uint16_t len = worker_copy(worker, &q->query, message);
    uint32_t sum = (uint32_t)pool->sums[q->query.question] + q->query.id;
    if (pool->form.has_checksum)
        sum = question_sum(message, len);
    sum = (sum & 0xffff) + (sum >> 16);
    while (!raw_frame_udp(udp->path, q->tuple, message, len, (uint16_t)sum, udp->train))
        udp->flush(udp->flush_context);
}

/* Give up what is out of time. */
static void sweep(struct raw_udp *udp, uint64_t now_ns)
{
    for (; udp->tail != udp->head; udp->tail++) {
        struct raw_udp_query *q = place_of(udp, udp->tail);
        if (q->query.is_waiting && q->query.due_ns + udp->worker->config->timeout_ns > now_ns)
            break;
        if (q->query.is_waiting)
            worker_lose(udp->worker, 1);
        q->query.is_waiting = false;
    }
}

bool raw_udp_has_place(const struct raw_udp *udp)
{
    const struct bench_config *config = udp->worker->config;
    uint32_t limit = config->outstanding / config->threads;
    if (udp->head - udp->tail >= udp->place_count)
        return false;
    return config->rate > 0 || udp->worker->outstanding < (limit > 0 ? limit : 1);
}

void raw_udp_send_due(struct raw_udp *udp, uint64_t now_ns)
{
    sweep(udp, now_ns);
    while (worker_may_send(udp->worker, now_ns)) {
        if (!raw_udp_has_place(udp)) {
            worker_hold(udp->worker, now_ns);
            break;
        }
        send_query(udp, now_ns);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy.h"

#include "stateless_tcp/siphash.h"
#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

enum state {
    STATE_READY,   /* its response is there, or none is to be given */
    STATE_MISSING, /* the back end must say */
    STATE_GONE,    /* it was answered, and we do not know how */
};

/* One request of a segment. */
struct wanted {
    const uint8_t *request;
    size_t request_len;
    enum proxy_verdict verdict;
    struct proxy_shape shape; /* of FORWARD and NOTIMP */
    uint64_t number;          /* of FORWARD */
    const uint8_t *response;  /* of FORWARD, ready */
    size_t response_len;
};

/* The number of a question: which request, at which place of which connection. Never 0. */
static uint64_t question_number(const struct proxy *proxy, const struct packet *packet,
                                const uint8_t *request, size_t request_len)
{
    uint8_t input[1 + 2 * 16 + 2 * 2 + 4 + 8] = {packet->source.family};
    memcpy(input + 1, packet->source.octets, 16);
    memcpy(input + 17, packet->destination.octets, 16);
    wire_store_be16(input + 33, packet->source_port);
    wire_store_be16(input + 35, packet->destination_port);
    wire_store_be32(input + 37, packet->seq + (uint32_t)(request - packet->payload));
    siphash_store_le64(input + 41, siphash_2_4_64(proxy->secret, request, request_len));
    uint64_t number = siphash_2_4_64(proxy->secret, input, sizeof input);
    return number != 0 ? number : 1;
}

/* See what is to be said to a request. */
static enum state look_at(const struct proxy *proxy, const struct packet *packet,
                          struct wanted *wanted)
{
    wanted->verdict = proxy_message_judge(wanted->request, wanted->request_len, &wanted->shape);
    if (wanted->verdict != PROXY_FORWARD)
        return STATE_READY;
    wanted->number = question_number(proxy, packet, wanted->request, wanted->request_len);
    switch (proxy_answers_find(proxy->answers, wanted->number, &wanted->response,
                               &wanted->response_len)) {
    case PROXY_ANSWERS_NONE:
        return STATE_MISSING;
    case PROXY_ANSWERS_FOUND:
        return STATE_READY;
    case PROXY_ANSWERS_GONE:
        return STATE_GONE;
    }
    return STATE_GONE;
}

/* Write the response to a request that is ready; returns its length, 0: none. */
static size_t respond(const struct proxy *proxy, const struct wanted *wanted, uint8_t *response)
{
    const struct proxy_failure malformed = {.rcode = PROXY_RCODE_FORMERR};
    const struct proxy_failure unsupported = {
        .rcode = PROXY_RCODE_NOTIMP,
        .ede = PROXY_EDE_NOT_SUPPORTED,
        .text = proxy->has_ede ? "not through this proxy" : NULL,
    };
    switch (wanted->verdict) {
    case PROXY_SILENT:
        return 0;
    case PROXY_FORMERR:
        return proxy_message_fail(wanted->request, NULL, &malformed, response);
    case PROXY_NOTIMP:
        return proxy_message_fail(wanted->request, &wanted->shape, &unsupported, response);
    case PROXY_FORWARD:
        memcpy(response, wanted->response, wanted->response_len);
        return wanted->response_len;
    }
    return 0;
}

/* TCP's first look at a segment. A query has said nothing yet. */
static enum stateless_tcp_outcome receive(const struct proxy *proxy, const struct packet *packet,
                                          bool is_settled, struct stateless_tcp_query *query_out,
                                          struct train *train)
{
    train->frame_count = train->len = 0;
    return stateless_tcp_receive(proxy->tcp, proxy->keys, packet, is_settled, proxy->recent,
                                 query_out, train);
}

/* Answer a segment whose first `count` requests are ready. TCP remembers nothing, so it is simply
 * looked at again. Settled, because what is ready is what was said before. */
static void answer(const struct proxy *proxy, const struct packet *packet, unsigned count,
                   struct train *train)
{
    struct stateless_tcp_query query;
    struct wanted wanted;
    if (receive(proxy, packet, true, &query, train) != STATELESS_TCP_QUERY)
        return; /* not even that: the key has expired meanwhile */
    for (unsigned i = 0;
         i < count && stateless_tcp_next(&query, &wanted.request, &wanted.request_len); i++) {
        uint8_t *stream = proxy->stream + query.stream_at;
        enum state state = look_at(proxy, packet, &wanted);
        assert(state == STATE_READY);
        (void)state;
        stateless_tcp_send(&query, stream, respond(proxy, &wanted, stream + 2), train);
    }
    stateless_tcp_finish(&query, train);
}

/* What the requests of a segment need. */
struct survey {
    unsigned
        count; /* that are looked at: not more than can be kept, and none after one that is gone */
    unsigned ready;     /* of them, before the first that is not */
    bool is_gone;       /* the one after `count` */
    uint32_t len;       /* octets of the payload that they take */
    uint32_t ready_len; /* those that are ready */
};

/* `query` is used up. */
static struct survey survey_take(const struct proxy *proxy, const struct packet *packet,
                                 struct stateless_tcp_query *query)
{
    struct survey survey = {0};
    struct wanted wanted;
    while (survey.count < PROXY_REQUESTS_MAX &&
           stateless_tcp_next(query, &wanted.request, &wanted.request_len)) {
        size_t end = (size_t)(wanted.request - packet->payload) + wanted.request_len;
        enum state state = look_at(proxy, packet, &wanted);
        survey.is_gone = state == STATE_GONE;
        if (survey.is_gone || (state == STATE_MISSING && end > PROXY_PAYLOAD_MAX))
            break;
        survey.len = (uint32_t)end;
        if (state == STATE_READY && survey.ready == survey.count) {
            survey.ready++;
            survey.ready_len = survey.len;
        }
        survey.count++;
    }
    return survey;
}

static bool ticket_take(const struct proxy *proxy, struct proxy_draws *draws,
                        struct proxy_ticket *ticket_out)
{
    while (draws->left >= 3) {
        draws->left -= 3;
        const uint8_t *drawn = draws->octets + draws->left;
        *ticket_out =
            (struct proxy_ticket){.id = wire_load_be16(drawn), .port = drawn[2] % PROXY_PORTS};
        if (!proxy_ring_is_taken(proxy->ring, ticket_out))
            return true;
    }
    return false;
}

/* Let a question wait with this segment, which is the newest that has it, unless an older one has
 * more requests behind. */
static void question_keep(struct proxy_question *question, const struct packet *packet,
                          const struct wanted *wanted)
{
    assert(packet->payload_len <= PROXY_PAYLOAD_MAX);
    uint32_t end = packet->seq + packet->payload_len;
    if (question->ask_count > 0 &&
        (int32_t)(end - question->packet.seq - question->packet.payload_len) < 0)
        return;
    question->packet = *packet;
    question->packet.payload = question->payload;
    memcpy(question->payload, packet->payload, packet->payload_len);
    question->request_at = (uint16_t)(wanted->request - packet->payload);
    question->request_len = (uint16_t)wanted->request_len;
    question->shape = wanted->shape;
}

/* How to ask: what does not depend on the question. */
struct asking {
    uint64_t now_ms;
    struct proxy_draws *draws;
    struct proxy_asks *asks;
    const struct packet *received;
    bool is_early;
};

static void ask(const struct proxy *proxy, const struct packet *packet, const struct wanted *wanted,
                const struct asking *asking)
{
    struct proxy_question *question = proxy_ring_find(proxy->ring, wanted->number);
    struct proxy_ticket ticket;
    if (question == NULL) {
        if (!ticket_take(proxy, asking->draws, &ticket))
            return;
        question =
            proxy_ring_put(proxy->ring, wanted->number, &ticket, asking->now_ms + PROXY_TIMEOUT_MS);
        question->ask_count = 0;
    } else {
        ticket = proxy_ring_ticket(proxy->ring, question);
    }
    question_keep(question, packet, wanted);
    question->is_early = asking->is_early;
    if (question->ask_count == PROXY_ASKS_MAX ||
        (question->ask_count > 0 && asking->now_ms - question->asked_ms < PROXY_AGAIN_MS))
        return;
    struct proxy_ask *next = &asking->asks->asks[asking->asks->count++];
    question->ask_count++;
    question->asked_ms = asking->now_ms;
    next->port = ticket.port;
    next->len = (uint16_t)proxy_message_ask(wanted->request, wanted->request_len, &wanted->shape,
                                            ticket.id, next->octets);
}

/* Whether more can be said after a train that answers only some requests: it ends the connection
 * otherwise. */
static bool has_sequel(const struct proxy *proxy, const struct packet *packet)
{
    return proxy->tcp->profile == STATELESS_TCP_MODERN && packet->has_timestamps;
}

/* Ask for what is missing of the surveyed requests, which are walked through in `query`. */
static void ask_missing(const struct proxy *proxy, const struct packet *packet,
                        struct stateless_tcp_query *query, const struct survey *survey,
                        const struct asking *asking)
{
    struct packet kept = *packet;
    struct wanted wanted;
    uint32_t most = has_sequel(proxy, packet) ? PROXY_PAYLOAD_MAX : survey->len;
    if (most < packet->payload_len) {
        kept.payload_len = most;
        kept.flags &= (uint8_t)~PACKET_FIN;
    }
    for (unsigned i = 0;
         i < survey->count && stateless_tcp_next(query, &wanted.request, &wanted.request_len); i++)
        if (look_at(proxy, packet, &wanted) == STATE_MISSING)
            ask(proxy, &kept, &wanted, asking);
}

/* `packet`: what `query` is of, and stays what it is while the cache changes. */
static void pass_requests(const struct proxy *proxy, const struct packet *packet,
                          const struct stateless_tcp_query *query, struct asking *asking,
                          struct train *train)
{
    struct stateless_tcp_query walk = *query, unsettled;
    struct survey survey = survey_take(proxy, packet, &walk);
    if (survey.ready == survey.count) {
        answer(proxy, packet, survey.ready, train); /* RST if the first is gone */
        return;
    }
    bool is_sequel = survey.ready > 0 && has_sequel(proxy, packet);
    /* Ahead of its turn is a beginning too: the responses before it will not change. */
    bool is_beginning =
        query->is_ahead || receive(proxy, packet, false, &unsettled, train) == STATELESS_TCP_QUERY;
    if (!is_beginning && !is_sequel)
        return; /* RST */
    walk = *query;
    asking->is_early = !is_beginning;
    ask_missing(proxy, packet, &walk, &survey, asking);
    if (is_sequel)
        answer(proxy, packet, survey.ready, train);
    else
        stateless_tcp_wait(query, asking->received, train); /* no request is acknowledged yet */
}

/* Take a copy of a packet whose data the cache has joined: it is not there for long. */
static void copy_joined(const struct packet *joined, uint8_t payload[PROXY_PAYLOAD_MAX],
                        struct packet *copy_out)
{
    *copy_out = *joined;
    copy_out->payload = payload;
    if (joined->payload_len > PROXY_PAYLOAD_MAX) {
        copy_out->payload_len = PROXY_PAYLOAD_MAX;
        copy_out->flags &= (uint8_t)~PACKET_FIN;
    }
    memcpy(payload, joined->payload, copy_out->payload_len);
}

static void pass_segment(const struct proxy *proxy, const struct packet *packet,
                         struct asking *asking, struct train *train)
{
    struct stateless_tcp_query query;
    struct packet copy;
    uint8_t payload[PROXY_PAYLOAD_MAX];
    asking->received = packet;
    if (receive(proxy, packet, true, &query, train) != STATELESS_TCP_QUERY)
        return;
    if (query.packet != packet) {
        copy_joined(query.packet, payload, &copy);
        packet = &copy;
        if (receive(proxy, packet, true, &query, train) != STATELESS_TCP_QUERY)
            return;
    }
    pass_requests(proxy, packet, &query, asking, train);
}

void proxy_frame(const struct proxy *proxy, const struct io_frame *frame, uint64_t now_ms,
                 struct proxy_draws *draws, struct proxy_asks *asks_out, struct train *train)
{
    struct packet packet;
    struct asking asking = {.now_ms = now_ms, .draws = draws, .asks = asks_out};
    asks_out->count = 0;
    if (packet_parse(frame->octets, frame->len, frame->is_checksum_unset,
                     proxy->tcp->checksum_policy, &packet) == PACKET_TCP &&
        packet_is_for(&packet, proxy->endpoints, proxy->endpoint_count))
        pass_segment(proxy, &packet, &asking, train);
}

/* A question has its response, in proxy->datagram. Answer its segment: all of it, or where that
 * does not end the connection and is cheap, what is ready in turn. */
static void question_end(const struct proxy *proxy, const struct proxy_question *question,
                         size_t response_len, uint64_t now_ms, struct train *train)
{
    struct packet packet = question->packet;
    uint32_t request_seq = packet.seq + question->request_at;
    struct stateless_tcp_query query;
    proxy_answers_put(proxy->answers, proxy_ring_number(proxy->ring, question), proxy->datagram,
                      response_len);
    proxy_ring_remove(proxy->ring, question);
    if (question->is_early || receive(proxy, &packet, true, &query, train) != STATELESS_TCP_QUERY)
        return;
    bool is_cheap = has_sequel(proxy, &packet) && proxy->recent != NULL;
    if (is_cheap) {
        uint32_t answered_len = stateless_tcp_answered(&query);
        packet.seq += answered_len;
        packet.payload += answered_len;
        packet.payload_len -= answered_len;
        if (receive(proxy, &packet, true, &query, train) != STATELESS_TCP_QUERY)
            return;
    }
    struct survey survey = survey_take(proxy, &packet, &query);
    train->frame_count = train->len = 0;
    bool is_late = now_ms - question->asked_ms >= PROXY_GATHER_MS;
    if (survey.ready == survey.count ||
        (is_cheap && is_late && request_seq - packet.seq < survey.ready_len))
        answer(proxy, &packet, survey.ready, train);
}

bool proxy_response(const struct proxy *proxy, uint8_t port, size_t len, uint64_t now_ms,
                    struct train *train)
{
    assert(len <= PROXY_DATAGRAM_CAP);
    const struct proxy_question *question =
        proxy_ring_match(proxy->ring, port, proxy->datagram, len);
    if (question == NULL)
        return false;
    len = proxy_message_answer(question->payload + question->request_at, &question->shape,
                               proxy->has_ede, proxy->datagram, len);
    question_end(proxy, question, len, now_ms, train);
    return true;
}

bool proxy_overdue(const struct proxy *proxy, uint64_t now_ms, struct train *train)
{
    const struct proxy_failure late = {
        .rcode = PROXY_RCODE_SERVFAIL,
        .ede = PROXY_EDE_NETWORK_ERROR,
        .text = proxy->has_ede ? "the back end does not answer" : NULL,
    };
    const struct proxy_question *question = proxy_ring_overdue(proxy->ring, now_ms);
    if (question == NULL)
        return false;
    size_t len = proxy_message_fail(question->payload + question->request_at, &question->shape,
                                    &late, proxy->datagram);
    question_end(proxy, question, len, now_ms, train);
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client.bpf.h - a client of TCP or UDP, of which each step is one frame: what came is overwritten
 * with what follows of it.
 *
 *      FREE -- START: SYN --> SYN_SENT -- SYN+ACK: query --> OPEN -- answer: FIN --> FIN_SENT
 *                                                            |  ^                      |
 *                                                  answer: query                FIN: ACK --> FREE
 *
 * One frame comes and one goes, so the query acknowledges the SYN+ACK; where an ACK alone is to do
 * that, two copies of the query go, and on their way out the first becomes it. The rules are those
 * of raw_tcp.c, with one question at a time. What is left out besides: segments out of order are not
 * kept but acknowledged anew, so that the server sends them again; of a response the question must
 * be in one segment; checksums of what comes are not looked at.
 *
 * Compiled for BPF, and for the host, where test/unit/bench_client_test.c puts it before a server.
 * Whoever includes it has defined before:
 *     struct client_context                      a frame: client_data(), client_end() its octets
 *     bool client_resize(ctx, len)               make it so long, of any octets, anywhere
 *     client_now_ns()                            the time
 *     client_settings(), _progress(), _counts(), _place_at(number), _reference_at(number),
 *     _chunk_at(number), _command_at(number)     memory; NULL: there is none such
 */
#ifndef TOOLS_BENCH_CLIENT_BPF_H
#define TOOLS_BENCH_CLIENT_BPF_H

#include "tools/bench/client_frame.bpf.h"

enum {
    CLIENT_MSS = 1460,
    CLIENT_ID_STEP = 40503, /* so that IDs of connections differ */
    CLIENT_TUPLES_TRIED = 4,
    CLIENT_PATIENCE = 5, /* SYNs, and servers' FINs, take longer than data */
    CLIENT_DOUBLINGS = 6,
    CLIENT_FIN_TRIES = 4,
};

#define CLIENT_NEVER (~(uint64_t)0)

/* ---- places ---- */

DRIVER_INLINE bool client_lock(struct client_place *place)
{
    return __sync_val_compare_and_swap(&place->lock, 0, 1) == 0;
}

DRIVER_INLINE void client_unlock(struct client_place *place)
{
    __sync_lock_test_and_set(&place->lock, 0);
}

DRIVER_INLINE void client_arm(const struct client_config *config, struct client_place *place,
                              uint64_t now_ns)
{
    uint32_t doublings = place->tries < CLIENT_DOUBLINGS ? place->tries : CLIENT_DOUBLINGS;
    uint64_t wait_ns = config->retransmit_ns << doublings;
    bool is_patient = place->state == CLIENT_SYN_SENT ||
                      (place->state == CLIENT_FIN_SENT && place->una == place->next);
    place->deadline_ns = now_ns + (is_patient ? CLIENT_PATIENCE * wait_ns : wait_ns);
}

/* A segment of this connection follows; its sequence number is `seq`. */
DRIVER_INLINE int client_reply(const struct client_config *config, struct client_place *place,
                               struct client_work *work, uint8_t flags, uint32_t seq)
{
    place->unacked = 0;
    work->reply = (struct packet_segment){
        .seq = seq,
        .ack = place->rcv,
        .window = (uint16_t)config->window,
        .flags = flags,
        .has_timestamps = place->has_timestamps != 0,
        .timestamp_value = (uint32_t)(work->now_ns / 1000000),
        .timestamp_echo = place->echo,
    };
    return CLIENT_TX;
}

DRIVER_INLINE int client_reply_ack(const struct client_config *config, struct client_place *place,
                                   struct client_work *work)
{
    return client_reply(config, place, work, PACKET_ACK, place->next);
}

/* The question of the place follows. */
DRIVER_INLINE int client_reply_question(const struct client_config *config,
                                        struct client_place *place, struct client_work *work,
                                        uint32_t seq)
{
    work->has_question = 1;
    work->reference = place->reference;
    work->id = place->id;
    return client_reply(config, place, work, PACKET_PSH | PACKET_ACK, seq);
}

/* Whether one more may be asked; if so, it is taken. */
DRIVER_INLINE bool client_take_left(const struct client_config *config,
                                    struct client_shared *shared, uint64_t now_ns)
{
    if (now_ns >= config->end_ns)
        return false;
    if (__sync_fetch_and_add(&shared->left, -1) > 0)
        return true;
    __sync_fetch_and_add(&shared->left, 1);
    return false;
}

/* The next question becomes that of the place. Returns the octets of its message; 0: never. */
DRIVER_INLINE uint32_t client_take_question(const struct client_config *config,
                                            struct client_shared *shared,
                                            struct client_tally *counts, struct client_place *place,
                                            uint64_t due_ns, uint64_t now_ns)
{
    uint64_t number = __sync_fetch_and_add(&shared->question_next, 1);
    const uint64_t *reference = client_reference_at((uint32_t)(number % config->question_count));
    const struct client_question *question = reference ? client_question(*reference) : 0;
    if (!question)
        return 0;
    place->reference = (uint32_t)*reference;
    place->id = (uint16_t)(place->asked + place->tuple * CLIENT_ID_STEP);
    place->asked++;
    place->is_waiting = 1;
    place->left = 0;
    place->message_len = 0;
    place->due_ns = due_ns;
    counts->sent_ns = now_ns;
    counts->tally.sent++;
    counts->tally.octets_sent += question->len;
    return question->len;
}

/* Nothing of the query is waited for any more. */
DRIVER_INLINE void client_lose(struct client_tally *counts, struct client_place *place)
{
    counts->tally.lost += place->is_waiting;
    place->is_waiting = 0;
}

DRIVER_INLINE void client_leave(struct client_tally *counts, struct client_place *place,
                                enum client_state next)
{
    counts->ended += place->state != CLIENT_FIN_SENT;
    place->state = (uint8_t)next;
    place->deadline_ns = CLIENT_NEVER;
}

DRIVER_INLINE int client_reset(const struct client_config *config, struct client_tally *counts,
                               struct client_place *place, struct client_work *work)
{
    client_leave(counts, place, CLIENT_FREE);
    return client_reply(config, place, work, PACKET_RST | PACKET_ACK, place->next);
}

DRIVER_INLINE int client_finish(const struct client_config *config, struct client_tally *counts,
                                struct client_place *place, struct client_work *work)
{
    if (config->is_reset && !place->is_fin_received)
        return client_reset(config, counts, place, work);
    client_leave(counts, place, CLIENT_FIN_SENT);
    place->tries = 0;
    place->una = place->next++;
    client_arm(config, place, work->now_ns);
    return client_reply(config, place, work, PACKET_FIN | PACKET_ACK, place->una);
}

/* An answer is there in whole: count it. */
DRIVER_INLINE void client_answered(struct client_tally *counts, struct client_place *place,
                                   uint8_t rcode, bool is_truncated, uint64_t now_ns)
{
    const struct client_question *question = client_question(place->reference);
    place->is_waiting = 0;
    counts->answered_ns = now_ns;
    counts->tally.answered++;
    counts->tally.rcodes[rcode & 0x0f]++;
    counts->tally.truncated += is_truncated;
    if (question && question->rcode != CLIENT_RCODE_ANY && question->rcode != rcode)
        counts->tally.unexpected++;
    histogram_record(&counts->tally.latency, now_ns > place->due_ns ? now_ns - place->due_ns : 0);
}

/* ---- TCP ---- */

/* All of a response is there. */
DRIVER_INLINE int client_whole(const struct client_config *config, struct client_tally *counts,
                               struct client_place *place, struct client_work *work)
{
    struct client_shared *shared = client_progress();
    client_answered(counts, place, place->rcode, place->is_truncated, work->now_ns);
    place->una = place->next; /* who answers has what was asked */
    place->tries = 0;
    place->deadline_ns = CLIENT_NEVER;
    uint32_t limit = config->queries_per_connection;
    bool goes_on = !place->is_fin_received && config->is_looping && shared &&
                   (limit == 0 || place->asked < limit) &&
                   client_take_left(config, shared, work->now_ns);
    if (!goes_on)
        return client_finish(config, counts, place, work);
    uint32_t len = client_take_question(config, shared, counts, place, work->now_ns, work->now_ns);
    place->next += 2 + len;
    client_arm(config, place, work->now_ns);
    return client_reply_question(config, place, work, place->una);
}

/* A message begins in this segment: judge its head. */
DRIVER_INLINE int client_begin_message(struct client_context *ctx, struct client_tally *counts,
                                       struct client_place *place, struct client_work *work)
{
    if (place->message_len == 0) {
        const uint8_t *prefix = client_data(ctx) + (work->payload_at & 0xff);
        if (work->payload_len < 2 || prefix + 2 > (const uint8_t *)client_end(ctx))
            return CLIENT_WRONG;
        place->message_len = (uint16_t)client_be16(driver_load16(prefix));
        place->rcv += 2;
        work->payload_at += 2;
        work->payload_len -= 2;
        if (work->payload_len == 0)
            return CLIENT_STRAY; /* the length alone */
    }
    work->reference = place->reference;
    work->id = place->id;
    if (client_check(ctx, work) != CLIENT_RIGHT || work->payload_len > place->message_len)
        return CLIENT_WRONG;
    place->rcode = work->rcode;
    place->is_truncated = work->is_truncated;
    place->left = place->message_len;
    counts->tally.octets_received += place->message_len;
    return CLIENT_RIGHT;
}

/* New octets in order. `has_fin`: and nothing comes behind them. */
DRIVER_INLINE int client_take_data(struct client_context *ctx, const struct client_config *config,
                                   struct client_tally *counts, struct client_place *place,
                                   struct client_work *work, bool has_fin)
{
    int judged = place->left > 0 ? CLIENT_RIGHT : client_begin_message(ctx, counts, place, work);
    if (judged == CLIENT_STRAY)
        return client_reply_ack(config, place, work);
    if (judged == CLIENT_WRONG || work->payload_len > place->left) {
        counts->tally.wrong += place->is_waiting;
        place->is_waiting = 0;
        return client_reset(config, counts, place, work);
    }
    place->left -= work->payload_len;
    place->rcv += work->payload_len;
    if (place->left == 0) {
        place->is_fin_received = has_fin;
        place->rcv += has_fin;
        return client_whole(config, counts, place, work);
    }
    if (++place->unacked < 2 && (work->segment.flags & PACKET_PSH) == 0)
        return CLIENT_DROP;
    return client_reply_ack(config, place, work);
}

/* RFC 9293 3.10.7.4, fifth */
DRIVER_INLINE void client_take_ack(const struct client_config *config, struct client_place *place,
                                   uint32_t ack, uint64_t now_ns)
{
    if (!client_is_before(place->una, ack) || client_is_before(place->next, ack))
        return;
    place->una = ack;
    place->tries = 0;
    place->deadline_ns = CLIENT_NEVER;
    if (place->una != place->next || place->state == CLIENT_FIN_SENT)
        client_arm(config, place, now_ns);
}

DRIVER_INLINE int client_take_syn_sent(const struct client_config *config,
                                       struct client_tally *counts, struct client_place *place,
                                       struct client_work *work)
{
    const struct driver_segment *segment = &work->segment;
    bool has_ack = (segment->flags & PACKET_ACK) != 0;
    bool is_ours = has_ack && segment->ack == place->next;
    if (segment->flags & PACKET_RST) {
        if (!is_ours)
            return CLIENT_DROP;
        counts->tally.refused++;
        client_lose(counts, place);
        client_leave(counts, place, CLIENT_FREE);
        return CLIENT_DROP;
    }
    if (has_ack && !is_ours) {
        /* The server still has a former connection of this tuple (RFC 9293 3.5.1). */
        client_reply(config, place, work, PACKET_RST, segment->ack);
        work->reply.ack = 0;
        work->reply.has_timestamps = false;
        place->deadline_ns = work->now_ns;
        return CLIENT_TX;
    }
    const struct client_question *question = client_question(place->reference);
    if (!is_ours || (segment->flags & PACKET_SYN) == 0 || !question)
        return CLIENT_DROP;
    place->state = CLIENT_OPEN;
    place->rcv = segment->seq + 1;
    place->has_timestamps = segment->has_timestamps;
    place->echo = segment->timestamp_value;
    place->una = place->next;
    place->next += 2 + question->len;
    place->tries = 0;
    counts->tally.connections++;
    client_arm(config, place, work->now_ns);
    work->is_twice = config->has_own_ack;
    return client_reply_question(config, place, work, place->una);
}

/* RFC 7323 4.3 */
DRIVER_INLINE void client_take_echo(struct client_place *place,
                                    const struct driver_segment *segment)
{
    if (segment->has_timestamps && !client_is_before(segment->timestamp_value, place->echo) &&
        !client_is_before(place->rcv, segment->seq))
        place->echo = segment->timestamp_value;
}

DRIVER_INLINE int client_take_open(struct client_context *ctx, const struct client_config *config,
                                   struct client_tally *counts, struct client_place *place,
                                   struct client_work *work)
{
    struct driver_segment *segment = &work->segment;
    uint32_t seq = segment->seq, end = seq + work->payload_len;
    client_take_echo(place, segment);
    client_take_ack(config, place, segment->ack, work->now_ns);
    bool has_fin = (segment->flags & PACKET_FIN) != 0;
    if (client_is_before(place->rcv, seq) || (client_is_before(end, place->rcv)))
        return client_reply_ack(config, place, work); /* a piece is missing; or it is old */
    work->payload_at += place->rcv - seq;
    work->payload_len -= place->rcv - seq;
    if (work->payload_len > 0)
        return client_take_data(ctx, config, counts, place, work, has_fin);
    if (!has_fin)
        return end != seq ? client_reply_ack(config, place, work) : (int)CLIENT_DROP;
    counts->tally.resets += place->is_waiting;
    client_lose(counts, place);
    place->is_fin_received = 1;
    place->rcv++;
    return client_finish(config, counts, place, work);
}

DRIVER_INLINE int client_take_fin_sent(const struct client_config *config,
                                       struct client_tally *counts, struct client_place *place,
                                       struct client_work *work)
{
    struct driver_segment *segment = &work->segment;
    bool has_fin = (segment->flags & PACKET_FIN) != 0;
    client_take_echo(place, segment);
    client_take_ack(config, place, segment->ack, work->now_ns);
    if (has_fin && !place->is_fin_received && segment->seq + work->payload_len == place->rcv) {
        place->is_fin_received = 1;
        place->rcv++;
    }
    int verdict =
        has_fin || work->payload_len > 0 ? client_reply_ack(config, place, work) : (int)CLIENT_DROP;
    if (place->is_fin_received && place->una == place->next)
        client_leave(counts, place, CLIENT_FREE);
    return verdict;
}

/* A segment for a connection that is over, or never was. */
DRIVER_INLINE int client_stray(struct client_work *work)
{
    const struct driver_segment *segment = &work->segment;
    if (segment->flags & PACKET_RST || (segment->flags & PACKET_ACK) == 0)
        return CLIENT_DROP;
    work->reply = (struct packet_segment){.seq = segment->ack, .flags = PACKET_RST};
    if (segment->flags & PACKET_FIN) { /* our ACK of it was lost (RFC 9293 3.10.7.4, eighth) */
        work->reply.flags = PACKET_ACK;
        work->reply.ack = segment->seq + work->payload_len + 1;
        work->reply.has_timestamps = segment->has_timestamps;
        work->reply.timestamp_value = (uint32_t)(work->now_ns / 1000000);
        work->reply.timestamp_echo = segment->timestamp_value;
    } else if (work->payload_len == 0 && (segment->flags & PACKET_SYN) == 0) {
        return CLIENT_DROP;
    }
    return CLIENT_TX;
}

DRIVER_INLINE int client_take_tcp(struct client_context *ctx, const struct client_config *config,
                                  struct client_tally *counts, struct client_place *place,
                                  struct client_work *work)
{
    uint8_t flags = work->segment.flags, state = place->state;
    counts->tally.segments_received++;
    if (place->tuple != work->tuple || state == CLIENT_FREE)
        return client_stray(work);
    if (state == CLIENT_SYN_SENT)
        return client_take_syn_sent(config, counts, place, work);
    if (flags & PACKET_RST) {
        if (work->segment.seq - place->rcv > config->window)
            return CLIENT_DROP;
        counts->tally.resets += place->is_waiting;
        client_lose(counts, place);
        client_leave(counts, place, CLIENT_FREE);
        return CLIENT_DROP;
    }
    if (flags & PACKET_SYN) /* it has not seen that we have its SYN+ACK */
        return state == CLIENT_OPEN && place->asked == 1 && place->una != place->next
                   ? client_reply_question(config, place, work, place->una)
                   : client_reply_ack(config, place, work);
    if ((flags & PACKET_ACK) == 0)
        return CLIENT_DROP;
    return state == CLIENT_OPEN ? client_take_open(ctx, config, counts, place, work)
                                : client_take_fin_sent(config, counts, place, work);
}

/* ---- beginning ---- */

DRIVER_INLINE int client_reply_syn(const struct client_config *config, struct client_place *place,
                                   struct client_work *work)
{
    place->has_timestamps = 1;
    client_reply(config, place, work, PACKET_SYN, place->una);
    work->reply.ack = 0;
    work->reply.mss = CLIENT_MSS;
    client_arm(config, place, work->now_ns);
    return CLIENT_TX;
}

/* In a free place of which the lock is held. */
DRIVER_INLINE int client_begin_at(const struct client_config *config, struct client_shared *shared,
                                  struct client_tally *counts, struct client_place *place,
                                  struct client_work *work, uint64_t due_ns)
{
    uint32_t seq = (uint32_t)(work->now_ns / 1000);
    place->tuple = work->tuple;
    place->tries = place->is_fin_received = place->unacked = 0;
    place->asked = place->rcv = place->echo = 0;
    place->una = seq;
    place->next = seq + 1;
    place->deadline_ns = CLIENT_NEVER;
    if (due_ns != 0)
        histogram_record(&counts->tally.lag, work->now_ns > due_ns ? work->now_ns - due_ns : 0);
    client_take_question(config, shared, counts, place, due_ns != 0 ? due_ns : work->now_ns,
                         work->now_ns);
    counts->opened++;
    client_put_tuple(config, work->tuple, &work->segment);
    if (config->is_udp) {
        place->state = CLIENT_ASKED;
        return client_reply_question(config, place, work, 0);
    }
    place->state = CLIENT_SYN_SENT;
    return client_reply_syn(config, place, work);
}

/* Begin a connection, or a query over UDP, with the next tuple whose place is free. */
DRIVER_STEP int client_begin(struct client_work *work, uint64_t due_ns)
{
    const struct client_config *config = client_settings();
    struct client_shared *shared = client_progress();
    struct client_tally *counts = client_counts();
    int verdict = CLIENT_DROP;
    if (!work || !config || !shared || !counts)
        return CLIENT_DROP;
    if (!client_take_left(config, shared, work->now_ns)) {
        counts->refused++;
        return CLIENT_DROP;
    }
    for (unsigned i = 0; i < CLIENT_TUPLES_TRIED; i++) {
        uint64_t number = __sync_fetch_and_add(&shared->tuple_next, 1);
        work->tuple = (uint32_t)(number % config->tuples.count);
        struct client_place *place = client_place_at(work->tuple & config->place_mask);
        if (!place || !client_lock(place))
            continue;
        if (place->state == CLIENT_FREE)
            verdict = client_begin_at(config, shared, counts, place, work, due_ns);
        client_unlock(place);
        if (verdict == CLIENT_TX)
            return verdict;
    }
    __sync_fetch_and_add(&shared->left, 1);
    counts->refused++;
    return CLIENT_DROP;
}

/* ---- UDP ---- */

DRIVER_INLINE int client_take_udp(struct client_context *ctx, struct client_tally *counts,
                                  struct client_place *place, struct client_work *work)
{
    work->reference = place->reference;
    work->id = place->id;
    int judged = CLIENT_STRAY;
    if (place->tuple == work->tuple && place->state == CLIENT_ASKED)
        judged = client_check(ctx, work);
    if (judged == CLIENT_STRAY) {
        counts->tally.stray++;
        return CLIENT_DROP;
    }
    counts->tally.octets_received += work->payload_len;
    if (judged == CLIENT_WRONG)
        counts->tally.wrong++;
    else
        client_answered(counts, place, work->rcode, work->is_truncated, work->now_ns);
    place->is_waiting = 0;
    client_leave(counts, place, CLIENT_FREE);
    return CLIENT_OURS; /* the next may be asked */
}

/* ---- the two ways in ---- */

/* What follows of a frame that client_parse() has read. */
DRIVER_STEP int client_take(struct client_context *ctx, struct client_work *work)
{
    const struct client_config *config = client_settings();
    struct client_tally *counts = client_counts();
    if (!work || !config || !counts)
        return CLIENT_DROP;
    struct client_place *place = client_place_at(work->tuple & config->place_mask);
    if (!place || !client_lock(place))
        return CLIENT_DROP;
    int verdict = config->is_udp ? client_take_udp(ctx, counts, place, work)
                                 : client_take_tcp(ctx, config, counts, place, work);
    client_unlock(place);
    return verdict;
}

/* Send again what is not acknowledged. */
DRIVER_INLINE int client_again(const struct client_config *config, struct client_tally *counts,
                               struct client_place *place, struct client_work *work)
{
    bool is_due = place->deadline_ns <= work->now_ns;
    bool has_sent = place->state == CLIENT_SYN_SENT || place->una != place->next ||
                    place->state == CLIENT_FIN_SENT;
    if (!is_due || !has_sent)
        return CLIENT_DROP;
    if (place->state == CLIENT_FIN_SENT && place->tries >= CLIENT_FIN_TRIES)
        return client_reset(config, counts, place, work);
    place->tries++;
    counts->tally.retransmissions++;
    client_arm(config, place, work->now_ns);
    if (place->state == CLIENT_SYN_SENT)
        return client_reply_syn(config, place, work);
    if (place->state == CLIENT_OPEN)
        return client_reply_question(config, place, work, place->una);
    return client_reply(config, place, work, PACKET_FIN | PACKET_ACK, place->next - 1);
}

DRIVER_INLINE int client_give_up(const struct client_config *config, struct client_tally *counts,
                                 struct client_place *place, struct client_work *work)
{
    uint8_t state = place->state;
    counts->tally.refused += state == CLIENT_SYN_SENT;
    client_lose(counts, place);
    if (state == CLIENT_OPEN || state == CLIENT_FIN_SENT)
        return client_reset(config, counts, place, work);
    client_leave(counts, place, CLIENT_FREE);
    return CLIENT_DROP;
}

/* What the next command says. */
DRIVER_STEP int client_obey(struct client_work *work)
{
    const struct client_config *config = client_settings();
    struct client_shared *shared = client_progress();
    struct client_tally *counts = client_counts();
    if (!work || !config || !shared || !counts)
        return CLIENT_DROP;
    const struct client_command *command =
        client_command_at(shared->command_next++ & (CLIENT_COMMANDS - 1));
    if (!command)
        return CLIENT_DROP;
    if (command->kind == CLIENT_START)
        return client_begin(work, command->due_ns);
    work->tuple = command->tuple;
    struct client_place *place = client_place_at(work->tuple & config->place_mask);
    int verdict = CLIENT_DROP;
    if (!place || !client_lock(place))
        return CLIENT_DROP;
    client_put_tuple(config, work->tuple, &work->segment);
    if (place->tuple == work->tuple && place->state != CLIENT_FREE) {
        if (command->kind == CLIENT_AGAIN)
            verdict = client_again(config, counts, place, work);
        else if (place->due_ns == command->due_ns)
            verdict = client_give_up(config, counts, place, work);
    }
    client_unlock(place);
    return verdict;
}

/* A frame came. */
DRIVER_INLINE int client_receive(struct client_context *ctx, struct client_work *work)
{
    int verdict = client_parse(ctx, work);
    if (verdict != CLIENT_OURS)
        return verdict;
    const struct client_config *config = client_settings();
    if (!config)
        return CLIENT_PASS;
    if (!config->is_udp && driver_read_options(&work->segment) != DRIVER_PARSED)
        return CLIENT_DROP;
    work->now_ns = client_now_ns();
    work->has_question = work->is_twice = 0;
    verdict = client_take(ctx, work);
    if (verdict == CLIENT_OURS && config->is_looping)
        verdict = client_begin(work, 0);
    return verdict == CLIENT_TX ? client_send(ctx, work) : CLIENT_DROP;
}

/* A frame was made for the next command. */
DRIVER_INLINE int client_command(struct client_context *ctx, struct client_work *work)
{
    work->now_ns = client_now_ns();
    work->has_question = work->is_twice = 0;
    return client_obey(work) == CLIENT_TX ? client_send(ctx, work) : CLIENT_DROP;
}

#endif

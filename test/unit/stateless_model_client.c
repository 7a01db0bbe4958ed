/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client is unkind where kernels differ: it answers each segment that it cannot use, and each
 * one in TIME-WAIT; it acknowledges at once or late, as the scenario says.
 */
#include "test/unit/stateless_model.h"

/* What is there out of order; before it, what has just come once more (RFC 2883). */
static void add_sacks(const struct client *client, const struct span *twice,
                      struct segment *segment)
{
    if (!scenario->has_sack)
        return;
    if (twice != NULL)
        segment->sacks[segment->sack_count++] = *twice;
    for (unsigned i = 0; i < client->ahead_count && segment->sack_count < SACKS_MAX; i++)
        segment->sacks[segment->sack_count++] = client->ahead[i];
}

static void emit(struct world *world, uint32_t from, uint32_t to, bool has_fin,
                 const struct span *twice)
{
    struct client *client = &world->client;
    struct segment segment = {
        .seq = IRS + 1 + from,
        .ack = model_iss + 1 + client->rcv,
        .value = 5,
        .echo = client->recent,
        .at = (uint16_t)from,
        .len = (uint16_t)(to - from),
        .flags = PACKET_ACK | (has_fin ? PACKET_FIN : 0),
        .is_to_server = true,
    };
    add_sacks(client, twice, &segment);
    client->last_ack = client->rcv;
    client->is_ack_due = false;
    world_fly(world, &segment);
}

static void emit_ack(struct world *world, const struct span *twice)
{
    uint32_t next = world->client.next;
    emit(world, next, next, false, twice);
}

void client_ack(struct world *world)
{
    emit_ack(world, NULL);
}

static void emit_syn(struct world *world)
{
    struct segment segment = {.seq = IRS, .flags = PACKET_SYN, .value = 5, .is_to_server = true};
    world_fly(world, &segment);
}

static void push(struct world *world, uint32_t to)
{
    struct client *client = &world->client;
    while (client->next < to) {
        uint32_t end = scenario->cut > 0 && to - client->next > scenario->cut
                           ? client->next + scenario->cut
                           : to;
        must_be(client->sent_count < sizeof(client->sent) / sizeof(client->sent[0]));
        client->sent[client->sent_count++] = client->next;
        emit(world, client->next, end, false, NULL);
        client->next = end;
    }
}

/* Where response `id` ends, which begins at `at`; 0: it is not there yet. Sets its bit of
 * `versions`. `end`: where the client's octets end. */
static uint32_t find_response(const struct world *world, uint32_t end, unsigned id, uint32_t at,
                              unsigned *versions)
{
    const uint8_t *octets = world->octets + at;
    if (end < at + 2 || end < at + 2 + 256u * octets[0] + octets[1])
        return 0;
    for (unsigned is_changed = 0; is_changed < 2; is_changed++) {
        unsigned choice = *versions | is_changed << id;
        uint32_t to = model_response_end[choice][id + 1];
        if (to <= end && memcmp(octets, model_streams[choice] + at, to - at) == 0) {
            *versions = choice;
            return to;
        }
    }
    model_fail("a mix: response %u at %u", id, at);
}

unsigned client_answers(const struct world *world)
{
    const struct client *client = &world->client;
    unsigned count = 0, versions = 0;
    uint32_t end = client->rcv - client->has_fin, at = 0;
    while (count < scenario->count) {
        at = scenario->changes > 0 ? find_response(world, end, count, at, &versions)
                                   : model_response_end[0][count + 1];
        if (at == 0 || at > end)
            break;
        count++;
    }
    return count;
}

static void close_stream(struct world *world)
{
    struct client *client = &world->client;
    client->is_fin_sent = true;
    client->is_last_ack = client->has_fin;
    must_be(client->sent_count < sizeof(client->sent) / sizeof(client->sent[0]));
    client->sent[client->sent_count++] = client->next;
    emit(world, client->next, client->next, true, NULL);
    client->next++;
}

/* The application: what it does as soon as it can. */
static void act(struct world *world)
{
    struct client *client = &world->client;
    if (client->is_reset)
        return;
    unsigned answers = client_answers(world);
    bool has_begun = client->asked > 0 && scenario->is_impatient &&
                     client->rcv > model_response_end[0][client->asked - 1];
    while (
        !client->is_fin_sent && client->asked < scenario->count &&
        (scenario->is_pipelined || scenario->is_joined || answers == client->asked || has_begun)) {
        uint32_t from = client->next;
        unsigned first = client->asked++;
        if (scenario->is_joined)
            client->asked = (uint16_t)scenario->count;
        must_be(from == model_request_end[first]);
        if (scenario->is_split)
            push(world, from + 2);
        push(world, model_request_end[client->asked]);
        has_begun =
            scenario->is_impatient && client->rcv > model_response_end[0][client->asked - 1];
    }
    bool is_done = answers == scenario->count || client->has_fin;
    if (!client->is_fin_sent && client->asked == scenario->count &&
        (is_done || (scenario->is_half_closing && (!scenario->is_impatient || has_begun))))
        close_stream(world);
}

bool client_is_done(const struct client *client)
{
    return client->is_reset || (client->is_fin_sent && client->una == client->next);
}

static void take_ack(struct client *client, uint32_t ack)
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

/* Whether something of it is new. */
static bool take_span(struct client *client, uint32_t from, uint32_t to)
{
    from = from < client->rcv ? client->rcv : from;
    if (from >= to)
        return false;
    struct span kept[AHEAD_CAP + 1];
    unsigned count = 0, before = 0;
    for (unsigned i = 0; i < client->ahead_count; i++) {
        struct span span = client->ahead[i];
        if (span.from <= from && to <= span.to)
            return false;
        if (span.to < from || span.from > to) {
            before += span.to < from;
            kept[count++] = span;
            continue;
        }
        from = span.from < from ? span.from : from;
        to = span.to > to ? span.to : to;
    }
    memmove(kept + before + 1, kept + before, (count - before) * sizeof(kept[0]));
    kept[before] = (struct span){(uint16_t)from, (uint16_t)to};
    count++;
    bool is_in_order = kept[0].from == client->rcv;
    if (is_in_order)
        client->rcv = kept[0].to;
    client->ahead_count = count - is_in_order;
    must_be(client->ahead_count <= AHEAD_CAP);
    memset(client->ahead, 0, sizeof(client->ahead));
    memcpy(client->ahead, kept + is_in_order, client->ahead_count * sizeof(kept[0]));
    return true;
}

/* Whether data or FIN brought something new. */
static bool take_text(struct world *world, const struct segment *segment, uint32_t offset)
{
    struct client *client = &world->client;
    uint32_t len = segment->len, end = offset + len;
    bool has_fin = segment->flags & PACKET_FIN;
    bool is_misplaced =
        client->fin_at != 0 && (end > client->fin_at || (has_fin && end != client->fin_at));
    /* Without timestamps, requests joined behind the first ones lengthen the train: too late. */
    must(!is_misplaced || scenario->has_no_timestamps, "data behind the end, or another end");
    if (is_misplaced)
        return false;
    if (scenario->changes > 0)
        for (uint32_t i = 0; i < len; i++) { /* what is there stays */
            bool is_there = offset + i < client->rcv;
            for (unsigned j = 0; j < client->ahead_count; j++)
                is_there |= client->ahead[j].from <= offset + i && offset + i < client->ahead[j].to;
            if (!is_there)
                world->octets[offset + i] = model_streams[segment->versions][offset + i];
        }
    bool is_new = take_span(client, offset, end + has_fin);
    if (has_fin)
        client->fin_at = end;
    client->has_fin = client->fin_at != 0 && client->rcv > client->fin_at;
    return is_new;
}

static void receive_syn_sent(struct world *world, const struct segment *segment)
{
    struct client *client = &world->client;
    must_be((segment->flags & (PACKET_SYN | PACKET_ACK)) == (PACKET_SYN | PACKET_ACK));
    client->is_open = true;
    client->recent = segment->value;
    client_ack(world);
    act(world);
}

void client_receive(struct world *world, const struct segment *segment)
{
    struct client *client = &world->client;
    if (client->is_reset)
        return;
    if (!client->is_open) {
        receive_syn_sent(world, segment);
        return;
    }
    if (segment->flags & PACKET_SYN) {
        client_ack(world); /* RFC 5961 4 */
        return;
    }
    uint32_t offset = segment->seq - model_iss - 1;
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
    bool was_closed = client->has_fin;
    bool has_text = segment->len > 0 || (segment->flags & PACKET_FIN);
    bool is_new = has_text && take_text(world, segment, offset);
    take_ack(client, segment->ack);
    bool is_time_wait = was_closed && client_is_done(client);
    uint32_t room = scenario->window ? scenario->window : 64240;
    struct span twice = {(uint16_t)offset, (uint16_t)(offset + segment->len)};
    if (is_time_wait || (has_text && (!is_new || !scenario->is_ack_late || client->is_ack_due)) ||
        (!has_text &&
         offset - client->rcv >= room)) /* RFC 9293 3.10.7.4; without data: in the window */
        emit_ack(world, has_text && !is_new ? &twice : NULL);
    else if (has_text)
        client->is_ack_due = true;
    act(world);
}

void client_resend(struct world *world, enum resend resend)
{
    struct client *client = &world->client;
    if (!client->is_open) {
        emit_syn(world);
        return;
    }
    if (client->sent_count == 0)
        return;
    uint32_t from = client->una, to = client->next;
    if (resend == RESEND_JOINED)
        client->sent_count = 1;
    if (resend == RESEND_OLDEST && client->sent_count > 1)
        to = client->sent[1];
    if (resend == RESEND_LAST)
        from = client->sent[client->sent_count - 1];
    bool has_fin = client->is_fin_sent && to == client->next;
    emit(world, from, to - has_fin, has_fin, NULL);
}

void client_begin(struct world *world, uint32_t syn_tag)
{
    if (scenario->has_opening) {
        emit_syn(world);
        return;
    }
    world->client.is_open = true;
    world->client.recent = syn_tag;
    client_ack(world);
    act(world);
}

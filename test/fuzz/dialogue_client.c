/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kernel of this client answers each segment that it cannot use, believes RST only at the octet
 * that it expects (RFC 5961 3.2), checks timestamps (RFC 7323 5.3) and joins what it sends again.
 */
#include "dialogue.h"

#define MODERN_MOST_CLOSE 60000 /* where profile modern may end a connection by itself */

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* ---- the network ---- */

static struct dialogue_flight *fly(struct dialogue_client *client)
{
    if (client->flight_count == DIALOGUE_FLIGHT_MAX) {
        client->is_lossy = true;
        return NULL;
    }
    return &client->air[client->flight[client->flight_count++]];
}

/* Out of the queue; its place becomes free behind it. */
static struct dialogue_flight *land(struct dialogue_client *client, unsigned index)
{
    unsigned place = client->flight[index];
    client->flight_count--;
    memmove(client->flight + index, client->flight + index + 1,
            (client->flight_count - index) * sizeof client->flight[0]);
    client->flight[client->flight_count] = place;
    return &client->air[place];
}

/* ---- sending ---- */

/* Timestamps, and what is there out of order. */
static size_t write_options(const struct dialogue_client *client, uint8_t *options)
{
    size_t len = 0;
    if (client->has_timestamps) {
        memcpy(options, "\1\1\10\12", 4);
        put32(options + 4, client->clock);
        put32(options + 8, client->recent);
        len = 12;
    }
    if (client->has_sack && client->ahead_count > 0) {
        unsigned count = client->ahead_count < 3 ? client->ahead_count : 3;
        const uint8_t head[4] = {1, 1, 5, (uint8_t)(2 + 8 * count)};
        memcpy(options + len, head, 4);
        len += 4;
        for (unsigned i = 0; i < count; i++, len += 8) {
            put32(options + len, client->iss + 1 + client->ahead[i].from);
            put32(options + len + 4, client->iss + 1 + client->ahead[i].to);
        }
    }
    return len;
}

static void emit(struct dialogue_client *client, struct frame_spec *spec)
{
    struct dialogue_flight *flight = fly(client);
    client->clock++;
    if (flight == NULL)
        return;
    spec->source_port = client->port;
    flight->is_to_server = true;
    flight->len = (uint16_t)frame_build(spec, flight->octets);
}

static void emit_data(struct dialogue_client *client, uint32_t from, uint32_t to, bool has_fin)
{
    uint8_t options[40];
    struct frame_spec spec = frame_spec_client(client->family);
    spec.seq = client->irs + 1 + from;
    spec.ack = client->iss + 1 + client->rcv;
    spec.flags = PACKET_ACK | (has_fin ? PACKET_FIN : 0) | (to > from ? PACKET_PSH : 0);
    spec.window = client->window;
    spec.options = options;
    spec.options_len = write_options(client, options);
    spec.payload = client->requests + from;
    spec.payload_len = to - from;
    client->last_ack = client->rcv;
    client->is_ack_due = false;
    emit(client, &spec);
}

/* With the requests that there are, if it has a Fast Open cookie. */
static void emit_syn(struct dialogue_client *client)
{
    uint8_t options[32] = {2, 4, (uint8_t)(client->mss >> 8), (uint8_t)client->mss, 1, 1, 1, 1};
    if (client->has_sack)
        memcpy(options + 4, "\4\2", 2);
    memcpy(options + 8, "\1\1\10\12", 4);
    put32(options + 12, client->clock);
    struct frame_spec spec = frame_spec_client(client->family);
    spec.seq = client->irs;
    spec.flags = PACKET_SYN;
    spec.window = client->window;
    spec.options = options;
    spec.options_len = client->has_timestamps ? 20 : 8;
    if (client->is_fast_asking) {
        memcpy(options + 20, "\42\2\1\1", 4);
        spec.options_len = 24;
    } else if (client->requests_len > 0) {
        memcpy(options + 20, "\1\1\42\12", 4);
        memcpy(options + 24, client->fast_open_cookie, PACKET_FAST_OPEN_COOKIE_LEN);
        spec.options_len = 32;
        spec.payload = client->requests;
        spec.payload_len = client->requests_len;
    }
    emit(client, &spec);
}

static void note_request(struct dialogue_client *client, uint8_t id)
{
    client->ids[client->asked++] = id;
    client->requests_len += dialogue_request(id, client->requests + client->requests_len);
    client->is_excused |= dialogue_response_len(id, 0) == 0 || (id & 0x7f) == 0x7f;
    for (uint8_t version = 0; id & 0x40 && version < 16; version++)
        client->is_excused |= dialogue_response_len(id, version) == 0;
}

void dialogue_client_connect(struct dialogue_client *client, uint32_t irs, int fast_id)
{
    const struct dialogue_client fresh = {
        .family = client->family,
        .port = client->port,
        .mss = client->mss,
        .window = client->window,
        .has_timestamps = client->has_timestamps,
        .has_sack = client->has_sack,
        .is_ack_late = client->is_ack_late,
        .state = DIALOGUE_SYN_SENT,
        .irs = irs,
        .has_fast_open = client->has_fast_open,
        .is_fast_asking = fast_id == -1 && client->has_timestamps,
        .clock = 1000,
        .is_orderly = true,
        .air = client->air,
        .requests = client->requests,
        .stream = client->stream,
    };
    uint8_t cookie[PACKET_FAST_OPEN_COOKIE_LEN];
    memcpy(cookie, client->fast_open_cookie, sizeof cookie);
    *client = fresh;
    memcpy(client->fast_open_cookie, cookie, sizeof cookie);
    for (unsigned i = 0; i < DIALOGUE_FLIGHT_MAX; i++)
        client->flight[i] = i;
    if (fast_id >= 0 && client->has_timestamps && client->has_fast_open)
        note_request(client, (uint8_t)fast_id);
    emit_syn(client);
}

bool dialogue_client_ask(struct dialogue_client *client, const uint8_t *ids, unsigned count,
                         uint32_t cut)
{
    if (client->state != DIALOGUE_OPEN || client->is_fin_sent ||
        client->asked + count > DIALOGUE_REQUESTS_MAX || client->next - client->una > 1000)
        return false;
    uint32_t from = client->next;
    client->is_orderly &= client->una == client->next; /* answers to answers may cross */
    /* Without timestamps, and in profile classic, there is one exchange for a connection. */
    client->is_excused |= client->asked > 0 && !client->has_timestamps;
    for (unsigned i = 0; i < count; i++)
        note_request(client, ids[i]);
    cut = cut < client->requests_len - from ? cut : 0;
    client->is_excused |= !client->has_timestamps && cut != 0 && cut != 2;
    if (cut > 0)
        emit_data(client, from, from + cut, false);
    emit_data(client, from + cut, client->requests_len, false);
    client->next = client->requests_len;
    return true;
}

void dialogue_client_fin(struct dialogue_client *client)
{
    if (client->state != DIALOGUE_OPEN || client->is_fin_sent)
        return;
    client->is_excused |= !client->has_timestamps && !client->has_fin;
    client->is_fin_sent = true;
    emit_data(client, client->next, client->next, true);
    client->next++;
}

void dialogue_client_ack(struct dialogue_client *client)
{
    if (client->state == DIALOGUE_OPEN) {
        uint32_t end = client->next;
        emit_data(client, end, end, false);
    }
}

void dialogue_client_timer(struct dialogue_client *client, uint32_t cut)
{
    if (client->state == DIALOGUE_SYN_SENT)
        emit_syn(client);
    if (client->state != DIALOGUE_OPEN || client->una == client->next)
        return;
    client->is_orderly &= client->flight_count == 0;
    uint32_t end = client->next - client->is_fin_sent, to = end;
    if (cut > 0) {
        uint32_t whole = 0;
        while (whole <= client->una && whole < end)
            whole += 2u + client->requests[whole + 1];
        to = client->una + cut < whole ? whole : client->una + cut;
        to = to < end ? to : end;
    }
    emit_data(client, client->una, to, client->is_fin_sent && to == end);
}

/* ---- receiving ---- */

/* Compare `len` octets of the ring from offset `at` on. */
static void check_octets(const struct dialogue_client *client, uint32_t at, const uint8_t *expected,
                         uint32_t len)
{
    uint32_t place = at % DIALOGUE_STREAM_CAP;
    uint32_t first = DIALOGUE_STREAM_CAP - place < len ? DIALOGUE_STREAM_CAP - place : len;
    MUST(memcmp(client->stream + place, expected, first) == 0);
    MUST(memcmp(client->stream, expected + first, len - first) == 0);
}

static uint8_t octet_at(const struct dialogue_client *client, uint32_t at)
{
    return client->stream[at % DIALOGUE_STREAM_CAP];
}

/* What is there in order must be the beginning of the responses, each of one version. */
static void check_stream(struct dialogue_client *client, uint8_t version)
{
    uint32_t end = client->rcv - client->has_fin;
    while (client->checked < end) {
        uint32_t at = client->response_at;
        MUST(client->answered < client->asked);
        uint8_t id = client->ids[client->answered];
        if (end - at < 2 + DIALOGUE_RESPONSE_HEAD)
            return;
        uint8_t of = octet_at(client, at + 3);
        uint32_t len = dialogue_response_len(id, of);
        MUST(octet_at(client, at + 2) == id && of <= version);
        MUST(len == (uint32_t)octet_at(client, at) * 256 + octet_at(client, at + 1));
        uint32_t from = client->checked < at + 4 ? at + 4 : client->checked;
        uint32_t to = end < at + 2 + len ? end : at + 2 + len;
        check_octets(client, from, dialogue_response_rest(id, of) + (from - at - 4), to - from);
        client->checked = to;
        if (to < at + 2 + len)
            return;
        client->answered++;
        client->response_at = to;
    }
}

/* Note octets [from, to) as there. Returns whether any of them is new. */
static bool note_ahead(struct dialogue_client *client, uint32_t from, uint32_t to)
{
    struct dialogue_ahead *ahead = client->ahead;
    for (unsigned i = 0; i < client->ahead_count; i++)
        if (ahead[i].from <= from && to <= ahead[i].to)
            return false;
    for (unsigned i = client->ahead_count; i-- > 0;) {
        if (ahead[i].from > to || from > ahead[i].to)
            continue;
        from = ahead[i].from < from ? ahead[i].from : from;
        to = ahead[i].to > to ? ahead[i].to : to;
        ahead[i] = ahead[--client->ahead_count];
    }
    if (client->ahead_count <= DIALOGUE_AHEAD_MAX) {
        memmove(ahead + 1, ahead, client->ahead_count++ * sizeof ahead[0]);
        ahead[0] = (struct dialogue_ahead){from, to};
    }
    return true;
}

/* Take what the gap before has been closed of. */
static void take_ahead(struct dialogue_client *client)
{
    for (unsigned i = 0; i < client->ahead_count;) {
        struct dialogue_ahead ahead = client->ahead[i];
        if (ahead.from > client->rcv) {
            i++;
            continue;
        }
        client->rcv = ahead.to > client->rcv ? ahead.to : client->rcv;
        client->ahead[i] = client->ahead[--client->ahead_count];
        i = 0;
    }
}

/* Whether data or FIN brought something new. */
static bool take_text(struct dialogue_client *client, const struct packet *packet, uint32_t offset)
{
    uint32_t len = packet->payload_len, from = offset, to = offset + len;
    bool is_new = false, is_beyond = client->is_fin_known && to > client->fin_at && len > 0;
    /* Without timestamps, requests joined behind the first one lengthen the train: too late. */
    MUST(!is_beyond || !client->has_timestamps);
    if (is_beyond)
        return false;
    if (len > 0 && to > client->rcv) {
        from = from < client->rcv ? client->rcv : from;
        if (to - client->rcv > client->window) /* profile classic does not look at it */
            return false;
        bool is_room = from <= client->rcv || client->ahead_count < DIALOGUE_AHEAD_MAX;
        is_new = is_room && note_ahead(client, from, to);
        for (uint32_t i = from; is_new && i < to;) {
            uint32_t place = i % DIALOGUE_STREAM_CAP, piece = to - i;
            piece = piece < DIALOGUE_STREAM_CAP - place ? piece : DIALOGUE_STREAM_CAP - place;
            memcpy(client->stream + place, packet->payload + (i - offset), piece);
            i += piece;
        }
        if (from == client->rcv && client->ahead_count > 0)
            take_ahead(client);
    }
    if (packet->flags & PACKET_FIN) {
        MUST(!client->is_fin_known || client->fin_at == to || !client->has_timestamps);
        is_new |= !client->is_fin_known;
        client->fin_at = client->is_fin_known ? client->fin_at : to;
        client->is_fin_known = true;
    }
    if (client->is_fin_known && !client->has_fin && client->rcv == client->fin_at) {
        client->has_fin = true;
        client->rcv++;
    }
    return is_new;
}

static void receive_syn_sent(struct dialogue_client *client, const struct packet *packet)
{
    uint32_t taken = packet->ack - client->irs - 1;
    if ((packet->flags & (PACKET_SYN | PACKET_ACK)) != (PACKET_SYN | PACKET_ACK) ||
        taken > client->requests_len)
        return;
    MUST(taken == 0 || taken == client->requests_len);
    MUST(!packet->has_timestamps || client->has_timestamps);
    MUST(!packet->has_sack_permitted || client->has_sack);
    client->state = DIALOGUE_OPEN;
    client->iss = packet->seq;
    client->recent = packet->timestamp_value;
    client->has_timestamps = packet->has_timestamps;
    client->has_sack = packet->has_sack_permitted;
    if (packet->has_fast_open_cookie) {
        MUST(client->is_fast_asking || client->requests_len > 0);
        client->has_fast_open = true;
        memcpy(client->fast_open_cookie, packet->fast_open_cookie, PACKET_FAST_OPEN_COOKIE_LEN);
    }
    client->una = taken;
    client->next = client->requests_len;
    /* The response may have overtaken this, or been lost: that is the price. */
    client->is_excused |= taken > 0 && !client->is_orderly;
    client->is_fast = taken > 0;
    if (taken < client->next)
        emit_data(client, 0, client->next, false);
    else
        dialogue_client_ack(client);
}

static void take_reset(struct dialogue_client *client, uint32_t offset)
{
    if (offset != client->rcv)
        return;
    MUST(client->is_excused || client->has_fin);
    client->state = DIALOGUE_RESET;
}

static void take_acked(struct dialogue_client *client, uint32_t acked)
{
    uint32_t begin = 0;
    client->una = acked;
    for (uint32_t next = 0; next <= acked && next < client->requests_len;) {
        begin = next;
        next += 2u + client->requests[next + 1];
    }
    /* A piece that the cache may forget (modern_tail.h). The length is no such piece. */
    client->is_excused |= acked < client->requests_len && acked != begin && acked != begin + 2;
}

static void receive_open(struct dialogue_client *client, const struct packet *packet,
                         uint8_t version)
{
    uint32_t offset = packet->seq - client->iss - 1;
    if (packet->flags & PACKET_RST) {
        take_reset(client, offset);
        return;
    }
    if (packet->flags & PACKET_SYN) {
        dialogue_client_ack(client);
        return;
    }
    MUST(packet->has_timestamps == client->has_timestamps);
    if (client->has_timestamps && (int32_t)(packet->timestamp_value - client->recent) < 0) {
        MUST(!client->is_orderly || packet->payload_len == 0);
        dialogue_client_ack(client);
        return;
    }
    if (offset <= client->last_ack)
        client->recent = packet->timestamp_value;
    bool was_closed = client->has_fin;
    bool has_text = packet->payload_len > 0 || (packet->flags & PACKET_FIN);
    bool is_in_order = offset <= client->rcv;
    bool is_new = take_text(client, packet, offset);
    uint32_t acked = packet->ack - client->irs - 1;
    MUST(acked <= client->next);
    if (acked > client->una)
        take_acked(client, acked);
    check_stream(client, version);
    bool is_time_wait = was_closed && client->is_fin_sent && client->una == client->next;
    bool is_at_once =
        !is_new || !is_in_order || !client->is_ack_late || client->is_ack_due || client->has_fin;
    if (is_time_wait || (has_text && is_at_once) ||
        (!has_text && offset - client->rcv >= client->window))
        dialogue_client_ack(client);
    else if (has_text)
        client->is_ack_due = true;
}

static void receive(struct dialogue_client *client, const uint8_t *frame, size_t len,
                    uint8_t version)
{
    struct packet packet;
    MUST(packet_parse(frame, len, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP);
    MUST(packet.payload_len <= client->mss);
    if (client->state == DIALOGUE_SYN_SENT)
        receive_syn_sent(client, &packet);
    else if (client->state == DIALOGUE_OPEN)
        receive_open(client, &packet, version);
}

void dialogue_client_move(struct dialogue_client *client, struct dialogue_server *server,
                          unsigned index, enum dialogue_fate fate)
{
    if (index >= client->flight_count)
        return;
    client->is_orderly &= (index == 0 && fate != DIALOGUE_REPEAT);
    client->is_lossy |= fate == DIALOGUE_LOSE;
    client->is_excused |= client->is_fast && (client->is_lossy || !client->is_orderly);
    const struct dialogue_flight *flight =
        fate == DIALOGUE_REPEAT ? &client->air[client->flight[index]] : land(client, index);
    if (fate == DIALOGUE_LOSE)
        return;
    if (!flight->is_to_server) {
        receive(client, flight->octets, flight->len, server->version);
        return;
    }
    dialogue_server_receive(server, flight->octets, flight->len);
    const uint8_t *at = server->train.octets;
    for (uint32_t i = 0; i < server->train.frame_count; at += server->train.frame_len[i++]) {
        MUST(server->train.frame_len[i] <= DIALOGUE_FRAME_MAX);
        struct dialogue_flight *answer = fly(client);
        if (answer == NULL)
            return;
        answer->is_to_server = false;
        answer->len = server->train.frame_len[i];
        memcpy(answer->octets, at, answer->len);
    }
}

bool dialogue_client_is_waiting(const struct dialogue_client *client)
{
    return client->una != client->next || client->ahead_count > 0 ||
           client->rcv - client->has_fin != client->response_at;
}

/* ---- to the end ---- */

/* Whether there is nothing left to wait for; the application closes as soon as it can. */
static bool is_over(struct dialogue_client *client)
{
    if (client->state != DIALOGUE_OPEN)
        return client->state != DIALOGUE_SYN_SENT;
    if (client->answered == client->asked || client->has_fin)
        dialogue_client_fin(client);
    return client->is_fin_sent && client->una == client->next && client->flight_count == 0;
}

static void check_end(const struct dialogue_client *client)
{
    if (client->is_excused || client->state == DIALOGUE_CLOSED)
        return;
    MUST(client->answered == client->asked || client->rcv > MODERN_MOST_CLOSE);
    MUST(client->has_fin);
}

void dialogue_client_drain(struct dialogue_client *client, struct dialogue_server *server)
{
    uint32_t progress = 0;
    for (unsigned timers = 0, frames = 0; !is_over(client);) {
        uint32_t now = client->rcv + client->una + client->answered + (unsigned)client->state;
        if (now != progress)
            timers = frames = 0;
        progress = now;
        if (client->flight_count > 0) {
            MUST(frames++ < 2000); /* for ever */
            dialogue_client_move(client, server, 0, DIALOGUE_ARRIVE);
        } else if (client->is_ack_due) {
            dialogue_client_ack(client);
        } else {
            bool is_allowed = client->is_excused || (client->has_fin && !client->has_timestamps);
            if (is_allowed && (timers > 3 || client->una == client->next))
                return;
            MUST(timers++ < 4); /* stuck */
            MUST(client->una < client->next || client->state == DIALOGUE_SYN_SENT);
            dialogue_client_timer(client, 0);
        }
    }
    check_end(client);
}

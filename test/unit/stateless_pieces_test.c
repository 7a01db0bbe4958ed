/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Clients that write their requests in pieces of any size, over a network that loses segments: what
 * the model (stateless_model_test.c) explores in every order for few segments goes by dice here,
 * for many. As in Linux a piece is a segment at first; the timer sends the oldest octets again, as
 * many pieces in one segment as the client's kernel can join, which may be one.
 *
 * Each client must get every response and see every request acknowledged. Where the server's cache
 * forgets now and then it may be reset instead, but it must not wait for ever.
 */
#include "test/unit/stateless_modern_fixture.h"

#include "test/unit/dice.h"

#define REQUESTS 30
#define REQUESTS_LEN (REQUESTS * REQUEST_LEN)
#define STREAM_MAX (REQUESTS * (2 + 1500))
#define FLIGHT_CAP 4096
#define TIMERS_MAX 400
#define SEGMENT_LEN 1208

struct flying {
    uint32_t from, to, ack, echo;
};

static uint8_t requests[REQUESTS_LEN];
static uint32_t piece_end[REQUESTS_LEN + 1]; /* of the piece that an octet is in */
static struct flying flight[FLIGHT_CAP];
static unsigned flight_count;
static bool is_there[STREAM_MAX];

static struct client {
    uint32_t iss, una, next, rcv, last_ack, echo, total;
    unsigned joined_max, loss; /* pieces in a segment; one of so many is lost */
    bool is_reset;
} client;

static uint8_t expected(uint32_t at)
{
    uint32_t id = at / (uint32_t)(2 + response_len) + 1, i = at % (uint32_t)(2 + response_len);
    return i == 0   ? (uint8_t)(response_len >> 8)
           : i == 1 ? (uint8_t)response_len
                    : response_octet(id, i - 2);
}

static void fly(uint32_t from, uint32_t to)
{
    client.last_ack = client.rcv;
    if (below(client.loss) == 0)
        return;
    ck_assert_uint_lt(flight_count, FLIGHT_CAP);
    flight[flight_count++] = (struct flying){from, to, client.rcv, client.echo};
}

static void receive(const struct frame_view *view)
{
    uint32_t offset = view->seq - client.iss - 1, acked = view->ack - IRS - 1;
    if (view->flags & PACKET_RST) {
        client.is_reset = true;
        return;
    }
    uint32_t value = load_be32(view->options + 4);
    if ((int32_t)(value - client.echo) < 0) { /* PAWS */
        fly(client.next, client.next);
        return;
    }
    ck_assert_uint_le(acked, client.next);
    if (acked >= client.una) {
        client.una = acked;
        if (offset <= client.last_ack) /* Linux: not from what acknowledges less than is known */
            client.echo = value;
    }
    for (uint32_t i = 0; i < view->payload_len; i++) {
        ck_assert_uint_eq(view->payload[i], expected(offset + i));
        is_there[offset + i] = true;
    }
    while (client.rcv < client.total && is_there[client.rcv])
        client.rcv++;
    if (view->payload_len > 0)
        fly(client.next, client.next);
}

static void serve(const struct flying *flying)
{
    uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    struct frame_spec spec = frame_spec_client(4);
    store_be32(options + 8, flying->echo);
    spec.options = options;
    spec.options_len = sizeof options;
    spec.seq = IRS + 1 + flying->from;
    spec.ack = client.iss + 1 + flying->ack;
    spec.flags = PACKET_ACK;
    spec.window = 65535;
    spec.payload = requests + flying->from;
    spec.payload_len = flying->to - flying->from;
    fixture_serve(&spec, true, &recent);
    for (unsigned i = 0; i < train.frame_count; i++) {
        struct frame_view view = sent(i);
        if (below(client.loss) != 0)
            receive(&view);
    }
}

static void timer(void)
{
    uint32_t end = client.una;
    for (unsigned i = 0; i < client.joined_max && end < client.next; i++) {
        if (piece_end[end] - client.una > SEGMENT_LEN)
            break;
        end = piece_end[end];
    }
    fly(client.una, end);
}

static void begin(void)
{
    fixture_set_up();
    response_len = below(2) ? 20 + below(100) : 20 + below(1480);
    for (unsigned i = 0; i < REQUESTS; i++)
        request_make(i + 1, requests + i * REQUEST_LEN);
    struct frame_view syn_ack = fixture_connect(4);
    memset(is_there, 0, sizeof is_there);
    flight_count = 0;
    client = (struct client){
        .iss = syn_ack.seq,
        .echo = load_be32(syn_ack.options + 8),
        .total = REQUESTS * (uint32_t)(2 + response_len),
        .joined_max = below(3) == 0 ? 1 : 1 + below(40),
        .loss = 4 + below(40),
    };
    for (uint32_t at = 0, end; at < REQUESTS_LEN; at = end) {
        end = at + 1 + below(59);
        end = end < REQUESTS_LEN ? end : REQUESTS_LEN;
        for (uint32_t i = at; i < end; i++)
            piece_end[i] = end;
    }
}

static void forget(void)
{
    if (below(2))
        memset(recent.entries, 0, (recent.entry_mask + 1) * sizeof recent.entries[0]);
    else
        recent.ring.written += recent.ring.cap + 1;
    if (below(4) == 0)
        memset(recent.heads, 0, 4 * (recent.head_mask + 1) * sizeof recent.heads[0]);
}

/* Until all is answered and acknowledged, or reset. */
static void converse(bool is_forgetful)
{
    unsigned timers = 0;
    begin();
    while (!client.is_reset && (client.rcv < client.total || client.una < REQUESTS_LEN)) {
        bool is_writing = client.next < REQUESTS_LEN && below(3) != 0;
        if (is_writing || (flight_count == 0 && client.una == client.next)) {
            ck_assert_uint_lt(client.next, REQUESTS_LEN);
            uint32_t from = client.next;
            client.next = piece_end[from];
            fly(from, client.next);
        } else if (flight_count > 0) {
            struct flying first = flight[0];
            memmove(flight, flight + 1, --flight_count * sizeof flight[0]);
            if (is_forgetful && below(50) == 0)
                forget();
            serve(&first);
        } else {
            ck_assert_uint_lt(timers++, TIMERS_MAX);
            timer();
        }
    }
    ck_assert(!client.is_reset || is_forgetful);
}

START_TEST(pieces_of_any_size_survive_losses)
{
    dice_begin(1);
    for (unsigned i = 0; i < 150; i++)
        converse(false);
}
END_TEST

START_TEST(nobody_waits_for_ever_for_a_forgetful_cache)
{
    unsigned resets = 0;
    dice_begin(2);
    for (unsigned i = 0; i < 150; i++) {
        converse(true);
        resets += client.is_reset;
    }
    ck_assert_uint_gt(resets, 0);
    ck_assert_uint_lt(resets, 40);
}
END_TEST

TEST_MAIN("stateless_tcp/pieces", pieces_of_any_size_survive_losses,
          nobody_waits_for_ever_for_a_forgetful_cache)

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Long responses of profile `modern` with the cache: going on, repairing, keeping measure; requests
 * ahead of their responses; Fast Open. One client, which holds what it was sent and says so.
 */
#include "stateless_tcp/modern_point.h"
#include "test/unit/stateless_modern_fixture.h"

struct client {
    uint32_t iss, seq, echo;
    uint32_t held; /* in order */
    uint16_t window;
    struct packet_sack sacks[3]; /* offsets in the server's stream */
    unsigned sack_count;
    uint8_t got[2 * 65537];
    bool has[2 * 65537];
};

static struct client client;

/* A train put aside, while others are sent. */
struct kept {
    struct train train;
    uint8_t octets[TRAIN_CAP];
};

static void keep(struct kept *kept)
{
    kept->train = train;
    memcpy(kept->octets, train_octets, train.len);
}

static void bring_back(const struct kept *kept)
{
    train = kept->train;
    memcpy(train_octets, kept->octets, train.len);
}

/* A segment of the client with Timestamps and what it has of SACK blocks. */
static enum stateless_tcp_outcome say_to(struct recent *cache, const uint8_t *payload,
                                         size_t payload_len)
{
    uint8_t options[12 + 4 + 24] = {1, 1, 8, 10, 0, 0, 0, 9};
    struct frame_spec spec = frame_spec_client(4);
    store_be32(options + 8, client.echo);
    spec.options_len = 12;
    if (client.sack_count > 0) {
        memcpy(options + 12, (uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * client.sack_count)}, 4);
        for (unsigned i = 0; i < client.sack_count; i++) {
            store_be32(options + 16 + 8 * i, client.iss + 1 + client.sacks[i].left);
            store_be32(options + 20 + 8 * i, client.iss + 1 + client.sacks[i].right);
        }
        spec.options_len = 16 + 8 * client.sack_count;
    }
    spec.options = options;
    spec.seq = client.seq;
    spec.ack = client.iss + 1 + client.held;
    spec.flags = PACKET_ACK;
    spec.window = client.window;
    spec.payload = payload;
    spec.payload_len = payload_len;
    return fixture_serve(&spec, true, cache);
}

static enum stateless_tcp_outcome acknowledge(void)
{
    return say_to(&recent, NULL, 0);
}

static void set_up(void)
{
    fixture_set_up();
    struct frame_view syn_ack = fixture_connect(4);
    memset(&client, 0, sizeof client);
    client.iss = syn_ack.seq;
    client.seq = IRS + 1;
    client.window = 65535;
    client.echo = load_be32(syn_ack.options + 8);
}

static void ask(unsigned id, size_t len)
{
    uint8_t request[REQUEST_LEN];
    request_make(id, request);
    response_len = len;
    enum stateless_tcp_outcome outcome = say_to(&recent, request, sizeof request);
    ck_assert(outcome == STATELESS_TCP_QUERY || outcome == STATELESS_TCP_SEND);
    client.seq += REQUEST_LEN;
}

/* Take frame `index` of the train in. */
static void take(unsigned index)
{
    struct frame_view view = sent(index);
    uint32_t at = view.seq - client.iss - 1;
    ck_assert_uint_le(at + view.payload_len, sizeof client.got);
    if (at <= client.held)
        client.echo = load_be32(view.options + 4);
    memcpy(client.got + at, view.payload, view.payload_len);
    memset(client.has + at, true, view.payload_len);
    while (client.held < sizeof client.has && client.has[client.held])
        client.held++;
    client.sack_count = 0;
    for (uint32_t i = client.held; i < sizeof client.has && client.sack_count < 3;) {
        uint32_t left = i;
        while (i < sizeof client.has && client.has[i])
            i++;
        if (i > left)
            client.sacks[client.sack_count++] = (struct packet_sack){left, i};
        while (i < sizeof client.has && !client.has[i])
            i++;
    }
}

static void check_stream(unsigned id, uint32_t from, size_t len)
{
    ck_assert_uint_eq((unsigned)client.got[from] << 8 | client.got[from + 1], len);
    for (size_t i = 0; i < len; i++)
        ck_assert_uint_eq(client.got[from + 2 + i], response_octet(id, i));
}

/* The train ends with the ACK of the requests, however it comes. */
static void check_completion(void)
{
    if (train.frame_count == 0)
        acknowledge();
    ck_assert_uint_eq(sent(train.frame_count - 1).ack, client.seq);
}

/* Two long responses to a client that acknowledges each burst as a whole. */
START_TEST(rest_follows_acknowledgements)
{
    static struct kept burst;
    static const size_t lens[] = {40000, 65535};
    uint32_t from = 0;
    set_up();
    for (unsigned id = 0; id < 2; id++) {
        unsigned acks = 0;
        ask(id, lens[id]);
        ck_assert_uint_eq(train.frame_count, 10);
        while (client.held < from + lens[id] + 2) {
            keep(&burst);
            ck_assert_uint_gt(train.frame_count, 0);
            ck_assert_uint_le(train.frame_count, config.burst);
            for (unsigned i = 0; i < burst.train.frame_count; i++) {
                bring_back(&burst);
                take(i);
            }
            acknowledge();
            acks++;
        }
        ck_assert_uint_le(acks, 6); /* bursts of ten */
        check_stream(id, from, lens[id]);
        check_completion();
        from += (uint32_t)lens[id] + 2;
    }
}
END_TEST

START_TEST(every_acknowledgement_makes_room_for_more)
{
    set_up();
    ask(7, 60000);
    /* The client takes the first two of ten: as many are free again, and slow start adds two. */
    take(0);
    take(1);
    ck_assert_int_eq(acknowledge(), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 4);
    ck_assert_uint_eq(sent(0).seq - client.iss - 1, 10 * 1220);
    ck_assert_uint_eq(sent(0).ack, IRS + 1);             /* nothing new */
    ck_assert_int_eq(acknowledge(), STATELESS_TCP_DROP); /* said already */
}
END_TEST

START_TEST(window_bounds_what_follows)
{
    set_up();
    ask(7, 60000);
    take(0);
    client.window = 10 * 1220; /* one more than is in the air */
    ck_assert_int_eq(acknowledge(), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 1);
    client.window = 1;
    ck_assert_int_eq(acknowledge(), STATELESS_TCP_DROP);
}
END_TEST

START_TEST(without_the_cache_acknowledgements_are_silent)
{
    set_up();
    ask(7, 60000);
    take(0);
    take(1);
    ck_assert_int_eq(say_to(NULL, NULL, 0), STATELESS_TCP_DROP);
    /* The client's timer does it: from where it is. */
    uint8_t request[REQUEST_LEN];
    request_make(7, request);
    client.seq -= REQUEST_LEN;
    ck_assert_int_eq(say_to(NULL, request, sizeof request), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(sent(0).seq - client.iss - 1, client.held);
    ck_assert_uint_eq(train.frame_count, 10);
}
END_TEST

START_TEST(overwritten_octets_are_silence)
{
    set_up();
    ask(7, 60000);
    take(0);
    recent.ring.written += recent.ring.cap;
    ck_assert_int_eq(acknowledge(), STATELESS_TCP_DROP);
}
END_TEST

/* The third of ten is lost: after more than two segments behind it, it is sent again, once. */
START_TEST(hole_is_filled_once)
{
    static struct kept first;
    unsigned repaired = 0;
    set_up();
    ask(7, 12000);
    ck_assert_uint_eq(train.frame_count, 10);
    keep(&first);
    for (unsigned i = 0; i < 10; i++) {
        bring_back(&first);
        if (i == 2)
            continue;
        take(i);
        acknowledge();
        if (train.frame_count > 0) {
            ck_assert_uint_eq(train.frame_count, 1);
            ck_assert_uint_eq(sent(0).seq - client.iss - 1, 2 * 1220);
            ck_assert_uint_eq(sent(0).payload_len, 1220);
            ck_assert_uint_eq(sent(0).ack, IRS + 1);
            repaired = i;
        }
    }
    ck_assert_uint_eq(repaired, 5); /* behind it: 3, 4, 5 */
    bring_back(&first);
    take(2);
    ck_assert_uint_eq(client.held, 12002);
    check_stream(7, 0, 12000);
    acknowledge();
    ck_assert_uint_eq(sent(0).ack, client.seq);
}
END_TEST

/* The last but one is lost: nothing comes behind the last that could show it (RFC 5827). */
START_TEST(hole_near_the_end_is_filled)
{
    set_up();
    ask(7, 3500);
    ck_assert_uint_eq(train.frame_count, 3);
    static struct kept first;
    keep(&first);
    take(0);
    acknowledge();
    ck_assert_uint_eq(train.frame_count, 0);
    bring_back(&first);
    take(2);
    acknowledge();
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).seq - client.iss - 1, 1220);
    take(0);
    check_stream(7, 0, 3500);
}
END_TEST

/* Nonsense in SACK: old, far, turned round, overlapping. Nothing goes out that should not. */
START_TEST(wild_sacks_do_no_harm)
{
    set_up();
    ask(7, 60000);
    take(0);
    uint32_t random = 1;
    for (unsigned i = 0; i < 20000; i++) {
        client.sack_count = 1 + i % 3;
        for (unsigned j = 0; j < client.sack_count; j++) {
            random = random * 1664525 + 1013904223;
            client.sacks[j].left = i % 5 == 0 ? random : random % 20000;
            random = random * 1664525 + 1013904223;
            client.sacks[j].right = i % 7 == 0 ? random : random % 20000;
        }
        acknowledge();
        ck_assert_uint_le(train.frame_count, config.burst);
        for (unsigned j = 0; j < train.frame_count; j++) {
            struct frame_view view = sent(j);
            uint32_t at = view.seq - client.iss - 1;
            ck_assert_uint_ge(at, client.held);
            ck_assert_uint_le(at + view.payload_len, 60002);
            for (size_t k = 0; k < view.payload_len; k++)
                if (at + k >= 2)
                    ck_assert_uint_eq(view.payload[k],
                                      (uint8_t)(7 + (at + k - 2) * 31 + (at + k - 2) / 256));
        }
    }
}
END_TEST

/* Three requests in segments of their own, the client having nothing yet. */
START_TEST(requests_ahead_are_answered_at_once)
{
    static struct kept trains[3];
    set_up();
    for (unsigned id = 0; id < 3; id++) {
        ask(id, 300);
        keep(&trains[id]);
        ck_assert_uint_eq(train.frame_count, 1);
        ck_assert_uint_eq(sent(0).seq - client.iss - 1, id * 302);
        /* Only the first may acknowledge: the others would speak for responses that may be lost. */
        ck_assert_uint_eq(sent(0).ack, id == 0 ? IRS + 1 + REQUEST_LEN : IRS + 1);
    }
    for (unsigned id = 0; id < 3; id++) {
        bring_back(&trains[id]);
        take(0);
        check_stream(id, id * 302, 300);
    }
    acknowledge();
    check_completion();
}
END_TEST

/* ---- Fast Open ---- */

static struct frame_spec fast_open_syn(uint8_t *options, const uint8_t *cookie,
                                       const uint8_t *payload, size_t payload_len)
{
    struct frame_spec spec = syn_spec(4, options, cookie != NULL ? 32 : 24);
    memcpy(options, offer, sizeof offer);
    memcpy(options + 20, (uint8_t[]){34, (uint8_t)(cookie != NULL ? 10 : 2), 1, 1}, 4);
    if (cookie != NULL) {
        memcpy(options + 22, cookie, 8);
        options[30] = options[31] = 1;
    }
    spec.payload = payload;
    spec.payload_len = payload_len;
    return spec;
}

/* The cookie in the SYN+ACK sent last; NULL: none. */
static const uint8_t *fast_open_cookie(void)
{
    struct frame_view view = sent(0);
    for (size_t i = 0; i < view.options_len;) {
        if (view.options[i] == 34)
            return view.options[i + 1] == 10 ? view.options + i + 2 : NULL;
        i += view.options[i] == 1 ? 1 : view.options[i + 1];
    }
    return NULL;
}

START_TEST(fast_open_only_if_enabled)
{
    uint8_t options[32];
    set_up();
    struct frame_spec spec = fast_open_syn(options, NULL, NULL, 0);
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_SEND);
    ck_assert_ptr_null(fast_open_cookie());
}
END_TEST

START_TEST(fast_open)
{
    uint8_t options[32], cookie[8], request[REQUEST_LEN];
    set_up();
    config.has_fast_open = true;
    response_len = 200;
    request_make(3, request);
    struct frame_spec spec = fast_open_syn(options, NULL, request, sizeof request);
    /* No cookie, no answer. */
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_SEND);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).ack, IRS + 1);
    ck_assert_ptr_nonnull(fast_open_cookie());
    memcpy(cookie, fast_open_cookie(), sizeof cookie);
    spec = fast_open_syn(options, NULL, NULL, 0);
    size_t asked_len = frame_build(&spec, frame);
    fixture_serve(&spec, true, &recent);
    ck_assert_uint_le(train.len, asked_len); /* nobody is sent more than it sent */
    ck_assert_ptr_nonnull(fast_open_cookie());

    spec = fast_open_syn(options, cookie, request, sizeof request);
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.frame_count, 2);
    ck_assert_uint_eq(sent(0).flags, PACKET_SYN | PACKET_ACK);
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + REQUEST_LEN);
    ck_assert_uint_eq(sent(1).seq, sent(0).seq + 1);
    ck_assert_uint_eq(sent(1).ack, IRS + 1 + REQUEST_LEN);
    ck_assert_uint_eq(sent(1).payload_len, 202);

    /* Its next request, as on any connection. */
    client.iss = sent(0).seq;
    client.held = 0;
    take(1);
    client.seq = IRS + 1 + REQUEST_LEN;
    ask(4, 200);
    ck_assert_uint_eq(sent(0).seq - client.iss - 1, 202);
    ck_assert_uint_eq(sent(0).ack, client.seq);
}
END_TEST

/* Far into a connection a point that is only near proves something to who knows the connection to be
 * about there. That it is known is not enough: whoever guesses an echo does not know where. */
START_TEST(far_from_what_is_known_is_a_stranger)
{
    static const uint32_t away[] = {0, 1u << 20, 1u << 24, 0u - (1u << 20)};
    uint8_t request[REQUEST_LEN];
    request_make(8, request);
    for (size_t i = 0; i < sizeof away / sizeof *away; i++) {
        set_up();
        client.held = 2 * MODERN_NEAR_MAX;
        client.echo = point_make(client.held, client.seq, true);
        ask(7, 100);
        client.held += 102 + away[i];
        client.echo = point_make(client.held - 5, client.seq, true);
        ck_assert_int_eq(say_to(&recent, request, sizeof request),
                         i == 0 ? STATELESS_TCP_QUERY : STATELESS_TCP_SEND);
        ck_assert_uint_eq(sent(0).flags, i == 0 ? PACKET_PSH | PACKET_ACK : PACKET_RST);
    }
}
END_TEST

/* What takes several segments could get lost for good, so it is asked for once more. */
START_TEST(fast_open_leaves_long_responses_to_the_connection)
{
    uint8_t options[32], cookie[8], request[REQUEST_LEN];
    set_up();
    config.has_fast_open = true;
    response_len = 2000;
    request_make(3, request);
    struct frame_spec spec = fast_open_syn(options, NULL, NULL, 0);
    fixture_serve(&spec, true, &recent);
    memcpy(cookie, fast_open_cookie(), sizeof cookie);
    spec = fast_open_syn(options, cookie, request, sizeof request);
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_QUERY);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).ack, IRS + 1);
}
END_TEST

START_TEST(fast_open_cookies_belong_to_addresses_and_epochs)
{
    uint8_t options[32], cookie[8], request[REQUEST_LEN];
    set_up();
    config.has_fast_open = true;
    response_len = 200;
    request_make(3, request);
    struct frame_spec spec = fast_open_syn(options, NULL, NULL, 0);
    fixture_serve(&spec, true, &recent);
    memcpy(cookie, fast_open_cookie(), sizeof cookie);
    spec = fast_open_syn(options, cookie, request, sizeof request);
    spec.source_port ^= 77; /* any port of the address */
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_QUERY);
    spec.source[3] ^= 1;
    ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_SEND);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t wrong[8];
        memcpy(wrong, cookie, sizeof wrong);
        wrong[bit / 8] ^= (uint8_t)(1u << bit % 8);
        spec = fast_open_syn(options, wrong, request, sizeof request);
        ck_assert_int_eq(fixture_serve(&spec, true, &recent), STATELESS_TCP_SEND);
        ck_assert_uint_eq(train.frame_count, 1);
    }
}
END_TEST

TEST_MAIN("stateless_tcp/modern_send", rest_follows_acknowledgements,
          every_acknowledgement_makes_room_for_more, window_bounds_what_follows,
          without_the_cache_acknowledgements_are_silent, overwritten_octets_are_silence,
          hole_is_filled_once, hole_near_the_end_is_filled, wild_sacks_do_no_harm,
          requests_ahead_are_answered_at_once, far_from_what_is_known_is_a_stranger,
          fast_open_only_if_enabled, fast_open, fast_open_leaves_long_responses_to_the_connection,
          fast_open_cookies_belong_to_addresses_and_epochs)

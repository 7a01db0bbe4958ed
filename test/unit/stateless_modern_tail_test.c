/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests of profile `modern` that cannot be answered when they come: cut between segments, ahead
 * of their turn, sent again in pieces, by a client whose echo is old.
 */
#include "test/unit/stateless_modern_fixture.h"

#define REQUEST_COUNT 8

/* More than the window takes. */
#define REQUEST_COUNT_MAX (MODERN_WINDOW / REQUEST_LEN + 2)

static uint8_t requests[REQUEST_COUNT_MAX * REQUEST_LEN];
static uint32_t iss, echo;
static uint16_t window;

/* Octets `from` up to `to` of the requests, from a client that holds `held` octets. */
static void say(uint32_t from, uint32_t to, uint32_t held)
{
    uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    struct frame_spec spec = frame_spec_client(4);
    store_be32(options + 8, echo);
    spec.options = options;
    spec.options_len = sizeof options;
    spec.seq = IRS + 1 + from;
    spec.ack = iss + 1 + held;
    spec.flags = PACKET_ACK;
    spec.window = window;
    spec.payload = requests + from;
    spec.payload_len = to - from;
    fixture_serve(&spec, true, &recent);
}

static void set_up(void)
{
    fixture_set_up();
    for (unsigned i = 0; i < REQUEST_COUNT_MAX; i++)
        request_make(i + 1, requests + i * REQUEST_LEN);
    struct frame_view syn_ack = fixture_connect(4);
    iss = syn_ack.seq;
    echo = load_be32(syn_ack.options + 8);
    window = 65535;
}

/* The train is one segment, the responses to requests `first` up to `end`, at `offset`; and perhaps
 * its last octet again. */
static void check_responses(unsigned first, unsigned end, uint32_t offset)
{
    ck_assert(train.frame_count == 1 || (train.frame_count == 2 && sent(1).payload_len == 1));
    struct frame_view view = sent(0);
    ck_assert_uint_eq(view.seq, iss + 1 + offset);
    ck_assert_uint_eq(view.payload_len, (end - first) * (2 + response_len));
    for (unsigned i = first; i < end; i++)
        ck_assert_uint_eq(view.payload[(i - first) * (2 + response_len) + 2], i + 1);
}

START_TEST(cut_request_is_joined)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    for (unsigned is_echo_old = 0; is_echo_old < 2; is_echo_old++) {
        set_up();
        say(0, cut, 0);
        check_responses(0, 3, 0);
        ck_assert_uint_eq(sent(0).ack, IRS + 1 + 3 * REQUEST_LEN);
        uint32_t held = is_echo_old ? 0 : 3 * 52; /* the next segment left before ours came */
        if (!is_echo_old)
            echo = load_be32(sent(0).options + 4);
        say(cut, 5 * REQUEST_LEN, held);
        check_responses(3, 5, 3 * 52);
        ck_assert_uint_eq(sent(0).ack, IRS + 1 + (is_echo_old ? 0 : 5 * REQUEST_LEN));
    }
}
END_TEST

/* In pieces of every size, each in a segment of its own. */
START_TEST(pieces_of_any_size_are_joined)
{
    for (uint32_t size = 3; size <= REQUEST_LEN; size++) {
        set_up();
        uint32_t answered = 0;
        const uint32_t end = REQUEST_COUNT * REQUEST_LEN;
        for (uint32_t at = 0; at < end; at += size) {
            uint32_t to = at + size < end ? at + size : end;
            say(at, to, answered * 52);
            uint32_t whole = to / REQUEST_LEN;
            if (at == 0 && whole == 0) /* nothing is known of the connection yet */
                ck_assert_uint_eq(train.frame_count, 0);
            if (whole == answered)
                continue;
            check_responses(answered, whole, answered * 52);
            echo = load_be32(sent(0).options + 4);
            answered = whole;
        }
        ck_assert_uint_eq(answered, REQUEST_COUNT);
    }
}
END_TEST

START_TEST(piece_sent_again_is_acknowledged)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    set_up();
    say(0, cut, 0);
    echo = load_be32(sent(0).options + 4);
    for (unsigned i = 0; i < 2; i++) { /* what was behind it got lost; this too, once */
        say(3 * REQUEST_LEN, cut, 3 * 52);
        ck_assert_uint_eq(train.frame_count, 1);
        ck_assert_uint_eq(sent(0).payload_len, 0);
        ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
        /* The end of the window stays where it is. */
        ck_assert_uint_eq(sent(0).ack + sent(0).window, IRS + 1 + 3 * REQUEST_LEN + MODERN_WINDOW);
    }
    echo = load_be32(sent(0).options + 4);
    say(cut, 4 * REQUEST_LEN, 3 * 52);
    check_responses(3, 4, 3 * 52);
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + 4 * REQUEST_LEN);
}
END_TEST

/* What its kernel knows to be acknowledged no segment may fall behind: it would be old, and its point
 * not taken (Linux, tcp_ack()). */
START_TEST(acknowledged_piece_stays_so)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    set_up();
    say(0, cut, 0);
    echo = load_be32(sent(0).options + 4);
    say(3 * REQUEST_LEN, cut, 3 * 52);
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
    echo = load_be32(sent(0).options + 4);
    response_len = 500;
    for (uint32_t i = 4; i < 6; i++) { /* in its turn; ahead of it */
        say(i == 4 ? cut : 5 * REQUEST_LEN, (i + 1) * REQUEST_LEN, 3 * 52);
        ck_assert_uint_ge(train.frame_count, 1);
        for (unsigned f = 0; f < train.frame_count; f++)
            ck_assert_uint_ge(sent(f).ack, IRS + 1 + cut);
    }
}
END_TEST

static uint64_t connection_of_the_client(void)
{
    for (uint32_t i = 0; i <= recent.entry_mask; i++)
        if (recent.entries[i].connection != 0)
            return recent.entries[i].connection;
    return 0;
}

/* Others need the ring, the slot, or both. */
static void forget(bool has_octets, bool has_entry)
{
    static uint8_t others[RECENT_TAIL_MAX];
    uint64_t connection = connection_of_the_client();
    struct recent_entry other = {0};
    for (uint64_t written = 0; has_octets && written <= recent.ring.cap; written += sizeof others)
        recent_keep_tail(&recent, &other, others, sizeof others);
    if (has_entry) {
        ck_assert_ptr_nonnull(recent_take(&recent, connection ^ 1));
        ck_assert_ptr_null(recent_find(&recent, connection));
    }
}

/* A piece was acknowledged, and of the response to it and the rest the first segment is lost: the
 * client sends the rest alone, from the midst of a request. */
START_TEST(acknowledged_piece_is_remembered)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7, to = 5 * REQUEST_LEN;
    for (unsigned gone = 0; gone < 4; gone++) {
        for (unsigned is_short = 0; is_short < 2; is_short++) {
            set_up();
            say(0, cut, 0);
            echo = load_be32(sent(0).options + 4);
            say(3 * REQUEST_LEN, cut, 3 * 52);
            ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
            response_len = is_short ? 50 : 1500;
            for (unsigned i = 0; i < 3; i++) {
                say(cut, to, 3 * 52);
                ck_assert_uint_ge(train.frame_count, is_short ? 1 : 3);
                ck_assert_uint_eq(sent(0).seq, iss + 1 + 3 * 52);
                ck_assert_uint_eq(sent(0).payload[2], 4);
                ck_assert_uint_ge(sent(0).ack, IRS + 1 + cut);
                forget(gone & 1, gone & 2);
            }
        }
    }
}
END_TEST

/* The requests wait for a back end (stateless_tcp_wait()). An ACK of what is before them is answered,
 * but not by less than was acknowledged of them. */
START_TEST(waiting_acknowledges_no_less)
{
    const uint32_t at = 3 * REQUEST_LEN, cut = at + 7;
    for (unsigned has_entry = 0; has_entry < 2; has_entry++) {
        set_up();
        say(0, cut, 0);
        uint32_t tag = load_be32(sent(0).options + 4);
        echo = tag;
        say(at, cut, 3 * 52);
        ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
        struct recent_entry *entry = recent_find(&recent, connection_of_the_client());
        recent_keep_tail(&recent, entry, requests + at, 2 * REQUEST_LEN);
        if (!has_entry)
            entry->acked = entry->ack; /* only the head knows */
        echo = tag & ~1u;
        is_waiting = true;
        say(cut, cut, 3 * 52);
        is_waiting = false;
        ck_assert_uint_eq(train.frame_count, 1);
        ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
        ck_assert_uint_eq(sent(0).ack + sent(0).window, IRS + 1 + at + MODERN_WINDOW);
    }
}
END_TEST

/* All is there, but for the acknowledgement; nothing is known but what the client echoes. */
START_TEST(rest_of_acknowledged_piece_is_acknowledged)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7, to = 5 * REQUEST_LEN;
    set_up();
    say(0, to, 0);
    echo = load_be32(sent(0).options + 4);
    memset(memory, 0, sizeof memory);
    say(cut, to, 5 * 52);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + to);
    say(cut, to + REQUEST_LEN, 5 * 52); /* and with one more */
    check_responses(5, 6, 5 * 52);
}
END_TEST

/* Its octets were overwritten before it came again, each time: that it came is enough. */
START_TEST(piece_is_acknowledged_though_forgotten)
{
    const uint32_t at = 3 * REQUEST_LEN, cut = at + 7;
    set_up();
    say(0, at, 0);
    echo = load_be32(sent(0).options + 4);
    say(at, cut, 3 * 52);
    ck_assert_uint_eq(train.frame_count, 0);
    forget(true, false);
    say(at, cut, 3 * 52);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
    forget(true, true);
    say(cut, 4 * REQUEST_LEN, 3 * 52);
    check_responses(3, 4, 3 * 52);
}
END_TEST

/* A train was sent again in two parts, and then the client has all of it while its echo is of the
 * first: it holds more than the point says. */
START_TEST(piece_behind_a_low_point_is_acknowledged)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    set_up();
    say(0, 3 * REQUEST_LEN, 0);
    echo = load_be32(sent(0).options + 4);
    memset(memory, 0, sizeof memory);
    for (unsigned i = 0; i < 2; i++) {
        say(3 * REQUEST_LEN, cut, 5 * 52);
        ck_assert_uint_eq(train.frame_count, i);
    }
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + cut);
    say(cut, 6 * REQUEST_LEN, 5 * 52);
    check_responses(5, 6, 5 * 52);
}
END_TEST

/* Linux keeps each write apart in its memory, 17 in a segment, and so may send the requests of a
 * train in two; then only the cache knows its octets. What comes behind must not push them out. */
START_TEST(nothing_goes_ahead_of_a_long_train_of_pieces)
{
    const uint32_t cut = REQUEST_LEN + 7;
    set_up();
    response_len = 700;
    say(0, cut, 0);
    echo = load_be32(sent(0).options + 4);
    say(cut, 3 * REQUEST_LEN, 702); /* two segments, the second is lost */
    ck_assert_uint_ge(train.frame_count, 2);
    uint32_t held = 702 + 1208;
    echo = load_be32(sent(0).options + 4);
    say(3 * REQUEST_LEN, 4 * REQUEST_LEN, held);
    for (unsigned f = 0; f < train.frame_count; f++)
        ck_assert_uint_lt(sent(f).seq, iss + 1 + 3 * 702);
    say(REQUEST_LEN, cut, held);
    ck_assert_uint_ge(train.frame_count, 1);
    ck_assert_uint_eq(sent(0).seq, iss + 1 + held);
    ck_assert_uint_eq(sent(0).payload[sent(0).payload_len - 1], response_octet(3, 699));
    /* Its turn comes when all before it is there. */
    echo = load_be32(sent(0).options + 4) & ~1u;
    say(3 * REQUEST_LEN, 3 * REQUEST_LEN, 3 * 702);
    ck_assert_uint_eq(sent(0).seq, iss + 1 + 3 * 702);
    ck_assert_uint_eq(sent(0).payload[2], 4);
}
END_TEST

/* A client that pipelines fills the window behind a train; what it sent is answered when its turn
 * comes, although it is never sent again. */
START_TEST(window_of_requests_is_held)
{
    const uint32_t end = REQUEST_LEN + MODERN_WINDOW;
    set_up();
    response_len = 1500;
    say(0, REQUEST_LEN, 0);
    echo = load_be32(sent(0).options + 4);
    window = 1; /* nothing fits beside the first response */
    for (uint32_t at = REQUEST_LEN, to; at < end; at = to) {
        to = at + 1208 < end ? at + 1208 : end;
        say(at, to, 0);
        ck_assert_uint_eq(train.frame_count, 0);
    }
    window = 65535;
    response_len = 30;
    uint32_t held = 1502;
    const uint32_t count = end / REQUEST_LEN, all = held + (count - 1) * 32;
    for (unsigned turn = 0; turn < count && held < all; turn++) {
        say(end, end, held);
        ck_assert_msg(train.frame_count > 0, "turn %u: the client holds %u of %u", turn, held, all);
        for (unsigned f = 0; f < train.frame_count; f++) {
            struct frame_view view = sent(f);
            uint32_t at = view.seq - iss - 1;
            ck_assert_uint_le(at, held);
            for (uint32_t i = 0; i < view.payload_len; i++)
                if ((at + i - 1502) % 32 == 2)
                    ck_assert_uint_eq(view.payload[i], 2 + (at + i - 1502) / 32);
            if (at + view.payload_len > held)
                held = at + (uint32_t)view.payload_len;
            echo = load_be32(view.options + 4) & ~1u;
        }
    }
    ck_assert_uint_eq(held, all);
}
END_TEST

/* A train, pieces of whose requests are sent again, is known to nobody any more. Silence is not for
 * ever: the client must know. */
START_TEST(who_is_stuck_gets_rst)
{
    for (unsigned how = 0; how < 3; how++) {
        set_up();
        response_len = 700;
        config.has_stale_reset = how != 1;
        say(0, 4 * REQUEST_LEN, 0);
        echo = load_be32(sent(0).options + 4);
        memset(recent.entries, 0, (recent.entry_mask + 1) * sizeof recent.entries[0]);
        window = how == 2 ? 100 : 65535; /* who does not read is not stuck */
        for (unsigned i = 0; i < 3; i++) {
            say(0, 2 * REQUEST_LEN, 1208);
            ck_assert_uint_eq(train.frame_count, 0);
        }
        say(REQUEST_LEN, 2 * REQUEST_LEN, 1208); /* another is another */
        ck_assert_uint_eq(train.frame_count, 0);
        for (unsigned i = 0; i < 4; i++)
            say(0, 2 * REQUEST_LEN, 1208);
        ck_assert_uint_eq(train.frame_count, how == 0);
        if (how == 0)
            ck_assert_uint_eq(sent(0).flags, PACKET_RST);
    }
}
END_TEST

/* As long as the responses before it are not there, nobody knows whether they will be. */
START_TEST(piece_is_not_acknowledged_before_its_turn)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    set_up();
    say(0, cut, 0);
    for (unsigned i = 0; i < 3; i++) {
        say(3 * REQUEST_LEN, cut, 52);
        ck_assert_uint_eq(train.frame_count, 0);
    }
}
END_TEST

START_TEST(another_piece_is_not_acknowledged)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    set_up();
    say(0, cut, 0);
    echo = load_be32(sent(0).options + 4);
    requests[3 * REQUEST_LEN + 3] ^= 1;
    say(3 * REQUEST_LEN, cut, 3 * 52);
    ck_assert_uint_eq(train.frame_count, 0);
}
END_TEST

/* The rest of what nobody knows the beginning of is no request, even if it looks like one. */
START_TEST(rest_without_beginning_is_silence)
{
    const uint32_t cut = 3 * REQUEST_LEN + 7;
    set_up();
    memcpy(requests + cut, requests, REQUEST_LEN);
    say(0, cut, 0);
    echo = load_be32(sent(0).options + 4);
    memset(memory, 0, sizeof memory);
    say(cut, cut + REQUEST_LEN, 3 * 52);
    ck_assert_uint_eq(train.frame_count, 0);
}
END_TEST

/* A request that comes while the response before it waits for the client's window is answered when
 * that is there, without being sent again. */
START_TEST(request_ahead_is_answered_in_its_turn)
{
    set_up();
    response_len = 5000;
    window = 2440;
    say(0, REQUEST_LEN, 0);
    ck_assert_uint_eq(train.frame_count, 2);
    uint32_t held = 2440;
    echo = load_be32(sent(0).options + 4);
    say(REQUEST_LEN, 2 * REQUEST_LEN, held);
    window = 65535;
    ck_assert_uint_ge(train.frame_count, 1); /* it is an ACK, too */
    for (unsigned i = 0; i < train.frame_count; i++)
        held += (uint32_t)sent(i).payload_len;
    say(2 * REQUEST_LEN, 2 * REQUEST_LEN, held);
    for (unsigned i = 0; i < train.frame_count && held < 5002; i++)
        held += (uint32_t)sent(i).payload_len;
    ck_assert_uint_eq(held, 5002);
    response_len = 50;
    say(2 * REQUEST_LEN, 2 * REQUEST_LEN, held);
    check_responses(1, 2, 5002);
    ck_assert_uint_eq(sent(0).ack, IRS + 1 + 2 * REQUEST_LEN);
    /* Once. */
    say(2 * REQUEST_LEN, 2 * REQUEST_LEN, held);
    for (unsigned i = 0; i < train.frame_count; i++)
        ck_assert_uint_ge(sent(i).seq, iss + 1 + held);
}
END_TEST

/* Who sends several requests at once waits for their acknowledgement before it sends more. */
START_TEST(end_of_train_presses_for_acknowledgement)
{
    set_up();
    response_len = 1000;
    say(0, REQUEST_LEN, 0);
    ck_assert_uint_eq(train.frame_count, 1);
    set_up();
    response_len = 1000;
    say(0, 2 * REQUEST_LEN, 0);
    ck_assert_uint_eq(train.frame_count, 3);
    struct frame_view last = sent(1), again = sent(2);
    ck_assert_uint_eq(last.seq + last.payload_len, iss + 1 + 2 * 1002);
    ck_assert_uint_eq(again.payload_len, 1);
    ck_assert_uint_eq(again.seq, iss + 2 * 1002);
    ck_assert_uint_eq(again.payload[0], last.payload[last.payload_len - 1]);
    ck_assert_mem_eq(again.options + 4, last.options + 4, 4);
}
END_TEST

/* The client holds two trains and echoes the first (RFC 7323 4.3 (2)). */
START_TEST(old_echo_of_who_holds_all_is_understood)
{
    set_up();
    response_len = 1500;
    say(0, REQUEST_LEN, 0);
    ck_assert_uint_eq(train.frame_count, 2);
    echo = load_be32(sent(0).options + 4);
    say(REQUEST_LEN, 2 * REQUEST_LEN, 1502);
    ck_assert_uint_eq(train.frame_count, 2);
    uint32_t newest = load_be32(sent(0).options + 4);
    for (unsigned i = 0; i < 2; i++) { /* an acknowledgement; the first request, sent again */
        say(i == 0 ? 2 * REQUEST_LEN : 0, i == 0 ? 2 * REQUEST_LEN : REQUEST_LEN, 2 * 1502);
        ck_assert_uint_eq(train.frame_count, 1);
        ck_assert_uint_eq(sent(0).payload_len, 0);
        ck_assert_uint_eq(sent(0).ack, IRS + 1 + 2 * REQUEST_LEN);
        ck_assert_uint_ge(load_be32(sent(0).options + 4), newest);
    }
}
END_TEST

TEST_MAIN("stateless_tcp/modern_tail", cut_request_is_joined, pieces_of_any_size_are_joined,
          piece_sent_again_is_acknowledged, acknowledged_piece_stays_so,
          acknowledged_piece_is_remembered, rest_of_acknowledged_piece_is_acknowledged,
          piece_is_acknowledged_though_forgotten, piece_behind_a_low_point_is_acknowledged,
          waiting_acknowledges_no_less, nothing_goes_ahead_of_a_long_train_of_pieces,
          window_of_requests_is_held, who_is_stuck_gets_rst,
          piece_is_not_acknowledged_before_its_turn, another_piece_is_not_acknowledged,
          rest_without_beginning_is_silence, request_ahead_is_answered_in_its_turn,
          end_of_train_presses_for_acknowledgement, old_echo_of_who_holds_all_is_understood)

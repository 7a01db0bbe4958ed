/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What connections hold, and when they are closed, on real sockets and a clock of our own.
 */
#include "server/socket.h"
#include "server/tcp.h"
#include "test_main.h"
#include "zone_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#define CLIENTS_MAX 8

static struct fixture fixture;
static struct respond_policy policy;
static struct tcp *tcp;
static int epoll, listener, clients[CLIENTS_MAX];
static uint64_t now_ms;
static struct sockaddr_storage address;

static const uint8_t query[] = "\0\35\22\64\0\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1";
#define QUERY_LEN (sizeof query - 1)

static void set_up(unsigned connections_max, unsigned idle_timeout_s)
{
    const struct tcp_limits limits = {.connections_max = connections_max,
                                      .idle_timeout_s = idle_timeout_s};
    struct socket_error error;
    socklen_t len = sizeof address;
    ck_assert_uint_eq((size_t)(query[0] << 8 | query[1]), QUERY_LEN - 2);
    fixture_open(&fixture);
    fixture_load(&fixture, "example.",
                 "@ 300 SOA ns. host. 1 2 3 4 5\n@ 300 NS ns.example.\nns 300 A 192.0.2.1\n"
                 "www 300 A 192.0.2.80\n");
    policy = respond_policy_default();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_eq(tcp_open(epoll, &limits, &tcp), 0);
    ck_assert(address_parse("127.0.0.1@1", &address));
    ((struct sockaddr_in *)&address)->sin_port = 0;
    ck_assert_int_eq(socket_open_tcp(&address, &listener, &error), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    now_ms = 1000;
}

static void tear_down(void)
{
    tcp_close(tcp);
    close(epoll);
    close(listener);
    fixture_close(&fixture);
}

static void client_open_at(unsigned i, bool is_for_peers)
{
    struct timeval patience = {2, 0};
    clients[i] = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(clients[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&address, address_len(&address)), 0);
    ck_assert_int_eq(tcp_accept(tcp, listener, is_for_peers, now_ms), 0);
}

static void client_open(unsigned i)
{
    client_open_at(i, false);
}

/* Hand over all events that there are. */
static void serve(void)
{
    struct epoll_event events[CLIENTS_MAX];
    const struct tcp_context context = {fixture.view, &policy, NULL, now_ms, 0};
    int count = epoll_wait(epoll, events, CLIENTS_MAX, 50);
    for (int i = 0; i < count; i++)
        tcp_event(tcp, events[i].data.ptr, &context);
    tcp_reap(tcp);
}

static void say(unsigned i, const void *octets, size_t len)
{
    ck_assert_int_eq(send(clients[i], octets, len, MSG_NOSIGNAL), (ssize_t)len);
    serve();
}

/* Octets that came; 0: the end; -1: nothing. */
static ssize_t hear(unsigned i)
{
    uint8_t response[4096];
    return recv(clients[i], response, sizeof response, MSG_DONTWAIT);
}

START_TEST(test_waiting_holds_nothing)
{
    set_up(10, 10);
    client_open(0);
    ck_assert_uint_eq(tcp_held(tcp), 0);
    say(0, query, QUERY_LEN);
    ck_assert_int_gt(hear(0), 40);
    ck_assert_uint_eq(tcp_held(tcp), 0);
    ck_assert_uint_eq(tcp_count(tcp), 1);
    tear_down();
}
END_TEST

START_TEST(test_a_part_holds_its_octets)
{
    set_up(10, 10);
    client_open(0);
    for (size_t len = 1; len < QUERY_LEN; len++) {
        say(0, query + len - 1, 1);
        ck_assert_uint_eq(tcp_held(tcp), len);
        ck_assert_int_eq(hear(0), -1);
    }
    say(0, query + QUERY_LEN - 1, 1);
    ck_assert_uint_eq(tcp_held(tcp), 0);
    ck_assert_int_gt(hear(0), 40);
    /* One and a half. */
    uint8_t more[2 * QUERY_LEN];
    memcpy(more, query, QUERY_LEN);
    memcpy(more + QUERY_LEN, query, QUERY_LEN);
    say(0, more, QUERY_LEN + 7);
    ck_assert_uint_eq(tcp_held(tcp), 7);
    ck_assert_int_gt(hear(0), 40);
    tear_down();
}
END_TEST

START_TEST(test_who_does_not_read_is_bounded)
{
    set_up(10, 10);
    client_open(0);
    int small = 1;
    setsockopt(clients[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    size_t held = 0;
    for (unsigned i = 0; i < 60000; i++) {
        if (send(clients[0], query, QUERY_LEN, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)QUERY_LEN)
            break;
        if (i % 500 == 0)
            serve();
        held = tcp_held(tcp) > held ? tcp_held(tcp) : held;
    }
    ck_assert_uint_gt(held, 0);
    ck_assert_uint_le(held, TCP_INPUT_CAP + TCP_OUTPUT_CAP);
    ck_assert_uint_eq(tcp_count(tcp), 1);
    close(clients[0]);
    serve();
    serve();
    ck_assert_uint_eq(tcp_count(tcp), 0);
    ck_assert_uint_eq(tcp_held(tcp), 0);
    tear_down();
}
END_TEST

START_TEST(test_idle_time)
{
    set_up(10, 10);
    ck_assert_int_eq(tcp_timeout_ms(tcp, now_ms), -1);
    client_open(0);
    now_ms += 4000;
    client_open(1);
    ck_assert_int_eq(tcp_timeout_ms(tcp, now_ms), 6000);
    now_ms += 2000;
    say(0, query, QUERY_LEN); /* now 1 is the older one */
    ck_assert_int_eq(tcp_timeout_ms(tcp, now_ms), 8000);
    now_ms += 7999;
    say(1, query, 5); /* a part is no life sign */
    tcp_expire(tcp, now_ms);
    ck_assert_uint_eq(tcp_count(tcp), 2);
    ck_assert_int_eq(tcp_timeout_ms(tcp, now_ms), 1);
    now_ms += 1;
    ck_assert_int_eq(tcp_timeout_ms(tcp, now_ms), 0);
    tcp_expire(tcp, now_ms);
    tcp_reap(tcp);
    ck_assert_uint_eq(tcp_count(tcp), 1);
    ck_assert_int_eq(hear(1), 0);
    ck_assert_int_gt(hear(0), 40);
    tear_down();
}
END_TEST

START_TEST(test_full)
{
    set_up(3, 10);
    for (unsigned i = 0; i < 3; i++, now_ms++)
        client_open(i);
    say(0, query, QUERY_LEN);
    client_open(3);
    tcp_reap(tcp);
    ck_assert_uint_eq(tcp_count(tcp), 3);
    ck_assert_int_eq(hear(1), 0);
    ck_assert_int_eq(hear(2), -1);
    /* A lower limit counts from the next connection on. */
    const struct tcp_limits lower = {.connections_max = 1, .idle_timeout_s = 10};
    tcp_set_limits(tcp, &lower);
    client_open(4);
    tcp_reap(tcp);
    ck_assert_uint_eq(tcp_count(tcp), 1);
    say(4, query, QUERY_LEN);
    ck_assert_int_gt(hear(4), 40);
    tear_down();
}
END_TEST

/* A listener for peers: others are reset, and cost nobody a place. */
START_TEST(test_listener_for_peers)
{
    struct prefix peers[] = {{.address = {6, {0}}, .len = 1},
                             {.address = {4, {127, 0, 0, 2}}, .len = 32}};
    struct tcp_limits limits = {.connections_max = 1, .idle_timeout_s = 10, .peers = peers};
    set_up(1, 10);
    client_open(0);
    ck_assert_uint_eq(tcp_count(tcp), 1);
    for (limits.peer_count = 0; limits.peer_count <= 2; limits.peer_count++) {
        tcp_set_limits(tcp, &limits);
        client_open_at(1, true);
        ck_assert_int_eq(hear(1), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        close(clients[1]);
        say(0, query, QUERY_LEN);
        ck_assert_int_gt(hear(0), 40);
    }
    peers[1].address.octets[3] = 1;
    limits.peer_count = 2;
    tcp_set_limits(tcp, &limits);
    client_open_at(1, true);
    ck_assert_int_eq(hear(0), 0); /* its place was taken */
    say(1, query, QUERY_LEN);
    ck_assert_int_gt(hear(1), 40);
    tear_down();
}
END_TEST

START_TEST(test_drain)
{
    set_up(10, 10);
    for (unsigned i = 0; i < 4; i++)
        client_open(i);
    ck_assert_int_eq(send(clients[1], query, QUERY_LEN, 0), (ssize_t)QUERY_LEN);
    ck_assert_int_eq(send(clients[2], query, QUERY_LEN - 1, 0), (ssize_t)QUERY_LEN - 1);
    shutdown(clients[3], SHUT_WR);
    const struct tcp_context context = {fixture.view, &policy, NULL, now_ms, 0};
    ck_assert_uint_eq(tcp_drain(tcp, &context), 0);
    tcp_reap(tcp);
    ck_assert_int_eq(hear(0), 0);
    ck_assert_int_gt(hear(1), 40);
    ck_assert_int_eq(hear(1), 0);
    ck_assert_int_eq(hear(2), 0);
    ck_assert_int_eq(hear(3), 0);
    ck_assert_uint_eq(tcp_held(tcp), 0);
    tear_down();
}
END_TEST

TEST_MAIN("server_tcp", test_waiting_holds_nothing, test_a_part_holds_its_octets,
          test_who_does_not_read_is_bounded, test_idle_time, test_full, test_listener_for_peers,
          test_drain)

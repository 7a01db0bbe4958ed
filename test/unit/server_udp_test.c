/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp_serve() on real sockets, with a sendmmsg() in between that fails as asked: too long for the
 * path, full buffers, a few messages at a time, unreachable clients.
 */
#include "server/socket.h"
#include "server/udp.h"
#include "test_main.h"
#include "zone_fixture.h"

#include <arpa/inet.h>
#include <errno.h>

static struct {
    size_t path_max;      /* longer messages: EMSGSIZE; 0: no limit */
    unsigned at_once;     /* messages per call; 0: all */
    unsigned full_count;  /* calls that say EAGAIN */
    unsigned refuse_each; /* every so many messages: EPERM; 0: none */
    unsigned call_count, message_count;
} fault;

/* Stands before the C library's. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    unsigned n = 0;
    fault.call_count++;
    if (fault.full_count > 0) {
        fault.full_count--;
        errno = EAGAIN;
        return -1;
    }
    for (; n < count && (fault.at_once == 0 || n < fault.at_once); n++) {
        int problem = 0;
        if (fault.path_max != 0 && messages[n].msg_hdr.msg_iov->iov_len > fault.path_max)
            problem = EMSGSIZE;
        else if (fault.refuse_each != 0 && ++fault.message_count % fault.refuse_each == 0)
            problem = EPERM;
        if (problem != 0) {
            errno = problem;
            if (n == 0)
                return -1;
            fault.message_count -= problem == EPERM;
            break;
        }
        messages[n].msg_len = 0;
        if (sendmsg(fd, &messages[n].msg_hdr, flags) < 0)
            return n > 0 ? (int)n : -1;
    }
    return (int)n;
}

static struct fixture fixture;
static struct udp_batch *batch;
static int server, client;

static void set_up(void)
{
    struct socket_error error;
    struct sockaddr_storage address;
    struct timeval patience = {0, 200000};
    socklen_t len = sizeof address;
    memset(&fault, 0, sizeof fault);
    fixture_open(&fixture);
    fixture_load(
        &fixture, "example.",
        "@ 300 SOA ns. host. 1 2 3 4 5\n@ 300 NS ns.example.\nns 300 A 192.0.2.1\n"
        "big 300 TXT 0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
        "9012345678901234567890123456789012345678901234567890123456789012345678901234567\n"
        "big 300 TXT 1123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
        "9012345678901234567890123456789012345678901234567890123456789012345678901234567\n"
        "big 300 TXT 2123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
        "9012345678901234567890123456789012345678901234567890123456789012345678901234567\n");
    ck_assert_int_eq(udp_batch_open(&batch), 0);
    /* Port 0 is for tests only: address_parse() refuses it. */
    ck_assert(address_parse("0.0.0.0@1", &address));
    ((struct sockaddr_in *)&address)->sin_port = 0;
    ck_assert_msg(socket_open_udp(&address, &server, &error) == 0, "%s", error.text);
    ck_assert_int_eq(getsockname(server, (struct sockaddr *)&address, &len), 0);
    ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&address, len), 0);
}

static void tear_down(void)
{
    close(client);
    close(server);
    udp_batch_close(batch);
    fixture_close(&fixture);
}

/* A TXT query for big.example. that would take 1232 octets. */
static void ask(uint16_t id)
{
    uint8_t query[] = "..\0\0\0\1\0\0\0\0\0\1\3big\7example\0\0\20\0\1\0\0\51\4\320\0\0\0\0\0\0";
    query[0] = (uint8_t)(id >> 8);
    query[1] = (uint8_t)id;
    ck_assert_int_eq(send(client, query, sizeof query - 1, 0), (ssize_t)sizeof query - 1);
}

static unsigned serve(void)
{
    struct respond_policy policy = respond_policy_default();
    const struct udp_context context = {.view = fixture.view, .policy = &policy};
    return udp_serve(batch, server, &context);
}

/* Responses that came; their IDs add up to *id_sum, *truncated of them have TC. */
static unsigned collect(unsigned *id_sum, unsigned *truncated)
{
    uint8_t response[4096];
    unsigned count = 0;
    *id_sum = *truncated = 0;
    for (ssize_t len; (len = recv(client, response, sizeof response, 0)) > 0; count++) {
        *id_sum += (unsigned)response[0] << 8 | response[1];
        *truncated += (response[2] & 2) != 0;
        ck_assert_int_ge(len, 12);
        ck_assert((response[2] & 2) == 0 || len <= 512);
    }
    return count;
}

static void run(unsigned queries, unsigned expected, unsigned expected_truncated)
{
    unsigned id_sum, truncated;
    for (unsigned i = 1; i <= queries; i++)
        ask((uint16_t)i);
    /* A busy machine delivers later, even on loopback. */
    usleep(100000);
    ck_assert_uint_eq(serve(), queries);
    ck_assert_uint_eq(collect(&id_sum, &truncated), expected);
    ck_assert_uint_eq(truncated, expected_truncated);
    if (expected == queries)
        ck_assert_uint_eq(id_sum, queries * (queries + 1) / 2);
}

START_TEST(test_all_at_once)
{
    set_up();
    run(UDP_BATCH, UDP_BATCH, 0);
    ck_assert_uint_eq(fault.call_count, 1);
    ck_assert_uint_eq(serve(), 0);
    tear_down();
}
END_TEST

START_TEST(test_too_long_for_the_path_becomes_truncated)
{
    set_up();
    fault.path_max = 600;
    run(10, 10, 10);
    tear_down();
}
END_TEST

START_TEST(test_path_that_takes_nothing)
{
    set_up();
    fault.path_max = 20;
    run(10, 0, 0);
    tear_down();
}
END_TEST

START_TEST(test_partial_sends)
{
    set_up();
    fault.at_once = 3;
    run(20, 20, 0);
    ck_assert_uint_eq(fault.call_count, 7);
    tear_down();
}
END_TEST

START_TEST(test_full_buffer_is_waited_for_once)
{
    set_up();
    fault.full_count = 1;
    run(10, 10, 0);
    fault.full_count = 2;
    run(10, 0, 0);
    fault.full_count = 0;
    run(10, 10, 0);
    tear_down();
}
END_TEST

START_TEST(test_refused_clients_are_passed_over)
{
    set_up();
    fault.refuse_each = 5;
    run(20, 16, 0);
    tear_down();
}
END_TEST

TEST_MAIN("server_udp", test_all_at_once, test_too_long_for_the_path_becomes_truncated,
          test_path_that_takes_nothing, test_partial_sends, test_full_buffer_is_waited_for_once,
          test_refused_clients_are_passed_over)

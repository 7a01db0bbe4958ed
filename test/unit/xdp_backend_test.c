/* SPDX-License-Identifier: BSD-2-Clause
 *
 * AF_XDP on a veth pair of its own: what is sent arrives, octet for octet and in order, however
 * trains lie in the shared memory; and so does what is received.
 */
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/xdp/driver.h"
#include "stateless_tcp/wire.h"
#include "test_main.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SKIPPED = 77, TYPE_EXPERIMENTAL = 0x88b5, PATIENCE_MS = 3000, UDP_AT = 34, DATA_AT = 42 };

static struct io *io;
static int wire; /* the other end */
static const struct packet_endpoint endpoint = {.address = {.family = 4, .octets = {198, 18, 9, 1}},
                                                .port = 53};

/* ---- frames that differ ---- */

static uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* Fill a frame with what only this number has. */
static void frame_fill(uint8_t *octets, uint32_t begin, uint32_t len, uint32_t number)
{
    for (uint32_t i = begin; i < len; i++)
        octets[i] = (uint8_t)mixed(number * 2048 + i);
}

static void frame_make(uint8_t *octets, uint32_t len, uint32_t number)
{
    memcpy(octets, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
    wire_store_be16(octets + 12, TYPE_EXPERIMENTAL);
    frame_fill(octets, 14, len, number);
}

static void query_make(uint8_t *octets, uint32_t len, uint32_t number)
{
    uint8_t *ip = octets + 14;
    uint32_t sum = 0;
    memcpy(octets, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", 14);
    memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x11\0\0\xc6\x12\x09\2\xc6\x12\x09\1", 20);
    wire_store_be16(ip + 2, (uint16_t)(len - 14));
    for (unsigned i = 0; i < 20; i += 2)
        sum += wire_load_be16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    wire_store_be16(ip + 10, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
    wire_store_be16(octets + UDP_AT, 4444);
    wire_store_be16(octets + UDP_AT + 2, endpoint.port);
    wire_store_be16(octets + UDP_AT + 4, (uint16_t)(len - UDP_AT));
    wire_store_be16(octets + UDP_AT + 6, 0);
    frame_fill(octets, DATA_AT, len, number);
}

/* ---- the other end ---- */

/* The next frame of ours; 0: none comes. */
static uint32_t wire_take(uint8_t *octets, uint32_t cap)
{
    struct pollfd poll_fd = {.fd = wire, .events = POLLIN};
    while (poll(&poll_fd, 1, PATIENCE_MS) > 0) {
        ssize_t len = recv(wire, octets, cap, 0);
        ck_assert_int_gt(len, 14);
        if (wire_load_be16(octets + 12) == TYPE_EXPERIMENTAL)
            return (uint32_t)len;
    }
    return 0;
}

static void wire_expect(uint32_t len, uint32_t number)
{
    uint8_t expected[2048], octets[2048];
    frame_make(expected, len, number);
    ck_assert_uint_eq(wire_take(octets, sizeof(octets)), len);
    ck_assert_msg(memcmp(octets, expected, len) == 0, "frame %u differs", number);
}

/* ---- sending ---- */

static uint32_t len_of(uint32_t number)
{
    return 60 + mixed(number) % (1514 - 60 + 1);
}

/* Send a train of `count` frames, the first with this number. */
static void train_send(uint32_t count, uint32_t number)
{
    struct train train;
    io_backend_xdp.lend(io, &train);
    ck_assert_uint_eq(train.len + train.frame_count, 0);
    ck_assert_uint_eq(train.cap, TRAIN_CAP);
    for (; train.frame_count < count && train.len + 1514 <= train.cap; train.frame_count++) {
        uint32_t len = len_of(number + train.frame_count);
        frame_make(train.octets + train.len, len, number + train.frame_count);
        train.frame_len[train.frame_count] = (uint16_t)len;
        train.len += len;
    }
    ck_assert_uint_eq(train.frame_count, count);
    ck_assert_int_eq(io_backend_xdp.send(io, &train), 0);
}

/* Many times round the memory, with trains of every length. */
START_TEST(test_trains)
{
    uint32_t number = 1;
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t count = mixed(i) % (i % 4 == 0 ? 60 : 4);
        train_send(count, number);
        ck_assert_int_eq(io_backend_xdp.flush(io), 0);
        for (; count > 0; count--, number++)
            wire_expect(len_of(number), number);
    }
    ck_assert_uint_gt(number, 2000);
}
END_TEST

/* More than the ring holds at once, and nobody flushes: still nothing is lost. */
START_TEST(test_many_queued)
{
    uint32_t number = 1;
    for (uint32_t lap = 0; lap < 3; lap++) {
        for (uint32_t i = 0; i < 900; i++)
            train_send(1, number + i);
        ck_assert_int_eq(io_backend_xdp.flush(io), 0);
        for (uint32_t i = 0; i < 900; i++, number++)
            wire_expect(len_of(number), number);
    }
}
END_TEST

/* A train that is lent and not sent is nowhere. */
START_TEST(test_lent_in_vain)
{
    for (uint32_t number = 1; number < 3000; number++) {
        struct train train;
        io_backend_xdp.lend(io, &train);
        memset(train.octets, 0xff, train.cap);
        if (number % 3 != 0)
            continue;
        train_send(1, number);
        ck_assert_int_eq(io_backend_xdp.flush(io), 0);
        wire_expect(len_of(number), number);
    }
}
END_TEST

/* ---- receiving ---- */

/* Take `count` queries that were sent with numbers from `number` on. */
static void queries_expect(uint32_t count, uint32_t number)
{
    uint32_t taken = 0;
    while (taken < count) {
        struct io_frame frames[IO_BATCH];
        int some = io_backend_xdp.receive(io, PATIENCE_MS, frames, IO_BATCH);
        ck_assert_int_gt(some, 0);
        for (int i = 0; i < some; i++, taken++) {
            uint8_t expected[2048];
            uint32_t len = len_of(number + taken);
            query_make(expected, len, number + taken);
            ck_assert_uint_eq(frames[i].len, len);
            ck_assert(memcmp(frames[i].octets, expected, len) == 0);
        }
    }
}

START_TEST(test_receive)
{
    uint32_t number = 1;
    for (uint32_t i = 0; i < 60; i++) { /* the memory is used several times over */
        uint32_t count = 1 + mixed(i) % 300;
        for (uint32_t n = 0; n < count; n++) {
            uint8_t octets[2048];
            query_make(octets, len_of(number + n), number + n);
            ck_assert_int_eq(send(wire, octets, len_of(number + n), 0), len_of(number + n));
        }
        queries_expect(count, number);
        number += count;
    }
    ck_assert_uint_gt(number, 5000);
    struct io_lost lost;
    io_backend_xdp.count_lost(io, &lost);
    ck_assert_uint_eq(lost.others + lost.syns, 0);
}
END_TEST

/* The longest frame that has a place, and one octet more. */
START_TEST(test_longest)
{
    struct io_frame frames[IO_BATCH];
    uint8_t octets[2048];
    for (uint32_t len = DRIVER_FRAME_MAX; len <= DRIVER_FRAME_MAX + 1; len++) {
        query_make(octets, len, len);
        ck_assert_int_eq(send(wire, octets, len, 0), len);
        int count = io_backend_xdp.receive(io, 300, frames, IO_BATCH);
        ck_assert_int_eq(count, len == DRIVER_FRAME_MAX);
        if (count == 1)
            ck_assert(frames[0].len == len && memcmp(frames[0].octets, octets, len) == 0);
    }
    ck_assert_int_eq(io_backend_xdp.receive(io, 0, frames, IO_BATCH), 0);
}
END_TEST

/* A reload: the same is opened again, then the first is closed. A worker too many has no queue. */
START_TEST(test_open_again)
{
    struct io_error error;
    const struct io_config config = {.interface = "x0", .has_udp = true, .worker_count = 1};
    const struct io_config more = {
        .interface = "x0", .has_udp = true, .worker = 1, .worker_count = 2, .first = io};
    struct io *again, *other;
    struct io_frame frames[1];
    struct train train = {.frame_count = 1, .frame_len = {60}};
    ck_assert_int_eq(io_backend_xdp.open(&config, &again, &error), 0);
    ck_assert_int_eq(io_backend_xdp.open(&more, &other, &error), 0);
    ck_assert(strstr(error.text, "more workers than queues") != NULL);
    ck_assert_int_eq(io_backend_xdp.receive(other, 1, frames, 1), 0);
    io_backend_xdp.lend(other, &train);
    train.frame_count = 1, train.frame_len[0] = 60, train.len = 60;
    ck_assert_int_eq(io_backend_xdp.send(other, &train), 0);
    io_backend_xdp.close(other);
    io_backend_xdp.close(io);
    io = again;
    train_send(3, 7);
    ck_assert_int_eq(io_backend_xdp.flush(io), 0);
    for (uint32_t number = 7; number < 10; number++)
        wire_expect(len_of(number), number);
    uint8_t octets[2048];
    query_make(octets, len_of(1), 1);
    ck_assert_int_eq(send(wire, octets, len_of(1), 0), len_of(1));
    queries_expect(1, 1);
}
END_TEST

/* ---- a network of its own ---- */

static int wire_open(void)
{
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_protocol = htons(3), /* every one */
                                        .sll_ifindex = (int)if_nametoindex("x1")};
    const int room = 64 << 20, on = 1;
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    return fd;
}

static int tell(void)
{
    const struct stateless_tcp_config tcp = stateless_tcp_config_default();
    const struct stateless_tcp_keys keys = {.epochs = {{2}, {3}}};
    struct io_error note = {.text = ""};
    const struct io_facts facts = {
        .tcp = &tcp, .keys = &keys, .endpoints = &endpoint, .endpoint_count = 1, .note = &note};
    return io_backend_xdp.tell(io, &facts);
}

int main(void)
{
    const TTest *const tests[] = {test_trains,  test_many_queued, test_lent_in_vain,
                                  test_receive, test_longest,     test_open_again};
    const struct io_config config = {.interface = "x0", .has_udp = true, .worker_count = 1};
    struct io_error error;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0 ||
        system("ip link add x0 mtu 3000 type veth peer name x1 mtu 3000 && ip link set x0 up && "
               "ip link set x1 up") != 0) {
        fprintf(stderr, "skipped: no root, or no network namespaces, or no veth\n");
        return SKIPPED;
    }
    int result = io_backend_xdp.open(&config, &io, &error);
    if (result == -EPERM || result == -EOPNOTSUPP) {
        fprintf(stderr, "skipped: %s\n", error.text);
        return SKIPPED;
    }
    if (result != 0 || tell() != 0 || (wire = wire_open()) < 0) {
        fprintf(stderr, "cannot begin: %s\n", error.text);
        return EXIT_FAILURE;
    }
    /* The rings are not for children: all tests in this process, one after the other. */
    setenv("CK_FORK", "no", 1);
    result = test_run("xdp_backend", tests, sizeof tests / sizeof *tests, NULL, NULL);
    io_backend_xdp.close(io);
    return result;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Live backends on a virtual wire: what goes in comes out, octet by octet, and what cannot is
 * counted.
 *
 * Each test has a network namespace of its own with both ends of the wire: a backend on v0, and on
 * v1 a packet socket of the test.
 */
#include "stateless_frames.h"
#include "stateless_tcp/io/io.h"
#include "test_main.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIP 77
#define MTU "12000"
#define FILTER "dst port 53 and not src net 198.18.7.0/24"
#define SYN 0x02
#define ACK 0x10

static const struct io_backend *backend; /* under test */
static int wire;                         /* packet socket on v1 */
static struct io *io;
static struct io_error error;
static uint8_t frame[FRAME_CAP];

static void sh(const char *command)
{
    ck_assert_msg(system(command) == 0, "%s", command);
}

static int wire_open(void)
{
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_protocol = htons(ETH_P_ALL),
                                        .sll_ifindex = (int)if_nametoindex("v1")};
    const int on = 1, room = 64 << 20;
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static struct io *open_backend(unsigned worker, unsigned worker_count, struct io *first)
{
    const struct io_config config = {.interface = "v0",
                                     .filter = FILTER,
                                     .worker = worker,
                                     .worker_count = worker_count,
                                     .first = first};
    struct io *opened;
    ck_assert_msg(backend->open(&config, &opened, &error) == 0, "%s", error.text);
    return opened;
}

static void setup(void)
{
    ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
    sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    sh("ip link add v0 type veth peer name v1");
    sh("ip link set v0 mtu " MTU " up");
    sh("ip link set v1 mtu " MTU " up");
    wire = wire_open();
    io = open_backend(0, 1, NULL);
}

static void teardown(void)
{
    if (io != NULL)
        backend->close(io);
    close(wire);
}

/* ---- the test's end of the wire ---- */

static size_t make(uint8_t flags, uint16_t port, size_t payload_len)
{
    static const uint8_t payload[FRAME_CAP];
    struct frame_spec spec = frame_spec_client(4);
    spec.flags = flags;
    spec.source_port = port;
    spec.payload = payload;
    spec.payload_len = payload_len;
    return frame_build(&spec, frame);
}

static void put(size_t len)
{
    ck_assert_int_eq(send(wire, frame, len, 0), (ssize_t)len);
}

static void put_many(uint8_t flags, int count)
{
    for (int i = 0; i < count; i++)
        put(make(flags, (uint16_t)(1024 + i), 0));
}

/* Wait for one frame; its length, 0: none came. */
static size_t get(uint8_t *octets, size_t cap)
{
    struct pollfd readable = {.fd = wire, .events = POLLIN};
    if (poll(&readable, 1, 300) <= 0)
        return 0;
    ssize_t len = recv(wire, octets, cap, 0);
    ck_assert_int_gt(len, 0);
    return (size_t)len;
}

/* Receive until a frame is there. */
static void must_receive(struct io_frame *received)
{
    int count = 0;
    for (int i = 0; i < 30 && count == 0; i++)
        count = backend->receive(io, 100, received, 1);
    ck_assert_int_eq(count, 1);
}

static void must_receive_same(size_t len)
{
    struct io_frame received;
    must_receive(&received);
    ck_assert_uint_eq(received.len, len);
    ck_assert_mem_eq(received.octets, frame, len);
}

static void must_receive_nothing(void)
{
    struct io_frame received;
    ck_assert_int_eq(backend->receive(io, 50, &received, 1), 0);
}

/* All that is there, at most `frame_cap` in each batch. Returns how many, and of what size. */
static int drain(int frame_cap, unsigned *batches_out)
{
    struct io_frame frames[IO_BATCH];
    int total = 0, count;
    for (*batches_out = 0; (count = backend->receive(io, 100, frames, frame_cap)) > 0;
         (*batches_out)++) {
        ck_assert_int_le(count, frame_cap);
        total += count;
    }
    ck_assert_int_eq(count, 0);
    return total;
}

/* ---- tests ---- */

START_TEST(test_in)
{
    put(make(SYN, 1, 0));
    must_receive_same(make(SYN, 1, 0));
    put(make(ACK, 2, 100));
    must_receive_same(make(ACK, 2, 100));
    struct frame_spec spec = frame_spec_client(6);
    spec.flags = SYN;
    size_t len = frame_build(&spec, frame);
    put(len);
    must_receive_same(len);
    spec.is_udp = true;
    len = frame_build(&spec, frame);
    put(len);
    must_receive_same(len);
    /* Neither what the filter leaves out, nor what is sent. */
    spec = frame_spec_client(4);
    spec.destination_port = 54;
    put(frame_build(&spec, frame));
    spec = frame_spec_client(4);
    memcpy(spec.source, "\xc6\x12\x07\x01", 4);
    spec.flags = SYN;
    put(frame_build(&spec, frame));
    struct train train;
    backend->lend(io, &train);
    train.len = train.frame_len[0] = (uint16_t)make(SYN, 1, 0);
    train.frame_count = 1;
    memcpy(train.octets, frame, train.len);
    ck_assert_int_eq(backend->send(io, &train), 0);
    must_receive_nothing();
}
END_TEST

/* One train of `count` frames, of which each bears its number. */
static void send_train(unsigned count, unsigned first)
{
    struct train train;
    backend->lend(io, &train);
    ck_assert_uint_eq(train.len, 0);
    ck_assert_uint_eq(train.frame_count, 0);
    ck_assert_uint_ge(train.cap, TRAIN_CAP);
    for (unsigned i = 0; i < count; i++) {
        size_t len = make(ACK, (uint16_t)(first + i), 1 + (first + i) % 400);
        memcpy(train.octets + train.len, frame, len);
        train.frame_len[train.frame_count++] = (uint16_t)len;
        train.len += (uint32_t)len;
    }
    ck_assert_int_eq(backend->send(io, &train), 0);
}

static void must_get(unsigned count)
{
    static uint8_t got[FRAME_CAP];
    for (unsigned i = 1; i <= count; i++) {
        size_t len = make(ACK, (uint16_t)i, 1 + i % 400);
        ck_assert_uint_eq(get(got, sizeof got), len);
        ck_assert_mem_eq(got, frame, len);
    }
    ck_assert_uint_eq(get(got, sizeof got), 0);
}

START_TEST(test_out)
{
    /* Short trains, an empty one, one that is lent and not sent, and the longest ones. */
    struct train unused;
    unsigned sent = 0;
    const unsigned trains[] = {
        1, 3, 0, 1, TRAIN_FRAMES_MAX, TRAIN_FRAMES_MAX, TRAIN_FRAMES_MAX, TRAIN_FRAMES_MAX, 2};
    for (unsigned i = 0; i < sizeof trains / sizeof trains[0]; i++) {
        backend->lend(io, &unused);
        memset(unused.octets, 0xee, 100);
        send_train(trains[i], 1 + sent);
        sent += trains[i];
    }
    must_receive_nothing(); /* but what was queued is gone now */
    must_get(sent);
}
END_TEST

START_TEST(test_flush)
{
    send_train(2, 1);
    if (backend->flush != NULL)
        ck_assert_int_eq(backend->flush(io), 0);
    must_get(2);
}
END_TEST

START_TEST(test_batches)
{
    unsigned batches;
    put_many(SYN, 100);
    put_many(ACK, 300);
    ck_assert_int_eq(drain(IO_BATCH, &batches), 400);
    ck_assert_uint_ge(batches, 400 / IO_BATCH);
    put_many(ACK, 7);
    ck_assert_int_eq(drain(1, &batches), 7);
    ck_assert_uint_eq(batches, 7);
}
END_TEST

/* Frames stay what they are until the next receive, also while trains are made and sent. */
START_TEST(test_frames_are_valid_until_the_next_receive)
{
    struct io_frame frames[IO_BATCH];
    int count = 0;
    put_many(ACK, 40);
    usleep(100000);
    count = backend->receive(io, 100, frames, IO_BATCH);
    ck_assert_int_eq(count, 40);
    put_many(ACK, 20);
    send_train(TRAIN_FRAMES_MAX, 1);
    for (int i = 0; i < count; i++) {
        size_t len = make(ACK, (uint16_t)(1024 + i), 0);
        ck_assert_uint_eq(frames[i].len, len);
        ck_assert_mem_eq(frames[i].octets, frame, len);
    }
}
END_TEST

START_TEST(test_long_frames)
{
    for (size_t len = 1400; len <= 9000; len += 190) {
        put(make(ACK, 9, len));
        must_receive_same(make(ACK, 9, len));
    }
    put(make(SYN, 9, 5000));
    must_receive_same(make(SYN, 9, 5000));
    /* Cut is for the parser to drop; what comes next is whole again. */
    struct io_frame received;
    size_t len = make(ACK, 9, 11000);
    put(len);
    must_receive(&received);
    ck_assert_uint_eq(received.len, 9216);
    ck_assert_mem_eq(received.octets, frame, received.len);
    put(make(ACK, 9, 10));
    must_receive_same(make(ACK, 9, 10));
}
END_TEST

START_TEST(test_many_long_frames)
{
    unsigned batches;
    for (int i = 0; i < 40; i++)
        put(make(i % 3 == 0 ? SYN : ACK, 9, i % 2 == 0 ? 4000 : 40));
    ck_assert_int_eq(drain(IO_BATCH, &batches), 40);
}
END_TEST

START_TEST(test_vlan)
{
    static const uint16_t tags[] = {ETH_P_8021AD, 7, ETH_P_8021Q, 0x6123};
    struct frame_spec spec = frame_spec_client(4);
    spec.tags = tags + 2;
    spec.tag_count = 1;
    for (unsigned flags = SYN; flags <= ACK; flags += ACK - SYN) {
        spec.flags = (uint8_t)flags;
        size_t len = frame_build(&spec, frame);
        put(len);
        must_receive_same(len);
    }
    static const uint8_t payload[5000];
    spec.payload = payload;
    spec.payload_len = sizeof payload;
    size_t len = frame_build(&spec, frame);
    put(len);
    must_receive_same(len);
    spec.tags = tags; /* an outer tag only is taken off */
    spec.tag_count = 1;
    len = frame_build(&spec, frame);
    put(len);
    must_receive_same(len);
}
END_TEST

/* A UDP socket of the kernel, which leaves its checksum to hardware that is not there. */
START_TEST(test_checksum_left_to_hardware)
{
    if (strcmp(backend->name, "packet") != 0)
        return;
    sh("ip address add 198.18.0.2/24 dev v1");
    sh("ip neighbour add 198.18.0.1 lladdr 02:00:00:00:00:01 dev v1");
    const struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = inet_addr("198.18.0.1")};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(sendto(fd, "hello", 5, 0, (const struct sockaddr *)&server, sizeof server), 5);
    struct io_frame received;
    must_receive(&received);
    ck_assert(received.is_checksum_unset);
    put(make(ACK, 9, 10));
    must_receive(&received);
    ck_assert(!received.is_checksum_unset);
    ck_assert_uint_ne(received.time_us, 0);
    close(fd);
}
END_TEST

/* SYNs that nobody takes are lost and counted; what else comes meanwhile is not. */
START_TEST(test_overflow)
{
    unsigned batches;
    struct io_lost lost;
    if (strcmp(backend->name, "packet") != 0)
        return;
    put_many(SYN, 3000);
    put_many(ACK, 1000);
    put_many(SYN, 1000);
    int received = drain(IO_BATCH, &batches);
    backend->count_lost(io, &lost);
    ck_assert_uint_eq(lost.others, 0);
    ck_assert_uint_gt(lost.syns, 0);
    ck_assert_uint_eq((uint64_t)received + lost.syns, 5000);
    put_many(ACK, 10);
    put_many(SYN, 10);
    ck_assert_int_eq(drain(IO_BATCH, &batches), 20);
    /* Counted once. */
    struct io_lost again;
    backend->count_lost(io, &again);
    ck_assert_uint_eq(again.syns, lost.syns);
    put_many(ACK, 6000);
    received = drain(IO_BATCH, &batches);
    backend->count_lost(io, &again);
    ck_assert_uint_gt(again.others, 0);
    ck_assert_uint_eq((uint64_t)received + again.others, 6000);
}
END_TEST

/* Neither kind starves the other. */
START_TEST(test_turns)
{
    struct io_frame frames[IO_BATCH];
    if (strcmp(backend->name, "packet") != 0)
        return;
    put_many(SYN, 500);
    put_many(ACK, 500);
    usleep(100000);
    for (int round = 0; round < 5; round++) {
        int syns = 0, count = backend->receive(io, 100, frames, IO_BATCH);
        ck_assert_int_eq(count, IO_BATCH);
        for (int i = 0; i < count; i++)
            syns += frames[i].octets[ETH_HLEN + 20 + 13] == SYN;
        ck_assert_int_eq(syns, IO_BATCH / 4);
        ck_assert_int_eq(frames[0].octets[ETH_HLEN + 20 + 13], ACK);
    }
}
END_TEST

static int receive_problem(void)
{
    struct io_frame received;
    for (int i = 0; i < 5; i++) {
        int count = backend->receive(io, 100, &received, 1);
        if (count != 0)
            return count;
    }
    return 0;
}

START_TEST(test_interface_down_up_gone)
{
    sh("ip link set v0 down");
    int problem = receive_problem(); /* libpcap says nothing */
    ck_assert(problem == -ENETDOWN || (problem == 0 && strcmp(backend->name, "libpcap") == 0));
    sh("ip link set v0 up");
    usleep(100000);
    put(make(ACK, 9, 10));
    must_receive_same(make(ACK, 9, 10));
    send_train(1, 1);
    must_receive_nothing();
    must_get(1);
    sh("ip link delete v0");
    ck_assert_int_eq(receive_problem(), -ENODEV);
}
END_TEST

/* All frames of a connection come to one worker, and none to two. */
START_TEST(test_shared)
{
    enum { FLOWS = 200, EACH = 3 };
    uint8_t owner[FLOWS] = {0}; /* 1 + worker */
    int total[2] = {0};
    if (!backend->is_shared)
        return;
    backend->close(io);
    struct io *workers[2];
    workers[0] = open_backend(0, 2, NULL);
    workers[1] = open_backend(1, 2, workers[0]);
    for (int i = 0; i < EACH; i++)
        put_many(ACK, FLOWS);
    for (int w = 0; w < 2; w++) {
        struct io_frame frames[IO_BATCH];
        int count;
        while ((count = backend->receive(workers[w], 100, frames, IO_BATCH)) > 0) {
            for (int i = 0; i < count; i++) {
                const uint8_t *port = frames[i].octets + ETH_HLEN + 20;
                int flow = (port[0] << 8 | port[1]) - 1024;
                ck_assert(flow >= 0 && flow < FLOWS);
                ck_assert(owner[flow] == 0 || owner[flow] == 1 + w);
                owner[flow] = (uint8_t)(1 + w);
            }
            total[w] += count;
        }
    }
    ck_assert_int_eq(total[0] + total[1], FLOWS * EACH);
    ck_assert(total[0] > FLOWS * EACH / 5 && total[1] > FLOWS * EACH / 5);
    backend->close(workers[1]);
    backend->close(workers[0]);
    io = NULL;
}
END_TEST

START_TEST(test_refusals)
{
    static const struct {
        const char *interface, *filter, *says;
        int result;
    } wrong[] = {
        {"nowhere", FILTER, "there is no such interface", -ENODEV},
        {"a-name-longer-than-any", FILTER, "interface", -ENODEV},
        {"v0", "dst port what", "filter", -EINVAL},
        {"v2", FILTER, "is down", -ENETDOWN},
    };
    sh("ip link add v2 type veth peer name v3");
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct io_config config = {
            .interface = wrong[i].interface, .filter = wrong[i].filter, .worker_count = 1};
        struct io *opened = io;
        ck_assert_int_eq(backend->open(&config, &opened, &error), wrong[i].result);
        ck_assert_ptr_null(opened);
        ck_assert_msg(strstr(error.text, wrong[i].says) != NULL, "%s", error.text);
        ck_assert_msg(strstr(error.text, wrong[i].interface) != NULL, "%s", error.text);
    }
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        test_in,
        test_out,
        test_flush,
        test_batches,
        test_frames_are_valid_until_the_next_receive,
        test_long_frames,
        test_many_long_frames,
        test_vlan,
        test_checksum_left_to_hardware,
        test_overflow,
        test_turns,
        test_interface_down_up_gone,
        test_shared,
        test_refusals,
    };
    MUST(argc == 2);
    backend = io_backend_find(argv[1]);
    if (backend == NULL || geteuid() != 0) {
        printf("SKIP: needs root and a build with io: %s\n", argv[1]);
        return SKIP;
    }
    return test_run(argv[1], tests, sizeof tests / sizeof *tests, setup, teardown);
}

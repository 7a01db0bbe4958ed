/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP program, run by the kernel on frames of ours, against packet_parse() and packet_is_for():
 * what it takes they take, and what they take it takes. The frames are the golden captures', as
 * they are and damaged in many ways.
 *
 * usage: xdp_driver_test CAPTURE...
 */
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/xdp/loader.h"
#include "stateless_tcp/wire.h"
#include "test/unit/driver_run.h"
#include "test_main.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_CAP 2048u
#define FRAMES_MAX 4096u
#define DAMAGES_EACH 60

enum { SKIPPED = 77 };

struct frame {
    uint32_t len;
    uint8_t octets[FRAME_CAP];
};

static struct frame frames[FRAMES_MAX];
static size_t frame_count;
static struct packet_endpoint endpoints[DRIVER_ENDPOINTS_MAX];
static size_t endpoint_count;
static struct prefix peers[2];
static size_t peer_count;
static struct loader *loader;
static struct loader_wish wish;
static struct stateless_tcp_keys keys = {.epochs = {{2, 3, 4}, {5, 6, 7}}};

/* ---- what user space thinks ---- */

static bool is_served(const struct packet *packet, enum packet_outcome outcome)
{
    switch (outcome) {
    case PACKET_DROP:
        return false;
    case PACKET_UDP:
        return wish.has_udp && packet_is_for(packet, endpoints, endpoint_count);
    case PACKET_TCP:
        return packet_is_for(packet, endpoints, endpoint_count) &&
               !prefix_has(wish.peers, wish.peer_count, &packet->source);
    }
    return false;
}

static bool is_ours(const struct frame *frame, enum packet_checksum_policy policy)
{
    struct packet packet;
    if (frame->len > DRIVER_FRAME_MAX)
        return false;
    enum packet_outcome outcome = packet_parse(frame->octets, frame->len, false, policy, &packet);
    return is_served(&packet, outcome);
}

/* The same frame with options that nobody minds: the program does not read them. */
static struct frame without_options(const struct frame *frame)
{
    struct frame plain = *frame;
    uint8_t *at = plain.octets + 12, *end = plain.octets + plain.len;
    while (at + 4 < end && (wire_load_be16(at) == 0x8100 || wire_load_be16(at) == 0x88a8))
        at += 4;
    uint8_t *ip = at + 2, *tcp = end;
    if (ip + 20 <= end && ip[0] >> 4 == 4 && ip[9] == 6)
        tcp = ip + (ip[0] & 15) * 4;
    if (ip + 40 <= end && ip[0] >> 4 == 6) {
        uint8_t next = ip[6];
        for (tcp = ip + 40; tcp + 8 <= end && (next == 0 || next == 60 || next == 43);) {
            uint8_t *header = tcp;
            tcp += 8 + 8 * header[1];
            if (next != 43 && tcp <= end)
                memset(header + 2, 0, (size_t)(tcp - header) - 2);
            next = header[0];
        }
        if (next != 6)
            tcp = end;
    }
    if (tcp + 20 < end)
        for (uint8_t *option = tcp + 20; option < tcp + (tcp[12] >> 4) * 4 && option < end;)
            *option++ = 1;
    return plain;
}

/* ---- what the program does ---- */

enum taken { PASSED, CLIMBED, ANSWERED, SILENT };

static enum taken program_run(const struct frame *frame, bool *too_long_out)
{
    uint64_t before[DRIVER_COUNTERS], after[DRIVER_COUNTERS];
    static uint8_t out[2 * FRAME_CAP];
    size_t out_len;
    loader_counters(loader, before);
    uint32_t action =
        driver_run(loader_program(loader), frame->octets, frame->len, out, sizeof(out), &out_len);
    loader_counters(loader, after);
    *too_long_out = after[DRIVER_COUNT_TOO_LONG] != before[DRIVER_COUNT_TOO_LONG];
    if (action == XDP_PASS) {
        ck_assert_uint_eq(out_len, frame->len);
        ck_assert(memcmp(out, frame->octets, frame->len) == 0);
    }
    bool is_climbed = after[DRIVER_COUNT_CLIMBED] != before[DRIVER_COUNT_CLIMBED];
    if (after[DRIVER_COUNT_ANSWERED] != before[DRIVER_COUNT_ANSWERED]) {
        ck_assert_uint_eq(action, XDP_TX);
        return ANSWERED;
    }
    if (after[DRIVER_COUNT_SILENT] != before[DRIVER_COUNT_SILENT]) {
        ck_assert_uint_eq(action, XDP_DROP);
        return SILENT;
    }
    ck_assert_uint_eq(action, XDP_PASS); /* there are no sockets to climb to */
    return is_climbed ? CLIMBED : PASSED;
}

static void dump(const struct frame *frame)
{
    for (uint32_t i = 0; i < frame->len && i < 128; i++)
        fprintf(stderr, "%02x%s", frame->octets[i], i % 16 == 15 ? "\n" : " ");
    fprintf(stderr, "(%u octets)\n", frame->len);
}

static void frame_check(const struct frame *frame, size_t counts[4])
{
    bool is_too_long;
    if (frame->len < 14)
        return; /* no Ethernet header: the kernel's own test refuses it */
    enum taken taken = program_run(frame, &is_too_long);
    struct frame plain = without_options(frame);
    /* Checksums and options are for whoever reads all of it, unless the program answers. */
    bool may_climb = is_ours(&plain, PACKET_CHECKSUM_NEVER);
    bool must_be_taken = is_ours(frame, PACKET_CHECKSUM_AUTO);
    bool is_right = !is_too_long || frame->len > DRIVER_FRAME_MAX;
    if (taken == PASSED)
        is_right &= !must_be_taken;
    else if (taken == CLIMBED)
        is_right &= may_climb;
    else
        is_right &= may_climb && (taken == SILENT || must_be_taken);
    if (!is_right)
        dump(frame);
    ck_assert_msg(is_right, "%s", taken == PASSED ? "passed, though ours" : "taken wrongly");
    counts[taken]++;
}

/* ---- damage ---- */

static uint64_t chance_state = 0x9e3779b97f4a7c15u;

static uint32_t chance(uint32_t limit)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (uint32_t)(chance_state >> 33) % limit;
}

static void insert(struct frame *frame, uint32_t at, uint32_t len)
{
    if (frame->len + len > FRAME_CAP || at > frame->len)
        return;
    memmove(frame->octets + at + len, frame->octets + at, frame->len - at);
    memset(frame->octets + at, 0, len);
    frame->len += len;
}

static void ipv4_sum(uint8_t *header)
{
    uint32_t sum = 0;
    wire_store_be16(header + 10, 0);
    for (unsigned i = 0; i < (header[0] & 15u) * 4; i += 2)
        sum += wire_load_be16(header + i);
    sum = (sum & 0xffff) + (sum >> 16);
    wire_store_be16(header + 10, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
}

static void insert_tag(struct frame *frame)
{
    if (frame->len < 14)
        return;
    insert(frame, 12, 4);
    wire_store_be16(frame->octets + 12, chance(2) ? 0x8100 : 0x88a8);
    wire_store_be16(frame->octets + 14, (uint16_t)(1 + chance(4000)));
}

static void insert_extension(struct frame *frame)
{
    static const uint8_t kinds[] = {0, 60, 43, 44, 51};
    uint8_t *ip = frame->octets + 14;
    uint32_t len = 8 * (1 + (chance(4) == 0 ? chance(31) : chance(2)));
    if (frame->len < 54 || wire_load_be16(frame->octets + 12) != 0x86dd ||
        frame->len + len > FRAME_CAP)
        return;
    uint8_t kind = kinds[chance(sizeof kinds)], next = ip[6];
    insert(frame, 54, len);
    ip[6] = kind;
    ip[40] = next;
    ip[41] = (uint8_t)(len / 8 - 1);
    if (kind == 43)
        ip[43] = chance(4) == 0; /* segments left */
    wire_store_be16(ip + 4, (uint16_t)(wire_load_be16(ip + 4) + len));
}

static void insert_ipv4_options(struct frame *frame)
{
    uint8_t *ip = frame->octets + 14;
    uint32_t len = 4 * (1 + chance(4));
    if (frame->len < 34 || wire_load_be16(frame->octets + 12) != 0x0800 || (ip[0] & 15) != 5 ||
        frame->len + len > FRAME_CAP)
        return;
    insert(frame, 34, len);
    memset(ip + 20, 1, len);
    ip[0] = (uint8_t)(0x45 + len / 4);
    wire_store_be16(ip + 2, (uint16_t)(wire_load_be16(ip + 2) + len));
    ipv4_sum(ip);
}

/* The header's sum is right again, so that what else is wrong matters. */
static void damage_ipv4(struct frame *frame)
{
    uint8_t *ip = frame->octets + 14;
    if (frame->len < 34 || wire_load_be16(frame->octets + 12) != 0x0800 || (ip[0] & 15) != 5)
        return;
    switch (chance(5)) {
    case 0: /* a fragment */
        wire_store_be16(ip + 6, (uint16_t)(chance(2) ? 0x2000 : 1 + chance(0x1fff)));
        break;
    case 1:
        ip[12] = (uint8_t)chance(256);
        break;
    case 2:
        ip[16] = (uint8_t)chance(256);
        break;
    case 3:
        wire_store_be16(ip + 2, (uint16_t)chance(frame->len + 8));
        break;
    case 4: /* from ourselves */
        memcpy(ip + 12, ip + 16, 4);
        memcpy(ip + 20, ip + 22, 2);
        break;
    }
    ipv4_sum(ip);
}

static void damage(struct frame *frame)
{
    switch (chance(9)) {
    case 0:
    case 1:
        if (frame->len > 0)
            frame->octets[chance(frame->len < 90 ? frame->len : 90)] ^= (uint8_t)(1 << chance(8));
        return;
    case 2:
        if (frame->len > 0)
            frame->octets[chance(frame->len < 90 ? frame->len : 90)] = (uint8_t)chance(256);
        return;
    case 3:
        frame->len = chance(frame->len + 1);
        return;
    case 4:
        insert_tag(frame);
        return;
    case 5:
        insert_extension(frame);
        return;
    case 6:
        insert_ipv4_options(frame);
        return;
    case 7:
        insert(frame, frame->len, 1 + chance(600)); /* padding */
        return;
    case 8:
        damage_ipv4(frame);
        return;
    }
}

/* ---- tests ---- */

static void tell(bool has_udp, bool has_driver)
{
    qsort(endpoints, endpoint_count, sizeof *endpoints, packet_endpoint_compare);
    const struct stateless_tcp_config tcp = stateless_tcp_config_default();
    const struct io_facts facts = {
        .tcp = &tcp, .keys = &keys, .endpoints = endpoints, .endpoint_count = endpoint_count};
    wish = (struct loader_wish){
        .has_udp = has_udp, .has_driver = has_driver, .peers = peers, .peer_count = peer_count};
    ck_assert_int_eq(loader_tell(loader, &wish, &facts), 0);
}

static void frames_check(int damages_each, size_t counts[4])
{
    memset(counts, 0, 4 * sizeof(*counts));
    for (size_t i = 0; i < frame_count; i++) {
        frame_check(&frames[i], counts);
        for (int d = 0; d < damages_each; d++) {
            struct frame frame = frames[i];
            for (uint32_t n = 1 + chance(3); n > 0; n--)
                damage(&frame);
            frame_check(&frame, counts);
        }
    }
}

START_TEST(test_nothing_told)
{
    size_t counts[4];
    endpoint_count = 0;
    frames_check(0, counts); /* a program that is told nothing takes nothing */
    ck_assert_uint_eq(counts[CLIMBED] + counts[ANSWERED] + counts[SILENT], 0);
    ck_assert_uint_gt(counts[PASSED], 100);
}
END_TEST

START_TEST(test_climb)
{
    size_t counts[4];
    tell(true, false);
    frames_check(DAMAGES_EACH, counts);
    ck_assert_uint_gt(counts[CLIMBED], frame_count);
    ck_assert_uint_gt(counts[PASSED], frame_count);
    ck_assert_uint_eq(counts[ANSWERED] + counts[SILENT], 0);
}
END_TEST

START_TEST(test_udp_is_the_kernels)
{
    size_t counts[4], all;
    tell(true, false);
    frames_check(0, counts);
    all = counts[CLIMBED];
    tell(false, false);
    frames_check(0, counts);
    ck_assert_uint_lt(counts[CLIMBED], all);
    ck_assert_uint_gt(counts[CLIMBED], 0);
}
END_TEST

START_TEST(test_answer)
{
    size_t counts[4];
    tell(true, true);
    frames_check(DAMAGES_EACH / 4, counts);
    ck_assert_uint_gt(counts[CLIMBED], 0);
}
END_TEST

/* Peers keep their TCP to the kernel, not their UDP; then they are peers no longer. */
START_TEST(test_peers)
{
    size_t counts[4], without;
    bool is_too_long;
    tell(true, false);
    frames_check(0, counts);
    without = counts[CLIMBED];
    peers[0] = (struct prefix){.address.family = 4, .len = 0};
    peers[1] = (struct prefix){.address = {.family = 6, .octets = {0}}, .len = 0};
    peer_count = 2;
    tell(true, false);
    frames_check(4, counts);
    for (size_t i = 0; i < frame_count; i++) {
        struct packet packet;
        if (packet_parse(frames[i].octets, frames[i].len, false, PACKET_CHECKSUM_NEVER, &packet) ==
            PACKET_TCP)
            ck_assert_int_eq(program_run(&frames[i], &is_too_long), PASSED);
    }
    peer_count = 0;
    tell(true, false);
    frames_check(0, counts);
    ck_assert_uint_eq(counts[CLIMBED], without);
}
END_TEST

START_TEST(test_prefix_lengths)
{
    size_t counts[4];
    for (uint8_t len = 1; len <= 32; len++) {
        struct packet packet;
        const struct frame *frame = &frames[chance((uint32_t)frame_count)];
        if (packet_parse(frame->octets, frame->len, false, PACKET_CHECKSUM_NEVER, &packet) ==
            PACKET_DROP)
            continue;
        peers[0] = (struct prefix){.address = packet.source, .len = len};
        for (unsigned bit = len; bit < 128; bit++)
            peers[0].address.octets[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        peer_count = 1;
        tell(true, false);
        frames_check(0, counts);
    }
    peer_count = 0;
    tell(true, false);
}
END_TEST

/* Addresses come and go while frames do. */
START_TEST(test_endpoints_change)
{
    size_t counts[4], all = endpoint_count;
    for (size_t count = all; count > 0; count /= 2) {
        endpoint_count = count;
        tell(true, false);
        frames_check(2, counts);
    }
    memmove(endpoints, endpoints + all / 2, (all - all / 2) * sizeof *endpoints);
    endpoint_count = all - all / 2;
    tell(true, false);
    frames_check(2, counts);
}
END_TEST

START_TEST(test_too_long)
{
    size_t counts[4];
    bool is_too_long = false;
    tell(true, false);
    for (size_t i = 0; i < frame_count; i++) {
        struct frame frame = frames[i];
        if (!is_ours(&frame, PACKET_CHECKSUM_AUTO) || frame.len > DRIVER_FRAME_MAX)
            continue;
        insert(&frame, frame.len, DRIVER_FRAME_MAX - frame.len);
        ck_assert_int_eq(program_run(&frame, &is_too_long), CLIMBED);
        insert(&frame, frame.len, 1);
        ck_assert_int_eq(program_run(&frame, &is_too_long), PASSED);
        ck_assert(is_too_long);
        frame_check(&frame, counts);
    }
    ck_assert(is_too_long);
}
END_TEST

/* Who opens an interface again has the same program; a stranger's is left alone. */
START_TEST(test_one_program)
{
    struct loader *again;
    struct io_error error;
    ck_assert_int_eq(loader_open("lo", false, &again, &error), 0);
    ck_assert_ptr_eq(again, loader);
    loader_close(again);
    ck_assert_int_eq(loader_open("nosuch0", false, &again, &error), -ENODEV);
    ck_assert_ptr_null(again);
}
END_TEST

/* ---- frames ---- */

static void endpoint_add(const struct frame *frame)
{
    struct packet packet;
    if (packet_parse(frame->octets, frame->len, false, PACKET_CHECKSUM_NEVER, &packet) ==
        PACKET_DROP)
        return;
    const struct packet_endpoint found = {packet.destination, packet.destination_port};
    for (size_t i = 0; i < endpoint_count; i++)
        if (memcmp(&endpoints[i].address, &found.address, sizeof found.address) == 0 &&
            endpoints[i].port == found.port)
            return;
    /* Every other one is somebody else's, after the first that every capture asks. */
    static unsigned seen;
    if (endpoint_count < DRIVER_ENDPOINTS_MAX && (seen++ < 4 || seen % 2 == 0))
        endpoints[endpoint_count++] = found;
}

static void frames_read(const char *path)
{
    struct io *io;
    struct io_error error;
    struct io_frame batch[IO_BATCH];
    const struct io_config config = {.path_in = path, .path_out = "/dev/null"};
    int count = io_backend_file.open(&config, &io, &error);
    if (count != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(EXIT_FAILURE);
    }
    while ((count = io_backend_file.receive(io, 0, batch, IO_BATCH)) > 0)
        for (int i = 0; i < count; i++)
            if (frame_count < FRAMES_MAX && batch[i].len <= FRAME_CAP) {
                frames[frame_count].len = batch[i].len;
                memcpy(frames[frame_count].octets, batch[i].octets, batch[i].len);
                endpoint_add(&frames[frame_count++]);
            }
    io_backend_file.close(io);
}

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        test_nothing_told,   test_climb,    test_udp_is_the_kernels, test_answer,     test_peers,
        test_prefix_lengths, test_too_long, test_endpoints_change,   test_one_program};
    struct io_error error;
    for (int i = 1; i < argc; i++)
        frames_read(argv[i]);
    qsort(endpoints, endpoint_count, sizeof *endpoints, packet_endpoint_compare);
    MUST(frame_count > 100 && endpoint_count > 1);
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        fprintf(stderr, "skipped: no root, or no network namespaces\n");
        return SKIPPED;
    }
    int result = loader_open("lo", false, &loader, &error);
    if (result == -EPERM || result == -EOPNOTSUPP) {
        fprintf(stderr, "skipped: %s\n", error.text);
        return SKIPPED;
    }
    if (result != 0) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    result = test_run("xdp_driver", tests, sizeof tests / sizeof *tests, NULL, NULL);
    loader_close(loader);
    return result;
}

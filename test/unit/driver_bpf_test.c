/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP program itself, as the kernel runs it (BPF_PROG_TEST_RUN), beside
 * stateless_tcp_receive(): the frames of driver_tcp_test.c and the golden captures.
 *
 * usage: driver_bpf_test FILE.pcap...
 */
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/xdp/loader.h"
#include "test/must.h"
#include "test/unit/driver_frames.h"
#include "test/unit/driver_front.h"
#include "test/unit/driver_run.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <unistd.h>

#define FRAMES 60000u

enum { SKIPPED = 77 };

static struct loader *loader;
static uint8_t frame[FRAME_CAP], result[FRAME_CAP];

static void tell(const struct stateless_tcp_config *config)
{
    const struct loader_wish wish = {.has_driver = true};
    const struct io_facts facts = {
        .tcp = config, .keys = &driver_keys, .endpoints = driver_endpoints, .endpoint_count = 2};
    MUST(loader_tell(loader, &wish, &facts) == 0);
}

static enum driver_counter counted(void)
{
    static uint64_t before[DRIVER_COUNTERS];
    uint64_t now[DRIVER_COUNTERS];
    enum driver_counter which = DRIVER_COUNTERS;
    loader_counters(loader, now);
    for (unsigned i = DRIVER_COUNT_SYN; i < DRIVER_COUNTERS; i++)
        if (now[i] != before[i])
            which = i;
    memcpy(before, now, sizeof before);
    return which;
}

/* Run one frame, and compare: the program in the kernel, the same on the host, user space. */
static void check(const struct stateless_tcp_config *config, size_t len, struct driver_tally *tally)
{
    size_t result_len;
    if (len < 14) /* the kernel takes none */
        return;
    uint32_t action =
        driver_run(loader_program(loader), frame, len, result, sizeof result, &result_len);
    enum driver_counter counter = counted(), host_counter = DRIVER_COUNTERS;
    enum driver_verdict verdict = action == XDP_TX     ? DRIVER_TX
                                  : action == XDP_DROP ? DRIVER_DROP
                                                       : DRIVER_CLIMB;
    MUST(verdict != DRIVER_CLIMB || action == XDP_PASS || action == XDP_REDIRECT);
    driver_compare(config, frame, len, verdict, counter, result, result_len, tally);
    MUST(driver_front(config, &driver_keys, driver_endpoints, 2, NULL, frame, &len,
                      &host_counter) == verdict);
    MUST(verdict == DRIVER_CLIMB || counter == host_counter);
}

static void check_captures(int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        const struct io_config input = {.path_in = paths[i], .path_out = "/dev/null"};
        struct io *io;
        struct io_error error;
        struct io_frame frames[IO_BATCH];
        struct driver_tally tally = {0};
        struct stateless_tcp_config config = driver_server((unsigned)i % DRIVER_SERVERS);
        tell(&config);
        MUST(io_backend_file.open(&input, &io, &error) == 0);
        for (int got; (got = io_backend_file.receive(io, 0, frames, IO_BATCH)) > 0;)
            for (int j = 0; j < got; j++) {
                memcpy(frame, frames[j].octets, frames[j].len);
                check(&config, frames[j].len, &tally);
            }
        MUST(tally.climbed + tally.dropped + tally.answered > 0);
        io_backend_file.close(io);
    }
}

int main(int argc, char **argv)
{
    struct io_error error;
    struct driver_tally tally = {0};
    /* A loopback interface of our own, so that nobody else's has our program. */
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        printf("SKIPPED: needs root\n");
        return SKIPPED;
    }
    int outcome = loader_open("lo", false, &loader, &error);
    if (outcome != 0 && !driver_is_permitted()) {
        printf("SKIPPED: BPF is not permitted here: %s\n", error.text);
        return SKIPPED;
    }
    if (outcome != 0) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    for (unsigned server = 0; server < DRIVER_SERVERS; server++) {
        const struct stateless_tcp_config config = driver_server(server);
        tell(&config);
        for (uint32_t seed = 0; seed < FRAMES / DRIVER_SERVERS; seed++)
            check(&config, driver_frame_make(server * FRAMES + seed, frame), &tally);
    }
    driver_tally_check(&tally);
    check_captures(argc - 1, argv + 1);
    loader_close(loader);
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client in the driver, compiled for the host, on the bed of the other raw clients: the program
 * of tools/bench/client.bpf.h, driven by tools/bench/raw_client.c, with memory of this process for
 * that of its maps. So no BPF is needed to know that it is right.
 */
#include "bench_bed.h"

#include "tools/bench/raw_client.h"

#include <errno.h>

/* ---- the program's surroundings ---- */

struct client_context {
    uint8_t *data, *end;
    size_t cap;
};

#define FRAME_LEN_MAX 1514

static struct client *memory;
static struct client_sizes sizes;
static uint64_t clock_ns;
static bool is_tight; /* frames that came cannot grow */

static uint8_t *client_data(struct client_context *ctx)
{
    return ctx->data;
}

static uint8_t *client_end(struct client_context *ctx)
{
    return ctx->end;
}

static bool client_resize(struct client_context *ctx, uint32_t len)
{
    size_t old_len = (size_t)(ctx->end - ctx->data);
    if (len > ctx->cap)
        return false;
    /* anew, of just that length, so that one octet too many is noticed */
    uint8_t *data = malloc(len);
    MUST(data != NULL);
    memset(data, 0xa5, len);
    memcpy(data, ctx->data, len < old_len ? len : old_len);
    free(ctx->data);
    ctx->data = data;
    ctx->end = data + len;
    return true;
}

static uint64_t client_now_ns(void)
{
    return clock_ns;
}

static const struct client_config *client_settings(void)
{
    return memory->config;
}

static struct client_shared *client_progress(void)
{
    return memory->shared;
}

static struct client_tally *client_counts(void)
{
    return &memory->tallies[memory->shared->bank & 1];
}

static struct client_place *client_place_at(uint32_t number)
{
    return number < sizes.places ? &memory->places[number] : NULL;
}

static const uint64_t *client_reference_at(uint32_t number)
{
    return number < sizes.questions ? &memory->references[number] : NULL;
}

static const struct client_chunk *client_chunk_at(uint32_t number)
{
    return number < sizes.chunks ? &memory->chunks[number] : NULL;
}

static const struct client_command *client_command_at(uint32_t number)
{
    return number < CLIENT_COMMANDS ? &memory->commands[number] : NULL;
}

#include "tools/bench/client.bpf.h"

/* ---- client_load.h, without a kernel ---- */

static struct bed *bed_now;

static void *some(size_t count, size_t each)
{
    void *octets = calloc(count, each);
    MUST(octets != NULL);
    return octets;
}

int client_open(const struct client_sizes *wanted, const char *interface, struct client *client_out,
                struct client_error *error)
{
    (void)interface, (void)error;
    sizes = *wanted;
    memory = client_out;
    *memory = (struct client){.processor_count = 1};
    memory->config = some(1, sizeof *memory->config);
    memory->shared = some(1, sizeof *memory->shared);
    memory->chunks = some(sizes.chunks, sizeof *memory->chunks);
    memory->references = some(sizes.questions, sizeof *memory->references);
    memory->places = some(sizes.places, sizeof *memory->places);
    memory->commands = some(CLIENT_COMMANDS, sizeof *memory->commands);
    memory->tallies = some(CLIENT_BANKS, sizeof *memory->tallies);
    return 0;
}

int client_attach(struct client *client, struct client_error *error)
{
    (void)client, (void)error;
    return 0;
}

uint32_t client_waiting(const struct client *client)
{
    return client->command_head - client->shared->command_next;
}

void client_tell(struct client *client, enum client_command_kind kind, uint32_t tuple,
                 uint64_t due_ns)
{
    MUST(client_waiting(client) < CLIENT_COMMANDS);
    client->commands[client->command_head++ & (CLIENT_COMMANDS - 1)] =
        (struct client_command){.kind = kind, .tuple = tuple, .due_ns = due_ns};
}

static struct client_copy last_copy;

/* Every frame passes client_split(), as in the kernel. */
static void fly(const struct client_context *made)
{
    size_t len = (size_t)(made->end - made->data);
    struct client_work work;
    struct client_context ctx = {.data = exact_copy(made->data, len), .cap = FRAME_LEN_MAX};
    ctx.end = ctx.data + len;
    memset(&work, 0xa5, sizeof work);
    if (client_split(&ctx, &work, &last_copy) == CLIENT_PASS)
        bed_fly(bed_now, true, ctx.data, (size_t)(ctx.end - ctx.data));
    free(ctx.data);
}

int client_run(struct client *client)
{
    while (client_waiting(client) > 0) {
        struct client_work work;
        struct client_context ctx = {.data = malloc(1), .cap = FRAME_LEN_MAX};
        MUST(ctx.data != NULL);
        ctx.end = ctx.data + 1;
        memset(&work, 0xa5, sizeof work); /* what the frame before left there */
        if (client_command(&ctx, &work) == CLIENT_TX)
            fly(&ctx);
        free(ctx.data);
    }
    return 0;
}

void client_detach(struct client *client)
{
    (void)client;
}

void client_close(struct client *client)
{
    free(client->config);
    free(client->shared);
    free(client->chunks);
    free(client->references);
    free(client->places);
    free(client->commands);
    free(client->tallies);
}

/* ---- the bed ---- */

static struct raw_client run;

static void receive(struct bed *bed, const uint8_t *octets, size_t len)
{
    struct client_work work;
    struct client_context ctx = {.data = exact_copy(octets, len), .cap = FRAME_LEN_MAX};
    ctx.end = ctx.data + len;
    ctx.cap = is_tight ? len : ctx.cap;
    clock_ns = bed->now_ns;
    memset(&work, 0xa5, sizeof work);
    int verdict = client_receive(&ctx, &work);
    if (verdict == CLIENT_TX || verdict == CLIENT_TWICE)
        fly(&ctx);
    if (verdict == CLIENT_TWICE)
        fly(&ctx);
    free(ctx.data);
}

static void send_due(struct bed *bed)
{
    clock_ns = bed->now_ns;
    MUST(raw_client_turn(&run, clock_ns) == 0);
}

static struct bed *begin(enum bench_mode mode, int family)
{
    struct bed *bed = bed_begin(mode, family);
    bed->config.has_driver = true;
    bed->config.interface = "none";
    bed->receive = receive;
    bed->send_due = send_due;
    bed_now = bed;
    return bed;
}

static struct report *open_all(struct bed *bed)
{
    struct report *report = some(1, sizeof *report);
    bed_open(bed);
    MUST(report_begin(report, &bed->config, bed->pool.count, NULL) == 0);
    bed->worker.report = report;
    bed->worker.second_end_ns = UINT64_MAX; /* there is one long second */
    MUST(raw_client_open(&run, &bed->worker, &bed->path) == 0);
    bed_send_due(bed);
    return report;
}

static void close_all(struct report *report)
{
    raw_client_close(&run);
    report_end(report);
    free(report);
}

static void run_all(struct bed *bed)
{
    struct report *report = open_all(bed);
    uint64_t end_ns = bed->now_ns + 3600000000000u;
    while (!worker_is_done_sending(&bed->worker, bed->now_ns) || raw_client_busy(&run) > 0 ||
           raw_client_has_rest(&run)) {
        MUST(bed->now_ns < end_ns);
        bed_step(bed);
    }
    close_all(report);
}

static void expect_all(const struct bed *bed)
{
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_eq(tally->sent, bed->config.query_limit);
    ck_assert_uint_eq(tally->answered, tally->sent);
    ck_assert_uint_eq(tally->unexpected + tally->wrong + tally->lost + tally->unsent, 0);
    ck_assert_uint_eq(tally->refused + tally->resets, 0);
    ck_assert_uint_eq(tally->latency.count, tally->answered);
    ck_assert_uint_eq(tally->rcodes[0] + tally->rcodes[3], tally->answered);
    ck_assert_uint_eq(tally->rcodes[3], tally->answered / 5); /* one question of five */
}

START_TEST(a_connection_for_each_query)
{
    for (int family = 4; family <= 6; family += 2) {
        struct bed *bed = begin(BENCH_RAW, family);
        bed->config.query_limit = 200;
        run_all(bed);
        expect_all(bed);
        ck_assert_uint_eq(bed->worker.tally.connections, 200);
        ck_assert_uint_eq(bed->worker.tally.stray, 0);
        bed_end(bed);
    }
}
END_TEST

/* Of connections whose response is one segment: SYN, query, FIN, ACK of the server's FIN; and where
 * it is wanted the handshake's own ACK. */
START_TEST(frames_are_as_few_as_can_be)
{
    struct bed *bed = begin(BENCH_RAW, 4);
    bed->config.query_limit = 2;
    run_all(bed);
    ck_assert_uint_eq(bed->worker.tally.answered, 2);
    ck_assert_uint_eq(bed->frames_to_server, 10);
    ck_assert_uint_eq(bed->worker.tally.segments_sent, 10);
    ck_assert_uint_eq(bed->frames_to_client, 6);
    bed_end(bed);
    bed = begin(BENCH_RAW, 4);
    bed->config.is_handshake_joined = true;
    bed->config.query_limit = 2;
    run_all(bed);
    ck_assert_uint_eq(bed->worker.tally.answered, 2);
    ck_assert_uint_eq(bed->frames_to_server, 8);
    ck_assert_uint_eq(bed->frames_to_client, 6);
    bed_end(bed);
    bed = begin(BENCH_RAW, 6);
    bed->config.query_limit = 2;
    bed->config.is_handshake_joined = true;
    bed->config.close = BENCH_CLOSE_RST;
    run_all(bed);
    ck_assert_uint_eq(bed->worker.tally.answered, 2);
    ck_assert_uint_eq(bed->frames_to_server, 6);
    ck_assert_uint_eq(bed->frames_to_client, 4);
    bed_end(bed);
}
END_TEST

static void run_disturbed(int family, uint32_t per_connection, unsigned loss, unsigned doubling,
                          unsigned disorder)
{
    struct bed *bed = begin(BENCH_RAW, family);
    bed_disturb(bed, per_connection, loss, doubling, disorder);
    run_all(bed);
    expect_all(bed);
    bed_expect_connections(bed);
    bed_end(bed);
}

START_TEST(nothing_is_lost_of_what_the_wire_loses)
{
    for (int family = 4; family <= 6; family += 2)
        run_disturbed(family, 1, 100, 50, 50);
}
END_TEST

START_TEST(many_queries_on_a_connection)
{
    run_disturbed(4, 10, 0, 0, 0);
    run_disturbed(6, 10, 50, 50, 50);
    run_disturbed(4, 0, 0, 0, 0);
}
END_TEST

START_TEST(classic)
{
    struct bed *bed = begin(BENCH_RAW, 4);
    bed->tcp_config = stateless_tcp_config_default();
    run_all(bed);
    expect_all(bed);
    bed_end(bed);
}
END_TEST

START_TEST(datagrams)
{
    for (int family = 4; family <= 6; family += 2) {
        struct bed *bed = begin(BENCH_RAW_UDP, family);
        bed->config.query_limit = 1000;
        run_all(bed);
        expect_all(bed);
        ck_assert_uint_eq(bed->worker.tally.truncated, 400); /* two long ones of five */
        ck_assert_uint_eq(bed->worker.tally.stray, 0);
        bed_end(bed);
    }
}
END_TEST

START_TEST(datagrams_that_are_lost)
{
    struct bed *bed = begin(BENCH_RAW_UDP, 4);
    bed->config.query_limit = 1000;
    bed->config.timeout_ns = 50000000;
    bed->loss = 100;
    bed->doubling = 100;
    run_all(bed);
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_eq(tally->sent, 1000);
    ck_assert_uint_eq(tally->answered + tally->lost, 1000);
    ck_assert_uint_gt(tally->lost, 100);
    ck_assert_uint_gt(tally->stray, 20);
    bed_end(bed);
}
END_TEST

START_TEST(at_a_rate)
{
    for (int mode = BENCH_RAW; mode <= BENCH_RAW_UDP; mode++) {
        struct bed *bed = begin((enum bench_mode)mode, 4);
        bed->config.rate = 2000;
        bed->config.query_limit = 500;
        bed->config.connections = 1000;
        uint64_t start_ns = bed->now_ns;
        run_all(bed);
        expect_all(bed);
        ck_assert_uint_eq(bed->worker.tally.lag.count, 500);
        ck_assert_uint_ge(bed->worker.sent_ns - start_ns, 499 * 500000u);
        bed_end(bed);
    }
}
END_TEST

START_TEST(servers_that_refuse_or_say_nothing)
{
    struct bed *bed = begin(BENCH_RAW, 4);
    bed->is_refusing = true;
    run_all(bed);
    ck_assert_uint_eq(bed->worker.tally.refused, 200);
    ck_assert_uint_eq(bed->worker.tally.lost, 200);
    bed_end(bed);
    bed = begin(BENCH_RAW, 6);
    bed->is_deaf = true;
    bed->config.timeout_ns = 4000000000;
    run_all(bed);
    ck_assert_uint_eq(bed->worker.tally.lost, 200);
    ck_assert_uint_gt(bed->worker.tally.retransmissions, 200);
    bed_end(bed);
}
END_TEST

/* Interfaces whose frames cannot be made longer: the next command sends what could not be sent. */
START_TEST(frames_that_cannot_grow)
{
    struct bed *bed = begin(BENCH_RAW, 4);
    bed->config.query_limit = 20;
    is_tight = true;
    run_all(bed);
    is_tight = false;
    expect_all(bed);
    ck_assert_uint_ge(bed->worker.tally.retransmissions, 20);
    bed_end(bed);
}
END_TEST

/* One frame of those that fly, damaged or not. */
static void disturb(struct bed *bed, uint64_t *random)
{
    static struct bed_frame frame;
    frame = bed->wire[schedule_random(random) % bed->wire_count];
    if (frame.is_to_server) {
        bed_serve(bed, &frame);
        return;
    }
    for (uint64_t bits = schedule_random(random) % 4; bits > 0; bits--)
        frame.octets[schedule_random(random) % frame.len] ^=
            (uint8_t)(1u << schedule_random(random) % 8);
    if (schedule_random(random) % 4 == 0)
        frame.len = 1 + schedule_random(random) % frame.len;
    receive(bed, frame.octets, frame.len);
}

/* Whatever comes: nothing is read or written beyond it, and what goes out is sound. */
START_TEST(hostile_frames)
{
    struct bed *bed = begin(_i & 2 ? BENCH_RAW_UDP : BENCH_RAW, _i & 1 ? 6 : 4);
    bed->config.query_limit = 1000000;
    bed->config.timeout_ns = 1000000000;
    bed->config.connections = bed->config.outstanding = 50;
    struct report *report = open_all(bed);
    uint64_t random = 7;
    for (unsigned i = 0; i < 60000; i++) {
        if (i % 64 == 0 || bed->wire_count == 0)
            bed_step(bed);
        else
            disturb(bed, &random);
        if (bed->wire_count > 1000) /* some are lost */
            bed->wire_count = 1000;
    }
    close_all(report);
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_le(tally->answered + tally->lost + tally->wrong, tally->sent);
    ck_assert_uint_gt(tally->answered, 10);
    ck_assert_uint_gt(tally->wrong, 0);
    bed_end(bed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench_client");
    TCase *tcase = tcase_create("bench_client");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_connection_for_each_query);
    tcase_add_test(tcase, frames_are_as_few_as_can_be);
    tcase_add_test(tcase, nothing_is_lost_of_what_the_wire_loses);
    tcase_add_test(tcase, many_queries_on_a_connection);
    tcase_add_test(tcase, classic);
    tcase_add_test(tcase, datagrams);
    tcase_add_test(tcase, datagrams_that_are_lost);
    tcase_add_test(tcase, at_a_rate);
    tcase_add_test(tcase, servers_that_refuse_or_say_nothing);
    tcase_add_test(tcase, frames_that_cannot_grow);
    tcase_add_loop_test(tcase, hostile_frames, 0, 4);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}

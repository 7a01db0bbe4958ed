/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench_bed.h - the raw clients of lethe-bench, the server's side of stateless TCP, and a wire
 * between them that loses, doubles and reorders, all by one clock that nobody waits for.
 */
#ifndef TEST_UNIT_BENCH_BED_H
#define TEST_UNIT_BENCH_BED_H

#include "server/serve.h"
#include "stateless_frames.h"
#include "test_main.h"
#include "tools/bench/raw_link.h"
#include "tools/bench/raw_tcp.h"
#include "tools/bench/raw_udp.h"
#include "tools/bench/source.h"
#include "zone_fixture.h"

#define BED_WIRE_CAP 4096u
#define BED_FRAME_CAP 2048u
#define BED_DELAY_NS 100000u
#define BED_STEP_NS 1000000u

struct bed_frame {
    uint64_t at_ns;
    uint64_t order; /* of sending */
    size_t len;
    bool is_to_server;
    uint8_t octets[BED_FRAME_CAP];
};

struct bed {
    struct fixture fixture;
    struct respond_policy policy;
    struct stateless_tcp_config tcp_config;
    struct stateless_tcp_keys keys;
    struct packet_endpoint endpoint;
    bool is_deaf;     /* the server */
    bool is_refusing; /* the server: RST to each SYN */
    /* of 1000 frames, each way */
    unsigned loss, doubling, disorder;
    uint64_t random;

    struct bench_config config;
    struct question_pool pool;
    atomic_bool is_stopped;
    struct worker worker;
    struct raw_path path;
    struct train train;
    struct raw_tcp tcp;
    struct raw_udp udp;
    /* Where they are not NULL, another client than these two */
    void (*receive)(struct bed *bed, const uint8_t *octets, size_t len);
    void (*send_due)(struct bed *bed);
    uint64_t now_ns, order;
    uint64_t frames_to_server, frames_to_client;
    size_t longest_to_server;
    struct bed_frame *wire;
    size_t wire_count;
    uint8_t train_octets[TRAIN_CAP], server_octets[TRAIN_CAP], stream[SERVE_STREAM_CAP];
};

static inline bool bed_chance(struct bed *bed, unsigned of_1000)
{
    return schedule_random(&bed->random) % 1000 < of_1000;
}

static inline void bed_fly(struct bed *bed, bool is_to_server, const uint8_t *octets, size_t len)
{
    MUST(len <= BED_FRAME_CAP);
    ck_assert(frame_is_sound(octets, len));
    if (is_to_server)
        bed->frames_to_server++;
    else
        bed->frames_to_client++;
    if (is_to_server && len > bed->longest_to_server)
        bed->longest_to_server = len;
    unsigned copies = bed_chance(bed, bed->loss) ? 0 : bed_chance(bed, bed->doubling) ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        MUST(bed->wire_count < BED_WIRE_CAP);
        struct bed_frame *frame = &bed->wire[bed->wire_count++];
        uint64_t delay_ns = bed_chance(bed, bed->disorder) ? 20 * BED_DELAY_NS : BED_DELAY_NS;
        frame->at_ns = bed->now_ns + delay_ns;
        frame->order = bed->order++;
        frame->len = len;
        frame->is_to_server = is_to_server;
        memcpy(frame->octets, octets, len);
    }
}

static inline void bed_fly_train(struct bed *bed, bool is_to_server, const struct train *train)
{
    const uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; i++) {
        bed_fly(bed, is_to_server, at, train->frame_len[i]);
        at += train->frame_len[i];
    }
}

/* The client's train is on its way. */
static inline void bed_flush(void *context)
{
    struct bed *bed = context;
    bed_fly_train(bed, true, &bed->train);
    bed->train.len = bed->train.frame_count = 0;
}

static inline void bed_serve(struct bed *bed, const struct bed_frame *frame)
{
    struct serve serve = {.view = bed->fixture.view,
                          .policy = &bed->policy,
                          .tcp = &bed->tcp_config,
                          .keys = &bed->keys,
                          .endpoints = &bed->endpoint,
                          .endpoint_count = 1,
                          .is_settled = true,
                          .stream = bed->stream};
    struct train train = {.octets = bed->server_octets, .cap = sizeof bed->server_octets};
    const struct io_frame io_frame = {.octets = frame->octets, .len = (uint32_t)frame->len};
    struct packet packet;
    if (bed->is_refusing) {
        const struct packet_segment reset = {.flags = PACKET_RST | PACKET_ACK};
        MUST(packet_parse(frame->octets, frame->len, false, PACKET_CHECKSUM_ALWAYS, &packet) ==
             PACKET_TCP);
        struct packet_segment answer = reset;
        answer.ack = packet.seq + 1;
        MUST(packet_reply_tcp(&packet, &answer, NULL, 0, &train));
    } else if (!bed->is_deaf) {
        serve_frame(&serve, &io_frame, &train);
    }
    bed_fly_train(bed, false, &train);
}

/* Give the client a frame, of memory as large as it is. */
static inline void bed_receive(struct bed *bed, const uint8_t *octets, size_t len)
{
    if (bed->receive != NULL) {
        bed->receive(bed, octets, len);
        return;
    }
    uint8_t *copy = exact_copy(octets, len);
    struct packet packet;
    switch (packet_parse(copy, len, false, PACKET_CHECKSUM_AUTO, &packet)) {
    case PACKET_TCP:
        if (bed->config.mode == BENCH_RAW)
            raw_tcp_receive(&bed->tcp, bed->now_ns, &packet);
        break;
    case PACKET_UDP:
        if (bed->config.mode == BENCH_RAW_UDP)
            raw_udp_receive(&bed->udp, bed->now_ns, &packet);
        break;
    case PACKET_DROP:
        break;
    }
    free(copy);
}

static inline void bed_send_due(struct bed *bed)
{
    if (bed->send_due != NULL)
        bed->send_due(bed);
    else if (bed->config.mode == BENCH_RAW)
        raw_tcp_send_due(&bed->tcp, bed->now_ns);
    else
        raw_udp_send_due(&bed->udp, bed->now_ns);
    bed_flush(bed);
}

/* Let the next thing happen. */
static inline void bed_step(struct bed *bed)
{
    size_t first = bed->wire_count;
    for (size_t i = 0; i < bed->wire_count; i++) {
        const struct bed_frame *a = &bed->wire[i];
        const struct bed_frame *b = first < bed->wire_count ? &bed->wire[first] : NULL;
        if (b == NULL || a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order))
            first = i;
    }
    if (first == bed->wire_count || bed->wire[first].at_ns > bed->now_ns + BED_STEP_NS) {
        bed->now_ns += BED_STEP_NS;
        bed_send_due(bed);
        return;
    }
    static struct bed_frame frame;
    frame = bed->wire[first];
    bed->wire[first] = bed->wire[--bed->wire_count];
    if (frame.at_ns > bed->now_ns)
        bed->now_ns = frame.at_ns;
    if (frame.is_to_server) {
        bed_serve(bed, &frame);
        return;
    }
    bed_receive(bed, frame.octets, frame.len);
    bed_send_due(bed);
}

static inline bool bed_is_over(const struct bed *bed)
{
    return worker_is_done_sending(&bed->worker, bed->now_ns) && bed->worker.outstanding == 0 &&
           (bed->config.mode != BENCH_RAW || bed->tcp.closing == 0);
}

/* Until all is answered, lost and closed. */
static inline void bed_run(struct bed *bed)
{
    uint64_t end_ns = bed->now_ns + 3600000000000u;
    bed_send_due(bed);
    while (!bed_is_over(bed)) {
        MUST(bed->now_ns < end_ns);
        bed_step(bed);
    }
}

static const char bed_questions[] = "www.example A\nnx.example AAAA\nbig.example TXT\n"
                                    "mid.example TXT\nexample SOA\n";

/* A bed with a client that is not open yet: change what is wanted, then bed_open(). */
static inline struct bed *bed_begin(enum bench_mode mode, int family)
{
    static char text[40000];
    struct bed *bed = calloc(1, sizeof *bed);
    MUST(bed != NULL);
    char *at = text + sprintf(text, "$ORIGIN example.\n@ 9 SOA a b 1 2 3 4 5\n@ 9 NS ns\n"
                                    "ns 9 A 192.0.2.2\nwww 9 A 192.0.2.1\n");
    for (int i = 0; i < 60; i++)
        at += sprintf(at, "big 9 TXT \"%0200d\"\n", i);
    for (int i = 0; i < 12; i++)
        at += sprintf(at, "mid 9 TXT \"%0200d\"\n", i);
    fixture_open(&bed->fixture);
    fixture_load(&bed->fixture, "example.", text);
    bed->policy = respond_policy_default();
    bed->tcp_config = stateless_tcp_config_default();
    bed->tcp_config.profile = STATELESS_TCP_MODERN;
    bed->tcp_config.segment_size = STATELESS_TCP_SEGMENT_MAX;
    bed->keys = (struct stateless_tcp_keys){.epochs = {{1}, {2}}};
    bed->endpoint.port = 53;
    bed->random = 1;
    bed->now_ns = 5000000000;
    bed->wire = calloc(BED_WIRE_CAP, sizeof *bed->wire);
    MUST(bed->wire != NULL);
    bed->config = (struct bench_config){.mode = mode,
                                        .seconds = 1000,
                                        .query_limit = 200,
                                        .timeout_ns = 600000000000,
                                        .threads = 1,
                                        .connections = 10,
                                        .outstanding = 10,
                                        .queries_per_connection = 1,
                                        .pipeline = 1,
                                        .compare_every = 1,
                                        .retransmit_ns = 200000000};
    struct frame_spec spec = frame_spec_client(family);
    bed->path = (struct raw_path){.mac_own = {2, 0, 0, 0, 0, 2},
                                  .mac_peer = {2, 0, 0, 0, 0, 1},
                                  .server_port = 53,
                                  .port_first = 1024,
                                  .tuples.port_count = 1024,
                                  .window = 8760};
    bed->path.server.family = bed->path.source.address.family = (uint8_t)family;
    memcpy(bed->path.server.octets, spec.destination, 16);
    memcpy(bed->path.source.address.octets, spec.destination, family == 4 ? 2 : 8);
    bed->path.source.address.octets[family == 4 ? 2 : 7] = 64;
    bed->path.source.len = family == 4 ? 29 : 125;
    bed->path.tuples.address_count = source_count(&bed->path.source);
    return bed;
}

static inline void bed_open(struct bed *bed)
{
    FILE *file = fmemopen((void *)(uintptr_t)bed_questions, sizeof bed_questions - 1, "r");
    struct question_error error;
    const struct question_form form = bed->config.form;
    uint64_t tuples = (uint64_t)bed->path.tuples.address_count * bed->path.tuples.port_count;
    MUST(file != NULL);
    question_pool_begin(&bed->pool, &form);
    MUST(question_read(&bed->pool, file, "-", stderr, &error) == 0);
    fclose(file);
    bed->worker = (struct worker){.config = &bed->config,
                                  .pool = &bed->pool,
                                  .is_stopped = &bed->is_stopped,
                                  .start_ns = bed->now_ns,
                                  .end_ns = bed->now_ns + 1000000000000,
                                  .left = bed->config.query_limit,
                                  .secret = 77};
    if (bed->config.rate > 0)
        schedule_begin(&bed->worker.schedule, SCHEDULE_EVEN, bed->config.rate, 0, 1, 1,
                       bed->now_ns);
    verify_begin(&bed->worker.verify, &bed->pool);
    bed->worker.verify.view = bed->fixture.view;
    bed->worker.verify.transport = bed->config.mode == BENCH_RAW ? RESPOND_TCP : RESPOND_UDP;
    bed->train = (struct train){.octets = bed->train_octets, .cap = sizeof bed->train_octets};
    raw_path_prepare(&bed->path, 12345, (uint32_t)(tuples - tuples % 4096));
    if (bed->config.mode == BENCH_RAW)
        MUST(raw_tcp_open(&bed->tcp, &bed->worker, &bed->path, &bed->train, bed_flush, bed) == 0);
    else
        MUST(raw_udp_open(&bed->udp, &bed->worker, &bed->path, &bed->train, bed_flush, bed) == 0);
}

static inline void bed_end(struct bed *bed)
{
    if (bed->config.mode == BENCH_RAW)
        raw_tcp_close(&bed->tcp);
    else
        raw_udp_close(&bed->udp);
    question_pool_end(&bed->pool);
    fixture_close(&bed->fixture);
    free(bed->wire);
    free(bed);
}

/* A thousand queries on connections of so many each (0: of all that are asked), while so many of a
 * thousand frames are lost, doubled and out of order. */
static inline void bed_disturb(struct bed *bed, uint32_t per_connection, unsigned loss,
                               unsigned doubling, unsigned disorder)
{
    bed->config.queries_per_connection = per_connection;
    bed->config.query_limit = 1000;
    bed->loss = loss;
    bed->doubling = doubling;
    bed->disorder = disorder;
}

static inline void bed_expect_connections(const struct bed *bed)
{
    const struct tally *tally = &bed->worker.tally;
    uint32_t per_connection = bed->config.queries_per_connection;
    ck_assert(bed->loss == 0 || tally->retransmissions > 0);
    if (per_connection > 0)
        ck_assert_uint_ge(tally->connections, 1000 / per_connection);
    else
        ck_assert_uint_eq(tally->connections, bed->config.connections);
}

/* Every query has been answered with the right octets. */
static inline void bed_expect_all(const struct bed *bed)
{
    const struct tally *tally = &bed->worker.tally;
    ck_assert_uint_eq(tally->sent, bed->config.query_limit);
    ck_assert_uint_eq(tally->answered, tally->sent);
    ck_assert_uint_eq(tally->compared, tally->sent);
    ck_assert_uint_eq(tally->unexpected, 0);
    ck_assert_uint_eq(tally->wrong + tally->lost + tally->refused + tally->resets, 0);
    ck_assert_uint_eq(tally->latency.count, tally->answered);
}

#endif

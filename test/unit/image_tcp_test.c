/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests over TCP answered from a zone image by the XDP programs, compiled for the host and, where
 * there is BPF, as the kernel runs them: the frame that stateless_tcp_receive() and respond() make,
 * or hands off.
 */
#include "dice.h"
#include "driver_frames.h"
#include "driver_front.h"
#include "server/image_tcp.bpf.h"
#include "stateless_tcp/io/xdp/copies.bpf.h"
#include "zone_fixture.h"
#include "zonedb/image_build.h"
#include "zonedb/respond.h"

#ifdef HAS_KERNEL
#include "driver_run.h"
#include "image_program.h"

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#endif

#define FRAMES 200000u
#define KERNEL_FRAMES 40000u
#define MEMORY_LEN ((size_t)1 << 20)
#define CUTS 400

static struct fixture fixture;
static struct respond_policy policy;
static struct image_memory memory;
static struct image *image;
static uint8_t frame[FRAME_CAP], result[FRAME_CAP];
static struct recent_note host_note;
static bool has_additional; /* the request in `frame` */
/* What was made of copies of it, where it had no room. */
static uint8_t copied_octets[TRAIN_CAP];
static struct train copied;
static bool has_little_room;    /* some have */
static struct frame_spec asked; /* the request in `frame` */
static struct recent_train train_there;
static uint32_t train_segment_len, train_segments;
static bool is_heard; /* an ACK of some of them */

struct tally {
    unsigned climbed, answered, copied, trains, single_climbs;
    unsigned long_without_opt; /* answered with more than UDP would take */
};

/* ---- zones ---- */

static void load(void)
{
    static char text[CUTS * 600];
    char *at = text + sprintf(text, "$ORIGIN example.\n@ 9 SOA ns hm 1 2 3 4 5\n@ 9 NS ns\n"
                                    "ns 9 A 192.0.2.1\nhost 9 A 192.0.2.2\n*.wild 9 TXT x\n");
    for (unsigned i = 0; i < 12; i++)
        at += sprintf(at, "g%u.servers 9 A 192.0.2.9\ng%u.servers 9 AAAA 2001:db8::9\n", i, i);
    for (unsigned i = 0; i < CUTS; i++) {
        for (unsigned j = 0; i % 4 == 3 && j < 12; j++)
            at += sprintf(at, "d%u 9 NS g%u.servers\n", i, j);
        for (unsigned j = 0; i % 4 < 3 && j < 1 + 2 * (i % 4); j++)
            at += sprintf(at, "d%u 9 NS ns%u.d%u\nns%u.d%u 9 A 192.0.2.1\n", i, j, i, j, i);
        if (i % 3 == 0)
            at += sprintf(at, "d%u 9 DS %u 8 2 %064u\n", i, i, i);
    }
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", text);
    policy = respond_policy_default();
    memory = (struct image_memory){aligned_alloc(IMAGE_PAGE_LEN, MEMORY_LEN), MEMORY_LEN};
    MUST(memory.octets != NULL && image_open(&policy, &image) == 0);
    MUST(image_build(image, memory, fixture.view) == 0);
    ((struct image_head *)memory.octets)->until_ns = UINT64_MAX;
    image_host_pages = memory.octets;
    image_host_page_count = (uint32_t)(image_used(image) / IMAGE_PAGE_LEN);
    image_host_now_ns = 1;
}

/* ---- requests ---- */

static size_t put_label(uint8_t *out, const char *text)
{
    size_t len = strlen(text);
    out[0] = (uint8_t)len;
    memcpy(out + 1, text, len);
    for (size_t i = 1; i <= len && below(8) == 0; i++)
        if (out[i] >= 'a' && out[i] <= 'z')
            out[i] ^= 0x20;
    return 1 + len;
}

static size_t make_name(uint8_t *out)
{
    static const char *const others[] = {"host", "ns", "wild", "none", "www", "a", "1", "ns0"};
    char label[64];
    size_t len = 0;
    unsigned count = below(3);
    for (unsigned i = 0; i < count; i++) {
        snprintf(label, sizeof label, "%.*s", (int)(1 + below(20)), "aLongerLabelOfLetters");
        len += put_label(out + len, below(2) ? others[below(8)] : label);
    }
    snprintf(label, sizeof label, "%c%u", below(3) ? 'd' : 'n', below(CUTS + 9));
    if (below(16) > 0)
        len += put_label(out + len, below(8) ? label : others[below(8)]);
    if (below(32) > 0)
        len += put_label(out + len, "example");
    out[len++] = 0;
    return len;
}

static size_t make_opt(uint8_t *out)
{
    static const uint8_t keepalive[] = {0, 11, 0, 0};
    uint8_t opt[11] = {0, 0, 41, (uint8_t)any(), (uint8_t)any(), 0, 0, below(2) ? 0x80 : 0,
                       0, 0, 0};
    bool has_option = below(8) == 0;
    opt[6] = below(16) == 0;
    opt[10] = has_option ? sizeof keepalive : 0;
    memcpy(out, opt, sizeof opt);
    memcpy(out + sizeof opt, keepalive, sizeof keepalive);
    return sizeof opt + opt[10];
}

/* A message behind its length; one in eight is spoilt. */
static size_t make_request(uint8_t *out)
{
    static const uint8_t types[] = {1, 1, 1, 2, 6, 15, 16, 28, 43, 255, 252, 46, 128};
    uint8_t *message = out + 2;
    bool has_opt = below(4) > 0;
    memcpy(message,
           (uint8_t[12]){(uint8_t)any(), (uint8_t)any(), below(2) != 0, below(4) ? 0 : 0x10, 0,
                         1, [11] = has_opt},
           12);
    size_t len = 12 + make_name(message + 12);
    memcpy(message + len, (uint8_t[4]){0, types[below(sizeof types)], 0, 1}, 4);
    len += 4;
    len += has_opt ? make_opt(message + len) : 0;
    if (below(8) == 0)
        message[below((uint32_t)len)] ^= (uint8_t)(1u << below(8));
    len += below(32) == 0;
    message[len] = 0;
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    return 2 + len;
}

/* A request in a segment of a connection that has proven itself, mostly at the point. */
static size_t make_frame(uint32_t seed)
{
    static const uint16_t tags[] = {0x8100, 0xa123};
    static uint8_t request[1024];
    dice_begin(seed);
    for (unsigned i = 0; i < 8; i++)
        any();
    struct frame_spec spec = frame_spec_client(below(2) ? 4 : 6);
    struct packet packet = {.source.family = (uint8_t)spec.family,
                            .destination.family = (uint8_t)spec.family,
                            .source_port = spec.source_port,
                            .destination_port = spec.destination_port,
                            .mss = below(8) ? 1460 : 0};
    memcpy(packet.source.octets, spec.source, 16);
    memcpy(packet.destination.octets, spec.destination, 16);
    bool has_timestamps = below(8) > 0;
    uint32_t held = has_timestamps ? below(100000) : 0;
    spec.seq = any();
    packet.seq = spec.seq - 1;
    spec.ack = 1 + held +
               (has_timestamps ? cookie_make(&driver_keys, &packet)
                               : cookie_make_first(&driver_keys, &packet));
    uint32_t tag = point_make(held, spec.seq - (below(16) == 0), true);
    static uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    for (unsigned j = 0; j < 4; j++)
        options[8 + j] = (uint8_t)(tag >> (24 - 8 * j));
    spec.options = options;
    spec.options_len = has_timestamps ? sizeof options : 0;
    spec.tags = tags;
    spec.tag_count = below(4) == 0;
    spec.flags = PACKET_ACK | PACKET_PSH;
    spec.window = below(16) ? 0 : (uint16_t)(1 + below(300));
    spec.payload = request;
    spec.payload_len = make_request(request);
    spec.is_checksum_unset = below(4) == 0;
    has_additional = request[2 + 11] != 0;
    asked = spec;
    size_t len = frame_build(&spec, frame);
    if (below(64) == 0) /* damaged on its way */
        frame[len - 1 - below(40)] ^= 4;
    return len;
}

/* ---- what user space does ---- */

static struct recent *cache; /* NULL: none */

static uint32_t user_space(const struct stateless_tcp_config *config, size_t len,
                           struct train *train)
{
    static uint8_t stream[2 * STATELESS_TCP_STREAM_CAP];
    struct stateless_tcp_query query;
    struct packet packet;
    const uint8_t *request;
    size_t request_len;
    if (packet_parse(frame, len, false, config->checksum_policy, &packet) != PACKET_TCP ||
        stateless_tcp_receive(config, &driver_keys, &packet, true, cache, &query, train) !=
            STATELESS_TCP_QUERY)
        return train->frame_count;
    const struct respond_client client = {
        .transport = RESPOND_TCP, .has_keepalive = packet.has_timestamps, .keepalive_100ms = 6000};
    while (stateless_tcp_next(&query, &request, &request_len)) {
        uint8_t *at = stream + query.stream_at;
        size_t response_len =
            respond(fixture.view, &policy, &client, request, request_len, at + 2, 65535);
        stateless_tcp_send(&query, at, response_len, train);
    }
    stateless_tcp_finish(&query, train);
    return train->frame_count;
}

static void compare(const struct stateless_tcp_config *config, size_t len,
                    enum driver_verdict verdict, size_t result_len, struct tally *tally)
{
    static uint8_t octets[TRAIN_CAP];
    struct train train = {.octets = octets, .cap = sizeof octets};
    uint32_t count = user_space(config, len, &train);
    switch (verdict) {
    case DRIVER_CLIMB:
        MUST(result_len == len && memcmp(result, frame, len) == 0);
        if (copied.frame_count > 0) {
            MUST(count == copied.frame_count && train.len == copied.len);
            MUST(memcmp(copied_octets, octets, train.len) == 0);
            tally->copied++;
            tally->trains += count > 1;
            return;
        }
        tally->climbed++;
        tally->single_climbs += count == 1 && frame_view(octets, train.len).payload_len > 0;
        return;
    case DRIVER_DROP:
        MUST(count == 0);
        return;
    case DRIVER_TX:
        MUST(count == 1 && train.len == result_len);
        MUST(memcmp(result, octets, result_len) == 0);
        tally->answered++;
        tally->long_without_opt +=
            !has_additional && frame_view(octets, train.len).payload_len > 2 + 512;
        return;
    }
}

/* ---- on the host ---- */

/* All copies of a frame, each on a page, made the segments of its answer. */
static void copy(const struct driver_context *ctx, const struct driver_work *driver,
                 struct image_work *work)
{
    static uint8_t page[IMAGE_PAGE_LEN];
    size_t len = (size_t)(ctx->data_end - ctx->data);
    for (uint32_t i = 0; i < work->segments; i++) {
        struct driver_context one = {page + 64, page + 64 + len, page, page + sizeof page - 320};
        memset(page, 0x5a, sizeof page);
        memcpy(one.data, ctx->data, len);
        MUST((work->segments == 1 ? image_tcp_put(&one, driver, work)
                                  : image_tcp_put_part(&one, driver, work, i)) == DRIVER_TX);
        MUST(driver_ticket_is_none(&one));
        size_t made = (size_t)(one.data_end - one.data);
        MUST(copied.len + made <= sizeof copied_octets);
        memcpy(copied_octets + copied.len, one.data, made);
        copied.len += (uint32_t)made;
        copied.frame_len[copied.frame_count++] = (uint16_t)made;
    }
}

static enum driver_verdict answer(struct driver_context *ctx, const struct driver_config *config,
                                  struct driver_work *work)
{
    static struct image_work work_there;
    memset(&work_there, 0xa5, sizeof work_there);
    if (has_little_room && work->segment.seq % 8 == 0) { /* no more room than for a ticket */
        ctx->room = ctx->data - DRIVER_TICKET_LEN;
        ctx->room_end = ctx->data_end;
    }
    enum driver_verdict verdict = image_tcp(ctx, config, work, &work_there, &host_note);
    if (verdict == DRIVER_CLIMB)
        copy(ctx, work, &work_there);
    train_segments = verdict == DRIVER_CLIMB ? work_there.segments : 0;
    train_segment_len = work_there.segment_len;
    if (train_segments > 1)
        MUST(image_train_note(ctx, work, &work_there, &train_there));
    return verdict;
}

static enum driver_verdict hear(struct driver_context *ctx, const struct driver_config *config,
                                struct driver_work *work)
{
    const struct recent_train none = {0};
    struct recent_train other = train_there;
    struct driver_place place;
    (void)ctx;
    if (!image_tcp_may_be_progress(work, config, &place) ||
        !image_tcp_is_progress(work, &place, &train_there))
        return DRIVER_CLIMB;
    other.end++;
    MUST(!image_tcp_is_progress(work, &place, &none) &&
         !image_tcp_is_progress(work, &place, &other));
    is_heard = true;
    return DRIVER_DROP;
}

/* An ACK of some of the segments that were just sent is met with silence, here and there. Returns
 * whether it does not climb. */
static bool check_progress(const struct stateless_tcp_config *config, uint32_t segments)
{
    static uint8_t octets[TRAIN_CAP];
    const struct driver_front_known known = {.next = hear};
    struct train train = {.octets = octets, .cap = sizeof octets};
    struct frame_spec spec = asked;
    uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9};
    uint32_t tag = point_make(train_there.end, train_there.seq_end, false);
    enum driver_counter counter;
    for (unsigned i = 0; i < 4; i++)
        options[8 + i] = (uint8_t)(tag >> (24 - 8 * i));
    spec.options = options;
    spec.seq += (uint32_t)spec.payload_len;
    spec.payload_len = 0;
    spec.ack += segments * train_segment_len;
    spec.flags = PACKET_ACK;
    size_t len = frame_build(&spec, frame), result_len = len;
    memcpy(result, frame, len);
    is_heard = false;
    driver_front(config, &driver_keys, driver_endpoints, 2, &known, result, &result_len, &counter);
    MUST(!is_heard || user_space(config, len, &train) == 0);
    MUST(segments < train_segments || !is_heard);
    return is_heard;
}

/* An ACK of `held` octets of them, and SACK of what is behind `hole` more, with the echo of what
 * came last. Returns its length. */
static size_t build_sack(uint32_t held, uint32_t hole)
{
    struct frame_spec spec = asked;
    uint32_t len = train_there.end - train_there.start, base = spec.ack;
    uint32_t words[] = {held > 0 ? point_make(train_there.end, train_there.seq_end, false)
                                 : point_make(train_there.start, train_there.seq, true),
                        base + held + hole, base + len};
    uint8_t options[24] = {1, 1, 8, 10, 0, 0, 0, 9, [12] = 1, 1, 5, 10};
    for (unsigned i = 0; i < 12; i++)
        options[(i < 4 ? 8 : 12) + i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    spec.options = options;
    spec.options_len = sizeof options;
    spec.seq += (uint32_t)spec.payload_len;
    spec.payload_len = 0;
    spec.ack += held;
    spec.flags = PACKET_ACK;
    return frame_build(&spec, frame);
}

/* A hole in what was just sent by the driver is filled by user space, once, and with the octets that
 * it had: but for what the segments acknowledge. */
static void check_hole(const struct stateless_tcp_config *config, uint32_t which)
{
    static struct recent_train trains[RECENT_TRAINS];
    static uint8_t memory_of_cache[RECENT_SIZE_MIN] __attribute__((aligned(64)));
    static uint8_t octets[TRAIN_CAP];
    const struct driver_front_known known = {.next = hear};
    struct train train = {.octets = octets, .cap = sizeof octets};
    struct recent_train *place = &trains[recent_train_place(train_there.connection)];
    enum driver_counter counter;
    uint32_t size = train_segment_len;
    size_t len = build_sack(which * size, size), result_len = len;
    struct recent recent =
        recent_make(memset(memory_of_cache, 0, sizeof memory_of_cache), sizeof memory_of_cache);
    memcpy(result, frame, len);
    MUST(driver_front(config, &driver_keys, driver_endpoints, 2, &known, result, &result_len,
                      &counter) == DRIVER_CLIMB);
    *place = train_there;
    recent.trains = trains;
    recent.snapshot = train_there.snapshot;
    cache = &recent;
    ((uint8_t *)place)[below(offsetof(struct recent_train, zero))] ^= 1; /* not whole */
    MUST(user_space(config, len, &train) == 0);
    *place = train_there;
    recent.snapshot++;
    MUST(user_space(config, len, &train) == 0);
    recent.snapshot--;
    MUST(user_space(config, len, &train) == 1);
    struct frame_view again = frame_view(octets, train.len), first;
    const uint8_t *at = copied_octets;
    for (uint32_t i = 0;; i++) {
        first = frame_view(at, copied.frame_len[i]);
        if (i == which)
            break;
        at += copied.frame_len[i];
    }
    MUST(again.seq == first.seq && again.payload_len == first.payload_len);
    MUST(memcmp(again.payload, first.payload, first.payload_len) == 0);
    MUST(again.ack == first.ack && again.flags == first.flags);
    MUST(memcmp(again.options, first.options, 8) == 0);
    train = (struct train){.octets = octets, .cap = sizeof octets};
    MUST(user_space(config, len, &train) == 0);
    cache = NULL;
}

static enum driver_verdict ask(const struct stateless_tcp_config *config, size_t len,
                               size_t *result_len)
{
    const struct driver_front_known known = {.next = answer};
    enum driver_counter counter;
    *result_len = len;
    copied = (struct train){.octets = copied_octets};
    train_segments = 0;
    memcpy(result, frame, len);
    return driver_front(config, &driver_keys, driver_endpoints, 2, &known, result, result_len,
                        &counter);
}

static struct stateless_tcp_config server(unsigned index)
{
    struct stateless_tcp_config config = driver_server(index % DRIVER_SERVERS);
    config.segment_size = index % 2 ? STATELESS_TCP_SEGMENT_MAX : 512;
    return config;
}

static void check_host(void)
{
    struct tally tally = {0};
    size_t result_len;
    unsigned heard = 0;
    has_little_room = true;
    for (uint32_t seed = 0; seed < FRAMES; seed++) {
        const struct stateless_tcp_config config = server(seed);
        size_t len = make_frame(seed);
        enum driver_verdict verdict = ask(&config, len, &result_len);
        compare(&config, len, verdict, result_len, &tally);
        for (uint32_t i = 1; asked.options_len > 0 && train_segments > 1 && i <= train_segments;
             i++)
            heard += check_progress(&config, i);
        if (asked.options_len > 0 && train_segments > 1)
            check_hole(&config, seed % (train_segments - 1));
    }
    printf(
        "host: %u answered, %u in copies (%u of several segments), %u climbed, of which %u had a "
        "response in one segment\n",
        tally.answered, tally.copied, tally.trains, tally.climbed, tally.single_climbs);
    MUST(tally.answered > FRAMES / 4 && tally.copied > FRAMES / 64 && tally.trains > FRAMES / 256 &&
         tally.climbed > FRAMES / 8);
    MUST(tally.long_without_opt > 0 && heard > 100);

    /* Without a lease nothing is answered; nor while the image is made. */
    struct image_head *head = memory.octets;
    struct tally none = {0};
    head->until_ns = image_host_now_ns;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        const struct stateless_tcp_config config = server(seed);
        size_t len = make_frame(seed);
        enum driver_verdict verdict = ask(&config, len, &result_len);
        compare(&config, len, verdict, result_len, &none);
    }
    MUST(none.answered == 0 && none.climbed > 0);
    head->until_ns = UINT64_MAX;
    has_little_room = false;
}

#ifdef HAS_KERNEL

/* ---- in the kernel ---- */

static struct image_program program;
static int notes_map;

static void tell(const struct stateless_tcp_config *config)
{
    struct driver_config told = driver_front_config(config, &driver_keys);
    told.next = DRIVER_TRANSPORT_TCP | DRIVER_TRANSPORT_UDP;
    image_program_tell(&program, told);
}

/* What the program wrote down is what the host's did. */
static void compare_note(void)
{
    struct recent_note note;
    struct packet packet;
    struct cookie_proof proof;
    static uint8_t parsed[FRAME_CAP];
    memcpy(parsed, frame, sizeof parsed);
    MUST(packet_parse(parsed, 2048, false, PACKET_CHECKSUM_NEVER, &packet) == PACKET_TCP);
    if (!packet.has_timestamps)
        return;
    MUST(cookie_read(&driver_keys, &packet, &proof));
    uint32_t place = recent_note_place(proof.connection);
    MUST(bpf_map_lookup_elem(notes_map, &place, &note) == 0);
    MUST(memcmp(&note, &host_note, sizeof note) == 0);
}

static void check_kernel(void)
{
    struct tally tally = {0};
    if (!image_program_open(image_host_page_count, &program))
        return;
    memcpy(program.pages, memory.octets, program.pages_len);
    notes_map = bpf_object__find_map_fd_by_name(program.image, "driver_notes");
    for (unsigned which = 0; which < 2 * DRIVER_SERVERS; which++) {
        const struct stateless_tcp_config config = server(which);
        tell(&config);
        for (uint32_t seed = 0; seed < KERNEL_FRAMES / 2 / DRIVER_SERVERS; seed++) {
            size_t len = make_frame(which * FRAMES + seed), result_len;
            enum driver_verdict expected = ask(&config, len, &result_len);
            uint32_t action =
                driver_run(program.program, frame, len, result, sizeof result, &result_len);
            enum driver_verdict verdict = action == XDP_TX     ? DRIVER_TX
                                          : action == XDP_DROP ? DRIVER_DROP
                                                               : DRIVER_CLIMB;
            MUST(verdict == expected);
            compare(&config, len, verdict, result_len, &tally);
            if (verdict == DRIVER_TX)
                compare_note();
        }
    }
    printf("kernel: %u answered, %u climbed\n", tally.answered, tally.climbed);
    MUST(tally.answered > KERNEL_FRAMES / 4 && tally.long_without_opt > 0);
    image_program_close(&program);
}

#endif

int main(void)
{
    load();
    check_host();
#ifdef HAS_KERNEL
    check_kernel();
#endif
    image_close(image);
    free(memory.octets);
    fixture_close(&fixture);
    return EXIT_SUCCESS;
}

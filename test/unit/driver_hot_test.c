/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP answers that the XDP program gives again, as the kernel runs it: the octets of
 * packet_reply_udp() with the response that was learned, for the same request and no other, while
 * the lease runs.
 */
#include "stateless_tcp/io/xdp/loader.h"
#include "test/must.h"
#include "test/unit/driver_frames.h"
#include "test/unit/driver_run.h"

#include <linux/bpf.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, MESSAGE_CAP = 700 };

static struct loader *loader;
static uint8_t frame[FRAME_CAP], result[FRAME_CAP], answer[TRAIN_CAP];
static uint8_t request[MESSAGE_CAP], response[MESSAGE_CAP];
static unsigned answered, climbed, number;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void lease(bool is_changed)
{
    hot_lease(loader_hot(loader), number, is_changed, now_ns() + 100000000000);
}

static struct frame_spec ask_by(int family, size_t request_len)
{
    struct frame_spec spec = frame_spec_client(family);
    spec.is_udp = true;
    spec.payload = request;
    spec.payload_len = request_len;
    return spec;
}

/* What user space sends in answer to `frame`, if that is the response to it. */
static size_t reply(size_t len, size_t response_len)
{
    struct train train = {.octets = answer, .cap = sizeof answer};
    struct packet packet;
    MUST(packet_parse(frame, len, false, PACKET_CHECKSUM_AUTO, &packet) == PACKET_UDP);
    memcpy(response, packet.payload, 2);
    MUST(packet_reply_udp(&packet, response, response_len, &train) && train.frame_count == 1);
    return train.len;
}

static void learn(const struct frame_spec *spec, size_t response_len)
{
    size_t len = frame_build(spec, frame), answer_len = reply(len, response_len);
    hot_learn(loader_hot(loader), number, frame, len, answer, answer_len);
}

/* Whether the program answers; then it must be with the response. */
static bool is_answered(size_t len, size_t response_len)
{
    size_t result_len;
    uint32_t action =
        driver_run(loader_program(loader), frame, len, result, sizeof result, &result_len);
    if (action == XDP_PASS) {
        MUST(result_len == len && memcmp(frame, result, len) == 0);
        climbed++;
        return false;
    }
    MUST(action == XDP_TX);
    MUST(result_len == reply(len, response_len));
    MUST(memcmp(result, answer, result_len) == 0 && frame_is_sound(result, result_len));
    answered++;
    return true;
}

static bool ask(const struct frame_spec *spec, size_t response_len)
{
    return is_answered(frame_build(spec, frame), response_len);
}

static void fill(uint8_t *octets, uint32_t seed)
{
    for (unsigned i = 0; i < MESSAGE_CAP; i++) {
        seed = seed * 1664525 + 1013904223;
        octets[i] = (uint8_t)(seed >> 24);
    }
}

/* A request that is known, from everybody, in every dress. */
static void check_dresses(size_t request_len, size_t response_len)
{
    static const uint16_t tags[] = {0x88a8, 5, 0x8100, 0x0fff};
    struct frame_spec spec = ask_by(4, request_len);
    lease(true);
    fill(request, (uint32_t)(request_len * 1000 + response_len));
    fill(response, (uint32_t)response_len + 1000);
    MUST(!ask(&spec, response_len));
    learn(&spec, response_len);
    MUST(!ask(&spec, response_len)); /* once is nothing */
    learn(&spec, response_len);
    for (unsigned i = 0; i < 24; i++) {
        spec = ask_by(i % 2 ? 6 : 4, request_len);
        spec.tags = tags + (i % 3 == 1 ? 2 : 0);
        spec.tag_count = i % 3;
        spec.source[3] = spec.source[15] = (uint8_t)(7 + i);
        spec.source_port = (uint16_t)(1024 + i * 777);
        spec.is_checksum_unset = i % 4 == 3;
        request[0] = (uint8_t)i;
        MUST(ask(&spec, response_len));
    }
    size_t len = frame_build(&spec, frame);
    while (len < 60 + 8)
        frame[len++] = 0; /* as Ethernet pads; no part of it */
    MUST(is_answered(len, response_len));
}

/* No other request gets it. */
static void check_others(size_t request_len, size_t response_len)
{
    struct frame_spec spec = ask_by(4, request_len);
    for (size_t i = 2; i < request_len; i++) {
        request[i] ^= 0x20;
        MUST(!ask(&spec, response_len));
        request[i] ^= 0x20;
    }
    MUST(ask(&spec, response_len));
    request[request_len] = 0;
    spec.payload_len = request_len + 1;
    MUST(!ask(&spec, response_len));
    spec.payload_len = request_len - 1;
    MUST(!ask(&spec, response_len));
    spec.payload_len = request_len;
    size_t len = frame_build(&spec, frame);
    frame[40] ^= 1; /* the checksum */
    MUST(!is_answered(len, response_len));
    frame[40] = frame[41] = 0; /* RFC 768: not computed */
    MUST(is_answered(len, response_len));
    spec.family = 4;
    spec.destination_port = 54;
    MUST(!ask(&spec, response_len));
}

static void check_lease(void)
{
    struct frame_spec spec = ask_by(4, 40);
    check_dresses(40, 200);
    hot_lease(loader_hot(loader), number, false, now_ns() - 1);
    MUST(!ask(&spec, 200));
    lease(false);
    MUST(ask(&spec, 200));
    lease(true);
    MUST(!ask(&spec, 200));
    fill(response, 77);
    learn(&spec, 250);
    MUST(ask(&spec, 250));
    /* A successor's word counts, once it has spoken, and not its predecessor's. */
    unsigned successor = hot_join(loader_hot(loader));
    MUST(ask(&spec, 250));
    hot_lease(loader_hot(loader), successor, false, now_ns() + 100000000000);
    MUST(!ask(&spec, 250));
    learn(&spec, 250);
    hot_lease(loader_hot(loader), number, true, 0);
    MUST(!ask(&spec, 250));
    number = successor;
    learn(&spec, 250);
    MUST(ask(&spec, 250));
}

/* More requests than there are places: each gets its own response or none. */
static void check_crowd(void)
{
    lease(true);
    for (unsigned round = 0; round < 3; round++)
        for (uint32_t i = 0; i < 3 * DRIVER_HOT_ANSWERS; i++) {
            size_t request_len = 17 + i % 100, response_len = 30 + i % 480;
            fill(request, i);
            fill(response, i + 50);
            struct frame_spec spec = ask_by(i % 2 ? 6 : 4, request_len);
            ask(&spec, response_len);
            if (round < 2)
                for (unsigned twice = 0; twice < 2; twice++)
                    learn(&spec, response_len);
        }
    MUST(answered > DRIVER_HOT_ANSWERS / 4 && climbed > DRIVER_HOT_ANSWERS);
}

int main(void)
{
    const struct stateless_tcp_config config = driver_server(0);
    const struct loader_wish wish = {.has_udp = true, .has_driver = true, .has_hot = true};
    const struct io_facts facts = {
        .tcp = &config, .keys = &driver_keys, .endpoints = driver_endpoints, .endpoint_count = 2};
    struct io_error error;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        printf("SKIPPED: needs root\n");
        return SKIPPED;
    }
    if (loader_open("lo", true, &loader, &error) != 0) {
        printf("SKIPPED: %s\n", error.text); /* driver_bpf says whether that is right */
        return SKIPPED;
    }
    MUST(loader_tell(loader, &wish, &facts) == 0);
    number = hot_join(loader_hot(loader));
    for (size_t request_len = 13; request_len <= 122; request_len += request_len < 30 ? 1 : 23)
        for (size_t response_len = 12; response_len <= 514; response_len += 251) {
            check_dresses(request_len, response_len);
            check_others(request_len, response_len);
        }
    check_lease();
    check_crowd();
    /* What finds no room is not learned. */
    struct frame_spec spec = ask_by(4, 123);
    for (unsigned twice = 0; twice < 2; twice++)
        learn(&spec, 100);
    MUST(!ask(&spec, 100));
    spec.payload_len = 50;
    for (unsigned twice = 0; twice < 2; twice++)
        learn(&spec, 515);
    MUST(!ask(&spec, 515));
    printf("%u answered, %u climbed\n", answered, climbed);
    loader_close(loader);
    return EXIT_SUCCESS;
}

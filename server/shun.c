/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/shun.h"

#include "server/address.h"
#include "server/buckets.h"
#include "server/icmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* After so many messages the thread rests. */
#define LOOK_BATCH 64
#define REST_MS (1000 * LOOK_BATCH / SHUN_LOOK_MAX)
#define TOTAL_TABLE_SIZE BUCKETS_SIZE_MIN

/* What is sent to sources: so much to each prefix, so much to all. */
struct shun_bound {
    struct buckets *each, *all;
};

struct shun {
    struct shun_config config;
    struct keys_secret secret;
    bool is_shared; /* the secret */
    struct icmp icmp;
    struct shun_bound asks, replies;
    struct buckets *tcp; /* NULL: no rate */
    int wake;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
    atomic_uint_fast64_t denied, asked, confirmed, declined;
    struct prefix prefixes[]; /* config.denied, config.allowed */
};

static int bound_open(unsigned limit, struct shun_bound *bound)
{
    int outcome = buckets_open(BUCKETS_SIZE_DEFAULT, limit, &bound->each);
    return outcome != 0 ? outcome : buckets_open(TOTAL_TABLE_SIZE, SHUN_TOTAL_MAX, &bound->all);
}

static void bound_close(struct shun_bound *bound)
{
    buckets_close(bound->each);
    buckets_close(bound->all);
}

/* Whether one more may be sent to this address. */
static bool bound_take(const struct shun *shun, const struct shun_bound *bound,
                       const struct packet_address *to, uint64_t now_us)
{
    bool is_v4 = to->family == 4;
    uint8_t len = is_v4 ? 4 : 16;
    return buckets_take(bound->each, to->octets, len,
                        is_v4 ? shun->config.ipv4_len : shun->config.ipv6_len, now_us) &&
           buckets_take(bound->all, to->octets, len, 0, now_us);
}

/* ---- sockets ---- */

static int duplicate(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int shun_fail(struct shun_error *error, int outcome, const char *what)
{
    snprintf(error->text, sizeof(error->text), "%s: %s", what, strerror(-outcome));
    return outcome;
}

static int sockets_open(struct shun *shun, const struct shun *former, struct shun_error *error)
{
    int outcome = 0;
    if (former != NULL) {
        shun->icmp = (struct icmp){duplicate(former->icmp.v4), duplicate(former->icmp.v6)};
        if (shun->icmp.v4 < 0 && shun->icmp.v6 < 0)
            outcome = shun_fail(error, -errno, "raw socket");
    } else if ((outcome = icmp_open(GOAWAY_TYPE_BLOCK_V4, GOAWAY_TYPE_BLOCK_V6, &shun->icmp)) !=
               0) {
        shun_fail(error, outcome,
                  outcome == -EPERM ? "raw socket: start as root or with CAP_NET_RAW"
                                    : "raw socket");
    }
    return outcome;
}

/* The secret is that of stateless TCP's cookies where it is shared; else only this process has it. */
static int secret_open(struct shun *shun, const struct shun *former, struct shun_error *error)
{
    if (shun->config.key_file[0] != '\0')
        return keys_secret_read(shun->config.key_file, &shun->secret, error->text,
                                sizeof(error->text));
    int outcome = 0;
    if (former != NULL && !former->is_shared)
        shun->secret = former->secret;
    else if ((outcome = keys_secret_random(&shun->secret)) != 0)
        shun_fail(error, outcome, "random secret");
    return outcome;
}

/* What it takes to ask. */
static int shun_open_asking(struct shun *shun, const struct shun *former, struct shun_error *error)
{
    if (former != NULL && former->config.code == GOAWAY_NO_BLOCK)
        former = NULL;
    shun->is_shared = shun->config.key_file[0] != '\0';
    int outcome = secret_open(shun, former, error);
    if (outcome == 0)
        outcome = sockets_open(shun, former, error);
    if (outcome != 0)
        return outcome;
    shun->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (shun->wake < 0)
        return shun_fail(error, -errno, "eventfd");
    outcome = bound_open(shun->config.limit, &shun->asks);
    if (outcome == 0)
        outcome = bound_open(shun->config.limit, &shun->replies);
    if (outcome == 0 && shun->config.tcp_rate != 0)
        outcome = buckets_open(BUCKETS_SIZE_DEFAULT, shun->config.tcp_rate, &shun->tcp);
    return outcome == 0 ? 0 : shun_fail(error, outcome, "limits");
}

int shun_open(const struct shun_config *config, const struct shun *former, struct shun **shun_out,
              struct shun_error *error)
{
    *shun_out = NULL;
    if (config->code == GOAWAY_NO_BLOCK && config->denied_count == 0)
        return 0;
    size_t denied_size = config->denied_count * sizeof(*config->denied);
    size_t allowed_size = config->allowed_count * sizeof(*config->allowed);
    struct shun *shun = calloc(1, sizeof(*shun) + denied_size + allowed_size);
    if (shun == NULL)
        return shun_fail(error, -ENOMEM, "memory");
    shun->config = *config;
    shun->config.denied = shun->prefixes;
    shun->config.allowed = shun->prefixes + config->denied_count;
    if (denied_size != 0)
        memcpy(shun->prefixes, config->denied, denied_size);
    if (allowed_size != 0)
        memcpy(shun->prefixes + config->denied_count, config->allowed, allowed_size);
    shun->icmp = (struct icmp){-1, -1};
    shun->wake = -1;
    int outcome = config->code != GOAWAY_NO_BLOCK ? shun_open_asking(shun, former, error) : 0;
    shun->config.key_file = NULL;
    if (outcome != 0)
        shun_close(shun);
    else
        *shun_out = shun;
    return outcome;
}

/* ---- GoAway ---- */

static void count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool ask(struct shun *shun, const struct goaway_packet *packet, uint64_t now_s,
                uint64_t now_us)
{
    struct goaway_keys keys;
    uint8_t message[GOAWAY_MESSAGE_MAX];
    const struct goaway_ends back = {packet->ends.destination, packet->ends.source};
    if (!goaway_is_possible(packet) || !bound_take(shun, &shun->asks, &packet->ends.source, now_us))
        return false;
    keys_goaway_at(&shun->secret, now_s, &keys);
    size_t len = goaway_make(&keys, packet, message);
    if (len == 0 || icmp_send(&shun->icmp, &back, message, len) != 0)
        return false;
    count(&shun->asked);
    return true;
}

static bool ask_about_query(struct shun *shun, const struct shun_request *request)
{
    struct goaway_packet packet;
    return shun->config.code != GOAWAY_NO_BLOCK &&
           goaway_packet_udp(&request->ends, request->source_port, request->destination_port,
                             request->payload, request->payload_len, &packet) &&
           ask(shun, &packet, request->now_s, request->now_us);
}

/* Its header ends where its data begins; not so where IP options were before it, and what has those
 * no sender recognizes. */
static bool ask_about_segment(struct shun *shun, const struct packet *from, uint64_t now_s,
                              uint64_t now_us)
{
    struct goaway_packet packet;
    const struct goaway_ends ends = {from->source, from->destination};
    size_t ip_header = from->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN;
    size_t segment_len = from->ip_len - ip_header;
    const uint8_t *segment = from->payload + from->payload_len - segment_len;
    return shun->config.code != GOAWAY_NO_BLOCK &&
           goaway_packet_tcp(&ends, segment, segment_len, segment_len, &packet) &&
           (segment[12] >> 4) * 4u == segment_len - from->payload_len &&
           packet.source_port == from->source_port &&
           packet.destination_port == from->destination_port && ask(shun, &packet, now_s, now_us);
}

static bool is_denied(const struct shun *shun, const struct packet_address *source)
{
    return prefix_has(shun->prefixes, shun->config.denied_count, source);
}

bool shun_take(struct shun *shun, const struct shun_request *request)
{
    if (shun == NULL)
        return false;
    bool is_unwelcome = is_denied(shun, &request->ends.source);
    if (is_unwelcome)
        count(&shun->denied);
    if (!is_unwelcome && !request->is_over_rate)
        return false;
    return ask_about_query(shun, request) || is_unwelcome;
}

static bool is_over_tcp_rate(const struct shun *shun, const struct packet_address *source,
                             uint64_t now_us)
{
    bool is_v4 = source->family == 4;
    return shun->tcp != NULL &&
           !prefix_has(shun->config.allowed, shun->config.allowed_count, source) &&
           !buckets_take(shun->tcp, source->octets, is_v4 ? 4 : 16,
                         is_v4 ? shun->config.ipv4_len : shun->config.ipv6_len, now_us);
}

bool shun_take_segment(struct shun *shun, const struct packet *packet, uint64_t now_s,
                       uint64_t now_us)
{
    if (shun == NULL)
        return false;
    bool is_unwelcome = is_denied(shun, &packet->source);
    bool is_request =
        (packet->flags & PACKET_RST) == 0 &&
        (packet->payload_len > 0 || (packet->flags & (PACKET_SYN | PACKET_ACK)) == PACKET_SYN);
    if (!is_request)
        return is_unwelcome;
    if (is_unwelcome)
        count(&shun->denied);
    else if (!is_over_tcp_rate(shun, &packet->source, now_us))
        return false;
    return ask_about_segment(shun, packet, now_s, now_us) || is_unwelcome;
}

bool shun_take_datagram(struct shun *shun, int fd, struct msghdr *header,
                        struct shun_request *request)
{
    struct packet_endpoint peer, own;
    struct sockaddr_storage name;
    socklen_t name_len = sizeof(name);
    if (shun == NULL || !address_to_endpoint(header->msg_name, &peer) ||
        (!request->is_over_rate && !is_denied(shun, &peer.address)))
        return false;
    request->ends = (struct goaway_ends){peer.address, peer.address};
    request->source_port = peer.port;
    if (getsockname(fd, (struct sockaddr *)&name, &name_len) == 0 &&
        address_to_endpoint((struct sockaddr *)&name, &own)) {
        request->destination_port = own.port;
        /* Without an address that is ours alone nobody is asked; denied is who is denied. */
        if (!packet_address_is_any(&own.address) || icmp_destination(header, &own.address))
            request->ends.destination = own.address;
    }
    return shun_take(shun, request);
}

/* ---- Block ---- */

static uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Whoever asks gets an answer that is no longer than the question: that it is so, or that it is not. */
static void confirm(struct shun *shun, const struct goaway_ends *ends, const uint8_t *octets,
                    size_t len)
{
    struct goaway_message block;
    struct goaway_keys keys;
    uint8_t reply[GOAWAY_MESSAGE_MAX];
    const struct goaway_ends back = {ends->destination, ends->source};
    if (!goaway_read(ends, octets, len, &block) || block.kind != GOAWAY_BLOCK ||
        !bound_take(shun, &shun->replies, &ends->source, clock_us()))
        return;
    keys_goaway_at(&shun->secret, (uint64_t)time(NULL), &keys);
    bool is_ours = goaway_is_ours(&keys, &block);
    enum goaway_code code = is_ours ? shun->config.code : GOAWAY_NO_BLOCK;
    size_t reply_len = goaway_make_reply(ends, octets, len, code, reply);
    if (icmp_send(&shun->icmp, &back, reply, reply_len) == 0)
        count(is_ours ? &shun->confirmed : &shun->declined);
}

/* Returns how many messages were there. */
static unsigned look(struct shun *shun, int fd)
{
    struct goaway_ends ends;
    uint8_t octets[GOAWAY_MESSAGE_MAX + 1];
    unsigned seen = 0;
    while (seen < LOOK_BATCH) {
        int len = icmp_receive(fd, &ends, octets);
        if (len < 0)
            break;
        seen++;
        if (len > 0)
            confirm(shun, &ends, octets, (size_t)len);
    }
    return seen;
}

static void *run(void *argument)
{
    struct shun *shun = argument;
    struct pollfd ready[] = {
        {.fd = shun->wake, .events = POLLIN},
        {.fd = shun->icmp.v4, .events = POLLIN},
        {.fd = shun->icmp.v6, .events = POLLIN},
    };
    while (!atomic_load(&shun->is_stopping)) {
        if (poll(ready, 3, -1) <= 0)
            continue;
        unsigned seen = 0;
        for (unsigned i = 1; i < 3; i++)
            if (ready[i].revents != 0)
                seen += look(shun, ready[i].fd);
        if (seen >= LOOK_BATCH)
            poll(NULL, 0, REST_MS);
    }
    return NULL;
}

int shun_start(struct shun *shun)
{
    if (shun == NULL || shun->config.code == GOAWAY_NO_BLOCK)
        return 0;
    int outcome = -pthread_create(&shun->thread, NULL, run, shun);
    shun->has_thread = outcome == 0;
    return outcome;
}

void shun_close(struct shun *shun)
{
    const uint64_t one = 1;
    if (shun == NULL)
        return;
    atomic_store(&shun->is_stopping, true);
    if (shun->has_thread) {
        ssize_t ignored = write(shun->wake, &one, sizeof(one));
        (void)ignored;
        pthread_join(shun->thread, NULL);
    }
    if (shun->wake >= 0)
        close(shun->wake);
    icmp_close(&shun->icmp);
    bound_close(&shun->asks);
    bound_close(&shun->replies);
    buckets_close(shun->tcp);
    explicit_bzero(&shun->secret, sizeof(shun->secret));
    free(shun);
}

struct shun_counts shun_count(const struct shun *shun)
{
    if (shun == NULL)
        return (struct shun_counts){0};
    return (struct shun_counts){
        .denied = atomic_load_explicit(&shun->denied, memory_order_relaxed),
        .asked = atomic_load_explicit(&shun->asked, memory_order_relaxed),
        .confirmed = atomic_load_explicit(&shun->confirmed, memory_order_relaxed),
        .declined = atomic_load_explicit(&shun->declined, memory_order_relaxed),
    };
}

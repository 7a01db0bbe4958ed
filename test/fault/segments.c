/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/fault/segments.h"
#include "test/must.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void refuse(const char *what)
{
    perror(what);
    exit(1);
}

static void mac_parse(const char *text, uint8_t mac_out[6])
{
    unsigned octets[6];
    MUST(sscanf(text, "%x:%x:%x:%x:%x:%x", &octets[0], &octets[1], &octets[2], &octets[3],
                &octets[4], &octets[5]) == 6);
    for (int i = 0; i < 6; i++)
        mac_out[i] = (uint8_t)octets[i];
}

static void socket_open(struct segments *segments, const char *interface, bool is_deaf)
{
    const int protocol = is_deaf ? 0 : htons(ETH_P_IP);
    const struct sockaddr_ll where = {.sll_family = AF_PACKET,
                                      .sll_protocol = (uint16_t)protocol,
                                      .sll_ifindex = (int)if_nametoindex(interface)};
    const int on = 1, buffer_len = 32 << 20;
    struct ifreq request = {0};

    MUST(strlen(interface) < sizeof request.ifr_name);
    memcpy(request.ifr_name, interface, strlen(interface) + 1);
    segments->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (segments->fd < 0 || ioctl(segments->fd, SIOCGIFHWADDR, &request) < 0)
        refuse(interface);
    memcpy(segments->server.mac_destination, request.ifr_hwaddr.sa_data, 6);
    if (setsockopt(segments->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
        setsockopt(segments->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_len, sizeof buffer_len) < 0 ||
        setsockopt(segments->fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_len, sizeof buffer_len) < 0 ||
        bind(segments->fd, (const struct sockaddr *)&where, sizeof where) < 0)
        refuse(interface);
}

void segments_open(struct segments *segments, const char *interface, const char *server_mac,
                   const char *server, const char *port, bool is_deaf)
{
    memset(segments, 0, sizeof *segments);
    segments->octets = malloc(TRAIN_CAP + SEGMENTS_BATCH * SEGMENTS_FRAME_CAP);
    MUST(segments->octets != NULL);
    segments->train.octets = segments->octets;
    segments->train.cap = TRAIN_CAP;
    mac_parse(server_mac, segments->server.mac_source);
    segments->server.source.family = segments->server.destination.family = 4;
    MUST(inet_pton(AF_INET, server, segments->server.source.octets) == 1);
    segments->server.source_port = (uint16_t)strtoul(port, NULL, 10);
    socket_open(segments, interface, is_deaf);
}

void segments_add(struct segments *segments, uint32_t client, uint16_t client_port,
                  const struct packet_segment *segment, const uint8_t *payload, size_t payload_len)
{
    if (segments->train.frame_count >= SEGMENTS_BATCH)
        segments_flush(segments);
    for (int i = 0; i < 4; i++)
        segments->server.destination.octets[i] = (uint8_t)(client >> (24 - 8 * i));
    segments->server.destination_port = client_port;
    MUST(packet_reply_tcp(&segments->server, segment, payload, payload_len, &segments->train));
}

void segments_flush(struct segments *segments)
{
    struct train *train = &segments->train;
    struct mmsghdr messages[TRAIN_FRAMES_MAX];
    struct iovec parts[TRAIN_FRAMES_MAX];
    uint8_t *at = train->octets;

    memset(messages, 0, sizeof messages[0] * train->frame_count);
    for (uint32_t i = 0; i < train->frame_count; i++) {
        parts[i] = (struct iovec){at, train->frame_len[i]};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        at += train->frame_len[i];
    }
    for (uint32_t sent = 0; sent < train->frame_count;) {
        int outcome = sendmmsg(segments->fd, messages + sent, train->frame_count - sent, 0);
        if (outcome < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
            refuse("sendmmsg");
        sent += outcome < 0 ? 1 : (uint32_t)outcome;
    }
    train->len = train->frame_count = 0;
}

/* Fetch as many frames as are there, at most a batch. */
static bool receive_batch(struct segments *segments)
{
    struct mmsghdr messages[SEGMENTS_BATCH];
    struct iovec parts[SEGMENTS_BATCH];
    uint8_t *at = segments->octets + TRAIN_CAP;

    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < SEGMENTS_BATCH; i++, at += SEGMENTS_FRAME_CAP) {
        parts[i] = (struct iovec){at, SEGMENTS_FRAME_CAP};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(segments->fd, messages, SEGMENTS_BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        refuse("recvmmsg");
    segments->received_next = 0;
    segments->received_count = count < 0 ? 0 : (unsigned)count;
    for (unsigned i = 0; i < segments->received_count; i++)
        segments->received_len[i] = messages[i].msg_len;
    return segments->received_count > 0;
}

bool segments_next(struct segments *segments, struct packet *packet_out)
{
    const struct packet *server = &segments->server;
    for (;;) {
        if (segments->received_next == segments->received_count && !receive_batch(segments))
            return false;
        unsigned i = segments->received_next++;
        const uint8_t *frame = segments->octets + TRAIN_CAP + i * SEGMENTS_FRAME_CAP;
        /* The kernel's frames on a virtual wire have no checksum, which `auto` understands. */
        if (packet_parse(frame, segments->received_len[i], false, PACKET_CHECKSUM_AUTO,
                         packet_out) == PACKET_TCP &&
            packet_out->source.family == 4 && packet_out->source_port == server->source_port &&
            memcmp(packet_out->source.octets, server->source.octets, 4) == 0)
            return true;
    }
}

void segments_wait(const struct segments *segments, int timeout_ms)
{
    struct pollfd wanted = {.fd = segments->fd, .events = POLLIN};
    if (poll(&wanted, 1, timeout_ms) < 0 && errno != EINTR)
        refuse("poll");
}

uint64_t segments_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

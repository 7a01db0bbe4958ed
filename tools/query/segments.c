/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/segments.h"

#include "server/address.h"
#include "tools/query/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_LEN (4 << 20)
/* Headers are all that counts; IPv4 with options and TCP with options. */
#define HEADERS_MAX 128

enum {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_ACK = 16,
};

/* A packet's addresses and its TCP segment. */
struct view {
    const uint8_t *source, *destination;
    size_t address_len;
    const uint8_t *tcp;
    size_t tcp_len;       /* as captured */
    uint32_t header_len;  /* of TCP */
    uint32_t segment_len; /* header and payload, as IP has them */
};

/* TCP to or from the last four octets of the server's address: the rest is seen to later. */
static int filter_attach(int fd, uint32_t word)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 6),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 11),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 8, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 6, 7),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 20),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 36),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, HEADERS_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}

static const uint8_t *own_octets(const struct sockaddr_storage *address, size_t *len_out)
{
    if (address->ss_family == AF_INET) {
        *len_out = 4;
        return (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    }
    *len_out = 16;
    return (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
}

int segments_begin(struct segments *segments, const struct sockaddr_storage *server)
{
    size_t len;
    const uint8_t *octets = own_octets(server, &len);
    int one = 1, buffer_len = BUFFER_LEN, outcome = 0;
    segments_end(segments);
    segments_clear(segments);
    segments->has_client_isn = segments->has_server_isn = segments->is_stateless = false;
    segments->interface = 0;
    segments->server = *server;
    /* Of no protocol until the filter is there. */
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    outcome = filter_attach(fd, octets_be32(octets + len - 4));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_len, sizeof buffer_len);
    if (outcome == 0 && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) != 0)
        outcome = -errno;
    if (outcome == 0 && bind(fd, (struct sockaddr *)&all, sizeof all) != 0)
        outcome = -errno;
    if (outcome == 0)
        segments->fd = fd;
    else
        close(fd);
    return outcome;
}

void segments_clear(struct segments *segments)
{
    segments->count = segments->lost = 0;
}

void segments_end(struct segments *segments)
{
    if (segments->fd >= 0)
        close(segments->fd);
    segments->fd = -1;
}

/* Headers of IP. False: something else than TCP, or cut short. */
static bool view_packet(const uint8_t *packet, size_t len, struct view *view)
{
    size_t ip_len, total;
    if (len >= 40 && packet[0] >> 4 == 6) {
        ip_len = 40;
        total = ip_len + octets_be16(packet + 4);
        *view = (struct view){.source = packet + 8, .destination = packet + 24, .address_len = 16};
        if (packet[6] != IPPROTO_TCP)
            return false;
    } else if (len >= 20 && packet[0] >> 4 == 4) {
        ip_len = 4u * (packet[0] & 15);
        total = octets_be16(packet + 2);
        *view = (struct view){.source = packet + 12, .destination = packet + 16, .address_len = 4};
        if (packet[9] != IPPROTO_TCP || ip_len < 20)
            return false;
    } else {
        return false;
    }
    if (len < ip_len + 20 || total < ip_len + 20)
        return false;
    view->tcp = packet + ip_len;
    view->tcp_len = len - ip_len;
    view->header_len = 4u * (view->tcp[12] >> 4);
    view->segment_len = (uint32_t)(total - ip_len);
    return view->header_len >= 20 && view->header_len <= view->segment_len &&
           view->header_len <= view->tcp_len;
}

static bool is_of(const struct sockaddr_storage *address, const uint8_t *octets, size_t octets_len,
                  const uint8_t *port)
{
    size_t len;
    const uint8_t *own = own_octets(address, &len);
    return len == octets_len && memcmp(own, octets, len) == 0 &&
           octets_be16(port) == address_port(address);
}

static void read_options(const struct view *view, struct segment *segment)
{
    const uint8_t *at = view->tcp + 20, *end = view->tcp + view->header_len;
    while (at < end && *at != 0) {
        if (*at == 1) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at)
            return;
        if (at[0] == 2 && at[1] == 4)
            segment->mss = octets_be16(at + 2);
        segment->has_sack_permitted |= at[0] == 4;
        segment->has_fast_open |= at[0] == 34;
        if (at[0] == 5)
            segment->sack_count = (uint8_t)((at[1] - 2) / 8);
        if (at[0] == 8 && at[1] == 10) {
            segment->has_timestamps = true;
            segment->timestamp = octets_be32(at + 2);
            segment->echo = octets_be32(at + 6);
        }
        at += at[1];
    }
}

/* The first numbers of both streams; what a stateless server's SYN bears nobody else's does but once
 * in 2^31. */
static void learn(struct segments *segments, const struct segment *segment)
{
    if ((segment->flags & TCP_SYN) == 0)
        return;
    if (segment->is_ours) {
        segments->client_isn = segment->seq;
        segments->has_client_isn = true;
    } else {
        segments->server_isn = segment->seq;
        segments->has_server_isn = true;
        segments->is_stateless =
            segment->has_timestamps && segments->has_client_isn && segment->timestamp >> 13 == 0 &&
            (segment->timestamp >> 1 & 0xfff) == ((segments->client_isn + 1) & 0xfff);
    }
}

void segments_take(struct segments *segments, const uint8_t *packet, size_t len, int interface,
                   int64_t time_us)
{
    struct view view;
    if (!view_packet(packet, len, &view))
        return;
    bool is_ours = is_of(&segments->client, view.source, view.address_len, view.tcp) &&
                   is_of(&segments->server, view.destination, view.address_len, view.tcp + 2);
    bool is_theirs = is_of(&segments->server, view.source, view.address_len, view.tcp) &&
                     is_of(&segments->client, view.destination, view.address_len, view.tcp + 2);
    if (!is_ours && !is_theirs)
        return;
    if (segments->interface == 0) {
        segments->interface = interface;
        segments->first_us = time_us;
    }
    if (interface != segments->interface)
        return;
    if (segments->count == SEGMENTS_MAX) {
        segments->lost++;
        return;
    }
    struct segment *segment = &segments->list[segments->count++];
    *segment = (struct segment){.time_us = time_us - segments->first_us,
                                .is_ours = is_ours,
                                .flags = view.tcp[13],
                                .seq = octets_be32(view.tcp + 4),
                                .ack = octets_be32(view.tcp + 8),
                                .window = octets_be16(view.tcp + 14),
                                .len = view.segment_len - view.header_len};
    read_options(&view, segment);
    learn(segments, segment);
    segment->seq -= is_ours ? segments->client_isn : segments->server_isn;
    segment->ack -= is_ours ? segments->server_isn : segments->client_isn;
    if ((segment->flags & TCP_ACK) == 0)
        segment->ack = 0;
}

/* One packet off the socket. Returns whether there was one. */
static bool receive(struct segments *segments)
{
    uint8_t packet[HEADERS_MAX], control[256];
    struct sockaddr_ll from;
    struct iovec part = {packet, sizeof packet};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t len = recvmsg(segments->fd, &message, 0);
    if (len < 0)
        return false;
    struct timespec when = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
            memcpy(&when, CMSG_DATA(c), sizeof when);
    /* On the loopback interface everything passes twice. */
    if (from.sll_hatype == ARPHRD_LOOPBACK && from.sll_pkttype == PACKET_OUTGOING)
        return true;
    segments_take(segments, packet, (size_t)len, from.sll_ifindex,
                  (int64_t)when.tv_sec * 1000000 + when.tv_nsec / 1000);
    return true;
}

void segments_collect(struct segments *segments, const struct sockaddr_storage *client, int wait_ms)
{
    struct pollfd watched = {.fd = segments->fd, .events = POLLIN};
    segments->client = *client;
    if (segments->fd < 0 || client->ss_family != segments->server.ss_family)
        return;
    for (unsigned i = 0; i < 2 * SEGMENTS_MAX && poll(&watched, 1, wait_ms) > 0; i++)
        if (!receive(segments))
            return;
}

struct segment_point segments_point(const struct segments *segments, uint32_t timestamp)
{
    return (struct segment_point){.response_end = timestamp >> 13,
                                  .request_next = ((timestamp >> 1) - segments->client_isn) & 0xfff,
                                  .is_done = timestamp & 1};
}

const char *segments_flags(uint8_t flags, char *text)
{
    static const char letters[] = "FSRPAUEC";
    char *at = text;
    for (unsigned bit = 0; bit < 8; bit++)
        if (flags >> bit & 1)
            *at++ = letters[bit];
    *at = '\0';
    return text;
}

void segments_show(const struct segments *segments, FILE *to)
{
    char flags[9], client[ADDRESS_TEXT_MAX], server[ADDRESS_TEXT_MAX];
    fprintf(to, ";; SEGMENTS: %s (>) and %s (<)%s\n", address_to_text(&segments->client, client),
            address_to_text(&segments->server, server),
            segments->is_stateless ? ", which is stateless" : "");
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment *s = &segments->list[i];
        fprintf(to, ";; %9.3f ms %c %-4s seq %u len %u ack %u win %u", (double)s->time_us / 1000,
                s->is_ours ? '>' : '<', segments_flags(s->flags, flags), s->seq, s->len, s->ack,
                s->window);
        if (s->mss != 0)
            fprintf(to, " mss %u", s->mss);
        if (s->sack_count > 0)
            fprintf(to, " sacks %u", s->sack_count);
        if (s->has_fast_open)
            fprintf(to, " fast-open");
        if (s->has_timestamps)
            fprintf(to, " ts %u/%u", s->timestamp, s->echo);
        if (s->has_timestamps && segments->is_stateless && !s->is_ours) {
            struct segment_point point = segments_point(segments, s->timestamp);
            fprintf(to, " (response ends at %u, request octet %u is next%s)", point.response_end,
                    point.request_next, point.is_done ? ", done" : "");
        }
        fprintf(to, "\n");
    }
    if (segments->lost > 0)
        fprintf(to, ";; and %zu more\n", segments->lost);
}

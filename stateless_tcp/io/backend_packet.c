/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Packet sockets: rings receive, sendmmsg(2) sends all answers of a batch at once.
 *
 * SYNs have a ring of their own. A flood of them fills it and loses what does not fit, but not one
 * segment of a connection that is there already, nor a UDP query:
 *
 *    device --+-- SYNs     -> ring 1 --+-- taken last, a quarter of a batch at least --> receive()
 *             +-- all else -> ring 0 --+-- taken first
 *
 * As with libpcap, capture sees a frame before the kernel's own network stack does and does not
 * take it away; that the kernel ignores it is the guard's work (guard.h).
 */
#include "stateless_tcp/io/filter.h"
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/packet_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RING_OTHERS, RING_SYNS, RING_COUNT };

/* Frames that may wait at an interface, 2 KB each, but not too few for one worker. SYNs that wait
 * longer than that lasts are for clients that ask again anyway. */
#define OTHERS_SLOTS 4096u
#define OTHERS_SLOTS_MIN 1024u
#define SYNS_SLOTS 2048u
#define SYNS_SLOTS_MIN 512u
/* What others leave SYNs of a batch, however many they are. */
#define SYNS_SHARE 4

/* Answers of a batch, the longest train on top. */
#define QUEUE_FRAMES 512u
#define QUEUE_OCTETS (65536u + TRAIN_CAP)
#define SEND_WAIT_US 10000

struct io {
    char interface[IF_NAMESIZE];
    struct packet_ring rings[RING_COUNT];
    int epoll;
    int sender;
    int problem; /* of sending, for whoever asks next */
    uint8_t *octets;
    uint32_t octets_len;
    uint32_t queued;
    struct iovec places[QUEUE_FRAMES];
    struct mmsghdr messages[QUEUE_FRAMES];
};

static void packet_close(struct io *io)
{
    if (io == NULL)
        return;
    for (int i = 0; i < RING_COUNT; i++)
        packet_ring_close(&io->rings[i]);
    if (io->epoll >= 0)
        close(io->epoll);
    if (io->sender >= 0)
        close(io->sender);
    free(io->octets);
    free(io);
}

static int packet_fail(struct io_error *error, int result, const char *interface,
                       const char *reason)
{
    snprintf(error->text, sizeof(error->text), "interface %s: %.480s", interface, reason);
    return result;
}

/* The interface must be there, up, and Ethernet. */
static int interface_check(const struct io *io, struct io_error *error)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, io->interface, sizeof(request.ifr_name));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = fd < 0 ? -errno : 0;
    if (result == 0 && ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        result = -errno;
    short flags = request.ifr_flags;
    if (result == 0 && ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        result = -errno;
    unsigned short hardware = request.ifr_hwaddr.sa_family;
    if (fd >= 0)
        close(fd);
    if (result == -ENODEV)
        return packet_fail(error, result, io->interface,
                           "cannot capture: there is no such interface; \"ip link\" lists those "
                           "there are");
    if (result != 0)
        return packet_fail(error, result, io->interface, strerror(-result));
    if ((flags & IFF_UP) == 0)
        return packet_fail(error, -ENETDOWN, io->interface,
                           "cannot capture: it is down; \"ip link set IFNAME up\"");
    if (hardware != ARPHRD_ETHER && hardware != ARPHRD_LOOPBACK)
        return packet_fail(error, -EPROTONOSUPPORT, io->interface,
                           "cannot serve: its frames are not Ethernet frames; use --tcp kernel "
                           "there");
    return 0;
}

static int sender_open(struct io *io, int interface_index, struct io_error *error)
{
    /* Protocol 0: nothing is received. The queueing discipline stays in the way: to go round it
     * saves nothing that can be measured, and hides what is sent from its rules and from
     * tcpdump(8). */
    const struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = interface_index};
    const struct timeval wait = {.tv_usec = SEND_WAIT_US};
    io->sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (io->sender < 0 ||
        bind(io->sender, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(io->sender, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0) {
        int result = -errno;
        char reason[128];
        snprintf(reason, sizeof(reason), "cannot send frames: %s", strerror(errno));
        return packet_fail(error, result, io->interface, reason);
    }
    for (uint32_t i = 0; i < QUEUE_FRAMES; i++)
        io->messages[i].msg_hdr = (struct msghdr){.msg_iov = &io->places[i], .msg_iovlen = 1};
    io->octets = malloc(QUEUE_OCTETS);
    return io->octets != NULL ? 0 : packet_fail(error, -ENOMEM, io->interface, "out of memory");
}

static uint32_t share_of(uint32_t slots, uint32_t slots_min, unsigned worker_count)
{
    uint32_t share = slots / worker_count;
    return share > slots_min ? share : slots_min;
}

static int ring_open(struct io *io, int which, const struct io_config *config, int interface_index,
                     struct io_error *error)
{
    /* What is a SYN comes first: it is quickly told, and saves most frames the rest of one
     * filter. */
    const char *kind = which == RING_SYNS ? FILTER_SYN : "not " FILTER_SYN;
    const char *rest = config->filter != NULL ? config->filter : "";
    size_t filter_len = strlen(kind) + strlen(rest) + sizeof(" and ()");
    char *filter = malloc(filter_len);
    if (filter == NULL)
        return packet_fail(error, -ENOMEM, io->interface, "out of memory");
    snprintf(filter, filter_len, *rest != '\0' ? "%s and (%s)" : "%s", kind, rest);
    const struct packet_ring_config ring_config = {
        .interface_index = interface_index,
        .filter = filter,
        .slot_count = which == RING_SYNS
                          ? share_of(SYNS_SLOTS, SYNS_SLOTS_MIN, config->worker_count)
                          : share_of(OTHERS_SLOTS, OTHERS_SLOTS_MIN, config->worker_count),
        .first = config->first != NULL ? &config->first->rings[which] : NULL,
        .is_shared = config->worker_count > 1,
    };
    struct io_error reason;
    int result = packet_ring_open(&ring_config, &io->rings[which], &reason);
    free(filter);
    if (result != 0)
        return packet_fail(error, result, io->interface, reason.text);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, io->rings[which].fd, &event) != 0)
        return packet_fail(error, -errno, io->interface, strerror(errno));
    return 0;
}

static int packet_open(const struct io_config *config, struct io **io_out, struct io_error *error)
{
    *io_out = NULL;
    struct io *io = calloc(1, sizeof(*io));
    if (io == NULL)
        return packet_fail(error, -ENOMEM, config->interface, "out of memory");
    io->rings[RING_OTHERS].fd = io->rings[RING_SYNS].fd = io->sender = -1;
    io->epoll = epoll_create1(EPOLL_CLOEXEC);
    int result = 0;
    if (io->epoll < 0)
        result = packet_fail(error, -errno, config->interface, strerror(errno));
    else if (strlen(config->interface) >= sizeof(io->interface))
        result = packet_fail(error, -ENODEV, config->interface, "interface names are shorter");
    else
        strcpy(io->interface, config->interface);
    if (result == 0)
        result = interface_check(io, error);
    int interface_index = (int)if_nametoindex(io->interface);
    if (result == 0)
        result = sender_open(io, interface_index, error);
    for (int i = 0; i < RING_COUNT && result == 0; i++)
        result = ring_open(io, i, config, interface_index, error);
    if (result != 0) {
        packet_close(io);
        return result;
    }
    *io_out = io;
    return 0;
}

/* A frame that finds the device's queue full is lost as it might be on the wire; that is not our
 * failure. */
static int packet_flush(struct io *io)
{
    uint32_t sent = 0;
    while (sent < io->queued && io->problem == 0) {
        int count = sendmmsg(io->sender, &io->messages[sent], io->queued - sent, 0);
        if (count > 0)
            sent += (uint32_t)count;
        else if (errno == ENODEV || errno == ENXIO || errno == ENETDOWN)
            io->problem = -errno;
        else if (errno == EAGAIN) /* for so long that what follows would come too late */
            break;
        else if (errno != EINTR)
            sent++;
    }
    io->queued = 0;
    io->octets_len = 0;
    int problem = io->problem;
    io->problem = 0;
    return problem;
}

static int packet_take(struct io *io, struct io_frame *frames, int frame_cap)
{
    int others_cap = frame_cap - frame_cap / SYNS_SHARE;
    int count = packet_ring_take(&io->rings[RING_OTHERS], frames, others_cap);
    count += packet_ring_take(&io->rings[RING_SYNS], frames + count, frame_cap - count);
    return count;
}

/* Asking a ring forgets its problem, so ask all. */
static int packet_problem(const struct io *io)
{
    int problem = 0;
    for (int i = 0; i < RING_COUNT; i++) {
        int of_ring = packet_ring_problem(&io->rings[i]);
        problem = of_ring != 0 ? of_ring : problem;
    }
    return problem == 0 || if_nametoindex(io->interface) != 0 ? problem : -ENODEV;
}

static int packet_receive(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap)
{
    int problem = packet_flush(io);
    if (problem != 0)
        return problem == -ENXIO ? -ENODEV : problem;
    for (int i = 0; i < RING_COUNT; i++)
        packet_ring_return(&io->rings[i]);
    int count = packet_take(io, frames, frame_cap);
    if (count != 0)
        return count;
    struct epoll_event events[RING_COUNT];
    int ready = epoll_wait(io->epoll, events, RING_COUNT, timeout_ms);
    if (ready <= 0)
        return ready == 0 || errno == EINTR ? 0 : -errno;
    count = packet_take(io, frames, frame_cap);
    return count != 0 ? count : packet_problem(io);
}

static void packet_lend(struct io *io, struct train *train_out)
{
    if (io->queued + TRAIN_FRAMES_MAX > QUEUE_FRAMES || QUEUE_OCTETS - io->octets_len < TRAIN_CAP)
        io->problem = packet_flush(io);
    train_out->octets = io->octets + io->octets_len;
    train_out->cap = TRAIN_CAP;
    train_out->len = 0;
    train_out->frame_count = 0;
}

static int packet_send(struct io *io, const struct train *train)
{
    uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; i++) {
        io->places[io->queued++] = (struct iovec){.iov_base = at, .iov_len = train->frame_len[i]};
        at += train->frame_len[i];
    }
    io->octets_len += train->len;
    return 0;
}

static int packet_descriptor(const struct io *io)
{
    return io->epoll;
}

static void packet_count_lost(struct io *io, struct io_lost *lost_out)
{
    lost_out->others = packet_ring_lost(&io->rings[RING_OTHERS]);
    lost_out->syns = packet_ring_lost(&io->rings[RING_SYNS]);
}

const struct io_backend io_backend_packet = {
    .name = "packet",
    .is_automatic = true,
    .is_shared = true,
    .open = packet_open,
    .receive = packet_receive,
    .lend = packet_lend,
    .send = packet_send,
    .flush = packet_flush,
    .descriptor = packet_descriptor,
    .count_lost = packet_count_lost,
    .close = packet_close,
#ifdef HAS_IO_XDP
    .with_driver = &io_backend_driver,
#endif
};

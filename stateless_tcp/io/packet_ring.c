/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/packet_ring.h"

#include "stateless_tcp/io/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A frame of an MTU of 1500 fits a slot. Were its length a power of two, all slots would want the
 * same few lines of the caches. 32 of them fill 15 pages; the kernel takes 16 for that. */
#define SLOT_LEN 1920u
#define BLOCK_SLOTS 32u
#define BLOCK_LEN (SLOT_LEN * BLOCK_SLOTS)
#define VLAN_TAG_LEN 4u
/* Room in front of each frame to put a tag back; a multiple of 16 keeps IP headers aligned. */
#define RESERVE_LEN 16
/* For frames longer than a slot. */
#define LARGE_MAX 16u
#define LARGE_LEN (RESERVE_LEN + PACKET_RING_FRAME_MAX)
#define LARGE_QUEUE_OCTETS (4 * 1024 * 1024)

static int set_option(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int ring_options(const struct packet_ring *ring)
{
    /* In this order: the ring is made by the version and the reserve of then. */
    int result = set_option(ring->fd, PACKET_VERSION, TPACKET_V2);
    if (result == 0)
        result = set_option(ring->fd, PACKET_RESERVE, RESERVE_LEN);
    if (result == 0)
        result = set_option(ring->fd, PACKET_COPY_THRESH, 1);
    if (result == 0)
        result = set_option(ring->fd, PACKET_AUXDATA, 1);
    if (result == 0)
        result = set_option(ring->fd, PACKET_IGNORE_OUTGOING, 1);
    const int queue = LARGE_QUEUE_OCTETS;
    if (result == 0 && setsockopt(ring->fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)) != 0)
        setsockopt(ring->fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
    return result;
}

static int ring_map(struct packet_ring *ring, uint32_t slot_count)
{
    uint32_t blocks = (slot_count + BLOCK_SLOTS - 1) / BLOCK_SLOTS;
    const struct tpacket_req request = {.tp_block_size = BLOCK_LEN,
                                        .tp_block_nr = blocks,
                                        .tp_frame_size = SLOT_LEN,
                                        .tp_frame_nr = blocks * BLOCK_SLOTS};
    if (setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) != 0)
        return -errno;
    ring->slot_count = request.tp_frame_nr;
    void *memory = mmap(NULL, (size_t)ring->slot_count * SLOT_LEN, PROT_READ | PROT_WRITE,
                        MAP_SHARED, ring->fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    ring->memory = memory;
    /* A child process that kept it would keep the socket, and the kernel filling it. */
    madvise(memory, (size_t)ring->slot_count * SLOT_LEN, MADV_DONTFORK);
    ring->large = malloc((size_t)LARGE_MAX * LARGE_LEN);
    return ring->large != NULL ? 0 : -ENOMEM;
}

/* Make a group of sockets between which the kernel distributes flows, or join that of `first`. */
static int ring_share(const struct packet_ring *ring, const struct packet_ring *first)
{
    unsigned mode = PACKET_FANOUT_HASH, group = 0;
    socklen_t group_len = sizeof(group);
    if (first == NULL)
        mode |= PACKET_FANOUT_FLAG_UNIQUEID;
    else if (getsockopt(first->fd, SOL_PACKET, PACKET_FANOUT, &group, &group_len) != 0)
        return -errno;
    return set_option(ring->fd, PACKET_FANOUT, (int)((group & 0xffff) | mode << 16));
}

/* Nothing may come before the filter is set, nor what a group member would have got. Every
 * protocol: only such sockets see a frame before the guard drops it. */
static int ring_bind(const struct packet_ring *ring, const struct packet_ring_config *config,
                     struct io_error *error)
{
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_protocol = htons(ETH_P_ALL),
                                        .sll_ifindex = config->interface_index};
    int result = filter_attach_nothing(ring->fd);
    if (result == 0 && bind(ring->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        result = -errno;
    if (result == 0 && (config->first != NULL || config->is_shared))
        result = ring_share(ring, config->first);
    if (result == 0)
        return filter_attach(ring->fd, config->filter, error);
    snprintf(error->text, sizeof(error->text), "cannot receive: %s", strerror(-result));
    return result;
}

int packet_ring_open(const struct packet_ring_config *config, struct packet_ring *ring_out,
                     struct io_error *error)
{
    *ring_out = (struct packet_ring){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
    int result = ring_out->fd < 0 ? -errno : ring_options(ring_out);
    if (result == 0)
        result = ring_map(ring_out, config->slot_count);
    if (result == 0)
        return ring_bind(ring_out, config, error);
    if (result == -EPERM)
        snprintf(error->text, sizeof(error->text),
                 "cannot capture: not permitted; start as root or with CAP_NET_RAW and "
                 "CAP_NET_ADMIN");
    else
        snprintf(error->text, sizeof(error->text), "cannot make a packet ring: %s",
                 strerror(-result));
    return result;
}

/* Put a tag back behind the MAC addresses, which move to the front for it (IEEE 802.1Q 9). There
 * must be room there. */
static void tag_restore(struct io_frame *frame, uint8_t *octets, uint16_t protocol,
                        uint16_t control)
{
    const uint8_t tag[VLAN_TAG_LEN] = {(uint8_t)(protocol >> 8), (uint8_t)protocol,
                                       (uint8_t)(control >> 8), (uint8_t)control};
    memmove(octets - VLAN_TAG_LEN, octets, 12);
    memcpy(octets - VLAN_TAG_LEN + 12, tag, VLAN_TAG_LEN);
    frame->octets = octets - VLAN_TAG_LEN;
    frame->len += VLAN_TAG_LEN;
}

static void frame_apply_status(struct io_frame *frame, uint8_t *octets, uint32_t status,
                               uint16_t protocol, uint16_t control)
{
    frame->is_checksum_unset = (status & (TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID)) != 0;
    if ((status & TP_STATUS_VLAN_VALID) != 0 && frame->len >= ETH_HLEN)
        tag_restore(frame, octets,
                    (status & TP_STATUS_VLAN_TPID_VALID) != 0 ? protocol : ETH_P_8021Q, control);
}

/* A frame that did not fit its slot: what the slot says of it may be of another one that came at
 * the same time, so take all from the socket. */
static bool take_large(struct packet_ring *ring, struct io_frame *frame)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    uint8_t *octets = ring->large + (size_t)ring->large_count * LARGE_LEN + RESERVE_LEN;
    struct iovec place = {.iov_base = octets, .iov_len = PACKET_RING_FRAME_MAX};
    struct msghdr header = {.msg_iov = &place,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    ssize_t len = recvmsg(ring->fd, &header, MSG_DONTWAIT);
    if (len < 0)
        return false;
    ring->large_count++;
    frame->octets = octets;
    frame->len = (uint32_t)len;
    frame->is_checksum_unset = false;
    struct cmsghdr *item = CMSG_FIRSTHDR(&header);
    if (item != NULL && item->cmsg_level == SOL_PACKET && item->cmsg_type == PACKET_AUXDATA) {
        struct tpacket_auxdata said;
        memcpy(&said, CMSG_DATA(item), sizeof(said));
        frame_apply_status(frame, octets, said.tp_status, said.tp_vlan_tpid, said.tp_vlan_tci);
    }
    return true;
}

int packet_ring_take(struct packet_ring *ring, struct io_frame *frames, int frame_cap)
{
    int count = 0;
    while (count < frame_cap && ring->held < ring->slot_count && ring->large_count < LARGE_MAX) {
        uint8_t *slot = ring->memory + (size_t)ring->next * SLOT_LEN;
        struct tpacket2_hdr *header = (struct tpacket2_hdr *)(void *)slot;
        uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
        if ((status & TP_STATUS_USER) == 0)
            break;
        struct io_frame *frame = &frames[count];
        uint8_t *octets = slot + header->tp_mac;
        frame->octets = octets;
        frame->len = header->tp_snaplen;
        frame->time_us = (uint64_t)header->tp_sec * 1000000 + header->tp_nsec / 1000;
        frame_apply_status(frame, octets, status, header->tp_vlan_tpid, header->tp_vlan_tci);
        ring->next = ring->next + 1 < ring->slot_count ? ring->next + 1 : 0;
        ring->held++;
        if ((status & TP_STATUS_COPY) == 0 || take_large(ring, frame))
            count++;
    }
    return count;
}

void packet_ring_return(struct packet_ring *ring)
{
    uint32_t at = (ring->next + ring->slot_count - ring->held) % ring->slot_count;
    for (; ring->held != 0; ring->held--) {
        struct tpacket2_hdr *header =
            (struct tpacket2_hdr *)(void *)(ring->memory + (size_t)at * SLOT_LEN);
        __atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        at = at + 1 < ring->slot_count ? at + 1 : 0;
    }
    ring->large_count = 0;
}

int packet_ring_problem(const struct packet_ring *ring)
{
    int problem = 0;
    socklen_t problem_len = sizeof(problem);
    if (getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &problem, &problem_len) != 0)
        return -errno;
    return -problem;
}

uint64_t packet_ring_lost(struct packet_ring *ring)
{
    struct tpacket_stats stats; /* since they were read last */
    socklen_t stats_len = sizeof(stats);
    if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &stats_len) == 0)
        ring->lost += stats.tp_drops;
    return ring->lost;
}

void packet_ring_close(struct packet_ring *ring)
{
    if (ring->memory != NULL)
        munmap(ring->memory, (size_t)ring->slot_count * SLOT_LEN);
    if (ring->fd >= 0)
        close(ring->fd);
    free(ring->large);
    *ring = (struct packet_ring){.fd = -1};
}

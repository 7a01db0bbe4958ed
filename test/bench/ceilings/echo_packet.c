/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ceiling of packet sockets: a receive ring of version 3, sendmmsg from within it.
 * usage: echo_packet INTERFACE
 *
 * The kernel must be kept from answering too, by a rule behind the tap that drops the port.
 */
#include "test/bench/ceilings/echo.h"
#include "test/must.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BLOCK_SIZE (1u << 18)
#define BLOCK_COUNT 64u
#define BATCH 64u

struct sender {
    int fd;
    unsigned count;
    struct iovec vectors[BATCH];
    struct mmsghdr headers[BATCH];
};

static void sender_flush(struct sender *sender)
{
    for (unsigned sent = 0; sent < sender->count;) {
        int more = sendmmsg(sender->fd, sender->headers + sent, sender->count - sent, 0);
        sent += more > 0 ? (unsigned)more : 1;
    }
    sender->count = 0;
}

static int open_bound(unsigned interface, uint16_t protocol)
{
    struct sockaddr_ll here = {
        .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)interface};
    int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, version = TPACKET_V3;
    MUST(fd >= 0);
    if (protocol == 0) {
        MUST(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) == 0);
    } else {
        struct tpacket_req3 ring = {.tp_block_size = BLOCK_SIZE,
                                    .tp_block_nr = BLOCK_COUNT,
                                    .tp_frame_size = 2048,
                                    .tp_retire_blk_tov = 1,
                                    .tp_frame_nr = BLOCK_SIZE / 2048 * BLOCK_COUNT};
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ECHO_TYPE),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 4),
            BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ECHO_PROTOCOL),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 8),
            BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ECHO_PORTS + 2),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ECHO_PORT, 5, 6),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 5),
            BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ECHO_IPV6_PROTOCOL),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 3),
            BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ECHO_PORTS + 2 + ECHO_IPV6_SHIFT),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ECHO_PORT, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, 65535),
            BPF_STMT(BPF_RET | BPF_K, 0),
        };
        struct sock_fprog filter = {sizeof code / sizeof *code, code};
        MUST(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) == 0);
        MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0);
        MUST(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) == 0);
        MUST(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0);
    }
    MUST(bind(fd, (struct sockaddr *)&here, sizeof here) == 0);
    return fd;
}

static void answer_block(struct tpacket_block_desc *block, struct sender *sender)
{
    uint8_t *at = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
    for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
        struct tpacket3_hdr *header = (struct tpacket3_hdr *)(void *)at;
        at += header->tp_next_offset;
        if (!echo_answer((uint8_t *)header + header->tp_mac, header->tp_snaplen))
            continue;
        sender->vectors[sender->count++] = (struct iovec){
            .iov_base = (uint8_t *)header + header->tp_mac, .iov_len = header->tp_snaplen};
        if (sender->count == BATCH)
            sender_flush(sender);
    }
    sender_flush(sender);
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
    static struct sender sender;
    MUST(argc == 2);
    unsigned interface = if_nametoindex(argv[1]);
    MUST(interface != 0);
    struct pollfd readable = {.fd = open_bound(interface, ETH_P_ALL), .events = POLLIN};
    sender.fd = open_bound(interface, 0);
    for (size_t i = 0; i < BATCH; i++)
        sender.headers[i].msg_hdr = (struct msghdr){.msg_iov = &sender.vectors[i], .msg_iovlen = 1};
    uint8_t *ring = mmap(NULL, (size_t)BLOCK_SIZE * BLOCK_COUNT, PROT_READ | PROT_WRITE, MAP_SHARED,
                         readable.fd, 0);
    MUST(ring != MAP_FAILED);
    for (size_t next = 0;; next = (next + 1) % BLOCK_COUNT) {
        struct tpacket_block_desc *block =
            (struct tpacket_block_desc *)(void *)(ring + next * BLOCK_SIZE);
        while ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) ==
               0)
            poll(&readable, 1, -1);
        answer_block(block, &sender);
    }
}

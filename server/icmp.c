/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/icmp.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for either family's address of arrival. */
union icmp_control {
    struct cmsghdr align;
    uint8_t octets[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* ICMP_FILTER knows types below 32 only. Sockets of IPv4 see the IP header, others do not. */
static int icmp_filter(int fd, bool is_v4, uint8_t type)
{
    struct sock_filter v4[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter v6[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = 1, .filter = none};
    if (type != 0 && is_v4)
        program = (struct sock_fprog){sizeof(v4) / sizeof(v4[0]), v4};
    else if (type != 0)
        program = (struct sock_fprog){sizeof(v6) / sizeof(v6[0]), v6};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int icmp_open_one(bool is_v4, uint8_t type)
{
    const int on = 1;
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    if (fd < 0)
        return -errno;
    int outcome = icmp_filter(fd, is_v4, type);
    if (outcome == 0)
        outcome = is_v4 ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))
                        : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    if (outcome == 0)
        return fd;
    outcome = -errno;
    close(fd);
    return outcome;
}

int icmp_open(uint8_t type_v4, uint8_t type_v6, struct icmp *icmp_out)
{
    *icmp_out = (struct icmp){icmp_open_one(true, type_v4), icmp_open_one(false, type_v6)};
    if (icmp_out->v4 < 0 && icmp_out->v6 < 0)
        return icmp_out->v4;
    return 0;
}

int icmp_speak_for_others(const struct icmp *icmp)
{
    const int on = 1;
    if ((icmp->v4 >= 0 && setsockopt(icmp->v4, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) != 0) ||
        (icmp->v6 >= 0 &&
         setsockopt(icmp->v6, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof(on)) != 0))
        return -errno;
    return 0;
}

static void icmp_put_control(struct msghdr *header, union icmp_control *control, int level,
                             int type, const void *info, size_t info_len)
{
    memset(control, 0, sizeof(*control));
    header->msg_control = control;
    header->msg_controllen = CMSG_SPACE(info_len);
    struct cmsghdr *item = CMSG_FIRSTHDR(header);
    item->cmsg_level = level;
    item->cmsg_type = type;
    item->cmsg_len = CMSG_LEN(info_len);
    memcpy(CMSG_DATA(item), info, info_len);
}

int icmp_send(const struct icmp *icmp, const struct goaway_ends *ends, const uint8_t *octets,
              size_t len)
{
    bool is_v4 = ends->source.family == 4;
    int fd = is_v4 ? icmp->v4 : icmp->v6;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)octets, .iov_len = len};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    union icmp_control control;
    if (fd < 0)
        return -EAFNOSUPPORT;
    if (is_v4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, ends->source.octets, 4);
        memcpy(&to4.sin_addr, ends->destination.octets, 4);
        header.msg_name = &to4;
        header.msg_namelen = sizeof(to4);
        icmp_put_control(&header, &control, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {0};
        memcpy(&info.ipi6_addr, ends->source.octets, 16);
        memcpy(&to6.sin6_addr, ends->destination.octets, 16);
        header.msg_name = &to6;
        header.msg_namelen = sizeof(to6);
        icmp_put_control(&header, &control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

bool icmp_destination(struct msghdr *header, struct packet_address *address_out)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL;
         item = CMSG_NXTHDR(header, item)) {
        if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(item), sizeof(info));
            *address_out = (struct packet_address){.family = 4};
            memcpy(address_out->octets, &info.ipi_addr, 4);
            return info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr; /* else a broadcast */
        }
        if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(item), sizeof(info));
            *address_out = (struct packet_address){.family = 6};
            memcpy(address_out->octets, &info.ipi6_addr, 16);
            return true;
        }
    }
    return false;
}

/* Leave the message alone; 0: its header has options, or is none. */
static int icmp_skip_header(uint8_t *octets, int len)
{
    if (len <= PACKET_IPV4_HEADER_LEN || octets[0] != 0x45)
        return 0;
    memmove(octets, octets + PACKET_IPV4_HEADER_LEN, (size_t)len - PACKET_IPV4_HEADER_LEN);
    return len - PACKET_IPV4_HEADER_LEN;
}

int icmp_receive(int fd, struct goaway_ends *ends_out, uint8_t *octets_out)
{
    uint8_t octets[PACKET_IPV4_HEADER_LEN + GOAWAY_MESSAGE_MAX + 1];
    struct sockaddr_storage from = {0};
    union icmp_control control;
    struct iovec iov = {.iov_base = octets, .iov_len = sizeof(octets)};
    struct msghdr header = {.msg_name = &from,
                            .msg_namelen = sizeof(from),
                            .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    memset(ends_out, 0, sizeof(*ends_out));
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        !icmp_destination(&header, &ends_out->destination))
        return 0;
    ends_out->source.family = ends_out->destination.family;
    int len = (int)got;
    if (from.ss_family == AF_INET) {
        memcpy(ends_out->source.octets, &((struct sockaddr_in *)&from)->sin_addr, 4);
        len = icmp_skip_header(octets, len);
    } else {
        memcpy(ends_out->source.octets, &((struct sockaddr_in6 *)&from)->sin6_addr, 16);
    }
    if (len > GOAWAY_MESSAGE_MAX + 1)
        return 0;
    memcpy(octets_out, octets, (size_t)len);
    return len;
}

void icmp_close(struct icmp *icmp)
{
    if (icmp->v4 >= 0)
        close(icmp->v4);
    if (icmp->v6 >= 0)
        close(icmp->v6);
    icmp->v4 = icmp->v6 = -1;
}

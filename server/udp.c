/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/udp.h"

#include "server/address.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A query longer than this is none that we could answer: it is dropped. */
#define UDP_REQUEST_MAX 4096
/* Every interface that has IPv6 takes this much. */
#define UDP_USUAL_LEN 1232
/* Every client takes this much (RFC 1035 4.2.1). */
#define UDP_SAFE_LEN 512
#define UDP_SEND_WAIT_MS 5

/* Room for either family's address of arrival. */
struct udp_control {
    _Alignas(struct cmsghdr) uint8_t octets[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp_batch {
    /* Received; index is the slot. */
    struct mmsghdr in[UDP_BATCH];
    struct iovec in_iov[UDP_BATCH];
    struct sockaddr_storage peer[UDP_BATCH];
    struct udp_control control[UDP_BATCH];
    enum respond_restraint restraint[UDP_BATCH];
    /* To be sent; slot[] says which request it answers. */
    struct mmsghdr out[UDP_BATCH];
    struct iovec out_iov[UDP_BATCH];
    unsigned slot[UDP_BATCH];
    uint8_t request[UDP_BATCH][UDP_REQUEST_MAX];
    uint8_t response[UDP_BATCH][RESPOND_UDP_PAYLOAD_MAX];
};

int udp_batch_open(struct udp_batch **batch_out)
{
    struct udp_batch *batch = calloc(1, sizeof *batch);
    *batch_out = batch;
    if (batch == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < UDP_BATCH; i++) {
        batch->in_iov[i].iov_base = batch->request[i];
        batch->in_iov[i].iov_len = UDP_REQUEST_MAX;
    }
    return 0;
}

void udp_batch_close(struct udp_batch *batch)
{
    free(batch);
}

static unsigned udp_receive(struct udp_batch *batch, int fd)
{
    /* recvmmsg() leaves its results in the headers. */
    for (unsigned i = 0; i < UDP_BATCH; i++)
        batch->in[i].msg_hdr = (struct msghdr){.msg_name = &batch->peer[i],
                                               .msg_namelen = sizeof batch->peer[i],
                                               .msg_iov = &batch->in_iov[i],
                                               .msg_iovlen = 1,
                                               .msg_control = &batch->control[i],
                                               .msg_controllen = sizeof batch->control[i]};
    int got = recvmmsg(fd, batch->in, UDP_BATCH, MSG_DONTWAIT, NULL);
    return got > 0 ? (unsigned)got : 0;
}

/* Make the received address of arrival the source to send from. The route decides the interface,
 * but for link-local addresses, which mean nothing without one. */
static void udp_turn_control(struct msghdr *header)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL;
         item = CMSG_NXTHDR(header, item)) {
        if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(item), sizeof info);
            info.ipi_ifindex = 0;
            memcpy(CMSG_DATA(item), &info, sizeof info);
        } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(item), sizeof info);
            if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
                info.ipi6_addr = in6addr_any;
            else if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                info.ipi6_ifindex = 0;
            memcpy(CMSG_DATA(item), &info, sizeof info);
        }
    }
}

static size_t udp_answer(struct udp_batch *batch, unsigned slot, const struct udp_context *context,
                         size_t response_cap)
{
    struct respond_client client = {
        .transport = RESPOND_UDP, .now_s = context->now_s, .restraint = batch->restraint[slot]};
    client.address = address_octets(&batch->peer[slot], &client.address_len);
    return answer_request(context->view, context->image, context->policy, &client,
                          batch->request[slot], batch->in[slot].msg_len, batch->response[slot],
                          response_cap);
}

/* Once for each request: it counts. */
static bool udp_admit(struct udp_batch *batch, unsigned slot, int fd,
                      const struct udp_context *context)
{
    batch->restraint[slot] = RESPOND_FREELY;
    if (context->restrain == NULL)
        return true;
    struct respond_client client = {.transport = RESPOND_UDP, .now_s = context->now_s};
    client.address = address_octets(&batch->peer[slot], &client.address_len);
    enum restrain_verdict verdict =
        restrain_judge(context->restrain, context->policy, batch->request[slot],
                       batch->in[slot].msg_len, context->now_us, &client);
    batch->restraint[slot] = client.restraint;
    struct shun_request request = {
        .payload = batch->request[slot],
        .payload_len = batch->in[slot].msg_len,
        .is_over_rate = verdict != RESTRAIN_NOT,
        .now_s = context->now_s,
        .now_us = context->now_us,
    };
    return !shun_take_datagram(restrain_shun(context->restrain), fd, &batch->in[slot].msg_hdr,
                               &request) &&
           verdict != RESTRAIN_DROPPED;
}

/* The interface does not carry the response whole (RFC 9715 3.1, R4). False: neither would it a
 * shorter one. */
static bool udp_shorten(struct udp_batch *batch, unsigned slot, const struct udp_context *context,
                        struct iovec *response)
{
    size_t len = response->iov_len, cap = len > UDP_USUAL_LEN ? UDP_USUAL_LEN : UDP_SAFE_LEN;
    if (len <= UDP_SAFE_LEN)
        batch->restraint[slot] = RESPOND_TRUNCATED;
    response->iov_len = udp_answer(batch, slot, context, cap);
    return response->iov_len > 0 && response->iov_len < len;
}

static void udp_send(struct udp_batch *batch, int fd, unsigned count,
                     const struct udp_context *context)
{
    bool has_waited = false;
    unsigned sent = 0;
    while (sent < count) {
        int outcome = sendmmsg(fd, &batch->out[sent], count - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (outcome > 0) {
            sent += (unsigned)outcome;
            continue;
        }
        /* An error always belongs to the first message. */
        struct iovec *first = &batch->out_iov[sent];
        if (errno == EINTR)
            continue;
        if (errno == EMSGSIZE) {
            sent += !udp_shorten(batch, batch->slot[sent], context, first);
            continue;
        }
        if (errno == EAGAIN || errno == ENOBUFS) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (has_waited || poll(&writable, 1, UDP_SEND_WAIT_MS) <= 0)
                return;
            has_waited = true;
            continue;
        }
        sent++;
    }
}

unsigned udp_serve(struct udp_batch *batch, int fd, const struct udp_context *context)
{
    unsigned received = udp_receive(batch, fd), count = 0;
    for (unsigned i = 0; i < received; i++) {
        struct msghdr *header = &batch->in[i].msg_hdr;
        if ((header->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
            continue;
        if (!udp_admit(batch, i, fd, context))
            continue;
        size_t len = udp_answer(batch, i, context, RESPOND_UDP_PAYLOAD_MAX);
        if (len == 0)
            continue;
        udp_turn_control(header);
        batch->slot[count] = i;
        batch->out_iov[count] = (struct iovec){batch->response[i], len};
        batch->out[count].msg_hdr = *header;
        batch->out[count].msg_hdr.msg_iov = &batch->out_iov[count];
        batch->out[count].msg_hdr.msg_flags = 0;
        count++;
    }
    udp_send(batch, fd, count, context);
    return received;
}

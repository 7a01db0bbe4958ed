/* SPDX-License-Identifier: BSD-2-Clause
 *
 * icmp.h - a raw socket of ICMP and one of ICMPv6, for messages of goaway.h.
 *
 * icmp_send() is for any thread; the others for one at a time.
 */
#ifndef SERVER_ICMP_H
#define SERVER_ICMP_H

#include "stateless_tcp/goaway.h"

#include <sys/socket.h>

/* -1: this host does not speak it. */
struct icmp {
    int v4, v6;
};

/* Open both, or the one that the host speaks. Messages of these types alone come in; 0: none do.
 * Needs CAP_NET_RAW; afterwards not.
 * Outcomes: 0; -EPERM; other negative errno: neither could be opened. */
int icmp_open(uint8_t type_v4, uint8_t type_v6, struct icmp *icmp_out);

/* Let icmp_send() send from addresses that are not this host's. Needs CAP_NET_RAW. Outcomes: 0; negative
 * errno. */
int icmp_speak_for_others(const struct icmp *icmp);

/* Send a message from one end to the other. Never blocks. Outcomes: 0; negative errno. */
int icmp_send(const struct icmp *icmp, const struct goaway_ends *ends, const uint8_t *octets,
              size_t len);

/* Receive one from `fd`, which is one of the two. octets_out: GOAWAY_MESSAGE_MAX + 1 octets, so that
 * a message that is too long shows. Never blocks.
 * Outcomes: the message's length, from ICMP's header on; 0: one that was not sent to an address of
 * this host's own, or cut; -EAGAIN none waits; other negative errno. */
int icmp_receive(int fd, struct goaway_ends *ends_out, uint8_t *octets_out);

/* Where a message was sent to that was received with its address of arrival (IP_PKTINFO,
 * IPV6_RECVPKTINFO) in the header's control. False: it is not there, or a broadcast address. */
bool icmp_destination(struct msghdr *header, struct packet_address *address_out);

void icmp_close(struct icmp *icmp);

#endif

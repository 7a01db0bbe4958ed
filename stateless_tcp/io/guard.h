/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guard.h - keep the kernel's TCP from answering what we answer.
 *
 * A SYN to a port where no socket listens draws a RST from the kernel, which would end the
 * connection that our SYN+ACK is about to open; and a UDP query would be answered twice. The guard
 * is an nftables table of our own that drops what is sent to our addresses and ports, at the device
 * and so before the kernel's IP stack sees it; packet sockets see the frames before that. It looks
 * like this ("nft list ruleset"):
 *
 *     table netdev lethe-4711-2-0 {             process, interface index, running number
 *         flags owner
 *         chain stateless {
 *             type filter hook ingress device "eth0" priority 0; policy accept;
 *             ip saddr 198.51.100.0/24 meta l4proto tcp counter accept   a peer, left to the kernel
 *             ip daddr 192.0.2.1 tcp dport 53 ip frag-off & 0x3fff == 0 counter drop
 *             meta protocol ip6 tcp dport 53 exthdr frag missing fib daddr type local counter drop
 *         }
 *     }
 *
 * and the same for UDP where that is ours too. Fragments pass: the capture does not join them, the
 * kernel does. VLANs that run over the interface are guarded with it, as they are captured with it.
 * A kernel without rules at devices has them in "table inet", prerouting, where VLANs are not
 * guarded.
 *
 * The owner flag (Linux 5.12) ties the table to a netlink socket: it goes away with the process
 * that has it, however that dies, and nobody else's "nft flush ruleset" removes it.
 *
 * That process is a child of ours that does nothing else, without capabilities. When we end, and be
 * it by kill -9, it keeps the guard up for some seconds more: who answers instead of us then finds
 * all connections as they were. Without that the kernel would reset each one that speaks meanwhile.
 * It obeys no signal but SIGKILL, and never stays longer.
 */
#ifndef STATELESS_TCP_IO_GUARD_H
#define STATELESS_TCP_IO_GUARD_H

#include "stateless_tcp/io/io.h"
#include "stateless_tcp/prefix.h"

struct guard;

struct guard_config {
    const char *interface;
    const struct packet_endpoint *endpoints;
    size_t endpoint_count;
    const struct prefix *peers;
    size_t peer_count;
    bool has_udp;
    unsigned linger_s;
};

/* Put the guard up on an interface. Needs CAP_NET_ADMIN; keeping it up and taking it down do not.
 *
 * `endpoints`: endpoint_count >= 1 of family 4 or 6. An address of zeros means every address of the
 * family that is the host's own, also those that it will have later.
 * `peers`: what they send on this interface by TCP passes.
 * `has_udp`: UDP is dropped too.
 * `linger_s`: how long it stays after this process has ended.
 * All that `config` points to is copied.
 * Outcomes: 0; -EPERM; -EOPNOTSUPP the kernel has no nftables or no owner flag; other negative
 * errno; `error` says what failed and what to do. *guard_out is owned by the caller. */
int guard_open(const struct guard_config *config, struct guard **guard_out, struct io_error *error);

/* Whether it is up still: somebody may have killed the child. */
bool guard_is_up(const struct guard *guard);

/* Unix time when it went up, or a little earlier: what came before that the kernel has seen. */
uint64_t guard_since_us(const struct guard *guard);

/* Take it down at once. NULL is allowed. */
void guard_close(struct guard *guard);

/* Leave it up for linger_s, as if this process had ended. NULL is allowed. */
void guard_leave(struct guard *guard);

#endif

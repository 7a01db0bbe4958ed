/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guard.h - keep the kernel's TCP from answering what we answer.
 *
 * A SYN to a port where no socket listens draws a RST from the kernel, which would end the
 * connection that our SYN+ACK is about to open. The guard is an nftables table of our own that
 * drops TCP to our addresses and ports before the kernel's TCP sees it; packet sockets see the
 * frames before that. It looks like this ("nft list ruleset"):
 *
 *     table inet lethe-4711-2-0 {             process, interface index, running number
 *         flags owner
 *         chain stateless {
 *             type filter hook prerouting priority raw; policy accept;
 *             iifname "eth0" ip saddr 198.51.100.0/24 counter accept   a peer, left to the kernel
 *             iifname "eth0" ip daddr 192.0.2.1 tcp dport 53 counter drop
 *             iifname "eth0" meta nfproto ipv6 fib daddr type local tcp dport 53 counter drop
 *         }
 *     }
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

/* Put the guard up on an interface. Needs CAP_NET_ADMIN; keeping it up and taking it down do not.
 *
 * `endpoints`: endpoint_count >= 1 of family 4 or 6, copied. An address of zeros means every
 * address of the family that is the host's own, also those that it will have later.
 * `peers`: peer_count of them, copied: what they send on this interface passes.
 * `linger_s`: how long it stays after this process has ended.
 * Outcomes: 0; -EPERM; -EOPNOTSUPP the kernel has no nftables or no owner flag; other negative
 * errno; `error` says what failed and what to do. *guard_out is owned by the caller. */
int guard_open(const char *interface, const struct packet_endpoint *endpoints,
               size_t endpoint_count, const struct prefix *peers, size_t peer_count,
               unsigned linger_s, struct guard **guard_out, struct io_error *error);

/* Whether it is up still: somebody may have killed the child. */
bool guard_is_up(const struct guard *guard);

/* Take it down at once. NULL is allowed. */
void guard_close(struct guard *guard);

/* Leave it up for linger_s, as if this process had ended. NULL is allowed. */
void guard_leave(struct guard *guard);

#endif

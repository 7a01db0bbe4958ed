/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kernel.h - sockets of the kernel, as the modes udp and tcp use them.
 */
#ifndef TOOLS_BENCH_KERNEL_H
#define TOOLS_BENCH_KERNEL_H

#include "tools/bench/worker.h"

#include <sys/epoll.h>

/* A non-blocking socket of the server's family, large buffers, bound to address number `number`
 * (counted round) of --source if that was given. `type`: SOCK_DGRAM or SOCK_STREAM.
 * Returns it; -1: worker_fail() has been called. */
int kernel_socket(struct worker *worker, int type, uint32_t number);

/* Connect to the server. As connect(). */
int kernel_connect(const struct worker *worker, int fd);

/* Packets that came for a socket and found no room in its buffer. */
uint64_t kernel_drops(int fd);

/* Wait for events at most so long. Returns how many, 0 on timeout or signal. */
int kernel_wait(int epoll_fd, struct epoll_event *events, int event_cap, uint64_t wait_ns);

#endif

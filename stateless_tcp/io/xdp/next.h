/* SPDX-License-Identifier: BSD-2-Clause
 *
 * next.h - the XDP program that goes on where the first one climbs (driver_next in driver.h): what
 * is loaded, and who loads it.
 *
 * It answers from pages of memory, and how many there are to be is known only later, when the
 * daemon has given up the capabilities that loading takes. So a process of its own, forked before,
 * keeps them, and nothing else: it loads this program, with as many pages as it is told, and hands
 * over the descriptors. It ends when the daemon does, however that ends.
 */
#ifndef STATELESS_TCP_IO_XDP_NEXT_H
#define STATELESS_TCP_IO_XDP_NEXT_H

#include "stateless_tcp/io/io.h"

struct next;

/* A map that is there already, for the program to use under its name. */
struct next_map {
    const char *name;
    int fd;
};
#define NEXT_MAPS_MAX 32

/* Fork the process. Needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN), for it to
 * keep. Outcomes: 0 with *next_out, the caller's; negative errno with `error`. */
int next_open(const struct io_program *program, const struct next_map *maps, size_t map_count,
              struct next **next_out, struct io_error *error);

/* What it loads: the program that goes on after lethe_driver, and the one after lethe_out. */
struct next_programs {
    int next, finish;
};

/* Have it load the programs. `pages_fd`: the memory to answer from; negative: make one, of
 * `page_count` pages of zeros. Takes as long as the kernel needs to check the program and to find
 * the memory. Outcomes: 0, *programs_out and, where one was made, *pages_out are the caller's to
 * close; -EPIPE the process is gone; other negative errno; `error` says what failed. */
int next_load(struct next *next, int pages_fd, size_t page_count,
              struct next_programs *programs_out, int *pages_out, struct io_error *error);

/* End the process. NULL is allowed. */
void next_close(struct next *next);

#endif

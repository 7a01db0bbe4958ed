/* SPDX-License-Identifier: BSD-2-Clause
 *
 * loader.h - the XDP program on an interface: put there, told what is so, and gone with the
 * process.
 *
 * The program hangs on a BPF link, which the kernel takes down when its last descriptor is closed:
 * when this process ends, however it ends. Nothing is pinned.
 *
 * An interface has room for one program, so all who open the same one in this process share it; the
 * one that is told last counts. Any thread.
 */
#ifndef STATELESS_TCP_IO_XDP_LOADER_H
#define STATELESS_TCP_IO_XDP_LOADER_H

#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/xdp/driver.h"
#include "stateless_tcp/io/xdp/hot.h"

struct loader;

/* Load the program and attach it: in the interface's driver if that can (native), else in front of
 * the kernel's stack (generic). It passes everything until it is told what is ours.
 * Needs CAP_NET_ADMIN, and the first time for an interface of that name CAP_BPF and CAP_PERFMON (or
 * CAP_SYS_ADMIN); what comes after needs none (Linux 5.19).
 * Outcomes: 0; -EBUSY somebody else's program is there; -EPERM; -ENODEV; -EOPNOTSUPP the kernel has
 * no XDP links (Linux 5.9); other negative errno; `error` says what failed and what to do.
 * `has_hot`: with room for UDP answers to be given again, about 5 MiB; what the first one says who
 * opens the interface. *loader_out is owned by the caller. */
int loader_open(const char *interface, bool has_hot, struct loader **loader_out,
                struct io_error *error);

/* Whether the program runs in the interface's driver. */
bool loader_is_native(const struct loader *loader);

/* Have the program hand what is ours to this AF_XDP socket, if it comes from this queue. A socket
 * that is closed goes by itself. Outcomes: 0; -E2BIG no such queue; other negative errno. */
int loader_add_socket(struct loader *loader, uint32_t queue, int fd);

/* What one who opened it wants, for as long as it is open. */
struct loader_wish {
    bool has_udp;    /* UDP to the endpoints is ours too */
    bool has_driver; /* the program answers what needs no request */
    bool has_hot;    /* and UDP requests that came before */
    uint32_t next;   /* DRIVER_TRANSPORT_ of what the next program may answer */
    struct prefix *peers;
    size_t peer_count;
};

/* Out of what a backend was asked for. Outcomes: 0; -ENOMEM. To be freed, also after that. */
int loader_wish_make(const struct io_config *config, struct loader_wish *wish_out);
void loader_wish_free(struct loader_wish *wish);

/* Whether these are its peers, in this order. */
bool loader_wish_has_peers(const struct loader_wish *wish, const struct prefix *peers,
                           size_t count);

/* Tell the program. Frames that come meanwhile meet the facts of before or of now, keys never half
 * changed if they change less than once in a millisecond. Endpoints beyond DRIVER_ENDPOINTS_MAX are
 * left out. Answers that the interface does not send (mute.h) are noticed here: from then on the
 * program answers nothing itself, and facts->note says so.
 * Outcomes: 0; negative errno of a map. */
int loader_tell(struct loader *loader, const struct loader_wish *wish,
                const struct io_facts *facts);

/* How often the program did what, since it was loaded. */
void loader_counters(const struct loader *loader, uint64_t counters_out[DRIVER_COUNTERS]);

/* Have a program to go on to (next.h) when there are pages for it; where there is one already it
 * stays. Needs what loader_open() needs the first time. Outcomes: 0; negative errno, `error`. */
int loader_open_next(struct loader *loader, const struct io_program *program,
                     struct io_error *error);

/* Have a cache see what that notes, if anything. Valid as long as the loader. */
void loader_notes(const struct loader *loader, struct recent *recent);

/* Of all loaders: see io.h. */
extern const struct io_pages loader_pages;

/* The same, in short, the next program's included. */
struct io_answered loader_answered(const struct loader *loader);

/* The UDP answers that it gives again; NULL: no room for any. Valid as long as the loader. */
struct hot *loader_hot(const struct loader *loader);

/* The program itself, for tests. */
int loader_program(const struct loader *loader);

/* Undo one loader_open(). NULL is allowed. */
void loader_close(struct loader *loader);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io.h - carrying frames: one small table per way of doing it.
 *
 *     backend->open(&config, &io, &error);
 *     while (running) {
 *         count = backend->receive(io, timeout_ms, frames, IO_BATCH);
 *         for each frame:
 *             backend->lend(io, &train);                 memory to answer in
 *             serve_frame(..., frame, &train);
 *             backend->send(io, &train);                 queued; gone at the next receive at latest
 *     }
 *     backend->close(io);
 *
 * A frame is valid until the next receive(). A lent train is the backend's memory until send(), or
 * until the next lend() if it is not sent.
 *
 * Several workers can share an interface where the backend says so (is_shared): each has an io of
 * its own, and all frames of a connection come to the same one. All are opened and closed by one
 * thread, the first one first and last; each is used by one thread at a time.
 */
#ifndef STATELESS_TCP_IO_IO_H
#define STATELESS_TCP_IO_IO_H

#include "stateless_tcp/prefix.h"
#include "stateless_tcp/stateless_tcp.h"
#include "stateless_tcp/train.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IO_BATCH 64

struct io; /* each backend's own */

struct io_error {
    char text[512];
};

struct io_frame {
    const uint8_t *octets; /* link layer first */
    uint32_t len;
    uint64_t time_us;       /* when it was captured, Unix time; 0 unknown */
    bool is_checksum_unset; /* the sender's stack left the TCP checksum to hardware (veth) */
};

/* An XDP program as an object file. */
struct io_program {
    const unsigned char *octets;
    size_t len;
};

struct io_config {
    const char *interface; /* live backends: interface name */
    const char *filter;    /* live backends: capture filter in pcap's language, which says below */
    const char *path_in;   /* file backend: pcap or pcapng to read */
    const char *path_out;  /* file backend: pcap to write */

    /* The same as the filter, for backends with a filter of their own: TCP to these endpoints,
     * whose address is zeros where all of the host's are meant, but for what comes from the peers;
     * and UDP to them if has_udp. Fragments are the kernel's. */
    const struct packet_endpoint *endpoints;
    size_t endpoint_count;
    const struct prefix *peers;
    size_t peer_count;
    bool has_udp;
    bool has_driver; /* backends with a program in the driver: it answers what needs no request */
    bool has_hot;    /* and UDP requests that came before, as it learns */
    bool is_udp_restrained; /* each UDP request is for whoever receives: `next` answers TCP alone */
    const struct io_program *next; /* the program that goes on with requests; NULL: none */

    unsigned worker;       /* 0 and up */
    unsigned worker_count; /* on this interface, 1 and up; 1 unless is_shared */
    struct io *first;      /* that of worker 0; NULL: this is it */
};

/* What may change while frames are carried. */
struct io_facts {
    const struct stateless_tcp_config *tcp;
    const struct stateless_tcp_keys *keys;
    const struct packet_endpoint *endpoints; /* as of now: no address is zeros */
    size_t endpoint_count;
    uint16_t mtu;          /* of the interface, as of now: no IP packet may be longer; 0: unknown */
    struct io_error *note; /* empty; filled if the operator should know something */
};

struct io_lost {
    uint64_t syns; /* alone, where they are told apart; else all are others */
    uint64_t others;
};

/* What a program in an interface's driver has done. */
struct io_answered {
    uint64_t requests; /* answered */
    uint64_t copied;   /* of these, with copies of the frame, for which there was no room */
    uint64_t climbed;  /* frames that it left to the workers */
};

struct io_backend {
    const char *name;
    bool is_automatic; /* may be chosen where none was asked for */
    bool is_shared;    /* several workers on an interface: a connection stays with one of them */
    /* The kernel does not see what it receives, UDP where that is asked for included; and who opens
     * an interface again shares what waits there. */
    bool is_sole;
    /* Outcomes: 0, and `error` may say how well; negative errno with `error` filled: what failed,
     * on which interface, what to do. */
    int (*open)(const struct io_config *config, struct io **io_out, struct io_error *error);
    /* Frames received, 0 on timeout, negative errno; -ENODATA at the end of a file. */
    int (*receive)(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap);
    void (*lend)(struct io *io, struct train *train_out);
    int (*send)(struct io *io, const struct train *train);
    /* Send what is queued, for those who do not receive next. Outcomes: as send's; NULL: send never
     * leaves anything queued. */
    int (*flush)(struct io *io);
    /* Readable when frames wait, for those who wait for other things too; -1: there is none. */
    int (*descriptor)(const struct io *io);
    /* For backends that answer by themselves; NULL: this one does not. Called before the first
     * receive and when something has changed, by the thread that receives; `facts` and what they
     * point to are valid meanwhile. Outcomes: 0; negative errno, as of an interface that failed. */
    int (*tell)(struct io *io, const struct io_facts *facts);
    /* Frames for us that were lost since open, because they came faster than they were taken. NULL:
     * this one does not know. */
    void (*count_lost)(struct io *io, struct io_lost *lost_out);
    /* What a program in the driver has done since it was loaded. NULL: there is none. */
    void (*count_answered)(const struct io *io, struct io_answered *answered_out);
    /* For the same backends and thread, where UDP answers may be given again. lease(): what was
     * learned, and what follows, is right until `until_ns` (CLOCK_MONOTONIC); is_changed: only what
     * follows. learn(): `train` answers `frame`, and would whoever sends that, the ID aside. NULL:
     * this one does not learn. */
    void (*lease)(struct io *io, bool is_changed, uint64_t until_ns);
    void (*learn)(struct io *io, const struct io_frame *frame, const struct train *train);
    /* Have a cache see what the next program notes for it of what it has answered, if anything: as
     * long as the io is valid. NULL: it notes nothing. */
    void (*notes)(const struct io *io, struct recent *recent);
    void (*close)(struct io *io);
    /* The same behind a program in the interface's driver; NULL: there is none. */
    const struct io_backend *with_driver;
};

extern const struct io_backend io_backend_libpcap; /* libpcap captures, libnet injects */
extern const struct io_backend io_backend_packet;  /* packet(7) rings receive, sendmmsg(2) sends */
extern const struct io_backend io_backend_xdp;     /* AF_XDP behind a program of ours */
extern const struct io_backend io_backend_driver;  /* packet rings behind the same program */
extern const struct io_backend io_backend_file;    /* pcap file in, pcap file out */

/* The memory that the next programs answer from, one for all interfaces. Any thread. */
struct io_pages {
    /* Have the next program of every interface that was opened with one answer from so many pages
     * of 4096 octets, zeros, instead of from what it had. *fd_out: they, to be mapped; the
     * caller's. Takes some tenths of a second. Outcomes: 0; -ENOENT there is no such interface;
     * other negative errno; `error` says why. */
    int (*give)(size_t page_count, int *fd_out, struct io_error *error);
    /* Have none of them answer. */
    void (*take)(void);
};

extern const struct io_pages *const io_pages; /* NULL: this build has no next programs */

/* The live backends of this build, ended by NULL: the first that opens is the best one. */
extern const struct io_backend *const io_backends_live[];

/* The live backend of that name; NULL: this build has none. */
const struct io_backend *io_backend_find(const char *name);

#endif

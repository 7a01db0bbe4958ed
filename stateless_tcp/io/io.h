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
 */
#ifndef STATELESS_TCP_IO_IO_H
#define STATELESS_TCP_IO_IO_H

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

struct io_config {
    const char *interface; /* live backends: interface name */
    const char *filter;    /* live backends: capture filter in pcap's language */
    const char *path_in;   /* file backend: pcap or pcapng to read */
    const char *path_out;  /* file backend: pcap to write */
};

struct io_backend {
    const char *name;
    /* Outcomes: 0; negative errno with `error` filled: what failed, on which interface, what to do.
     */
    int (*open)(const struct io_config *config, struct io **io_out, struct io_error *error);
    /* Frames received, 0 on timeout, negative errno; -ENODATA at the end of a file. */
    int (*receive)(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap);
    void (*lend)(struct io *io, struct train *train_out);
    int (*send)(struct io *io, const struct train *train);
    /* Readable when frames wait, for those who wait for other things too; -1: there is none. */
    int (*descriptor)(const struct io *io);
    void (*close)(struct io *io);
};

extern const struct io_backend io_backend_libpcap; /* libpcap captures, libnet injects */
extern const struct io_backend io_backend_file;    /* pcap file in, pcap file out */

#endif

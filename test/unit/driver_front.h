/* SPDX-License-Identifier: BSD-2-Clause
 *
 * driver_front.h - the XDP program's TCP (stateless_tcp/io/xdp/tcp.bpf.h) compiled for the host,
 * for tests that put it in front of stateless_tcp_receive() or beside it.
 */
#ifndef TEST_UNIT_DRIVER_FRONT_H
#define TEST_UNIT_DRIVER_FRONT_H

#include "stateless_tcp/io/xdp/driver.h"
#include "stateless_tcp/stateless_tcp.h"

/* What the driver knows: a response, 65,535 octets at most. Returns its length; 0: none. */
typedef size_t driver_front_respond(const uint8_t *request, size_t request_len, uint8_t *response);

struct driver_context;
struct driver_work;

/* The program that goes on where the first one lets requests climb. */
typedef enum driver_verdict driver_front_next(struct driver_context *ctx,
                                              const struct driver_config *config,
                                              struct driver_work *work);

struct driver_front_known {
    driver_front_respond *respond;
    struct recent_note *notes; /* RECENT_NOTES, written; NULL: none */
    uint32_t snapshot;         /* for them */
    driver_front_next *next;   /* instead of all that, if it is not NULL */
};

/* What the program is told of the server. */
struct driver_config driver_front_config(const struct stateless_tcp_config *config,
                                         const struct stateless_tcp_keys *keys);

/* What the program does with a frame; `frame` has *frame_len octets. DRIVER_TX: it is the
 * answer now, *frame_len its length: with `known`, which may be NULL, longer perhaps, so there is
 * room for 2,048. Else it is unchanged. DRIVER_CLIMB also for what the program's
 * main does not hand to it. endpoint_count 0: everything is ours. *counter_out: for the others. */
enum driver_verdict driver_front(const struct stateless_tcp_config *config,
                                 const struct stateless_tcp_keys *keys,
                                 const struct packet_endpoint *endpoints, size_t endpoint_count,
                                 const struct driver_front_known *known, uint8_t *frame,
                                 size_t *frame_len, enum driver_counter *counter_out);

/* Hold that against what user space, for which all is ours, answered to the frame: the train is the
 * one frame of DRIVER_TX, and empty with DRIVER_DROP. Ends the test if not. */
void driver_front_compare(const struct stateless_tcp_config *config,
                          const struct stateless_tcp_keys *keys,
                          const struct driver_front_known *known, const uint8_t *frame, size_t len,
                          const struct train *train);

#endif

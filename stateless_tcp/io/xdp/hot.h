/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hot.h - which UDP answers the XDP program gives again (hot.bpf.h): those to requests that came
 * twice. User space's side of the memory that both share.
 *
 * When a server goes over to another configuration, one that answers by the old may overlap with
 * one that answers by the new for a moment: each has a number, and once a higher one has given a
 * lease lower ones are not listened to. Any thread.
 */
#ifndef STATELESS_TCP_IO_XDP_HOT_H
#define STATELESS_TCP_IO_XDP_HOT_H

#include "stateless_tcp/io/xdp/driver.h"

#include <stdbool.h>
#include <stddef.h>

struct hot;

/* `answers`: DRIVER_HOT_ANSWERS of them, and `lease`, which both stay the caller's and must outlive
 * it. Returns NULL if there is no memory. */
struct hot *hot_make(struct driver_hot_answer *answers, struct driver_hot_lease *lease);

/* NULL is allowed. */
void hot_free(struct hot *hot);

/* A number, higher than those before. */
unsigned hot_join(struct hot *hot);

/* Responses are right until then (CLOCK_MONOTONIC); `is_changed`: others than those learned. */
void hot_lease(struct hot *hot, unsigned number, bool is_changed, uint64_t until_ns);

/* A frame and ours that answers it, of `len` and `answer_len` octets, as the lease has it. Anything
 * but a plain UDP request that came before, and a response that finds room, is passed over. */
void hot_learn(struct hot *hot, unsigned number, const uint8_t *frame, size_t len,
               const uint8_t *answer, size_t answer_len);

#endif

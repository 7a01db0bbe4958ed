/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reference.h - what another server answers to the questions of a pool: asked before the run, once
 * each, over the kernel's sockets, and kept.
 */
#ifndef TOOLS_BENCH_REFERENCE_H
#define TOOLS_BENCH_REFERENCE_H

#include "tools/bench/question.h"

#include <stdatomic.h>
#include <sys/socket.h>

struct reference {
    uint8_t *octets;
    size_t len, cap;
    uint64_t *offsets; /* of each question's answer, in octets */
    uint16_t *lens;    /* 0: none came */
    uint32_t answered;
};

/* Ask all questions, over TCP or UDP, up to three times. Ends early, with the answers that are
 * there, when *is_stopped.
 * Outcomes: 0; -ENOMEM; -EHOSTUNREACH it answers none, or leaves so many unanswered that waiting for
 * them would take more than half a minute. */
int reference_ask(struct reference *reference, const struct question_pool *pool,
                  const struct sockaddr_storage *server, bool is_tcp,
                  const atomic_bool *is_stopped);

/* The answer to a question; NULL: none. */
const uint8_t *reference_answer(const struct reference *reference, uint32_t question,
                                size_t *len_out);

/* Free its memory; all zero is allowed. */
void reference_end(struct reference *reference);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_answers.h - what clients were answered lately, so that they are answered the same again.
 *
 *     entries   sets of four: a question's number and where its response is. The one written first
 *               makes room in its set.
 *     ring      the octets (octet_ring.h) of the responses.
 *
 * A question is one request at one place of one connection, so that nobody else is ever answered
 * from here: this is no resolver's cache. Of a fixed size for all connections together. A response
 * that is overwritten is remembered as gone, as long as its entry stands, which is mostly much
 * longer.
 *
 * Pure but for the memory that it is given; one thread at a time.
 */
#ifndef SERVER_PROXY_ANSWERS_H
#define SERVER_PROXY_ANSWERS_H

#include "stateless_tcp/octet_ring.h"

/* Room for the longest responses to one segment, and then some. */
#define PROXY_ANSWERS_SIZE_MIN (4u * 1024 * 1024)

struct proxy_answer {
    uint64_t question; /* 0: none */
    uint64_t at;       /* counted from the ring's beginning: length, in two octets, and response */
};

struct proxy_answers {
    struct proxy_answer *entries;
    uint32_t set_mask;
    struct octet_ring ring;
};

enum proxy_answers_outcome {
    PROXY_ANSWERS_NONE,  /* not answered, or so long ago that the entry is somebody else's */
    PROXY_ANSWERS_FOUND, /* the very octets */
    PROXY_ANSWERS_GONE,  /* answered, nobody knows how */
};

/* Make it in `size` octets of memory, PROXY_ANSWERS_SIZE_MIN or more, zeroed and aligned for any
 * type, which stays the caller's and must outlive it. A quarter is for entries. */
struct proxy_answers proxy_answers_make(void *memory, size_t size);

/* Remember the response to a question (not 0): len octets, 1..65535. */
void proxy_answers_put(struct proxy_answers *answers, uint64_t question, const uint8_t *response,
                       size_t len);

/* What a question was answered. *response_out and *len_out are set for FOUND, and valid until the
 * next put. */
enum proxy_answers_outcome proxy_answers_find(const struct proxy_answers *answers,
                                              uint64_t question, const uint8_t **response_out,
                                              size_t *len_out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * question.h - the queries of a run, rendered once before it begins.
 *
 * A pool holds whole DNS messages, each with the two octets of its length in front as TCP wants it;
 * what differs from query to query (ID, nonce of CHECKSUM) is written when it is sent.
 */
#ifndef TOOLS_BENCH_QUESTION_H
#define TOOLS_BENCH_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define QUESTION_HEADER_LEN 12
/* Header, longest name, type and class, OPT with CHECKSUM in the layout of -01, length in front. */
#define QUESTION_MESSAGE_MAX (12 + 255 + 4 + 11 + 13)
#define QUESTION_NONCE_LEN 8
#define QUESTION_RCODE_ANY 255

/* How the messages of a pool are made. */
struct question_form {
    bool has_edns;
    bool is_do;
    bool has_checksum; /* an option CHECKSUM, layout of -01, nonce zero */
    bool has_rd;
    uint16_t payload; /* EDNS: offered size */
    uint16_t checksum_code;
};

struct question_pool {
    struct question_form form;
    uint8_t *octets;
    size_t len, cap;
    uint32_t *offsets; /* count + 1 of them: message i is from offsets[i] + 2 to offsets[i + 1] */
    uint16_t *sums;    /* of each message, for its checksums: see question_sum() */
    uint8_t *rcodes;   /* expected; QUESTION_RCODE_ANY */
    uint32_t count, count_cap;
    unsigned tail_len; /* octets after the question, the same in every message */
};

/* A sentence for people. */
struct question_error {
    char text[512];
};

/* An empty pool. */
void question_pool_begin(struct question_pool *pool, const struct question_form *form);

/* Free its memory. */
void question_pool_end(struct question_pool *pool);

/* Append a question of class IN. `name`: valid, in wire format.
 * Outcomes: 0; -ENOMEM; -EFBIG more octets than a pool can number (4 GiB). */
int question_add(struct question_pool *pool, const uint8_t *name, uint16_t type,
                 uint8_t expected_rcode);

/* Append the questions of a text in the format of dnsperf: a line has a name and a type, a line
 * that begins with ';' or '#' or is empty has none. `path` is for messages.
 * Outcomes: 0; -EINVAL some lines are wrong: the first ten are told, each as PATH:LINE: MESSAGE, on
 * `complaints`, and nothing is read
 * behind one that is too long; -ENOMEM, -EFBIG, negative errno of reading with `error` filled. */
int question_read(struct question_pool *pool, FILE *file, const char *path, FILE *complaints,
                  struct question_error *error);

/* Text to type: a mnemonic of RFC 1035 and later or TYPEnnn (RFC 3597), in any case; 0: none. */
uint16_t question_type(const char *text);

/* The message, its length in front; and the length without these two octets. */
static inline const uint8_t *question_framed(const struct question_pool *pool, uint32_t index)
{
    return pool->octets + pool->offsets[index];
}

static inline uint16_t question_len(const struct question_pool *pool, uint32_t index)
{
    return (uint16_t)(pool->offsets[index + 1] - pool->offsets[index] - 2);
}

/* Copy a message as it is to be sent, without length; returns its length. `out` has room for
 * QUESTION_MESSAGE_MAX; `nonce`: meaningful with CHECKSUM only. */
uint16_t question_copy(const struct question_pool *pool, uint32_t index, uint16_t id,
                       uint64_t nonce, uint8_t *out);

/* One's complement sum (RFC 1071) of `len` octets in network order, folded to 16 bits. */
uint16_t question_sum(const uint8_t *octets, size_t len);

#endif

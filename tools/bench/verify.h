/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.h - whether a message answers what was asked, and whether it is the answer expected.
 */
#ifndef TOOLS_BENCH_VERIFY_H
#define TOOLS_BENCH_VERIFY_H

#include "tools/bench/compare.h"
#include "tools/bench/question.h"
#include "tools/bench/reference.h"
#include "tools/bench/tally.h"
#include "zonedb/respond.h"

/* Where differences are told, by all threads. */
struct verify_differences {
    FILE *out;
    atomic_uint left; /* so many more */
};

/* One for each thread. Answers are compared with those that `view` gives, in every octet, or with
 * those of `reference`, by compare.h; both NULL: with none. */
struct verify {
    const struct question_pool *pool;
    struct zonedb_view *view;
    const struct reference *reference;
    struct compare *compare; /* NULL: without `reference`, and differences are not told */
    struct verify_differences *differences;
    struct respond_policy policy;
    enum respond_transport transport;
    uint32_t compare_every; /* every so many-th answer is compared; 1 or more */
    uint32_t compare_next;
    uint8_t expected[RESPOND_MESSAGE_MAX];
};

/* Nothing is compared yet: set what is missing for that. */
void verify_begin(struct verify *verify, const struct question_pool *pool);

/* Whether a message, hostile, answers the query `question` that was sent with this ID: QR, ID, opcode
 * and question section are right. */
bool verify_is_answer(const struct question_pool *pool, uint32_t question, uint16_t id,
                      const uint8_t *response, size_t response_len);

/* Judge a response to the query `question` that was sent with this ID and nonce, and count what it
 * says. `response`: response_len octets, hostile.
 * true: it is verify_is_answer(). What else differs from what was expected is counted as unexpected,
 * different, checksum_bad or checksum_absent.
 * false: something else; nothing is counted. */
bool verify_response(struct verify *verify, uint32_t question, uint16_t id, uint64_t nonce,
                     const uint8_t *response, size_t response_len, struct tally *tally);

#endif

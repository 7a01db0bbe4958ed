/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.h - whether a message answers what was asked, and whether it is the answer expected.
 */
#ifndef TOOLS_BENCH_VERIFY_H
#define TOOLS_BENCH_VERIFY_H

#include "tools/bench/question.h"
#include "tools/bench/tally.h"
#include "zonedb/respond.h"

/* One for each thread. `view` NULL: octets are not compared. */
struct verify {
    const struct question_pool *pool;
    struct zonedb_view *view;
    struct respond_policy policy;
    enum respond_transport transport;
    uint32_t compare_every; /* every so many-th answer is compared; 1 or more */
    uint32_t compare_next;
    uint8_t expected[RESPOND_MESSAGE_MAX];
};

/* Nothing is compared yet: set `view`, `transport`, `compare_every` for that. */
void verify_begin(struct verify *verify, const struct question_pool *pool);

/* Judge a response to the query `question` that was sent with this ID and nonce, and count what it
 * says. `response`: response_len octets, hostile.
 * true: an answer to the question: QR, ID, opcode and question section are right. What else differs
 * from what was expected is counted as unexpected, checksum_bad or checksum_absent.
 * false: something else; nothing is counted. */
bool verify_response(struct verify *verify, uint32_t question, uint16_t id, uint64_t nonce,
                     const uint8_t *response, size_t response_len, struct tally *tally);

#endif

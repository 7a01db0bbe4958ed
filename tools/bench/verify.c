/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/verify.h"

#include "stateless_tcp/wire.h"
#include "zonedb/checksum.h"

#include <string.h>

/* RFC 1035 4.1.1 */
#define FLAG_QR 0x8000u
#define FLAG_TC 0x0200u
#define OPCODE_MASK 0x7800u
#define RCODE_MASK 0x000fu

void verify_begin(struct verify *verify, const struct question_pool *pool)
{
    verify->pool = pool;
    verify->view = NULL;
    verify->policy = respond_policy_default();
    verify->transport = RESPOND_UDP;
    verify->compare_every = 1;
    verify->compare_next = 0;
}

static bool is_answer(const struct question_pool *pool, uint32_t question, uint16_t id,
                      const uint8_t *response, size_t response_len)
{
    const uint8_t *asked = question_framed(pool, question) + 2;
    size_t question_end = (size_t)question_len(pool, question) - pool->tail_len;
    return response_len >= question_end && wire_load_be16(response) == id &&
           (wire_load_be16(response + 2) & (FLAG_QR | OPCODE_MASK)) == FLAG_QR &&
           wire_load_be16(response + 4) == 1 &&
           memcmp(response + QUESTION_HEADER_LEN, asked + QUESTION_HEADER_LEN,
                  question_end - QUESTION_HEADER_LEN) == 0;
}

static bool is_same_as_computed(struct verify *verify, uint32_t question, uint16_t id,
                                uint64_t nonce, const uint8_t *response, size_t response_len)
{
    uint8_t request[QUESTION_MESSAGE_MAX];
    const struct respond_client client = {.transport = verify->transport};
    uint16_t request_len = question_copy(verify->pool, question, id, nonce, request);
    zonedb_view_refresh(verify->view);
    size_t len = respond(verify->view, &verify->policy, &client, request, request_len,
                         verify->expected, sizeof verify->expected);
    return len == response_len && memcmp(verify->expected, response, len) == 0;
}

static void count_checksum(const struct question_pool *pool, uint64_t nonce,
                           const uint8_t *response, size_t response_len, struct tally *tally)
{
    uint8_t octets[QUESTION_NONCE_LEN];
    memcpy(octets, &nonce, sizeof octets);
    switch (checksum_verify(response, response_len, pool->form.checksum_code, CHECKSUM_LAYOUT_01,
                            octets)) {
    case CHECKSUM_GOOD:
        tally->checksum_good++;
        break;
    case CHECKSUM_ABSENT:
        tally->checksum_absent++;
        break;
    case CHECKSUM_BAD:
    case CHECKSUM_FORMERR:
        tally->checksum_bad++;
        break;
    }
}

bool verify_response(struct verify *verify, uint32_t question, uint16_t id, uint64_t nonce,
                     const uint8_t *response, size_t response_len, struct tally *tally)
{
    const struct question_pool *pool = verify->pool;
    if (!is_answer(pool, question, id, response, response_len))
        return false;
    unsigned flags = wire_load_be16(response + 2), rcode = flags & RCODE_MASK;
    uint8_t expected = pool->rcodes[question];
    bool is_expected = expected == QUESTION_RCODE_ANY || expected == rcode;
    tally->rcodes[rcode]++;
    tally->truncated += (flags & FLAG_TC) != 0;
    if (pool->form.has_checksum)
        count_checksum(pool, nonce, response, response_len, tally);
    if (verify->view != NULL && verify->compare_next++ % verify->compare_every == 0) {
        tally->compared++;
        is_expected &= is_same_as_computed(verify, question, id, nonce, response, response_len);
    }
    tally->unexpected += !is_expected;
    return true;
}

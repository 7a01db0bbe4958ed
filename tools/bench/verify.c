/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/verify.h"

#include "stateless_tcp/wire.h"
#include "zonedb/checksum.h"
#include "zonedb/name.h"

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
    verify->reference = NULL;
    verify->compare = NULL;
    verify->differences = NULL;
    verify->policy = respond_policy_default();
    verify->transport = RESPOND_UDP;
    verify->compare_every = 1;
    verify->compare_next = 0;
}

bool verify_is_answer(const struct question_pool *pool, uint32_t question, uint16_t id,
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

/* Who tells of differences, tells of a few. */
static void tell_difference(const struct verify *verify, uint32_t question, const char *text)
{
    struct verify_differences *differences = verify->differences;
    const uint8_t *name = question_framed(verify->pool, question) + 2 + QUESTION_HEADER_LEN;
    size_t name_octets = name_len(name, NAME_MAX_LEN);
    char name_text[NAME_TEXT_MAX];
    unsigned left = atomic_load(&differences->left);
    do {
        if (left == 0)
            return;
    } while (!atomic_compare_exchange_weak(&differences->left, &left, left - 1));
    fprintf(differences->out, "lethe-bench: difference: %s TYPE%u: %s\n",
            name_to_text(name, name_text), wire_load_be16(name + name_octets), text);
}

static bool is_same_as_reference(struct verify *verify, uint32_t question, const uint8_t *response,
                                 size_t response_len)
{
    char text[COMPARE_TEXT_CAP];
    size_t len;
    const uint8_t *expected = reference_answer(verify->reference, question, &len);
    if (compare_messages(verify->compare, response, response_len, expected, len, text))
        return true;
    tell_difference(verify, question, text);
    return false;
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
    if (len == response_len && memcmp(verify->expected, response, len) == 0)
        return true;
    if (verify->compare == NULL)
        return false;
    char text[COMPARE_TEXT_CAP];
    bool is_same =
        compare_messages(verify->compare, response, response_len, verify->expected, len, text);
    tell_difference(verify, question, is_same ? "the same, in other octets" : text);
    return false;
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

static bool is_to_compare(struct verify *verify, uint32_t question)
{
    size_t len;
    if (verify->view == NULL &&
        (verify->reference == NULL || reference_answer(verify->reference, question, &len) == NULL))
        return false;
    return verify->compare_next++ % verify->compare_every == 0;
}

bool verify_response(struct verify *verify, uint32_t question, uint16_t id, uint64_t nonce,
                     const uint8_t *response, size_t response_len, struct tally *tally)
{
    const struct question_pool *pool = verify->pool;
    if (!verify_is_answer(pool, question, id, response, response_len))
        return false;
    unsigned flags = wire_load_be16(response + 2), rcode = flags & RCODE_MASK;
    uint8_t expected = pool->rcodes[question];
    bool is_expected = expected == QUESTION_RCODE_ANY || expected == rcode;
    tally->rcodes[rcode]++;
    tally->truncated += (flags & FLAG_TC) != 0;
    if (pool->form.has_checksum)
        count_checksum(pool, nonce, response, response_len, tally);
    if (is_to_compare(verify, question)) {
        bool is_same =
            verify->view != NULL
                ? is_same_as_computed(verify, question, id, nonce, response, response_len)
                : is_same_as_reference(verify, question, response, response_len);
        tally->compared++;
        tally->different += !is_same;
        is_expected &= is_same;
    }
    tally->unexpected += !is_expected;
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy_answers.h"

#include "stateless_tcp/framing.h"

#include <assert.h>
#include <string.h>

enum {
    SET_SIZE = 4,
};

struct proxy_answers proxy_answers_make(void *memory, size_t size)
{
    assert(size >= PROXY_ANSWERS_SIZE_MIN);
    uint32_t set_count = 1;
    size_t set_len = SET_SIZE * sizeof(struct proxy_answer);
    while (2 * set_count * set_len <= size / 4 && set_count < 1u << 30)
        set_count *= 2;
    return (struct proxy_answers){
        .entries = memory,
        .set_mask = set_count - 1,
        .ring =
            octet_ring_make((uint8_t *)memory + set_count * set_len, size - set_count * set_len),
    };
}

static struct proxy_answer *set_of(const struct proxy_answers *answers, uint64_t question)
{
    return answers->entries + (size_t)SET_SIZE * ((uint32_t)question & answers->set_mask);
}

static struct proxy_answer *entry_find(const struct proxy_answers *answers, uint64_t question)
{
    struct proxy_answer *set = set_of(answers, question);
    for (unsigned i = 0; i < SET_SIZE; i++)
        if (set[i].question == question)
            return &set[i];
    return NULL;
}

/* One for a question that has none: a free one, or else the oldest. */
static struct proxy_answer *entry_take(const struct proxy_answers *answers, uint64_t question)
{
    struct proxy_answer *set = set_of(answers, question), *oldest = set;
    for (unsigned i = 0; i < SET_SIZE; i++) {
        if (set[i].question == 0)
            return &set[i];
        if (set[i].at < oldest->at)
            oldest = &set[i];
    }
    return oldest;
}

void proxy_answers_put(struct proxy_answers *answers, uint64_t question, const uint8_t *response,
                       size_t len)
{
    assert(question != 0 && len > 0 && len <= UINT16_MAX);
    uint64_t at;
    uint8_t *octets = octet_ring_take(&answers->ring, LENGTH_LEN + (uint32_t)len, &at);
    wire_store_be16(octets, (uint16_t)len);
    memcpy(octets + LENGTH_LEN, response, len);
    struct proxy_answer *entry = entry_find(answers, question);
    if (entry == NULL)
        entry = entry_take(answers, question);
    *entry = (struct proxy_answer){question, at};
}

enum proxy_answers_outcome proxy_answers_find(const struct proxy_answers *answers,
                                              uint64_t question, const uint8_t **response_out,
                                              size_t *len_out)
{
    const struct proxy_answer *entry = entry_find(answers, question);
    if (entry == NULL)
        return PROXY_ANSWERS_NONE;
    const uint8_t *octets = octet_ring_find(&answers->ring, entry->at);
    if (octets == NULL)
        return PROXY_ANSWERS_GONE;
    *response_out = octets + LENGTH_LEN;
    *len_out = wire_load_be16(octets);
    return PROXY_ANSWERS_FOUND;
}

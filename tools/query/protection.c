/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/protection.h"

#include <string.h>

size_t protection_request(const struct plan *plan, struct request_dice *dice, uint64_t now_s,
                          uint8_t *request, struct tsig_asked *asked_out)
{
    size_t len = request_make(plan, dice, 0, request);
    if (!plan->has_tsig)
        return len;
    /* The draft of the well-known key wants something that cannot be guessed. */
    const uint8_t *nonce = plan->is_tsig_well_known ? dice->tsig_nonce : NULL;
    size_t nonce_len = plan->is_tsig_well_known ? sizeof dice->tsig_nonce : 0;
    size_t signed_len = tsig_request_sign(&plan->tsig, now_s, nonce, nonce_len, request, len,
                                          MESSAGE_MAX, asked_out);
    len = request_make(plan, dice, signed_len - len, request);
    return tsig_request_sign(&plan->tsig, now_s, nonce, nonce_len, request, len, MESSAGE_MAX,
                             asked_out);
}

/* A signature comes last, and is no part of what has the digest. Returns the length without it. */
static size_t strip_signature(uint8_t *message, size_t len)
{
    struct tsig tsig;
    if (tsig_find(message, len, &tsig) != 1)
        return len;
    octets_put_be16(message + 10, (uint16_t)(octets_be16(message + 10) - 1));
    return tsig.at;
}

enum exchange_checksum protection_checksum(const struct plan *plan, const struct request_dice *dice,
                                           const uint8_t *response, size_t response_len)
{
    static uint8_t copy[MESSAGE_MAX];
    const struct plan_edns *edns = &plan->edns;
    if (!edns->is_present || !edns->has_checksum)
        return EXCHANGE_CHECKSUM_UNASKED;
    memcpy(copy, response, response_len);
    if (plan->has_tsig)
        response_len = strip_signature(copy, response_len);
    enum checksum_verdict verdict = checksum_verify(copy, response_len, edns->checksum_code,
                                                    edns->checksum_layout, dice->nonce);
    switch (verdict) {
    case CHECKSUM_GOOD:
        return EXCHANGE_CHECKSUM_GOOD;
    case CHECKSUM_ABSENT:
        return EXCHANGE_CHECKSUM_ABSENT;
    case CHECKSUM_BAD:
    case CHECKSUM_FORMERR:
        break;
    }
    return EXCHANGE_CHECKSUM_BAD;
}

enum exchange_tsig protection_tsig(const struct plan *plan, const struct exchange *exchange,
                                   uint64_t now_s, uint16_t *error_out, const char **fault_out)
{
    struct tsig tsig = {0};
    if (!plan->has_tsig)
        return EXCHANGE_TSIG_UNASKED;
    enum tsig_answer answer = tsig_response_verify(&exchange->tsig_asked, exchange->response,
                                                   exchange->response_len, now_s, &tsig);
    *error_out = tsig.error;
    *fault_out = "";
    switch (answer) {
    case TSIG_ANSWER_GOOD:
        return EXCHANGE_TSIG_GOOD;
    case TSIG_ANSWER_REFUSED:
        return EXCHANGE_TSIG_REFUSED;
    case TSIG_ANSWER_UNSIGNED:
        return EXCHANGE_TSIG_UNSIGNED;
    case TSIG_ANSWER_ABSENT:
        return EXCHANGE_TSIG_ABSENT;
    case TSIG_ANSWER_BAD:
        *fault_out = "bad";
        break;
    case TSIG_ANSWER_LATE:
        *fault_out = "not of this time";
        break;
    case TSIG_ANSWER_MALFORMED:
        *fault_out = "malformed";
        break;
    }
    return EXCHANGE_TSIG_BAD;
}

bool exchange_is_believed(const struct plan *plan, const struct exchange *exchange)
{
    switch (exchange->tsig) {
    case EXCHANGE_TSIG_UNASKED:
    case EXCHANGE_TSIG_GOOD:
    case EXCHANGE_TSIG_REFUSED:
        return true;
    case EXCHANGE_TSIG_UNSIGNED:
    case EXCHANGE_TSIG_ABSENT:
        return plan->is_tsig_well_known;
    case EXCHANGE_TSIG_BAD:
        break;
    }
    return false;
}

const char *exchange_checksum_text(enum exchange_checksum checksum)
{
    switch (checksum) {
    case EXCHANGE_CHECKSUM_UNASKED:
        break;
    case EXCHANGE_CHECKSUM_GOOD:
        return "good";
    case EXCHANGE_CHECKSUM_BAD:
        return "bad";
    case EXCHANGE_CHECKSUM_ABSENT:
        return "absent";
    }
    return "not asked for";
}

const char *exchange_tsig_text(enum exchange_tsig tsig)
{
    switch (tsig) {
    case EXCHANGE_TSIG_UNASKED:
        break;
    case EXCHANGE_TSIG_GOOD:
        return "good";
    case EXCHANGE_TSIG_REFUSED:
        return "refused";
    case EXCHANGE_TSIG_UNSIGNED:
        return "refused, unsigned";
    case EXCHANGE_TSIG_ABSENT:
        return "absent";
    case EXCHANGE_TSIG_BAD:
        return "bad";
    }
    return "not asked for";
}

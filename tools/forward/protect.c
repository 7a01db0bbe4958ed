/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/forward/protect.h"

#include "stateless_tcp/wire.h"

enum {
    OPTION_HEADER_LEN = 4,
    CHECKSUM_ROOM = 18,
    NONCE_LEN_TSIG = 8,
    ARCOUNT_AT = 10,
};

static size_t add_checksum(const struct protect *protect, const struct proxy_shape *shape,
                           uint8_t *query, size_t len, struct protect_asked *asked)
{
    if (shape->opt_at == 0 || (size_t)shape->opt_at + shape->opt_len != len)
        return len;
    uint8_t *option = query + len;
    size_t data_len =
        checksum_request_write(protect->layout, asked->nonce, option + OPTION_HEADER_LEN);
    wire_store_be16(option, protect->checksum_code);
    wire_store_be16(option + 2, (uint16_t)data_len);
    size_t more = OPTION_HEADER_LEN + data_len;
    uint8_t *rdata_len = query + shape->opt_at + PROXY_OPT_LEN - 2;
    wire_store_be16(rdata_len, (uint16_t)(wire_load_be16(rdata_len) + more));
    asked->is_protected = true;
    return len + more;
}

size_t protect_request(const struct protect *protect, const struct proxy_shape *shape,
                       uint64_t now_s, uint8_t *query, size_t len, struct protect_asked *asked)
{
    asked->is_protected = false;
    if (shape->has_signature)
        return len;
    switch (protect->means) {
    case PROTECT_BY_NOTHING:
        break;
    case PROTECT_BY_CHECKSUM:
        return add_checksum(protect, shape, query, len, asked);
    case PROTECT_BY_TSIG: {
        /* The nonce makes the MAC of the well-known key one that nobody can know. Those of other
         * keys need none, and Other Data is otherwise empty (RFC 8945 4.2). */
        size_t signed_len = tsig_request_sign(
            &protect->key, now_s, protect->has_nonce ? asked->nonce : NULL,
            protect->has_nonce ? NONCE_LEN_TSIG : 0, query, len, len + PROTECT_ROOM, &asked->tsig);
        asked->is_protected = signed_len != 0;
        return signed_len != 0 ? signed_len : len;
    }
    }
    return len;
}

static enum protect_verdict check_checksum(const struct protect *protect,
                                           const struct protect_asked *asked,
                                           const uint8_t *response, size_t len)
{
    switch (checksum_verify(response, len, protect->checksum_code, protect->layout, asked->nonce)) {
    case CHECKSUM_GOOD:
        return PROTECT_GOOD;
    case CHECKSUM_ABSENT:
        return PROTECT_ABSENT;
    case CHECKSUM_BAD:
    case CHECKSUM_FORMERR:
        break;
    }
    return PROTECT_BAD;
}

static enum protect_verdict check_tsig(const struct protect_asked *asked, uint64_t now_s,
                                       uint8_t *response, size_t *len)
{
    struct tsig tsig;
    switch (tsig_response_verify(&asked->tsig, response, *len, now_s, &tsig)) {
    case TSIG_ANSWER_GOOD:
    case TSIG_ANSWER_REFUSED:
        *len = tsig.at;
        wire_store_be16(response + ARCOUNT_AT,
                        (uint16_t)(wire_load_be16(response + ARCOUNT_AT) - 1));
        return PROTECT_GOOD;
    case TSIG_ANSWER_ABSENT:
        return PROTECT_ABSENT;
    case TSIG_ANSWER_BAD:
    case TSIG_ANSWER_LATE:
    case TSIG_ANSWER_UNSIGNED:
    case TSIG_ANSWER_MALFORMED:
        break;
    }
    return PROTECT_BAD;
}

enum protect_verdict protect_response(const struct protect *protect,
                                      const struct protect_asked *asked, uint64_t now_s,
                                      uint8_t *response, size_t *len)
{
    if (!asked->is_protected)
        return PROTECT_GOOD;
    switch (protect->means) {
    case PROTECT_BY_NOTHING:
        break;
    case PROTECT_BY_CHECKSUM:
        return check_checksum(protect, asked, response, *len);
    case PROTECT_BY_TSIG:
        return check_tsig(asked, now_s, response, len);
    }
    return PROTECT_GOOD;
}

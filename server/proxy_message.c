/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy_message.h"

#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

enum {
    HEADER_LEN = 12,
    QUESTION_TAIL_LEN = 4,
    RECORD_TAIL_LEN = 10, /* type, class, TTL, length */
    NAME_MAX = 255,

    FLAG_QR = 0x8000,
    FLAG_TC = 0x0200,
    FLAG_RD = 0x0100,
    FLAG_CD = 0x0010,
    OPCODE_MASK = 0x7800,

    TYPE_A = 1,
    TYPE_SIG = 24,
    TYPE_AAAA = 28,
    TYPE_OPT = 41,
    TYPE_RRSIG = 46,
    TYPE_TSIG = 250,
    TYPE_IXFR = 251,
    TYPE_AXFR = 252,

    OPTION_KEEPALIVE = 11,
    OPTION_EDE = 15,
    OPTION_HEADER_LEN = 4,

    EDNS_PAYLOAD = 1232, /* in what we say ourselves */
    EDNS_DO = 0x80,
};

/* Where a name ends that begins at `at`; 0: nowhere. A pointer ends it, and points back
 * (RFC 1035 4.1.4); `pointer_at_out` is its place, or 0. */
static size_t name_end(const uint8_t *message, size_t len, size_t at, size_t *pointer_at_out)
{
    size_t begin = at;
    *pointer_at_out = 0;
    while (at < len && at - begin < NAME_MAX) {
        uint8_t octet = message[at];
        if (octet == 0)
            return at + 1;
        if (octet >= 0xc0) {
            if (len - at < 2 || (wire_load_be16(message + at) & 0x3fff) >= begin)
                return 0;
            *pointer_at_out = at;
            return at + 2;
        }
        if (octet > 63)
            return 0;
        at += 1u + octet;
    }
    return 0;
}

struct record {
    size_t at, end;
    size_t pointer_at; /* in the owner name; 0: none */
    uint16_t type;
    bool is_root;
};

static bool record_take(const uint8_t *message, size_t len, size_t at, struct record *record_out)
{
    size_t end = name_end(message, len, at, &record_out->pointer_at);
    if (end == 0 || len - end < RECORD_TAIL_LEN)
        return false;
    size_t rdata_len = wire_load_be16(message + end + 8);
    if (rdata_len > len - end - RECORD_TAIL_LEN)
        return false;
    record_out->at = at;
    record_out->end = end + RECORD_TAIL_LEN + rdata_len;
    record_out->type = wire_load_be16(message + end);
    record_out->is_root = message[at] == 0;
    return true;
}

/* Options that fill the record exactly (RFC 6891 6.1.2). */
static bool are_options_whole(const uint8_t *message, const struct record *opt)
{
    size_t at = opt->at + PROXY_OPT_LEN;
    while (at < opt->end) {
        if (opt->end - at < OPTION_HEADER_LEN)
            return false;
        size_t len = wire_load_be16(message + at + 2);
        if (len > opt->end - at - OPTION_HEADER_LEN)
            return false;
        at += OPTION_HEADER_LEN + len;
    }
    return true;
}

static bool question_take(const uint8_t *message, size_t len, struct proxy_shape *shape_out)
{
    size_t pointer_at;
    if (len < HEADER_LEN || wire_load_be16(message + 4) != 1)
        return false;
    size_t end = name_end(message, len, HEADER_LEN, &pointer_at);
    if (end == 0 || pointer_at != 0 || len - end < QUESTION_TAIL_LEN)
        return false;
    *shape_out = (struct proxy_shape){.question_end = (uint16_t)(end + QUESTION_TAIL_LEN),
                                      .qtype = wire_load_be16(message + end)};
    return true;
}

bool proxy_message_shape(const uint8_t *message, size_t message_len, struct proxy_shape *shape_out)
{
    if (message_len > UINT16_MAX || !question_take(message, message_len, shape_out))
        return false;
    size_t others = (size_t)wire_load_be16(message + 6) + wire_load_be16(message + 8);
    size_t all = others + wire_load_be16(message + 10);
    size_t at = shape_out->question_end;
    for (size_t i = 0; i < all; i++) {
        struct record record;
        if (!record_take(message, message_len, at, &record))
            return false;
        if (record.type == TYPE_OPT) {
            if (i < others || !record.is_root || shape_out->opt_at != 0 ||
                !are_options_whole(message, &record))
                return false;
            shape_out->opt_at = (uint16_t)record.at;
            shape_out->opt_len = (uint16_t)(record.end - record.at);
        }
        shape_out->has_signature |= record.type == TYPE_TSIG || record.type == TYPE_SIG;
        at = record.end;
    }
    return at == message_len;
}

enum proxy_verdict proxy_message_judge(const uint8_t *request, size_t request_len,
                                       struct proxy_shape *shape_out)
{
    if (request_len < HEADER_LEN || wire_load_be16(request + 2) & FLAG_QR)
        return PROXY_SILENT;
    if (request_len > PROXY_REQUEST_MAX || !proxy_message_shape(request, request_len, shape_out))
        return PROXY_FORMERR;
    if ((wire_load_be16(request + 2) & OPCODE_MASK) != 0 || shape_out->qtype == TYPE_AXFR ||
        shape_out->qtype == TYPE_IXFR || shape_out->has_signature)
        return PROXY_NOTIMP;
    return PROXY_FORWARD;
}

/* Whether the records from `at` on stay what they are when the `cut` octets at cut_at, before them,
 * go.
 *
 *     ... | cut | ... | record | record      owner names may point behind the cut: they move; so do
 *         <-----' <---' <------' <-----      not names in RDATA, so that only types whose RDATA has
 *                                            none to compress may stand there (RFC 3597 4)
 */
static bool can_move(const uint8_t *message, size_t len, size_t at, size_t cut_at, size_t cut)
{
    while (at < len) {
        struct record record;
        if (!record_take(message, len, at, &record) ||
            (record.type != TYPE_A && record.type != TYPE_AAAA && record.type != TYPE_RRSIG))
            return false;
        size_t target =
            record.pointer_at == 0 ? 0 : wire_load_be16(message + record.pointer_at) & 0x3fff;
        if (target >= cut_at && target < cut_at + cut)
            return false;
        at = record.end;
    }
    return true;
}

/* Cut it out, if that can be. Returns the new length, or the old one: nothing has changed. */
static size_t cut_out(uint8_t *message, size_t len, size_t at, size_t cut_at, size_t cut)
{
    if (!can_move(message, len, at, cut_at, cut))
        return len;
    while (at < len) {
        struct record record;
        bool is_record = record_take(message, len, at, &record);
        assert(is_record);
        (void)is_record;
        unsigned pointer = wire_load_be16(message + record.pointer_at);
        if (record.pointer_at != 0 && (pointer & 0x3fff) >= cut_at + cut)
            wire_store_be16(message + record.pointer_at, (uint16_t)(pointer - cut));
        at = record.end;
    }
    memmove(message + cut_at, message + cut_at + cut, len - cut_at - cut);
    return len - cut;
}

static size_t option_len(const uint8_t *message, size_t at)
{
    return OPTION_HEADER_LEN + (size_t)wire_load_be16(message + at + 2);
}

static bool is_keepalive(const uint8_t *message, size_t at)
{
    return wire_load_be16(message + at) == OPTION_KEEPALIVE;
}

/* Take every edns-tcp-keepalive out of the OPT of a message that is all of the given shape, however
 * many there are. Returns the new length. Where they cannot be cut out they stay; over UDP they are
 * ignored (RFC 7828 3.3.2). */
static size_t keepalive_remove(uint8_t *message, size_t message_len,
                               const struct proxy_shape *shape)
{
    size_t first = shape->opt_at + (size_t)PROXY_OPT_LEN;
    size_t end = shape->opt_at + (size_t)shape->opt_len;
    while (first < end && !is_keepalive(message, first))
        first += option_len(message, first);
    if (first >= end || !can_move(message, message_len, end, first, end - first))
        return message_len;
    size_t to = first;
    for (size_t at = first, len; at < end; at += len) {
        len = option_len(message, at);
        if (is_keepalive(message, at))
            continue;
        memmove(message + to, message + at, len);
        to += len;
    }
    wire_store_be16(message + shape->opt_at + 9, (uint16_t)(to - shape->opt_at - PROXY_OPT_LEN));
    return cut_out(message, message_len, end, to, end - to);
}

size_t proxy_message_ask(const uint8_t *request, size_t request_len,
                         const struct proxy_shape *shape, uint16_t id, uint8_t *ask_out)
{
    assert(request_len <= PROXY_REQUEST_MAX);
    memcpy(ask_out, request, request_len);
    wire_store_be16(ask_out, id);
    if (shape->opt_at != 0) {
        wire_store_be16(ask_out + shape->opt_at + 3, UINT16_MAX);
        return keepalive_remove(ask_out, request_len, shape);
    }
    uint8_t *opt = ask_out + request_len;
    memset(opt, 0, PROXY_OPT_LEN);
    wire_store_be16(opt + 1, TYPE_OPT);
    wire_store_be16(opt + 3, UINT16_MAX);
    wire_store_be16(ask_out + 10, (uint16_t)(wire_load_be16(ask_out + 10) + 1));
    return request_len + PROXY_OPT_LEN;
}

bool proxy_message_matches(const uint8_t *request, const struct proxy_shape *shape, uint16_t id,
                           const uint8_t *response, size_t response_len)
{
    if (response_len < shape->question_end)
        return false;
    unsigned flags = wire_load_be16(response + 2);
    return wire_load_be16(response) == id && flags & FLAG_QR &&
           (flags & OPCODE_MASK) == (wire_load_be16(request + 2) & OPCODE_MASK) &&
           wire_load_be16(response + 4) == 1 &&
           memcmp(response + HEADER_LEN, request + HEADER_LEN,
                  (size_t)shape->question_end - HEADER_LEN) == 0;
}

/* Take the OPT out of a response. Returns the new length; the old one if that cannot be done. */
static size_t opt_remove(uint8_t *response, size_t len, const struct proxy_shape *shape)
{
    size_t end = (size_t)shape->opt_at + shape->opt_len;
    size_t left = cut_out(response, len, end, shape->opt_at, shape->opt_len);
    if (left != len)
        wire_store_be16(response + 10, (uint16_t)(wire_load_be16(response + 10) - 1));
    return left;
}

size_t proxy_message_answer(const uint8_t *request, const struct proxy_shape *shape, bool has_ede,
                            uint8_t *response, size_t response_len)
{
    struct proxy_failure failure = {.rcode = PROXY_RCODE_SERVFAIL, .ede = PROXY_EDE_OTHER};
    struct proxy_shape got;
    if (wire_load_be16(response + 2) & FLAG_TC) {
        failure.text = has_ede ? "the back end's response is truncated" : NULL;
        return proxy_message_fail(request, shape, &failure, response);
    }
    bool is_good = proxy_message_shape(response, response_len, &got);
    if (is_good && shape->opt_at == 0 && got.opt_at != 0) {
        /* An RCODE beyond 15 cannot be said without OPT: its low bits alone would lie. */
        is_good = response[got.opt_at + 5] == 0;
        size_t left = is_good ? opt_remove(response, response_len, &got) : response_len;
        is_good = left != response_len;
        response_len = left;
    } else if (is_good && got.opt_at != 0) {
        response_len = keepalive_remove(response, response_len, &got);
    }
    if (!is_good) {
        failure.text = has_ede ? "the back end's response is malformed" : NULL;
        return proxy_message_fail(request, shape, &failure, response);
    }
    memcpy(response, request, 2);
    return response_len;
}

static size_t put_ede(const struct proxy_failure *failure, uint8_t *at)
{
    size_t text_len = strlen(failure->text);
    assert(text_len <= 64);
    wire_store_be16(at, OPTION_EDE);
    wire_store_be16(at + 2, (uint16_t)(2 + text_len));
    wire_store_be16(at + 4, failure->ede);
    memcpy(at + 6, failure->text, text_len);
    return 6 + text_len;
}

size_t proxy_message_fail(const uint8_t *request, const struct proxy_shape *shape,
                          const struct proxy_failure *failure, uint8_t *out)
{
    size_t at = HEADER_LEN;
    unsigned flags = wire_load_be16(request + 2) & (OPCODE_MASK | FLAG_RD | FLAG_CD);
    memset(out, 0, HEADER_LEN);
    memcpy(out, request, 2);
    wire_store_be16(out + 2, (uint16_t)(FLAG_QR | flags | failure->rcode));
    if (shape == NULL)
        return at;
    wire_store_be16(out + 4, 1);
    memcpy(out + at, request + at, shape->question_end - at);
    at = shape->question_end;
    if (shape->opt_at == 0)
        return at;
    uint8_t *opt = out + at;
    wire_store_be16(out + 10, 1);
    memset(opt, 0, PROXY_OPT_LEN);
    wire_store_be16(opt + 1, TYPE_OPT);
    wire_store_be16(opt + 3, EDNS_PAYLOAD);
    opt[7] = request[shape->opt_at + 7] & EDNS_DO;
    size_t options_len = failure->text != NULL ? put_ede(failure, opt + PROXY_OPT_LEN) : 0;
    wire_store_be16(opt + 9, (uint16_t)options_len);
    return at + PROXY_OPT_LEN + options_len;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/request.h"

#include <assert.h>
#include <libknot/rrtype/opt.h>
#include <string.h>

#define OPT_FIXED_LEN 11
#define OPTION_FIXED_LEN 4

enum {
    FLAG_QR = 0x8000,
    FLAG_RD = 0x0100,
    FLAG_Z = 0x0040,
    FLAG_AD = 0x0020,
    FLAG_CD = 0x0010,
};

struct writer {
    uint8_t *octets;
    size_t len;
};

static uint8_t *writer_room(struct writer *w, size_t len)
{
    assert(MESSAGE_MAX - w->len >= len);
    uint8_t *at = w->octets + w->len;
    w->len += len;
    return at;
}

static void put_option(struct writer *w, uint16_t code, const uint8_t *data, size_t len)
{
    uint8_t *at = writer_room(w, OPTION_FIXED_LEN + len);
    octets_put_be16(at, code);
    octets_put_be16(at + 2, (uint16_t)len);
    if (len > 0)
        memcpy(at + OPTION_FIXED_LEN, data, len);
}

static void put_padding(struct writer *w, uint16_t block, size_t behind_len)
{
    static const uint8_t zeros[512];
    size_t len = w->len + OPTION_FIXED_LEN + behind_len, over = len % block;
    assert(block <= sizeof zeros);
    put_option(w, KNOT_EDNS_OPTION_PADDING, zeros, over == 0 ? 0 : block - over);
}

static void put_cookie(struct writer *w, const struct plan_edns *edns, struct request_dice *dice)
{
    if (edns->cookie_len == 0) {
        put_option(w, KNOT_EDNS_OPTION_COOKIE, dice->cookie, sizeof dice->cookie);
        return;
    }
    put_option(w, KNOT_EDNS_OPTION_COOKIE, edns->cookie, edns->cookie_len);
    if (edns->cookie_len >= sizeof dice->cookie)
        memcpy(dice->cookie, edns->cookie, sizeof dice->cookie);
}

/* CHECKSUM goes last: it covers what is before it. */
static void put_opt(struct writer *w, const struct plan_edns *edns, struct request_dice *dice,
                    size_t tail_len)
{
    uint8_t checksum[18];
    size_t checksum_len = 0;
    if (edns->has_checksum)
        checksum_len = checksum_request_write(edns->checksum_layout, dice->nonce, checksum);
    uint8_t *opt = writer_room(w, OPT_FIXED_LEN);
    memset(opt, 0, OPT_FIXED_LEN);
    octets_put_be16(opt + 1, 41);
    octets_put_be16(opt + 3, edns->payload);
    opt[6] = edns->version;
    opt[7] = edns->is_do ? 0x80 : 0;
    if (edns->wants_nsid)
        put_option(w, KNOT_EDNS_OPTION_NSID, NULL, 0);
    if (edns->subnet_len > 0)
        put_option(w, KNOT_EDNS_OPTION_CLIENT_SUBNET, edns->subnet, edns->subnet_len);
    if (edns->has_cookie)
        put_cookie(w, edns, dice);
    if (edns->wants_keepalive)
        put_option(w, KNOT_EDNS_OPTION_TCP_KEEPALIVE, NULL, 0);
    if (edns->options_len > 0)
        memcpy(writer_room(w, edns->options_len), edns->options, edns->options_len);
    if (edns->padding_block > 0)
        put_padding(w, edns->padding_block,
                    tail_len + (checksum_len > 0 ? OPTION_FIXED_LEN + checksum_len : 0));
    if (checksum_len > 0)
        put_option(w, edns->checksum_code, checksum, checksum_len);
    octets_put_be16(opt + 9, (uint16_t)(w->octets + w->len - opt - OPT_FIXED_LEN));
}

size_t request_make(const struct plan *plan, struct request_dice *dice, size_t tail_len,
                    uint8_t *request)
{
    struct writer w = {request, 0};
    if (plan->has_id)
        dice->id = plan->id;
    uint8_t *header = writer_room(&w, HEADER_LEN);
    memset(header, 0, HEADER_LEN);
    octets_put_be16(header, dice->id);
    octets_put_be16(header + 2, (uint16_t)(plan->opcode << 11 | (plan->is_rd ? FLAG_RD : 0) |
                                           (plan->is_ad ? FLAG_AD : 0) | (plan->is_z ? FLAG_Z : 0) |
                                           (plan->is_cd ? FLAG_CD : 0)));
    header[5] = 1;
    header[11] = plan->edns.is_present;
    size_t name_octets = name_len(plan->name, sizeof plan->name);
    memcpy(writer_room(&w, name_octets), plan->name, name_octets);
    uint8_t *question = writer_room(&w, 4);
    octets_put_be16(question, plan->type);
    octets_put_be16(question + 2, plan->class);
    if (plan->edns.is_present)
        put_opt(&w, &plan->edns, dice, tail_len);
    return w.len;
}

enum request_match request_match(const uint8_t *request, size_t request_len,
                                 const uint8_t *response, size_t response_len)
{
    if (response_len < HEADER_LEN)
        return REQUEST_MATCH_SHORT;
    if (memcmp(request, response, 2) != 0)
        return REQUEST_MATCH_ID;
    if ((response[2] & 0xf8) != ((request[2] & 0x78) | 0x80))
        return REQUEST_MATCH_QUERY;
    uint16_t count = octets_be16(response + 4);
    if (count == 0 && (response[3] & 15) != 0)
        return REQUEST_MATCH_OURS;
    const uint8_t *asked = request + HEADER_LEN, *said = response + HEADER_LEN;
    size_t len = name_len(asked, request_len - HEADER_LEN);
    if (count != 1 || name_len(said, response_len - HEADER_LEN) != len ||
        response_len - HEADER_LEN < len + 4)
        return REQUEST_MATCH_QUESTION;
    return name_equal(asked, said) && memcmp(asked + len, said + len, 4) == 0
               ? REQUEST_MATCH_OURS
               : REQUEST_MATCH_QUESTION;
}

const char *request_match_text(enum request_match match)
{
    switch (match) {
    case REQUEST_MATCH_OURS:
        break;
    case REQUEST_MATCH_SHORT:
        return "shorter than a DNS header";
    case REQUEST_MATCH_ID:
        return "wrong identifier";
    case REQUEST_MATCH_QUERY:
        return "not a response to this kind of request";
    case REQUEST_MATCH_QUESTION:
        return "another question than asked";
    }
    return "the response to the request";
}

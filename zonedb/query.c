/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/query.h"

#include "zonedb/dns_cookie.h"
#include "zonedb/name.h"
#include "zonedb/node.h"
#include "zonedb/tsig.h"

/* Reads forward within bounds; after the first miss everything fails. */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool is_bad;
};

static const uint8_t *take(struct cursor *c, size_t len)
{
    if (c->is_bad || c->left < len) {
        c->is_bad = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += len;
    c->left -= len;
    return p;
}

/* Step over an owner name, which may end in a compression pointer. What it points to is of no
 * interest here. Returns whether it is the root. */
static bool owner_skip(struct cursor *c)
{
    bool is_root = true;
    size_t len = 0;
    for (;;) {
        const uint8_t *label = take(c, 1);
        if (label == NULL || label[0] == 0)
            return is_root;
        is_root = false;
        if (label[0] >= 0xc0) {
            take(c, 1);
            return false;
        }
        len += 1u + label[0];
        if (label[0] > 63 || len >= NAME_MAX_LEN)
            c->is_bad = true;
        take(c, label[0]);
    }
}

/* The request's OPTION-LENGTH tells the layout; other lengths and a second option are an error. */
static bool checksum_parse(const uint8_t *data, uint16_t len, struct query_edns *edns)
{
    size_t nonce_len = len == 18 ? 16 : 8;
    if ((len != 18 && len != 9) || edns->checksum_nonce != NULL)
        return false;
    edns->checksum_layout = len == 18 ? CHECKSUM_LAYOUT_00 : CHECKSUM_LAYOUT_01;
    edns->checksum_nonce = data;
    for (size_t i = nonce_len; i < len; i++)
        if (data[i] != 0)
            edns->checksum_nonce = NULL; /* ALGORITHM not 0: ignored */
    return true;
}

/* Only the first one counts (RFC 7873 5.2). */
static bool cookie_parse(const uint8_t *data, uint16_t len, struct query_edns *edns)
{
    if (edns->cookie != NULL)
        return true;
    if (!dns_cookie_has_len(len))
        return false;
    edns->cookie = data;
    edns->cookie_len = len;
    return true;
}

static bool options_parse(const struct respond_policy *policy, struct cursor c,
                          struct query_edns *edns)
{
    bool has_seen_checksum = false;
    while (c.left > 0) {
        const uint8_t *head = take(&c, 4);
        if (head == NULL)
            return false;
        uint16_t code = load_be16(head), len = load_be16(head + 2);
        const uint8_t *data = take(&c, len);
        if (data == NULL)
            return false;
        if (policy->has_checksum && code == policy->checksum_code) {
            if (has_seen_checksum || !checksum_parse(data, len, edns))
                return false;
            has_seen_checksum = true;
        } else if (code == EDNS_COOKIE && policy->cookie != NULL) {
            if (!cookie_parse(data, len, edns))
                return false;
        } else if (code == EDNS_NSID) {
            edns->wants_nsid = true;
        } else if (code == EDNS_KEEPALIVE) {
            edns->wants_keepalive = true;
        } else if (code == EDNS_PADDING) {
            edns->wants_padding = true;
        }
    }
    return true;
}

/* One record after the question. Returns false if the message is malformed. */
static bool record_parse(const struct respond_policy *policy, struct cursor *c, bool is_additional,
                         struct query *query)
{
    struct query_edns *edns = &query->edns;
    bool is_root = owner_skip(c);
    const uint8_t *fixed = take(c, 10);
    if (fixed == NULL)
        return false;
    uint16_t rdata_len = load_be16(fixed + 8);
    const uint8_t *rdata = take(c, rdata_len);
    if (rdata == NULL)
        return false;
    if (load_be16(fixed) != RR_OPT || !policy->has_edns) {
        query->has_tsig |= load_be16(fixed) == RR_TSIG;
        return true;
    }
    if (!is_root || !is_additional || edns->is_present)
        return false; /* RFC 6891 6.1.1, 6.1.2 */
    edns->is_present = true;
    edns->payload = load_be16(fixed + 2);
    edns->version = fixed[5];
    edns->is_do = (fixed[6] & 0x80) != 0;
    if (edns->version != 0)
        return true; /* the options of another version may mean anything */
    return options_parse(policy, (struct cursor){rdata, rdata_len, false}, edns);
}

static bool question_parse(struct cursor *c, struct query *query)
{
    size_t qname_len = name_len(c->at, c->left);
    if (qname_len == 0)
        return false;
    query->qname = take(c, qname_len);
    query->qname_len = (uint16_t)qname_len;
    const uint8_t *fixed = take(c, 4);
    if (fixed == NULL)
        return false;
    query->qtype = load_be16(fixed);
    query->qclass = load_be16(fixed + 2);
    query->has_question = true;
    return true;
}

static enum query_outcome message_parse(const struct respond_policy *policy, const uint8_t *request,
                                        size_t request_len, struct query *query_out)
{
    struct cursor c = {request, request_len, false};
    const uint8_t *header = take(&c, HEADER_LEN);
    if (header == NULL)
        return QUERY_SILENT;
    *query_out = (struct query){.id = load_be16(header), .flags = load_be16(header + 2)};
    if ((query_out->flags & FLAG_QR) != 0)
        return QUERY_SILENT;
    if ((query_out->flags & OPCODE_MASK) != 0)
        return QUERY_NOTIMP;
    unsigned question_count = load_be16(header + 4);
    if (question_count == 1 ? !question_parse(&c, query_out)
                            : question_count != 0 || policy->cookie == NULL)
        return QUERY_FORMERR;
    unsigned before_additional = (unsigned)load_be16(header + 6) + load_be16(header + 8);
    unsigned record_count = before_additional + load_be16(header + 10);
    for (unsigned i = 0; i < record_count; i++)
        if (!record_parse(policy, &c, i >= before_additional, query_out))
            return QUERY_FORMERR;
    if (c.left != 0)
        return QUERY_FORMERR;
    if (query_out->edns.version != 0)
        return QUERY_BADVERS;
    if (question_count == 1)
        return QUERY_OK;
    return query_out->edns.cookie != NULL ? QUERY_COOKIE : QUERY_FORMERR;
}

enum query_outcome query_parse(const struct respond_policy *policy, const uint8_t *request,
                               size_t request_len, struct query *query_out)
{
    enum query_outcome outcome = message_parse(policy, request, request_len, query_out);
    struct tsig tsig;
    /* Who signed is told so by a signature, as long as the record can be read (RFC 8945 5.2). */
    if (outcome == QUERY_FORMERR || outcome == QUERY_NOTIMP)
        query_out->has_tsig = tsig_find(request, request_len, &tsig) == 1;
    return outcome;
}

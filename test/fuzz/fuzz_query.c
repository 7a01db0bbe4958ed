/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query_parse() on arbitrary octets. What it says of a request points into the request, and no two
 * policies understand the question differently.
 */
#include "fuzz.h"
#include "zonedb/name.h"
#include "zonedb/query.h"

static void check(const uint8_t *request, size_t len, enum query_outcome outcome,
                  const struct query *query)
{
    MUST((outcome == QUERY_SILENT) == (len < HEADER_LEN || (request[2] & 0x80) != 0));
    if (outcome == QUERY_SILENT)
        return;
    MUST(query->id == (request[0] << 8 | request[1]));
    MUST((outcome == QUERY_NOTIMP) == ((query->flags & OPCODE_MASK) != 0));
    MUST(query->has_question || outcome == QUERY_FORMERR || outcome == QUERY_NOTIMP ||
         outcome == QUERY_COOKIE || outcome == QUERY_BADVERS);
    MUST(outcome != QUERY_COOKIE || (!query->has_question && query->edns.cookie != NULL));
    if (query->edns.cookie != NULL) {
        MUST(dns_cookie_has_len(query->edns.cookie_len));
        MUST(query->edns.cookie > request + HEADER_LEN);
        MUST(query->edns.cookie + query->edns.cookie_len <= request + len);
    }
    if (query->has_question) {
        MUST(query->qname == request + HEADER_LEN);
        MUST(name_len(query->qname, len - HEADER_LEN) == query->qname_len);
        MUST(HEADER_LEN + query->qname_len + 4u <= len);
    }
    MUST(outcome != QUERY_OK || query->edns.version == 0);
    MUST(outcome != QUERY_BADVERS || (query->edns.is_present && query->edns.version != 0));
    if (query->edns.checksum_nonce != NULL) {
        size_t nonce_len = query->edns.checksum_layout == CHECKSUM_LAYOUT_00 ? 16 : 8;
        MUST(query->edns.checksum_nonce > request + HEADER_LEN);
        MUST(query->edns.checksum_nonce + nonce_len < request + len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dns_cookie_secrets secrets = {1, {{0}}};
    struct respond_policy with = {
        .has_edns = true, .has_checksum = true, .checksum_code = 65002, .cookie = &secrets};
    struct respond_policy without = {.has_edns = false};
    struct query query = {.id = 0}, plain = {.id = 0};
    if (size == 0)
        return 0;
    /* The corpus is that of respond, whose first octet is a choice. */
    uint8_t *request = exact_copy(data + 1, size - 1);
    enum query_outcome outcome = query_parse(&with, request, size - 1, &query);
    check(request, size - 1, outcome, &query);
    enum query_outcome plain_outcome = query_parse(&without, request, size - 1, &plain);
    check(request, size - 1, plain_outcome, &plain);
    MUST(!plain.edns.is_present && plain.has_question == query.has_question);
    MUST(plain.qname == query.qname && plain.qtype == query.qtype);
    MUST(outcome != QUERY_OK || plain_outcome == QUERY_OK);
    free(request);
    return 0;
}

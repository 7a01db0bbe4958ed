/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What lethe-forward adds to a query, and a response of whoever. The first octet chooses, then comes
 * the query, behind its length, then the response.
 *
 * A protected query is a message still, with the same question. No response is good that was not
 * made with the query's nonce or key; what is checked is not changed but for a TSIG record that
 * goes.
 */
#include "fuzz.h"
#include "stateless_tcp/wire.h"
#include "tools/forward/protect.h"

enum { NOW_S = 1700000000, CHOICE_LAYOUT_01 = 4 };

static struct protect protect;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    protect.checksum_code = 65002;
    tsig_key_set_well_known(&protect.key);
    protect.has_nonce = true;
    return 0;
}

static void must_be_the_same_question(const uint8_t *query, size_t len,
                                      const uint8_t *protected_query, size_t protected_len,
                                      const struct proxy_shape *shape)
{
    struct proxy_shape after;
    MUST(proxy_message_shape(protected_query, protected_len, &after));
    MUST(after.question_end == shape->question_end && after.opt_at == shape->opt_at);
    MUST(memcmp(query, protected_query, 10) == 0);
    MUST(memcmp(query + 12, protected_query + 12, shape->question_end - 12u) == 0);
    MUST(protected_len >= len && protected_len <= len + PROTECT_ROOM);
}

static void check_response(const struct protect_asked *asked, const uint8_t *data, size_t size)
{
    uint8_t *response = exact_copy(data, size);
    size_t len = size;
    enum protect_verdict verdict = protect_response(&protect, asked, NOW_S, response, &len);
    MUST(asked->is_protected ? verdict != PROTECT_GOOD : verdict == PROTECT_GOOD);
    MUST(len == size && memcmp(response, data, size) == 0);
    free(response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    protect.means = (enum protect_means)(data[0] % 3);
    protect.layout = data[0] & CHOICE_LAYOUT_01 ? CHECKSUM_LAYOUT_01 : CHECKSUM_LAYOUT_00;
    size_t len = wire_load_be16(data + 1);
    data += 3;
    size -= 3;
    if (len > size)
        return 0;
    struct proxy_shape shape;
    enum proxy_verdict judged = proxy_message_judge(data, len, &shape);
    if (judged != PROXY_FORWARD && judged != PROXY_NOTIMP)
        return 0;
    uint8_t *query = calloc(1, len + PROTECT_ROOM);
    MUST(query != NULL);
    memcpy(query, data, len);
    struct protect_asked asked = {.nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    size_t protected_len = protect_request(&protect, &shape, NOW_S, query, len, &asked);
    MUST(asked.is_protected == (protected_len != len));
    must_be_the_same_question(data, len, query, protected_len, &shape);
    check_response(&asked, data + len, size - len);
    /* What a server that does not know of it might say: the query again. */
    query[2] |= 0x80;
    check_response(&asked, query, protected_len);
    free(query);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whatever a server sends to lethe-query: taken apart, shown in each way, verified. The first octet
 * says how, the others are the response.
 */
#include "fuzz.h"
#include "tools/query/protection.h"
#include "tools/query/show.h"

#include <stdio.h>

static struct plan plan;
static struct exchange exchange;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    plan_init(&plan);
    plan.name[0] = 3;
    memcpy(plan.name + 1, "www\7example", 12);
    plan.type = plan.class = 1;
    plan.edns.is_present = plan.edns.has_checksum = true;
    plan.edns.checksum_code = 65002;
    tsig_key_set_well_known(&plan.tsig);
    MUST(freopen("/dev/null", "w", stdout) != NULL);
    return 0;
}

static void check(const struct received *m)
{
    size_t options = 0;
    uint16_t code, len;
    const uint8_t *data;
    for (size_t at = 0; received_option_next(m, &at, &code, &data, &len);)
        options += 4u + len;
    MUST(options == m->options_len);
    for (size_t i = 0; i < m->record_count; i++) {
        const struct received_record *record = &m->records[i];
        MUST(record->rdata_at + record->rdata_len <= m->len);
        for (const char *text = received_rdata_text(record, &(struct received_style){0});
             *text != '\0'; text++)
            MUST(*text >= 0x20 && *text < 0x7f);
    }
    MUST(m->fault[0] != '\0' || m->trailing_len < m->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 + MESSAGE_MAX)
        return 0;
    plan.has_tsig = data[0] & 1;
    plan.edns.checksum_layout = data[0] & 2 ? CHECKSUM_LAYOUT_01 : CHECKSUM_LAYOUT_00;
    plan.show.format = data[0] & 4 ? PLAN_FORMAT_JSON : PLAN_FORMAT_TEXT;
    plan.show.is_wrapped = plan.show.has_rdata_remark = data[0] & 8;
    plan.show.is_generic = data[0] & 16;
    plan.show.has_request = plan.show.has_identity = plan.show.is_in_us = data[0] & 32;
    plan.show.has_crypto = data[0] & 64;
    memset(&exchange.dice, 'n', sizeof exchange.dice);
    exchange.server.address.ss_family = AF_INET;
    exchange.request_len =
        protection_request(&plan, &exchange.dice, 1, exchange.request, &exchange.tsig_asked);
    exchange.response_len = size - 1;
    memcpy(exchange.response, data + 1, size - 1);
    uint8_t *exact = exact_copy(data + 1, size - 1);
    request_match(exchange.request, exchange.request_len, exact, size - 1);
    if (size - 1 >= HEADER_LEN) {
        const char *fault;
        struct received m;
        exchange.checksum = protection_checksum(&plan, &exchange.dice, exact, size - 1);
        exchange.tsig = protection_tsig(&plan, &exchange, 1, &exchange.tsig_error, &fault);
        received_begin(exact, size - 1, &m);
        check(&m);
        if (plan.show.format == PLAN_FORMAT_JSON)
            show_json(&plan, &exchange, &m, NULL, NULL);
        else
            show_text(&plan, &exchange, &m);
        show_short(&plan, &exchange, &m);
        received_end(&m);
    }
    free(exact);
    return 0;
}

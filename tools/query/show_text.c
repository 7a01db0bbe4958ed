/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/show.h"

#include "server/address.h"
#include "tools/query/option_text.h"

#include <libknot/codes.h>
#include <libknot/descriptor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMN 23

static const char *const section_titles[] = {"QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL"};

const char *show_when(const struct exchange *exchange, char *text)
{
    struct tm when;
    if (gmtime_r(&exchange->when, &when) == NULL ||
        strftime(text, 64, "%a %b %d %H:%M:%S UTC %Y", &when) == 0)
        return "?";
    return text;
}

static void show_notes(const struct exchange *exchange, FILE *to)
{
    for (unsigned i = 0; i < exchange->note_count; i++)
        fprintf(to, ";; %s\n", exchange->notes[i]);
}

static const char *show_rdata(const struct plan_show *show, const struct received_record *record)
{
    const struct received_style style = {.is_wrapped = show->is_wrapped,
                                         .is_generic = show->is_generic,
                                         .is_crypto_hidden = !show->has_crypto,
                                         .has_remark = show->has_rdata_remark};
    return received_rdata_text(record, &style);
}

static void show_record(const struct plan_show *show, const struct received_record *record)
{
    char owner[NAME_TEXT_MAX], type[32], class[32];
    printf("%-*s", NAME_COLUMN, name_to_text(record->set.owner, owner));
    if (show->has_ttl)
        printf(" %u", (unsigned)record->set.ttl);
    if (show->has_class)
        printf("\t%s", received_class_text(record->set.rclass, class));
    printf("\t%s\t%s\n", received_type_text(record->set.type, type), show_rdata(show, record));
}

/* TSIG has a place of its own. */
static bool is_of(const struct received_record *record, enum received_section section)
{
    return record->section == section && record->set.type != KNOT_RRTYPE_TSIG;
}

void show_section(const struct plan_show *show, const struct received *response,
                  enum received_section section)
{
    for (size_t i = 0; i < response->record_count; i++)
        if (is_of(&response->records[i], section))
            show_record(show, &response->records[i]);
}

static bool has_records(const struct received *response, enum received_section section)
{
    for (size_t i = 0; i < response->record_count; i++)
        if (is_of(&response->records[i], section))
            return true;
    return false;
}

static void show_flags(uint16_t flags)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = {
        {RECEIVED_QR, "qr"}, {RECEIVED_AA, "aa"}, {RECEIVED_TC, "tc"}, {RECEIVED_RD, "rd"},
        {RECEIVED_RA, "ra"}, {RECEIVED_Z, "z"},   {RECEIVED_AD, "ad"}, {RECEIVED_CD, "cd"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].bit)
            printf(" %s", names[i].name);
}

static void show_header(const struct received *response)
{
    char opcode[32], rcode[32];
    printf(";; ->>HEADER<<- opcode: %s, status: %s, id: %u\n",
           received_opcode_text(response->flags >> 11 & 15, opcode),
           received_rcode_text(response->rcode, rcode), response->id);
    printf(";; flags:");
    show_flags(response->flags);
    printf("; QUERY: %u, ANSWER: %u, AUTHORITY: %u, ADDITIONAL: %u\n", response->counts[0],
           response->counts[1], response->counts[2], response->counts[3]);
    if (response->fault[0] != '\0')
        printf(";; WARNING: malformed from here on: %s\n", response->fault);
    if (response->oddity[0] != '\0')
        printf(";; WARNING: %s\n", response->oddity);
    if (response->trailing_len > 0)
        printf(";; WARNING: %zu octets behind the last record\n", response->trailing_len);
    printf("\n");
}

/* `dice`: of the request, which the response's options are held against. */
static void show_opt(const struct plan *plan, const struct request_dice *dice,
                     const struct received *response)
{
    static char text[OPTION_TEXT_MAX];
    char name[32];
    uint16_t code, len;
    const uint8_t *data;
    printf(";; OPT PSEUDOSECTION:\n; EDNS: version: %u, flags:%s; udp: %u\n", response->opt_version,
           response->opt_flags & 0x8000 ? " do" : "", response->opt_payload);
    for (size_t at = 0; received_option_next(response, &at, &code, &data, &len);) {
        printf("; %s:", option_name(&plan->edns, code, name));
        if (len > 0)
            printf(" %s", option_text(&plan->edns, dice, code, data, len, text));
        printf("\n");
    }
}

static void show_question(const struct received *response)
{
    char name[NAME_TEXT_MAX], type[32], class[32];
    for (size_t i = 0; i < response->question_count; i++) {
        const struct received_question *question = &response->questions[i];
        printf(";%-*s\t%s\t%s\n", NAME_COLUMN, name_to_text(question->name, name),
               received_class_text(question->class, class),
               received_type_text(question->type, type));
    }
}

static void show_sections(const struct plan *plan, const struct received *response)
{
    const bool is_shown[] = {plan->show.has_question, plan->show.has_answer,
                             plan->show.has_authority, plan->show.has_additional};
    for (enum received_section section = 0; section < RECEIVED_SECTIONS; section++) {
        bool is_there = section == RECEIVED_QUESTION ? response->question_count > 0
                                                     : has_records(response, section);
        if (!is_shown[section] || !is_there)
            continue;
        if (plan->show.has_comments)
            printf(";; %s SECTION:\n", section_titles[section]);
        if (section == RECEIVED_QUESTION)
            show_question(response);
        else
            show_section(&plan->show, response, section);
        if (plan->show.has_comments)
            printf("\n");
    }
}

static void show_tsig(const struct plan *plan, const struct exchange *exchange,
                      const struct received *response)
{
    for (size_t i = 0; i < response->record_count; i++) {
        if (response->records[i].set.type != KNOT_RRTYPE_TSIG)
            continue;
        printf(";; TSIG PSEUDOSECTION:\n");
        show_record(&plan->show, &response->records[i]);
        printf("\n");
    }
    if (exchange->tsig == EXCHANGE_TSIG_UNASKED)
        return;
    printf(";; TSIG: %s", exchange_tsig_text(exchange->tsig));
    if (exchange->tsig_error != 0)
        printf(" (%s)", show_tsig_error(exchange->tsig_error));
    printf("\n");
}

const char *show_tsig_error(uint16_t error)
{
    static char text[32];
    const knot_lookup_t *found = knot_lookup_by_id(knot_tsig_rcode_names, error);
    return found != NULL ? found->name : received_rcode_text(error, text);
}

static void show_statistics(const struct plan *plan, const struct exchange *exchange)
{
    char address[ADDRESS_TEXT_MAX], when[64];
    address_to_text(&exchange->server.address, address);
    for (char *at = address; *at != '\0'; at++)
        if (*at == '@')
            *at = '#';
    bool is_in_us = plan->show.is_in_us;
    printf(";; Query time: %lld %s\n", (long long)(exchange->elapsed_us / (is_in_us ? 1 : 1000)),
           is_in_us ? "usec" : "msec");
    const char *name = exchange->server.name;
    printf(";; SERVER: %s(%.*s) (%s)\n", address,
           *name != '\0' ? (int)strlen(name) : (int)strcspn(address, "#"),
           *name != '\0' ? name : address, exchange->is_tcp ? "TCP" : "UDP");
    printf(";; WHEN: %s\n", show_when(exchange, when));
    printf(";; MSG SIZE  rcvd: %zu\n\n", exchange->response_len);
}

static void show_head(const struct plan *plan, const struct request_dice *dice,
                      const struct received *message)
{
    show_header(message);
    if (message->has_opt)
        show_opt(plan, dice, message);
}

static void show_request(const struct plan *plan, const struct exchange *exchange)
{
    struct received request;
    received_begin(exchange->request, exchange->request_len, &request);
    printf(";; Sent, the last time:\n");
    show_head(plan, NULL, &request);
    show_sections(plan, &request);
    received_end(&request);
}

void show_text(const struct plan *plan, const struct exchange *exchange,
               const struct received *response)
{
    bool has_comments = plan->show.has_comments;
    if (plan->show.has_request && exchange->request_len > 0)
        show_request(plan, exchange);
    show_notes(exchange, response != NULL && has_comments ? stdout : stderr);
    if (response == NULL)
        return;
    if (has_comments) {
        printf(";; Got answer:\n");
        show_head(plan, &exchange->dice, response);
    }
    if (exchange->checksum != EXCHANGE_CHECKSUM_UNASKED && has_comments)
        printf(";; CHECKSUM: %s\n", exchange_checksum_text(exchange->checksum));
    show_sections(plan, response);
    if (has_comments)
        show_tsig(plan, exchange, response);
    if (plan->show.has_statistics)
        show_statistics(plan, exchange);
}

static void show_short_record(const struct plan *plan, const struct exchange *exchange,
                              const struct received_record *record)
{
    printf("%s", show_rdata(&plan->show, record));
    if (plan->show.has_identity) {
        char address[ADDRESS_TEXT_MAX];
        address_to_text(&exchange->server.address, address);
        address[strcspn(address, "@")] = '\0';
        printf(" from server %s in %lld %s.", address,
               (long long)(exchange->elapsed_us / (plan->show.is_in_us ? 1 : 1000)),
               plan->show.is_in_us ? "us" : "ms");
    }
    printf("\n");
}

void show_short(const struct plan *plan, const struct exchange *exchange,
                const struct received *response)
{
    show_notes(exchange, stderr);
    if (!exchange_is_believed(plan, exchange))
        return;
    for (size_t i = 0; response != NULL && i < response->record_count; i++)
        if (response->records[i].section == RECEIVED_ANSWER)
            show_short_record(plan, exchange, &response->records[i]);
}

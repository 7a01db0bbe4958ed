/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/show.h"

#include "server/address.h"
#include "tools/query/option_text.h"

#include <libknot/codes.h>
#include <libknot/descriptor.h>
#include <stdio.h>
#include <stdlib.h>

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

static void show_record(const struct received_record *record)
{
    char owner[NAME_TEXT_MAX], type[32], class[32];
    printf("%-*s %u\t%s\t%s\t%s\n", NAME_COLUMN, name_to_text(record->set.owner, owner),
           (unsigned)record->set.ttl, received_class_text(record->set.rclass, class),
           received_type_text(record->set.type, type), received_rdata_text(record));
}

/* TSIG has a place of its own. */
static bool is_of(const struct received_record *record, enum received_section section)
{
    return record->section == section && record->set.type != KNOT_RRTYPE_TSIG;
}

void show_section(const struct received *response, enum received_section section)
{
    for (size_t i = 0; i < response->record_count; i++)
        if (is_of(&response->records[i], section))
            show_record(&response->records[i]);
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

static void show_opt(const struct plan *plan, const struct exchange *exchange,
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
            printf(" %s", option_text(&plan->edns, &exchange->dice, code, data, len, text));
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
            show_section(response, section);
        if (plan->show.has_comments)
            printf("\n");
    }
}

static void show_tsig(const struct exchange *exchange, const struct received *response)
{
    for (size_t i = 0; i < response->record_count; i++) {
        if (response->records[i].set.type != KNOT_RRTYPE_TSIG)
            continue;
        printf(";; TSIG PSEUDOSECTION:\n");
        show_record(&response->records[i]);
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

static void show_statistics(const struct exchange *exchange)
{
    char address[ADDRESS_TEXT_MAX], when[64];
    address_to_text(&exchange->server.address, address);
    for (char *at = address; *at != '\0'; at++)
        if (*at == '@')
            *at = '#';
    printf(";; Query time: %lld msec\n", (long long)(exchange->elapsed_us / 1000));
    printf(";; SERVER: %s(%s) (%s)\n", address, exchange->server.name,
           exchange->is_tcp ? "TCP" : "UDP");
    printf(";; WHEN: %s\n", show_when(exchange, when));
    printf(";; MSG SIZE  rcvd: %zu\n\n", exchange->response_len);
}

void show_text(const struct plan *plan, const struct exchange *exchange,
               const struct received *response)
{
    bool has_comments = plan->show.has_comments;
    show_notes(exchange, response != NULL && has_comments ? stdout : stderr);
    if (response == NULL)
        return;
    if (has_comments) {
        printf(";; Got answer:\n");
        show_header(response);
        if (response->has_opt)
            show_opt(plan, exchange, response);
    }
    if (exchange->checksum != EXCHANGE_CHECKSUM_UNASKED && has_comments)
        printf(";; CHECKSUM: %s\n", exchange_checksum_text(exchange->checksum));
    show_sections(plan, response);
    if (has_comments)
        show_tsig(exchange, response);
    if (plan->show.has_statistics)
        show_statistics(exchange);
}

void show_short(const struct plan *plan, const struct exchange *exchange,
                const struct received *response)
{
    show_notes(exchange, stderr);
    if (!exchange_is_believed(plan, exchange))
        return;
    for (size_t i = 0; response != NULL && i < response->record_count; i++)
        if (response->records[i].section == RECEIVED_ANSWER)
            puts(received_rdata_text(&response->records[i]));
}

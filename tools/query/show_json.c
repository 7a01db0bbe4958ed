/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/show.h"

#include "server/address.h"
#include "tools/query/option_text.h"

#include <stdio.h>
#include <stdlib.h>

/* Which member comes: a comma goes before all but the first. */
struct object {
    bool has_members;
};

static void put_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_key(struct object *object, const char *key)
{
    printf("%s\"%s\": ", object->has_members ? ", " : "", key);
    object->has_members = true;
}

static void put_number(struct object *object, const char *key, long long value)
{
    put_key(object, key);
    printf("%lld", value);
}

static void put_text(struct object *object, const char *key, const char *text)
{
    put_key(object, key);
    put_string(text);
}

static void put_hex(struct object *object, const char *key, const uint8_t *data, size_t len)
{
    static char text[2 * MESSAGE_MAX + 1];
    put_text(object, key, option_hex(data, len, text));
}

static void put_header(struct object *object, const struct received *m)
{
    static const struct {
        const char *name;
        uint16_t bit;
    } flags[] = {{"AA", RECEIVED_AA}, {"TC", RECEIVED_TC}, {"RD", RECEIVED_RD},
                 {"RA", RECEIVED_RA}, {"AD", RECEIVED_AD}, {"CD", RECEIVED_CD}};
    static const char *const counts[] = {"QDCOUNT", "ANCOUNT", "NSCOUNT", "ARCOUNT"};
    char text[32];
    put_number(object, "ID", m->id);
    put_number(object, "QR", m->flags >> 15);
    put_number(object, "Opcode", m->flags >> 11 & 15);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        put_number(object, flags[i].name, (m->flags & flags[i].bit) != 0);
    put_number(object, "RCODE", m->rcode);
    put_text(object, "RCODEname", received_rcode_text(m->rcode, text));
    for (unsigned i = 0; i < 4; i++)
        put_number(object, counts[i], m->counts[i]);
    put_number(object, "messageOctets", (long long)m->len);
}

static void put_question(struct object *object, const struct received *m)
{
    char name[NAME_TEXT_MAX], text[32];
    if (m->question_count == 0)
        return;
    const struct received_question *question = &m->questions[0];
    put_text(object, "QNAME", name_to_text(question->name, name));
    put_number(object, "QTYPE", question->type);
    put_text(object, "QTYPEname", received_type_text(question->type, text));
    put_number(object, "QCLASS", question->class);
    put_text(object, "QCLASSname", received_class_text(question->class, text));
}

static void put_record(const struct received_record *record)
{
    char name[NAME_TEXT_MAX], type[32], class[32], key[40];
    struct object object = {false};
    putchar('{');
    put_text(&object, "NAME", name_to_text(record->set.owner, name));
    put_number(&object, "TYPE", record->set.type);
    put_text(&object, "TYPEname", received_type_text(record->set.type, type));
    put_number(&object, "CLASS", record->set.rclass);
    put_text(&object, "CLASSname", received_class_text(record->set.rclass, class));
    put_number(&object, "TTL", record->set.ttl);
    put_number(&object, "RDLENGTH", record->set.rrs.rdata->len);
    put_hex(&object, "RDATAHEX", record->set.rrs.rdata->data, record->set.rrs.rdata->len);
    snprintf(key, sizeof key, "rdata%s", type);
    put_text(&object, key, received_rdata_text(record, &(struct received_style){0}));
    putchar('}');
}

static void put_section(struct object *object, const struct received *m,
                        enum received_section section)
{
    static const char *const names[] = {"", "answerRRs", "authorityRRs", "additionalRRs"};
    bool has_any = false;
    put_key(object, names[section]);
    putchar('[');
    for (size_t i = 0; i < m->record_count; i++) {
        if (m->records[i].section != section)
            continue;
        printf("%s", has_any ? ", " : "");
        put_record(&m->records[i]);
        has_any = true;
    }
    putchar(']');
}

static void put_edns(struct object *object, const struct plan *plan,
                     const struct request_dice *dice, const struct received *m)
{
    static char text[OPTION_TEXT_MAX];
    char name[32];
    uint16_t code, len;
    const uint8_t *data;
    struct object edns = {false};
    bool has_any = false;
    if (!m->has_opt)
        return;
    put_key(object, "EDNS");
    putchar('{');
    put_number(&edns, "version", m->opt_version);
    put_number(&edns, "payload", m->opt_payload);
    put_number(&edns, "DO", m->opt_flags >> 15);
    put_number(&edns, "Z", m->opt_flags & 0x7fff);
    put_key(&edns, "options");
    putchar('[');
    for (size_t at = 0; received_option_next(m, &at, &code, &data, &len); has_any = true) {
        struct object option = {false};
        printf("%s{", has_any ? ", " : "");
        put_number(&option, "code", code);
        put_text(&option, "name", option_name(&plan->edns, code, name));
        put_hex(&option, "dataHEX", data, len);
        if (len > 0)
            put_text(&option, "text", option_text(&plan->edns, dice, code, data, len, text));
        putchar('}');
    }
    printf("]}");
}

static void put_message(struct object *object, const char *key, const struct plan *plan,
                        const struct request_dice *dice, const struct received *m)
{
    struct object message = {false};
    put_key(object, key);
    putchar('{');
    put_header(&message, m);
    put_question(&message, m);
    put_edns(&message, plan, dice, m);
    for (enum received_section section = RECEIVED_ANSWER; section < RECEIVED_SECTIONS; section++)
        put_section(&message, m, section);
    if (m->fault[0] != '\0')
        put_text(&message, "malformed", m->fault);
    if (m->oddity[0] != '\0')
        put_text(&message, "warning", m->oddity);
    if (m->trailing_len > 0)
        put_number(&message, "trailingOctets", (long long)m->trailing_len);
    put_hex(&message, "messageOctetsHEX", m->octets, m->len);
    putchar('}');
}

static void put_exchange(struct object *object, const struct exchange *exchange)
{
    char text[ADDRESS_TEXT_MAX], when[64];
    struct tm tm;
    put_text(object, "server", address_to_text(&exchange->server.address, text));
    put_text(object, "transport", exchange->is_tcp ? "TCP" : "UDP");
    put_number(object, "elapsedMicroseconds", exchange->elapsed_us);
    put_number(object, "dateSeconds", exchange->when);
    if (gmtime_r(&exchange->when, &tm) != NULL &&
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        put_text(object, "dateString", when);
}

static void put_segment(const struct segments *segments, const struct segment *segment)
{
    char flags[9];
    struct object object = {false};
    putchar('{');
    put_number(&object, "microseconds", segment->time_us);
    put_text(&object, "from", segment->is_ours ? "client" : "server");
    put_text(&object, "flags", segments_flags(segment->flags, flags));
    put_number(&object, "seq", segment->seq);
    put_number(&object, "len", segment->len);
    put_number(&object, "ack", segment->ack);
    put_number(&object, "window", segment->window);
    if (segment->mss != 0)
        put_number(&object, "mss", segment->mss);
    if (segment->has_timestamps) {
        put_number(&object, "timestamp", segment->timestamp);
        put_number(&object, "echo", segment->echo);
    }
    if (segment->has_timestamps && segments->is_stateless && !segment->is_ours) {
        struct segment_point point = segments_point(segments, segment->timestamp);
        put_number(&object, "responseEnd", point.response_end);
        put_number(&object, "requestNext", point.request_next);
        put_number(&object, "done", point.is_done);
    }
    putchar('}');
}

static void put_segments(struct object *object, const struct segments *segments)
{
    put_number(object, "statelessServer", segments->is_stateless);
    put_key(object, "segments");
    putchar('[');
    for (size_t i = 0; i < segments->count; i++) {
        printf("%s", i > 0 ? ", " : "");
        put_segment(segments, &segments->list[i]);
    }
    putchar(']');
}

void show_json(const struct plan *plan, const struct exchange *exchange,
               const struct received *response, const struct segments *segments, const char *error)
{
    struct object object = {false};
    putchar('{');
    if (response != NULL)
        put_exchange(&object, exchange);
    else
        put_text(&object, "error", error);
    put_number(&object, "tries", exchange->tries);
    if (exchange->checksum != EXCHANGE_CHECKSUM_UNASKED)
        put_text(&object, "checksum", exchange_checksum_text(exchange->checksum));
    if (exchange->tsig != EXCHANGE_TSIG_UNASKED)
        put_text(&object, "tsig", exchange_tsig_text(exchange->tsig));
    if (exchange->tsig != EXCHANGE_TSIG_UNASKED && exchange->tsig_error != 0)
        put_text(&object, "tsigError", show_tsig_error(exchange->tsig_error));
    put_key(&object, "notes");
    putchar('[');
    for (unsigned i = 0; i < exchange->note_count; i++) {
        printf("%s", i > 0 ? ", " : "");
        put_string(exchange->notes[i]);
    }
    putchar(']');
    if (segments != NULL)
        put_segments(&object, segments);
    if (exchange->request_len > 0) {
        struct received request;
        received_begin(exchange->request, exchange->request_len, &request);
        put_message(&object, "queryMessage", plan, &exchange->dice, &request);
        received_end(&request);
    }
    if (response != NULL)
        put_message(&object, "responseMessage", plan, &exchange->dice, response);
    printf("}\n");
}

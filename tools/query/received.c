/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/received.h"

#include "tools/query/request.h"

#include <libknot/codes.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/errcode.h>
#include <libknot/packet/rrset-wire.h>
#include <libknot/rrset-dump.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 32
/* A record takes 11 octets or more: no message has more of them than this. */
#define RECORDS_MAX (MESSAGE_MAX / 11)
#define QUESTIONS_MAX 16
#define PADDING_LEN 1024

static const char *const section_names[] = {"question", "answer record", "authority record",
                                            "additional record"};

static void set_fault(struct received *r, enum received_section section, unsigned number,
                      const char *what)
{
    snprintf(r->fault, sizeof r->fault, "%s %u: %s", section_names[section], number + 1, what);
}

/* Where the name at `at` ends; 0: it is none. */
static size_t name_end(const struct received *r, size_t at)
{
    if (at >= r->len)
        return 0;
    int len = knot_dname_wire_check(r->octets + at, r->octets + r->len, r->octets);
    return len > 0 ? at + (size_t)len : 0;
}

static size_t read_question(struct received *r, size_t at, unsigned number)
{
    size_t end = name_end(r, at);
    if (end == 0 || r->len - end < 4) {
        set_fault(r, RECEIVED_QUESTION, number, end == 0 ? "malformed name" : "cut off");
        return 0;
    }
    if (number >= QUESTIONS_MAX) {
        set_fault(r, RECEIVED_QUESTION, number, "too many of them");
        return 0;
    }
    struct received_question *question = &r->questions[r->question_count++];
    knot_dname_unpack(question->name, r->octets + at, sizeof question->name, r->octets);
    question->type = octets_be16(r->octets + end);
    question->class = octets_be16(r->octets + end + 2);
    return end + 4;
}

static const char *read_opt(struct received *r, size_t at, size_t fixed_at,
                            enum received_section section)
{
    const uint8_t *fixed = r->octets + fixed_at;
    if (section != RECEIVED_ADDITIONAL)
        return "OPT in this section";
    if (r->has_opt)
        return "a second OPT";
    if (r->octets[at] != 0)
        return "OPT of another name than the root";
    size_t len = octets_be16(fixed + 8), option_at = 0;
    const uint8_t *options = fixed + 10;
    for (; len - option_at >= 4; option_at += 4u + octets_be16(options + option_at + 2))
        if (len - option_at - 4 < octets_be16(options + option_at + 2))
            break;
    if (option_at != len)
        return "an EDNS option that ends beyond OPT";
    r->has_opt = true;
    r->opt_payload = octets_be16(fixed + 2);
    r->rcode = (uint16_t)(r->rcode | fixed[4] << 4);
    r->opt_version = fixed[5];
    r->opt_flags = octets_be16(fixed + 6);
    r->options = options;
    r->options_len = len;
    return NULL;
}

/* The record as octets, whatever its type. */
static bool keep_octets(const struct received *r, struct received_record *record)
{
    const uint8_t *fixed = r->octets + record->rdata_at - 10;
    knot_dname_storage_t owner;
    knot_dname_unpack(owner, r->octets + record->at, sizeof owner, r->octets);
    knot_rrset_init(&record->set, knot_dname_copy(owner, NULL), octets_be16(fixed),
                    octets_be16(fixed + 2), octets_be32(fixed + 4));
    record->is_malformed = true;
    return record->set.owner != NULL &&
           knot_rrset_add_rdata(&record->set, r->octets + record->rdata_at, record->rdata_len,
                                NULL) == KNOT_EOK;
}

static const char *read_rdata(struct received *r, size_t at, size_t rdata_at,
                              enum received_section section, unsigned number)
{
    size_t pos = at;
    struct received_record *record = &r->records[r->record_count];
    *record = (struct received_record){.section = section,
                                       .at = at,
                                       .rdata_at = rdata_at,
                                       .rdata_len = octets_be16(r->octets + rdata_at - 2)};
    knot_rrset_init_empty(&record->set);
    if (knot_rrset_rr_from_wire(r->octets, &pos, r->len, &record->set, NULL, false) == KNOT_EOK &&
        pos == rdata_at + record->rdata_len && record->set.rrs.count == 1) {
        r->record_count++;
        return NULL;
    }
    knot_rrset_clear(&record->set, NULL);
    knot_rrset_init_empty(&record->set);
    if (!keep_octets(r, record)) {
        knot_rrset_clear(&record->set, NULL);
        return "no memory for it";
    }
    if (r->oddity[0] == '\0')
        snprintf(r->oddity, sizeof r->oddity, "%s %u: malformed RDATA", section_names[section],
                 number + 1);
    r->record_count++;
    return NULL;
}

static size_t read_record(struct received *r, size_t at, enum received_section section,
                          unsigned number)
{
    size_t end = name_end(r, at);
    const char *fault = NULL;
    if (end == 0)
        fault = at >= r->len ? "missing" : "malformed name";
    else if (r->len - end < 10 || r->len - end - 10 < octets_be16(r->octets + end + 8))
        fault = "cut off";
    else if (octets_be16(r->octets + end) == KNOT_RRTYPE_OPT)
        fault = read_opt(r, at, end, section);
    else
        fault = read_rdata(r, at, end + 10, section, number);
    if (fault != NULL) {
        set_fault(r, section, number, fault);
        return 0;
    }
    return end + 10 + octets_be16(r->octets + end + 8);
}

void received_begin(const uint8_t *octets, size_t len, struct received *r)
{
    *r = (struct received){.octets = octets, .len = len};
    r->id = octets_be16(octets);
    r->flags = octets_be16(octets + 2);
    r->rcode = r->flags & 15;
    size_t at = HEADER_LEN, expected = 0;
    for (unsigned section = 0; section < RECEIVED_SECTIONS; section++) {
        r->counts[section] = octets_be16(octets + 4 + 2 * section);
        expected += section > 0 ? r->counts[section] : 0;
    }
    r->questions = calloc(QUESTIONS_MAX, sizeof *r->questions);
    r->records = calloc((expected < RECORDS_MAX ? expected : RECORDS_MAX) + 1, sizeof *r->records);
    if (r->questions == NULL || r->records == NULL) {
        snprintf(r->fault, sizeof r->fault, "no memory to take it apart");
        return;
    }
    for (enum received_section section = 0; section < RECEIVED_SECTIONS; section++) {
        for (unsigned i = 0; i < r->counts[section]; i++) {
            at = section == RECEIVED_QUESTION ? read_question(r, at, i)
                                              : read_record(r, at, section, i);
            if (at == 0)
                return;
        }
    }
    r->trailing_len = len - at;
}

void received_end(struct received *response)
{
    for (size_t i = 0; i < response->record_count; i++)
        knot_rrset_clear(&response->records[i].set, NULL);
    free(response->records);
    free(response->questions);
    response->records = NULL;
    response->questions = NULL;
    response->record_count = response->question_count = 0;
}

bool received_option_next(const struct received *response, size_t *at, uint16_t *code_out,
                          const uint8_t **data_out, uint16_t *len_out)
{
    if (*at >= response->options_len)
        return false;
    const uint8_t *option = response->options + *at;
    *code_out = octets_be16(option);
    *len_out = octets_be16(option + 2);
    *data_out = option + 4;
    *at += 4u + *len_out;
    return true;
}

/* Where an octet string with a length of one octet ends; beyond `len`: it does not. */
static size_t string_end(const uint8_t *rdata, size_t len, size_t at)
{
    return at < len ? at + 1 + rdata[at] : len + 1;
}

/* RFC 8945 4.2, as far as lengths go. */
static bool is_tsig_whole(const uint8_t *rdata, size_t len)
{
    size_t at = name_len(rdata, len);
    if (at == 0 || len - at < 10)
        return false;
    at += 8;
    size_t mac_len = octets_be16(rdata + at);
    if (len - at < 2 + mac_len + 6)
        return false;
    at += 2 + mac_len + 4;
    return len - at == 2u + octets_be16(rdata + at);
}

/* libknot's text of these types believes lengths inside of them, or that their fixed part is there:
 * both are checked before. */
static bool is_text_safe(uint16_t type, const uint8_t *rdata, size_t len)
{
    size_t salt_end = string_end(rdata, len, 4);
    switch (type) {
    case KNOT_RRTYPE_KEY:
    case KNOT_RRTYPE_DNSKEY:
    case KNOT_RRTYPE_CDNSKEY:
    case KNOT_RRTYPE_DS:
    case KNOT_RRTYPE_CDS:
        return len >= 4;
    case KNOT_RRTYPE_CERT:
        return len >= 5;
    case KNOT_RRTYPE_NSEC3:
        return salt_end <= len && string_end(rdata, len, salt_end) <= len;
    case KNOT_RRTYPE_NSEC3PARAM:
        return salt_end == len;
    case KNOT_RRTYPE_TSIG:
        return is_tsig_whole(rdata, len);
    case KNOT_RRTYPE_IPSECKEY: /* RFC 4025 2.5: the gateway is a name */
        return len >= 3 && (rdata[1] != 3 || name_len(rdata + 3, len - 3) > 0);
    default:
        return true;
    }
}

const char *received_rdata_text(const struct received_record *record,
                                const struct received_style *wanted)
{
    /* An octet becomes four characters at most, or a short field a word: enough for all types. */
    static char text[8 * MESSAGE_MAX];
    /* What is read beyond RDATA, for all that, is zeros of ours. */
    static union {
        knot_rdata_t rdata;
        uint8_t octets[2 * (MESSAGE_MAX + 1)];
    } padded;
    knot_rrset_t set = record->set;
    size_t len = set.rrs.rdata->len;
    padded.rdata.len = (uint16_t)len;
    memcpy(padded.rdata.data, set.rrs.rdata->data, len);
    memset(padded.rdata.data + len, 0, PADDING_LEN);
    knot_dump_style_t style = {.human_timestamp = true,
                               .wrap = wanted->is_wrapped,
                               .hide_crypto = wanted->is_crypto_hidden,
                               .verbose = wanted->has_remark,
                               .generic = wanted->is_generic || record->is_malformed ||
                                          !is_text_safe(set.type, padded.rdata.data, len)};
    set.rrs.rdata = &padded.rdata;
    int text_len = knot_rrset_txt_dump_data(&set, 0, text, sizeof text, &style);
    if (text_len < 0) {
        style.generic = true;
        text_len = knot_rrset_txt_dump_data(&set, 0, text, sizeof text, &style);
    }
    return text_len < 0 ? "\\# (cannot be shown)" : text;
}

const char *received_type_text(uint16_t type, char *text)
{
    if (knot_rrtype_to_string(type, text, NUMBER_TEXT_MAX) < 0)
        snprintf(text, NUMBER_TEXT_MAX, "TYPE%u", type);
    return text;
}

const char *received_class_text(uint16_t class, char *text)
{
    if (knot_rrclass_to_string(class, text, NUMBER_TEXT_MAX) < 0)
        snprintf(text, NUMBER_TEXT_MAX, "CLASS%u", class);
    return text;
}

const char *received_rcode_text(uint16_t rcode, char *text)
{
    const knot_lookup_t *found = knot_lookup_by_id(knot_rcode_names, rcode);
    if (rcode == KNOT_RCODE_NOTIMPL)
        return "NOTIMP"; /* as IANA's registry has it, and dig */
    if (found != NULL)
        return found->name;
    snprintf(text, NUMBER_TEXT_MAX, "RCODE%u", rcode);
    return text;
}

const char *received_opcode_text(uint8_t opcode, char *text)
{
    const knot_lookup_t *found = knot_lookup_by_id(knot_opcode_names, opcode);
    if (found != NULL)
        return found->name;
    snprintf(text, NUMBER_TEXT_MAX, "OPCODE%u", opcode);
    return text;
}

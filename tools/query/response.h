/* SPDX-License-Identifier: BSD-2-Clause
 *
 * response.h - a message taken apart, as far as it can be. Whoever sent it may mean harm.
 */
#ifndef TOOLS_QUERY_RESPONSE_H
#define TOOLS_QUERY_RESPONSE_H

#include "zonedb/name.h"

#include <libknot/rrset.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum response_section {
    RESPONSE_QUESTION,
    RESPONSE_ANSWER,
    RESPONSE_AUTHORITY,
    RESPONSE_ADDITIONAL,
    RESPONSE_SECTIONS,
};

enum {
    RESPONSE_QR = 0x8000,
    RESPONSE_AA = 0x0400,
    RESPONSE_TC = 0x0200,
    RESPONSE_RD = 0x0100,
    RESPONSE_RA = 0x0080,
    RESPONSE_Z = 0x0040,
    RESPONSE_AD = 0x0020,
    RESPONSE_CD = 0x0010,
};

struct response_question {
    uint8_t name[NAME_MAX_LEN];
    uint16_t type, class;
};

struct response_record {
    enum response_section section;
    size_t at;       /* the record in the message */
    size_t rdata_at; /* its RDATA, as it came */
    uint16_t rdata_len;
    bool is_malformed; /* RDATA that its type does not allow; octets then */
    knot_rrset_t set;  /* this record alone, names expanded */
};

struct response {
    const uint8_t *octets; /* the message; not owned */
    size_t len;
    uint16_t id, flags;
    uint16_t counts[RESPONSE_SECTIONS]; /* as the header has them */
    uint16_t rcode;                     /* with EDNS' eight bits */
    struct response_question *questions;
    size_t question_count;
    struct response_record *records; /* without OPT */
    size_t record_count;
    /* OPT record: */
    bool has_opt;
    uint8_t opt_version;
    uint16_t opt_payload, opt_flags;
    const uint8_t *options; /* well-formed */
    size_t options_len;
    size_t trailing_len; /* octets behind the last record */
    char fault[160];     /* what is wrong with it, and where; "": nothing */
    char oddity[160];    /* the first record of malformed RDATA; "": none */
};

/* Take a message apart. `octets`: 12 to 65535 of them, which must outlive *response_out. Where they
 * are malformed `fault` says so, and what came before is there. response_end() it. */
void response_begin(const uint8_t *octets, size_t len, struct response *response_out);
void response_end(struct response *response);

/* Step through options: `at` is 0 first. False: there are no more. */
bool response_option_next(const struct response *response, size_t *at, uint16_t *code_out,
                          const uint8_t **data_out, uint16_t *len_out);

/* RDATA as text; "\# ..." if it is malformed or unknown. The text is valid until the next call. */
const char *response_rdata_text(const struct response_record *record);

/* Names of numbers. `text` has room for 32. Return `text`, or a constant. */
const char *response_type_text(uint16_t type, char *text);
const char *response_class_text(uint16_t class, char *text);
const char *response_rcode_text(uint16_t rcode, char *text);
const char *response_opcode_text(uint8_t opcode, char *text);

#endif

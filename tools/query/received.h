/* SPDX-License-Identifier: BSD-2-Clause
 *
 * received.h - a message taken apart, as far as it can be. Whoever sent it may mean harm.
 */
#ifndef TOOLS_QUERY_RECEIVED_H
#define TOOLS_QUERY_RECEIVED_H

#include "zonedb/name.h"

#include <libknot/rrset.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum received_section {
    RECEIVED_QUESTION,
    RECEIVED_ANSWER,
    RECEIVED_AUTHORITY,
    RECEIVED_ADDITIONAL,
    RECEIVED_SECTIONS,
};

enum {
    RECEIVED_QR = 0x8000,
    RECEIVED_AA = 0x0400,
    RECEIVED_TC = 0x0200,
    RECEIVED_RD = 0x0100,
    RECEIVED_RA = 0x0080,
    RECEIVED_Z = 0x0040,
    RECEIVED_AD = 0x0020,
    RECEIVED_CD = 0x0010,
};

struct received_question {
    uint8_t name[NAME_MAX_LEN];
    uint16_t type, class;
};

struct received_record {
    enum received_section section;
    size_t at;       /* the record in the message */
    size_t rdata_at; /* its RDATA, as it came */
    uint16_t rdata_len;
    bool is_malformed; /* RDATA that its type does not allow; octets then */
    knot_rrset_t set;  /* this record alone, names expanded */
};

struct received {
    const uint8_t *octets; /* the message; not owned */
    size_t len;
    uint16_t id, flags;
    uint16_t counts[RECEIVED_SECTIONS]; /* as the header has them */
    uint16_t rcode;                     /* with EDNS' eight bits */
    struct received_question *questions;
    size_t question_count;
    struct received_record *records; /* without OPT */
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
 * are malformed `fault` says so, and what came before is there. received_end() it. */
void received_begin(const uint8_t *octets, size_t len, struct received *response_out);
void received_end(struct received *response);

/* Step through options: `at` is 0 first. False: there are no more. */
bool received_option_next(const struct received *response, size_t *at, uint16_t *code_out,
                          const uint8_t **data_out, uint16_t *len_out);

/* How RDATA is written: over several lines; as RFC 3597 has it; without keys and signatures; with a
 * comment that says what they are. */
struct received_style {
    bool is_wrapped, is_generic, is_crypto_hidden, has_remark;
};

/* RDATA as text; "\# ..." if it is malformed or unknown. The text is valid until the next call. */
const char *received_rdata_text(const struct received_record *record,
                                const struct received_style *style);

/* Names of numbers. `text` has room for 32. Return `text`, or a constant. */
const char *received_type_text(uint16_t type, char *text);
const char *received_class_text(uint16_t class, char *text);
const char *received_rcode_text(uint16_t rcode, char *text);
const char *received_opcode_text(uint8_t opcode, char *text);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * compare.h - whether two responses say the same, record set by record set.
 *
 * The same must be: the RCODE (the extended one of EDNS too), the flags AA, TC, RD, RA, AD and CD,
 * whether there is EDNS and its flag DO; and, unless they are truncated, in each of the sections
 * answer, authority and additional the records: owner, type, class, TTL and RDATA, each as often.
 *
 * Nothing counts how they are written: the order of records, compression, the case of letters in
 * owners and in names of RDATA that may be compressed (RFC 3597 4), EDNS options, payload size and
 * version. OPT, TSIG and SIG(0) are no records here.
 *
 * Pure. One thread at a time for a struct compare.
 */
#ifndef TOOLS_BENCH_COMPARE_H
#define TOOLS_BENCH_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The shortest record has 11 octets. */
#define COMPARE_RECORDS_MAX ((65535 - 12) / 11)
#define COMPARE_SECTIONS 3

/* What is said with difference. */
#define COMPARE_TEXT_CAP 2048

struct compare_record {
    uint64_t hash;
    uint32_t at; /* in the message */
};

struct compare_message {
    const uint8_t *octets;
    size_t len;
    unsigned flags, rcode; /* of the header, without QR and opcode; extended */
    bool has_edns, is_do;
    uint32_t ends[COMPARE_SECTIONS]; /* records up to here are of this section or one before */
    struct compare_record records[COMPARE_RECORDS_MAX];
};

struct compare {
    uint8_t key[16]; /* secret: so that nobody can make records that seem the same */
    struct compare_message got, expected;
    uint8_t canonical[65535 + 4 * 255];
};

/* Compare two messages, whose questions the caller has found the same. Both are hostile.
 * true: they say the same. false: `text` gets one sentence on the first difference. */
bool compare_messages(struct compare *compare, const uint8_t *got, size_t got_len,
                      const uint8_t *expected, size_t expected_len, char text[COMPARE_TEXT_CAP]);

#endif

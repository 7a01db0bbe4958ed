/* SPDX-License-Identifier: BSD-2-Clause
 *
 * questions.h - requests made from a zone, for benchmarks:
 *
 *     referral  a name below each delegation     nxdomain  names that do not exist
 *     outside   where no server is in the zone   inside    where all are, but not below the cut
 *     glue      where all are below the cut      mix       three referrals, two nxdomain
 *     ds        DS of each delegation            apex      SOA of the apex
 *     any       ANY of the apex
 *
 * With "+do" behind the kind they carry EDNS with DO, with "+edns" without DO.
 */
#ifndef TEST_BENCH_QUESTIONS_H
#define TEST_BENCH_QUESTIONS_H

#include "zonedb/dns_cookie.h"
#include "zonedb/name.h"
#include "zonedb/zonedb.h"

#include <stdio.h>
#include <string.h>

#define QUESTIONS_MAX ((unsigned)1 << 18)
#define REQUEST_MAX 256

struct questions {
    unsigned count;
    uint16_t len[QUESTIONS_MAX];
    uint8_t octets[QUESTIONS_MAX][REQUEST_MAX]; /* untouched, it takes no memory */
    uint8_t apex[NAME_MAX_LEN];
    unsigned seen; /* delegations met so far */
    char kind[32];
    bool has_edns, is_do;
};

static inline void question_add(struct questions *questions, const uint8_t *prefix,
                                size_t prefix_len, const uint8_t *name, uint16_t qtype)
{
    uint8_t opt[11] = {0, 0, 41, 0x04, 0xd0, 0, 0, questions->is_do ? 0x80 : 0, 0, 0, 0};
    size_t name_octets = name_len(name, NAME_MAX_LEN);
    if (questions->count == QUESTIONS_MAX ||
        12 + prefix_len + name_octets + 4 + sizeof opt > REQUEST_MAX)
        return;
    uint8_t *q = questions->octets[questions->count];
    memset(q, 0, 12);
    q[5] = 1;
    q[11] = questions->has_edns;
    uint8_t *at = q + 12;
    memcpy(at, prefix, prefix_len);
    memcpy(at + prefix_len, name, name_octets);
    at += prefix_len + name_octets;
    const uint8_t type_class[4] = {(uint8_t)(qtype >> 8), (uint8_t)qtype, 0, 1};
    memcpy(at, type_class, sizeof type_class);
    at += sizeof type_class;
    if (questions->has_edns) {
        memcpy(at, opt, sizeof opt);
        at += sizeof opt;
    }
    questions->len[questions->count++] = (uint16_t)(at - q);
}

/* How many of the servers of a delegation have names that end in `suffix`. */
static inline unsigned question_servers(const struct zonedb_rrset *ns, const uint8_t *suffix)
{
    unsigned count = 0;
    const uint8_t *at = ns->rdata;
    for (unsigned i = 0; i < ns->rr_count; i++) {
        count += name_is_at_or_below(at + 2, suffix);
        at += 2 + (at[0] << 8 | at[1]);
    }
    return count;
}

static inline bool question_is_of_kind(const struct questions *questions, const uint8_t *owner,
                                       const struct zonedb_rrset *ns)
{
    unsigned in_zone = question_servers(ns, questions->apex), below = question_servers(ns, owner);
    if (strcmp(questions->kind, "outside") == 0)
        return in_zone == 0;
    if (strcmp(questions->kind, "inside") == 0)
        return in_zone == ns->rr_count && below == 0;
    return strcmp(questions->kind, "glue") != 0 || below == ns->rr_count;
}

/* Called for every RRset of the zone: one question per delegation, spread over the zone. */
static inline int questions_visit(void *context, const uint8_t *owner,
                                  const struct zonedb_rrset *rrset)
{
    struct questions *questions = context;
    const char *kind = questions->kind;
    if (rrset->type != 2 || name_equal(owner, questions->apex))
        return 0;
    questions->seen++;
    if (strcmp(kind, "ds") == 0) {
        question_add(questions, NULL, 0, owner, 43);
    } else if (strcmp(kind, "apex") == 0 || strcmp(kind, "any") == 0) {
        question_add(questions, NULL, 0, questions->apex, kind[1] == 'n' ? 255 : 6);
    } else if (strcmp(kind, "nxdomain") == 0 ||
               (strcmp(kind, "mix") == 0 && questions->seen % 5 < 2)) {
        uint8_t label[13 + 1] = {12}; /* snprintf ends with NUL */
        snprintf((char *)label + 1, sizeof label - 1, "%08x-zz", questions->seen * 2654435761u);
        question_add(questions, label, 13, questions->apex, 1);
    } else if (question_is_of_kind(questions, owner, rrset)) {
        question_add(questions, (const uint8_t *)"\3www\4test", 9, owner, 1);
    }
    return 0;
}

/* Have them, which have EDNS, carry COOKIE: the client's part, or with secrets both, as of now. */
static inline void questions_add_cookie(struct questions *questions,
                                        const struct dns_cookie_secrets *secrets,
                                        const struct dns_cookie_client *client)
{
    uint8_t data[DNS_COOKIE_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t data_len = secrets != NULL ? DNS_COOKIE_LEN : DNS_COOKIE_CLIENT_LEN,
            written[sizeof data];
    if (secrets != NULL) {
        dns_cookie_write(secrets, client, client->now_s, data, DNS_COOKIE_CLIENT_LEN, written);
        memcpy(data, written, sizeof data);
    }
    const uint8_t head[6] = {0, (uint8_t)(4 + data_len), 0, 10, 0, data_len};
    for (unsigned i = 0; i < questions->count; i++) {
        if (questions->len[i] + 4u + data_len > REQUEST_MAX)
            continue;
        uint8_t *end = questions->octets[i] + questions->len[i];
        memcpy(end - 2, head, sizeof head);
        memcpy(end + 4, data, data_len);
        questions->len[i] = (uint16_t)(questions->len[i] + 4 + data_len);
    }
}

/* Outcomes: true; false: no zone with delegations has this name. */
static inline bool questions_make(struct zonedb_view *view, const char *zone, const char *kind,
                                  struct questions *questions)
{
    questions->count = questions->seen = 0;
    questions->is_do = strstr(kind, "+do") != NULL;
    questions->has_edns = questions->is_do || strstr(kind, "+edns") != NULL;
    snprintf(questions->kind, sizeof questions->kind, "%.*s", (int)strcspn(kind, "+"), kind);
    return name_from_text(zone, questions->apex) != 0 &&
           zonedb_zone_walk(view, questions->apex, questions_visit, questions) == 0 &&
           questions->count > 0;
}

#endif

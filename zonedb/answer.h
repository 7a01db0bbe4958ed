/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answer.h - a response in the making, shared by the files that fill it. Private to the room. Pure.
 */
#ifndef ZONEDB_ANSWER_H
#define ZONEDB_ANSWER_H

#include "zonedb/find.h"
#include "zonedb/query.h"
#include "zonedb/response.h"
#include "zonedb/template.h"

/* RRsets beyond the first so many are not remembered: at worst one is added twice. */
#define ADDED_MAX 160

struct answer {
    struct zonedb_view *view;
    const struct respond_policy *policy;
    const struct query *query;
    struct response *response;
    bool is_corrupt; /* the database said something impossible: SERVFAIL */
    uint16_t ede;
    /* What the response depends on, told by the first look-up, and whether it came from a
     * template. */
    const struct template_name *name;
    struct template_use use;
    bool is_from_template;
    /* The RRset whose hosts' addresses go into the additional section; rr_count 0: none. */
    struct zonedb_rrset hosts;
    const uint8_t *hosts_owner;
    struct find_zone hosts_zone;
    const uint8_t *hosts_apex;
    const uint8_t *hosts_cut; /* of a referral: glue for hosts at or below it is required */
    size_t hosts_apex_len, hosts_cut_len;
    unsigned added_count;
    const uint8_t **added; /* room for ADDED_MAX: RDATA of RRsets that must not be added again */
};

/* The name that is being answered: the question's at first, then the CNAMEs' targets. */
struct subject {
    const uint8_t *name;
    uint16_t at; /* where it stands in the message; 0: not known to */
};

/* The subject without its first `labels` labels, as an owner. */
struct owner answer_owner(const struct subject *subject, unsigned labels);

/* Add an RRset and, if DNSSEC data was asked for, its RRSIGs; nothing if it is there already. */
void answer_add(struct answer *answer, enum section section, struct owner owner,
                const struct zonedb_rrset *rrset, const struct zonedb_rrset *sigs,
                uint32_t ttl_max);

/* The same for what may be left out. */
void answer_add_optional(struct answer *answer, struct owner owner,
                         const struct zonedb_rrset *rrset, const struct zonedb_rrset *sigs);

/* An RRset of a node, with its RRSIGs (`sigs_out` may be NULL). Returns whether it is there. */
bool answer_rrset(struct answer *answer, const struct node *node, uint16_t type,
                  struct zonedb_rrset *rrset_out, struct zonedb_rrset *sigs_out);

/* Answer the question, whose name was found so: FIND_DELEGATION, of the cut itself, which has DS if
 * that is asked for, FIND_NO_NODE, or FIND_NODE that has the type asked for. Of `found` needed are
 * the outcome, the zone, node_depth, the key's label count, and the node or the neighbours. */
void answer_as_found(struct answer *answer, const struct found *found);

/* Answer the question, of class IN and no transfer, from the zones. */
void answer_as_asked(struct answer *answer);

/* ---- additional.c ---- */

/* The addresses of the hosts that `rrset` names are wanted, unless responses are to be minimal;
 * `cut`: it is a referral's, whose glue is wanted always, else NULL. */
void additional_want(struct answer *answer, const struct subject *subject,
                     const struct found *found, const struct zonedb_rrset *rrset,
                     const uint8_t *cut);

/* Add what is wanted (RFC 1034 4.3.2 step 6). Glue for name servers below a cut must go along (RFC
 * 9471 3.1); other addresses may. */
void additional_add(struct answer *answer);

/* ---- denial.c: proofs that something does not exist, all into the authority section ---- */

/* NXDOMAIN: neither the name nor a wildcard for it (RFC 4035 3.1.3.2, RFC 5155 7.2.2). */
void denial_no_name(struct answer *answer, const struct subject *subject,
                    const struct found *found);

/* The name, or the wildcard that stands for it, has no such type (RFC 4035 3.1.3.1 and 3.1.3.4,
 * RFC 5155 7.2.3 to 7.2.5). */
void denial_no_data(struct answer *answer, const struct subject *subject,
                    const struct found *found);

/* The answer came from a wildcard: nothing closer exists (RFC 4035 3.1.3.3, RFC 5155 7.2.6). */
void denial_no_closer(struct answer *answer, const struct subject *subject,
                      const struct found *found);

/* A referral without DS (RFC 4035 3.1.4, RFC 5155 7.2.7). */
void denial_no_ds(struct answer *answer, const struct subject *subject, const struct found *found);

/* ---- chaos.c ---- */

/* Questions of class CH (RFC 4892). Returns the RCODE. */
enum rcode chaos_answer(struct answer *answer);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a query becomes an answer: respond() -> answer_in() -> answer_subject(), which is RFC 1034
 * 4.3.2 as a switch over the outcome of one look-up.
 */
#include "zonedb/respond.h"

#include "zonedb/admit.h"
#include "zonedb/answer.h"
#include "zonedb/edns.h"
#include "zonedb/signed.h"
#include "zonedb/view.h"

/* CNAMEs and DNAMEs followed for one question; a longer chain is answered as far as this. */
#define CHAIN_MAX 16

/* What to do after a name has been answered. */
enum step {
    STEP_DONE,
    STEP_FOLLOW, /* the subject is now the target of an alias */
};

/* The names of a chain, to recognise a loop. Aliases' targets lie in the snapshot, but synthesised
 * ones need room of their own. */
struct chain {
    unsigned count;
    const uint8_t *names[CHAIN_MAX];
    bool is_wildcard[CHAIN_MAX]; /* answered by a wildcard: what is closer must be denied */
    uint8_t synthesised[CHAIN_MAX][NAME_MAX_LEN];
};

struct respond_policy respond_policy_default(void)
{
    return (struct respond_policy){
        .udp_payload = RESPOND_UDP_PAYLOAD_DEFAULT,
        .has_edns = true,
        .has_keepalive = true,
        .has_ede = true,
        .has_checksum = true,
        .checksum_code = RESPOND_CHECKSUM_CODE_DEFAULT,
    };
}

/* ---- adding ---- */

struct owner answer_owner(const struct subject *subject, unsigned labels)
{
    const uint8_t *name = name_skip(subject->name, labels);
    uint16_t at = 0;
    if (subject->at != 0 && name[0] != 0) /* the root is shorter than a pointer to it */
        at = (uint16_t)(subject->at + (name - subject->name));
    return (struct owner){name, at};
}

static bool added_before(struct answer *a, const struct zonedb_rrset *rrset)
{
    for (unsigned i = 0; i < a->added_count; i++)
        if (a->added[i] == rrset->rdata)
            return true;
    if (a->added_count < ADDED_MAX)
        a->added[a->added_count++] = rrset->rdata;
    return false;
}

void answer_add(struct answer *a, enum section section, struct owner owner,
                const struct zonedb_rrset *rrset, const struct zonedb_rrset *sigs, uint32_t ttl_max)
{
    if (section != SECTION_ANSWER && added_before(a, rrset))
        return;
    bool is_good = response_add(a->response, section, owner, rrset, ttl_max);
    if (a->query->edns.is_do && sigs != NULL && sigs->rr_count > 0)
        is_good &= response_add(a->response, section, owner, sigs, ttl_max);
    a->is_corrupt |= !is_good;
}

void answer_add_optional(struct answer *a, struct owner owner, const struct zonedb_rrset *rrset,
                         const struct zonedb_rrset *sigs)
{
    if (added_before(a, rrset))
        return;
    bool is_good = response_add_optional(a->response, SECTION_ADDITIONAL, owner, rrset);
    if (a->query->edns.is_do && sigs != NULL && sigs->rr_count > 0)
        is_good &= response_add_optional(a->response, SECTION_ADDITIONAL, owner, sigs);
    a->is_corrupt |= !is_good;
}

bool answer_rrset(struct answer *a, const struct node *node, uint16_t type,
                  struct zonedb_rrset *rrset_out, struct zonedb_rrset *sigs_out)
{
    int status = rrsets_find(node->rrsets, type, rrset_out, sigs_out);
    a->is_corrupt |= status < 0;
    return status == 1;
}

/* ---- the outcomes ---- */

/* SOA of a negative response, TTL = min(SOA TTL, MINIMUM) (RFC 2308 3 and 5). */
static void soa_add(struct answer *a, const struct subject *subject, const struct found *found)
{
    struct zonedb_rrset soa, sigs;
    const uint8_t *rdata;
    uint16_t rdata_len;
    struct node node;
    bool has_soa = block_first(&found->zone.block, &node) &&
                   rrsets_find(node.rrsets, RR_SOA, &soa, &sigs) == 1;
    struct rdata_cursor cursor = rdata_begin(&soa);
    if (!has_soa || rdata_next(&cursor, &rdata, &rdata_len) != 1 || rdata_len < 22) {
        a->is_corrupt = true;
        return;
    }
    struct owner apex = answer_owner(subject, (unsigned)found->key.label_count - found->zone.depth);
    answer_add(a, SECTION_AUTHORITY, apex, &soa, &sigs, load_be32(rdata + rdata_len - 4));
}

static void no_data(struct answer *a, const struct subject *subject, const struct found *found)
{
    soa_add(a, subject, found);
    denial_no_data(a, subject, found);
}

/* All names without node between the same two get the same response. */
static struct template_use negative_use(const struct answer *a, const struct found *found)
{
    struct template_use use = {TEMPLATE_NEGATIVE, found->zone.depth, .is_do = a->query->edns.is_do};
    if (use.is_do && found->zone.signing == ZONEDB_NSEC) {
        use.depth = found->encloser_depth;
        use.of = (uintptr_t)found->predecessor.node.rrsets.at;
    } else if (use.is_do && found->zone.signing == ZONEDB_NSEC3) {
        use = a->use; /* what covers it is known by its hash only */
    }
    return use;
}

static void no_name(struct answer *a, const struct subject *subject, const struct found *found,
                    bool is_first)
{
    a->response->rcode = RCODE_NXDOMAIN;
    if (is_first && a->use.kind != TEMPLATE_NONE) {
        a->use = negative_use(a, found);
        a->is_from_template =
            template_write(a->view->templates, a->name, &a->use, a->response, &a->ede);
        if (a->is_from_template)
            return;
    }
    soa_add(a, subject, found);
    denial_no_name(a, subject, found);
}

/* A referral that was asked for before is kept for all names below the cut. Others have what
 * depends on their servers only, unless there is DS or a proof, from whichever cut had the same
 * ones. Returns whether that was written. */
static bool referral_from_template(struct answer *a, const struct found *found,
                                   const struct zonedb_rrset *ns)
{
    bool is_do = a->query->edns.is_do;
    if (a->use.kind == TEMPLATE_NONE)
        return false;
    if (zonedb_find_is_all_in_zone(a->view, found, found->node_depth)) {
        a->use = (struct template_use){TEMPLATE_REFERRAL, found->node_depth, .is_do = is_do};
        if (template_seen(a->view->templates, a->name, &a->use))
            return false;
    }
    if (is_do && found->zone.signing != ZONEDB_UNSIGNED) {
        a->use.kind = TEMPLATE_NONE;
        return false;
    }
    a->use = template_use_servers(found->zone.depth, found->node_depth, is_do, ns);
    a->is_from_template =
        template_write(a->view->templates, a->name, &a->use, a->response, &a->ede);
    return a->is_from_template;
}

/* RFC 1034 4.3.2 step 3b. */
static void referral(struct answer *a, const struct subject *subject, const struct found *found,
                     bool is_first)
{
    struct zonedb_rrset ns, ds, sigs;
    unsigned labels = (unsigned)found->key.label_count - found->node_depth;
    struct owner cut = answer_owner(subject, labels);
    if (!answer_rrset(a, &found->node, RR_NS, &ns, NULL)) {
        a->is_corrupt = true;
        return;
    }
    if (is_first && referral_from_template(a, found, &ns))
        return;
    answer_add(a, SECTION_AUTHORITY, cut, &ns, NULL, TTL_AS_STORED);
    if (a->query->edns.is_do && found->zone.signing != ZONEDB_UNSIGNED) {
        if (answer_rrset(a, &found->node, RR_DS, &ds, &sigs))
            answer_add(a, SECTION_AUTHORITY, cut, &ds, &sigs, TTL_AS_STORED);
        else
            denial_no_ds(a, subject, found);
    }
    additional_want(a, subject, found, &ns, cut.name);
}

/* QTYPE ANY: everything, RRSIGs included. */
static void any_full(struct answer *a, struct owner owner, const struct found *found)
{
    struct rrsets rest = found->node.rrsets;
    struct zonedb_rrset rrset;
    int status;
    while ((status = rrsets_next(&rest, &rrset)) == 1)
        answer_add(a, SECTION_ANSWER, owner, &rrset, NULL, TTL_AS_STORED);
    a->is_corrupt |= status < 0;
}

/* QTYPE ANY, minimal: one RRset (RFC 8482 4.1), of use to whoever asks if there is such a one. */
static void any_minimal(struct answer *a, struct owner owner, const struct found *found)
{
    struct rrsets rest = found->node.rrsets;
    struct zonedb_rrset rrset, sigs;
    uint16_t type = 0;
    int status;
    while ((status = rrsets_next(&rest, &rrset)) == 1) {
        if (rrset.type == RR_RRSIG)
            continue;
        if (type == 0 || type == RR_NSEC)
            type = rrset.type;
    }
    a->is_corrupt |= status < 0;
    if (answer_rrset(a, &found->node, type, &rrset, &sigs))
        answer_add(a, SECTION_ANSWER, owner, &rrset, &sigs, TTL_AS_STORED);
}

/* QTYPE RRSIG: all of the node. Returns whether there was one. */
static bool rrsigs(struct answer *a, struct owner owner, const struct found *found)
{
    struct rrsets rest = found->node.rrsets;
    struct zonedb_rrset rrset;
    bool has_any = false;
    int status;
    while ((status = rrsets_next(&rest, &rrset)) == 1) {
        if (rrset.type == RR_RRSIG) {
            answer_add(a, SECTION_ANSWER, owner, &rrset, NULL, TTL_AS_STORED);
            has_any = true;
        }
    }
    a->is_corrupt |= status < 0;
    return has_any;
}

/* The only name in the RDATA of an RRset of one record; NULL if it is not so. */
static const uint8_t *only_name(const struct zonedb_rrset *rrset)
{
    struct rdata_cursor cursor = rdata_begin(rrset);
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (rrset->rr_count != 1 || rdata_next(&cursor, &rdata, &rdata_len) != 1 ||
        name_len(rdata, rdata_len) != rdata_len)
        return NULL;
    return rdata;
}

/* Make `target` the subject, unless the chain has become too long or has been there. */
static enum step follow(struct chain *chain, struct subject *subject, const uint8_t *target)
{
    for (unsigned i = 0; i < chain->count; i++)
        if (name_equal(chain->names[i], target))
            return STEP_DONE;
    if (chain->count == CHAIN_MAX)
        return STEP_DONE;
    chain->is_wildcard[chain->count] = false;
    chain->names[chain->count++] = target;
    *subject = (struct subject){target, 0};
    return STEP_FOLLOW;
}

/* The node's own records, or those of a wildcard: RFC 1034 4.3.2 steps 3a and 3c, 4. */
static enum step node_answer(struct answer *a, struct chain *chain, struct subject *subject,
                             const struct found *found)
{
    struct zonedb_rrset rrset, sigs;
    struct owner owner = answer_owner(subject, 0);
    uint16_t qtype = a->query->qtype;
    const uint8_t *alias = NULL;
    bool has_answer = true;
    if (found->is_empty_non_terminal) {
        has_answer = false;
    } else if (qtype == RR_ANY) {
        (a->policy->is_any_full ? any_full : any_minimal)(a, owner, found);
    } else if (qtype == RR_RRSIG && rrsigs(a, owner, found)) {
        has_answer = true;
    } else if (answer_rrset(a, &found->node, qtype, &rrset, &sigs)) {
        answer_add(a, SECTION_ANSWER, owner, &rrset, &sigs, TTL_AS_STORED);
        additional_want(a, subject, found, &rrset, NULL);
    } else if (answer_rrset(a, &found->node, RR_CNAME, &rrset, &sigs)) {
        alias = only_name(&rrset);
        a->is_corrupt |= alias == NULL;
        answer_add(a, SECTION_ANSWER, owner, &rrset, &sigs, TTL_AS_STORED);
    } else {
        has_answer = false;
    }
    if (!has_answer)
        no_data(a, subject, found);
    else
        chain->is_wildcard[chain->count - 1] = found->outcome == FIND_WILDCARD;
    return alias != NULL ? follow(chain, subject, alias) : STEP_DONE;
}

/* RFC 6672 3.1 and 3.2: the DNAME, and a CNAME made from it. */
static enum step dname(struct answer *a, struct chain *chain, struct subject *subject,
                       const struct found *found)
{
    struct zonedb_rrset rrset, sigs;
    unsigned labels = (unsigned)found->key.label_count - found->node_depth;
    const uint8_t *target;
    a->use.kind = TEMPLATE_NONE; /* the alias has the question's upper and lower case */
    if (!answer_rrset(a, &found->node, RR_DNAME, &rrset, &sigs) ||
        (target = only_name(&rrset)) == NULL) {
        a->is_corrupt = true;
        return STEP_DONE;
    }
    if (!added_before(a, &rrset)) /* a chain may come by again */
        answer_add(a, SECTION_ANSWER, answer_owner(subject, labels), &rrset, &sigs, TTL_AS_STORED);
    size_t prefix_len = (size_t)(name_skip(subject->name, labels) - subject->name);
    size_t target_len = name_len(target, NAME_MAX_LEN);
    if (prefix_len + target_len > NAME_MAX_LEN) {
        a->response->rcode = RCODE_YXDOMAIN;
        return STEP_DONE;
    }
    uint8_t rdata[2 + NAME_MAX_LEN];
    uint8_t *alias = chain->synthesised[chain->count - 1];
    store_be16(rdata, (uint16_t)(prefix_len + target_len));
    memcpy(alias, subject->name, prefix_len);
    memcpy(alias + prefix_len, target, target_len);
    memcpy(rdata + 2, alias, prefix_len + target_len);
    struct zonedb_rrset cname = {RR_CNAME, 1, rrset.ttl, rdata,
                                 (uint32_t)(2 + prefix_len + target_len)};
    answer_add(a, SECTION_ANSWER, answer_owner(subject, 0), &cname, NULL, TTL_AS_STORED);
    if (a->query->qtype == RR_CNAME)
        return STEP_DONE;
    return follow(chain, subject, alias);
}

/* One name of the chain, looked up. The first one decides AA and REFUSED (RFC 1035 4.1.1,
 * RFC 6604). */
static enum step answer_found(struct answer *a, struct chain *chain, struct subject *subject,
                              const struct found *found)
{
    bool is_first = chain->count == 1;
    enum find_outcome outcome = found->outcome;
    if (is_first && outcome != FIND_NOT_AUTHORITATIVE && outcome != FIND_CORRUPT &&
        (outcome != FIND_DELEGATION ||
         (a->query->qtype == RR_DS && found->node_depth == found->key.label_count)))
        a->response->flags |= FLAG_AA;
    switch (outcome) {
    case FIND_NOT_AUTHORITATIVE:
        if (is_first) {
            a->response->rcode = RCODE_REFUSED;
            a->ede = EDE_NOT_AUTHORITATIVE;
        }
        return STEP_DONE;
    case FIND_NODE:
    case FIND_WILDCARD:
        return node_answer(a, chain, subject, found);
    case FIND_DELEGATION:
        /* The parent's side of the cut is authoritative for DS (RFC 4035 3.1.4.1). */
        if (a->query->qtype == RR_DS && found->node_depth == found->key.label_count)
            return node_answer(a, chain, subject, found);
        referral(a, subject, found, is_first);
        return STEP_DONE;
    case FIND_DNAME:
        return dname(a, chain, subject, found);
    case FIND_NO_NODE:
        no_name(a, subject, found, is_first);
        return STEP_DONE;
    case FIND_CORRUPT:
        a->is_corrupt = true;
        return STEP_DONE;
    }
    return STEP_DONE;
}

static enum step answer_subject(struct answer *a, struct chain *chain, struct subject *subject,
                                struct found *found)
{
    zonedb_find_key(a->view, a->query->qtype, found);
    return answer_found(a, chain, subject, found);
}

/* For every name of the chain that a wildcard answered. The look-up is done again: it is rare, and
 * proofs must not come before the last record of the answer. */
static void wildcard_proofs(struct answer *a, const struct chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        struct subject subject = {chain->names[i], i == 0 ? HEADER_LEN : 0};
        struct found found;
        if (chain->is_wildcard[i] &&
            zonedb_find(a->view, subject.name, a->query->qtype, &found) == FIND_WILDCARD)
            denial_no_closer(a, &subject, &found);
    }
}

static void chain_begin(struct chain *chain, const uint8_t *name)
{
    chain->names[0] = name;
    chain->is_wildcard[0] = false;
    chain->count = 1;
}

void answer_as_found(struct answer *a, const struct found *found)
{
    struct subject subject = {a->query->qname, HEADER_LEN};
    struct chain chain;
    assert(found->outcome == FIND_DELEGATION || found->outcome == FIND_NO_NODE ||
           found->outcome == FIND_NODE);
    chain_begin(&chain, subject.name);
    answer_found(a, &chain, &subject, found);
    additional_add(a);
}

/* The first name, whose key is in `found`, and those that aliases lead to. Sections in their order:
 * the chain's answers, the last name's outcome, proofs, addresses. */
static void answer_chain(struct answer *a, struct found *found)
{
    struct subject subject = {a->query->qname, HEADER_LEN};
    struct chain chain;
    chain_begin(&chain, subject.name);
    enum step step = answer_subject(a, &chain, &subject, found);
    while (step == STEP_FOLLOW && !a->is_corrupt) {
        struct found next;
        find_key_set(&next.key, 0, subject.name);
        step = answer_subject(a, &chain, &subject, &next);
    }
    if (a->query->edns.is_do)
        wildcard_proofs(a, &chain);
    additional_add(a);
}

void answer_as_asked(struct answer *a)
{
    struct found found;
    find_key_set(&found.key, 0, a->query->qname);
    answer_chain(a, &found);
}

/* Zone transfers go by other doors; meta types other than ANY are no data (RFC 6895 3.1). */
static bool is_transfer(uint16_t qtype)
{
    return qtype == RR_AXFR || qtype == RR_IXFR;
}

static void answer_from_zones(struct answer *a)
{
    if (a->query->qclass == CLASS_CH) {
        a->response->rcode = (uint16_t)chaos_answer(a);
    } else if (a->query->qclass != CLASS_IN || is_transfer(a->query->qtype)) {
        a->response->rcode = RCODE_REFUSED;
    } else {
        answer_as_asked(a);
    }
    if (a->is_corrupt) {
        response_clear(a->response);
        a->response->is_overflow = false;
        a->response->flags &= (uint16_t)~FLAG_AA;
        a->response->rcode = RCODE_SERVFAIL;
        a->use.kind = TEMPLATE_NONE;
    }
}

/* From a template if there is one. Returns the extended error. */
static uint16_t answer_query(struct zonedb_view *view, const struct respond_policy *policy,
                             const struct query *query, struct response *r)
{
    const uint8_t *added[ADDED_MAX];
    struct template_name name;
    struct template_use use = {.kind = TEMPLATE_NONE};
    uint16_t ede = EDE_NONE;
    if (view->templates != NULL && view->is_active && query->qclass == CLASS_IN &&
        !is_transfer(query->qtype)) {
        template_name_set(&name, query->qname, query->qname_len);
        use.kind = TEMPLATE_EXACT;
        use.depth = name.label_count;
        use.of =
            (uint64_t)policy->is_minimal << 17 | (uint64_t)policy->is_any_full << 16 | query->qtype;
        use.is_do = query->edns.is_do;
        if (template_answer(view->templates, &name, &use, query->qtype, r, &ede))
            return ede;
    }
    struct answer a = {
        .view = view,
        .policy = policy,
        .query = query,
        .response = r,
        .name = &name,
        .use = use,
        .added = added,
    };
    answer_from_zones(&a);
    if (a.use.kind != TEMPLATE_NONE && !a.is_from_template)
        template_keep(view->templates, &name, &a.use, r, a.ede);
    return a.ede;
}

bool respond_is_lasting(const struct respond_policy *policy, const uint8_t *request,
                        size_t request_len)
{
    struct query query;
    return query_parse(policy, request, request_len, &query) == QUERY_SILENT ||
           (!query.has_tsig && query.edns.cookie == NULL);
}

/* What a request gets that is not answered from zones. */
static uint16_t refusal(const struct respond_policy *policy, const struct respond_client *client,
                        const struct query *query, enum query_outcome outcome)
{
    switch (outcome) {
    case QUERY_FORMERR:
        return RCODE_FORMERR;
    case QUERY_NOTIMP:
        return RCODE_NOTIMP;
    case QUERY_BADVERS:
        return RCODE_BADVERS;
    case QUERY_NOTAUTH:
        return RCODE_NOTAUTH;
    case QUERY_COOKIE:
        return query->edns.cookie_len != DNS_COOKIE_CLIENT_LEN &&
                       !edns_has_good_cookie(policy, client, query)
                   ? RCODE_BADCOOKIE
                   : RCODE_NOERROR;
    case QUERY_SILENT:
    case QUERY_OK:
        break;
    }
    return RCODE_NOERROR;
}

size_t respond(struct zonedb_view *view, const struct respond_policy *policy,
               const struct respond_client *client, const uint8_t *request, size_t request_len,
               uint8_t *response, size_t response_cap)
{
    assert(response_cap >= RESPOND_UDP_PAYLOAD_MIN && response_cap <= RESPOND_MESSAGE_MAX);
    struct query query;
    struct response r;
    struct tsig_reply reply;
    uint16_t ede = EDE_NONE;
    enum query_outcome outcome = query_parse(policy, request, request_len, &query);
    if (outcome == QUERY_SILENT)
        return 0;
    size_t limit = edns_response_limit(policy, client, &query, response_cap);
    if (query.has_tsig)
        limit = signed_check(policy, client, request, request_len, limit, &query, &outcome, &reply);
    response_begin(&r, response, limit - edns_reserve(policy, client, &query), &query);
    if (outcome != QUERY_OK) {
        r.rcode = refusal(policy, client, &query, outcome);
        admit_briefly(client, &query);
    } else if (client->restraint == RESPOND_FREELY || admit(policy, client, &query, &r)) {
        ede = answer_query(view, policy, &query, &r);
    }
    size_t len = edns_end(&r, policy, client, &query, limit, ede);
    return query.has_tsig ? signed_end(&reply, &r, limit) : len;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe audit - is each zone still delegated to us?
 *
 * No snapshot is held while others are waited for: what the zone says of itself is copied first.
 */
#include "server/address.h"
#include "tools/audit/ask.h"
#include "tools/audit/store.h"
#include "tools/lethe.h"
#include "zonedb/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FINDINGS_DEFAULT 3
#define SPREAD_DEFAULT_S 21600
#define TIMEOUT_DEFAULT_S 3
#define TRIES 2
/* What policy cut-ttl leaves of the TTL of NS at the apex. */
#define TTL_CUT 60

enum {
    TYPE_NS = 2,
    TYPE_DS = 43,
    TYPE_DNSKEY = 48,
};

struct audit {
    const struct lethe_arguments *arguments;
    struct zonedb *db;
    struct audit_store *store;
    struct audit_entry otherwise; /* of zones that have nothing of their own */
    struct audit_asker *asker;
    unsigned timeout_s;
    struct audit_rules rules;
    struct audit_servers given, hints;
    bool has_policy;
    enum audit_policy policy; /* given */
    unsigned audited, lost;
    bool has_json; /* one was written */
};

/* One zone, as it was when the audit came to it. */
struct subject {
    struct zonedb_zone known;
    struct audit_zone zone;
    uint8_t *octets[2];
    bool has_own; /* a zone above is in our database */
    struct audit_answer own;
    uint32_t own_ttl;
};

/* ---- what is in our database ---- */

static int copy_rrset(struct zonedb_view *view, const uint8_t *apex, uint16_t type,
                      struct zonedb_rrset *rrset, uint8_t **octets)
{
    int error = zonedb_rrset_get(view, apex, apex, type, rrset);

    if (error == -ENOENT)
        *rrset = (struct zonedb_rrset){.rr_count = 0};
    if (error != 0)
        return error == -ENOENT ? 0 : error;
    *octets = malloc(rrset->rdata_len + 1U);
    if (*octets == NULL)
        return -ENOMEM;
    memcpy(*octets, rrset->rdata, rrset->rdata_len);
    rrset->rdata = *octets;
    return 0;
}

/* The delegation in the closest zone above that we have, if it is served. */
static void look_above(struct zonedb_view *view, struct subject *subject)
{
    const uint8_t *apex = subject->zone.apex;
    struct zonedb_zone above;
    struct zonedb_rrset servers, ds;

    for (unsigned labels = 1; labels <= name_label_count(apex); labels++) {
        const uint8_t *name = name_skip(apex, labels);
        if (zonedb_zone_get(view, name, &above) != 0)
            continue;
        if (above.state != ZONEDB_SERVING)
            return;
        subject->has_own = true;
        if (zonedb_rrset_get(view, name, apex, TYPE_NS, &servers) != 0) {
            subject->own = (struct audit_answer){.verdict = AUDIT_VERDICT_FOUND,
                                                 .found = AUDIT_UNDELEGATED,
                                                 .why = "our zone above has no such delegation"};
            return;
        }
        const bool has_ds = zonedb_rrset_get(view, name, apex, TYPE_DS, &ds) == 0;
        audit_judge_own(&subject->zone, &servers, has_ds ? &ds : NULL, &subject->own);
        subject->own_ttl = servers.ttl;
        return;
    }
}

static int subject_begin(struct zonedb_view *view, const uint8_t *apex, struct subject *subject)
{
    *subject = (struct subject){.has_own = false};
    int error = zonedb_view_refresh(view);

    if (error >= 0)
        error = zonedb_zone_get(view, apex, &subject->known);
    if (error == 0) {
        memcpy(subject->zone.apex, subject->known.apex, sizeof(subject->zone.apex));
        error = copy_rrset(view, apex, TYPE_NS, &subject->zone.servers, &subject->octets[0]);
    }
    if (error == 0)
        error = copy_rrset(view, apex, TYPE_DNSKEY, &subject->zone.keys, &subject->octets[1]);
    if (error == 0)
        look_above(view, subject);
    zonedb_view_rest(view);
    return error;
}

static void subject_end(struct subject *subject)
{
    free(subject->octets[0]);
    free(subject->octets[1]);
}

/* ---- asking ---- */

static void ask(struct audit *audit, const struct subject *subject, const struct audit_entry *entry,
                struct audit_answer *answer)
{
    const struct audit_entry *with = entry->parent_count > 0 ? entry : &audit->otherwise;
    struct audit_servers from = audit->given;

    for (uint32_t i = 0; i < with->parent_count && audit->given.count == 0; i++)
        from.of[from.count++] = with->parents[i];
    if (from.count > 0)
        audit_ask(audit->asker, &subject->zone, &from, answer);
    else if (audit->hints.count > 0)
        audit_ask(audit->asker, &subject->zone, &audit->hints, answer);
    else if (subject->has_own)
        *answer = subject->own;
    else
        *answer = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS,
                                        .why = "nobody to ask: see --parent and --hints"};
}

/* ---- acting ---- */

struct doing {
    const uint8_t *apex;
    bool has_state, has_ttl;
    enum zonedb_zone_state state;
    uint32_t ttl_min, ttl_max;
};

static int write_doing(struct zonedb_writer *writer, void *context)
{
    const struct doing *doing = context;
    int error = 0;

    if (doing->has_ttl)
        error = zonedb_writer_apex_ns_ttl(writer, doing->apex, doing->ttl_min, doing->ttl_max);
    if (error == 0 && doing->has_state)
        error = zonedb_writer_zone_state(writer, doing->apex, doing->state);
    return error;
}

/* What has to be changed in the zones' database, and is noted in the entry. */
static struct doing decide(const struct subject *subject, enum audit_action action,
                           struct audit_entry *entry)
{
    struct doing doing = {.apex = subject->zone.apex};
    const uint32_t ttl = subject->zone.servers.ttl;

    if (action != AUDIT_SERVE && ttl > TTL_CUT) {
        doing.has_ttl = true;
        doing.ttl_max = TTL_CUT;
        entry->cut_zone = subject->known.id;
        entry->ttl_uncut = ttl;
    } else if (action == AUDIT_SERVE && entry->cut_zone != 0) {
        /* A zone that was loaded meanwhile has brought its own. */
        doing.has_ttl = entry->cut_zone == subject->known.id;
        doing.ttl_min = doing.ttl_max = entry->ttl_uncut;
        entry->cut_zone = entry->ttl_uncut = 0;
    }
    if (action == AUDIT_STOP && subject->known.state == ZONEDB_SERVING) {
        doing.has_state = entry->is_withheld = true;
        doing.state = ZONEDB_WITHHELD;
    } else if (action != AUDIT_STOP && entry->is_withheld) {
        doing.has_state = subject->known.state == ZONEDB_WITHHELD;
        doing.state = ZONEDB_SERVING;
        entry->is_withheld = false;
    }
    return doing;
}

/* ---- telling ---- */

static const char *doing_text(const struct doing *doing, const struct subject *subject)
{
    if (doing->has_state)
        return doing->state == ZONEDB_WITHHELD ? "withheld from now on" : "served again";
    if (doing->has_ttl)
        return doing->ttl_min == 0 ? "served, TTL of NS cut" : "served, TTL of NS as before";
    return subject->known.state == ZONEDB_WITHHELD ? "withheld" : "served";
}

static void tell(struct audit *audit, const struct subject *subject,
                 const struct audit_entry *entry, enum audit_policy policy,
                 const struct audit_answer *answer, const struct doing *doing)
{
    const struct audit_record *record = &entry->record;
    const bool is_news = doing->has_state || doing->has_ttl;
    const uint32_t ttl = record->delegation_ttl;
    char text[NAME_TEXT_MAX];

    name_to_text(subject->zone.apex, text);
    if (audit->arguments->is_json) {
        printf("%s{\"zone\": ", audit->has_json ? ",\n " : "[");
        lethe_json_string(stdout, text);
        printf(", \"state\": \"%s\", \"found\": \"%s\", \"why\": ", audit_state_name(record->state),
               audit_state_name(record->found));
        lethe_json_string(stdout, answer->why);
        printf(", \"policy\": \"%s\", \"since\": %" PRIu64 ", \"findings\": %" PRIu32
               ", \"delegation_ttl\": %" PRIu32 ", \"ns_ttl\": %" PRIu32 ", \"doing\": \"%s\"}",
               audit_policy_name(policy), record->state_s, record->series_count, ttl,
               subject->zone.servers.ttl, doing_text(doing, subject));
        audit->has_json = true;
    } else if (!audit->arguments->is_quiet || is_news || record->state == AUDIT_MISMATCHED ||
               record->state == AUDIT_UNDELEGATED) {
        printf("%s: %s; found %s: %s; %s\n", text, audit_state_name(record->state),
               audit_state_name(record->found), answer->why, doing_text(doing, subject));
    }
    if (!audit->arguments->is_quiet && record->state == AUDIT_DELEGATED && ttl > 0 &&
        subject->zone.servers.ttl > ttl)
        fprintf(stderr,
                "lethe: %s: warning: its NS have a TTL of %" PRIu32 ", the parent's %" PRIu32
                ": caches may keep to them after a move; see: lethe db set ns-ttl-cap\n",
                text, subject->zone.servers.ttl, ttl);
}

/* ---- a zone, all zones ---- */

static int audit_zone(struct audit *audit, struct zonedb_view *view, const uint8_t *apex)
{
    struct audit_entry entry;
    struct subject subject;
    struct audit_answer answer;
    int error = audit_store_get(audit->store, apex, &entry);

    if (error != 0)
        return error;
    if (audit->has_policy && audit->arguments->word_count > 0) {
        entry.has_policy = true;
        entry.policy = audit->policy;
    }
    for (size_t i = 0; i < audit->given.count && audit->arguments->word_count > 0; i++) {
        entry.parents[i] = audit->given.of[i];
        entry.parent_count = (uint32_t)i + 1;
    }
    const enum audit_policy policy = entry.has_policy ? entry.policy : audit->otherwise.policy;
    if (policy == AUDIT_OFF && !entry.is_withheld && entry.cut_zone == 0)
        return audit_store_put(audit->store, apex, &entry);
    error = subject_begin(view, apex, &subject);
    if (error == 0) {
        const uint64_t now_s = (uint64_t)time(NULL);
        ask(audit, &subject, &entry, &answer);
        audit_find(&entry.record,
                   answer.verdict == AUDIT_VERDICT_FOUND ? answer.found : AUDIT_UNKNOWN, answer.ttl,
                   now_s, &audit->rules);
        struct doing doing = decide(&subject, audit_act(&entry.record, policy, now_s), &entry);
        /* Noted first: what the audit has done must be known to it, if all ends between the two. */
        error = audit_store_put(audit->store, apex, &entry);
        if (error == 0 && (doing.has_state || doing.has_ttl))
            error = lethe_write(audit->db, write_doing, &doing);
        if (error == 0)
            tell(audit, &subject, &entry, policy, &answer, &doing);
        audit->audited++;
        audit->lost +=
            entry.record.state == AUDIT_MISMATCHED || entry.record.state == AUDIT_UNDELEGATED;
    }
    subject_end(&subject);
    return error;
}

static int audit_named(struct audit *audit, struct zonedb_view *view)
{
    for (int i = 0; i < audit->arguments->word_count; i++) {
        uint8_t apex[NAME_MAX_LEN];
        if (!lethe_name(audit->arguments->words[i], apex))
            return -EINVAL;
        const int error = audit_zone(audit, view, apex);
        if (error == -ENOENT)
            lethe_fail("%s: no zone %s there; see: lethe --db %s zone list", audit->arguments->db,
                       audit->arguments->words[i], audit->arguments->db);
        if (error != 0)
            return error == -ENOENT ? -EINVAL : error;
    }
    return 0;
}

static int audit_all(struct audit *audit, struct zonedb_view *view)
{
    struct zonedb_zone zone;
    uint8_t apex[NAME_MAX_LEN];

    for (bool is_first = true;; is_first = false) {
        int error = zonedb_view_refresh(view);
        if (error >= 0)
            error = zonedb_zone_next(view, is_first ? NULL : apex, &zone);
        zonedb_view_rest(view);
        if (error != 0)
            return error == -ENOENT ? 0 : error;
        name_copy_lower(apex, zone.apex);
        error = audit_zone(audit, view, apex);
        if (error != 0 && error != -ENOENT) /* it may have been removed meanwhile */
            return error;
    }
}

/* ---- options ---- */

static bool parse_seconds(const char *text, uint64_t *seconds_out)
{
    static const char units[] = "smhd";
    static const uint64_t factors[] = {1, 60, 3600, 86400};
    const size_t digits = strspn(text, "0123456789");
    const char *unit = text[digits] != '\0' ? strchr(units, text[digits]) : units;

    if (digits == 0 || digits > 9 || unit == NULL ||
        (text[digits] != '\0' && text[digits + 1] != '\0'))
        return false;
    *seconds_out = strtoull(text, NULL, 10) * factors[unit - units];
    return true;
}

static int read_options(struct audit *audit)
{
    const struct lethe_arguments *arguments = audit->arguments;
    uint64_t number;

    audit->rules = (struct audit_rules){FINDINGS_DEFAULT, SPREAD_DEFAULT_S};
    audit->timeout_s = TIMEOUT_DEFAULT_S;
    for (int i = 0; i < arguments->parent_count; i++) {
        struct sockaddr_storage address;
        if (i == AUDIT_PARENTS_MAX)
            return lethe_usage("at most %d times --parent", AUDIT_PARENTS_MAX);
        if (!address_parse(arguments->parents[i], &address))
            return lethe_usage("--parent %s: not ADDRESS or ADDRESS@PORT", arguments->parents[i]);
        audit->given.of[audit->given.count++] = address;
    }
    audit->has_policy = arguments->policy != NULL;
    if (audit->has_policy && !audit_policy_parse(arguments->policy, &audit->policy))
        return lethe_usage("--policy %s: off, warn, cut-ttl or withhold", arguments->policy);
    if (arguments->spread != NULL && !parse_seconds(arguments->spread, &audit->rules.spread_s))
        return lethe_usage("--spread %s: not a time such as 90, 30m or 6h", arguments->spread);
    if (arguments->findings != NULL) {
        if (!parse_seconds(arguments->findings, &number) || number == 0 || number > 1000)
            return lethe_usage("--findings %s: 1 to 1000", arguments->findings);
        audit->rules.findings = (uint32_t)number;
    }
    if (arguments->timeout != NULL) {
        if (!parse_seconds(arguments->timeout, &number) || number == 0 || number > 60)
            return lethe_usage("--timeout %s: 1 to 60 seconds", arguments->timeout);
        audit->timeout_s = (unsigned)number;
    }
    return EXIT_OK;
}

static int read_hints(struct audit *audit)
{
    char error[AUDIT_WHY_MAX];

    if (audit->arguments->hints == NULL ||
        audit_hints(audit->arguments->hints, &audit->hints, error) == 0)
        return EXIT_OK;
    return lethe_fail("%s", error);
}

/* What holds for all zones that have nothing of their own. */
static int set_defaults(struct audit *audit)
{
    int error = audit_store_get(audit->store, NULL, &audit->otherwise);

    if (error == 0 && !audit->otherwise.has_policy)
        audit->otherwise.policy = AUDIT_WARN;
    if (error != 0 || audit->arguments->word_count > 0 ||
        (!audit->has_policy && audit->given.count == 0))
        return error;
    audit->otherwise.has_policy |= audit->has_policy;
    if (audit->has_policy)
        audit->otherwise.policy = audit->policy;
    for (size_t i = 0; i < audit->given.count; i++) {
        audit->otherwise.parents[i] = audit->given.of[i];
        audit->otherwise.parent_count = (uint32_t)i + 1;
    }
    return audit_store_put(audit->store, NULL, &audit->otherwise);
}

static int run(struct audit *audit)
{
    struct zonedb_view *view = NULL;
    int error = audit_store_open(audit->arguments->db, true, &audit->store);

    if (error == 0)
        error = set_defaults(audit);
    if (error == 0)
        error = zonedb_view_open(audit->db, &view);
    if (error == 0) {
        zonedb_view_rest(view);
        if (audit->arguments->word_count > 0)
            error = audit_named(audit, view);
        else
            error = audit_all(audit, view);
    }
    zonedb_view_close(view);
    audit_store_close(audit->store);
    if (audit->arguments->is_json)
        fputs(audit->has_json ? "]\n" : "[]\n", stdout);
    if (error == -EINVAL)
        return EXIT_REFUSED; /* told */
    if (error != 0)
        return lethe_fail("%s: %s", audit->arguments->db, strerror(-error));
    return lethe_finish_output(audit->lost > 0 ? EXIT_REFUSED : EXIT_OK);
}

int lethe_audit(const struct lethe_arguments *arguments)
{
    struct audit *audit = calloc(1, sizeof(*audit));

    if (audit == NULL)
        return lethe_fail("out of memory");
    audit->arguments = arguments;
    int exit_code = read_options(audit);
    if (exit_code == EXIT_OK)
        exit_code = read_hints(audit);
    if (exit_code == EXIT_OK) {
        audit->db = lethe_open(arguments, ZONEDB_WRITE);
        lethe_waiting_ends();
        audit->asker = audit_asker_new(audit->timeout_s, TRIES);
        if (audit->asker == NULL)
            exit_code = lethe_fail("out of memory");
        else
            exit_code = audit->db != NULL ? run(audit) : EXIT_REFUSED;
        audit_asker_free(audit->asker);
        zonedb_close(audit->db);
    }
    free(audit);
    return exit_code;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe audit - is each zone still delegated to us?
 *
 * Zones are asked for many at once. No snapshot is held while others are waited for: what the zone says
 * of itself is copied first.
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
/* Findings that are written, and acted upon, at once. */
#define ENDED_MAX 64
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
    struct audit_servers given, hints, parents; /* the last: of `otherwise` */
    struct zonedb_view *view;
    uint8_t apex[NAME_MAX_LEN];       /* of the zone that was begun last */
    int begun;                        /* zones */
    int error;                        /* that ends it all */
    struct subject *ended[ENDED_MAX]; /* that have their answer; nothing of it is written yet */
    size_t ended_count;
    bool has_policy;
    enum audit_policy policy; /* given */
    unsigned lost;
    bool has_json; /* one was written */
};

/* What is to be changed in the zones' database. */
struct doing {
    const uint8_t *apex;
    bool has_state, has_ttl;
    enum zonedb_zone_state state;
    uint32_t ttl_min, ttl_max;
};

/* One zone, as it was when the audit came to it. */
struct subject {
    struct audit_question question; /* first */
    struct audit_servers parents;
    struct audit_entry entry;
    enum audit_policy policy;
    struct zonedb_zone known;
    struct audit_zone zone;
    uint8_t *octets[2];
    bool has_own; /* a zone above is in our database; the answer is its */
    struct doing doing;
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
            subject->question.answer =
                (struct audit_answer){.verdict = AUDIT_VERDICT_FOUND,
                                      .found = AUDIT_UNDELEGATED,
                                      .why = "our zone above has no such delegation"};
            return;
        }
        const bool has_ds = zonedb_rrset_get(view, name, apex, TYPE_DS, &ds) == 0;
        audit_judge_own(&subject->zone, &servers, has_ds ? &ds : NULL, &subject->question.answer);
        return;
    }
}

static int subject_begin(struct zonedb_view *view, const uint8_t *apex, struct subject *subject)
{
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

static void subject_free(struct subject *subject)
{
    if (subject == NULL)
        return;
    free(subject->octets[0]);
    free(subject->octets[1]);
    free(subject);
}

/* ---- asking ---- */

/* Whom to ask; nobody: the answer is there. What would be news is asked for over TCP at once, where
 * news is to be expected: see ask.h. */
static void ask_whom(struct audit *audit, struct subject *subject)
{
    struct audit_question *question = &subject->question;
    const struct audit_entry *entry = &subject->entry;
    const struct audit_record *record = &entry->record;

    question->zone = &subject->zone;
    question->trust = record->series_count > 0 && record->series != AUDIT_DELEGATED
                          ? AUDIT_TRUST_TCP
                          : AUDIT_TRUST_GOOD;
    for (uint32_t i = 0; i < entry->parent_count; i++)
        subject->parents.of[subject->parents.count++] = entry->parents[i];
    if (audit->given.count > 0)
        question->from = &audit->given;
    else if (subject->parents.count > 0)
        question->from = &subject->parents;
    else if (audit->parents.count > 0)
        question->from = &audit->parents;
    else if (audit->hints.count > 0)
        question->from = &audit->hints;
    else if (!subject->has_own)
        question->answer = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS,
                                                 .why = "nobody to ask: see --parent and --hints"};
}

/* ---- acting ---- */

/* A zone that has been removed meanwhile needs nothing. */
static int write_doing(struct zonedb_writer *writer, const struct doing *doing)
{
    int error = 0;

    if (doing->has_ttl)
        error = zonedb_writer_apex_ns_ttl(writer, doing->apex, doing->ttl_min, doing->ttl_max);
    if (error == 0 && doing->has_state)
        error = zonedb_writer_zone_state(writer, doing->apex, doing->state);
    return error == -ENOENT ? 0 : error;
}

static int write_ended(struct zonedb_writer *writer, void *context)
{
    const struct audit *audit = context;
    int error = 0;

    for (size_t i = 0; i < audit->ended_count && error == 0; i++)
        error = write_doing(writer, &audit->ended[i]->doing);
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

static void tell(struct audit *audit, const struct subject *subject)
{
    const struct audit_record *record = &subject->entry.record;
    const struct audit_answer *answer = &subject->question.answer;
    const struct doing *doing = &subject->doing;
    const enum audit_policy policy = subject->policy;
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

static int note_ended(struct audit *audit)
{
    struct audit_note *notes = calloc(ENDED_MAX, sizeof(*notes));

    if (notes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < audit->ended_count; i++) {
        memcpy(notes[i].apex, audit->ended[i]->zone.apex, sizeof(notes[i].apex));
        notes[i].entry = audit->ended[i]->entry;
    }
    const int error = audit_store_note(audit->store, notes, audit->ended_count);
    free(notes);
    return error;
}

/* One commit for all of them, since an image of the zones is made anew after each that withholds one. */
static void ended_write(struct audit *audit)
{
    bool has_to_write = false;

    for (size_t i = 0; i < audit->ended_count; i++)
        has_to_write |= audit->ended[i]->doing.has_state || audit->ended[i]->doing.has_ttl;
    /* Noted first: what the audit has done must be known to it, if all ends between the two. */
    if (audit->error == 0 && audit->ended_count > 0)
        audit->error = note_ended(audit);
    if (audit->error == 0 && has_to_write)
        audit->error = lethe_write(audit->db, write_ended, audit);
    for (size_t i = 0; i < audit->ended_count; i++) {
        if (audit->error == 0)
            tell(audit, audit->ended[i]);
        subject_free(audit->ended[i]);
    }
    audit->ended_count = 0;
}

/* Takes the subject over. */
static void end(struct audit *audit, struct subject *subject)
{
    const struct audit_answer *answer = &subject->question.answer;
    struct audit_record *record = &subject->entry.record;
    const uint64_t now_s = (uint64_t)time(NULL);

    audit_find(record, answer->verdict == AUDIT_VERDICT_FOUND ? answer->found : AUDIT_UNKNOWN,
               answer->ttl, now_s, &audit->rules);
    subject->doing = decide(subject, audit_act(record, subject->policy, now_s), &subject->entry);
    audit->lost += record->state == AUDIT_MISMATCHED || record->state == AUDIT_UNDELEGATED;
    audit->ended[audit->ended_count++] = subject;
    if (audit->ended_count == ENDED_MAX)
        ended_write(audit);
}

static void done(void *context, struct audit_question *question)
{
    struct subject *subject = (struct subject *)question;
    struct audit *audit = context;

    if (audit->error == 0)
        end(audit, subject);
    else
        subject_free(subject);
}

/* The zone's entry, with what was given for it by name. */
static int entry_begin(struct audit *audit, const uint8_t *apex, struct audit_entry *entry)
{
    const bool is_named = audit->arguments->word_count > 0;
    const int error = audit_store_get(audit->store, apex, entry);

    if (error != 0 || !is_named || (!audit->has_policy && audit->given.count == 0))
        return error;
    if (audit->has_policy) {
        entry->has_policy = true;
        entry->policy = audit->policy;
    }
    for (size_t i = 0; i < audit->given.count; i++) {
        entry->parents[i] = audit->given.of[i];
        entry->parent_count = (uint32_t)i + 1;
    }
    return audit_store_put(audit->store, apex, entry);
}

/* Outcomes: 1 it is to be looked after; 0 it is not; negative errno. */
static int begin(struct audit *audit, const uint8_t *apex, struct subject *subject)
{
    const struct audit_entry *entry = &subject->entry;
    int error = zonedb_view_refresh(audit->view);

    if (error >= 0)
        error = zonedb_zone_get(audit->view, apex, &subject->known);
    zonedb_view_rest(audit->view);
    if (error == 0)
        error = entry_begin(audit, apex, &subject->entry);
    if (error != 0)
        return error;
    subject->policy = entry->has_policy ? entry->policy : audit->otherwise.policy;
    if (subject->policy == AUDIT_OFF && !entry->is_withheld && entry->cut_zone == 0)
        return 0;
    error = subject_begin(audit->view, apex, subject);
    return error == 0 ? 1 : error;
}

/* The zone to come. Outcomes: 1; 0 there is none; negative errno. */
static int next_apex(struct audit *audit)
{
    struct zonedb_zone zone;
    const int begun = audit->begun++;

    if (audit->arguments->word_count > 0) {
        if (begun == audit->arguments->word_count)
            return 0;
        return lethe_name(audit->arguments->words[begun], audit->apex) ? 1 : -EINVAL;
    }
    int error = zonedb_view_refresh(audit->view);
    if (error >= 0)
        error = zonedb_zone_next(audit->view, begun == 0 ? NULL : audit->apex, &zone);
    zonedb_view_rest(audit->view);
    if (error != 0)
        return error == -ENOENT ? 0 : error;
    name_copy_lower(audit->apex, zone.apex);
    return 1;
}

static int tell_unknown(const struct audit *audit)
{
    if (audit->arguments->word_count == 0)
        return 0; /* removed meanwhile */
    lethe_fail("%s: no zone %s there; see: lethe --db %s zone list", audit->arguments->db,
               audit->arguments->words[audit->begun - 1], audit->arguments->db);
    return -EINVAL;
}

/* The next question that others are to be asked; what needs nobody is done on the way. */
static struct audit_question *next(void *context)
{
    struct audit *audit = context;

    while (audit->error == 0) {
        const int outcome = next_apex(audit);
        if (outcome != 1) {
            audit->error = outcome;
            break;
        }
        struct subject *subject = calloc(1, sizeof(*subject));
        const int error = subject == NULL ? -ENOMEM : begin(audit, audit->apex, subject);
        if (error == 1) {
            ask_whom(audit, subject);
            if (subject->question.from != NULL)
                return &subject->question;
            end(audit, subject);
            continue;
        }
        subject_free(subject);
        audit->error = error == -ENOENT ? tell_unknown(audit) : error;
    }
    return NULL;
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
    int error = audit_store_open(audit->arguments->db, true, &audit->store);

    if (error == 0)
        error = set_defaults(audit);
    for (uint32_t i = 0; i < audit->otherwise.parent_count; i++)
        audit->parents.of[audit->parents.count++] = audit->otherwise.parents[i];
    if (error == 0)
        error = zonedb_view_open(audit->db, &audit->view);
    if (error == 0) {
        zonedb_view_rest(audit->view);
        audit_ask_all(audit->asker, next, done, audit);
        error = audit->error; /* what has its answer is written all the same */
        audit->error = 0;
        ended_write(audit);
        error = error != 0 ? error : audit->error;
    }
    zonedb_view_close(audit->view);
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

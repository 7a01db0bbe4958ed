/* SPDX-License-Identifier: BSD-2-Clause
 *
 * state.h - what is believed of a zone's delegation, finding by finding. Pure: the time is an argument.
 *
 *     finding ---> series of equal findings ---> state ---> what to do, by the zone's policy
 *
 * Bad news is believed when it has come `findings` times in a row, the last at least `spread_s` after
 * the first. Good news is believed at once. That nobody could be asked (unknown) is no news: it neither
 * ends a series nor adds to it.
 */
#ifndef TOOLS_AUDIT_STATE_H
#define TOOLS_AUDIT_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum audit_state {
    AUDIT_UNKNOWN,
    AUDIT_DELEGATED, /* the parent's referral for this cut names a server that the zone names too */
    AUDIT_MISMATCHED,  /* there is one, but it names others, or its DS fit no key of the zone */
    AUDIT_UNDELEGATED, /* the parent says that there is none */
};

enum audit_policy {
    AUDIT_OFF,      /* the zone is not looked after */
    AUDIT_WARN,     /* findings are told */
    AUDIT_CUT_TTL,  /* and NS at the apex get a short TTL */
    AUDIT_WITHHOLD, /* and the zone is withheld */
};

enum audit_action {
    AUDIT_SERVE,
    AUDIT_SERVE_CUT,
    AUDIT_STOP,
};

struct audit_rules {
    uint32_t findings; /* at least 1 */
    uint64_t spread_s;
};

/* All that is kept of a zone. Begins as zeroes. Times are Unix times. */
struct audit_record {
    enum audit_state state;
    uint64_t state_s;       /* since when */
    enum audit_state found; /* last, AUDIT_UNKNOWN too */
    uint64_t found_s;
    enum audit_state series; /* of what it is a series, if count > 0 */
    uint32_t series_count;
    uint64_t series_s;       /* its first finding */
    uint64_t gone_s;         /* the first finding against the delegation, in such a state */
    uint32_t delegation_ttl; /* of the parent's NS when they were seen last; 0: never */
};

/* One more finding. `delegation_ttl`: of the NS in the parent's referral; 0: there were none.
 * Returns whether the state is another one than before. */
bool audit_find(struct audit_record *record, enum audit_state found, uint32_t delegation_ttl,
                uint64_t now_s, const struct audit_rules *rules);

/* What is to be done with the zone now. A zone is not stopped before caches have lost the delegation
 * that was: the parent's TTL, counted from the first finding against it. */
enum audit_action audit_act(const struct audit_record *record, enum audit_policy policy,
                            uint64_t now_s);

/* Names. The parsers return false if the text is none. */
const char *audit_state_name(enum audit_state state);
const char *audit_policy_name(enum audit_policy policy);
bool audit_policy_parse(const char *text, enum audit_policy *policy_out);

#endif

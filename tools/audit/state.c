/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/state.h"

#include <assert.h>
#include <string.h>

static const char *const state_names[] = {"unknown", "delegated", "mismatched", "undelegated"};
static const char *const policy_names[] = {"off", "warn", "cut-ttl", "withhold"};

static bool is_bad(enum audit_state state)
{
    return state == AUDIT_MISMATCHED || state == AUDIT_UNDELEGATED;
}

static bool enter(struct audit_record *record, enum audit_state state, uint64_t now_s)
{
    if (record->state == state)
        return false;
    if (!is_bad(state))
        record->gone_s = 0;
    else if (!is_bad(record->state))
        record->gone_s = record->series_s;
    record->state = state;
    record->state_s = now_s;
    return true;
}

bool audit_find(struct audit_record *record, enum audit_state found, uint32_t delegation_ttl,
                uint64_t now_s, const struct audit_rules *rules)
{
    assert(rules->findings > 0);
    record->found = found;
    record->found_s = now_s;
    if (found == AUDIT_UNKNOWN)
        return false;
    if (delegation_ttl > 0)
        record->delegation_ttl = delegation_ttl;
    /* A clock that was set back begins the series anew: it has seen no time pass. */
    if (record->series_count == 0 || record->series != found || record->series_s > now_s) {
        record->series = found;
        record->series_count = 0;
        record->series_s = now_s;
    }
    if (record->series_count < UINT32_MAX)
        record->series_count++;
    if (found == AUDIT_DELEGATED)
        return enter(record, found, now_s);
    if (record->series_count < rules->findings || now_s - record->series_s < rules->spread_s)
        return false;
    return enter(record, found, now_s);
}

enum audit_action audit_act(const struct audit_record *record, enum audit_policy policy,
                            uint64_t now_s)
{
    if (!is_bad(record->state))
        return AUDIT_SERVE;
    switch (policy) {
    case AUDIT_OFF:
    case AUDIT_WARN:
        return AUDIT_SERVE;
    case AUDIT_CUT_TTL:
        return AUDIT_SERVE_CUT;
    case AUDIT_WITHHOLD:
        break;
    }
    const bool is_over =
        now_s >= record->gone_s && now_s - record->gone_s >= record->delegation_ttl;
    return is_over ? AUDIT_STOP : AUDIT_SERVE_CUT;
}

const char *audit_state_name(enum audit_state state)
{
    return state_names[state];
}

const char *audit_policy_name(enum audit_policy policy)
{
    return policy_names[policy];
}

bool audit_policy_parse(const char *text, enum audit_policy *policy_out)
{
    for (unsigned i = 0; i < sizeof(policy_names) / sizeof(policy_names[0]); i++) {
        if (strcmp(text, policy_names[i]) == 0) {
            *policy_out = (enum audit_policy)i;
            return true;
        }
    }
    return false;
}

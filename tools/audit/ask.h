/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ask.h - ask a parent's servers for a delegation. May take as long as all tries do.
 */
#ifndef TOOLS_AUDIT_ASK_H
#define TOOLS_AUDIT_ASK_H

#include "tools/audit/judge.h"

#include <sys/socket.h>

/* Servers of one zone that are asked, at most. */
#define AUDIT_SERVERS_MAX 4
/* Addresses of servers that are known, at most. */
#define AUDIT_ADDRESSES_MAX 64
/* Referrals that are followed for one question. */
#define AUDIT_LEVELS_MAX 16

struct audit_servers {
    size_t count;
    struct sockaddr_storage of[AUDIT_ADDRESSES_MAX];
};

/* Asks; owned by the caller until audit_asker_free(). NULL: no memory. */
struct audit_asker;
struct audit_asker *audit_asker_new(unsigned timeout_s, unsigned tries);
void audit_asker_free(struct audit_asker *asker);

/* Addresses of the root from a file of hints (see lethe-query(1)). Outcomes: 0; negative errno, and
 * `error`, which has room for AUDIT_WHY_MAX, says why. */
int audit_hints(const char *file, struct audit_servers *servers_out, char *error);

/* Ask for the zone's NS, without recursion, UDP first, where `from` begins: at servers of the zone
 * above, or of one further up, such as the root; referrals lead down. Of the servers of the zone
 * above up to AUDIT_SERVERS_MAX are asked; the best that one of them says counts. If none says
 * anything, the verdict is AUDIT_VERDICT_USELESS, and `why` tells of the last one. */
void audit_ask(struct audit_asker *asker, const struct audit_zone *zone,
               const struct audit_servers *from, struct audit_answer *answer_out);

/* What a cache has of a zone's NS. */
struct audit_cached {
    struct audit_names servers; /* none: the cache has nothing */
    uint32_t ttl;               /* what is left of it */
    bool has_asked_others;      /* the question was one with recursion: the cache may have asked */
};

/* Ask a cache for the NS of `apex`: without recursion at first, so that it tells what it has and
 * learns nothing; one that gives no answer then, as dnscache does, is asked with recursion.
 * Returns whether there was an answer; if not, `why` (AUDIT_WHY_MAX) tells. */
bool audit_ask_cache(struct audit_asker *asker, const uint8_t *apex,
                     const struct sockaddr_storage *cache, struct audit_cached *cached_out,
                     char *why);

#endif

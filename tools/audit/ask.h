/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ask.h - ask parents' servers for delegations, many at once.
 *
 *     next() --> walk: from `from` down to the servers of the zone above, of these the best answer --> done()
 *
 * POLITE: AUDIT_WALKS_MAX questions at once, AUDIT_PER_SERVER_MAX of them to one address; what a
 * referral says is kept for the run, so that of 10,000 zones a few ask the root; who was silent
 * AUDIT_SILENT_MAX times in a row is not asked any more in this run.
 *
 * WHO COULD HAVE A ZONE WITHHELD that is rightly delegated, by lying to the audit?
 *  - Who is not on the path: nothing counts against a zone that came over UDP. What says so, or what
 *    led there, is asked for again from the beginning, over TCP alone, and with referrals that came
 *    over TCP alone; a server that does not answer over TCP has said nothing. So a forger has to
 *    guess a sequence number of 32 bits (RFC 9293, RFC 6528) besides all that he would over UDP
 *    (flight.h), for each finding, within one round trip, and findings count only `findings` times in
 *    a row, spread over hours (state.h). Nor can he keep a zone served: while findings are against
 *    it, that it is delegated is asked over TCP as well (AUDIT_TRUST_TCP).
 *  - Who fills a server's line, so that nobody hears it: then it has said nothing, which is no news.
 *  - A server of the zone above, or of one above that, or who can write on the path to one, for hours,
 *    and to all that are asked: the best that one of them says counts. That is whoever can take the
 *    zone away for everybody else as well; no signature is checked here.
 *  - The system's resolver, where name servers of a referral come without addresses: it is believed.
 *    It should be one that validates, on this machine; --parent does without.
 * May take as long as all tries do; a look-up by the system's resolver holds all questions up.
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

#define AUDIT_WALKS_MAX 64
#define AUDIT_PER_SERVER_MAX 8
#define AUDIT_SILENT_MAX 32

enum audit_trust {
    AUDIT_TRUST_UDP,  /* whatever comes: for who only looks */
    AUDIT_TRUST_GOOD, /* over UDP only that the zone is delegated */
    AUDIT_TRUST_TCP,  /* over UDP nothing */
};

/* One zone that is asked for. All is the caller's, and stays where it is until it is done. */
struct audit_question {
    const struct audit_zone *zone;
    const struct audit_servers *from;
    enum audit_trust trust;
    struct audit_answer answer; /* out */
};

/* Asks; owned by the caller until audit_asker_free(). `tries`: over UDP, of each server. NULL: no
 * memory. One thread. */
struct audit_asker;
struct audit_asker *audit_asker_new(unsigned timeout_s, unsigned tries);
void audit_asker_free(struct audit_asker *asker);

/* Addresses of the root from a file of hints (see lethe-query(1)). Outcomes: 0; negative errno, and
 * `error`, which has room for AUDIT_WHY_MAX, says why. */
int audit_hints(const char *file, struct audit_servers *servers_out, char *error);

/* The next question to ask, NULL: there are no more; and one that has its answer. The first may be
 * called before the last one is done. Neither may ask by the same asker. */
typedef struct audit_question *audit_next(void *context);
typedef void audit_done(void *context, struct audit_question *question);

/* Ask for each zone's NS, without recursion, where its `from` begins: at servers of the zone above, or
 * of one further up, such as the root; referrals lead down. Of the servers of the zone above up to
 * AUDIT_SERVERS_MAX are asked, until one says that the zone is delegated; the best that one of them
 * says counts. If none says anything, the verdict is AUDIT_VERDICT_USELESS, and `why` tells of the
 * last one. done() is called once for each, in any order. */
void audit_ask_all(struct audit_asker *asker, audit_next *next, audit_done *done, void *context);

/* The same of one, with trust AUDIT_TRUST_UDP. */
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
bool audit_ask_cache(const uint8_t *apex, const struct sockaddr_storage *cache, unsigned timeout_s,
                     unsigned tries, struct audit_cached *cached_out, char *why);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * restrain.h - what a source has to show before it is answered over UDP, by the operator's policy.
 *
 * Over TCP, and with a good cookie, a source has shown that its address is its own: it is no
 * reflector's victim, and is not restrained. Others have a rate for each prefix; beyond it they get
 * what sends them there, TC=1 or BADCOOKIE, which is no longer than what they sent but for the 16
 * octets of a cookie's server part, or nothing.
 *
 * One struct restrain for all threads of a configuration.
 */
#ifndef SERVER_RESTRAIN_H
#define SERVER_RESTRAIN_H

#include "server/shun.h"
#include "stateless_tcp/prefix.h"
#include "zonedb/respond.h"

struct restrain;

/* When something is asked of a client. */
enum restrain_when {
    RESTRAIN_WHEN_NEVER,
    RESTRAIN_WHEN_OVER_RATE, /* its prefix is */
    RESTRAIN_WHEN_ALWAYS,
};

/* An operator's policy. */
struct restrain_config {
    unsigned rate; /* queries a second of one prefix; 0: any number */
    unsigned slip; /* beyond it one of so many in a row, nobody knows which, is answered;
                                    0: none */
    unsigned ipv4_len, ipv6_len; /* bits of an address that tell prefixes apart */
    size_t table_size;           /* octets, as buckets_open() takes them */
    enum restrain_when require_cookie, tcp_only;
    const struct prefix *allowed; /* never restrained */
    size_t allowed_count;
    bool is_shunning; /* whom it finds over the rate, and others, are to be asked to go away */
};

/* How much of it happened. */
struct restrain_counts {
    uint64_t over_rate; /* queries of a prefix beyond its rate */
    uint64_t dropped;   /* of them, those that got no answer */
};

enum restrain_verdict {
    RESTRAIN_NOT,       /* below its rate, or there is none for it */
    RESTRAIN_OVER_RATE, /* to be answered as client->restraint says */
    RESTRAIN_DROPPED,   /* not to be answered */
};

/* Whether there is anybody to restrain. */
bool restrain_is_wanted(const struct restrain_config *config);

/* By a policy, which is copied. Outcomes: 0, with NULL if there is nobody to restrain; negative
 * errno. */
int restrain_open(const struct restrain_config *config, struct restrain **restrain_out);

/* Have it keep who asks unwanted sources to go away (shun.h), and close it with itself. Before it is
 * used. */
void restrain_set_shun(struct restrain *restrain, struct shun *shun);

/* NULL: nobody is asked. NULL is allowed. */
struct shun *restrain_shun(const struct restrain *restrain);

/* NULL is allowed. */
void restrain_close(struct restrain *restrain);

/* Judge a request over UDP of client->address, at `now_us` of a clock that is never set back, and set
 * client->restraint. `restrain`: NULL, everybody is answered. Any thread. */
enum restrain_verdict restrain_judge(struct restrain *restrain, const struct respond_policy *policy,
                                     const uint8_t *request, size_t request_len, uint64_t now_us,
                                     struct respond_client *client);

/* Since restrain_open(). NULL is allowed. */
struct restrain_counts restrain_count(const struct restrain *restrain);

#endif

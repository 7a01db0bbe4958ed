/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exchange.h - a plan is asked, a believable response comes back, or it is told why not.
 */
#ifndef TOOLS_QUERY_EXCHANGE_H
#define TOOLS_QUERY_EXCHANGE_H

#include "tools/query/request.h"
#include "tools/query/segments.h"
#include "tools/query/servers.h"

#include <time.h>

#define NOTES_MAX 32
#define NOTE_LEN_MAX 256

enum exchange_checksum {
    EXCHANGE_CHECKSUM_UNASKED,
    EXCHANGE_CHECKSUM_GOOD,
    EXCHANGE_CHECKSUM_BAD, /* over TCP too: there is no response */
    EXCHANGE_CHECKSUM_ABSENT,
};

enum exchange_tsig {
    EXCHANGE_TSIG_UNASKED,
    EXCHANGE_TSIG_GOOD,
    EXCHANGE_TSIG_REFUSED,  /* signed, and says what was wrong with our request's */
    EXCHANGE_TSIG_UNSIGNED, /* says so too, but anybody can have */
    EXCHANGE_TSIG_ABSENT,   /* no signature */
    EXCHANGE_TSIG_BAD,      /* wrong, or late: there is no response */
};

struct exchange {
    struct request_dice dice;
    uint8_t request[MESSAGE_MAX];
    size_t request_len;
    uint8_t response[MESSAGE_MAX];
    size_t response_len; /* 0: there is none */
    struct server server;
    bool is_tcp;
    time_t when;
    int64_t elapsed_us;
    unsigned tries;
    enum exchange_checksum checksum;
    enum exchange_tsig tsig;
    struct tsig_asked tsig_asked;        /* of the request */
    uint16_t tsig_error;                 /* what the response's record says of ours */
    char notes[NOTES_MAX][NOTE_LEN_MAX]; /* what happened on the way, in order */
    unsigned note_count;
};

/* What lasts from one query to the next. */
struct exchange_context {
    int fd; /* of TCP that stays open; -1: none */
    struct sockaddr_storage fd_server;
    struct segments *segments; /* what is seen of TCP, where a plan wants that; NULL: nothing */
};

#define EXCHANGE_CONTEXT_INIT ((struct exchange_context){.fd = -1})

/* Ask one server after the other, as often as the plan says, until a response can be believed: the
 * right identifier and question, well-formed, no bad CHECKSUM or TSIG. Over UDP first unless the plan
 * says TCP; TC, and a CHECKSUM that is bad, lead to TCP. One that should be signed and is not is
 * taken if no better one comes within a second.
 * Outcomes: 0 it is in *exchange_out; -ENOENT none came; other negative errno: nothing could be
 * tried. The notes tell more in each case. */
int exchange_run(const struct plan *plan, const struct servers *servers,
                 struct exchange_context *context, struct exchange *exchange_out);

/* Close what the context holds. */
void exchange_context_end(struct exchange_context *context);

/* Words for verdicts: "good", "bad", "absent"... */
const char *exchange_checksum_text(enum exchange_checksum checksum);
const char *exchange_tsig_text(enum exchange_tsig tsig);

/* Whether the response has the protection that was asked for. What is only there against blind
 * forgers (CHECKSUM, the well-known key) may be absent. */
bool exchange_is_believed(const struct plan *plan, const struct exchange *exchange);

#endif

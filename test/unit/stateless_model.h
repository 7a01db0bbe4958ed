/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stateless_model.h - a client, a server of profile `modern`, and the air between them, as one
 * value that can be copied and compared. For stateless_model_test.c, which says what is explored.
 *
 *     stateless_model_server.c   the server: real frames; what its cache knows is part of the world
 *     stateless_model_client.c   the client: its kernel and its application
 */
#ifndef TEST_UNIT_STATELESS_MODEL_H
#define TEST_UNIT_STATELESS_MODEL_H

#include "stateless_tcp/modern.h"
#include "test/unit/stateless_frames.h"

#include <check.h>
#include <string.h>

#define REQUESTS 4
#define STREAM_CAP 3400
#define FLIGHT_CAP 24
#define AHEAD_CAP 8
#define SACKS_MAX 3     /* beside timestamps no more find room */
#define IRS 0xfffffff0u /* the client's numbers wrap soon */

/* Check's own assertions tell their place to another process each time: millions are too many. */
#define must(condition, ...)         \
    do {                             \
        if (!(condition))            \
            model_fail(__VA_ARGS__); \
    } while (0)
#define must_be(condition) must(condition, "%s", #condition)

struct scenario {
    const char *name;
    unsigned response_len[REQUESTS];
    unsigned changed_len[REQUESTS]; /* once the responses have changed */
    unsigned count;
    bool is_pipelined; /* all at once, a segment each; else one after the other */
    bool is_joined;    /* pipelined, and in one segment */
    bool is_split;     /* lengths travel alone */
    bool is_half_closing;
    bool is_impatient; /* one after the other, but the next as soon as a response begins */
    bool is_ack_late;
    bool has_no_timestamps;
    bool has_sack;    /* the client tells what it has out of order, and what came twice */
    bool has_opening; /* begins with the SYN; else where the connection is established */
    unsigned cut;     /* segments of the client are no longer */
    unsigned burst, window;
    unsigned losses, repeats, overtakes, timers; /* what may go wrong */
    unsigned forgets;                            /* with the cache */
    unsigned changes;                            /* of the responses: 0 or 1 */
    unsigned troubles;                           /* of all these together; 0: any number */
    bool is_vast;                                /* with the cache, fewer of them */
    bool is_cached;                              /* the test runs them both ways */
    bool has_driver; /* with the cache, behind an XDP program that answers what it can */
};

/* A segment on its way. */
struct segment {
    uint32_t seq, ack, value, echo;
    uint16_t at, len;  /* data: where in the sender's stream */
    uint16_t versions; /* which of our streams */
    uint8_t flags, sack_count;
    struct span {
        uint16_t from, to;
    } sacks[SACKS_MAX];
    bool is_to_server;
};

struct client {
    uint32_t una, next;              /* offsets in our stream of requests, FIN counts */
    uint32_t sent[2 * REQUESTS + 2]; /* where segments begin, in flight ones */
    unsigned sent_count;
    uint32_t rcv, last_ack, recent; /* recent: TS.Recent */
    uint32_t fin_at;                /* of the server's, 0: unknown */
    uint16_t asked;                 /* requests given to the kernel */
    bool is_open, is_fin_sent, is_reset, is_ack_due, has_fin;
    bool is_last_ack; /* our end came before its own: CLOSE-WAIT before that */
    unsigned ahead_count;
    struct span ahead[AHEAD_CAP]; /* there, but out of order; ascending, with gaps between */
};

/* What a server's cache knows. The ring's octets follow from it: what is there is right, which is
 * looked at after each step. */
struct memory {
    struct recent_entry entry;
    struct recent_note note; /* what the driver in front of it answered last */
    uint64_t written;
    uint16_t versions; /* which of our streams the entry's octets are of */
};

struct world {
    struct client client;
    struct segment flight[FLIGHT_CAP];
    unsigned flight_count;
    struct memory memories[2]; /* of the server, and of another that shares its keys */
    unsigned losses, repeats, overtakes, timers, forgets, changes; /* left */
    unsigned troubles;                                             /* and of all these together */
    bool is_changed;
    /* What the client has got. Only where responses change, elsewhere it is known; see copy. */
    uint8_t octets[STREAM_CAP];
};

extern const struct scenario *scenario;
extern uint32_t model_iss;
extern uint8_t model_requests[200];
extern uint32_t model_requests_len, model_request_end[REQUESTS + 1];
/* Our stream, one for each choice of versions: bit i says that response i is the changed one. */
extern uint8_t model_streams[1 << REQUESTS][STREAM_CAP];
extern uint32_t model_stream_len[1 << REQUESTS], model_response_end[1 << REQUESTS][REQUESTS + 1];

_Noreturn void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How many of the streams there are in the scenario. */
unsigned model_versions(void);

void world_copy(const struct world *from, struct world *to_out);
void world_fly(struct world *world, const struct segment *segment);

/* Fill the above for the scenario. Returns TSval of the SYN+ACK. */
uint32_t server_prepare(void);
/* `memory`: of world, with the scenario's cache; NULL: without. */
void server_receive(struct world *world, struct memory *memory, const struct segment *segment);
/* The cache forgets the entry; or the octets only. */
void memory_forget(struct memory *memory, bool is_octets_only);
bool memory_has_octets(const struct memory *memory);

/* The connection begins; `syn_tag`: TSval of a SYN+ACK that is there, where the SYN is not
 * explored. */
void client_begin(struct world *world, uint32_t syn_tag);
void client_receive(struct world *world, const struct segment *segment);
void client_ack(struct world *world);
/* The timer. Kernels join what they send again; but the oldest segment may go alone, or the last
 * one (RFC 8985 7). */
enum resend { RESEND_JOINED, RESEND_OLDEST, RESEND_LAST };
void client_resend(struct world *world, enum resend resend);
bool client_is_done(const struct client *client);
/* How many responses are there, all of one version each. */
unsigned client_answers(const struct world *world);

#endif

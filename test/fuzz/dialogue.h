/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dialogue.h - two honest clients and a hostile one in front of a server, for fuzz_dialogue.c.
 *
 *     fuzz_dialogue.c     reads a script from the input and plays it
 *     dialogue_client.c   an honest client: its kernel, its application, its network
 *     dialogue_server.c   the server, and what every answer of it must be like
 *
 * No allocation: 100,000,000 scripts are to be played.
 */
#ifndef FUZZ_DIALOGUE_H
#define FUZZ_DIALOGUE_H

#include "../unit/stateless_frames.h"
#include "fuzz.h"
#include "stateless_tcp/modern.h"

/* ---- responses ---- */

/* Requests are known by their second octet; responses begin with it and with the version of the
 * snapshot. Their other octets have the high bit that the request has, so that whose they are can
 * be seen in any piece of them. */
#define DIALOGUE_RESPONSE_HEAD 2
#define DIALOGUE_REQUEST_MAX 80

/* Octets of the response, 0: none. For some requests it differs from snapshot to snapshot. */
uint32_t dialogue_response_len(uint8_t id, uint8_t version);
/* What follows its head: octet i of it is [i]. */
const uint8_t *dialogue_response_rest(uint8_t id, uint8_t version);
/* A request with its length in front. Returns the octets of both. */
uint32_t dialogue_request(uint8_t id, uint8_t *out);

/* ---- the server ---- */

struct dialogue_server {
    struct stateless_tcp_config config;
    struct stateless_tcp_keys keys;
    uint8_t version;
    bool is_settled;
    bool is_twice;   /* everything is evaluated twice */
    bool has_low;    /* a request without the high bit was answered */
    bool has_driver; /* in front of it; the caches know what that answered */
    struct train train;
    /* Caches, as of servers that share keys: the one that `recent` names gets the frame. Of one
     * entry and a few octets; of two and more; none. */
    struct recent recents[2];
    struct recent *recent;
};

/* Where its caches are. Their contents may be anything that was there before. */
void dialogue_server_forget(struct dialogue_server *server);

/* Hand over a frame. The answer is in server->train, and was looked at. */
void dialogue_server_receive(struct dialogue_server *server, const uint8_t *frame, size_t len);

/* ---- an honest client ---- */

#define DIALOGUE_REQUESTS_MAX 40
#define DIALOGUE_FLIGHT_MAX 48
#define DIALOGUE_FRAME_MAX 1400
#define DIALOGUE_AHEAD_MAX 4

struct dialogue_flight {
    bool is_to_server;
    uint16_t len;
    uint8_t octets[DIALOGUE_FRAME_MAX];
};

enum dialogue_state { DIALOGUE_CLOSED, DIALOGUE_SYN_SENT, DIALOGUE_OPEN, DIALOGUE_RESET };

struct dialogue_client {
    int family;
    uint16_t port;
    uint16_t mss, window;
    bool has_timestamps, has_sack, is_ack_late;

    enum dialogue_state state;
    uint32_t irs, iss, clock;
    uint32_t una, next; /* offsets in the stream of requests; FIN counts */
    uint32_t rcv;       /* next offset in the server's stream */
    uint32_t last_ack;  /* what the last segment acknowledged of it */
    uint32_t recent;    /* TS.Recent */
    uint32_t fin_at;    /* of the server's FIN */
    bool is_fin_known, has_fin, is_fin_sent, is_ack_due;
    bool has_fast_open;  /* it has a cookie, */
    bool is_fast_asking; /* or wants one; */
    bool is_fast;        /* a request went with the SYN and was taken */
    uint8_t fast_open_cookie[PACKET_FAST_OPEN_COOKIE_LEN];
    struct dialogue_ahead {
        uint32_t from, to;
    } ahead[DIALOGUE_AHEAD_MAX + 1]; /* there, but out of order */
    unsigned ahead_count;

    unsigned asked, answered;
    uint8_t ids[DIALOGUE_REQUESTS_MAX];
    uint32_t requests_len;
    uint32_t response_at; /* where the response to request `answered` begins */
    uint32_t checked;     /* so much of the stream was looked at */

    bool is_orderly;    /* nothing overtaken, repeated or sent too early yet */
    bool is_lossy;      /* something was lost */
    bool is_excused;    /* a reset may come, or silence */
    unsigned rotations; /* of keys, since the SYN */
    unsigned flight_count;
    unsigned flight[DIALOGUE_FLIGHT_MAX]; /* in order; places in air */
    struct dialogue_flight *air;          /* DIALOGUE_FLIGHT_MAX */
    uint8_t *requests;                    /* DIALOGUE_REQUESTS_MAX * DIALOGUE_REQUEST_MAX */
    uint8_t *stream;                      /* DIALOGUE_STREAM_CAP, a ring */
};

#define DIALOGUE_STREAM_CAP (1u << 17)

/* A connection of its own; the one before is forgotten. `fast_id`: with a Fast Open cookie, the SYN
 * brings this request; negative: it asks for a cookie if -1, else there is no Fast Open. */
void dialogue_client_connect(struct dialogue_client *client, uint32_t irs, int fast_id);
/* How requests travel that are asked together: all in one segment; or cut at `cut`. */
bool dialogue_client_ask(struct dialogue_client *client, const uint8_t *ids, unsigned count,
                         uint32_t cut);
void dialogue_client_fin(struct dialogue_client *client);
void dialogue_client_ack(struct dialogue_client *client);
/* The timer: what is not acknowledged again, joined; `cut`: no more than so many octets of it
 * (but a whole request), as where a segment is full. */
void dialogue_client_timer(struct dialogue_client *client, uint32_t cut);
/* Take frame `index` out of the air: hand it over, or lose it, or hand it over and leave it. */
enum dialogue_fate { DIALOGUE_ARRIVE, DIALOGUE_LOSE, DIALOGUE_REPEAT };
void dialogue_client_move(struct dialogue_client *client, struct dialogue_server *server,
                          unsigned index, enum dialogue_fate fate);
/* Whether it waits for an acknowledgement, or the rest of a response. */
bool dialogue_client_is_waiting(const struct dialogue_client *client);
/* Nothing goes wrong any more: everything must come to its end. */
void dialogue_client_drain(struct dialogue_client *client, struct dialogue_server *server);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client.h - what the XDP program that is a client, and the process that starts it, tell each other.
 *
 *     process                          program (client.bpf.c)                      server
 *       commands  ---- live frames ---->  START   ------------- SYN, query -------->
 *                                         AGAIN, END
 *                                         takes what comes, in its interface <------
 *                                         and makes what follows of it  ----------->
 *       tallies, places  <--- memory ---  counts, keeps
 *
 * A connection, or query over UDP, has a tuple (raw_frame.h), and its state the place that the
 * tuple's number says. The process reads places to see what waits too long, and never writes one:
 * what is to happen it commands, and each command is one live frame (BPF_F_TEST_XDP_LIVE_FRAMES)
 * that the program fills. Whoever works on a place, a frame that came or a command, holds its lock.
 *
 * Numbers in host order but for those named _wire, which lie as they do in frames. Compiled for BPF
 * and for the host alike.
 */
#ifndef TOOLS_BENCH_CLIENT_H
#define TOOLS_BENCH_CLIENT_H

#include "tools/bench/tally.h"
#include "tools/bench/tuple.h"

#include <stdint.h>

#define CLIENT_RCODE_ANY 255 /* QUESTION_RCODE_ANY */

/* ---- questions: records in chunks of memory ---- */

#define CLIENT_CHUNK_LEN 4096u
#define CLIENT_MESSAGE_MAX 304u /* a rendered question, its length in front, and what aligns it */

/* Records begin at multiples of 8, and none in the last octets of a chunk. */
struct client_question {
    uint16_t len;          /* of the message, without the two octets in front */
    uint16_t question_end; /* in the message */
    uint16_t sum_wire;     /* question_sum() of the message, its ID zero */
    uint8_t rcode;         /* expected; QUESTION_RCODE_ANY */
    uint8_t zero;
    uint8_t framed[CLIENT_MESSAGE_MAX]; /* length, message */
};

#define CLIENT_RECORD_AT_MAX (CLIENT_CHUNK_LEN - (unsigned)sizeof(struct client_question))

struct client_chunk {
    uint8_t octets[CLIENT_CHUNK_LEN];
};

/* Where a question is: chunk * CLIENT_CHUNK_LEN + octet. Less than
 * 2^32, and yet of 64 bits in the map, whose elements begin at multiples of 8. */

/* ---- places ---- */

enum client_state {
    CLIENT_FREE,
    CLIENT_SYN_SENT,
    CLIENT_OPEN,
    CLIENT_FIN_SENT,
    CLIENT_ASKED, /* over UDP */
};

struct client_place {
    uint32_t lock;
    uint32_t tuple;
    uint8_t state; /* enum client_state */
    uint8_t tries; /* times sent again in a row */
    uint8_t has_timestamps;
    uint8_t is_waiting; /* for an answer */
    uint8_t is_fin_received;
    uint8_t unacked; /* segments with data */
    uint16_t id;
    uint32_t reference;   /* where the question asked last is */
    uint32_t asked;       /* questions on this connection */
    uint32_t una, next;   /* ours: not acknowledged, not sent */
    uint32_t rcv;         /* the server's: next in order */
    uint32_t echo;        /* its timestamp to give back */
    uint32_t left;        /* octets of the response that are still to come */
    uint16_t message_len; /* of the response; 0: not yet known */
    uint8_t rcode, is_truncated;
    uint64_t due_ns;      /* from then on latency counts */
    uint64_t deadline_ns; /* then something is to be sent again; UINT64_MAX: nothing */
};

_Static_assert(sizeof(struct client_place) == 64, "a cache line");

/* ---- commands ---- */

enum client_command_kind {
    CLIENT_START, /* open a connection and ask, from the next tuple; or ask over UDP */
    CLIENT_AGAIN, /* send again what was not acknowledged */
    CLIENT_END,   /* give up: what waits is lost */
};

struct client_command {
    uint32_t kind;
    uint32_t tuple;  /* not of START */
    uint64_t due_ns; /* START: from then on latency counts; 0: from now on */
};

#define CLIENT_COMMANDS 4096u /* a power of two */
#define CLIENT_META_LEN 4     /* in front of a live frame */

/* ---- settings, and what the program goes on with ---- */

struct client_config {
    uint8_t mac_own[6], mac_peer[6];
    uint8_t family; /* 4 or 6 */
    uint8_t is_udp;
    uint8_t is_reset;     /* connections end by RST */
    uint8_t has_redirect; /* send by redirecting to the interface itself, not by XDP_TX */
    uint8_t is_looping;   /* what ends begins anew */
    uint8_t has_own_ack;  /* the third segment of a handshake is an ACK alone */
    uint8_t zeros[2];
    uint32_t server_wire[4]; /* IPv4 addresses take the first word, zeros follow */
    uint32_t source_wire[4]; /* the prefix */
    uint16_t server_port, port_first;
    uint32_t number_first; /* of the last 32 bits of a source address */
    struct tuple_range tuples;
    uint32_t place_mask; /* as many places less one */
    uint32_t question_count;
    uint32_t queries_per_connection; /* 0: no end */
    uint32_t window;
    uint64_t retransmit_ns;
    uint64_t end_ns; /* of sending */
};

struct client_shared {
    uint64_t question_next;
    uint64_t tuple_next;
    int64_t left; /* questions that may still be asked */
    uint32_t command_next;
    uint32_t bank; /* of tallies: which is written to */
};

/* ---- what comes of it: for each processor two, of which the program fills one ---- */

#define CLIENT_BANKS 2

struct client_tally {
    struct tally tally;
    uint64_t opened;               /* connections, or queries over UDP, that were begun */
    uint64_t ended;                /* of these; what only waits for the server's FIN is ended */
    uint64_t refused;              /* were to begin, and there was no place or no question left */
    uint64_t sent_ns, answered_ns; /* the last time */
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * agent.h - what the source of unwanted packets does about a GoAway: who is believed, when a Block is
 * sent, and what is blocked. Sockets, clock and firewall are the caller's.
 *
 *     agent_begin(agent, &config, &io)
 *     agent_packet(agent, now_ms, is_outgoing, octets, len)      for each packet seen, in order
 *     agent_tick(agent, now_ms)                                  now and then
 *
 * Work for a packet is bounded, whatever it is; Blocks and what follows from them are at most
 * config.rate a second.
 *
 * One thread at a time.
 */
#ifndef TOOLS_GOAWAY_AGENT_H
#define TOOLS_GOAWAY_AGENT_H

#include "tools/goaway/sent.h"

#define AGENT_MEMORY_MS 5000 /* a GoAway about what was sent before that comes too late */
#define AGENT_WAIT_MS 3000   /* for a Block Reply */
#define AGENT_PENDING_MAX 64
#define AGENT_BLOCKS_MAX 1024
#define AGENT_RATE_DEFAULT 10
#define AGENT_DAMPENING_DEFAULT_S 60
#define AGENT_DAMPENING_MAX_S 86400

enum agent_event {
    AGENT_ASKED,    /* a GoAway was believed so far: a Block is on its way */
    AGENT_BLOCKED,  /* and the target confirmed it */
    AGENT_DECLINED, /* or said "no block" */
    AGENT_FAILED,   /* a Block could not be sent, or the firewall said no */
    AGENT_ENDED,    /* a block is over */
    AGENT_SILENT,   /* no Block Reply came */
    /* not believed: */
    AGENT_UNSOUND,  /* of our types, but not as goaway.h has them */
    AGENT_UNKNOWN,  /* about nothing that was sent lately */
    AGENT_ANSWERED, /* the real host had answered */
    AGENT_REPEATED, /* about a packet for which a Block was sent already */
    AGENT_COVERED,  /* about what is blocked already */
    AGENT_BUSY,     /* too many at a time */
    AGENT_UNASKED,  /* a Block Reply to no Block that waits for one */
    AGENT_EVENT_COUNT,
};

/* About whom; `packet` NULL: that is not known. `code`, `seconds`: of AGENT_BLOCKED, AGENT_ENDED. */
struct agent_news {
    enum agent_event event;
    const struct goaway_packet *packet;
    enum goaway_code code;
    unsigned seconds;
    int problem; /* of AGENT_FAILED: errno */
};

/* The caller's; `context` is handed through. */
struct agent_io {
    void *context;
    /* Send an ICMP message. 0, or negative errno. */
    int (*send)(void *context, const struct goaway_ends *ends, const uint8_t *octets, size_t len);
    /* Have the kernel refuse what `code` says of `packet`, for so long. 0, or negative errno. */
    int (*block)(void *context, enum goaway_code code, const struct goaway_packet *packet,
                 unsigned seconds);
    void (*tell)(void *context, const struct agent_news *news);
};

struct agent_config {
    unsigned dampening_s;
    unsigned rate;   /* Blocks a second, and at once after a pause */
    bool is_edge;    /* what goes out is others' too: a block is for the one source alone */
    uint8_t key[16]; /* random */
};

struct agent_pending {
    uint64_t nonce;
    uint64_t until_ms; /* 0: the place is free */
    uint64_t number;   /* of the packet, in `sent` */
    struct goaway_packet packet;
    struct goaway_ends ends; /* of the Block */
    uint8_t block[GOAWAY_MESSAGE_MAX];
    size_t block_len;
};

struct agent_block {
    enum goaway_code code;
    struct goaway_packet packet;
    uint64_t until_ms; /* 0: the place is free */
};

struct agent {
    struct agent_config config;
    struct agent_io io;
    struct sent sent;
    struct agent_pending pending[AGENT_PENDING_MAX];
    struct agent_block blocks[AGENT_BLOCKS_MAX];
    uint64_t nonces;
    uint64_t tokens_thousandth, tokens_ms; /* thousandths of a Block, and when they were so */
    uint64_t counts[AGENT_EVENT_COUNT];
};

/* `agent`: large, the caller's memory; io is copied. */
void agent_begin(struct agent *agent, const struct agent_config *config, const struct agent_io *io);

/* `octets`: a packet, IP header first, len octets of it (a capture may have cut it). Anything else
 * than UDP, TCP and the three messages is passed over. */
void agent_packet(struct agent *agent, uint64_t now_ms, bool is_outgoing, const uint8_t *octets,
                  size_t len);

/* Give up waiting for Block Replies, and see blocks end. */
void agent_tick(struct agent *agent, uint64_t now_ms);

/* A word for an event, and one for a code: as in JSON. */
const char *agent_event_name(enum agent_event event);
const char *agent_code_name(enum goaway_code code);

#endif

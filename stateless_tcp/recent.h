/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recent.h - what was answered lately: a cache that makes `modern` fast, and that it can do
 * without.
 *
 *     entries   one for each slot: the last train of a connection - which requests, where in our
 *               stream, how far it was sent. A connection's slot follows from the hash behind its
 *               cookie; whoever comes later takes it.
 *     heads     what clients will not send again: the beginning of a request that was acknowledged
 *               before it could be answered. In sets of four, and with a ring of their own, since
 *               they are few and must last longer.
 *     silences  one for each slot: what was met with silence, and how often.
 *     ring      the octets (octet_ring.h) of the responses that took several segments.
 *
 * It has the size that it was made with, for all connections together, for ever. Nothing is kept
 * for a client's sake: an entry or octets that are gone mean that the client's retransmission timer
 * does the work, as it does behind a second server that shares the keys. What is found is right:
 * an entry is of the very connection, and octets are those that were sent.
 *
 * Only connections that have proven their address come here, so a flood of SYNs changes nothing.
 *
 * Pure but for the memory that it is given; one thread at a time.
 */
#ifndef STATELESS_TCP_RECENT_H
#define STATELESS_TCP_RECENT_H

#include "stateless_tcp/octet_ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes, in octets: the least that is of use (one entry, the longest response), and what serves
 * some ten thousand clients that ask at the same time. */
#define RECENT_SIZE_MIN (256u * 1024)
#define RECENT_SIZE_DEFAULT (4u * 1024 * 1024)

#define RECENT_TAIL_MAX 2560 /* octets of requests that could not be answered yet */

/* The last train of one connection. Numbers of the client's stream are its own sequence numbers,
 * those of ours count octets after our SYN. */
struct recent_entry {
    uint64_t connection; /* cookie_proof.connection; 0: nobody */
    uint64_t at;         /* where its octets are, counted from the ring's beginning */
    uint32_t octets_len; /* 0: none were kept */
    uint32_t tail_len;   /* octets known of what follows the requests; 0: none */
    uint64_t tail_at;    /* where they are */

    uint32_t seq, seq_end; /* the requests: from, up to */
    uint32_t start, end;   /* the responses */
    uint32_t ack;          /* what the train acknowledges: nothing that was open */
    uint32_t acked;        /* `ack`, or later by what was acknowledged of a tail before */
    bool has_fin;          /* it ends our stream */
    bool is_pressing;      /* the client shall acknowledge its end at once */
    bool is_early_acked;   /* while it was in the air, the train before it was acknowledged */
    bool is_pieced;        /* the client may not send its requests again in one segment */
    bool is_alone;         /* nothing is sent ahead of its end: nobody else could repeat it */

    uint32_t snapshot;       /* recent.snapshot when they were made */
    uint32_t held;           /* the client has all before it */
    uint32_t sent;           /* we have sent all before it */
    uint32_t repaired;       /* holes before it were sent again */
    uint32_t recover;        /* what was sent before the last loss was seen (RFC 6675) */
    uint32_t cwnd, ssthresh; /* octets (RFC 5681) */
};

/* A request that was answered before it came here, by the XDP program: all that its entry would
 * say. Its memory is written by others at any time. */
struct recent_note {
    uint64_t check; /* recent_note_check(): what was not written whole, or is of another connection,
                     * is found out by it */
    uint32_t seq, seq_end, start, end, snapshot; /* as in an entry */
    uint32_t zero;
};

#define RECENT_NOTES 16384u /* a power of two */

#define RECENT_REQUEST_WORDS 18u

/* The same of a response in several segments, all of which were sent; with its request, from which
 * it can be made again. */
struct recent_train {
    uint64_t connection; /* cookie_proof.connection; 0: nobody */
    uint64_t check;      /* recent_train_check() */
    uint32_t seq, seq_end, start, end, snapshot;
    uint32_t zero;
    /* seq_end - seq octets as they came, the length in front of them; zeros fill the last word. */
    uint64_t request[RECENT_REQUEST_WORDS];
};

#define RECENT_TRAINS 4096u /* a power of two */

struct recent_head {
    uint64_t connection; /* cookie_proof.connection; 0: nobody */
    uint64_t at;         /* where its octets are, counted from the beginning of `head_ring` */
    uint32_t seq, len;   /* of the client's stream */
};

/* What a client sent in vain. */
struct recent_silence {
    uint64_t connection; /* cookie_proof.connection; 0: nobody */
    uint32_t seq;        /* it began there, */
    uint32_t held;       /* and the client had all before this */
    uint32_t count;
    uint32_t zero;
};

struct recent {
    struct recent_entry *entries;
    uint32_t entry_mask;
    struct recent_head *heads; /* 4 * (head_mask + 1); NULL: none */
    uint32_t head_mask;
    struct octet_ring head_ring;
    struct recent_silence *silences;   /* entry_mask + 1; NULL: none */
    const struct recent_note *notes;   /* RECENT_NOTES, by recent_note_place(); NULL: none */
    const struct recent_train *trains; /* RECENT_TRAINS, by recent_train_place(); NULL: none */
    struct octet_ring ring;
    uint32_t snapshot; /* the owner counts: the same number, the same responses */
};

/* Make a cache of `size` octets of memory, aligned for any type and zeroed, which stays the
 * caller's and must outlive it. size: RECENT_SIZE_MIN or more. A quarter is for entries. */
struct recent recent_make(void *memory, size_t size);

/* Where a connection's entry is, if it has one. By the half of the hash that is no sequence number,
 * and so not for others to see. */
static inline struct recent_entry *recent_slot(const struct recent *recent, uint64_t connection)
{
    return &recent->entries[(uint32_t)(connection >> 32) & recent->entry_mask];
}

/* The entry of a connection; NULL: it has none, or there is no cache (`recent` is NULL), or no
 * connection (0). Valid until the next recent_take(). */
static inline struct recent_entry *recent_find(const struct recent *recent, uint64_t connection)
{
    if (recent == NULL || connection == 0)
        return NULL;
    struct recent_entry *entry = recent_slot(recent, connection);
    return entry->connection == connection ? entry : NULL;
}

static inline uint64_t recent_note_check(const struct recent_note *note, uint64_t connection)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = ((uint64_t)note->seq << 32 | note->seq_end) * odd;
    mixed = (mixed ^ mixed >> 32 ^ ((uint64_t)note->start << 32 | note->end)) * odd;
    mixed = (mixed ^ mixed >> 32 ^ note->snapshot) * odd;
    return mixed ^ mixed >> 32 ^ connection;
}

static inline uint32_t recent_note_place(uint64_t connection)
{
    return (uint32_t)(connection >> 32) & (RECENT_NOTES - 1);
}

static inline uint64_t recent_train_mix(uint64_t mixed, uint64_t word)
{
    mixed = (mixed ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ mixed >> 32;
}

/* `mixed`: of the words of the request, one after the other, from 0 on. */
static inline uint64_t recent_train_check(const struct recent_train *train, uint64_t mixed)
{
    mixed = recent_train_mix(mixed, (uint64_t)train->seq << 32 | train->seq_end);
    mixed = recent_train_mix(mixed, (uint64_t)train->start << 32 | train->end);
    return recent_train_mix(mixed, train->snapshot) ^ train->connection;
}

static inline uint32_t recent_train_place(uint64_t connection)
{
    return (uint32_t)(connection >> 32) & (RECENT_TRAINS - 1);
}

/* The train of a connection. False: there is none. `recent`: NULL is allowed. */
bool recent_read_train(const struct recent *recent, uint64_t connection,
                       struct recent_train *train_out);

/* The note of a connection. False: there is none. `recent`: NULL is allowed. */
bool recent_read_note(const struct recent *recent, uint64_t connection,
                      struct recent_note *note_out);

/* The entry for a connection, to be filled: what was in its slot is gone. NULL: no cache,
 * or no connection. */
struct recent_entry *recent_take(struct recent *recent, uint64_t connection);

/* A segment of `connection` that begins at `seq`, from a client that holds `held` octets of ours,
 * is met with silence. Returns how often that same one was before, as far as is known: others may
 * have taken the slot. `recent`: NULL is allowed. */
uint32_t recent_count_silence(struct recent *recent, uint64_t connection, uint32_t seq,
                              uint32_t held);

/* Keep `len` octets for an entry, if they fit at all. */
void recent_keep(struct recent *recent, struct recent_entry *entry, const uint8_t *octets,
                 uint32_t len);

/* The octets kept for an entry, as many as it says; NULL: none, or they were overwritten. Valid
 * until the next recent_keep(). */
const uint8_t *recent_octets(const struct recent *recent, const struct recent_entry *entry);

/* Keep what follows the requests of an entry, 1..RECENT_TAIL_MAX octets. */
void recent_keep_tail(struct recent *recent, struct recent_entry *entry, const uint8_t *octets,
                      uint32_t len);

/* These octets, as many as the entry says; NULL: none, or they were overwritten. Valid as long. */
const uint8_t *recent_tail(const struct recent *recent, const struct recent_entry *entry);

/* The `before_len` octets at `before`, RECENT_TAIL_MAX at most, which may be of the cache, and the
 * `len` that follow them, in one piece. NULL: it is too much. Valid until the next recent_keep(),
 * recent_keep_tail() or recent_join(). */
const uint8_t *recent_join(struct recent *recent, const uint8_t *before, uint32_t before_len,
                           const uint8_t *octets, uint32_t len);

/* Keep `len` octets, 1..RECENT_TAIL_MAX, of the client's stream from `seq` on, where a request
 * begins; they take the place of others of the connection. `recent`: NULL is allowed. */
void recent_keep_head(struct recent *recent, uint64_t connection, uint32_t seq,
                      const uint8_t *octets, uint32_t len);

/* What was kept so of a connection; NULL: nothing. Valid until the next recent_keep_head().
 * `recent`: NULL is allowed. */
const struct recent_head *recent_find_head(const struct recent *recent, uint64_t connection);

/* Its octets; NULL: they were overwritten. Valid as long. */
const uint8_t *recent_head_octets(const struct recent *recent, const struct recent_head *head);

#endif

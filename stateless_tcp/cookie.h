/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cookie.h - the initial sequence number that proves an address.
 *
 *     ISS = low 32 bits of SipHash-2-4(key of the epoch,
 *               family | client address | server address | client port | server port | MSS class)
 *
 * Whoever acknowledges it has heard our SYN/ACK, and so owns the address it writes from; nothing
 * need be remembered to know. It also carries the one fact about the client that later segments do
 * not repeat: how long a segment it takes.
 *
 * Keys change every epoch; the current and the previous one are accepted. Servers that hold the
 * same keys accept each other's cookies.
 *
 * A segment is believed when SEG.ACK - ISS - 1 is a number of octets that its sender may hold, under
 * one of the COOKIE_EPOCHS x COOKIE_CLASSES candidates. Somebody who cannot hear us must guess. With
 * cookie_verify(), where 0..COOKIE_OFFSET_MAX is believed, one guess is right with probability
 *
 *     COOKIE_EPOCHS x COOKIE_CLASSES x (COOKIE_OFFSET_MAX + 1) / 2^32  =  1 / 10,922
 *
 * so what a spoofed segment draws is, on average, the longest train (about 91,000 octets) divided
 * by 10,922: less than nine octets for the 70 or more it cost. It never pays to spoof.
 *
 * Pure; any thread.
 */
#ifndef STATELESS_TCP_COOKIE_H
#define STATELESS_TCP_COOKIE_H

#include "stateless_tcp/packet.h"

#define COOKIE_KEY_LEN 16
#define COOKIE_EPOCHS 2
#define COOKIE_CLASSES 3

/* The longest stream of one connection: a length, the longest message, and the FIN. */
#define COOKIE_OFFSET_MAX (2u + 65535u + 1u)

/* [0] of the present epoch, which makes cookies; [1] of the one before. Whoever owns the struct
 * changes it between calls, never during one. */
struct stateless_tcp_keys {
    uint8_t epochs[COOKIE_EPOCHS][COOKIE_KEY_LEN];
};

/* The class of a client that offers `mss` (0: none) in its SYN. */
unsigned cookie_class(uint16_t mss);

/* The longest segment, in octets of payload, for clients of this class. The lowest is what every
 * host must take when nothing was offered (RFC 9293 3.7.1). */
uint16_t cookie_class_mss(unsigned mss_class);

/* The ISS for the SYN in `packet`. */
uint32_t cookie_make(const struct stateless_tcp_keys *keys, const struct packet *packet);

/* The ISS for the SYN in `packet` if the connection's octets have no timestamps: it depends on the
 * client's initial sequence number too, and so is proven only by what begins where the client's
 * stream begins. */
uint32_t cookie_make_first(const struct stateless_tcp_keys *keys, const struct packet *packet);

struct cookie_proof {
    uint32_t offset; /* octets of our stream that the client holds; FIN counts as one */
    unsigned mss_class;
    uint64_t connection; /* the whole hash: no other connection has it, and nobody can tell it */
};

/* Whether the segment in `packet` acknowledges a cookie that was made for its sender.
 * On false *proof_out is unchanged. */
bool cookie_verify(const struct stateless_tcp_keys *keys, const struct packet *packet,
                   struct cookie_proof *proof_out);

/* The candidates one by one, for a caller with a rule of its own: most likely first. */
struct cookie_candidates {
    const struct stateless_tcp_keys *keys;
    uint32_t ack;
    unsigned next;
    uint8_t input_len, input[42];
};

/* Begin with the candidates for the sender of `packet`. */
struct cookie_candidates cookie_candidates(const struct stateless_tcp_keys *keys,
                                           const struct packet *packet);

/* What the segment would prove under the next candidate, which is for the caller to believe. Returns
 * false after COOKIE_EPOCHS x COOKIE_CLASSES of them. */
bool cookie_candidates_next(struct cookie_candidates *candidates, struct cookie_proof *proof_out);

/* The same for cookie_make_first(), if the client's initial sequence number was `irs`. */
bool cookie_verify_first(const struct stateless_tcp_keys *keys, const struct packet *packet,
                         uint32_t irs, uint32_t offset_max, struct cookie_proof *proof_out);

/* The Fast Open cookie for the sender of `packet` (RFC 7413 4.1.2), of the present epoch. */
void cookie_make_fast_open(const struct stateless_tcp_keys *keys, const struct packet *packet,
                           uint8_t cookie_out[PACKET_FAST_OPEN_COOKIE_LEN]);

/* Whether the packet carries one that was made for its sender, in either epoch. */
bool cookie_verify_fast_open(const struct stateless_tcp_keys *keys, const struct packet *packet);

#endif

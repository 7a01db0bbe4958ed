/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cookie.h - the initial sequence number that proves an address.
 *
 *       31      30   29    28                                              0
 *     +-------+-----------+------------------------------------------------+
 *     | epoch | MSS class | low 29 bits of SipHash-2-4(key of the epoch,   |
 *     |  & 1  |   0..2    |   family | client address | server address |   |
 *     +-------+-----------+   client port | server port | 0)               |
 *                         +------------------------------------------------+
 *
 * Whoever acknowledges it has heard our SYN/ACK, and so owns the address it writes from; nothing
 * need be remembered to know. It also carries the one fact about the client that later segments do
 * not repeat: how long a segment it takes.
 *
 * Keys change every epoch; the current one and one beside it are accepted. Servers that hold the
 * same keys accept each other's cookies.
 *
 * SEG.ACK - 1 is never ambiguous while a stream is shorter than 2^29: streams of one epoch and
 * address begin 2^29 apart, one for each class, and as there is no class 3 they stay in their half
 * of all numbers, which is the epoch's. (Were cookies merely hashes, those of other classes and
 * epochs would be near by chance, for one connection in some hundreds.)
 *
 * A segment is believed when SEG.ACK - ISS - 1 is a number of octets that its sender may hold.
 * Somebody who cannot hear us must guess 29 bits. With cookie_verify(), where 0..COOKIE_OFFSET_MAX
 * is believed, one guess is right with probability
 *
 *     (COOKIE_OFFSET_MAX + 1) / 2^29  =  1 / 8,191
 *
 * so what a spoofed segment draws is, on average, the longest train (about 91,000 octets) divided
 * by 8,191: less than twelve octets for the 70 or more it cost. It never pays to spoof.
 *
 * Pure; any thread.
 */
#ifndef STATELESS_TCP_COOKIE_H
#define STATELESS_TCP_COOKIE_H

#include "stateless_tcp/packet.h"

#define COOKIE_KEY_LEN 16
#define COOKIE_EPOCHS 2
#define COOKIE_CLASSES 3
#define COOKIE_STREAM_MAX (1u << 29) /* octets after our SYN, FIN included */

/* The longest stream of one connection: a length, the longest message, and the FIN. */
#define COOKIE_OFFSET_MAX (2u + 65535u + 1u)

/* [0] of the present epoch, which makes cookies; [1] of a neighbour. The lowest bit of a key's
 * first octet tells whether its epoch is even or odd: it is not the same in both. Whoever owns the
 * struct changes it between calls, never during one. */
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

/* What the segment would prove, which is for the caller to believe: most numbers are some offset of
 * some stream. Returns false if it can be none of ours; *proof_out is unchanged then. */
bool cookie_read(const struct stateless_tcp_keys *keys, const struct packet *packet,
                 struct cookie_proof *proof_out);

/* Whether it acknowledges a cookie of cookie_make_first(), if the client's initial sequence number
 * was `irs`, and no more than `offset_max` octets. */
bool cookie_verify_first(const struct stateless_tcp_keys *keys, const struct packet *packet,
                         uint32_t irs, uint32_t offset_max, struct cookie_proof *proof_out);

/* The Fast Open cookie for the sender of `packet` (RFC 7413 4.1.2), of the present epoch. */
void cookie_make_fast_open(const struct stateless_tcp_keys *keys, const struct packet *packet,
                           uint8_t cookie_out[PACKET_FAST_OPEN_COOKIE_LEN]);

/* Whether the packet carries one that was made for its sender, in either epoch. */
bool cookie_verify_fast_open(const struct stateless_tcp_keys *keys, const struct packet *packet);

#endif

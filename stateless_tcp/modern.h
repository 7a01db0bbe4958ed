/* SPDX-License-Identifier: BSD-2-Clause
 *
 * modern.h - TCP that remembers nothing and loses nothing. For stateless_tcp.c and tests only.
 *
 * The client's kernel keeps what it has sent until that is acknowledged, and sends it again; what
 * we need to know, it carries for us.
 *
 *     client                                              server
 *       SYN <mss, SACK permitted, TS>        ---->              point (IRS + 1, 0) into TSval
 *                                            <----  SYN+ACK <the same, less than offered>
 *       request, TSecr: point before it      ---->              where does its response begin?
 *                                            <----  all of it in one segment: ACKs the request
 *                                     or     <----  segments that acknowledge nothing new, so that
 *                                                   the client asks again if any is lost
 *       ACK of the last octet                ---->
 *                                            <----  ACK of the request (completion)
 *
 * THE POINT. Requests follow each other in the client's stream, responses in ours, in the same
 * order. As responses depend on nothing but request and snapshot, there is one function F that says
 * for each boundary N between requests where in our stream the response to what follows begins.
 * Each segment of ours carries one point (N, F(N)) in its TSval:
 *
 *      31                                13   12                      1     0
 *     +-------------------------------------+--------------------------+------+
 *     | F(N), octets after our SYN, mod 2^19 | N modulo 2^12            | done |
 *     +-------------------------------------+--------------------------+------+
 *
 * namely that of the end of what is being answered: the same in every segment of a train. `done`:
 * nothing is to be acknowledged any more. The client gives back the point of the segment in order
 * that it got last (RFC 7323 4.3) in TSecr.
 *
 * Claim: a response is sent where it belongs, whatever was lost, repeated or overtaken. A request
 * boundary inside a segment's data (its beginning and end included) that is congruent to N is N,
 * because the client never has more than MODERN_WINDOW in flight after what we acknowledged, and
 * we never acknowledge beyond the point that the client holds but for a length of two octets, and
 * MODERN_WINDOW plus MODERN_REQUESTS_MAX is no more than 2^12. From F(N) the places of the
 * responses to what is before it (subtract their lengths) and after it (add) follow; so the point
 * that we send next is one of F too. The first one, of the SYN+ACK, is F(IRS + 1) = 0. By induction
 * all are. Where no boundary is congruent the client has sent ahead of a response that it does not
 * have: silence, it will send again, what is still unanswered first.
 *
 * The client's retransmission never misses the point: N of its echo is not before its oldest octet
 * in flight, since an acknowledgement beyond N comes only in segments that carry a later point and
 * begin at or before the next octet that it expects; and clients join requests when they send them
 * again, but do not cut them (but see PIECES).
 *
 * What the client holds, SEG.ACK, may be anything between: sending goes on there. F modulo 2^19 is
 * F since the cookie proves SEG.ACK, and F is never far from it. TSval never decreases (modulo
 * 2^32, as RFC 7323 5.2 compares): F grows by 14 or more with each response, by less than 2^18, and
 * for the same N only `done` changes, once.
 *
 * NO LOOP. A segment without data or FIN is answered only if its echo is not `done` and it
 * acknowledges F(N) exactly; the answer is `done`. That is one answer for each point. (KEEP-ALIVE:
 * if it is `done` and SEG.SEQ is N - 1, the number of an octet long acknowledged, the sender asks
 * whether we are there, RFC 9293 3.8.4. The same point goes back. What answers that, if anything,
 * bears SND.NXT, which is N or up to MODERN_WINDOW more, and so not congruent to N - 1.) Where the
 * cache knows of a later train in the air the answer carries that one's point, which is not `done`;
 * it is given once for each train. What goes on with a train (below) sends new octets, or a hole
 * once.
 *
 * WITHOUT TIMESTAMPS nobody carries points. There is one that needs no carrying: (IRS + 1, 0). The
 * cookie then depends on IRS, so that only what begins at IRS + 1 proves it, a train ends with FIN,
 * and further requests need a connection of their own (RFC 7766 6.2.4 lets a server close).
 * Retransmission works all the same; the client's FIN, unprovable, gets RST.
 * A later request proves the cookie by chance once in 2^29 / (2 x 131,076) = 2,048 times; it gets
 * RST all the same unless it also holds a whole number of segments, once in some 2 million.
 *
 * A LENGTH ALONE is acknowledged if the client holds all up to the point; what begins two octets
 * after the point is then its message. Where requests were joined behind it, its end is found from
 * theirs. A request cut elsewhere is met with silence, until the client joins it, or the cache does
 * (modern_tail.h).
 *
 * PIECES. Not every client can join what it wrote in pieces: Linux puts no more than 17 writes into
 * a segment, and nothing that would be longer than one. If it sends only the beginning of the
 * requests of a train again, of which it holds a part, the point is behind all that we see: then
 * the cache must still have the train. So nothing is sent ahead of a train of several segments
 * whose requests came in pieces (recent_entry.is_alone), and such trains are no longer than a
 * burst. If the cache has lost it all the same, or an acknowledged piece (modern_tail.h), nothing
 * can be said: silence, and RST to who comes with the same segment for the fourth time, though its
 * window is open.
 *
 * AHEAD. A request that travels in a segment of its own while the one before it is unanswered waits
 * for the client's timer: where its response belongs is not known before. The cache (recent.h)
 * mostly knows; then it is answered at once, acknowledging only what was open to acknowledge
 * before, since the response before it may still get lost. Several in one segment need no cache.
 *
 * GOING ON. What exceeds a burst or the window is sent by the cache as ACKs come in, and holes that
 * SACK shows are filled (modern_send.h), also in trains of the driver's (modern_repair.h). Without it
 * the client's timer does both. Segments without data are looked at for this only if their echo is
 * not `done`, as above, or they have SACK of pieces behind a hole: where that begins with a train,
 * the echo is of before; and each hole is filled once.
 *
 * PROOF. ISS is a cookie; SEG.ACK - ISS - 1 is what the client holds, and F of the point that it
 * carries must agree: exactly, or within a train or a window if the connection is not yet
 * MODERN_NEAR_MAX octets old, or if the cache knows it to be about there. Beyond that, RST: what a
 * client finds who lost a segment after four million octets, just as the server forgot.
 *
 * IN THE DRIVER (io/xdp/request.bpf.h) such a server may stand in front of this one, without a
 * cache of its own: what it answered is noted for ours.
 *
 * END. Where the stream of the next MSS class would begin (cookie.h) our FIN follows the response.
 *
 * FAST OPEN, if enabled. A SYN that carries a cookie of ours (RFC 7413) has proven its address: its
 * requests are answered behind the SYN+ACK. What fits one segment is acknowledged in the SYN+ACK,
 * else the client, learning that only its SYN arrived, sends the data again at once, and all is as
 * above. The one segment, if it gets lost, is lost: the price of a round trip less.
 *
 * VERSIONS. Inside a response, or where SACK says that later pieces of it are there, sending goes
 * on only if it can be the same response: from the cache, or if the caller says so (is_settled);
 * else RST. Beginnings and completions do not depend on it. (Left is this: a whole response is
 * overtaken by the client's timer, the zone changes in between, and the late one arrives as well.)
 *
 * MANNERS. Never beyond SEG.ACK + SEG.WND (we do not offer scaling), nor config->burst segments.
 * Options count: a segment's data is no more than the client's MSS less their 12 octets (RFC 6691).
 * Before a proof at most one packet leaves, no larger than the one it answers: options go into a
 * SYN+ACK as far as the SYN had room for as many: Timestamps first, then a Fast Open cookie if
 * asked for, then MSS.
 *
 * FILES. modern.c decides what a segment means, with modern_point.c (where the connection is),
 * modern_requests.c (what is asked) and modern_tail.c (what cannot be answered yet); modern_send.c
 * sends responses, modern_repair.c what is missing of those that others sent. recent.c is the cache.
 */
#ifndef STATELESS_TCP_MODERN_H
#define STATELESS_TCP_MODERN_H

#include "stateless_tcp/stateless_tcp.h"

#define MODERN_OFFSET_BITS 19 /* of F in a point */
#define MODERN_SEQ_BITS 12    /* of N */
#define MODERN_SEQ_MASK ((1 << MODERN_SEQ_BITS) - 1)
/* A guess at SEG.ACK is then right once in
 *
 *     COOKIE_STREAM_MAX / (2^22 / 2^19 x (131,074 + 65,536 + 1) + 2^29 / 2^19 x 2) = 340
 *
 * times (near, and exactly or with our FIN), and draws no more than a burst: 38 octets on average
 * for the 71 or more that it costs. */
#define MODERN_NEAR_MAX ((1u << 22) - 1)
#define MODERN_AHEAD_MAX (65535u + 1)
#define MODERN_CLOSE_AT (COOKIE_STREAM_MAX - (1u << 20))
/* More than two segments: some clients never send more than half a window at once. */
#define MODERN_WINDOW 2560
#define MODERN_OPTIONS_MAX 40    /* of a TCP header */
#define MODERN_REQUESTS_MAX 1536 /* octets of requests that are looked at in one segment */

/* Whether the sender of a segment that is no SYN has heard our SYN+ACK. `recent`: NULL is
 * allowed. */
bool modern_is_proven(const struct stateless_tcp_keys *keys, const struct packet *packet,
                      const struct recent *recent, struct cookie_proof *proof_out);

/* The steps of stateless_tcp.h. */
enum stateless_tcp_outcome
modern_receive(const struct stateless_tcp_config *config, const struct stateless_tcp_keys *keys,
               const struct packet *packet, bool is_settled, struct recent *recent,
               struct stateless_tcp_query *query_out, struct train *train);
void modern_send(struct stateless_tcp_query *query, uint8_t *stream, size_t response_len);
void modern_finish(struct stateless_tcp_query *query, struct train *train);
void modern_wait(const struct stateless_tcp_query *query, const struct packet *packet,
                 struct train *train);

#endif

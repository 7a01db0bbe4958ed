/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shun.h - ask those to go away who send what is unwanted, and confirm it to those who ask back.
 *
 * Unwanted are packets from prefixes that the operator denies, UDP queries from those beyond their rate
 * (restrain.h), and SYNs and requests over stateless TCP from those beyond another. Some of them, so
 * many a second for each prefix, are answered by a GoAway (goaway.h) instead of a response. Nothing is
 * remembered of that: a Block that quotes the GoAway is answered by recomputing its nonce.
 *
 * Over the kernel's TCP nobody is asked: its SYN+ACK is out before a connection is known here, and who
 * was answered believes no GoAway. The nonce's keys change as those of stateless TCP do, and servers that share
 * a key-file confirm each other's.
 *
 * One struct shun for all threads of a configuration, with a thread of its own for what comes back.
 */
#ifndef SERVER_SHUN_H
#define SERVER_SHUN_H

#include "server/keys.h"
#include "stateless_tcp/goaway.h"
#include "stateless_tcp/prefix.h"

#include <sys/socket.h>

/* GoAways a second in all, and as many Block Replies, whatever their prefixes. */
#define SHUN_TOTAL_MAX 1000
/* Messages that are looked at a second. */
#define SHUN_LOOK_MAX 6400

struct shun;

/* An operator's policy. */
struct shun_config {
    enum goaway_code code;       /* what is to be blocked; GOAWAY_NO_BLOCK: nobody is asked */
    unsigned limit;              /* GoAways a second for each prefix, and as many Block Replies */
    unsigned tcp_rate;           /* SYNs and requests over stateless TCP a second; 0: any number */
    unsigned ipv4_len, ipv6_len; /* bits of an address that tell prefixes apart */
    const struct prefix *denied;
    size_t denied_count;
    const struct prefix *allowed; /* whom tcp_rate is not for */
    size_t allowed_count;
    const char *key_file; /* with the secret, for servers that share it; "": it is made at random */
};

struct shun_error {
    char text[512];
};

/* A query over UDP. */
struct shun_request {
    struct goaway_ends ends;
    uint16_t source_port, destination_port;
    const uint8_t *payload;
    size_t payload_len;
    bool is_over_rate;
    uint64_t now_s;  /* Unix time */
    uint64_t now_us; /* of a clock that is never set back */
};

/* How much of it happened. */
struct shun_counts {
    uint64_t denied;              /* requests from prefixes that are denied */
    uint64_t asked;               /* GoAways */
    uint64_t confirmed, declined; /* Block Replies with a code, and with "no block" */
};

/* By a policy, which is copied. `former`: one whose sockets, and random secret, are used again. NULL,
 * or one that asks nobody: sockets are opened, which needs CAP_NET_RAW, unless nobody is to be asked.
 * Outcomes: 0, with NULL if nobody is denied or to be asked; -EPERM; other negative errno; `error` says
 * what failed and what to do. */
int shun_open(const struct shun_config *config, const struct shun *former, struct shun **shun_out,
              struct shun_error *error);

/* Start its thread. Outcomes: 0; negative errno. NULL is allowed. */
int shun_start(struct shun *shun);

/* End the thread, free. NULL is allowed. */
void shun_close(struct shun *shun);

/* Whether the query gets no response: its source is denied, or was sent a GoAway instead. NULL is
 * allowed: false. Any thread; never blocks. */
bool shun_take(struct shun *shun, const struct shun_request *request);

/* The same for a datagram received with its address of arrival (IP_PKTINFO, IPV6_RECVPKTINFO) in the
 * header's control, on socket `fd`. The other members of *request are the caller's to set. */
bool shun_take_datagram(struct shun *shun, int fd, struct msghdr *header,
                        struct shun_request *request);

/* Whether a segment of stateless TCP, parsed, gets no answer; as shun_take() for a SYN or a segment with
 * data, which count for tcp_rate. `now_s`, `now_us` as there. */
bool shun_take_segment(struct shun *shun, const struct packet *packet, uint64_t now_s,
                       uint64_t now_us);

/* Since shun_open(). NULL is allowed. */
struct shun_counts shun_count(const struct shun *shun);

#endif

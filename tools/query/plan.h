/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan.h - one query as the command line asks for it. Plain data; whoever has it may copy it.
 */
#ifndef TOOLS_QUERY_PLAN_H
#define TOOLS_QUERY_PLAN_H

#include "zonedb/checksum.h"
#include "zonedb/name.h"
#include "zonedb/tsig.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Exit codes, as dig has them. */
enum {
    EXIT_ANSWERED = 0,
    EXIT_USAGE = 1,
    EXIT_FILE = 8,
    EXIT_NO_REPLY = 9,
    EXIT_INTERNAL = 10,
};

#define PLAN_SERVER_MAX 256
#define PLAN_OPTIONS_MAX 4096 /* octets of EDNS options of the user's own */
#define PLAN_COOKIE_MAX 40    /* RFC 7873 4: 8 of the client, up to 32 of the server */
#define PLAN_UDP_PAYLOAD_DEFAULT 1232

enum plan_format {
    PLAN_FORMAT_TEXT,
    PLAN_FORMAT_SHORT,
    PLAN_FORMAT_JSON,
};

struct plan_edns {
    bool is_present;
    uint8_t version;
    uint16_t payload;
    bool is_do;
    bool wants_nsid;
    bool wants_keepalive;
    bool has_cookie;
    uint8_t cookie[PLAN_COOKIE_MAX];
    size_t cookie_len;      /* 0: 8 random octets */
    uint16_t padding_block; /* the request's length is a multiple of it; 0: not padded */
    uint8_t subnet[20];     /* CLIENT-SUBNET, as it goes out (RFC 7871 6) */
    size_t subnet_len;      /* 0: none */
    bool has_checksum;      /* zonedb/checksum.h */
    enum checksum_layout checksum_layout;
    uint16_t checksum_code;
    uint8_t options[PLAN_OPTIONS_MAX]; /* more, as they go into the OPT record */
    size_t options_len;
};

struct plan_show {
    enum plan_format format;
    bool has_command, has_comments, has_question, has_answer, has_authority, has_additional,
        has_statistics;
    bool has_request;                  /* before the response */
    bool has_identity;                 /* of the server, where the format is short */
    bool is_in_us;                     /* how long it took, in microseconds */
    bool has_ttl, has_class;           /* of records */
    bool is_wrapped, is_generic;       /* RDATA: over several lines; as RFC 3597 has it */
    bool has_crypto, has_rdata_remark; /* keys and signatures; what they are, as a comment */
};

struct plan {
    char server[PLAN_SERVER_MAX]; /* address or name; "": as /etc/resolv.conf has it */
    uint16_t port;
    int family; /* AF_UNSPEC, AF_INET, AF_INET6 */
    bool has_source;
    struct sockaddr_storage source;

    bool has_name, has_type, has_class;
    uint8_t name[NAME_MAX_LEN];
    uint16_t type, class;

    bool is_tcp, is_kept_open, is_tc_ignored;
    bool is_rd, is_cd, is_ad, is_z;
    uint8_t opcode;
    bool has_id;
    uint16_t id;
    unsigned timeout_s, tries;
    struct plan_edns edns;

    bool has_tsig, is_tsig_well_known;
    struct tsig_key tsig;

    bool is_traced;
    char hints[PLAN_SERVER_MAX]; /* file; "": built in */
    bool has_segments;
    struct plan_show show;
};

/* What a query is without any option. */
void plan_init(struct plan *plan);

#endif

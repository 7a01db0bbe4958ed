/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config.h - what a run is to do, as the command line says it.
 */
#ifndef TOOLS_BENCH_CONFIG_H
#define TOOLS_BENCH_CONFIG_H

#include "stateless_tcp/prefix.h"
#include "tools/bench/question.h"
#include "tools/bench/schedule.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum bench_mode {
    BENCH_UDP,     /* the kernel's sockets */
    BENCH_TCP,     /* the kernel's sockets */
    BENCH_RAW,     /* TCP in frames of our own */
    BENCH_RAW_UDP, /* UDP in frames of our own */
};

enum bench_close {
    BENCH_CLOSE_FIN,
    BENCH_CLOSE_RST,
};

enum bench_exit {
    BENCH_EXIT_GOOD = 0,
    BENCH_EXIT_REFUSED = 1, /* a file, database or interface is at fault */
    BENCH_EXIT_USAGE = 2,
    BENCH_EXIT_UNANSWERED = 3, /* the run went through and not one answer came */
    BENCH_EXIT_DIFFERENT = 4,  /* the run went through and --compare found differences */
};

/* Constant during the run. Text points into the command line. */
struct bench_config {
    enum bench_mode mode;
    struct sockaddr_storage server; /* with port */

    /* questions: a file, or a zone of a database */
    const char *questions;
    const char *zone; /* DIRECTORY:APEX */
    unsigned mix[3];  /* parts: existing, NXDOMAIN, random */
    uint32_t question_count;
    uint64_t seed;
    struct question_form form;

    /* how much */
    double seconds;
    uint64_t query_limit; /* UINT64_MAX: none */
    double rate;          /* queries a second; 0: as fast as answers come */
    enum schedule_arrivals arrivals;
    uint64_t timeout_ns;
    uint32_t threads, connections;
    uint32_t outstanding;            /* UDP, closed loop */
    uint32_t queries_per_connection; /* 0: as many as there are */
    uint32_t pipeline;               /* queries outstanding on a connection */
    enum bench_close close;
    bool has_fast_open;

    /* from where */
    bool has_source;
    struct prefix source;
    uint16_t port_first, port_last;
    const char *interface;
    const char *backend;
    bool has_driver; /* an XDP program carries the connections */
    bool has_mac;
    uint8_t mac[6]; /* of the server or the router towards it */
    bool has_gateway;
    struct packet_address gateway;
    bool is_handshake_joined; /* the request acknowledges the SYN+ACK: no segment of its own does */
    uint64_t retransmit_ns;
    uint16_t window;

    /* judgement */
    const char *compare;                    /* zone database to compute answers from */
    struct sockaddr_storage compare_server; /* or a server; family 0: none */
    uint32_t difference_count;              /* that are told */
    uint32_t compare_every;

    /* telling */
    bool is_json, is_quiet;
    const char *csv;
    const char *histogram;
};

/* Read the command line. Returns BENCH_EXIT_GOOD with *is_done_out telling whether --help or the
 * like was all; or BENCH_EXIT_USAGE, the reason told on stderr. */
enum bench_exit config_read(int argc, char **argv, struct bench_config *config, bool *is_done_out);

const char *config_mode_name(enum bench_mode mode);

/* What --help says. */
extern const char config_help[];

#endif

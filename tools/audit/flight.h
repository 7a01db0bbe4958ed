/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flight.h - one question on its way to one server, without waiting: many of them, and one poll().
 *
 *     flight_begin(&flight, apex, &server, is_tcp, deadline_us);
 *     while (outcome == FLIGHT_WAITING) {
 *         poll flight.fd for flight_events(&flight);
 *         outcome = flight_turn(&flight);
 *     }
 *     flight_end(&flight);
 *
 * Who is not on the path has to guess, over UDP, 16 bits of the identifier, the port of a socket that
 * lives for this question alone and takes datagrams of the server's address only, and the case of
 * each letter of the name (random, and has to come back as it was; RFC 5452 9); over TCP, 32 bits of
 * a sequence number besides. A response that has all of it but the case leads to TCP: there are
 * servers that do not keep it.
 */
#ifndef TOOLS_AUDIT_FLIGHT_H
#define TOOLS_AUDIT_FLIGHT_H

#include "tools/query/request.h"

#include <sys/socket.h>

enum flight_outcome {
    FLIGHT_WAITING,
    FLIGHT_DONE,   /* flight.response has it: well-formed as far as to its question */
    FLIGHT_CUT,    /* the server has more to say over TCP, or did not keep the case */
    FLIGHT_FAILED, /* it cannot be reached, or has closed the connection */
};

struct flight {
    int fd; /* -1: none */
    bool is_tcp, is_sent;
    int64_t deadline_us; /* of socket_clock_us() */
    uint8_t request[2 + 512];
    size_t request_len, sent_len; /* with the two octets of the length */
    uint8_t response[2 + MESSAGE_MAX];
    size_t response_len, received_len; /* of the message; with those two octets, over TCP */
};

/* Begin to ask for the NS of `apex` (wire format), without recursion and with DO. Any outcome. */
enum flight_outcome flight_begin(struct flight *flight, const uint8_t *apex,
                                 const struct sockaddr_storage *server, bool is_tcp,
                                 int64_t deadline_us);

/* Go on. Takes few datagrams at a time, whoever floods us. Deadlines are the caller's. */
enum flight_outcome flight_turn(struct flight *flight);

/* The message that has come. */
const uint8_t *flight_response(const struct flight *flight);

/* What to poll for. */
short flight_events(const struct flight *flight);

/* Close what is open. Once begun, as often as wanted. */
void flight_end(struct flight *flight);

#endif

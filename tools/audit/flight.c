/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/flight.h"

#include "server/address.h"
#include "tools/query/received.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PREFIX_LEN 2
/* Datagrams that are not ours, in one turn. */
#define STRANGERS_MAX 64

enum {
    TYPE_NS = 2,
    CLASS_IN = 1,
};

static void set_random_case(uint8_t *name, size_t len, const uint8_t bits[NAME_MAX_LEN / 8 + 1])
{
    for (size_t i = 0; i < len; i++)
        if (name[i] >= 'a' && name[i] <= 'z' && (bits[i / 8] >> i % 8 & 1) != 0)
            name[i] = (uint8_t)(name[i] - 'a' + 'A');
}

static bool make_request(struct flight *flight, const uint8_t *apex)
{
    struct {
        struct request_dice dice;
        uint8_t bits[NAME_MAX_LEN / 8 + 1];
    } random;
    struct plan plan;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return false;
    plan_init(&plan);
    set_random_case(plan.name, name_copy_lower(plan.name, apex), random.bits);
    plan.type = TYPE_NS;
    plan.class = CLASS_IN;
    plan.is_rd = plan.is_ad = false;
    plan.edns.is_present = true;
    plan.edns.is_do = true;
    const size_t len = request_make(&plan, &random.dice, 0, flight->request + PREFIX_LEN);
    octets_put_be16(flight->request, (uint16_t)len);
    flight->request_len = PREFIX_LEN + len;
    flight->sent_len = flight->is_tcp ? 0 : PREFIX_LEN;
    return true;
}

static bool is_later(int error)
{
    return error == EAGAIN || error == EINPROGRESS || error == EINTR || error == ENOTCONN;
}

/* Over UDP in one step; over TCP as far as there is room, once the connection is there. */
static enum flight_outcome send_rest(struct flight *flight)
{
    const ssize_t sent = send(flight->fd, flight->request + flight->sent_len,
                              flight->request_len - flight->sent_len, MSG_NOSIGNAL);

    if (sent < 0)
        return is_later(errno) && flight->is_tcp ? FLIGHT_WAITING : FLIGHT_FAILED;
    flight->sent_len += (size_t)sent;
    flight->is_sent = flight->sent_len == flight->request_len;
    return FLIGHT_WAITING;
}

enum flight_outcome flight_begin(struct flight *flight, const uint8_t *apex,
                                 const struct sockaddr_storage *server, bool is_tcp,
                                 int64_t deadline_us)
{
    const int type = (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;

    flight->is_tcp = is_tcp;
    flight->is_sent = false;
    flight->deadline_us = deadline_us;
    flight->response_len = flight->received_len = 0;
    flight->fd = socket(server->ss_family, type, 0);
    if (flight->fd < 0 || !make_request(flight, apex))
        return FLIGHT_FAILED;
    if (connect(flight->fd, (const struct sockaddr *)server, address_len(server)) != 0)
        return errno == EINPROGRESS ? FLIGHT_WAITING : FLIGHT_FAILED;
    return send_rest(flight);
}

/* ---- what comes ---- */

const uint8_t *flight_response(const struct flight *flight)
{
    return flight->response + PREFIX_LEN;
}

/* Octet for octet: not only the same name. */
static bool is_case_kept(const struct flight *flight)
{
    const size_t len = flight->request_len - PREFIX_LEN - HEADER_LEN;
    const uint8_t *asked = flight->request + PREFIX_LEN + HEADER_LEN;
    const uint8_t *said = flight_response(flight) + HEADER_LEN;

    return flight->response_len > HEADER_LEN && octets_be16(said - HEADER_LEN + 4) == 1 &&
           memcmp(asked, said, name_len(asked, len)) == 0;
}

static enum flight_outcome judge(const struct flight *flight)
{
    const uint8_t *response = flight_response(flight);

    if (request_match(flight->request + PREFIX_LEN, flight->request_len - PREFIX_LEN, response,
                      flight->response_len) != REQUEST_MATCH_OURS)
        return FLIGHT_WAITING;
    const bool is_whole = (octets_be16(response + 2) & RECEIVED_TC) == 0 && is_case_kept(flight);
    return is_whole || flight->is_tcp ? FLIGHT_DONE : FLIGHT_CUT;
}

static enum flight_outcome receive_udp(struct flight *flight)
{
    for (unsigned i = 0; i < STRANGERS_MAX; i++) {
        const ssize_t len = recv(flight->fd, flight->response + PREFIX_LEN, MESSAGE_MAX, 0);
        if (len < 0)
            return is_later(errno) ? FLIGHT_WAITING : FLIGHT_FAILED;
        flight->response_len = (size_t)len;
        const enum flight_outcome outcome = judge(flight);
        if (outcome != FLIGHT_WAITING)
            return outcome;
    }
    return FLIGHT_WAITING;
}

static enum flight_outcome receive_tcp(struct flight *flight)
{
    for (;;) {
        const size_t wanted = flight->received_len < PREFIX_LEN
                                  ? PREFIX_LEN
                                  : PREFIX_LEN + (size_t)octets_be16(flight->response);
        if (wanted == flight->received_len) {
            flight->response_len = wanted - PREFIX_LEN;
            /* Nobody else is on this connection: another message is no stranger's. */
            return judge(flight) == FLIGHT_DONE ? FLIGHT_DONE : FLIGHT_FAILED;
        }
        const ssize_t len = recv(flight->fd, flight->response + flight->received_len,
                                 wanted - flight->received_len, 0);
        if (len <= 0)
            return len < 0 && is_later(errno) ? FLIGHT_WAITING : FLIGHT_FAILED;
        flight->received_len += (size_t)len;
    }
}

enum flight_outcome flight_turn(struct flight *flight)
{
    if (!flight->is_sent)
        return send_rest(flight);
    return flight->is_tcp ? receive_tcp(flight) : receive_udp(flight);
}

short flight_events(const struct flight *flight)
{
    return flight->is_sent ? POLLIN : POLLOUT;
}

void flight_end(struct flight *flight)
{
    if (flight->fd >= 0)
        close(flight->fd);
    flight->fd = -1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/reference.h"

#include "server/address.h"
#include "stateless_tcp/wire.h"
#include "tools/bench/verify.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 3     /* of asking what was not answered */
#define AHEAD 64     /* questions without answer at a time */
#define PATIENCE_S 1 /* for the next answer */
#define WAITS_MAX 30 /* that long, and for nothing */
#define WAITS_FIRST 3
#define MESSAGE_CAP 65535u

/* One way to the server. */
struct asking {
    struct reference *reference;
    const struct question_pool *pool;
    const struct sockaddr_storage *server;
    bool is_tcp;
    const atomic_bool *is_stopped;
    int fd;                /* -1: none */
    uint32_t ahead[AHEAD]; /* questions without answer */
    uint32_t ahead_count;
    uint32_t waits;
    size_t received; /* octets of a TCP message that is not whole */
    uint8_t message[2 + MESSAGE_CAP];
};

static int keep(struct reference *reference, uint32_t question, const uint8_t *octets, size_t len)
{
    if (reference->cap - reference->len < len) {
        size_t cap = reference->cap * 2 + 2 * MESSAGE_CAP;
        uint8_t *larger = realloc(reference->octets, cap);
        if (larger == NULL)
            return -ENOMEM;
        reference->octets = larger;
        reference->cap = cap;
    }
    memcpy(reference->octets + reference->len, octets, len);
    reference->offsets[question] = reference->len;
    reference->lens[question] = (uint16_t)len;
    reference->len += len;
    reference->answered++;
    return 0;
}

/* A message came. Which question is it of? */
static int take(struct asking *asking, const uint8_t *message, size_t len)
{
    uint16_t id = len >= 2 ? wire_load_be16(message) : 0;
    for (uint32_t i = 0; i < asking->ahead_count; i++) {
        uint32_t question = asking->ahead[i];
        if ((uint16_t)question != id || !verify_is_answer(asking->pool, question, id, message, len))
            continue;
        asking->ahead[i] = asking->ahead[--asking->ahead_count];
        return keep(asking->reference, question, message, len);
    }
    return 0;
}

static int open_socket(struct asking *asking)
{
    int type = (asking->is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC;
    /* sends and connects wait no longer, either */
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int on = 1;
    asking->fd = socket(asking->server->ss_family, type, 0);
    asking->received = 0;
    if (asking->fd < 0)
        return -errno;
    setsockopt(asking->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (asking->is_tcp)
        setsockopt(asking->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(asking->fd, (const struct sockaddr *)asking->server, address_len(asking->server)) ==
        0)
        return 0;
    return -errno;
}

static void close_socket(struct asking *asking)
{
    if (asking->fd >= 0)
        close(asking->fd);
    asking->fd = -1;
}

static bool send_question(struct asking *asking, uint32_t question)
{
    uint8_t framed[2 + QUESTION_MESSAGE_MAX];
    uint16_t len = question_copy(asking->pool, question, (uint16_t)question, 0, framed + 2);
    wire_store_be16(framed, len);
    const uint8_t *from = asking->is_tcp ? framed : framed + 2;
    ssize_t octets = asking->is_tcp ? len + 2 : len;
    return send(asking->fd, from, (size_t)octets, MSG_NOSIGNAL) == octets;
}

/* What there is. false: the socket is of no use any more. */
static bool receive(struct asking *asking, int *result)
{
    if (!asking->is_tcp) {
        ssize_t len = recv(asking->fd, asking->message, MESSAGE_CAP, 0);
        if (len > 0)
            *result = take(asking, asking->message, (size_t)len);
        return len >= 0 || errno == EINTR;
    }
    size_t wanted = 2;
    if (asking->received >= 2)
        wanted += wire_load_be16(asking->message);
    ssize_t len =
        recv(asking->fd, asking->message + asking->received, wanted - asking->received, 0);
    if (len < 0 && errno == EINTR)
        return true;
    if (len <= 0)
        return false;
    asking->received += (size_t)len;
    if (asking->received >= 2 && asking->received == 2u + wire_load_be16(asking->message)) {
        *result = take(asking, asking->message + 2, asking->received - 2);
        asking->received = 0;
    }
    return true;
}

static bool is_stopped(const struct asking *asking)
{
    return atomic_load_explicit(asking->is_stopped, memory_order_relaxed);
}

/* All of `ahead`, as long as something comes in time. */
static int ask_some(struct asking *asking)
{
    int result = 0;
    uint32_t answered = asking->reference->answered;
    bool is_useful = asking->fd >= 0 || open_socket(asking) == 0;
    for (uint32_t i = 0; i < asking->ahead_count && is_useful; i++)
        is_useful = send_question(asking, asking->ahead[i]);
    while (is_useful && result == 0 && asking->ahead_count > 0 && !is_stopped(asking)) {
        struct pollfd descriptor = {.fd = asking->fd, .events = POLLIN};
        is_useful = poll(&descriptor, 1, PATIENCE_S * 1000) > 0 && receive(asking, &result);
    }
    if (is_useful)
        return result;
    close_socket(asking);
    /* A server may close a connection when it likes: what it has answered was not for nothing. */
    asking->waits += asking->reference->answered == answered;
    uint32_t waits_max = asking->reference->answered == 0 ? WAITS_FIRST : WAITS_MAX;
    return asking->waits < waits_max ? result : -EHOSTUNREACH;
}

static int ask_all(struct asking *asking)
{
    const struct question_pool *pool = asking->pool;
    int result = 0;
    for (uint32_t i = 0; i < pool->count && result == 0 && !is_stopped(asking); i++) {
        if (asking->reference->lens[i] == 0)
            asking->ahead[asking->ahead_count++] = i;
        if (asking->ahead_count < AHEAD && i + 1 < pool->count)
            continue;
        result = ask_some(asking);
        asking->ahead_count = 0;
    }
    return result;
}

int reference_ask(struct reference *reference, const struct question_pool *pool,
                  const struct sockaddr_storage *server, bool is_tcp,
                  const atomic_bool *is_stopped_now)
{
    struct asking *asking = calloc(1, sizeof *asking);
    int result = 0;
    *reference = (struct reference){.offsets = calloc(pool->count, sizeof *reference->offsets),
                                    .lens = calloc(pool->count, sizeof *reference->lens)};
    if (asking == NULL || reference->offsets == NULL || reference->lens == NULL) {
        free(asking);
        return -ENOMEM;
    }
    asking->reference = reference;
    asking->pool = pool;
    asking->server = server;
    asking->is_tcp = is_tcp;
    asking->is_stopped = is_stopped_now;
    asking->fd = -1;
    for (unsigned i = 0; i < ROUNDS && result == 0 && reference->answered < pool->count; i++)
        result = ask_all(asking);
    if (result == 0 && reference->answered == 0)
        result = -EHOSTUNREACH;
    close_socket(asking);
    free(asking);
    return result;
}

const uint8_t *reference_answer(const struct reference *reference, uint32_t question,
                                size_t *len_out)
{
    *len_out = reference->lens[question];
    return reference->lens[question] != 0 ? reference->octets + reference->offsets[question] : NULL;
}

void reference_end(struct reference *reference)
{
    free(reference->octets);
    free(reference->offsets);
    free(reference->lens);
    *reference = (struct reference){0};
}

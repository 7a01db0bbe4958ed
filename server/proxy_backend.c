/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy_backend.h"

#include "server/address.h"
#include "server/whole.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* For a burst of the longest responses; the kernel may grant less. */
#define RECEIVE_BUFFER_OCTETS (4 << 20)

static int backend_open_one(const struct sockaddr_storage *address, int *fd_out)
{
    int octets = RECEIVE_BUFFER_OCTETS;
    *fd_out = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd_out < 0)
        return -errno;
    setsockopt(*fd_out, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    int outcome = whole_set(*fd_out, address->ss_family);
    if (outcome != 0)
        return outcome;
    return connect(*fd_out, (const struct sockaddr *)address, address_len(address)) == 0 ? 0
                                                                                         : -errno;
}

int proxy_backend_open(const struct sockaddr_storage *address, struct proxy_backend *backend_out,
                       struct io_error *error)
{
    int outcome = 0;
    *backend_out = (struct proxy_backend){0};
    for (unsigned i = 0; i < PROXY_PORTS; i++)
        backend_out->fds[i] = -1;
    for (unsigned i = 0; i < PROXY_PORTS && outcome == 0; i++)
        outcome = backend_open_one(address, &backend_out->fds[i]);
    if (outcome != 0) {
        char text[ADDRESS_TEXT_MAX];
        snprintf(error->text, sizeof error->text, "proxy %s: no socket to it: %s",
                 address_to_text(address, text), strerror(-outcome));
        proxy_backend_close(backend_out);
    }
    return outcome;
}

/* As much as getrandom(2) gives at once, whatever signals come. */
static_assert(sizeof((struct proxy_draws *)0)->octets <= 256, "would come in parts");

int proxy_backend_draw(struct proxy_draws *draws)
{
    if (draws->left >= sizeof draws->octets / 2)
        return 0;
    ssize_t got = getrandom(draws->octets, sizeof draws->octets, 0);
    if (got != sizeof draws->octets)
        return got < 0 ? -errno : -EIO;
    draws->left = sizeof draws->octets;
    return 0;
}

void proxy_backend_send(const struct proxy_backend *backend, const struct proxy_ask *ask)
{
    /* An error that an earlier datagram drew is reported here, once, instead of sending. */
    for (int attempt = 0; attempt < 2; attempt++)
        if (send(backend->fds[ask->port], ask->octets, ask->len, 0) >= 0 || errno != ECONNREFUSED)
            return;
}

ssize_t proxy_backend_receive(const struct proxy_backend *backend, uint8_t port, uint8_t *datagram,
                              size_t cap)
{
    ssize_t len = recv(backend->fds[port], datagram, cap, 0);
    return len >= 0 ? len : -errno;
}

void proxy_backend_close(struct proxy_backend *backend)
{
    for (unsigned i = 0; i < PROXY_PORTS; i++)
        if (backend->fds[i] >= 0)
            close(backend->fds[i]);
    explicit_bzero(backend, sizeof *backend);
    for (unsigned i = 0; i < PROXY_PORTS; i++)
        backend->fds[i] = -1;
}

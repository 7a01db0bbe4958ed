/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/claim.h"

#include "server/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct claim {
    struct sockaddr_un name;
    socklen_t name_len;
    int fd; /* -1: the kernel has no such sockets, or the name is a stranger's */
    unsigned users;
};

enum {
    HOLDER_NOBODY = 0,
    HOLDER_UNKNOWN = -1, /* somebody */
};

/* The name for an address as text; "": the beginning of all of the interface, family and port. */
static void name_make(const char *interface, int family, uint16_t port, const char *address,
                      struct claim *claim)
{
    claim->name = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(claim->name.sun_path + 1, sizeof claim->name.sun_path - 1,
                       "lethe-stateless/%s/%d/%u/%s", interface, family, port, address);
    assert(len > 0 && (size_t)len < sizeof claim->name.sun_path - 1);
    claim->name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static bool is_same(const struct claim *a, const struct claim *b)
{
    return a->name_len == b->name_len && memcmp(&a->name, &b->name, a->name_len) == 0;
}

/* The process that holds a name, root's or of our user; others hold nothing. */
static pid_t holder_of(const struct claim *claim)
{
    struct ucred holder;
    socklen_t len = sizeof holder;
    pid_t pid = HOLDER_NOBODY;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return HOLDER_NOBODY;
    if (connect(fd, (const struct sockaddr *)&claim->name, claim->name_len) != 0)
        pid = errno == EAGAIN ? HOLDER_UNKNOWN : HOLDER_NOBODY; /* asked too often: it is there */
    else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &len) != 0 ||
             (holder.uid != 0 && holder.uid != geteuid()))
        pid = HOLDER_NOBODY;
    else
        pid = holder.pid != 0 ? holder.pid : HOLDER_UNKNOWN; /* 0: beyond our PID namespace */
    close(fd);
    return pid;
}

static bool is_of_others(pid_t holder)
{
    return holder != HOLDER_NOBODY && holder != getpid();
}

static int refuse(const char *interface, const struct sockaddr_storage *address, pid_t holder,
                  char *error)
{
    char text[ADDRESS_TEXT_MAX], who[40] = "another process";
    if (holder != HOLDER_UNKNOWN)
        snprintf(who, sizeof who, "process %d", (int)holder);
    snprintf(error, CLAIM_ERROR_MAX,
             "%s is served on interface %s by %s already, without sockets; end that first, or "
             "serve another address or port",
             address_to_text(address, text), interface, who);
    return -EADDRINUSE;
}

/* Who else serves an address of the family on this interface and port; `prefix`: their names. */
static pid_t find_any(const struct claim *prefix)
{
    size_t prefix_len = strlen(prefix->name.sun_path + 1);
    char line[300];
    pid_t holder = HOLDER_NOBODY;
    FILE *file = fopen("/proc/net/unix", "re");
    while (file != NULL && !is_of_others(holder) && fgets(line, sizeof line, file) != NULL) {
        const char *name = strchr(line, '@'); /* how the first octet, NUL, is printed */
        if (name == NULL || strncmp(name + 1, prefix->name.sun_path + 1, prefix_len) != 0)
            continue;
        size_t len = strcspn(name + 1, "\n");
        struct claim found = {.name = {.sun_family = AF_UNIX}};
        if (len >= sizeof found.name.sun_path - 1)
            continue;
        memcpy(found.name.sun_path + 1, name + 1, len);
        found.name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
        holder = holder_of(&found);
    }
    if (file != NULL)
        fclose(file);
    return holder;
}

/* One address and all of the family exclude each other too. First take, then look, so that of two
 * at the same time at least one sees the other. */
static pid_t find_overlap(const char *interface, const struct packet_endpoint *endpoint)
{
    struct claim other;
    if (packet_address_is_any(&endpoint->address)) {
        name_make(interface, endpoint->address.family, endpoint->port, "", &other);
        return find_any(&other);
    }
    name_make(interface, endpoint->address.family, endpoint->port,
              endpoint->address.family == 4 ? "0.0.0.0" : "::", &other);
    return holder_of(&other);
}

/* Outcomes: 0; the holder. */
static pid_t claim_bind(struct claim *claim)
{
    claim->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (claim->fd >= 0 &&
        bind(claim->fd, (const struct sockaddr *)&claim->name, claim->name_len) == 0) {
        listen(claim->fd, SOMAXCONN); /* so that who asks is told our PID */
        return HOLDER_NOBODY;
    }
    bool is_taken = claim->fd >= 0 && errno == EADDRINUSE;
    if (claim->fd >= 0)
        close(claim->fd);
    claim->fd = -1;
    return is_taken ? holder_of(claim) : HOLDER_NOBODY;
}

static struct claim *find(const struct claims *claims, const struct claim *wanted)
{
    for (size_t i = 0; claims != NULL && i < claims->count; i++)
        if (is_same(claims->items[i], wanted))
            return claims->items[i];
    return NULL;
}

int claims_take(struct claims *claims, const struct claims *former, const char *interface,
                const struct sockaddr_storage *address, char *error)
{
    struct packet_endpoint endpoint;
    char text[INET6_ADDRSTRLEN];
    assert(claims->count < CONFIG_LISTEN_MAX);
    if (!address_to_endpoint((const struct sockaddr *)address, &endpoint))
        return 0;
    inet_ntop(endpoint.address.family == 4 ? AF_INET : AF_INET6, endpoint.address.octets, text,
              sizeof text);
    struct claim *claim = calloc(1, sizeof *claim);
    if (claim == NULL)
        return -ENOMEM;
    name_make(interface, endpoint.address.family, endpoint.port, text, claim);
    struct claim *shared = find(former, claim);
    if (shared != NULL) {
        free(claim);
        shared->users++;
        claims->items[claims->count++] = shared;
        return 0;
    }
    claim->users = 1;
    pid_t holder = claim_bind(claim);
    claims->items[claims->count++] = claim;
    if (holder == HOLDER_NOBODY)
        holder = find_overlap(interface, &endpoint);
    return is_of_others(holder) ? refuse(interface, address, holder, error) : 0;
}

void claims_release(struct claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        struct claim *claim = claims->items[i];
        if (--claim->users > 0)
            continue;
        if (claim->fd >= 0)
            close(claim->fd);
        free(claim);
    }
    claims->count = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/guard.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Makes names differ: while addresses change, the new guard goes up before the old one goes. */
static atomic_uint guard_serial;

struct guard {
    pid_t keeper; /* the child whose netlink socket owns the table */
    int fd;       /* to it; it notices when this end is closed */
    uint64_t since_us;
};

/* What the child says first. */
struct keeper_report {
    int result;
    uint64_t since_us;
    struct io_error error;
};

static int guard_fail(struct io_error *error, int result, const char *interface, const char *reason)
{
    snprintf(error->text, sizeof(error->text),
             "interface %s: cannot keep the kernel's TCP away (nftables): %s", interface, reason);
    return result;
}

/* A name goes into the rules between quotation marks; the kernel allows nearly anything in it. */
static bool is_name_plain(const char *interface)
{
    return *interface != '\0' && strlen(interface) < IF_NAMESIZE &&
           strpbrk(interface, "\"\\*\n") == NULL;
}

/* Where the rules stand: at the device, before the IP stack sees a packet; or, in a kernel that has
 * no rules there, at the earliest point of the stack. */
enum place { PLACE_DEVICE, PLACE_STACK, PLACE_COUNT };

static void put_begin(FILE *rules, const char *interface, enum place place)
{
    if (place == PLACE_STACK)
        fprintf(rules, "  iifname \"%s\" ", interface);
    else
        fputs("  ", rules);
}

/* "accept" ends this chain only: whatever else filters on this host still has its say. */
static void put_peer(FILE *rules, const struct guard_config *config, enum place place,
                     const struct prefix *peer)
{
    bool is_v4 = peer->address.family == 4;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, peer->address.octets, address, sizeof(address));
    put_begin(rules, config->interface, place);
    fprintf(rules, "%s saddr %s/%u meta l4proto tcp counter accept\n", is_v4 ? "ip" : "ip6",
            address, peer->len);
}

/* A fragment says nothing of ports, but for the first, which alone is of no use. */
static void put_rule(FILE *rules, const struct guard_config *config, enum place place,
                     const struct packet_endpoint *endpoint, const char *protocol)
{
    bool is_v4 = endpoint->address.family == 4;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, endpoint->address.octets, address, sizeof(address));
    put_begin(rules, config->interface, place);
    bool is_any = packet_address_is_any(&endpoint->address);
    if (is_any)
        fprintf(rules, "meta %s %s", place == PLACE_DEVICE ? "protocol" : "nfproto",
                place == PLACE_STACK ? (is_v4 ? "ipv4" : "ipv6") : (is_v4 ? "ip" : "ip6"));
    else
        fprintf(rules, "%s daddr %s", is_v4 ? "ip" : "ip6", address);
    fprintf(rules, " %s dport %u %s%s counter drop\n", protocol, endpoint->port,
            is_v4 ? "ip frag-off & 0x3fff == 0" : "exthdr frag missing",
            is_any ? " fib daddr type local" : "");
}

/* The ruleset as text, to be freed; NULL: no memory. */
static char *guard_rules(const struct guard_config *config, enum place place, unsigned serial)
{
    char *text = NULL;
    size_t len = 0;
    FILE *rules = open_memstream(&text, &len);
    if (rules == NULL)
        return NULL;
    fprintf(rules, "table %s lethe-%ld-%u-%u {\n flags owner\n chain stateless {\n",
            place == PLACE_DEVICE ? "netdev" : "inet", (long)getpid(),
            if_nametoindex(config->interface), serial);
    if (place == PLACE_DEVICE)
        fprintf(rules, "  type filter hook ingress device \"%s\" priority 0; policy accept;\n",
                config->interface);
    else
        fputs("  type filter hook prerouting priority raw; policy accept;\n", rules);
    for (size_t i = 0; i < config->peer_count; i++)
        put_peer(rules, config, place, &config->peers[i]);
    for (size_t i = 0; i < config->endpoint_count; i++) {
        if (config->has_udp)
            put_rule(rules, config, place, &config->endpoints[i], "udp");
        put_rule(rules, config, place, &config->endpoints[i], "tcp");
    }
    fputs(" }\n}\n", rules);
    bool is_bad = ferror(rules);
    if (fclose(rules) != 0 || is_bad) {
        free(text);
        return NULL;
    }
    return text;
}

/* Put the table up. The context stays: its socket owns the table. */
static int keeper_apply(const char *interface, const char *rules, struct nft_ctx *nft,
                        uint64_t *since_us_out, struct io_error *error)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *since_us_out = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    errno = 0;
    if (nft_run_cmd_from_buffer(nft, rules) == 0)
        return 0;
    if (errno == EPERM)
        return guard_fail(error, -EPERM, interface,
                          "not permitted; start as root or with CAP_NET_ADMIN");
    char reason[256];
    snprintf(reason, sizeof(reason), "%.200s", nft_ctx_get_error_buffer(nft));
    reason[strcspn(reason, "\n")] = '\0';
    return guard_fail(error, -EOPNOTSUPP, interface,
                      *reason != '\0' ? reason : "the kernel refused; Linux 5.12 is needed");
}

/* The first rules that the kernel takes. */
static int keeper_apply_first(const char *interface, char *const rules[PLACE_COUNT],
                              uint64_t *since_us_out, struct io_error *error)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL)
        return guard_fail(error, -EOPNOTSUPP, interface, "no netlink socket for nftables");
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    int result = -EOPNOTSUPP;
    for (unsigned i = 0; i < PLACE_COUNT && result == -EOPNOTSUPP; i++)
        result = keeper_apply(interface, rules[i], nft, since_us_out, error);
    return result;
}

/* Keep nothing of the parent's but the socket to it, which becomes number 3. */
static void keeper_detach(int fd)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; null >= 0 && i < 3; i++)
        dup2(null, i);
    if (fd != 3)
        dup2(fd, 3);
    close_range(4, ~0u, 0);
    prctl(PR_SET_NAME, "lethed-guard");
}

/* The child's whole life. */
_Noreturn static void keeper_run(int fd, const struct guard_config *config,
                                 char *const rules[PLACE_COUNT])
{
    struct keeper_report report = {0};
    keeper_detach(fd);
    report.result = keeper_apply_first(config->interface, rules, &report.since_us, &report.error);
    capng_clear(CAPNG_SELECT_BOTH);
    capng_apply(CAPNG_SELECT_BOTH);
    if (send(3, &report, sizeof(report), 0) != (ssize_t)sizeof(report) || report.result != 0)
        _exit(EXIT_FAILURE);
    char farewell;
    ssize_t len;
    do
        len = recv(3, &farewell, sizeof(farewell), 0);
    while (len < 0 && errno == EINTR);
    if (len == 0)
        poll(NULL, 0, (int)config->linger_s * 1000);
    _exit(EXIT_SUCCESS);
}

static int guard_spawn(struct guard *guard, const struct guard_config *config,
                       char *const rules[PLACE_COUNT], struct io_error *error)
{
    const char *interface = config->interface;
    int ends[2];
    struct keeper_report report;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return guard_fail(error, -errno, interface, "no socket pair");
    guard->keeper = fork();
    if (guard->keeper == 0)
        keeper_run(ends[1], config, rules);
    int problem = guard->keeper < 0 ? errno : 0;
    close(ends[1]);
    guard->fd = ends[0];
    if (problem != 0)
        return guard_fail(error, -problem, interface, "cannot fork");
    if (recv(guard->fd, &report, sizeof(report), 0) != (ssize_t)sizeof(report))
        return guard_fail(error, -ECHILD, interface, "the process that is to keep it up died");
    *error = report.error;
    guard->since_us = report.since_us;
    return report.result;
}

int guard_open(const struct guard_config *config, struct guard **guard_out, struct io_error *error)
{
    *guard_out = NULL;
    if (!is_name_plain(config->interface))
        return guard_fail(error, -EINVAL, config->interface,
                          "the interface's name cannot be quoted");
    unsigned serial = atomic_fetch_add(&guard_serial, 1);
    char *rules[PLACE_COUNT];
    struct guard *guard = calloc(1, sizeof(*guard));
    bool is_full = guard == NULL;
    for (unsigned i = 0; i < PLACE_COUNT; i++) {
        rules[i] = guard_rules(config, (enum place)i, serial);
        is_full |= rules[i] == NULL;
    }
    int result = -ENOMEM;
    if (guard != NULL)
        guard->fd = guard->keeper = -1;
    if (is_full)
        guard_fail(error, -ENOMEM, config->interface, "out of memory");
    else
        result = guard_spawn(guard, config, rules, error);
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        free(rules[i]);
    if (result != 0) {
        guard_close(guard);
        return result;
    }
    *guard_out = guard;
    return 0;
}

bool guard_is_up(const struct guard *guard)
{
    char octet;
    return recv(guard->fd, &octet, sizeof(octet), MSG_PEEK | MSG_DONTWAIT) < 0;
}

uint64_t guard_since_us(const struct guard *guard)
{
    return guard->since_us;
}

void guard_close(struct guard *guard)
{
    static const char farewell = 'q';
    if (guard == NULL)
        return;
    if (guard->fd >= 0)
        send(guard->fd, &farewell, sizeof(farewell), MSG_NOSIGNAL);
    if (guard->keeper > 0)
        waitpid(guard->keeper, NULL, 0);
    guard_leave(guard);
}

void guard_leave(struct guard *guard)
{
    if (guard == NULL)
        return;
    if (guard->fd >= 0)
        close(guard->fd);
    free(guard);
}

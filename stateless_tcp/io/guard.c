/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes names differ: while addresses change, the new guard goes up before the old one goes. */
static atomic_uint guard_serial;

struct guard {
    struct nft_ctx *nft; /* its netlink socket owns the table */
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

/* "accept" ends this chain only: whatever else filters on this host still has its say. */
static void put_peer(FILE *rules, const char *interface, const struct prefix *peer)
{
    bool is_v4 = peer->address.family == 4;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, peer->address.octets, address, sizeof(address));
    fprintf(rules, "  iifname \"%s\" %s saddr %s/%u counter accept\n", interface,
            is_v4 ? "ip" : "ip6", address, peer->len);
}

static void put_rule(FILE *rules, const char *interface, const struct packet_endpoint *endpoint)
{
    static const uint8_t zeros[16];
    bool is_v4 = endpoint->address.family == 4;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, endpoint->address.octets, address, sizeof(address));
    fprintf(rules, "  iifname \"%s\" ", interface);
    if (memcmp(endpoint->address.octets, zeros, 16) == 0)
        fprintf(rules, "meta nfproto %s fib daddr type local", is_v4 ? "ipv4" : "ipv6");
    else
        fprintf(rules, "%s daddr %s", is_v4 ? "ip" : "ip6", address);
    fprintf(rules, " tcp dport %u counter drop\n", endpoint->port);
}

/* The ruleset as text, to be freed; NULL: no memory. */
static char *guard_rules(const char *interface, const struct packet_endpoint *endpoints,
                         size_t endpoint_count, const struct prefix *peers, size_t peer_count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *rules = open_memstream(&text, &len);
    if (rules == NULL)
        return NULL;
    fprintf(rules,
            "table inet lethe-%ld-%u-%u {\n flags owner\n chain stateless {\n"
            "  type filter hook prerouting priority raw; policy accept;\n",
            (long)getpid(), if_nametoindex(interface), atomic_fetch_add(&guard_serial, 1));
    for (size_t i = 0; i < peer_count; i++)
        put_peer(rules, interface, &peers[i]);
    for (size_t i = 0; i < endpoint_count; i++)
        put_rule(rules, interface, &endpoints[i]);
    fputs(" }\n}\n", rules);
    bool is_bad = ferror(rules);
    if (fclose(rules) != 0 || is_bad) {
        free(text);
        return NULL;
    }
    return text;
}

static int guard_apply(struct guard *guard, const char *interface, const char *rules,
                       struct io_error *error)
{
    guard->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (guard->nft == NULL)
        return guard_fail(error, -EOPNOTSUPP, interface, "no netlink socket for nftables");
    nft_ctx_buffer_output(guard->nft);
    nft_ctx_buffer_error(guard->nft);
    errno = 0;
    if (nft_run_cmd_from_buffer(guard->nft, rules) == 0)
        return 0;
    if (errno == EPERM)
        return guard_fail(error, -EPERM, interface,
                          "not permitted; start as root or with CAP_NET_ADMIN");
    char reason[256];
    snprintf(reason, sizeof(reason), "%.200s", nft_ctx_get_error_buffer(guard->nft));
    reason[strcspn(reason, "\n")] = '\0';
    return guard_fail(error, -EOPNOTSUPP, interface,
                      *reason != '\0' ? reason : "the kernel refused; Linux 5.12 is needed");
}

int guard_open(const char *interface, const struct packet_endpoint *endpoints,
               size_t endpoint_count, const struct prefix *peers, size_t peer_count,
               struct guard **guard_out, struct io_error *error)
{
    *guard_out = NULL;
    if (!is_name_plain(interface))
        return guard_fail(error, -EINVAL, interface, "the interface's name cannot be quoted");
    char *rules = guard_rules(interface, endpoints, endpoint_count, peers, peer_count);
    struct guard *guard = calloc(1, sizeof(*guard));
    int result = -ENOMEM;
    if (rules != NULL && guard != NULL)
        result = guard_apply(guard, interface, rules, error);
    else
        guard_fail(error, -ENOMEM, interface, "out of memory");
    free(rules);
    if (result != 0) {
        guard_close(guard);
        return result;
    }
    *guard_out = guard;
    return 0;
}

void guard_close(struct guard *guard)
{
    if (guard == NULL)
        return;
    if (guard->nft != NULL)
        nft_ctx_free(guard->nft); /* closes the socket, and so removes the table */
    free(guard);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/goaway/table.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
    struct nft_ctx *nft;
    bool is_kept;
    bool is_up;
    char name[32];
};

static int table_fail(struct table_error *error, int outcome, const char *reason)
{
    snprintf(error->text, sizeof(error->text), "nftables: %.*s", (int)strcspn(reason, "\n"),
             reason);
    return outcome;
}

static int table_run(struct table *table, const char *commands, struct table_error *error)
{
    errno = 0;
    if (nft_run_cmd_from_buffer(table->nft, commands) == 0)
        return 0;
    if (errno == EPERM)
        return table_fail(error, -EPERM, "not permitted; start as root or with CAP_NET_ADMIN");
    const char *reason = nft_ctx_get_error_buffer(table->nft);
    return table_fail(error, -EOPNOTSUPP,
                      *reason != '\0' ? reason : "the kernel refused; Linux 5.12 is needed");
}

/* The sets and rules of one IP version. */
static void put_family(FILE *text, unsigned element_max, int number, const char *family)
{
    static const struct {
        const char *name, *type, *match;
    } sets[] = {
        {"host", "", " daddr"},
        {"protocol", " . inet_proto", " daddr . meta l4proto"},
        {"port", " . inet_proto . inet_service", " daddr . meta l4proto . th dport"},
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        fprintf(text, " set %s%d { type ipv%d_addr%s; size %u; flags timeout; }\n", sets[i].name,
                number, number, sets[i].type, element_max);
    fprintf(text,
            " set source%d { type ipv%d_addr . ipv%d_addr . inet_proto . inet_service; size %u; "
            "flags timeout; }\n chain output {\n",
            number, number, number, element_max);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        fprintf(text, "  %s%s @%s%d counter reject\n", family, sets[i].match, sets[i].name, number);
    fprintf(text, "  %s saddr . %s daddr . meta l4proto . th dport @source%d counter reject\n }\n",
            family, family, number);
}

/* The ruleset as text, to be freed; NULL: no memory. */
static char *table_rules(const struct table *table, unsigned element_max)
{
    char *commands = NULL;
    size_t len = 0;
    FILE *text = open_memstream(&commands, &len);
    if (text == NULL)
        return NULL;
    if (table
            ->is_kept) /* it may be there from before: its elements stay, its rules are made anew */
        fprintf(text,
                "add table inet %s\nadd chain inet %s output { type filter hook output priority "
                "filter; policy accept; }\nflush chain inet %s output\n",
                table->name, table->name, table->name);
    fprintf(text,
            "table inet %s {\n%s chain output { type filter hook output priority filter; policy "
            "accept; }\n",
            table->name, table->is_kept ? "" : " flags owner\n");
    put_family(text, element_max, 4, "ip");
    put_family(text, element_max, 6, "ip6");
    fputs("}\n", text);
    bool is_bad = ferror(text);
    if (fclose(text) != 0 || is_bad) {
        free(commands);
        return NULL;
    }
    return commands;
}

int table_open(bool is_kept, unsigned element_max, struct table **table_out,
               struct table_error *error)
{
    struct table *table = calloc(1, sizeof(*table));
    *table_out = NULL;
    if (table == NULL)
        return table_fail(error, -ENOMEM, "out of memory");
    table->is_kept = is_kept;
    if (is_kept)
        snprintf(table->name, sizeof(table->name), "lethe-goaway");
    else
        snprintf(table->name, sizeof(table->name), "lethe-goaway-%ld", (long)getpid());
    table->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    char *rules = table->nft != NULL ? table_rules(table, element_max) : NULL;
    int outcome = table_fail(error, -ENOMEM, "no netlink socket, or out of memory");
    if (rules != NULL) {
        nft_ctx_buffer_output(table->nft);
        nft_ctx_buffer_error(table->nft);
        outcome = table_run(table, rules, error);
    }
    free(rules);
    table->is_up = outcome == 0;
    if (outcome != 0)
        table_close(table);
    else
        *table_out = table;
    return outcome;
}

int table_block(struct table *table, enum goaway_code code, const struct goaway_packet *packet,
                unsigned seconds, struct table_error *error)
{
    int family = packet->ends.source.family == 4 ? AF_INET : AF_INET6;
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], element[160], command[320];
    inet_ntop(family, packet->ends.source.octets, source, sizeof(source));
    inet_ntop(family, packet->ends.destination.octets, destination, sizeof(destination));
    const char *set = "";
    switch (code) {
    case GOAWAY_HOST:
        set = "host";
        snprintf(element, sizeof(element), "%s", destination);
        break;
    case GOAWAY_PROTOCOL:
        set = "protocol";
        snprintf(element, sizeof(element), "%s . %u", destination, packet->protocol);
        break;
    case GOAWAY_PORT:
        set = "port";
        snprintf(element, sizeof(element), "%s . %u . %u", destination, packet->protocol,
                 packet->destination_port);
        break;
    case GOAWAY_SOURCE:
        set = "source";
        snprintf(element, sizeof(element), "%s . %s . %u . %u", source, destination,
                 packet->protocol, packet->destination_port);
        break;
    case GOAWAY_NO_BLOCK:
    case GOAWAY_CODE_COUNT:
        return table_fail(error, -EINVAL, "nothing to block");
    }
    snprintf(command, sizeof(command), "add element inet %s %s%d { %s timeout %us }\n", table->name,
             set, family == AF_INET ? 4 : 6, element, seconds);
    return table_run(table, command, error);
}

void table_close(struct table *table)
{
    char command[64];
    struct table_error ignored;
    if (table == NULL)
        return;
    if (table->is_up && !table->is_kept) {
        snprintf(command, sizeof(command), "delete table inet %s\n", table->name);
        table_run(table, command, &ignored);
    }
    if (table->nft != NULL)
        nft_ctx_free(table->nft);
    free(table);
}

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
    struct table_config config;
    bool is_up;
    char name[32];     /* where blocks are */
    char own_name[32]; /* what goes with the process: the same, unless that is kept */
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

/* The sets of one IP version, or their rules. `{}` is what stands in front where the source counts. */
static void put_sets(FILE *text, const struct table *table, const char *version, bool is_edge)
{
    static const struct {
        const char *name, *type;
        bool has_source;
    } sets[] = {
        {"host", "", false},
        {"protocol", " . inet_proto", false},
        {"port", " . inet_proto . inet_service", false},
        {"source", " . inet_proto . inet_service", true},
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        fprintf(text, " set %s%s { type ", sets[i].name, version);
        if (is_edge || sets[i].has_source)
            fprintf(text, "ipv%s_addr . ", version);
        fprintf(text, "ipv%s_addr%s; size %u; flags timeout; }\n", version, sets[i].type,
                table->config.element_max);
    }
}

static void put_rules(FILE *text, const char *chain, const char *version, bool is_edge)
{
    static const struct {
        const char *name, *match;
        bool has_source;
    } sets[] = {
        {"host", "", false},
        {"protocol", " . meta l4proto", false},
        {"port", " . meta l4proto . th dport", false},
        {"source", " . meta l4proto . th dport", true},
    };
    const char *family = strcmp(version, "4") == 0 ? "ip" : "ip6";
    fprintf(text, " chain %s {\n", chain);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        fputs("  ", text);
        if (is_edge || sets[i].has_source)
            fprintf(text, "%s saddr . ", family);
        fprintf(text, "%s daddr%s @%s%s counter reject\n", family, sets[i].match, sets[i].name,
                version);
    }
    fputs(" }\n", text);
}

static void put_chain(FILE *text, const char *chain)
{
    fprintf(text, " chain %s { type filter hook %s priority filter; policy accept; }\n", chain,
            chain);
}

/* What a router keeps to itself: Blocks, which are for servers behind it, are not in it. */
static void put_consumption(FILE *text, const struct table *table)
{
    fprintf(text,
            "table inet %s {\n flags owner\n chain consume {\n"
            "  type filter hook forward priority filter - 1; policy accept;\n"
            "  iif %u icmp type %d counter drop\n"
            "  iif %u icmp type %d icmp code 1 counter drop\n"
            "  iif %u icmpv6 type %d counter drop\n"
            "  iif %u icmpv6 type %d icmpv6 code 1 counter drop\n }\n}\n",
            table->own_name, table->config.edge_index, GOAWAY_TYPE_V4, table->config.edge_index,
            GOAWAY_TYPE_BLOCK_V4, table->config.edge_index, GOAWAY_TYPE_V6,
            table->config.edge_index, GOAWAY_TYPE_BLOCK_V6);
}

static void put_table(FILE *text, const struct table *table)
{
    static const char *const versions[] = {"4", "6"}, *const chains[] = {"output", "forward"};
    bool is_edge = table->config.edge_index != 0;
    /* It may be there from before: its elements stay, its rules are made anew. */
    for (size_t i = 0; i < (is_edge ? 2 : 1) && table->config.is_kept; i++) {
        fprintf(text, "table inet %s {\n", table->name);
        put_chain(text, chains[i]);
        fprintf(text, "}\nflush chain inet %s %s\n", table->name, chains[i]);
    }
    fprintf(text, "table inet %s {\n%s", table->name,
            table->config.is_kept ? "" : " flags owner\n");
    for (size_t v = 0; v < 2; v++)
        put_sets(text, table, versions[v], is_edge);
    for (size_t i = 0; i < (is_edge ? 2 : 1); i++) {
        put_chain(text, chains[i]);
        for (size_t v = 0; v < 2; v++)
            put_rules(text, chains[i], versions[v], is_edge);
    }
    fputs("}\n", text);
    if (is_edge)
        put_consumption(text, table);
}

/* The ruleset as text, to be freed; NULL: no memory. */
static char *table_rules(const struct table *table)
{
    char *commands = NULL;
    size_t len = 0;
    FILE *text = open_memstream(&commands, &len);
    if (text == NULL)
        return NULL;
    put_table(text, table);
    bool is_bad = ferror(text);
    if (fclose(text) != 0 || is_bad) {
        free(commands);
        return NULL;
    }
    return commands;
}

int table_open(const struct table_config *config, struct table **table_out,
               struct table_error *error)
{
    struct table *table = calloc(1, sizeof(*table));
    *table_out = NULL;
    if (table == NULL)
        return table_fail(error, -ENOMEM, "out of memory");
    table->config = *config;
    snprintf(table->own_name, sizeof(table->own_name), "lethe-goaway-%ld", (long)getpid());
    if (config->is_kept)
        strcpy(table->name, config->edge_index != 0 ? "lethe-goaway-edge" : "lethe-goaway");
    else
        strcpy(table->name, table->own_name);
    table->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    char *rules = table->nft != NULL ? table_rules(table) : NULL;
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
    char address[INET6_ADDRSTRLEN], from[INET6_ADDRSTRLEN + 4] = "", rest[32] = "", command[640];
    const char *set = NULL;
    switch (code) {
    case GOAWAY_HOST:
        set = "host";
        break;
    case GOAWAY_PROTOCOL:
        set = "protocol";
        snprintf(rest, sizeof(rest), " . %u", packet->protocol);
        break;
    case GOAWAY_PORT:
    case GOAWAY_SOURCE:
        set = code == GOAWAY_PORT ? "port" : "source";
        snprintf(rest, sizeof(rest), " . %u . %u", packet->protocol, packet->destination_port);
        break;
    case GOAWAY_NO_BLOCK:
    case GOAWAY_CODE_COUNT:
        return table_fail(error, -EINVAL, "nothing to block");
    }
    if (table->config.edge_index != 0 || code == GOAWAY_SOURCE)
        snprintf(from, sizeof(from), "%s . ",
                 inet_ntop(family, packet->ends.source.octets, address, sizeof(address)));
    inet_ntop(family, packet->ends.destination.octets, address, sizeof(address));
    /* Of one that is there still, from before, the time would not change. */
    const char *const verbs[] = {"add", "delete", "add"};
    size_t len = 0;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        len += (size_t)snprintf(command + len, sizeof(command) - len,
                                "%s element inet %s %s%d { %s%s%s timeout %us }\n", verbs[i],
                                table->name, set, family == AF_INET ? 4 : 6, from, address, rest,
                                seconds);
    return table_run(table, command, error);
}

void table_close(struct table *table)
{
    char command[64];
    struct table_error ignored;
    if (table == NULL)
        return;
    if (table->is_up && (!table->config.is_kept || table->config.edge_index != 0)) {
        snprintf(command, sizeof(command), "delete table inet %s\n", table->own_name);
        table_run(table, command, &ignored);
    }
    if (table->nft != NULL)
        nft_ctx_free(table->nft);
    free(table);
}

/* ---- all there are ---- */

/* What a command says, to be freed. 0; negative errno; -ENOENT: there is no such table. */
static int table_ask(struct nft_ctx *nft, const char *command, char **text_out,
                     struct table_error *error)
{
    errno = 0;
    *text_out = NULL;
    if (nft_run_cmd_from_buffer(nft, command) != 0) {
        int outcome = errno == EPERM || errno == ENOENT ? -errno : -EIO;
        return table_fail(error, outcome,
                          outcome == -EPERM ? "not permitted; start as root or with CAP_NET_ADMIN"
                                            : nft_ctx_get_error_buffer(nft));
    }
    *text_out = strdup(nft_ctx_get_output_buffer(nft));
    return *text_out != NULL ? 0 : table_fail(error, -ENOMEM, "out of memory");
}

/* `tables`: lines of "table inet NAME". */
static int table_each_of(struct nft_ctx *nft, char *tables,
                         void (*take)(void *context, const char *name, char *text), void *context,
                         struct table_error *error)
{
    static const char ours[] = "table inet lethe-goaway";
    char *rest = NULL, command[80], *text;
    int outcome = 0;
    for (char *line = strtok_r(tables, "\n", &rest); line != NULL && outcome == 0;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *name = line + strlen("table inet ");
        if (strncmp(line, ours, sizeof(ours) - 1) != 0 ||
            (size_t)snprintf(command, sizeof(command), "list %s", line) >= sizeof(command))
            continue;
        outcome = table_ask(nft, command, &text, error);
        if (outcome == 0)
            take(context, name, text);
        else if (outcome == -ENOENT)
            outcome = 0; /* it went with its process */
        free(text);
    }
    return outcome;
}

int table_each(void (*take)(void *context, const char *name, char *text), void *context,
               struct table_error *error)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    char *tables;
    if (nft == NULL)
        return table_fail(error, -ENOMEM, "no netlink socket, or out of memory");
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_NUMERIC_ALL);
    int outcome = table_ask(nft, "list tables inet", &tables, error);
    if (outcome == 0)
        outcome = table_each_of(nft, tables, take, context, error);
    free(tables);
    nft_ctx_free(nft);
    return outcome;
}

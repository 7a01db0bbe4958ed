/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table.h - an nftables table of our own by which this host refuses to send.
 *
 *     table inet lethe-goaway-4711 {                         process
 *         flags owner
 *         set host4 { type ipv4_addr; size 1024; flags timeout; }
 *         ...                                                four for each IP version
 *         chain output {
 *             type filter hook output priority filter; policy accept;
 *             ip daddr @host4 counter reject
 *             ip daddr . meta l4proto . th dport @port4 counter reject
 *             ...
 *         }
 *     }
 *
 * At an edge each set has the source's address too, in front, there is a chain like that for what is
 * forwarded, and one that keeps GoAways and Block Replies from those who are behind it: we speak for
 * them. That one goes with the process in any case.
 *
 * What is refused gets Destination Unreachable from this host itself. Elements leave by themselves,
 * when their time is over. The owner flag (Linux 5.12) lets the table go with the process, however
 * that ends, unless it is to be kept; then its name has no number.
 *
 * One thread at a time.
 */
#ifndef TOOLS_GOAWAY_TABLE_H
#define TOOLS_GOAWAY_TABLE_H

#include "stateless_tcp/goaway.h"

#include <stdbool.h>

struct table;

struct table_error {
    char text[512];
};

struct table_config {
    bool is_kept;
    unsigned edge_index;  /* of the interface that leads out; 0: no edge */
    unsigned element_max; /* in each set */
};

/* Put the table up. Needs CAP_NET_ADMIN, then and for each block. Outcomes: 0; negative errno with
 * `error`. */
int table_open(const struct table_config *config, struct table **table_out,
               struct table_error *error);

/* Refuse what `code` says of `packet` for so many seconds. Outcomes: 0; negative errno with `error`. */
int table_block(struct table *table, enum goaway_code code, const struct goaway_packet *packet,
                unsigned seconds, struct table_error *error);

/* Take the table down, or leave it if it is kept. NULL is allowed. */
void table_close(struct table *table);

/* Have `take` look at each table of ours that there is, in nft's language; `text` it may change. Needs
 * CAP_NET_ADMIN. Outcomes: 0; negative errno with `error`. */
int table_each(void (*take)(void *context, const char *name, char *text), void *context,
               struct table_error *error);

#endif

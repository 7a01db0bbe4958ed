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

/* Put the table up, with room for so many elements in each set. Needs CAP_NET_ADMIN, then and for
 * each block. Outcomes: 0; negative errno with `error`. */
int table_open(bool is_kept, unsigned element_max, struct table **table_out,
               struct table_error *error);

/* Refuse what `code` says of `packet` for so many seconds. Outcomes: 0; negative errno with `error`. */
int table_block(struct table *table, enum goaway_code code, const struct goaway_packet *packet,
                unsigned seconds, struct table_error *error);

/* Take the table down, or leave it if it is kept. NULL is allowed. */
void table_close(struct table *table);

#endif

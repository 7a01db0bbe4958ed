/* SPDX-License-Identifier: BSD-2-Clause
 *
 * list.h - what is blocked now, whichever process had it blocked: as the kernel says.
 */
#ifndef TOOLS_GOAWAY_LIST_H
#define TOOLS_GOAWAY_LIST_H

#include "stateless_tcp/goaway.h"

#include <stdbool.h>

/* What an element of a set of table.h says. */
struct list_block {
    enum goaway_code code;
    struct goaway_packet packet; /* addresses, protocol, port: those that count */
    bool has_source;
    unsigned seconds; /* until it is over */
};

/* Read the elements of a table in nft's language: `text` is changed. `take` is called for each; what is
 * not understood is passed over. */
void list_read(char *text, void (*take)(void *context, const struct list_block *block),
               void *context);

/* Print all blocks, for people or in JSON, to standard output. Needs CAP_NET_ADMIN. Outcomes: 0; negative
 * errno, and standard error says why. One thread at a time. */
int list_blocks(bool is_json);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h - the command line of lethe-goaway.
 */
#ifndef TOOLS_GOAWAY_OPTIONS_H
#define TOOLS_GOAWAY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    const char *interface; /* NULL: all */
    const char *filter;    /* what is watched, in pcap's language */
    const char *user;      /* NULL: stay who we are */
    unsigned dampening_s;
    unsigned rate;
    bool is_dry;
    bool is_edge;
    bool is_list;
    bool is_kept;
    bool is_json;
};

enum options_outcome {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_WRONG, /* `reason` says what */
};

/* Texts in *options_out are argv's. */
enum options_outcome options_parse(int argc, char **argv, struct options *options_out, char *reason,
                                   size_t reason_cap);

void options_print_help(void);

#endif

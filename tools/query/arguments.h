/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arguments.h - words of a command line, or of a line of a file of queries, become plans.
 */
#ifndef TOOLS_QUERY_ARGUMENTS_H
#define TOOLS_QUERY_ARGUMENTS_H

#include "tools/query/plan.h"

struct arguments {
    struct plan *plans; /* count of them; free() them */
    size_t count;
    const char *file;   /* of queries: -f; NULL: none */
    struct plan common; /* what stood before the first query: for each line of the file */
};

/* Read `count` words. What stands before the first query goes for all, what stands behind one for
 * it; `common` is where to begin. Outcomes: -1 there are plans, or a file, to work on; otherwise
 * the exit code: help or version was asked for, or the words are wrong and stderr says how. The
 * words must outlive *arguments_out. */
int arguments_read(int count, char *const *words, const struct plan *common,
                   struct arguments *arguments_out);

/* One +option or --option with its value (NULL: none given), of the plan. Returns NULL, or what is
 * wrong with it. */
const char *arguments_option(struct plan *plan, const char *name, const char *value);

/* Digits only, up to `max`. */
bool arguments_number(const char *text, unsigned long max, unsigned long *out);

/* Pairs of hexadecimal digits. Returns how many octets, or `cap` + 1 if they are too many or bad. */
size_t arguments_hex(const char *text, uint8_t *out, size_t cap);

void help_print(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nearest.h - which of the words that are known somebody may have meant. Pure; any thread.
 *
 *     struct nearest nearest = {.typed = "databse"};
 *     for (...) nearest_offer(&nearest, known[i]);
 *     nearest.found: "database", or NULL
 */
#ifndef SERVER_NEAREST_H
#define SERVER_NEAREST_H

/* `found` is what was offered, not a copy. */
struct nearest {
    const char *typed;
    const char *found;
    unsigned distance; /* of `found` */
};

/* Offer one more word: it is the one if less is wrong with it than with those before, and not much:
 * letters that are missing, too many, others, or in the order of their neighbour, one in three at
 * most. Words of more than 63 octets are not looked at. */
void nearest_offer(struct nearest *nearest, const char *word);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/nearest.h"

#include <stddef.h>
#include <string.h>

#define WORD_CAP 64

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters must change; neighbours that changed places are one change. */
static unsigned word_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][WORD_CAP];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], second[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
    size_t typed_len = strlen(nearest->typed), word_len = strlen(word);
    if (typed_len >= WORD_CAP || word_len >= WORD_CAP)
        return;
    unsigned distance = word_distance(nearest->typed, typed_len, word, word_len);
    if (3 * distance > word_len || (nearest->found != NULL && distance >= nearest->distance))
        return;
    nearest->found = word;
    nearest->distance = distance;
}

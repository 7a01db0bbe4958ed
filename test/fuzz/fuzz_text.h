/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_text.h - what targets that read zones as text have in common.
 */
#ifndef FUZZ_TEXT_H
#define FUZZ_TEXT_H

#include "fuzz.h"
#include "zonedb/text_load.h"

/* Text that grows; its user frees the octets. */
struct text {
    char *octets;
    size_t len;
};

/* For text_dump.h. */
static inline int text_append(void *context, const char *octets, size_t len)
{
    struct text *text = context;
    text->octets = realloc(text->octets, text->len + len);
    MUST(text->octets != NULL);
    memcpy(text->octets + text->len, octets, len);
    text->len += len;
    return 0;
}

/* A message says something, and where on a line if it says which. */
static inline void must_be_message(const struct text_message *message)
{
    MUST(message->line == 0 || message->column > 0);
    MUST(message->text[0] != '\0');
}

#endif

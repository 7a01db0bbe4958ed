/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tell.h - what the agent does, for people on standard error, or for programs as JSON, an object a
 * line, on standard output.
 *
 * Of what was not believed at most TELL_IGNORED_MAX lines come a second, whoever sends how much.
 */
#ifndef TOOLS_GOAWAY_TELL_H
#define TOOLS_GOAWAY_TELL_H

#include "tools/goaway/agent.h"

#define TELL_IGNORED_MAX 5

struct tell {
    bool is_json;
    bool is_dry;
    bool is_edge;
    uint64_t second;  /* of the lines counted */
    unsigned ignored; /* lines in that second */
    uint64_t unsaid;  /* not said since the last one that was */
};

/* `now_ms` as for agent_packet(). */
void tell_news(struct tell *tell, uint64_t now_ms, const struct agent_news *news);

/* What a block is about, in words: "UDP to 192.0.2.1 port 53". `has_source`: and from whom. */
#define TELL_WORDS_MAX 200
void tell_block_words(enum goaway_code code, const struct goaway_packet *packet, bool has_source,
                      char words_out[TELL_WORDS_MAX]);

/* A line for people, whatever else is said how. */
void tell_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often each event was. `lost`: packets that the capture lost. */
void tell_sums(const struct tell *tell, const struct agent *agent, unsigned lost);

#endif

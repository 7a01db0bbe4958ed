/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client_load.h - the XDP program that is a client (client.h), put on an interface, and its memory.
 *
 *     client_open(&sizes, ..., &client)
 *     fill client->config, chunks, references; then client_attach()
 *     client_command() as often as something is to begin; read client->places, tallies
 *     client_close()
 *
 * One thread.
 */
#ifndef TOOLS_BENCH_CLIENT_LOAD_H
#define TOOLS_BENCH_CLIENT_LOAD_H

#include "tools/bench/client.h"

#include <stddef.h>

struct bpf_object;

/* All memory is shared with the program, which begins to use it in client_attach(). */
struct client {
    struct client_config *config;
    struct client_shared *shared;
    struct client_chunk *chunks;
    uint64_t *references;
    struct client_place *places;
    struct client_command *commands; /* CLIENT_COMMANDS of them, a ring */
    struct client_tally *tallies;    /* [processor * CLIENT_BANKS + bank] */
    uint32_t processor_count;

    struct bpf_object *object; /* the rest is of client_load.c only */
    int program, link;
    unsigned interface_index;
    uint32_t command_head;
    size_t lens[7];
};

struct client_sizes {
    uint32_t chunks, questions, places;
};

/* A sentence for people. */
struct client_error {
    char text[400];
};

/* Load the program. Outcomes: 0; negative errno, `error` filled. */
int client_open(const struct client_sizes *sizes, const char *interface, struct client *client_out,
                struct client_error *error);

/* Put it on the interface, in its driver, and tell whether frames must leave by redirecting
 * (config->has_redirect). Outcomes: 0; -EBUSY another program is there; -EOPNOTSUPP the interface's
 * driver runs none; other negative errno; `error` filled. */
int client_attach(struct client *client, struct client_error *error);

/* Append a command, if there is room: at most CLIENT_COMMANDS between two client_run(). */
void client_tell(struct client *client, enum client_command_kind kind, uint32_t tuple,
                 uint64_t due_ns);

/* How many commands wait, and have the program obey them.
 * Outcomes: 0; -EOPNOTSUPP no live frames (Linux 5.18), other negative errno. */
uint32_t client_waiting(const struct client *client);
int client_run(struct client *client);

/* Take it off the interface: what it counted stays as it is from then on. */
void client_detach(struct client *client);

/* Undo client_open(), whatever came of it; all zero is allowed. */
void client_close(struct client *client);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/client_load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMAND_FRAME_LEN (CLIENT_META_LEN + 128) /* the program makes it as long as it wants */
#define BATCH 64

/* client.bpf.c as clang made it, which is part of this binary. */
extern const unsigned char client_object[];
extern const size_t client_object_len;

/* libbpf tells what went wrong by printing it: its last words go into our message. */
static char last_words[160];

__attribute__((format(printf, 2, 0))) static int hear(enum libbpf_print_level level,
                                                      const char *format, va_list arguments)
{
    if (level == LIBBPF_WARN) {
        vsnprintf(last_words, sizeof last_words, format, arguments);
        last_words[strcspn(last_words, "\n")] = '\0';
    }
    return 0;
}

__attribute__((format(printf, 3, 4))) static int fail(int result, struct client_error *error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return result;
}

/* Every member of struct client that is a map's memory, in the order of `lens`. */
static void **memory_of(struct client *client, unsigned i)
{
    void *members[] = {&client->config, &client->shared,   &client->chunks, &client->references,
                       &client->places, &client->commands, &client->tallies};
    return members[i];
}

static const char *const map_names[] = {"client_configs",    "client_shareds", "client_chunks",
                                        "client_references", "client_places",  "client_commands",
                                        "client_tallies"};
#define MAPS (sizeof map_names / sizeof map_names[0])

static int map_all(struct client *client, struct client_error *error)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < MAPS; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(client->object, map_names[i]);
        size_t each = (bpf_map__value_size(map) + 7u) & ~(size_t)7;
        size_t len = (each * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
        void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
        if (memory == MAP_FAILED)
            return fail(-errno, error, "cannot map its memory: %s", strerror(errno));
        *memory_of(client, i) = memory;
        client->lens[i] = len;
    }
    return 0;
}

int client_open(const struct client_sizes *sizes, const char *interface, struct client *client_out,
                struct client_error *error)
{
    struct client *client = client_out;
    const struct bpf_object_open_opts options = {.sz = sizeof options,
                                                 .object_name = "lethe_bench"};
    int processors = libbpf_num_possible_cpus();
    *client = (struct client){.link = -1, .interface_index = if_nametoindex(interface)};
    if (processors <= 0)
        return fail(processors, error, "cannot count the processors");
    client->processor_count = (uint32_t)processors;
    const uint32_t entries[MAPS] = {1,
                                    1,
                                    sizes->chunks,
                                    sizes->questions,
                                    sizes->places,
                                    CLIENT_COMMANDS,
                                    client->processor_count * CLIENT_BANKS};
    last_words[0] = '\0';
    libbpf_set_print(hear);
    client->object = bpf_object__open_mem(client_object, client_object_len, &options);
    if (client->object == NULL)
        return fail(-errno, error, "cannot read the program: %s", strerror(errno));
    for (unsigned i = 0; i < MAPS; i++)
        bpf_map__set_max_entries(bpf_object__find_map_by_name(client->object, map_names[i]),
                                 entries[i]);
    int result = bpf_object__load(client->object);
    if (result != 0)
        return fail(result, error, "the kernel did not take the program: %s; %s", strerror(-result),
                    last_words);
    client->program =
        bpf_program__fd(bpf_object__find_program_by_name(client->object, "lethe_client"));
    return map_all(client, error);
}

static bool is_veth(unsigned interface_index)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {.ifr_data = (void *)&info};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is = fd >= 0 && if_indextoname(interface_index, request.ifr_name) != NULL &&
              ioctl(fd, SIOCETHTOOL, &request) == 0 && strcmp(info.driver, "veth") == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* Where frames leave that may leave twice. */
static int open_doors(struct client *client, struct client_error *error)
{
    int doors = bpf_object__find_map_fd_by_name(client->object, "client_doors");
    const struct bpf_devmap_val door = {
        .ifindex = client->interface_index,
        .bpf_prog.fd =
            bpf_program__fd(bpf_object__find_program_by_name(client->object, "lethe_leave"))};
    for (uint32_t i = 0; i < 2; i++)
        if (bpf_map_update_elem(doors, &i, &door, BPF_ANY) != 0)
            return fail(-errno, error,
                        "it cannot send frames twice: %s; --handshake-ack joined needs none",
                        strerror(errno));
    return 0;
}

int client_attach(struct client *client, struct client_error *error)
{
    struct bpf_link_create_opts options = {.sz = sizeof options, .flags = XDP_FLAGS_DRV_MODE};
    int result = client->config->has_own_ack ? open_doors(client, error) : 0;
    if (result != 0)
        return result;
    client->config->has_redirect = is_veth(client->interface_index);
    client->link =
        bpf_link_create(client->program, (int)client->interface_index, BPF_XDP, &options);
    if (client->link >= 0)
        return 0;
    if (client->link == -EBUSY || client->link == -EEXIST)
        return fail(-EBUSY, error,
                    "an XDP program is there already; end what put it there, or take it away with "
                    "\"ip link set dev NAME xdp off\"");
    return fail(client->link, error, "its driver does not take an XDP program: %s",
                strerror(-client->link));
}

uint32_t client_waiting(const struct client *client)
{
    return client->command_head - client->shared->command_next;
}

void client_tell(struct client *client, enum client_command_kind kind, uint32_t tuple,
                 uint64_t due_ns)
{
    if (client_waiting(client) >= CLIENT_COMMANDS)
        return;
    client->commands[client->command_head++ & (CLIENT_COMMANDS - 1)] =
        (struct client_command){.kind = kind, .tuple = tuple, .due_ns = due_ns};
}

int client_run(struct client *client)
{
    static const uint8_t frame[COMMAND_FRAME_LEN];
    uint32_t count = client_waiting(client);
    struct xdp_md context = {.data = CLIENT_META_LEN,
                             .data_end = sizeof frame,
                             .ingress_ifindex = client->interface_index};
    struct bpf_test_run_opts run = {.sz = sizeof run,
                                    .data_in = frame,
                                    .data_size_in = sizeof frame,
                                    .ctx_in = &context,
                                    .ctx_size_in = sizeof context,
                                    .repeat = (int)count,
                                    .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
                                    .batch_size = count < BATCH ? count : BATCH};
    if (count == 0)
        return 0;
    int result = bpf_prog_test_run_opts(client->program, &run);
    if (result == 0)
        client->command_head = client->shared->command_next;
    return result;
}

void client_detach(struct client *client)
{
    if (client->object != NULL && client->link >= 0)
        close(client->link);
    client->link = -1;
}

void client_close(struct client *client)
{
    client_detach(client);
    for (unsigned i = 0; i < MAPS; i++)
        if (*memory_of(client, i) != NULL)
            munmap(*memory_of(client, i), client->lens[i]);
    bpf_object__close(client->object);
    *client = (struct client){.link = -1};
}

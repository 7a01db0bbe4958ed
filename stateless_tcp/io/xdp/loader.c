/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/loader.h"

#include "stateless_tcp/io/xdp/mute.h"
#include "stateless_tcp/io/xdp/next.h"
#include "stateless_tcp/io/xdp/notes.h"
#include "stateless_tcp/io/xdp/out.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* driver.bpf.c as clang made it, which is part of this binary. */
extern const unsigned char driver_object[];
extern const size_t driver_object_len;

struct loader {
    struct loader *next_loader; /* of all there have been */
    unsigned holders;
    char interface[IF_NAMESIZE];
    int interface_index;
    bool is_native;
    bool has_broadcast, has_copies;
    struct bpf_object *object;
    int program, link;
    int endpoints_map, peers_map, configs_map, sockets_map, counters_map, next_map, finish_map;
    volatile uint32_t *bank; /* the program's variable, mapped */
    struct driver_hot_answer *hot_answers;
    struct driver_hot_lease *hot_lease; /* both mapped, if there is hot */
    struct hot *hot;
    struct next *next;
    struct notes notes; /* if there is a next program */

    pthread_mutex_t lock; /* of what follows */
    struct driver_config config;
    struct driver_endpoint *endpoints; /* DRIVER_ENDPOINTS_MAX; what the map holds */
    size_t endpoint_count;
    uint32_t transports;
    struct prefix peers[DRIVER_PEERS_MAX];
    size_t peer_count;
    struct mute mute;
};

/* All that there have been in this process, for opening and closing; programs that hang on no
 * interface wait for it to come back. */
static pthread_mutex_t loaders_lock = PTHREAD_MUTEX_INITIALIZER;
static struct loader *loaders;

/* libbpf tells what went wrong by printing it: its last words go into our message. */
static char last_words[160];

__attribute__((format(printf, 2, 0))) static int hear(enum libbpf_print_level level,
                                                      const char *format, va_list arguments)
{
    if (level == LIBBPF_WARN) {
        vsnprintf(last_words, sizeof(last_words), format, arguments);
        last_words[strcspn(last_words, "\n")] = '\0';
    }
    return 0;
}

__attribute__((format(printf, 4, 5))) static int
loader_fail(const char *interface, int result, struct io_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = snprintf(error->text, sizeof(error->text), "interface %s: XDP: ", interface);
    vsnprintf(error->text + len, sizeof(error->text) - (size_t)len, format, arguments);
    va_end(arguments);
    return result;
}

/* ---- opening ---- */

/* Somebody else's program is not ours to replace: it may be a firewall. */
static int loader_check_alone(const struct loader *loader, struct io_error *error)
{
    struct bpf_prog_info info = {0};
    uint32_t id = 0, info_len = sizeof(info);
    struct bpf_xdp_query_opts query = {.sz = sizeof(query)};
    if (bpf_xdp_query(loader->interface_index, 0, &query) != 0)
        return 0; /* attaching will tell */
    uint32_t ids[] = {query.drv_prog_id, query.skb_prog_id, query.hw_prog_id, query.prog_id};
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]) && id == 0; i++)
        id = ids[i];
    if (id == 0)
        return 0;
    int fd = bpf_prog_get_fd_by_id(id);
    if (fd >= 0) {
        bpf_obj_get_info_by_fd(fd, &info, &info_len);
        close(fd);
    }
    return loader_fail(loader->interface, -EBUSY, error,
                       "the program \"%s\" (number %u) is there already; end what put it there, or "
                       "\"ip link set dev %s xdp off\"",
                       info.name, id, loader->interface);
}

static void *loader_map_memory(const struct loader *loader, const char *name, size_t len)
{
    int fd = bpf_object__find_map_fd_by_name(loader->object, name);
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static int loader_load_hot(struct loader *loader, struct io_error *error)
{
    loader->hot_answers = loader_map_memory(loader, "driver_hot_answers",
                                            DRIVER_HOT_ANSWERS * sizeof(*loader->hot_answers));
    loader->hot_lease = loader_map_memory(loader, "driver_hot_leases", sizeof(*loader->hot_lease));
    if (loader->hot_answers != NULL && loader->hot_lease != NULL)
        loader->hot = hot_make(loader->hot_answers, loader->hot_lease);
    return loader->hot != NULL
               ? 0
               : loader_fail(loader->interface, -ENOMEM, error, "no memory for hot answers");
}

/* Room for one answer, as there is no map without any, and no code for it: driver_can_hot is all
 * that is constant. */
static void loader_spare_hot(struct bpf_object *object)
{
    const uint8_t can_hot = 0;
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "driver_hot_answers"), 1);
    bpf_map__set_initial_value(bpf_object__find_map_by_name(object, ".rodata"), &can_hot,
                               sizeof(can_hot));
}

static int loader_load(struct loader *loader, bool has_hot, struct io_error *error)
{
    const struct bpf_object_open_opts options = {.sz = sizeof(options), .object_name = "lethe"};
    last_words[0] = '\0';
    struct bpf_object *object = bpf_object__open_mem(driver_object, driver_object_len, &options);
    if (object != NULL && !has_hot)
        loader_spare_hot(object);
    int result = object == NULL ? -errno : bpf_object__load(object);
    loader->object = object;
    if (result == -EPERM || result == -EACCES)
        return loader_fail(loader->interface, -EPERM, error,
                           "not permitted to load the program; start as root or with CAP_BPF, "
                           "CAP_PERFMON and CAP_NET_ADMIN, which are kept for no later reload");
    if (result != 0)
        return loader_fail(loader->interface, result, error,
                           "the kernel did not take the program: %s; %s", strerror(-result),
                           last_words);
    loader->program = bpf_program__fd(bpf_object__find_program_by_name(object, "lethe_driver"));
    loader->endpoints_map = bpf_object__find_map_fd_by_name(object, "driver_endpoints");
    loader->peers_map = bpf_object__find_map_fd_by_name(object, "driver_peers");
    loader->configs_map = bpf_object__find_map_fd_by_name(object, "driver_configs");
    loader->sockets_map = bpf_object__find_map_fd_by_name(object, "driver_sockets");
    loader->counters_map = bpf_object__find_map_fd_by_name(object, "driver_counters");
    loader->next_map = bpf_object__find_map_fd_by_name(object, "driver_next");
    loader->finish_map = bpf_object__find_map_fd_by_name(object, "driver_finish");
    loader->has_broadcast = out_has_broadcast();
    int variables = bpf_object__find_map_fd_by_name(object, ".bss");
    void *bank =
        mmap(NULL, sizeof(*loader->bank), PROT_READ | PROT_WRITE, MAP_SHARED, variables, 0);
    if (bank == MAP_FAILED)
        return loader_fail(loader->interface, -errno, error, "cannot reach its variables: %s",
                           strerror(errno));
    loader->bank = bank;
    return has_hot ? loader_load_hot(loader, error) : 0;
}

static int loader_attach(struct loader *loader, struct io_error *error)
{
    struct bpf_link_create_opts options = {.sz = sizeof(options), .flags = XDP_FLAGS_DRV_MODE};
    loader->is_native = true;
    loader->link = bpf_link_create(loader->program, loader->interface_index, BPF_XDP, &options);
    if (loader->link < 0 && loader->link != -EBUSY && loader->link != -EPERM) {
        options.flags = XDP_FLAGS_SKB_MODE;
        loader->is_native = false;
        loader->link = bpf_link_create(loader->program, loader->interface_index, BPF_XDP, &options);
    }
    if (loader->link >= 0)
        return 0;
    return loader_fail(loader->interface, loader->link, error, "cannot attach the program: %s",
                       loader->link == -EPERM ? "not permitted; start as root or with CAP_NET_ADMIN"
                                              : strerror(-loader->link));
}

static struct loader *loader_find(const char *interface)
{
    struct loader *loader = loaders;
    while (loader != NULL && strcmp(loader->interface, interface) != 0)
        loader = loader->next_loader;
    return loader;
}

static void loader_free(struct loader *loader)
{
    if (loader == NULL)
        return;
    if (loader->bank != NULL)
        munmap((void *)(uintptr_t)loader->bank, sizeof(*loader->bank));
    hot_free(loader->hot);
    if (loader->hot_answers != NULL)
        munmap(loader->hot_answers, DRIVER_HOT_ANSWERS * sizeof(*loader->hot_answers));
    if (loader->hot_lease != NULL)
        munmap(loader->hot_lease, sizeof(*loader->hot_lease));
    next_close(loader->next);
    notes_free(&loader->notes);
    bpf_object__close(loader->object);
    pthread_mutex_destroy(&loader->lock);
    free(loader->endpoints);
    free(loader);
}

/* Load the program, once for each interface: to load it again after the interface was away would
 * take a capability that is better given up. */
static int loader_new(const char *interface, bool has_hot, struct loader **loader_out,
                      struct io_error *error)
{
    struct loader *loader = calloc(1, sizeof(*loader));
    if (loader != NULL)
        loader->endpoints = calloc(DRIVER_ENDPOINTS_MAX, sizeof(*loader->endpoints));
    if (loader == NULL || loader->endpoints == NULL) {
        free(loader);
        return loader_fail(interface, -ENOMEM, error, "out of memory");
    }
    snprintf(loader->interface, sizeof(loader->interface), "%s", interface);
    loader->link = -1;
    pthread_mutex_init(&loader->lock, NULL);
    int result = loader_load(loader, has_hot, error);
    if (result != 0) {
        loader_free(loader);
        return result;
    }
    loader->next_loader = loaders;
    loaders = loader;
    *loader_out = loader;
    return 0;
}

/* Into the bank that the program does not look at, then it looks there. */
static int loader_configure(struct loader *loader, const struct driver_config *config)
{
    uint32_t bank = (*loader->bank & 1) ^ 1;
    if (memcmp(config, &loader->config, sizeof(*config)) == 0)
        return 0;
    int result = bpf_map_update_elem(loader->configs_map, &bank, config, BPF_ANY);
    if (result != 0)
        return result;
    __atomic_store_n(loader->bank, bank, __ATOMIC_RELEASE);
    loader->config = *config;
    return 0;
}

/* What was so before the program was taken off the interface need not be so now, the keys for one:
 * it passes everything until it is told. */
static int loader_forget(struct loader *loader)
{
    const struct driver_config none = {.port_low = UINT16_MAX};
    return loader_configure(loader, &none);
}

static void loader_detach(struct loader *loader)
{
    if (loader->link >= 0)
        close(loader->link);
    loader->link = -1;
    loader->interface_index = 0;
}

static int loader_hold(const char *interface, bool has_hot, struct loader **loader_out,
                       struct io_error *error)
{
    uint64_t counters[DRIVER_COUNTERS];
    int index = (int)if_nametoindex(interface), result = 0;
    if (index == 0)
        return loader_fail(interface, -ENODEV, error,
                           "there is no such interface; \"ip link\" lists those there are");
    struct loader *loader = loader_find(interface);
    if (loader == NULL)
        result = loader_new(interface, has_hot, &loader, error);
    /* Whoever holds it still may hold one that is gone; the name has another interface now. */
    if (result == 0 && loader->interface_index != index) {
        loader_detach(loader);
        loader->interface_index = index;
        result = loader_check_alone(loader, error);
        if (result == 0 && (result = loader_forget(loader)) != 0)
            loader_fail(interface, result, error, "cannot tell the program: %s", strerror(-result));
        if (result == 0)
            result = loader_attach(loader, error);
        if (result != 0) {
            loader_detach(loader);
            return result;
        }
        loader_counters(loader, counters);
        mute_begin(&loader->mute, interface, counters);
        loader->has_copies = out_open(loader->object, index) == 0 && loader->has_broadcast;
    }
    if (result != 0)
        return result;
    loader->holders++;
    *loader_out = loader;
    return 0;
}

int loader_open(const char *interface, bool has_hot, struct loader **loader_out,
                struct io_error *error)
{
    *loader_out = NULL;
    pthread_mutex_lock(&loaders_lock);
    libbpf_set_print(hear);
    int result = loader_hold(interface, has_hot, loader_out, error);
    pthread_mutex_unlock(&loaders_lock);
    return result;
}

void loader_close(struct loader *loader)
{
    if (loader == NULL)
        return;
    pthread_mutex_lock(&loaders_lock);
    if (--loader->holders == 0)
        loader_detach(loader);
    pthread_mutex_unlock(&loaders_lock);
}

bool loader_is_native(const struct loader *loader)
{
    return loader->is_native;
}

struct hot *loader_hot(const struct loader *loader)
{
    return loader->hot;
}

int loader_program(const struct loader *loader)
{
    return loader->program;
}

int loader_add_socket(struct loader *loader, uint32_t queue, int fd)
{
    return bpf_map_update_elem(loader->sockets_map, &queue, &fd, BPF_ANY);
}

/* ---- the next program ---- */

int loader_open_next(struct loader *loader, const struct io_program *program,
                     struct io_error *error)
{
    struct next_map maps[NEXT_MAPS_MAX];
    struct bpf_map *map;
    size_t count = 0;
    int result = 0;
    pthread_mutex_lock(&loaders_lock);
    if (loader->next == NULL) {
        notes_make(&loader->notes);
        count = notes_maps(&loader->notes, maps);
        bpf_object__for_each_map(map, loader->object)
        {
            if (!bpf_map__is_internal(map) && count < NEXT_MAPS_MAX)
                maps[count++] = (struct next_map){bpf_map__name(map), bpf_map__fd(map)};
        }
        result = next_open(program, maps, count, &loader->next, error);
    }
    pthread_mutex_unlock(&loaders_lock);
    return result;
}

void loader_notes(const struct loader *loader, struct recent *recent)
{
    recent->notes = loader->notes.notes;
    recent->trains = loader->notes.trains;
}

static int loader_give_pages(const struct loader *loader, size_t page_count, int *pages,
                             struct io_error *error)
{
    const uint32_t zero = 0;
    struct next_programs programs;
    int result = next_load(loader->next, *pages, page_count, &programs, pages, error);
    if (result != 0)
        return result;
    result = bpf_map_update_elem(loader->finish_map, &zero, &programs.finish, BPF_ANY);
    if (result == 0)
        result = bpf_map_update_elem(loader->next_map, &zero, &programs.next, BPF_ANY);
    close(programs.next);
    close(programs.finish);
    return result == 0 ? 0
                       : loader_fail(loader->interface, result, error,
                                     "cannot go on to another program: %s", strerror(-result));
}

static int pages_give(size_t page_count, int *fd_out, struct io_error *error)
{
    int pages = -1, result = -ENOENT;
    snprintf(error->text, sizeof(error->text), "no interface has a program that answers requests");
    pthread_mutex_lock(&loaders_lock);
    for (const struct loader *loader = loaders; loader != NULL; loader = loader->next_loader)
        if (loader->next != NULL && (result == 0 || result == -ENOENT))
            result = loader_give_pages(loader, page_count, &pages, error);
    pthread_mutex_unlock(&loaders_lock);
    if (result != 0 && pages >= 0)
        close(pages);
    *fd_out = result == 0 ? pages : -1;
    return result;
}

static void pages_take(void)
{
    const uint32_t zero = 0;
    pthread_mutex_lock(&loaders_lock);
    for (const struct loader *loader = loaders; loader != NULL; loader = loader->next_loader)
        if (loader->next != NULL) {
            bpf_map_delete_elem(loader->next_map, &zero);
            bpf_map_delete_elem(loader->finish_map, &zero);
        }
    pthread_mutex_unlock(&loaders_lock);
}

const struct io_pages loader_pages = {.give = pages_give, .take = pages_take};

/* ---- telling ---- */

static struct driver_endpoint endpoint_key(const struct packet_endpoint *endpoint)
{
    struct driver_endpoint key = {.port = endpoint->port, .family = endpoint->address.family};
    memcpy(key.address, endpoint->address.octets, sizeof(key.address));
    return key;
}

static struct driver_prefix prefix_key(const struct prefix *prefix)
{
    struct driver_prefix key = {.len = 8u + prefix->len, .family = prefix->address.family};
    memcpy(key.address, prefix->address.octets, sizeof(key.address));
    return key;
}

static bool has_endpoint(const struct driver_endpoint *endpoints, size_t count,
                         const struct driver_endpoint *endpoint)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&endpoints[i], endpoint, sizeof(*endpoint)) == 0)
            return true;
    return false;
}

/* Those that go are taken out first: there must be room for those that come. */
static int tell_endpoints(struct loader *loader, uint32_t transports, const struct io_facts *facts)
{
    size_t count =
        facts->endpoint_count < DRIVER_ENDPOINTS_MAX ? facts->endpoint_count : DRIVER_ENDPOINTS_MAX;
    struct driver_endpoint *keys = calloc(count + 1, sizeof(*keys));
    int result = keys != NULL ? 0 : -ENOMEM;
    for (size_t i = 0; keys != NULL && i < count; i++)
        keys[i] = endpoint_key(&facts->endpoints[i]);
    for (size_t i = 0; result == 0 && i < loader->endpoint_count; i++)
        if (!has_endpoint(keys, count, &loader->endpoints[i]))
            bpf_map_delete_elem(loader->endpoints_map, &loader->endpoints[i]);
    for (size_t i = 0; result == 0 && i < count; i++)
        if (transports != loader->transports ||
            !has_endpoint(loader->endpoints, loader->endpoint_count, &keys[i]))
            result = bpf_map_update_elem(loader->endpoints_map, &keys[i], &transports, BPF_ANY);
    if (result == 0) {
        memcpy(loader->endpoints, keys, count * sizeof(*keys));
        loader->endpoint_count = count;
        loader->transports = transports;
    }
    free(keys);
    return result;
}

static int tell_peers(struct loader *loader, const struct loader_wish *wish)
{
    const uint32_t one = 1;
    int result = 0;
    if (wish->peer_count > DRIVER_PEERS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < loader->peer_count; i++) {
        struct driver_prefix key = prefix_key(&loader->peers[i]);
        bpf_map_delete_elem(loader->peers_map, &key);
    }
    loader->peer_count = 0;
    for (size_t i = 0; result == 0 && i < wish->peer_count; i++) {
        struct driver_prefix key = prefix_key(&wish->peers[i]);
        result = bpf_map_update_elem(loader->peers_map, &key, &one, BPF_ANY);
        loader->peers[loader->peer_count++] = wish->peers[i];
    }
    return result;
}

static int tell_config(struct loader *loader, const struct loader_wish *wish,
                       const struct io_facts *facts)
{
    struct driver_config config = {
        .keys = *facts->keys,
        .mss = facts->tcp->mss,
        .segment_size = facts->tcp->segment_size,
        .burst = facts->tcp->burst,
        .checksum_policy = (uint8_t)facts->tcp->checksum_policy,
        .profile = (uint8_t)facts->tcp->profile,
        .has_stale_reset = facts->tcp->has_stale_reset,
        .has_fast_open = facts->tcp->has_fast_open,
        .is_answering = wish->has_driver && !loader->mute.is_noticed,
        .has_hot = wish->has_hot && loader->hot != NULL && !loader->mute.is_noticed,
        .next = (uint8_t)(loader->next != NULL && !loader->mute.is_noticed ? wish->next : 0),
        .has_redirect = loader->is_native && loader->mute.is_veth,
        .has_copies = loader->is_native && loader->mute.is_veth && loader->has_copies,
        .has_peers = wish->peer_count > 0,
        .port_low = UINT16_MAX,
        .mtu = facts->mtu,
    };
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        uint16_t port = facts->endpoints[i].port;
        unsigned which = facts->endpoints[i].address.family == 6;
        if (config.known[which].transports == 0) {
            config.known[which].endpoint = endpoint_key(&facts->endpoints[i]);
            config.known[which].transports = loader->transports;
        }
        config.port_low = port < config.port_low ? port : config.port_low;
        config.port_high = port > config.port_high ? port : config.port_high;
    }
    int result = loader_configure(loader, &config);
    explicit_bzero(&config, sizeof(config));
    return result;
}

/* Look whether anybody hears what the program says. */
static void tell_mute(struct loader *loader, const struct io_facts *facts)
{
    uint64_t counters[DRIVER_COUNTERS];
    loader_counters(loader, counters);
    mute_look(&loader->mute, counters);
    if (loader->mute.is_noticed)
        snprintf(
            facts->note->text, sizeof(facts->note->text),
            "interface %s: nobody hears what the driver answers, so it no longer does: the other "
            "end of this veth pair needs an XDP program, or \"ethtool -K IFNAME gro on\"",
            loader->interface);
}

int loader_tell(struct loader *loader, const struct loader_wish *wish, const struct io_facts *facts)
{
    uint32_t transports = DRIVER_TRANSPORT_TCP | (wish->has_udp ? DRIVER_TRANSPORT_UDP : 0);
    pthread_mutex_lock(&loader->lock);
    int result = 0;
    /* A new peer must be known before its TCP could be ours. */
    if (!loader_wish_has_peers(wish, loader->peers, loader->peer_count))
        result = tell_peers(loader, wish);
    if (result == 0)
        result = tell_endpoints(loader, transports, facts);
    if (wish->has_driver && !loader->mute.is_noticed)
        tell_mute(loader, facts);
    if (result == 0)
        result = tell_config(loader, wish, facts);
    pthread_mutex_unlock(&loader->lock);
    return result;
}

void loader_counters(const struct loader *loader, uint64_t counters_out[DRIVER_COUNTERS])
{
    int cpu_count = libbpf_num_possible_cpus();
    uint64_t *values = cpu_count > 0 ? calloc((size_t)cpu_count, sizeof(*values)) : NULL;
    memset(counters_out, 0, DRIVER_COUNTERS * sizeof(*counters_out));
    for (uint32_t i = 0; values != NULL && i < DRIVER_COUNTERS; i++)
        if (bpf_map_lookup_elem(loader->counters_map, &i, values) == 0)
            for (int cpu = 0; cpu < cpu_count; cpu++)
                counters_out[i] += values[cpu];
    free(values);
}

struct io_answered loader_answered(const struct loader *loader)
{
    uint64_t counters[DRIVER_COUNTERS];
    loader_counters(loader, counters);
    return (struct io_answered){
        .requests = counters[DRIVER_COUNT_HOT] + counters[DRIVER_COUNT_REQUEST] +
                    counters[DRIVER_COUNT_IMAGE],
        .copied = counters[DRIVER_COUNT_COPIED],
        .climbed = counters[DRIVER_COUNT_CLIMBED],
    };
}

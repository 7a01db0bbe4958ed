/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/stateless.h"
#include "server/log.h"
#include "server/raw.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The time of a restart. Without a key file nothing would be won: the secret is another then. */
#define GUARD_LINGER_S 5
/* Between attempts to open an interface again that went away. */
#define REOPEN_MS 1000

/* One interface and its thread. Owned by the newest set that has it. */
struct stateless {
    char interface[IF_NAMESIZE];
    struct raw_address addresses[CONFIG_LISTEN_MAX];
    size_t address_count;
    struct config config;            /* its addresses aside: how to serve */
    struct stateless_tcp_config tcp; /* the same, for packets */
    struct keys_secret secret;
    struct respond_policy policy;
    struct zonedb *db;
    struct sockaddr_storage proxy; /* back end, where is_proxy */
    bool is_proxy;
    struct park *park;
    struct raw_worker *raw; /* the thread's, while it runs */
    atomic_bool is_open;    /* raw is there; may be read by others */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_ending;
    atomic_bool is_called; /* raw_worker_run() shall return */
};

struct stateless_set {
    struct stateless *members[CONFIG_LISTEN_MAX];
    size_t count;
    const struct respond_policy *policy;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct stateless_error *error, int outcome,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return outcome;
}

/* ---- what a configuration wants ---- */

static struct stateless_tcp_config tcp_config(const struct config *config)
{
    struct stateless_tcp_config tcp = stateless_tcp_config_default();
    switch ((enum config_tcp_profile)config->tcp_profile) {
    case CONFIG_TCP_PROFILE_CLASSIC:
        tcp.profile = STATELESS_TCP_CLASSIC;
        break;
    case CONFIG_TCP_PROFILE_MODERN:
        tcp.profile = STATELESS_TCP_MODERN;
        tcp.segment_size = STATELESS_TCP_SEGMENT_MAX;
        break;
    }
    tcp.has_stale_reset = config->has_stale_reset;
    tcp.has_fast_open = config->has_fast_open;
    tcp.mss = (uint16_t)config->tcp_mss;
    if (config->tcp_segment != 0)
        tcp.segment_size = (uint16_t)config->tcp_segment;
    switch ((enum config_verify_checksum)config->tcp_verify_checksum) {
    case CONFIG_VERIFY_AUTO:
        tcp.checksum_policy = PACKET_CHECKSUM_AUTO;
        break;
    case CONFIG_VERIFY_ALWAYS:
        tcp.checksum_policy = PACKET_CHECKSUM_ALWAYS;
        break;
    case CONFIG_VERIFY_NEVER:
        tcp.checksum_policy = PACKET_CHECKSUM_NEVER;
        break;
    }
    return tcp;
}

static struct stateless *set_find(const struct stateless_set *set, const char *interface)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (strcmp(set->members[i]->interface, interface) == 0)
            return set->members[i];
    return NULL;
}

static int set_add(struct stateless_set *set, const struct config_listen *listen,
                   struct stateless_error *error)
{
    char interface[IF_NAMESIZE], text[ADDRESS_TEXT_MAX];
    memcpy(interface, listen->interface, sizeof interface);
    int outcome = 0;
    if (interface[0] == '\0' && (outcome = address_interface(&listen->address, interface)) != 0)
        return refuse(error, outcome,
                      "%s over stateless TCP: no interface has this address: name one with "
                      "--interface or \"interface:\", or give the address to one",
                      address_to_text(&listen->address, text));
    struct stateless *member = set_find(set, interface);
    if (member == NULL) {
        member = calloc(1, sizeof *member);
        if (member == NULL)
            return refuse(error, -ENOMEM, "out of memory");
        memcpy(member->interface, interface, sizeof interface);
        set->members[set->count++] = member;
    }
    member->addresses[member->address_count++].address = listen->address;
    return 0;
}

/* ---- threads ---- */

static bool has_driver(const struct config *config)
{
    switch ((enum config_driver)config->driver) {
    case CONFIG_DRIVER_AUTO:
        return config->io == CONFIG_IO_XDP;
    case CONFIG_DRIVER_ON:
        return true;
    case CONFIG_DRIVER_OFF:
        return false;
    }
    return false;
}

static void warn(const char *text)
{
    log_write(LOG_LEVEL_WARNING, "%s", text);
}

static int member_open(struct stateless *member, struct io_error *error)
{
    const struct raw_config config = {
        .interface = member->interface,
        .io = member->config.io != CONFIG_IO_AUTO ? config_io_choices[member->config.io] : NULL,
        .has_driver = has_driver(&member->config),
        .warn = warn,
        .addresses = member->addresses,
        .address_count = member->address_count,
        .peers = member->config.tcp_transfer_peers.items,
        .peer_count = member->config.tcp_transfer_peers.count,
        .has_udp = member->config.udp == CONFIG_UDP_FAST,
        .db = member->db,
        .proxy = member->is_proxy ? &member->proxy : NULL,
        .tcp = &member->tcp,
        .recent_size = member->config.tcp_recent_size,
        .secret = &member->secret,
        .linger_s = member->config.tcp_key_file[0] != '\0' ? GUARD_LINGER_S : 0};
    int outcome = raw_worker_open(&config, &member->raw, error);
    atomic_store(&member->is_open, outcome == 0);
    if (outcome == 0 && raw_worker_note(member->raw)[0] != '\0')
        log_write(LOG_LEVEL_INFO, "interface %s: frames are carried by %s; %s", member->interface,
                  raw_worker_backend(member->raw), raw_worker_note(member->raw));
    return outcome;
}

/* The interface failed: try to have it back. */
static void member_reopen(struct stateless *member, int problem)
{
    const struct timespec pause = {REOPEN_MS / 1000, REOPEN_MS % 1000 * 1000000L};
    struct io_error error;
    if (member->raw != NULL)
        log_write(LOG_LEVEL_ERROR,
                  "interface %s: %s; stateless TCP is not served there until it is back",
                  member->interface,
                  problem == -ECHILD ? "the guard against the kernel's TCP was killed"
                                     : strerror(-problem));
    atomic_store(&member->is_open, false);
    raw_worker_close(member->raw);
    member->raw = NULL;
    nanosleep(&pause, NULL);
    if (member_open(member, &error) == 0)
        log_write(LOG_LEVEL_INFO, "interface %s is back", member->interface);
}

static void *member_run(void *argument)
{
    struct stateless *member = argument;
    while (!atomic_load(&member->is_ending)) {
        /* In this order, so that no call is missed. */
        atomic_store(&member->is_called, false);
        if (park_is_asked(member->park))
            park_wait(member->park);
        if (atomic_load(&member->is_ending))
            break;
        int outcome = member->raw == NULL
                          ? -ENODEV
                          : raw_worker_run(member->raw, &member->policy, &member->is_called);
        if (outcome == -ESTALE)
            park_ask(member->park);
        else if (outcome != 0)
            member_reopen(member, outcome);
    }
    park_leave(member->park);
    return NULL;
}

static int member_start(struct stateless *member, const struct respond_policy *policy)
{
    member->policy = *policy;
    atomic_store(&member->is_ending, false);
    park_join(member->park);
    int outcome = -pthread_create(&member->thread, NULL, member_run, member);
    member->has_thread = outcome == 0;
    if (outcome != 0)
        park_leave(member->park);
    return outcome;
}

static void member_close(struct stateless *member)
{
    assert(!member->has_thread);
    raw_worker_close(member->raw); /* NULL after stateless_close() */
    explicit_bzero(&member->secret, sizeof member->secret);
    free(member);
}

/* ---- sets ---- */

/* The secret made at random for one set serves the next one too: connections go on. */
static int set_secret(const struct config *config, const struct stateless_set *former,
                      struct keys_secret *secret_out, struct stateless_error *error)
{
    if (config->tcp_key_file[0] != '\0')
        return keys_secret_read(config->tcp_key_file, secret_out, error->text, sizeof error->text);
    if (former != NULL && former->count != 0) {
        *secret_out = former->members[0]->secret;
        return 0;
    }
    int outcome = keys_secret_random(secret_out);
    return outcome == 0 ? 0 : refuse(error, outcome, "no random secret: %s", strerror(-outcome));
}

static bool is_same(const struct stateless *a, const struct stateless *b)
{
    if (a->address_count != b->address_count || !config_is_same_stateless(&a->config, &b->config) ||
        memcmp(&a->secret, &b->secret, sizeof a->secret) != 0)
        return false;
    for (size_t i = 0; i < a->address_count; i++)
        if (!address_equal(&a->addresses[i].address, &b->addresses[i].address))
            return false;
    return true;
}

static int set_open_members(struct stateless_set *set, const struct stateless_set *former,
                            struct stateless_error *error)
{
    for (size_t i = 0; i < set->count; i++) {
        struct stateless *before = set_find(former, set->members[i]->interface);
        struct io_error reason;
        int outcome;
        if (before != NULL && atomic_load(&before->is_open) && is_same(before, set->members[i])) {
            free(set->members[i]);
            set->members[i] = before;
        } else if ((outcome = member_open(set->members[i], &reason)) != 0) {
            return refuse(error, outcome, "%s", reason.text);
        }
    }
    return 0;
}

static bool set_has(const struct stateless_set *set, const struct stateless *member)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (set->members[i] == member)
            return true;
    return false;
}

/* Free a set with its members, but for those that `other` has too. */
static void set_close(struct stateless_set *set, const struct stateless_set *other)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        if (!set_has(other, set->members[i]))
            member_close(set->members[i]);
    free(set);
}

int stateless_open(const struct config *config, struct zonedb *db, struct park *park,
                   const struct respond_policy *policy, struct stateless_set *former,
                   struct stateless_set **set_out, struct stateless_error *error)
{
    struct keys_secret secret;
    struct stateless_set *set = calloc(1, sizeof *set);
    *set_out = NULL;
    if (set == NULL)
        return refuse(error, -ENOMEM, "out of memory");
    set->policy = policy;
    int outcome = 0;
    for (size_t i = 0; i < config->listen_count && outcome == 0; i++)
        if (config->listen[i].tcp == CONFIG_TCP_STATELESS)
            outcome = set_add(set, &config->listen[i], error);
    if (outcome == 0 && set->count != 0)
        outcome = set_secret(config, former, &secret, error);
    for (size_t i = 0; i < set->count && outcome == 0; i++) {
        struct stateless *member = set->members[i];
        member->config = *config;
        member->tcp = tcp_config(config);
        member->secret = secret;
        member->db = db;
        member->is_proxy = config->proxy[0] != '\0';
        if (member->is_proxy && !address_parse(config->proxy, &member->proxy))
            outcome = refuse(error, -EINVAL, "proxy: not an address");
        member->park = park;
    }
    if (outcome == 0)
        outcome = set_open_members(set, former, error);
    explicit_bzero(&secret, sizeof secret);
    if (outcome != 0)
        set_close(set, former);
    else
        *set_out = set;
    return outcome;
}

void stateless_abandon(struct stateless_set *set, struct stateless_set *former)
{
    set_close(set, former);
}

void stateless_halt(struct stateless_set *set)
{
    if (set == NULL)
        return;
    /* Tell all before waiting for one: it may be parked, waiting for the others. */
    for (size_t i = 0; i < set->count; i++) {
        atomic_store(&set->members[i]->is_ending, true);
        atomic_store(&set->members[i]->is_called, true);
    }
    for (size_t i = 0; i < set->count; i++)
        if (set->members[i]->has_thread) {
            pthread_join(set->members[i]->thread, NULL);
            set->members[i]->has_thread = false;
        }
}

int stateless_start(struct stateless_set *set, struct stateless_set *former)
{
    int outcome = 0;
    set_close(former, set);
    for (size_t i = 0; i < set->count && outcome == 0; i++)
        outcome = member_start(set->members[i], set->policy);
    return outcome;
}

void stateless_wake(struct stateless_set *set)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        atomic_store(&set->members[i]->is_called, true);
}

void stateless_close(struct stateless_set *set)
{
    stateless_halt(set);
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        raw_worker_leave(set->members[i]->raw);
        set->members[i]->raw = NULL;
    }
    set_close(set, NULL);
}

size_t stateless_count(const struct stateless_set *set)
{
    return set != NULL ? set->count : 0;
}

const char *stateless_interface(const struct stateless_set *set,
                                const struct sockaddr_storage *address)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        for (size_t a = 0; a < set->members[i]->address_count; a++)
            if (address_equal(&set->members[i]->addresses[a].address, address))
                return set->members[i]->interface;
    return "";
}

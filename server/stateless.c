/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/stateless.h"
#include "server/claim.h"
#include "server/cpus.h"
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

struct stateless;

/* A thread of an interface, and what it works with. */
struct crew {
    struct stateless *member;
    struct raw_worker *raw; /* the thread's, while it runs */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_called; /* raw_worker_run() shall return */
};

/* One interface and its threads: the first one leads, it starts and ends the others and opens all
 * again what has failed. Owned by the newest set that has it. */
struct stateless {
    char interface[IF_NAMESIZE];
    struct raw_address addresses[CONFIG_LISTEN_MAX];
    size_t address_count;
    struct config config;            /* its addresses aside: how to serve */
    struct stateless_tcp_config tcp; /* the same, for packets */
    struct keys_secret secret;
    struct respond_policy policy;
    const struct answer_image *image; /* NULL: none */
    struct restrain *restrain;        /* NULL: none */
    struct zonedb *db;
    struct sockaddr_storage proxy; /* back end, where is_proxy */
    bool is_proxy;
    struct park *park;
    struct crew crew[CONFIG_WORKERS_MAX];
    unsigned crew_count; /* 0: not open */
    int cpus[CONFIG_WORKERS_MAX];
    unsigned cpu_count;
    atomic_bool is_open; /* may be read by others */
    atomic_bool is_ending;
    atomic_bool is_failing;  /* a worker met a failure: all of them shall end */
    atomic_int problem;      /* which; 0: none */
    struct io_error refusal; /* what was last said of opening it again */
    uint64_t until_us;       /* once it is shut: it has answered what came before */
};

struct stateless_set {
    struct stateless *members[CONFIG_LISTEN_MAX];
    size_t count;
    struct claims claims; /* to what the members serve */
    struct stateless_answers answers;
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
        tcp.segment_size = STATELESS_TCP_SEGMENT_MODERN;
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

static int set_add(struct stateless_set *set, const struct stateless_set *former,
                   const struct config_listen *listen, struct stateless_error *error)
{
    char interface[IF_NAMESIZE], text[CLAIM_ERROR_MAX];
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
        member->cpu_count = cpus_usable(member->cpus, CONFIG_WORKERS_MAX);
        for (unsigned w = 0; w < CONFIG_WORKERS_MAX; w++)
            member->crew[w].member = member;
        set->members[set->count++] = member;
    }
    member->addresses[member->address_count++].address = listen->address;
    outcome = claims_take(&set->claims, former != NULL ? &former->claims : NULL, interface,
                          &listen->address, text);
    return outcome == 0 ? 0
                        : refuse(error, outcome, "%s", outcome == -ENOMEM ? "out of memory" : text);
}

/* ---- threads ---- */

static bool has_driver(const struct config *config)
{
    if (config_is_shunning_tcp(config))
        return false; /* each SYN is to be looked at */
    switch ((enum config_driver)config->driver) {
    case CONFIG_DRIVER_AUTO:
        return config->io == CONFIG_IO_XDP;
    case CONFIG_DRIVER_ON:
    case CONFIG_DRIVER_HOT:
    case CONFIG_DRIVER_ZONES:
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

/* Unix time, as frames bear it. */
static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Close what is open; as if the process ended if is_leaving. The first came first and goes last. */
static void member_shut(struct stateless *member, bool is_leaving)
{
    struct io_lost lost = {0}, some;
    struct io_answered answered = {0};
    if (member->crew_count != 0)
        raw_worker_count_answered(member->crew[0].raw, &answered);
    if (member->crew_count != 0 && !is_leaving)
        raw_worker_unguard(member->crew[0].raw);
    member->until_us = now_us();
    for (unsigned w = 0; w < member->crew_count; w++)
        raw_worker_drain(member->crew[w].raw, &member->policy, member->until_us);
    for (unsigned w = member->crew_count; w-- > 0;) {
        struct crew *crew = &member->crew[w];
        raw_worker_count_lost(crew->raw, &some);
        lost.syns += some.syns;
        lost.others += some.others;
        if (is_leaving)
            raw_worker_leave(crew->raw);
        else
            raw_worker_close(crew->raw);
        crew->raw = NULL;
    }
    member->crew_count = 0;
    if (answered.requests != 0)
        log_write(LOG_LEVEL_INFO,
                  "interface %s: %ju requests were answered in the driver (%ju in copies of their "
                  "frames), %ju frames by the workers",
                  member->interface, (uintmax_t)answered.requests, (uintmax_t)answered.copied,
                  (uintmax_t)answered.climbed);
    if (lost.syns + lost.others != 0)
        log_write(LOG_LEVEL_INFO,
                  "interface %s: %ju frames were lost because they came too fast, %ju of them SYNs",
                  member->interface, (uintmax_t)(lost.syns + lost.others), (uintmax_t)lost.syns);
}

static bool is_restrained(const struct config *config)
{
    const struct restrain_config restrain = config_restrain(config);
    return restrain_is_wanted(&restrain);
}

static int member_open(struct stateless *member, struct io_error *error)
{
    struct raw_config config = {
        .interface = member->interface,
        .io = member->config.io != CONFIG_IO_AUTO ? config_io_choices[member->config.io] : NULL,
        .has_driver = has_driver(&member->config),
        .has_hot = member->config.driver == CONFIG_DRIVER_HOT,
        .has_image = member->config.driver == CONFIG_DRIVER_ZONES &&
                     !config_is_shunning_tcp(&member->config),
        .warn = warn,
        .addresses = member->addresses,
        .address_count = member->address_count,
        .peers = member->config.tcp_transfer_peers.items,
        .peer_count = member->config.tcp_transfer_peers.count,
        .has_udp = member->config.udp == CONFIG_UDP_FAST,
        .is_restrained = is_restrained(&member->config),
        .db = member->db,
        .proxy = member->is_proxy ? &member->proxy : NULL,
        .tcp = &member->tcp,
        .recent_size = member->config.tcp_recent_size,
        .secret = &member->secret,
        .linger_s = member->config.tcp_key_file[0] != '\0' ? GUARD_LINGER_S : 0,
        .worker_count = member->config.workers != 0 ? member->config.workers : member->cpu_count};
    int outcome;
    do {
        config.worker = member->crew_count;
        config.first = member->crew[0].raw;
        outcome = raw_worker_open(&config, &member->crew[config.worker].raw, error);
        member->crew_count += outcome == 0;
    } while (outcome == 0 && member->crew_count < raw_worker_count(member->crew[0].raw));
    if (outcome != 0)
        member_shut(member, false);
    atomic_store(&member->is_open, outcome == 0);
    const struct raw_worker *first = member->crew[0].raw;
    if (outcome == 0 && config_is_shunning_tcp(&member->config) &&
        member->config.driver != CONFIG_DRIVER_AUTO && member->config.driver != CONFIG_DRIVER_OFF)
        log_write(LOG_LEVEL_INFO, "interface %s: nothing is answered in the driver: %s",
                  member->interface, "goaway: deny or tcp-rate look at each SYN");
    if (outcome == 0 && raw_worker_note(first)[0] != '\0')
        log_write(LOG_LEVEL_INFO, "interface %s: frames are carried by %s; %s", member->interface,
                  raw_worker_backend(first), raw_worker_note(first));
    return outcome;
}

/* The interface failed: try to have it back. */
static void member_reopen(struct stateless *member, int problem)
{
    const struct timespec pause = {REOPEN_MS / 1000, REOPEN_MS % 1000 * 1000000L};
    struct io_error error;
    if (member->crew_count != 0) {
        member->refusal.text[0] = '\0';
        log_write(LOG_LEVEL_ERROR,
                  "interface %s: %s; stateless TCP is not served there until it is back",
                  member->interface,
                  problem == -ECHILD ? "the guard against the kernel's TCP was killed"
                                     : strerror(-problem));
    }
    atomic_store(&member->is_open, false);
    member_shut(member, false);
    /* Nobody waits for who sleeps. */
    park_leave(member->park);
    nanosleep(&pause, NULL);
    park_join(member->park);
    if (park_is_asked(member->park))
        park_wait(member->park);
    if (member_open(member, &error) == 0) {
        log_write(LOG_LEVEL_INFO, "interface %s is back", member->interface);
    } else if (strcmp(error.text, member->refusal.text) != 0) {
        log_write(LOG_LEVEL_ERROR, "%s", error.text);
        member->refusal = error;
    }
}

static void member_call(struct stateless *member)
{
    for (unsigned w = 0; w < CONFIG_WORKERS_MAX; w++)
        atomic_store(&member->crew[w].is_called, true);
}

/* Have all workers end: what one has met ends the work of all. */
static void member_fail(struct stateless *member, int problem)
{
    atomic_store(&member->problem, problem);
    atomic_store(&member->is_failing, true);
    member_call(member);
}

/* Until the member ends, or one of its workers fails. */
static void crew_work(struct crew *crew)
{
    struct stateless *member = crew->member;
    for (;;) {
        /* In this order, so that no call is missed. */
        atomic_store(&crew->is_called, false);
        if (park_is_asked(member->park))
            park_wait(member->park);
        if (atomic_load(&member->is_ending) || atomic_load(&member->is_failing))
            return;
        int outcome = raw_worker_run(crew->raw, &member->policy, member->image, member->restrain,
                                     &crew->is_called);
        if (outcome == -ESTALE) {
            park_ask(member->park);
        } else if (outcome != 0) {
            member_fail(member, outcome);
        }
    }
}

/* Each worker has a CPU of its own, if there are several and it was not asked otherwise. */
static void crew_pin(const struct crew *crew)
{
    const struct stateless *member = crew->member;
    if (member->crew_count > 1 && member->config.is_pinned && member->cpu_count != 0)
        cpus_pin(member->cpus[(crew - member->crew) % member->cpu_count]);
}

static void *crew_run(void *argument)
{
    struct crew *crew = argument;
    crew_pin(crew);
    crew_work(crew);
    park_leave(crew->member->park);
    return NULL;
}

/* The leader's share of one time that the interface is open. */
static void member_serve(struct stateless *member)
{
    atomic_store(&member->problem, 0);
    atomic_store(&member->is_failing, false);
    for (unsigned w = 1; w < member->crew_count; w++) {
        struct crew *crew = &member->crew[w];
        park_join(member->park);
        int outcome = -pthread_create(&crew->thread, NULL, crew_run, crew);
        crew->has_thread = outcome == 0;
        if (outcome == 0)
            continue;
        park_leave(member->park);
        member_fail(member, outcome);
    }
    crew_work(&member->crew[0]);
    /* Who waits for a crew has nobody wait for it. */
    park_leave(member->park);
    for (unsigned w = 1; w < member->crew_count; w++) {
        if (member->crew[w].has_thread)
            pthread_join(member->crew[w].thread, NULL);
        member->crew[w].has_thread = false;
    }
    park_join(member->park);
}

static void *member_run(void *argument)
{
    struct stateless *member = argument;
    crew_pin(&member->crew[0]);
    while (!atomic_load(&member->is_ending)) {
        if (member->crew_count != 0)
            member_serve(member);
        if (park_is_asked(member->park))
            park_wait(member->park);
        int problem = member->crew_count != 0 ? atomic_load(&member->problem) : -ENODEV;
        if (problem != 0 && !atomic_load(&member->is_ending))
            member_reopen(member, problem);
    }
    park_leave(member->park);
    return NULL;
}

static int member_start(struct stateless *member, const struct stateless_set *set)
{
    struct crew *leader = &member->crew[0];
    member->policy = *set->answers.policy;
    member->image = set->answers.image;
    member->restrain = set->answers.restrain;
    atomic_store(&member->is_ending, false);
    park_join(member->park);
    int outcome = -pthread_create(&leader->thread, NULL, member_run, member);
    leader->has_thread = outcome == 0;
    if (outcome != 0)
        park_leave(member->park);
    return outcome;
}

static void member_close(struct stateless *member)
{
    assert(!member->crew[0].has_thread);
    member_shut(member, false);
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
    claims_release(&set->claims);
    free(set);
}

int stateless_open(const struct config *config, struct zonedb *db, struct park *park,
                   const struct stateless_answers *answers, struct stateless_set *former,
                   struct stateless_set **set_out, struct stateless_error *error)
{
    struct keys_secret secret;
    struct stateless_set *set = calloc(1, sizeof *set);
    *set_out = NULL;
    if (set == NULL)
        return refuse(error, -ENOMEM, "out of memory");
    set->answers = *answers;
    int outcome = 0;
    for (size_t i = 0; i < config->listen_count && outcome == 0; i++)
        if (config->listen[i].tcp == CONFIG_TCP_STATELESS)
            outcome = set_add(set, former, &config->listen[i], error);
    if (outcome == 0 && set->count != 0)
        outcome = set_secret(config, former, &secret, error);
    for (size_t i = 0; i < set->count && outcome == 0; i++) {
        struct stateless *member = set->members[i];
        member->config = *config;
        member->tcp = tcp_config(config);
        member->secret = secret;
        member->db = db;
        member->is_proxy = config_is_proxy(config);
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
        member_call(set->members[i]);
    }
    for (size_t i = 0; i < set->count; i++) {
        struct crew *leader = &set->members[i]->crew[0];
        if (leader->has_thread)
            pthread_join(leader->thread, NULL);
        leader->has_thread = false;
    }
}

/* What two captures have seen is answered once: by the former one until it is shut. Where that left
 * UDP to sockets, the guard is the border. */
static void set_succeed(struct stateless_set *set, struct stateless_set *former)
{
    for (size_t i = 0; former != NULL && i < former->count; i++) {
        struct stateless *before = former->members[i];
        struct stateless *after = set_find(set, before->interface);
        if (after == NULL || after == before || before->crew_count == 0)
            continue;
        bool is_same_kind = before->config.udp == after->config.udp;
        raw_worker_unguard(before->crew[0].raw); /* takes the longest */
        for (unsigned w = 0; is_same_kind && w < after->crew_count; w++)
            raw_worker_discard(after->crew[w].raw);
        member_shut(before, false);
        for (unsigned w = 0; is_same_kind && w < after->crew_count; w++)
            raw_worker_begin(after->crew[w].raw, before->until_us);
    }
}

int stateless_start(struct stateless_set *set, struct stateless_set *former)
{
    int outcome = 0;
    set_succeed(set, former);
    set_close(former, set);
    for (size_t i = 0; i < set->count; i++) {
        int started = member_start(set->members[i], set);
        outcome = outcome != 0 ? outcome : started;
    }
    return outcome;
}

void stateless_wake(struct stateless_set *set)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        member_call(set->members[i]);
}

void stateless_close(struct stateless_set *set)
{
    stateless_halt(set);
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        member_shut(set->members[i], true);
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

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/raw.h"

#include "server/address.h"
#include "server/proxy_worker.h"
#include "server/serve.h"
#include "stateless_tcp/io/guard.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Addresses that one worker answers for. Beyond that the last ones are left to the guard: silence.
 */
#define ENDPOINTS_MAX 1024
/* How soon an address that came or went is noticed, where addresses were not named. */
#define ADDRESSES_AGE_S 2

struct raw_worker {
    char interface[IF_NAMESIZE];
    struct stateless_tcp_config tcp;
    struct keys_secret secret;
    struct zonedb_view *view;   /* NULL in a proxy */
    struct proxy_worker *proxy; /* NULL with zones */
    const struct io_backend *backend;
    struct io *io;
    bool is_told; /* the backend has the facts of now */
    void (*warn)(const char *text);
    char note[sizeof((struct io_error *)0)->text];
    struct guard *guard;

    struct packet_endpoint *named; /* as configured; an address of zeros means all of the family */
    size_t named_count;
    struct packet_endpoint *endpoints; /* as of now, ENDPOINTS_MAX */
    size_t endpoint_count;
    uint64_t endpoints_s; /* when that was */
    struct prefix *peers;
    size_t peer_count;

    struct stateless_tcp_keys keys;
    uint64_t keys_s;      /* when they were so */
    uint64_t committed_s; /* of the view's snapshot, or later; 0: not yet known */
    uint64_t now_s;
    unsigned linger_s;
    bool has_udp;
    uint8_t *stream;
    uint8_t *recent_memory; /* of `recent`; NULL: there is none */
    struct recent recent;
};

/* An address of the interface, for every port that asks for all of its family. */
static void endpoints_add_all(struct raw_worker *worker, const struct packet_address *address)
{
    for (size_t i = 0; i < worker->named_count; i++) {
        const struct packet_endpoint *named = &worker->named[i];
        if (named->address.family == address->family && packet_address_is_any(&named->address) &&
            worker->endpoint_count < ENDPOINTS_MAX)
            worker->endpoints[worker->endpoint_count++] =
                (struct packet_endpoint){.address = *address, .port = named->port};
    }
}

/* Find out which addresses are ours now. Keeps what was known if the kernel does not tell. */
static void endpoints_refresh(struct raw_worker *worker, uint64_t now_s)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return;
    worker->endpoints_s = now_s;
    worker->endpoint_count = 0;
    worker->is_told = false;
    for (size_t i = 0; i < worker->named_count; i++)
        if (!packet_address_is_any(&worker->named[i].address))
            worker->endpoints[worker->endpoint_count++] = worker->named[i];
    for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next) {
        struct packet_endpoint found;
        if (strcmp(each->ifa_name, worker->interface) == 0 && each->ifa_addr != NULL &&
            address_to_endpoint(each->ifa_addr, &found))
            endpoints_add_all(worker, &found.address);
    }
    freeifaddrs(all);
    qsort(worker->endpoints, worker->endpoint_count, sizeof(*worker->endpoints),
          packet_endpoint_compare);
}

static bool is_loopback_interface(const char *interface)
{
    struct ifaddrs *all;
    bool is_loopback = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next)
        if (strcmp(each->ifa_name, interface) == 0)
            is_loopback |= (each->ifa_flags & IFF_LOOPBACK) != 0;
    freeifaddrs(all);
    return is_loopback;
}

static bool has_host_address(const struct ifaddrs *all, const struct packet_address *address)
{
    for (; all != NULL; all = all->ifa_next) {
        struct packet_endpoint found;
        if (all->ifa_addr != NULL && address_to_endpoint(all->ifa_addr, &found) &&
            packet_address_equal(&found.address, address))
            return true;
    }
    return false;
}

/* Named addresses must be the host's. They need not be the interface's: anycast addresses often sit
 * on loopback, and frames for them arrive elsewhere. */
static int endpoints_check(const struct raw_worker *worker, struct io_error *error)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) {
        int result = -errno;
        snprintf(error->text, sizeof(error->text), "cannot list the host's addresses: %s",
                 strerror(errno));
        return result;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < worker->named_count; i++) {
        const struct packet_address *address = &worker->named[i].address;
        if (packet_address_is_any(address) || has_host_address(all, address))
            continue;
        char text[INET6_ADDRSTRLEN];
        inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->octets, text, sizeof(text));
        snprintf(error->text, sizeof(error->text),
                 "interface %s: no interface of this host has the address %s, so nobody would "
                 "find it; \"ip address add %s dev %s\"",
                 worker->interface, text, text, worker->interface);
        result = -EADDRNOTAVAIL;
    }
    freeifaddrs(all);
    return result;
}

/* Whether a per-interface switch of the kernel is on, for all or for this one. Where /proc cannot
 * be read nobody knows; then hope. */
static bool is_switched_on(const char *interface, const char *name)
{
    const char *const scopes[] = {"all", interface};
    bool is_known = false;
    for (unsigned i = 0; i < 2; i++) {
        char path[96 + IF_NAMESIZE];
        snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", scopes[i], name);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        is_known = true;
        int value = fgetc(file);
        fclose(file);
        if (value == '1')
            return true;
    }
    return !is_known;
}

/* A frame that is injected on loopback counts as one from outside, and IPv4 distrusts those with
 * the host's own addresses (RFC 1122 3.2.1.3) unless told otherwise. IPv6 does not mind. */
static int loopback_check(const struct raw_worker *worker, struct io_error *error)
{
    bool is_local_needed = false, is_localnet_needed = false;
    if (!is_loopback_interface(worker->interface))
        return 0;
    for (size_t i = 0; i < worker->named_count; i++) {
        const struct packet_address *address = &worker->named[i].address;
        is_local_needed |= address->family == 4;
        is_localnet_needed |= address->family == 4 && address->octets[0] == 127;
    }
    const char *lacking = NULL;
    if (is_local_needed && !is_switched_on(worker->interface, "accept_local"))
        lacking = "accept_local";
    else if (is_localnet_needed && !is_switched_on(worker->interface, "route_localnet"))
        lacking = "route_localnet";
    if (lacking == NULL)
        return 0;
    snprintf(error->text, sizeof(error->text),
             "interface %s: the kernel would not deliver our IPv4 answers on loopback; "
             "\"sysctl net.ipv4.conf.%s.%s=1\", or use IPv6 there, or another interface",
             worker->interface, worker->interface, lacking);
    return -EADDRNOTAVAIL;
}

static void filter_peers(FILE *filter, const struct prefix *peers, size_t peer_count)
{
    for (size_t i = 0; i < peer_count; i++) {
        char prefix[ADDRESS_TEXT_MAX];
        fprintf(filter, "%s%s", i == 0 ? " and not (src net " : " or src net ",
                address_prefix_to_text(&peers[i], prefix));
    }
    if (peer_count != 0)
        putc(')', filter);
}

/* One address. Extension headers of IPv6 may hide either protocol. */
static void filter_endpoint(FILE *filter, const struct raw_worker *worker,
                            const struct packet_endpoint *named)
{
    bool is_v4 = named->address.family == 4;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, named->address.octets, address, sizeof(address));
    fputs(is_v4 ? "(ip" : "(ip6", filter);
    if (!packet_address_is_any(&named->address))
        fprintf(filter, " and dst host %s", address);
    fputs(" and (", filter);
    if (worker->has_udp)
        fprintf(filter, "udp dst port %u or ", named->port);
    fprintf(filter, "((tcp dst port %u%s)", named->port,
            is_v4 ? "" : " or ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 60");
    filter_peers(filter, worker->peers, worker->peer_count);
    fputs(")))", filter);
}

/* The capture filter in pcap's language, to be freed; NULL: no memory. It only spares us work: what
 * is ours is decided frame by frame. pcap does not look behind IPv6 extension headers; packets with
 * one that we walk are let through. */
static char *worker_filter(const struct raw_worker *worker)
{
    char *text = NULL;
    size_t len = 0;
    FILE *filter = open_memstream(&text, &len);
    if (filter == NULL)
        return NULL;
    for (size_t i = 0; i < worker->named_count; i++) {
        if (i > 0)
            fputs(" or ", filter);
        filter_endpoint(filter, worker, &worker->named[i]);
    }
    bool is_bad = ferror(filter);
    if (fclose(filter) != 0 || is_bad) {
        free(text);
        return NULL;
    }
    return text;
}

static int worker_name(struct raw_worker *worker, const struct raw_config *config,
                       struct io_error *error)
{
    worker->tcp = *config->tcp;
    worker->secret = *config->secret;
    worker->keys_s = UINT64_MAX;
    worker->linger_s = config->linger_s;
    worker->warn = config->warn;
    worker->has_udp = config->has_udp;
    worker->stream = malloc(SERVE_STREAM_CAP);
    worker->named = calloc(config->address_count, sizeof(*worker->named));
    worker->endpoints = calloc(ENDPOINTS_MAX, sizeof(*worker->endpoints));
    worker->peers = calloc(config->peer_count + 1, sizeof(*worker->peers));
    bool has_recent = config->tcp->profile == STATELESS_TCP_MODERN && config->recent_size != 0;
    worker->recent_memory = has_recent ? calloc(1, config->recent_size) : NULL;
    if (worker->recent_memory != NULL)
        worker->recent = recent_make(worker->recent_memory, config->recent_size);
    if (worker->stream == NULL || worker->named == NULL || worker->endpoints == NULL ||
        worker->peers == NULL || (has_recent && worker->recent_memory == NULL)) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    if (strlen(config->interface) >= sizeof(worker->interface) ||
        config->address_count > ENDPOINTS_MAX) {
        snprintf(error->text, sizeof(error->text),
                 "interface %s: no such name, or more than %u addresses", config->interface,
                 ENDPOINTS_MAX);
        return -EINVAL;
    }
    strcpy(worker->interface, config->interface);
    for (; worker->peer_count < config->peer_count; worker->peer_count++)
        worker->peers[worker->peer_count] = config->peers[worker->peer_count];
    for (size_t i = 0; i < config->address_count; i++) {
        bool is_internet =
            address_to_endpoint((const struct sockaddr *)&config->addresses[i].address,
                                &worker->named[worker->named_count++]);
        assert(is_internet);
        (void)is_internet;
    }
    int result = endpoints_check(worker, error);
    return result == 0 ? loopback_check(worker, error) : result;
}

/* Open the backend that was asked for, or the first that opens; worker->note says why it is not the
 * one that is best, and what the one that opened has to say. */
static int worker_open_io(struct raw_worker *worker, const char *name,
                          const struct io_config *config, struct io_error *error)
{
    const struct io_backend *const only[] = {name != NULL ? io_backend_find(name) : NULL, NULL};
    const struct io_backend *const *backends = name != NULL ? only : io_backends_live;
    int result = -ENOTSUP;
    snprintf(error->text, sizeof(error->text),
             config->has_driver
                 ? "interface %s: this lethed has no program for its driver with io: %s"
                 : "interface %s: this lethed was built without io: %s",
             worker->interface, name != NULL ? name : "auto");
    for (size_t i = 0; backends[i] != NULL; i++) {
        const struct io_backend *backend =
            config->has_driver ? backends[i]->with_driver : backends[i];
        if (backend == NULL || (name == NULL && !backends[i]->is_automatic))
            continue;
        error->text[0] = '\0';
        result = backend->open(config, &worker->io, error);
        if (result == 0) {
            size_t len = strlen(worker->note);
            snprintf(worker->note + len, sizeof(worker->note) - len, "%s%.400s",
                     len > 0 && error->text[0] != '\0' ? "; " : "", error->text);
            worker->backend = backend;
            return 0;
        }
        snprintf(worker->note, sizeof(worker->note), "not %s: %.400s", backend->name, error->text);
    }
    return result;
}

/* Capture first: a frame that comes between is answered, and the kernel's RST beside it is no worse
 * than what was before. */
static int worker_attach(struct raw_worker *worker, const struct raw_config *config,
                         struct io_error *error)
{
    char *filter = worker_filter(worker);
    if (filter == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    const struct io_config io_config = {
        .interface = worker->interface,
        .filter = filter,
        .endpoints = worker->named,
        .endpoint_count = worker->named_count,
        .peers = worker->peers,
        .peer_count = worker->peer_count,
        .has_driver = config->has_driver,
        .has_udp = worker->has_udp,
        .worker_count = 1,
    };
    int result = worker_open_io(worker, config->io, &io_config, error);
    free(filter);
    const struct guard_config guard_config = {
        .interface = worker->interface,
        .endpoints = worker->named,
        .endpoint_count = worker->named_count,
        .peers = worker->peers,
        .peer_count = worker->peer_count,
        .has_udp = worker->has_udp,
        .linger_s = worker->linger_s,
    };
    if (result == 0)
        result = guard_open(&guard_config, &worker->guard, error);
    return result;
}

int raw_worker_open(const struct raw_config *config, struct raw_worker **worker_out,
                    struct io_error *error)
{
    assert(config->address_count > 0);
    *worker_out = NULL;
    struct raw_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    int result = worker_name(worker, config, error);
    if (result == 0)
        result = worker_attach(worker, config, error);
    if (result == 0 && config->proxy != NULL)
        result = proxy_worker_open(config->proxy, &worker->proxy, error);
    if (result == 0 && config->proxy == NULL) {
        result = zonedb_view_open(config->db, &worker->view);
        if (result == 0)
            zonedb_view_rest(worker->view);
        else
            snprintf(error->text, sizeof(error->text), "cannot read the zone database: %s",
                     strerror(-result));
    }
    if (result != 0) {
        raw_worker_close(worker);
        return result;
    }
    *worker_out = worker;
    return 0;
}

/* The cookie keys of now. */
static void keys_refresh(struct raw_worker *worker)
{
    struct stateless_tcp_keys keys;
    keys_at(&worker->secret, worker->now_s, &keys);
    if (worker->keys_s == UINT64_MAX || memcmp(&keys, &worker->keys, sizeof(keys)) != 0)
        worker->is_told = false;
    worker->keys = keys;
    worker->keys_s = worker->now_s;
}

static int worker_tell(struct raw_worker *worker)
{
    struct io_error note = {.text = ""};
    const struct io_facts facts = {
        .note = &note,
        .tcp = &worker->tcp,
        .keys = &worker->keys,
        .endpoints = worker->endpoints,
        .endpoint_count = worker->endpoint_count,
    };
    if (worker->is_told || worker->backend->tell == NULL)
        return 0;
    worker->is_told = true;
    int outcome = worker->backend->tell(worker->io, &facts);
    if (note.text[0] != '\0')
        worker->warn(note.text);
    return outcome;
}

/* What depends on the time. Outcomes: 0; -ECHILD the guard is gone; negative errno of the interface.
 */
static int worker_tick(struct raw_worker *worker)
{
    uint64_t now_s = (uint64_t)time(NULL);
    worker->now_s = now_s;
    if (worker->keys_s == now_s)
        return 0;
    keys_refresh(worker);
    bool is_due = now_s - worker->endpoints_s >= ADDRESSES_AGE_S;
    if (is_due)
        endpoints_refresh(worker, now_s);
    int outcome = worker_tell(worker);
    return outcome == 0 && is_due && !guard_is_up(worker->guard) ? -ECHILD : outcome;
}

/* Answer a batch. Outcomes: 0; -ESTALE; negative errno of the interface. */
static int worker_answer(struct raw_worker *worker, const struct respond_policy *policy,
                         const struct io_frame *frames, int frame_count)
{
    int outcome = zonedb_view_refresh(worker->view);
    if (outcome == -ESTALE)
        return outcome; /* other failures are answered: SERVFAIL */
    if ((outcome != 0 || worker->committed_s == 0) &&
        zonedb_view_committed(worker->view, &worker->committed_s) != 0)
        worker->committed_s = worker->now_s;
    worker->recent.snapshot = (uint32_t)zonedb_view_version(worker->view);
    const struct serve serve = {
        .view = worker->view,
        .policy = policy,
        .tcp = &worker->tcp,
        .keys = &worker->keys,
        .endpoints = worker->endpoints,
        .endpoint_count = worker->endpoint_count,
        .peers = worker->peers,
        .peer_count = worker->peer_count,
        .is_tcp_only = !worker->has_udp,
        /* A clock that was set back settles nothing. */
        .is_settled = worker->now_s >= worker->committed_s + SERVE_SETTLED_S,
        .recent = worker->recent_memory != NULL ? &worker->recent : NULL,
        .stream = worker->stream,
    };
    for (int i = 0; i < frame_count; i++) {
        struct train train;
        worker->backend->lend(worker->io, &train);
        serve_frame(&serve, &frames[i], &train);
        outcome = worker->backend->send(worker->io, &train);
        if (outcome != 0)
            return outcome;
    }
    return 0;
}

/* The same, with a back end instead of zones; waits too. */
static int worker_pass(struct raw_worker *worker, const struct respond_policy *policy)
{
    int outcome = worker_tick(worker);
    if (outcome != 0)
        return outcome;
    const struct proxy place = {
        .tcp = &worker->tcp,
        .keys = &worker->keys,
        .endpoints = worker->endpoints,
        .endpoint_count = worker->endpoint_count,
        .has_ede = policy->has_ede,
        .recent = worker->recent_memory != NULL ? &worker->recent : NULL,
    };
    return proxy_worker_step(worker->proxy, worker->backend, worker->io, &place, RAW_STOP_MS);
}

static int worker_serve(struct raw_worker *worker, const struct respond_policy *policy)
{
    struct io_frame frames[IO_BATCH];
    int frame_count = worker->backend->receive(worker->io, RAW_STOP_MS, frames, IO_BATCH);
    int outcome = frame_count < 0 ? frame_count : worker_tick(worker);
    if (outcome != 0 || frame_count == 0)
        return outcome;
    outcome = worker_answer(worker, policy, frames, frame_count);
    zonedb_view_rest(worker->view);
    return outcome;
}

int raw_worker_run(struct raw_worker *worker, const struct respond_policy *policy,
                   const atomic_bool *stop)
{
    int outcome = worker_tick(worker);
    while (outcome == 0 && !atomic_load(stop)) {
        outcome =
            worker->proxy != NULL ? worker_pass(worker, policy) : worker_serve(worker, policy);
        if (outcome == -ENETDOWN) { /* it may come up again, and the capture with it */
            poll(NULL, 0, RAW_STOP_MS);
            outcome = 0;
        }
    }
    if (outcome == 0 && worker->backend->flush != NULL)
        outcome = worker->backend->flush(worker->io);
    return outcome;
}

const char *raw_worker_backend(const struct raw_worker *worker)
{
    return worker->backend->name;
}

const char *raw_worker_note(const struct raw_worker *worker)
{
    return worker->note;
}

void raw_worker_close(struct raw_worker *worker)
{
    if (worker == NULL)
        return;
    zonedb_view_close(worker->view);
    proxy_worker_close(worker->proxy);
    if (worker->io != NULL)
        worker->backend->close(worker->io);
    guard_close(worker->guard);
    free(worker->named);
    free(worker->peers);
    free(worker->endpoints);
    free(worker->stream);
    free(worker->recent_memory);
    free(worker);
}

void raw_worker_leave(struct raw_worker *worker)
{
    if (worker == NULL)
        return;
    guard_leave(worker->guard);
    worker->guard = NULL;
    raw_worker_close(worker);
}

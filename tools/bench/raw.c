/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames of our own, on an interface: what carries them, being a neighbour there, and waiting.
 */
#include "stateless_tcp/io/io.h"
#include "tools/bench/raw_client.h"
#include "tools/bench/raw_link.h"
#include "tools/bench/raw_tcp.h"
#include "tools/bench/raw_udp.h"
#include "tools/bench/source.h"
#include "tools/bench/worker.h"

#include "server/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WAIT_NS 5000000
#define CLOSING_NS 500000000 /* for the server's FINs, at the end */
#define ASK_TIMES 30
#define ASK_WAIT_MS 100

struct raw {
    struct worker *worker;
    const struct io_backend *backend;
    struct io *io;
    struct train train;
    struct raw_path path;
    int problem;   /* of sending */
    int multicast; /* keeps the interface receiving multicast; -1 */
    struct raw_tcp tcp;
    struct raw_udp udp;
    struct raw_client client; /* instead of these two */
};

static bool is_tcp(const struct raw *raw)
{
    return raw->worker->config->mode == BENCH_RAW;
}

static bool fail(struct raw *raw, int result, const char *what)
{
    char text[256];
    snprintf(text, sizeof text, "interface %s: %s", raw->worker->config->interface, what);
    worker_fail(raw->worker, result, text);
    return false;
}

/* ---- opening ---- */

static bool read_mac(struct raw *raw)
{
    struct ifreq request = {0};
    const char *interface = raw->worker->config->interface;
    if (strlen(interface) >= sizeof request.ifr_name)
        return fail(raw, -ENODEV, "cannot use it");
    strcpy(request.ifr_name, interface);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(raw, -errno,
                    "cannot send frames of our own (root or CAP_NET_RAW is needed for that)");
    int result = ioctl(fd, SIOCGIFHWADDR, &request) == 0 ? 0 : -errno;
    memcpy(raw->path.mac_own, request.ifr_hwaddr.sa_data, 6);
    /* Neighbour solicitations come to groups that the kernel has no reason to join. */
    const struct packet_mreq all = {.mr_ifindex = (int)if_nametoindex(interface),
                                    .mr_type = PACKET_MR_ALLMULTI};
    if (result == 0 && raw->path.server.family == 6)
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
    raw->multicast = fd;
    return result == 0 || fail(raw, result, "cannot use it");
}

/* The host's own kernel would reset connections of its addresses that it knows nothing of. */
static bool are_sources_free(struct raw *raw)
{
    const struct bench_config *config = raw->worker->config;
    struct ifaddrs *first;
    struct packet_endpoint own;
    uint32_t number;
    bool is_free = true;
    if (getifaddrs(&first) != 0)
        return fail(raw, -errno, "cannot list the host's addresses");
    for (const struct ifaddrs *i = first; i != NULL; i = i->ifa_next)
        if (i->ifa_addr != NULL && address_to_endpoint(i->ifa_addr, &own) &&
            source_number(&config->source, &own.address, &number))
            is_free = false;
    freeifaddrs(first);
    return is_free || fail(raw, -EADDRINUSE,
                           "the host itself has an address of --source; name others, to which the "
                           "server has a route");
}

/* This thread's share of the ports, and as many tuples as are a whole number of rounds. */
static bool set_path(struct raw *raw)
{
    const struct bench_config *config = raw->worker->config;
    struct raw_path *path = &raw->path;
    struct packet_endpoint server;
    if (!address_to_endpoint((const struct sockaddr *)&config->server, &server))
        return fail(raw, -EINVAL, "cannot ask this server");
    uint32_t ports = (uint32_t)config->port_last - config->port_first + 1;
    uint32_t share = ports / config->threads;
    path->server = server.address;
    path->server_port = server.port;
    path->source = config->source;
    path->window = config->window;
    path->tuples.address_count = source_count(&config->source);
    path->tuples.port_count = share;
    path->port_first = (uint16_t)(config->port_first + share * raw->worker->index);
    uint64_t tuples = (uint64_t)path->tuples.address_count * share;
    uint32_t places = is_tcp(raw) ? raw_tcp_places(config) : raw_udp_places(config);
    while (places > tuples)
        places /= 2;
    if (places == 0)
        return fail(raw, -EADDRNOTAVAIL, "fewer ports (--ports) than threads");
    if (tuples > 1u << 31)
        tuples = 1u << 31;
    /* Not where the last run began: the server may remember that. */
    raw_path_prepare(path, (uint32_t)raw->worker->secret, (uint32_t)(tuples - tuples % places));
    return read_mac(raw);
}

static bool open_backend(struct raw *raw)
{
    const struct bench_config *config = raw->worker->config;
    const struct raw_path *path = &raw->path;
    char filter[512], server[INET6_ADDRSTRLEN], link[RAW_LINK_FILTER_CAP];
    struct io_error error = {.text = ""};
    raw_link_filter(path->server.family, link);
    inet_ntop(path->server.family == 4 ? AF_INET : AF_INET6, path->server.octets, server,
              sizeof server);
    snprintf(filter, sizeof filter, "%s or (src host %s and src port %u and dst portrange %u-%u)",
             link, server, path->server_port, path->port_first,
             path->port_first + path->tuples.port_count - 1);
    const struct io_config io_config = {
        .interface = config->interface, .filter = filter, .worker_count = 1};
    raw->backend = config->backend != NULL ? io_backend_find(config->backend) : io_backends_live[0];
    /* AF_XDP's program takes what is for addresses of a server, which we are not. */
    if (raw->backend == NULL || strcmp(raw->backend->name, "xdp") == 0)
        return fail(raw, -EINVAL, "no such --backend; there are packet and libpcap");
    int result = raw->backend->open(&io_config, &raw->io, &error);
    if (result != 0) {
        raw->worker->result = result;
        snprintf(raw->worker->error, sizeof raw->worker->error, "%s", error.text);
    }
    return result == 0;
}

/* ---- sending ---- */

static void lend(struct raw *raw)
{
    raw->backend->lend(raw->io, &raw->train);
}

static void send_train(void *context)
{
    struct raw *raw = context;
    if (raw->train.frame_count > 0) {
        int result = raw->backend->send(raw->io, &raw->train);
        if (result != 0)
            raw->problem = result;
    }
    lend(raw);
}

static void flush(struct raw *raw)
{
    send_train(raw);
    int result = raw->backend->flush != NULL ? raw->backend->flush(raw->io) : 0;
    if (result != 0)
        raw->problem = result;
    lend(raw);
}

/* ---- receiving ---- */

static bool is_ours_to_answer(const struct raw *raw)
{
    return raw->worker->index == 0; /* one of the threads, lest there be an answer of each */
}

static void take_frame(struct raw *raw, const struct io_frame *frame, uint64_t now_ns)
{
    struct packet packet;
    enum packet_outcome outcome = packet_parse(frame->octets, frame->len, frame->is_checksum_unset,
                                               PACKET_CHECKSUM_AUTO, &packet);
    switch (outcome) {
    case PACKET_TCP:
        if (is_tcp(raw) && !raw->worker->config->has_driver)
            raw_tcp_receive(&raw->tcp, now_ns, &packet);
        break;
    case PACKET_UDP:
        if (!is_tcp(raw) && !raw->worker->config->has_driver)
            raw_udp_receive(&raw->udp, now_ns, &packet);
        break;
    case PACKET_DROP:
        if (is_ours_to_answer(raw))
            raw_link_answer(&raw->path, frame->octets, frame->len, &raw->train);
        break;
    }
}

/* Ask who has the server's address, or the router's, until somebody says so. */
static bool find_peer(struct raw *raw)
{
    const struct bench_config *config = raw->worker->config;
    struct packet_address target = config->has_gateway ? config->gateway : raw->path.server;
    struct io_frame frames[IO_BATCH];
    memcpy(raw->path.mac_peer, config->mac, 6);
    for (unsigned i = 0; i < ASK_TIMES && !config->has_mac; i++) {
        lend(raw);
        raw_link_ask(&raw->path, &target, &raw->train);
        flush(raw);
        int count = raw->backend->receive(raw->io, ASK_WAIT_MS, frames, IO_BATCH);
        if (count < 0)
            return fail(raw, count, "cannot receive");
        for (int f = 0; f < count; f++) {
            if (raw_link_learn(frames[f].octets, frames[f].len, &target, raw->path.mac_peer))
                return true;
            if (is_ours_to_answer(raw))
                raw_link_answer(&raw->path, frames[f].octets, frames[f].len, &raw->train);
        }
        flush(raw);
    }
    return config->has_mac ||
           fail(raw, -EHOSTUNREACH,
                "nobody there says that it has the server's address; behind a router, name that "
                "with --gateway");
}

static bool raw_open(struct raw *raw)
{
    raw->multicast = -1;
    if (!are_sources_free(raw) || !set_path(raw) || !open_backend(raw) || !find_peer(raw))
        return false;
    memcpy(raw->path.headers, raw->path.mac_peer, 6);
    if (raw->worker->config->has_driver)
        return raw_client_open(&raw->client, raw->worker, &raw->path) == 0;
    lend(raw);
    int result =
        is_tcp(raw)
            ? raw_tcp_open(&raw->tcp, raw->worker, &raw->path, &raw->train, send_train, raw)
            : raw_udp_open(&raw->udp, raw->worker, &raw->path, &raw->train, send_train, raw);
    return result == 0 || fail(raw, result, "cannot begin");
}

static uint64_t raw_close(struct raw *raw)
{
    struct io_lost lost = {0};
    if (raw->worker->config->has_driver)
        raw_client_close(&raw->client);
    else if (is_tcp(raw))
        raw_tcp_close(&raw->tcp);
    else
        raw_udp_close(&raw->udp);
    if (raw->io != NULL) {
        if (raw->backend->count_lost != NULL)
            raw->backend->count_lost(raw->io, &lost);
        raw->backend->close(raw->io);
    }
    if (raw->multicast >= 0)
        close(raw->multicast);
    return lost.syns + lost.others;
}

/* ---- running ---- */

/* Wait for frames, finer than receive() can. Returns whether there are some. */
static bool wait_for_frames(const struct raw *raw, uint64_t now_ns)
{
    bool has_place = is_tcp(raw) ? raw_tcp_has_place(&raw->tcp) : raw_udp_has_place(&raw->udp);
    uint64_t wait_ns = worker_patience_ns(raw->worker, now_ns, has_place, WAIT_NS);
    struct timespec wait = {.tv_nsec = (long)wait_ns};
    struct pollfd descriptor = {.fd = raw->backend->descriptor(raw->io), .events = POLLIN};
    return wait_ns > 0 && ppoll(&descriptor, 1, &wait, NULL) != 0;
}

static bool turn(struct raw *raw, uint64_t now_ns)
{
    struct io_frame frames[IO_BATCH];
    int count = raw->backend->receive(raw->io, 0, frames, IO_BATCH);
    if (count == 0 && wait_for_frames(raw, now_ns))
        count = raw->backend->receive(raw->io, 0, frames, IO_BATCH);
    if (count < 0 || raw->problem != 0)
        return fail(raw, count < 0 ? count : raw->problem, "cannot send and receive");
    now_ns = worker_turn(raw->worker);
    lend(raw);
    for (int i = 0; i < count; i++)
        take_frame(raw, &frames[i], now_ns);
    if (is_tcp(raw))
        raw_tcp_send_due(&raw->tcp, now_ns);
    else
        raw_udp_send_due(&raw->udp, now_ns);
    send_train(raw);
    return true;
}

static void run_opened(struct raw *raw)
{
    struct worker *worker = raw->worker;
    uint64_t now_ns = worker_turn(worker), closing_end_ns = UINT64_MAX;
    while (!worker_is_done_sending(worker, now_ns) || worker->outstanding > 0 ||
           (is_tcp(raw) && raw->tcp.closing > 0 && now_ns < closing_end_ns)) {
        if (!turn(raw, now_ns))
            return;
        now_ns = worker_turn(worker);
        bool is_over = worker_is_done_sending(worker, now_ns) && worker->outstanding == 0;
        if (is_over && closing_end_ns == UINT64_MAX)
            closing_end_ns = now_ns + CLOSING_NS;
    }
    if (is_tcp(raw)) {
        raw_tcp_abort(&raw->tcp, now_ns);
        flush(raw);
    }
}

/* The program carries the connections; here, neighbours are answered. */
static bool turn_client(struct raw *raw)
{
    struct io_frame frames[IO_BATCH];
    uint64_t now_ns = worker_clock_ns();
    int result = raw_client_turn(&raw->client, now_ns);
    if (result != 0)
        return fail(raw, result, "its driver cannot send such frames (Linux 5.18 is needed)");
    struct timespec wait = {.tv_nsec = (long)raw_client_wait_ns(&raw->client, now_ns)};
    struct pollfd descriptor = {.fd = raw->backend->descriptor(raw->io), .events = POLLIN};
    if (ppoll(&descriptor, 1, &wait, NULL) <= 0)
        return true;
    int count = raw->backend->receive(raw->io, 0, frames, IO_BATCH);
    lend(raw);
    for (int i = 0; i < count; i++)
        take_frame(raw, &frames[i], now_ns);
    flush(raw);
    return count >= 0 && raw->problem == 0
               ? true
               : fail(raw, count < 0 ? count : raw->problem, "cannot send and receive");
}

static void run_client(struct raw *raw)
{
    const struct worker *worker = raw->worker;
    uint64_t closing_end_ns = UINT64_MAX;
    while (turn_client(raw)) {
        uint64_t now_ns = worker_clock_ns();
        if (!worker_is_done_sending(worker, now_ns) || raw_client_busy(&raw->client) > 0)
            continue;
        if (closing_end_ns == UINT64_MAX)
            closing_end_ns = now_ns + CLOSING_NS;
        if (now_ns >= closing_end_ns || !raw_client_has_rest(&raw->client))
            return;
    }
}

void raw_run(struct worker *worker)
{
    struct raw *raw = calloc(1, sizeof *raw);
    uint64_t drops = 0;
    worker_begin(worker);
    if (raw == NULL) {
        worker_fail(worker, -ENOMEM, "cannot begin");
    } else {
        raw->worker = worker;
        if (raw_open(raw)) {
            worker_begin(worker);
            if (worker->config->has_driver)
                run_client(raw);
            else
                run_opened(raw);
        }
        drops = raw_close(raw);
        free(raw);
    }
    worker_finish(worker, drops);
}

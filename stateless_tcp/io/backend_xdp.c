/* SPDX-License-Identifier: BSD-2-Clause
 *
 * AF_XDP: frames come from the XDP program (xdp/driver.h) into memory that we share with the
 * kernel, and answers are sent out of it; the kernel's stack sees neither.
 *
 *     memory of a channel (one queue of the interface):
 *       | receiving: RX_CHUNKS | answering: TX_CHUNKS, one after the other, round | bounce |
 *
 * A frame that is sent may not reach from one chunk into the next. Trains are written without
 * caring, one behind the other; the few frames that lie across an edge are copied to a bounce
 * chunk.
 *
 * A reload opens an interface again while it is open: then the channels are shared, for a queue has
 * but one socket. Whoever is told last is served.
 */
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/xdp/loader.h"

#include <assert.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#define CHUNK DRIVER_CHUNK_LEN
#define RX_CHUNKS 2048u
#define TX_CHUNKS 1024u
#define BOUNCE_CHUNKS 256u
#define TX_AT (RX_CHUNKS * CHUNK)
#define TX_LEN (TX_CHUNKS * CHUNK)
#define BOUNCE_AT (TX_AT + TX_LEN)
#define AREA_LEN (BOUNCE_AT + BOUNCE_CHUNKS * CHUNK)
#define RING_LEN 2048u

/* The longest frame of an answer: trains of one begin where that is left of a chunk. */
#define ANSWER_FRAME_MAX 1536u
/* What the kernel takes in one call when it copies. */
#define KERNEL_BATCH 32u

/* One queue. */
struct channel {
    uint8_t *area;
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons completion, rx;
    bool is_zero_copy;
    uint64_t taken[IO_BATCH]; /* frames that were handed out */
    uint32_t taken_count;
    uint32_t tx_at;      /* in the answering part: where the next train begins, */
    uint32_t tx_free_to; /* and up to where nothing is being sent */
    uint32_t bounce;     /* which bounce chunk is next */
    uint16_t sending[TX_CHUNKS + BOUNCE_CHUNKS]; /* frames of each that are being sent */
};

/* The queues of one worker on one interface. */
struct port {
    struct port *next; /* of all there are */
    unsigned holders;
    char interface[IF_NAMESIZE];
    int interface_index;
    unsigned worker, worker_count;
    unsigned queue_count; /* of the interface */
    struct channel *channels[DRIVER_QUEUES_MAX];
    struct pollfd poll_fds[DRIVER_QUEUES_MAX];
    unsigned channel_count;
    unsigned current; /* the channel whose frames are being answered */
    int epoll;        /* of all sockets, where they are several */
    uint8_t *scratch; /* TRAIN_CAP, where there is no room */
};

struct io {
    struct port *port;
    struct loader *loader;
    struct loader_wish wish;
    unsigned hot_number; /* as of hot.h */
};

/* All of this process, for opening and closing. */
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct port *ports;

static int xdp_fail(struct io_error *error, int result, const char *interface, const char *what,
                    const char *reason)
{
    snprintf(error->text, sizeof(error->text), "interface %s: AF_XDP: %s: %s", interface, what,
             reason);
    return result;
}

/* ---- opening and closing ---- */

static void channel_close(struct channel *channel)
{
    if (channel == NULL)
        return;
    if (channel->socket != NULL)
        xsk_socket__delete(channel->socket);
    if (channel->umem != NULL)
        xsk_umem__delete(channel->umem);
    if (channel->area != NULL)
        munmap(channel->area, AREA_LEN);
    free(channel);
}

/* A ring is mapped from its counters to its last entry. A child process that kept it would keep the
 * socket, and with it the queue, when we are gone. */
static void ring_keep(const void *counter, const void *entries, size_t entry_len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)counter & ~(page - 1);
    madvise((void *)begin, (uintptr_t)entries + RING_LEN * entry_len - begin, MADV_DONTFORK);
}

static void channel_keep(const struct channel *channel)
{
    ring_keep(channel->fill.producer, channel->fill.ring, sizeof(uint64_t));
    ring_keep(channel->completion.producer, channel->completion.ring, sizeof(uint64_t));
    ring_keep(channel->rx.producer, channel->rx.ring, sizeof(struct xdp_desc));
    ring_keep(channel->tx.producer, channel->tx.ring, sizeof(struct xdp_desc));
    madvise(channel->area, AREA_LEN, MADV_DONTFORK);
}

/* Give the kernel chunks to receive into. */
static void channel_fill(struct channel *channel, const uint64_t *addresses, uint32_t count)
{
    uint32_t at = 0;
    uint32_t reserved = xsk_ring_prod__reserve(&channel->fill, count, &at);
    assert(reserved == count); /* the ring is as long as there are chunks */
    for (uint32_t i = 0; i < reserved; i++)
        *xsk_ring_prod__fill_addr(&channel->fill, at + i) = addresses[i];
    xsk_ring_prod__submit(&channel->fill, reserved);
}

static const char *memory_reason(int result)
{
    return result == -ENOBUFS || result == -EPERM
               ? "memory cannot be locked; start as root, or raise the limit (\"ulimit -l\")"
               : strerror(-result);
}

static int channel_bind(struct channel *channel, const char *interface, unsigned queue,
                        struct io_error *error)
{
    const struct xsk_umem_config umem_config = {
        .fill_size = RING_LEN, .comp_size = RING_LEN, .frame_size = CHUNK};
    const struct xsk_socket_config socket_config = {.rx_size = RING_LEN,
                                                    .tx_size = RING_LEN,
                                                    .libxdp_flags =
                                                        XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
                                                    .bind_flags = XDP_USE_NEED_WAKEUP};
    channel->area =
        mmap(NULL, AREA_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (channel->area == MAP_FAILED) {
        channel->area = NULL;
        return xdp_fail(error, -ENOMEM, interface, "cannot open", "out of memory");
    }
    int result = xsk_umem__create(&channel->umem, channel->area, AREA_LEN, &channel->fill,
                                  &channel->completion, &umem_config);
    if (result != 0)
        return xdp_fail(error, result, interface, "cannot share memory", memory_reason(result));
    result = xsk_socket__create(&channel->socket, interface, queue, channel->umem, &channel->rx,
                                &channel->tx, &socket_config);
    if (result == -EBUSY)
        return xdp_fail(error, result, interface, "cannot bind",
                        "a queue has a socket already: another process's, or ours if the number of "
                        "workers changed, which takes a restart");
    if (result != 0)
        return xdp_fail(error, result, interface, "cannot bind", strerror(-result));
    channel_keep(channel);
    struct xdp_options options = {0};
    socklen_t options_len = sizeof(options);
    if (getsockopt(xsk_socket__fd(channel->socket), SOL_XDP, XDP_OPTIONS, &options, &options_len) ==
        0)
        channel->is_zero_copy = (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
    for (uint64_t i = 0; i < RX_CHUNKS; i++)
        channel_fill(channel, &(uint64_t){i * CHUNK}, 1);
    return 0;
}

/* How many queues the interface receives into. Those that cannot tell have one. */
static unsigned interface_queues(const char *interface)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq request = {0};
    unsigned count = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 1;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    request.ifr_data = (char *)&channels;
    if (ioctl(fd, SIOCETHTOOL, &request) == 0)
        count = channels.rx_count + channels.combined_count;
    close(fd);
    return count > 0 ? count : 1;
}

static void port_close(struct port *port)
{
    if (port == NULL || --port->holders > 0)
        return;
    for (struct port **place = &ports; *place != NULL; place = &(*place)->next)
        if (*place == port) {
            *place = port->next;
            break;
        }
    for (unsigned i = 0; i < port->channel_count; i++)
        channel_close(port->channels[i]);
    if (port->epoll >= 0)
        close(port->epoll);
    free(port->scratch);
    free(port);
}

static int port_add_channel(struct port *port, unsigned queue, struct loader *loader,
                            struct io_error *error)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL)
        return xdp_fail(error, -ENOMEM, port->interface, "cannot open", "out of memory");
    int result = channel_bind(channel, port->interface, queue, error);
    if (result == 0 &&
        (result = loader_add_socket(loader, queue, xsk_socket__fd(channel->socket))) != 0)
        xdp_fail(error, result, port->interface, "the program refused a socket", strerror(-result));
    struct epoll_event event = {.events = EPOLLIN};
    if (result == 0 &&
        epoll_ctl(port->epoll, EPOLL_CTL_ADD, xsk_socket__fd(channel->socket), &event) != 0)
        result = xdp_fail(error, -errno, port->interface, "cannot wait", strerror(errno));
    if (result != 0) {
        channel_close(channel);
        return result;
    }
    port->poll_fds[port->channel_count] =
        (struct pollfd){.fd = xsk_socket__fd(channel->socket), .events = POLLIN};
    port->channels[port->channel_count++] = channel;
    return 0;
}

static int port_open(const struct io_config *config, struct loader *loader, struct port **port_out,
                     struct io_error *error)
{
    int index = (int)if_nametoindex(config->interface);
    for (struct port *port = ports; port != NULL; port = port->next)
        if (port->interface_index == index && port->worker == config->worker &&
            port->worker_count == config->worker_count) {
            port->holders++;
            *port_out = port;
            return 0;
        }
    struct port *port = calloc(1, sizeof(*port));
    uint8_t *scratch = malloc(TRAIN_CAP);
    if (port == NULL || scratch == NULL) {
        free(port);
        free(scratch);
        return xdp_fail(error, -ENOMEM, config->interface, "cannot open", "out of memory");
    }
    *port = (struct port){.holders = 1,
                          .interface_index = index,
                          .worker = config->worker,
                          .worker_count = config->worker_count,
                          .queue_count = interface_queues(config->interface),
                          .epoll = epoll_create1(EPOLL_CLOEXEC),
                          .scratch = scratch};
    snprintf(port->interface, sizeof(port->interface), "%s", config->interface);
    /* While we may: a reload that opens more may not. */
    setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    int result = 0;
    if (port->epoll < 0)
        result = xdp_fail(error, -errno, port->interface, "cannot wait", strerror(errno));
    else if (port->queue_count > DRIVER_QUEUES_MAX)
        result = xdp_fail(error, -E2BIG, port->interface, "too many queues",
                          "\"ethtool -L\" makes them fewer");
    for (unsigned q = port->worker; result == 0 && q < port->queue_count; q += port->worker_count)
        result = port_add_channel(port, q, loader, error);
    if (result != 0) {
        port_close(port);
        return result;
    }
    port->next = ports;
    ports = port;
    *port_out = port;
    return 0;
}

static void xdp_close(struct io *io)
{
    if (io == NULL)
        return;
    pthread_mutex_lock(&ports_lock);
    port_close(io->port);
    pthread_mutex_unlock(&ports_lock);
    loader_close(io->loader);
    loader_wish_free(&io->wish);
    free(io);
}

/* For the log: what of the fast path this interface has. */
static void xdp_describe(const struct io *io, struct io_error *error)
{
    const struct port *port = io->port;
    bool is_zero_copy = port->channel_count > 0;
    for (unsigned i = 0; i < port->channel_count; i++)
        is_zero_copy = is_zero_copy && port->channels[i]->is_zero_copy;
    snprintf(error->text, sizeof(error->text), "the program runs %s, sockets %s, %u of %u queues%s",
             loader_is_native(io->loader) ? "in the driver" : "before the kernel's stack (generic)",
             is_zero_copy ? "without copying" : "copy", port->channel_count, port->queue_count,
             port->channel_count == 0 ? ": more workers than queues" : "");
}

static int xdp_open(const struct io_config *config, struct io **io_out, struct io_error *error)
{
    *io_out = NULL;
    assert(config->worker_count > 0 && config->worker < config->worker_count);
    struct io *io = calloc(1, sizeof(*io));
    if (io == NULL || loader_wish_make(config, &io->wish) != 0) {
        xdp_close(io);
        return xdp_fail(error, -ENOMEM, config->interface, "cannot open", "out of memory");
    }
    int result = loader_open(config->interface, config->has_hot, &io->loader, error);
    if (result == 0 && config->next != NULL)
        result = loader_open_next(io->loader, config->next, error);
    if (result == 0) {
        pthread_mutex_lock(&ports_lock);
        result = port_open(config, io->loader, &io->port, error);
        pthread_mutex_unlock(&ports_lock);
    }
    if (result != 0) {
        xdp_close(io);
        return result;
    }
    xdp_describe(io, error);
    if (loader_hot(io->loader) != NULL)
        io->hot_number = hot_join(loader_hot(io->loader));
    *io_out = io;
    return 0;
}

/* ---- sending ---- */

/* Take note of what has been sent. */
static void channel_reclaim(struct channel *channel)
{
    uint32_t at = 0;
    uint32_t count = xsk_ring_cons__peek(&channel->completion, RING_LEN, &at);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = *xsk_ring_cons__comp_addr(&channel->completion, at + i);
        assert(address >= TX_AT && address < AREA_LEN);
        uint16_t *sending = &channel->sending[(address - TX_AT) / CHUNK];
        assert(*sending > 0);
        (*sending)--;
    }
    xsk_ring_cons__release(&channel->completion, count);
}

/* Frames that the kernel has not yet looked at. */
static uint32_t channel_queued(struct channel *channel)
{
    return RING_LEN - xsk_prod_nb_free(&channel->tx, RING_LEN);
}

/* Have the kernel send. What it does not take now stays for the next time.
 * Outcomes: 0; -ENETDOWN; -ENODEV. */
static int channel_kick(struct channel *channel)
{
    uint32_t queued = channel_queued(channel);
    for (uint32_t tries = queued / KERNEL_BATCH + 2; queued > 0 && tries > 0; tries--) {
        if (!xsk_ring_prod__needs_wakeup(&channel->tx))
            break;
        if (sendto(xsk_socket__fd(channel->socket), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0) {
            if (errno == ENETDOWN || errno == ENODEV || errno == ENXIO)
                return errno == ENXIO ? -ENODEV : -errno;
        }
        queued = channel_queued(channel);
    }
    channel_reclaim(channel);
    return 0;
}

/* Find room for the longest train behind the one before. */
static bool channel_lend(struct channel *channel)
{
    uint32_t left = CHUNK - channel->tx_at % CHUNK;
    if (left < ANSWER_FRAME_MAX)
        channel->tx_at += left;
    if (channel->tx_at + TRAIN_CAP > TX_LEN)
        channel->tx_at = channel->tx_free_to = 0;
    while (channel->tx_free_to < channel->tx_at + TRAIN_CAP) {
        const uint16_t *sending = &channel->sending[channel->tx_free_to / CHUNK];
        if (*sending != 0)
            channel_reclaim(channel);
        if (*sending != 0)
            return false;
        channel->tx_free_to += CHUNK;
    }
    return true;
}

static void xdp_lend(struct io *io, struct train *train_out)
{
    struct port *port = io->port;
    struct channel *channel = port->channel_count > 0 ? port->channels[port->current] : NULL;
    train_out->octets = port->scratch;
    train_out->cap = TRAIN_CAP;
    train_out->len = train_out->frame_count = 0;
    if (channel != NULL && channel_lend(channel))
        train_out->octets = channel->area + TX_AT + channel->tx_at;
}

/* A copy of a frame that does not lie within a chunk. Returns its address, 0 if there is no
 * room. */
static uint64_t channel_bounce(struct channel *channel, const uint8_t *octets, uint32_t len)
{
    const uint16_t *sending = &channel->sending[TX_CHUNKS + channel->bounce];
    if (*sending != 0)
        channel_reclaim(channel);
    if (*sending != 0)
        return 0;
    uint64_t address = BOUNCE_AT + (uint64_t)channel->bounce * CHUNK;
    memcpy(channel->area + address, octets, len);
    channel->bounce = (channel->bounce + 1) % BOUNCE_CHUNKS;
    return address;
}

/* Queue one frame. Returns false if there is no room: then it is lost, as it might be on the
 * wire. */
static bool channel_send(struct channel *channel, const uint8_t *octets, uint32_t len)
{
    uint32_t at = 0;
    uint64_t address = (uint64_t)(octets - channel->area);
    if (xsk_prod_nb_free(&channel->tx, 1) == 0)
        return false;
    if (address / CHUNK != (address + len - 1) / CHUNK &&
        (address = channel_bounce(channel, octets, len)) == 0)
        return false;
    xsk_ring_prod__reserve(&channel->tx, 1, &at);
    *xsk_ring_prod__tx_desc(&channel->tx, at) = (struct xdp_desc){.addr = address, .len = len};
    channel->sending[(address - TX_AT) / CHUNK]++;
    return true;
}

static int xdp_send(struct io *io, const struct train *train)
{
    struct port *port = io->port;
    if (train->frame_count == 0 || train->octets == port->scratch)
        return 0;
    struct channel *channel = port->channels[port->current];
    const uint8_t *at = train->octets;
    uint32_t sent = 0;
    if (xsk_prod_nb_free(&channel->tx, train->frame_count) < train->frame_count) {
        int result = channel_kick(channel);
        if (result != 0)
            return result;
    }
    for (uint32_t i = 0; i < train->frame_count; i++) {
        sent += channel_send(channel, at, train->frame_len[i]);
        at += train->frame_len[i];
    }
    xsk_ring_prod__submit(&channel->tx, sent);
    /* The next one begins on a line of the cache. */
    channel->tx_at += (train->len + 63u) & ~63u;
    return 0;
}

/* ---- receiving ---- */

/* The kernel may have stopped receiving for want of chunks. */
static void channel_give_back(struct channel *channel)
{
    if (channel->taken_count == 0)
        return;
    channel_fill(channel, channel->taken, channel->taken_count);
    channel->taken_count = 0;
    if (xsk_ring_prod__needs_wakeup(&channel->fill))
        recvfrom(xsk_socket__fd(channel->socket), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static int channel_take(struct channel *channel, struct io_frame *frames, uint32_t frame_cap)
{
    uint32_t at = 0;
    uint32_t count = xsk_ring_cons__peek(&channel->rx, frame_cap, &at);
    for (uint32_t i = 0; i < count; i++) {
        const struct xdp_desc *descriptor = xsk_ring_cons__rx_desc(&channel->rx, at + i);
        frames[i] =
            (struct io_frame){.octets = channel->area + descriptor->addr, .len = descriptor->len};
        channel->taken[i] = descriptor->addr;
    }
    channel->taken_count = count;
    xsk_ring_cons__release(&channel->rx, count);
    return (int)count;
}

/* From one channel at a time, in turn: the answers leave where the requests came. */
static int port_take(struct port *port, struct io_frame *frames, int frame_cap)
{
    uint32_t cap = (uint32_t)(frame_cap < IO_BATCH ? frame_cap : IO_BATCH);
    for (unsigned i = 0; i < port->channel_count; i++) {
        port->current = port->current + 1 < port->channel_count ? port->current + 1 : 0;
        int count = channel_take(port->channels[port->current], frames, cap);
        if (count > 0)
            return count;
    }
    return 0;
}

static int xdp_receive(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap)
{
    struct port *port = io->port;
    for (unsigned i = 0; i < port->channel_count; i++) {
        int result = channel_kick(port->channels[i]);
        if (result != 0)
            return result;
        channel_give_back(port->channels[i]);
    }
    int count = port_take(port, frames, frame_cap);
    if (count > 0 || timeout_ms == 0)
        return count;
    int ready = poll(port->poll_fds, port->channel_count, timeout_ms);
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    if (ready == 0 && (int)if_nametoindex(port->interface) != port->interface_index)
        return -ENODEV;
    return port_take(port, frames, frame_cap);
}

static int xdp_flush(struct io *io)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < io->port->channel_count; i++)
        result = channel_kick(io->port->channels[i]);
    return result;
}

/* Nobody tells SYNs apart there. */
static void xdp_count_lost(struct io *io, struct io_lost *lost_out)
{
    *lost_out = (struct io_lost){0};
    for (unsigned i = 0; i < io->port->channel_count; i++) {
        struct xdp_statistics statistics = {0};
        socklen_t len = sizeof(statistics);
        if (getsockopt(io->port->poll_fds[i].fd, SOL_XDP, XDP_STATISTICS, &statistics, &len) == 0)
            lost_out->others += statistics.rx_dropped + statistics.rx_ring_full;
    }
}

static int xdp_descriptor(const struct io *io)
{
    return io->port->channel_count == 1 ? io->port->poll_fds[0].fd : io->port->epoll;
}

/* ---- telling ---- */

static int xdp_tell(struct io *io, const struct io_facts *facts)
{
    return loader_tell(io->loader, &io->wish, facts);
}

static void xdp_lease(struct io *io, bool is_changed, uint64_t until_ns)
{
    if (loader_hot(io->loader) != NULL)
        hot_lease(loader_hot(io->loader), io->hot_number, is_changed, until_ns);
}

static void xdp_learn(struct io *io, const struct io_frame *frame, const struct train *train)
{
    if (loader_hot(io->loader) != NULL && train->frame_count == 1)
        hot_learn(loader_hot(io->loader), io->hot_number, frame->octets, frame->len, train->octets,
                  train->len);
}

static void xdp_count_answered(const struct io *io, struct io_answered *answered_out)
{
    *answered_out = loader_answered(io->loader);
}

static void xdp_notes(const struct io *io, struct recent *recent)
{
    loader_notes(io->loader, recent);
}

const struct io_backend io_backend_xdp = {
    .name = "xdp",
    .is_shared = true,
    .is_sole = true,
    .open = xdp_open,
    .receive = xdp_receive,
    .lend = xdp_lend,
    .send = xdp_send,
    .flush = xdp_flush,
    .descriptor = xdp_descriptor,
    .tell = xdp_tell,
    .count_lost = xdp_count_lost,
    .lease = xdp_lease,
    .learn = xdp_learn,
    .with_driver = &io_backend_xdp,
    .count_answered = xdp_count_answered,
    .notes = xdp_notes,
    .close = xdp_close,
};

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Packet rings behind the XDP program: it answers in the driver what needs no request, drops what
 * wants no answer, and what is left climbs to the rings as if nobody had looked at it before.
 */
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/io/xdp/loader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct io_backend *const rings = &io_backend_packet;

struct io {
    struct io *rings;
    struct loader *loader;
    struct loader_wish wish;
    unsigned hot_number; /* as of hot.h */
};

static void driver_close(struct io *io)
{
    if (io == NULL)
        return;
    if (io->rings != NULL)
        rings->close(io->rings);
    loader_close(io->loader);
    loader_wish_free(&io->wish);
    free(io);
}

static int driver_open(const struct io_config *config, struct io **io_out, struct io_error *error)
{
    struct io_config rings_config = *config;
    struct io *io = calloc(1, sizeof(*io));
    *io_out = NULL;
    if (config->first != NULL)
        rings_config.first = config->first->rings;
    if (io == NULL || loader_wish_make(config, &io->wish) != 0) {
        driver_close(io);
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    /* The rings first: the program begins to answer when it is told to, and not before. */
    int result = rings->open(&rings_config, &io->rings, error);
    if (result == 0)
        result = loader_open(config->interface, config->has_hot, &io->loader, error);
    if (result == 0 && config->next != NULL)
        result = loader_open_next(io->loader, config->next, error);
    if (result != 0) {
        driver_close(io);
        return result;
    }
    snprintf(error->text, sizeof(error->text), "the program runs %s",
             loader_is_native(io->loader) ? "in the driver"
                                          : "before the kernel's stack (generic)");
    if (loader_hot(io->loader) != NULL)
        io->hot_number = hot_join(loader_hot(io->loader));
    *io_out = io;
    return 0;
}

static int driver_receive(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap)
{
    return rings->receive(io->rings, timeout_ms, frames, frame_cap);
}

static void driver_lend(struct io *io, struct train *train_out)
{
    rings->lend(io->rings, train_out);
}

static int driver_send(struct io *io, const struct train *train)
{
    return rings->send(io->rings, train);
}

static int driver_flush(struct io *io)
{
    return rings->flush(io->rings);
}

static int driver_descriptor(const struct io *io)
{
    return rings->descriptor(io->rings);
}

static int driver_tell(struct io *io, const struct io_facts *facts)
{
    int result = rings->tell != NULL ? rings->tell(io->rings, facts) : 0;
    return result == 0 ? loader_tell(io->loader, &io->wish, facts) : result;
}

static void driver_count_lost(struct io *io, struct io_lost *lost_out)
{
    rings->count_lost(io->rings, lost_out);
}

static void driver_lease(struct io *io, bool is_changed, uint64_t until_ns)
{
    if (loader_hot(io->loader) != NULL)
        hot_lease(loader_hot(io->loader), io->hot_number, is_changed, until_ns);
}

static void driver_learn(struct io *io, const struct io_frame *frame, const struct train *train)
{
    if (loader_hot(io->loader) != NULL && train->frame_count == 1)
        hot_learn(loader_hot(io->loader), io->hot_number, frame->octets, frame->len, train->octets,
                  train->len);
}

static void driver_count_answered(const struct io *io, struct io_answered *answered_out)
{
    *answered_out = loader_answered(io->loader);
}

static void driver_notes(const struct io *io, struct recent *recent)
{
    loader_notes(io->loader, recent);
}

const struct io_backend io_backend_driver = {
    .name = "packet",
    .open = driver_open,
    .receive = driver_receive,
    .lend = driver_lend,
    .send = driver_send,
    .flush = driver_flush,
    .descriptor = driver_descriptor,
    .tell = driver_tell,
    .count_lost = driver_count_lost,
    .lease = driver_lease,
    .learn = driver_learn,
    .count_answered = driver_count_answered,
    .notes = driver_notes,
    .close = driver_close,
    .with_driver = &io_backend_driver,
};

/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/io.h"

#ifdef HAS_IO_XDP
#include "stateless_tcp/io/xdp/loader.h"
#endif

#include <string.h>

const struct io_backend *const io_backends_live[] = {
#ifdef HAS_IO_PACKET
    &io_backend_packet,
#endif
#ifdef HAS_IO_LIBPCAP
    &io_backend_libpcap,
#endif
#ifdef HAS_IO_XDP
    &io_backend_xdp,
#endif
    NULL,
};

#ifdef HAS_IO_XDP
const struct io_pages *const io_pages = &loader_pages;
#else
const struct io_pages *const io_pages = NULL;
#endif

const struct io_backend *io_backend_find(const char *name)
{
    for (size_t i = 0; io_backends_live[i] != NULL; i++)
        if (strcmp(io_backends_live[i]->name, name) == 0)
            return io_backends_live[i];
    return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/loader.h"

#include <errno.h>
#include <stdlib.h>

int loader_wish_make(const struct io_config *config, struct loader_wish *wish_out)
{
    *wish_out = (struct loader_wish){
        .has_udp = config->has_udp,
        .has_driver = config->has_driver,
        .has_hot = config->has_hot,
        .next = config->next == NULL        ? 0
                : config->is_udp_restrained ? DRIVER_TRANSPORT_TCP
                                            : DRIVER_TRANSPORT_TCP | DRIVER_TRANSPORT_UDP,
    };
    wish_out->peers = calloc(config->peer_count + 1, sizeof(*wish_out->peers));
    if (wish_out->peers == NULL)
        return -ENOMEM;
    for (; wish_out->peer_count < config->peer_count; wish_out->peer_count++)
        wish_out->peers[wish_out->peer_count] = config->peers[wish_out->peer_count];
    return 0;
}

void loader_wish_free(struct loader_wish *wish)
{
    free(wish->peers);
    wish->peers = NULL;
}

static bool is_same_prefix(const struct prefix *a, const struct prefix *b)
{
    return a->len == b->len && packet_address_equal(&a->address, &b->address);
}

bool loader_wish_has_peers(const struct loader_wish *wish, const struct prefix *peers, size_t count)
{
    bool is_same = count == wish->peer_count;
    for (size_t i = 0; is_same && i < count; i++)
        is_same = is_same_prefix(&peers[i], &wish->peers[i]);
    return is_same;
}

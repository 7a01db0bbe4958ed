/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_place.h - where a raw worker serves: an interface, the addresses on it, and who is left out.
 *
 * One thread at a time.
 */
#ifndef SERVER_RAW_PLACE_H
#define SERVER_RAW_PLACE_H

#include "server/raw.h"

#include <net/if.h>

struct raw_place {
    char interface[IF_NAMESIZE];
    unsigned interface_index;      /* 0: there was none */
    struct packet_endpoint *named; /* as configured; an address of zeros means all of the family */
    size_t named_count;
    struct packet_endpoint *endpoints; /* as of raw_place_refresh(); none is zeros */
    size_t endpoint_count;
    uint64_t endpoints_s; /* when that was */
    struct prefix *peers; /* whose TCP is the kernel's */
    size_t peer_count;
    bool has_udp;
    uint16_t mtu; /* of the interface, as of raw_place_refresh(); 0: unknown */
};

/* Take over from `config` what is copied, and check that the kernel will bear with us there:
 * outcomes as for raw_worker_open(). *place_out is good for raw_place_close() whatever the
 * outcome. */
int raw_place_open(const struct raw_config *config, struct raw_place *place_out,
                   struct io_error *error);

/* Find out which addresses are ours now, and the interface's MTU. Keeps what was known if the kernel does not tell. */
void raw_place_refresh(struct raw_place *place, uint64_t now_s);

/* Whether the interface is still the one that it was: one of the same name may have come in its
 * place, and a capture that was told of its going down is told nothing more. */
bool raw_place_is_there(const struct raw_place *place);

/* The capture filter in pcap's language, to be freed; NULL: no memory. It only spares us work: what
 * is ours is decided frame by frame. pcap does not look behind IPv6 extension headers; packets with
 * one that we walk are let through. */
char *raw_place_filter(const struct raw_place *place);

void raw_place_close(struct raw_place *place);

#endif

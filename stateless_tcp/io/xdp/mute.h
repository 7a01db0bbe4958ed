/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mute.h - noticing that what the XDP program sends does not arrive.
 *
 * A veth delivers such frames only if its other end has an XDP program too, or generic receive
 * offload on. Else they vanish. The other end is often in a namespace that we cannot look into; but
 * who got our SYN+ACK says something more, and if all that comes are SYNs, nobody got any. A flood
 * of them alone looks like that too: then our worker answers it, which costs more and harms
 * nothing.
 */
#ifndef STATELESS_TCP_IO_XDP_MUTE_H
#define STATELESS_TCP_IO_XDP_MUTE_H

#include "stateless_tcp/io/xdp/driver.h"

struct mute {
    bool is_veth; /* others can send */
    bool is_noticed;
    uint64_t syns, others; /* when looked at last */
};

/* Begin with an interface, when the counters are so. */
void mute_begin(struct mute *mute, const char *interface, const uint64_t counters[DRIVER_COUNTERS]);

/* Look at the counters, every second or two. */
void mute_look(struct mute *mute, const uint64_t counters[DRIVER_COUNTERS]);

#endif

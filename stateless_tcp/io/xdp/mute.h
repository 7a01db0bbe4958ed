/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mute.h - noticing that an interface does not send what its XDP program wants sent.
 *
 * A veth delivers such frames only if its other end has an XDP program or NAPI of its own; else they
 * vanish, and a counter among those of "ethtool -S" is the only one who knows. The other end is often
 * in another namespace, so that nothing else can be looked at.
 */
#ifndef STATELESS_TCP_IO_XDP_MUTE_H
#define STATELESS_TCP_IO_XDP_MUTE_H

#include <stdbool.h>
#include <stdint.h>

struct mute {
    uint64_t errors;   /* when looked at last */
    uint64_t answered; /* and what should have been sent by then */
    bool is_known;     /* there is such a counter */
    bool is_noticed;
};

/* Count from now. */
void mute_begin(struct mute *mute, const char *interface);

/* Look whether all but a few of the frames vanished that were to be sent since; `answered` counts
 * them, from 0 at the beginning. (Some vanish wherever a queue is full.) */
void mute_look(struct mute *mute, const char *interface, uint64_t answered);

static inline bool mute_is_noticed(const struct mute *mute)
{
    return mute->is_noticed;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * copies.bpf.h - an answer that the frame of its request has no room for.
 *
 * Some drivers give a frame that they receive hardly more room than it takes; and XDP_TX sends one
 * frame for one. So the frame is redirected to the interface that it came from, several times: the
 * kernel copies it for each time but the last, every copy onto a page of its own; and before they
 * are sent it shows each to lethe_out.
 *
 *     lethe_image     looks, writes down what is to be sent (a job), puts a ticket in front of
 *                     the frame, and redirects it
 *     the kernel      copy, copy, ... and the frame itself
 *     lethe_out       frames with a ticket go to lethe_finish, the others are sent as they are
 *     lethe_finish    the first copy of a job becomes its first segment, and so on; what is left
 *                     over, the frame itself, is dropped
 *
 * A frame with a ticket begins with an octet that no answer begins with: those are sent to
 * whom a frame came from, and none is answered that came from a group address. So no client can
 * have a ticket of its own making read; and if it could, it would find no job. Jobs are one
 * processor's, which does all of this for one frame after the other before it looks for new ones.
 */
#ifndef STATELESS_TCP_IO_XDP_COPIES_BPF_H
#define STATELESS_TCP_IO_XDP_COPIES_BPF_H

#include "stateless_tcp/io/xdp/resize.bpf.h"

enum {
    DRIVER_GROUP_BIT = 1,  /* in the first octet of an Ethernet address */
    DRIVER_TICKET_LEN = 8, /* four octets of a mark, and the job's number */
};
#define DRIVER_TICKET_MARK UINT32_MAX

/* False: there is no room; the frame is as it came. */
DRIVER_INLINE bool driver_ticket_put(struct driver_context *ctx, uint32_t number)
{
    if (bpf_xdp_adjust_head(ctx, -DRIVER_TICKET_LEN) != 0)
        return false;
    uint8_t *ticket = driver_begin(ctx);
    if (ticket + DRIVER_TICKET_LEN > driver_end(ctx)) /* never */
        return false;
    driver_store32(ticket, DRIVER_TICKET_MARK);
    driver_store32(ticket + 4, number);
    return true;
}

/* Whether a frame is to be sent as it is. */
DRIVER_INLINE bool driver_ticket_is_none(const struct driver_context *ctx)
{
    const uint8_t *frame = driver_begin(ctx);
    return frame + 1 <= driver_end(ctx) && (frame[0] & DRIVER_GROUP_BIT) == 0;
}

/* Take it off again. False: there is none. */
DRIVER_INLINE bool driver_ticket_take(struct driver_context *ctx, uint32_t *number_out)
{
    const uint8_t *ticket = driver_begin(ctx);
    if (ticket + DRIVER_TICKET_LEN > driver_end(ctx) || driver_load32(ticket) != DRIVER_TICKET_MARK)
        return false;
    *number_out = driver_load32(ticket + 4);
    return bpf_xdp_adjust_head(ctx, DRIVER_TICKET_LEN) == 0;
}

#endif

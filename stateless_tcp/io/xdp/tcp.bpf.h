/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.bpf.h - what the driver answers by itself.
 */
#ifndef STATELESS_TCP_IO_XDP_TCP_BPF_H
#define STATELESS_TCP_IO_XDP_TCP_BPF_H

#include "stateless_tcp/io/xdp/driver.h"

#include <linux/bpf.h>

/* Nothing yet: everything climbs. */
static __always_inline enum driver_verdict
driver_tcp(struct xdp_md *ctx, const struct driver_frame *frame, const struct driver_config *config)
{
    (void)ctx, (void)frame, (void)config;
    return DRIVER_CLIMB;
}

#endif

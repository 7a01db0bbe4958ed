/* SPDX-License-Identifier: BSD-2-Clause
 *
 * out.h - the interface itself as a place to send to, in the maps of driver.bpf.c.
 */
#ifndef STATELESS_TCP_IO_XDP_OUT_H
#define STATELESS_TCP_IO_XDP_OUT_H

#include <stdbool.h>

struct bpf_object;

/* Whether the kernel copies frames that go to all of a map (Linux 5.14). Needs the capabilities that
 * loading a program takes. */
bool out_has_broadcast(void);

/* Have driver_out and those like it lead to this interface, each frame by lethe_out. Again after it
 * was gone. Outcomes: 0; negative errno of a map. */
int out_open(const struct bpf_object *object, int interface_index);

#endif

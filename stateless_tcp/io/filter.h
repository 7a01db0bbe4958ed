/* SPDX-License-Identifier: BSD-2-Clause
 *
 * filter.h - capture filters in pcap's language, as programs for sockets that are not pcap's.
 */
#ifndef STATELESS_TCP_IO_FILTER_H
#define STATELESS_TCP_IO_FILTER_H

#include "stateless_tcp/io/io.h"

/* What is a SYN without ACK, in pcap's language, behind no extension header. */
#define FILTER_SYN                     \
    "((ip and tcp[13] & 0x12 = 2) or " \
    "(ip6 and ip6[6] = 6 and ip6[53] & 0x12 = 2))"

/* Have the kernel drop what a socket receives but for the Ethernet frames that `filter` describes;
 * a tag that the kernel has taken off a frame is not looked at.
 * Outcomes: 0; -EINVAL it is no filter; other negative errno; `error` says why, without a place. */
int filter_attach(int fd, const char *filter, struct io_error *error);

/* The same, and let nothing through. Outcomes: 0; negative errno. */
int filter_attach_nothing(int fd);

#endif

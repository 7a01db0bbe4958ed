/* SPDX-License-Identifier: BSD-2-Clause
 *
 * numbers.h - numbers that IANA assigns and every frame has in it. For .c files and programs for
 * BPF, not for headers of others: the names are short.
 */
#ifndef STATELESS_TCP_NUMBERS_H
#define STATELESS_TCP_NUMBERS_H

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_VLAN_CUSTOMER = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_VLAN_SERVICE = 0x88a8,

    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_DESTINATION = 60,

    /* TCP options (RFC 9293 3.2, RFC 2018, RFC 7323, RFC 7413) */
    OPTION_END = 0,
    OPTION_NONE = 1,
    OPTION_MSS = 2,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMPS = 8,
    OPTION_FAST_OPEN = 34,
};

#endif

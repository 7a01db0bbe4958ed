/* SPDX-License-Identifier: BSD-2-Clause
 *
 * referral.h - the servers that a referral leads to. Whoever sent it may mean harm.
 */
#ifndef TOOLS_AUDIT_REFERRAL_H
#define TOOLS_AUDIT_REFERRAL_H

#include "tools/audit/ask.h"

/* Addresses that come along with the NS of `cut` in a message of 12 to 65535 octets, with this port:
 * those of names that it names as servers, and that whoever told may tell of, at or below `above`
 * (wire format; NULL: all). Pure, but for memory. */
void referral_glue(const uint8_t *octets, size_t len, const uint8_t *above, const uint8_t *cut,
                   uint16_t port, struct audit_servers *servers_out);

/* Where there are none: as the system's resolver knows them, of the first AUDIT_SERVERS_MAX names. May
 * take long. */
void referral_look_up(const uint8_t *octets, size_t len, const uint8_t *cut, uint16_t port,
                      struct audit_servers *servers_out);

/* Add an address, unless it is there, or there are AUDIT_ADDRESSES_MAX. */
void audit_servers_add(struct audit_servers *servers, const struct sockaddr_storage *address);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * address.h - socket addresses as people write them: ADDRESS@PORT.
 */
#ifndef SERVER_ADDRESS_H
#define SERVER_ADDRESS_H

#include "stateless_tcp/prefix.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_PORT_DEFAULT 53

/* Longest text of address_to_text(), NUL included: IPv6 with zone, '@', port. */
#define ADDRESS_TEXT_MAX 80

/* Text to address: "192.0.2.1@53", "2001:db8::1@53", "fe80::1%eth0@53"; without "@PORT" the port is
 * 53. No names, no look-ups. Outcomes: true; false: it is not one (port 0 neither). */
bool address_parse(const char *text, struct sockaddr_storage *address_out);

enum address_prefix_outcome {
    ADDRESS_PREFIX_GOOD,
    ADDRESS_PREFIX_MALFORMED,     /* something else than ADDRESS or ADDRESS/LENGTH */
    ADDRESS_PREFIX_LEN_TOO_LARGE, /* beyond 32 or 128 */
    ADDRESS_PREFIX_HOST_BITS,     /* a bit beyond the length is set; *prefix_out has it cleared */
};

/* Text to prefix: "192.0.2.0/24", "2001:db8::/32"; without length the one address. No zone, no
 * port. *prefix_out is defined for GOOD and HOST_BITS. */
enum address_prefix_outcome address_parse_prefix(const char *text, struct prefix *prefix_out);

/* Prefix to text, with its length. `text` has room for ADDRESS_TEXT_MAX. Returns `text`. */
char *address_prefix_to_text(const struct prefix *prefix, char *text);

/* The same address and port as packets have them. Outcomes: true; false: neither IPv4 nor IPv6. */
bool address_to_endpoint(const struct sockaddr *address, struct packet_endpoint *endpoint_out);

/* Address to text, always with its port. `text` has room for ADDRESS_TEXT_MAX. Returns `text`. */
char *address_to_text(const struct sockaddr_storage *address, char *text);

/* Length of the address for bind() and friends. */
socklen_t address_len(const struct sockaddr_storage *address);

/* The octets of the address itself, in network order; they are in *address. */
const uint8_t *address_octets(const struct sockaddr_storage *address, uint8_t *len_out);

/* Port, host order. */
uint16_t address_port(const struct sockaddr_storage *address);

/* Same family, address, zone and port. */
bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* 0.0.0.0 or ::, whatever the port. */
bool address_is_any(const struct sockaddr_storage *address);

/* The interface that has this address now. `name` has room for IF_NAMESIZE.
 * Outcomes: 0; -ENOENT no interface has it; other negative errno. */
int address_interface(const struct sockaddr_storage *address, char *name);

#endif

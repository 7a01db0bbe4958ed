/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sockaddr_in *address_in4(const struct sockaddr_storage *address)
{
    return (const struct sockaddr_in *)address;
}

static const struct sockaddr_in6 *address_in6(const struct sockaddr_storage *address)
{
    return (const struct sockaddr_in6 *)address;
}

static bool address_parse_port(const char *text, uint16_t *port_out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    unsigned long port = strtoul(text, NULL, 10);
    if (port == 0 || port > 65535)
        return false;
    *port_out = (uint16_t)port;
    return true;
}

bool address_parse(const char *text, struct sockaddr_storage *address_out)
{
    char host[ADDRESS_TEXT_MAX];
    uint16_t port = ADDRESS_PORT_DEFAULT;
    size_t host_len = strcspn(text, "@");
    if (host_len == 0 || host_len >= sizeof host)
        return false;
    if (text[host_len] == '@' && !address_parse_port(text + host_len + 1, &port))
        return false;
    memcpy(host, text, host_len);
    host[host_len] = '\0';

    memset(address_out, 0, sizeof *address_out);
    struct sockaddr_in *in4 = (struct sockaddr_in *)address_out;
    if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(port);
        return true;
    }
    /* getaddrinfo() for the sake of %ZONE. It reads 127.1 and the like as IPv4 too: not wanted. */
    struct addrinfo hints = {.ai_family = AF_INET6,
                             .ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    memcpy(address_out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    ((struct sockaddr_in6 *)address_out)->sin6_port = htons(port);
    return true;
}

/* Digits without a leading zero: 24, not 024, which some would read as 20. */
static bool address_parse_length(const char *text, unsigned *len_out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0' || (digits > 1 && text[0] == '0'))
        return false;
    *len_out = (unsigned)strtoul(text, NULL, 10);
    return true;
}

/* Clear what is beyond the length. Returns whether there was anything. */
static bool prefix_clear_host(struct prefix *prefix)
{
    bool is_any_set = false;
    for (unsigned bit = prefix->len; bit < 8 * sizeof prefix->address.octets; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8), *octet = &prefix->address.octets[bit / 8];
        is_any_set |= (*octet & mask) != 0;
        *octet &= (uint8_t)~mask;
    }
    return is_any_set;
}

enum address_prefix_outcome address_parse_prefix(const char *text, struct prefix *prefix_out)
{
    char host[INET6_ADDRSTRLEN];
    size_t host_len = strcspn(text, "/");
    struct prefix prefix = {0};
    if (host_len >= sizeof host)
        return ADDRESS_PREFIX_MALFORMED;
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (inet_pton(AF_INET, host, prefix.address.octets) == 1)
        prefix.address.family = 4;
    else if (inet_pton(AF_INET6, host, prefix.address.octets) == 1)
        prefix.address.family = 6;
    else
        return ADDRESS_PREFIX_MALFORMED;
    unsigned len_max = prefix.address.family == 4 ? 32 : 128, len = len_max;
    if (text[host_len] == '/' && !address_parse_length(text + host_len + 1, &len))
        return ADDRESS_PREFIX_MALFORMED;
    if (len > len_max)
        return ADDRESS_PREFIX_LEN_TOO_LARGE;
    prefix.len = (uint8_t)len;
    bool has_host_bits = prefix_clear_host(&prefix);
    *prefix_out = prefix;
    return has_host_bits ? ADDRESS_PREFIX_HOST_BITS : ADDRESS_PREFIX_GOOD;
}

char *address_prefix_to_text(const struct prefix *prefix, char *text)
{
    char host[INET6_ADDRSTRLEN];
    inet_ntop(prefix->address.family == 4 ? AF_INET : AF_INET6, prefix->address.octets, host,
              sizeof host);
    snprintf(text, ADDRESS_TEXT_MAX, "%s/%u", host, prefix->len);
    return text;
}

bool address_to_endpoint(const struct sockaddr *address, struct packet_endpoint *endpoint_out)
{
    *endpoint_out = (struct packet_endpoint){0};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, address, sizeof in4);
        endpoint_out->address.family = 4;
        memcpy(endpoint_out->address.octets, &in4.sin_addr, 4);
        endpoint_out->port = ntohs(in4.sin_port);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        endpoint_out->address.family = 6;
        memcpy(endpoint_out->address.octets, &in6.sin6_addr, 16);
        endpoint_out->port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

char *address_to_text(const struct sockaddr_storage *address, char *text)
{
    char host[INET6_ADDRSTRLEN] = "", zone[IF_NAMESIZE + 1] = "";
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &address_in4(address)->sin_addr, host, sizeof host);
    } else {
        inet_ntop(AF_INET6, &address_in6(address)->sin6_addr, host, sizeof host);
        uint32_t scope = address_in6(address)->sin6_scope_id;
        if (scope != 0) {
            zone[0] = '%';
            if (if_indextoname(scope, zone + 1) == NULL)
                snprintf(zone + 1, sizeof zone - 1, "%u", scope);
        }
    }
    snprintf(text, ADDRESS_TEXT_MAX, "%s%s@%u", host, zone, address_port(address));
    return text;
}

socklen_t address_len(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

const uint8_t *address_octets(const struct sockaddr_storage *address, uint8_t *len_out)
{
    bool is_ipv4 = address->ss_family == AF_INET;
    *len_out = is_ipv4 ? 4 : 16;
    return is_ipv4 ? (const uint8_t *)&address_in4(address)->sin_addr
                   : (const uint8_t *)&address_in6(address)->sin6_addr;
}

uint16_t address_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? address_in4(address)->sin_port
                                               : address_in6(address)->sin6_port);
}

static bool address_is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return address_in4(a)->sin_addr.s_addr == address_in4(b)->sin_addr.s_addr;
    return memcmp(&address_in6(a)->sin6_addr, &address_in6(b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0 &&
           address_in6(a)->sin6_scope_id == address_in6(b)->sin6_scope_id;
}

bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return address_is_same_host(a, b) && address_port(a) == address_port(b);
}

bool address_is_any(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return address_in4(address)->sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&address_in6(address)->sin6_addr);
}

int address_interface(const struct sockaddr_storage *address, char *name)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0)
        return -errno;
    int outcome = -ENOENT;
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != address->ss_family)
            continue;
        struct sockaddr_storage own = {0};
        memcpy(&own, i->ifa_addr,
               address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6));
        if (!address_is_same_host(address, &own))
            continue;
        snprintf(name, IF_NAMESIZE, "%s", i->ifa_name);
        outcome = 0;
        break;
    }
    freeifaddrs(list);
    return outcome;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/raw_place.h"

#include "server/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Addresses that are served on one interface. Beyond that the last ones are left to the guard:
 * silence. */
#define ENDPOINTS_MAX 1024

/* An address of the interface, for every port that asks for all of its family. */
static void endpoints_add_all(struct raw_place *place, const struct packet_address *address)
{
    for (size_t i = 0; i < place->named_count; i++) {
        const struct packet_endpoint *named = &place->named[i];
        if (named->address.family == address->family && packet_address_is_any(&named->address) &&
            place->endpoint_count < ENDPOINTS_MAX)
            place->endpoints[place->endpoint_count++] =
                (struct packet_endpoint){.address = *address, .port = named->port};
    }
}

/* 0: the kernel does not tell. */
static uint16_t mtu_of(const char *interface)
{
    struct ifreq request = {.ifr_name = ""};
    uint16_t mtu = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(request.ifr_name, interface, sizeof(request.ifr_name));
    if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0)
        mtu = request.ifr_mtu < UINT16_MAX ? (uint16_t)request.ifr_mtu : UINT16_MAX;
    if (fd >= 0)
        close(fd);
    return mtu;
}

void raw_place_refresh(struct raw_place *place, uint64_t now_s)
{
    place->mtu = mtu_of(place->interface);
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return;
    place->endpoints_s = now_s;
    place->endpoint_count = 0;
    for (size_t i = 0; i < place->named_count; i++)
        if (!packet_address_is_any(&place->named[i].address))
            place->endpoints[place->endpoint_count++] = place->named[i];
    for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next) {
        struct packet_endpoint found;
        if (strcmp(each->ifa_name, place->interface) == 0 && each->ifa_addr != NULL &&
            address_to_endpoint(each->ifa_addr, &found))
            endpoints_add_all(place, &found.address);
    }
    freeifaddrs(all);
    qsort(place->endpoints, place->endpoint_count, sizeof(*place->endpoints),
          packet_endpoint_compare);
}

bool raw_place_is_there(const struct raw_place *place)
{
    return if_nametoindex(place->interface) == place->interface_index;
}

static bool is_loopback_interface(const char *interface)
{
    struct ifaddrs *all;
    bool is_loopback = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next)
        if (strcmp(each->ifa_name, interface) == 0)
            is_loopback |= (each->ifa_flags & IFF_LOOPBACK) != 0;
    freeifaddrs(all);
    return is_loopback;
}

static bool has_host_address(const struct ifaddrs *all, const struct packet_address *address)
{
    for (; all != NULL; all = all->ifa_next) {
        struct packet_endpoint found;
        if (all->ifa_addr != NULL && address_to_endpoint(all->ifa_addr, &found) &&
            packet_address_equal(&found.address, address))
            return true;
    }
    return false;
}

/* Named addresses must be the host's. They need not be the interface's: anycast addresses often sit
 * on loopback, and frames for them arrive elsewhere. */
static int endpoints_check(const struct raw_place *place, struct io_error *error)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) {
        int result = -errno;
        snprintf(error->text, sizeof(error->text), "cannot list the host's addresses: %s",
                 strerror(errno));
        return result;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < place->named_count; i++) {
        const struct packet_address *address = &place->named[i].address;
        if (packet_address_is_any(address) || has_host_address(all, address))
            continue;
        char text[INET6_ADDRSTRLEN];
        inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->octets, text, sizeof(text));
        snprintf(error->text, sizeof(error->text),
                 "interface %s: no interface of this host has the address %s, so nobody would "
                 "find it; \"ip address add %s dev %s\"",
                 place->interface, text, text, place->interface);
        result = -EADDRNOTAVAIL;
    }
    freeifaddrs(all);
    return result;
}

/* Whether a per-interface switch of the kernel is on, for all or for this one. Where /proc cannot
 * be read nobody knows; then hope. */
static bool is_switched_on(const char *interface, const char *name)
{
    const char *const scopes[] = {"all", interface};
    bool is_known = false;
    for (unsigned i = 0; i < 2; i++) {
        char path[96 + IF_NAMESIZE];
        snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", scopes[i], name);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        is_known = true;
        int value = fgetc(file);
        fclose(file);
        if (value == '1')
            return true;
    }
    return !is_known;
}

/* A frame that is injected on loopback counts as one from outside, and IPv4 distrusts those with
 * the host's own addresses (RFC 1122 3.2.1.3) unless told otherwise. IPv6 does not mind. */
static int loopback_check(const struct raw_place *place, struct io_error *error)
{
    bool is_local_needed = false, is_localnet_needed = false;
    if (!is_loopback_interface(place->interface))
        return 0;
    for (size_t i = 0; i < place->named_count; i++) {
        const struct packet_address *address = &place->named[i].address;
        is_local_needed |= address->family == 4;
        is_localnet_needed |= address->family == 4 && address->octets[0] == 127;
    }
    const char *lacking = NULL;
    if (is_local_needed && !is_switched_on(place->interface, "accept_local"))
        lacking = "accept_local";
    else if (is_localnet_needed && !is_switched_on(place->interface, "route_localnet"))
        lacking = "route_localnet";
    if (lacking == NULL)
        return 0;
    snprintf(error->text, sizeof(error->text),
             "interface %s: the kernel would not deliver our IPv4 answers on loopback; "
             "\"sysctl net.ipv4.conf.%s.%s=1\", or use IPv6 there, or another interface",
             place->interface, place->interface, lacking);
    return -EADDRNOTAVAIL;
}

static void filter_peers(FILE *filter, const struct prefix *peers, size_t peer_count)
{
    for (size_t i = 0; i < peer_count; i++) {
        char prefix[ADDRESS_TEXT_MAX];
        fprintf(filter, "%s%s", i == 0 ? " and not (src net " : " or src net ",
                address_prefix_to_text(&peers[i], prefix));
    }
    if (peer_count != 0)
        putc(')', filter);
}

/* One address. Extension headers of IPv6 may hide either protocol. */
static void filter_endpoint(FILE *filter, const struct raw_place *place,
                            const struct packet_endpoint *named)
{
    bool is_v4 = named->address.family == 4;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, named->address.octets, address, sizeof(address));
    fputs(is_v4 ? "(ip" : "(ip6", filter);
    if (!packet_address_is_any(&named->address))
        fprintf(filter, " and dst host %s", address);
    fputs(" and (", filter);
    if (place->has_udp)
        fprintf(filter, "udp dst port %u or ", named->port);
    fprintf(filter, "((tcp dst port %u%s)", named->port,
            is_v4 ? "" : " or ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 60");
    filter_peers(filter, place->peers, place->peer_count);
    fputs(")))", filter);
}

char *raw_place_filter(const struct raw_place *place)
{
    char *text = NULL;
    size_t len = 0;
    FILE *filter = open_memstream(&text, &len);
    if (filter == NULL)
        return NULL;
    for (size_t i = 0; i < place->named_count; i++) {
        if (i > 0)
            fputs(" or ", filter);
        filter_endpoint(filter, place, &place->named[i]);
    }
    bool is_bad = ferror(filter);
    if (fclose(filter) != 0 || is_bad) {
        free(text);
        return NULL;
    }
    return text;
}

int raw_place_open(const struct raw_config *config, struct raw_place *place_out,
                   struct io_error *error)
{
    struct raw_place *place = place_out;
    *place = (struct raw_place){.has_udp = config->has_udp};
    place->named = calloc(config->address_count, sizeof(*place->named));
    place->endpoints = calloc(ENDPOINTS_MAX, sizeof(*place->endpoints));
    place->peers = calloc(config->peer_count + 1, sizeof(*place->peers));
    if (place->named == NULL || place->endpoints == NULL || place->peers == NULL) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return -ENOMEM;
    }
    if (strlen(config->interface) >= sizeof(place->interface) ||
        config->address_count > ENDPOINTS_MAX) {
        snprintf(error->text, sizeof(error->text),
                 "interface %s: no such name, or more than %u addresses", config->interface,
                 ENDPOINTS_MAX);
        return -EINVAL;
    }
    strcpy(place->interface, config->interface);
    place->interface_index = if_nametoindex(place->interface);
    for (; place->peer_count < config->peer_count; place->peer_count++)
        place->peers[place->peer_count] = config->peers[place->peer_count];
    for (size_t i = 0; i < config->address_count; i++) {
        bool is_internet =
            address_to_endpoint((const struct sockaddr *)&config->addresses[i].address,
                                &place->named[place->named_count++]);
        assert(is_internet);
        (void)is_internet;
    }
    int result = endpoints_check(place, error);
    return result == 0 ? loopback_check(place, error) : result;
}

void raw_place_close(struct raw_place *place)
{
    free(place->named);
    free(place->endpoints);
    free(place->peers);
}

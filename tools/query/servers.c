/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/servers.h"

#include "server/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define RESOLV_CONF "/etc/resolv.conf"

void servers_add(struct servers *servers, int family, const struct sockaddr_storage *address,
                 const char *name)
{
    if (servers->count == SERVERS_MAX || (family != AF_UNSPEC && address->ss_family != family))
        return;
    struct server *server = &servers->of[servers->count++];
    server->address = *address;
    snprintf(server->name, sizeof server->name, "%s", name);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

static void add_text(const struct plan *plan, struct servers *servers, const char *text)
{
    struct sockaddr_storage address;
    if (!address_parse(text, &address))
        return;
    set_port(&address, plan->port);
    servers_add(servers, plan->family, &address, "");
}

static void find_system(const struct plan *plan, struct servers *servers)
{
    char line[256], address[128];
    FILE *file = fopen(RESOLV_CONF, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "nameserver %127s", address) == 1)
            add_text(plan, servers, address);
    if (file != NULL)
        fclose(file);
    if (servers->count == 0) { /* as resolv.conf(5) has it */
        add_text(plan, servers, "127.0.0.1");
        add_text(plan, servers, "::1");
    }
}

static int find_name(const struct plan *plan, struct servers *servers, char *error)
{
    struct addrinfo hints = {.ai_family = plan->family, .ai_socktype = SOCK_DGRAM}, *found;
    int outcome = getaddrinfo(plan->server, NULL, &hints, &found);
    if (outcome != 0) {
        snprintf(error, SERVERS_ERROR_MAX, "no address of %s: %s", plan->server,
                 gai_strerror(outcome));
        return -ENOENT;
    }
    for (struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        struct sockaddr_storage address = {0};
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        set_port(&address, plan->port);
        servers_add(servers, plan->family, &address, plan->server);
    }
    freeaddrinfo(found);
    return 0;
}

int servers_find(const struct plan *plan, struct servers *servers, char *error)
{
    struct sockaddr_storage address;
    servers->count = 0;
    if (plan->server[0] == '\0')
        find_system(plan, servers);
    else if (address_parse(plan->server, &address))
        add_text(plan, servers, plan->server);
    else if (find_name(plan, servers, error) != 0)
        return -ENOENT;
    if (servers->count > 0)
        return 0;
    snprintf(error, SERVERS_ERROR_MAX, "no server of the family that is wanted");
    return -ENOENT;
}

/* Root zone, as of the year of the program. */
static const struct {
    const char *name, *v4, *v6;
} roots[] = {
    {"a.root-servers.net.", "198.41.0.4", "2001:503:ba3e::2:30"},
    {"b.root-servers.net.", "170.247.170.2", "2801:1b8:10::b"},
    {"c.root-servers.net.", "192.33.4.12", "2001:500:2::c"},
    {"d.root-servers.net.", "199.7.91.13", "2001:500:2d::d"},
    {"e.root-servers.net.", "192.203.230.10", "2001:500:a8::e"},
    {"f.root-servers.net.", "192.5.5.241", "2001:500:2f::f"},
    {"g.root-servers.net.", "192.112.36.4", "2001:500:12::d0d"},
    {"h.root-servers.net.", "198.97.190.53", "2001:500:1::53"},
    {"i.root-servers.net.", "192.36.148.17", "2001:7fe::53"},
    {"j.root-servers.net.", "192.58.128.30", "2001:503:c27::2:30"},
    {"k.root-servers.net.", "193.0.14.129", "2001:7fd::1"},
    {"l.root-servers.net.", "199.7.83.42", "2001:500:9f::42"},
    {"m.root-servers.net.", "202.12.27.33", "2001:dc3::35"},
};

static void add_hint(const struct plan *plan, struct servers *servers, const char *text,
                     const char *name)
{
    struct sockaddr_storage address;
    if (!address_parse(text, &address))
        return;
    if (strchr(text, '@') == NULL)
        set_port(&address, plan->port);
    servers_add(servers, plan->family, &address, name);
}

static void read_hints(const struct plan *plan, FILE *file, struct servers *servers)
{
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, ";\r\n")] = '\0';
        char *rest, *first = strtok_r(line, " \t", &rest), *last = first, *word;
        while (last != NULL && (word = strtok_r(NULL, " \t", &rest)) != NULL)
            last = word;
        if (first != NULL)
            add_hint(plan, servers, last, first == last ? "" : first);
    }
}

int servers_hints(const struct plan *plan, struct servers *servers, char *error)
{
    servers->count = 0;
    if (plan->hints[0] == '\0') {
        for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
            add_hint(plan, servers, roots[i].v4, roots[i].name);
        for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
            add_hint(plan, servers, roots[i].v6, roots[i].name);
    } else {
        FILE *file = fopen(plan->hints, "re");
        if (file == NULL) {
            snprintf(error, SERVERS_ERROR_MAX, "%s: %s", plan->hints, strerror(errno));
            return -EIO;
        }
        read_hints(plan, file, servers);
        fclose(file);
    }
    if (servers->count > 0)
        return 0;
    snprintf(error, SERVERS_ERROR_MAX, "no addresses of the wanted family in %s",
             plan->hints[0] == '\0' ? "the hints" : plan->hints);
    return -ENOENT;
}

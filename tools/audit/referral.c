/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/referral.h"

#include "server/address.h"
#include "tools/query/received.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_AAAA = 28,
};

void audit_servers_add(struct audit_servers *servers, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < servers->count; i++)
        if (address_equal(&servers->of[i], address))
            return;
    if (servers->count < AUDIT_ADDRESSES_MAX)
        servers->of[servers->count++] = *address;
}

/* The name of a server of `cut`, if the record tells one; else NULL. */
static const uint8_t *server_name(const struct received_record *record, const uint8_t *cut)
{
    const knot_rdata_t *rdata = record->set.rrs.rdata;

    if (record->section != RECEIVED_AUTHORITY || record->set.type != TYPE_NS ||
        record->is_malformed || rdata == NULL || !audit_is_name(rdata->data, rdata->len) ||
        !name_equal(record->set.owner, cut))
        return NULL;
    return rdata->data;
}

static bool is_server_of(const struct received *response, const uint8_t *cut, const uint8_t *name)
{
    for (size_t i = 0; i < response->record_count; i++) {
        const uint8_t *server = server_name(&response->records[i], cut);
        if (server != NULL && name_equal(server, name))
            return true;
    }
    return false;
}

static void add_glue(struct audit_servers *servers, const struct received_record *record,
                     uint16_t port)
{
    const knot_rdata_t *rdata = record->set.rrs.rdata;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

    if (record->is_malformed || rdata == NULL)
        return;
    if (record->set.type == TYPE_A && rdata->len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, rdata->data, 4);
    } else if (record->set.type == TYPE_AAAA && rdata->len == 16) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, rdata->data, 16);
    }
    if (address.ss_family != AF_UNSPEC)
        audit_servers_add(servers, &address);
}

void referral_glue(const uint8_t *octets, size_t len, const uint8_t *above, const uint8_t *cut,
                   uint16_t port, struct audit_servers *servers)
{
    struct received response;

    servers->count = 0;
    received_begin(octets, len, &response);
    for (size_t i = 0; i < response.record_count; i++) {
        const struct received_record *record = &response.records[i];
        if (record->section == RECEIVED_ADDITIONAL &&
            (above == NULL || name_is_at_or_below(record->set.owner, above)) &&
            is_server_of(&response, cut, record->set.owner))
            add_glue(servers, record, port);
    }
    received_end(&response);
}

static void look_up(struct audit_servers *servers, const uint8_t *name, uint16_t port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char text[NAME_TEXT_MAX], service[8];

    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(name_to_text(name, text), service, &hints, &found) != 0)
        return;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        if (at->ai_addrlen > sizeof(address))
            continue;
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        audit_servers_add(servers, &address);
    }
    freeaddrinfo(found);
}

void referral_look_up(const uint8_t *octets, size_t len, const uint8_t *cut, uint16_t port,
                      struct audit_servers *servers)
{
    struct received response;
    unsigned looked_up = 0;

    servers->count = 0;
    received_begin(octets, len, &response);
    for (size_t i = 0; i < response.record_count && looked_up < AUDIT_SERVERS_MAX; i++) {
        const uint8_t *name = server_name(&response.records[i], cut);
        if (name != NULL) {
            look_up(servers, name, port);
            looked_up++;
        }
    }
    received_end(&response);
}

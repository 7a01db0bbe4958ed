/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/option_text.h"

#include <arpa/inet.h>
#include <libknot/codes.h>
#include <libknot/rrtype/opt.h>
#include <stdio.h>
#include <string.h>

/* Option codes that libknot does not name. */
enum {
    OPTION_REPORT_CHANNEL = 18,
    OPTION_ZONEVERSION = 19,
};

#define OPTION_NAME_MAX 32

const char *option_name(const struct plan_edns *edns, uint16_t code, char *text)
{
    static const struct {
        uint16_t code;
        const char *name;
    } names[] = {
        {KNOT_EDNS_OPTION_NSID, "NSID"},
        {KNOT_EDNS_OPTION_CLIENT_SUBNET, "CLIENT-SUBNET"},
        {KNOT_EDNS_OPTION_EXPIRE, "EXPIRE"},
        {KNOT_EDNS_OPTION_COOKIE, "COOKIE"},
        {KNOT_EDNS_OPTION_TCP_KEEPALIVE, "TCP-KEEPALIVE"},
        {KNOT_EDNS_OPTION_PADDING, "PADDING"},
        {KNOT_EDNS_OPTION_CHAIN, "CHAIN"},
        {KNOT_EDNS_OPTION_EDE, "EDE"},
        {OPTION_REPORT_CHANNEL, "REPORT-CHANNEL"},
        {OPTION_ZONEVERSION, "ZONEVERSION"},
    };
    if (edns->has_checksum && code == edns->checksum_code)
        return "CHECKSUM";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    snprintf(text, OPTION_NAME_MAX, "OPT%u", code);
    return text;
}

char *option_hex(const uint8_t *data, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[2 * len] = '\0';
    return text;
}

/* Characters with nothing that a terminal obeys. */
static char *put_characters(const uint8_t *data, size_t len, char *at)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] >= 0x20 && data[i] < 0x7f && data[i] != '\\')
            *at++ = (char)data[i];
        else
            at += sprintf(at, "\\%03u", data[i]);
    }
    *at = '\0';
    return at;
}

static void text_nsid(const uint8_t *data, uint16_t len, char *text)
{
    option_hex(data, len, text);
    char *at = text + strlen(text);
    at += sprintf(at, " (\"");
    at = put_characters(data, len, at);
    strcpy(at, "\")");
}

static void text_ede(const uint8_t *data, uint16_t len, char *text)
{
    uint16_t code = octets_be16(data);
    const knot_lookup_t *found = knot_lookup_by_id(knot_edns_ede_names, code);
    char *at = text + sprintf(text, "%u (%s)", code, found != NULL ? found->name : "unknown");
    if (len > 2) {
        at += sprintf(at, ": (");
        at = put_characters(data + 2, len - 2u, at);
        strcpy(at, ")");
    }
}

static void text_cookie(const struct request_dice *dice, const uint8_t *data, uint16_t len,
                        char *text)
{
    const char *word = "bad";
    if (dice == NULL) {
        option_hex(data, len, text);
        return;
    }
    if (memcmp(data, dice->cookie, sizeof dice->cookie) == 0)
        word = len == sizeof dice->cookie ? "echoed" : "good";
    option_hex(data, len, text);
    sprintf(text + strlen(text), " (%s)", word);
}

/* RFC 7871 6. */
static bool text_subnet(const uint8_t *data, uint16_t len, char *text)
{
    uint8_t address[16] = {0};
    char host[INET6_ADDRSTRLEN];
    uint16_t family = octets_be16(data);
    size_t len_max = family == 1 ? 4 : 16;
    if ((family != 1 && family != 2) || len - 4u > len_max)
        return false;
    memcpy(address, data + 4, len - 4u);
    inet_ntop(family == 1 ? AF_INET : AF_INET6, address, host, sizeof host);
    sprintf(text, "%s/%u/%u", host, data[2], data[3]);
    return true;
}

/* RFC 9660 2.1. */
static bool text_zoneversion(const uint8_t *data, uint16_t len, char *text)
{
    if (len != 6 || data[1] != 0)
        return false;
    sprintf(text, "labels %u, SOA serial %u", data[0], (unsigned)octets_be32(data + 2));
    return true;
}

static bool text_report_channel(const uint8_t *data, uint16_t len, char *text)
{
    char name[NAME_TEXT_MAX];
    if (name_len(data, len) != len)
        return false;
    strcpy(text, name_to_text(data, name));
    return true;
}

static bool text_checksum(const struct plan_edns *edns, const uint8_t *data, uint16_t len,
                          char *text)
{
    size_t nonce_len = edns->checksum_layout == CHECKSUM_LAYOUT_00 ? 16 : 8;
    size_t head_len = edns->checksum_layout == CHECKSUM_LAYOUT_00 ? 18 : 9;
    if (len < head_len)
        return false;
    unsigned algorithm = head_len == 18 ? octets_be16(data + 16) : data[8];
    const char *name = "unknown";
    if (algorithm == CHECKSUM_ALGORITHM_SHA1)
        name = "SHA-1";
    else if (algorithm == CHECKSUM_ALGORITHM_SHA256)
        name = "SHA-256";
    else if (algorithm == CHECKSUM_ALGORITHM_SIPHASH)
        name = "SipHash-2-4-128";
    char *at = text + sprintf(text, "layout %s, algorithm %u (%s), nonce ",
                              head_len == 18 ? "00" : "01", algorithm, name);
    option_hex(data, nonce_len, at);
    at += strlen(at);
    at += sprintf(at, ", digest ");
    option_hex(data + head_len, len - head_len, at);
    return true;
}

const char *option_text(const struct plan_edns *edns, const struct request_dice *dice,
                        uint16_t code, const uint8_t *data, uint16_t len, char *text)
{
    bool is_done = true;
    if (edns->has_checksum && code == edns->checksum_code)
        is_done = text_checksum(edns, data, len, text);
    else if (code == KNOT_EDNS_OPTION_NSID)
        text_nsid(data, len, text);
    else if (code == KNOT_EDNS_OPTION_EDE && len >= 2)
        text_ede(data, len, text);
    else if (code == KNOT_EDNS_OPTION_COOKIE && len >= sizeof dice->cookie)
        text_cookie(dice, data, len, text);
    else if (code == KNOT_EDNS_OPTION_TCP_KEEPALIVE && len == 2)
        sprintf(text, "%u.%u s", octets_be16(data) / 10, octets_be16(data) % 10);
    else if (code == KNOT_EDNS_OPTION_PADDING)
        sprintf(text, "%u octets", len);
    else if (code == KNOT_EDNS_OPTION_EXPIRE && len == 4)
        sprintf(text, "%u s", (unsigned)octets_be32(data));
    else if (code == KNOT_EDNS_OPTION_CLIENT_SUBNET && len >= 4)
        is_done = text_subnet(data, len, text);
    else if (code == OPTION_ZONEVERSION)
        is_done = text_zoneversion(data, len, text);
    else if (code == OPTION_REPORT_CHANNEL)
        is_done = text_report_channel(data, len, text);
    else
        is_done = false;
    return is_done ? text : option_hex(data, len, text);
}

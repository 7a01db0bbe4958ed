/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/arguments.h"

#include "tools/query/key.h"
#include "zonedb/respond.h"

#include <arpa/inet.h>
#include <assert.h>
#include <libknot/codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S_MAX 300
#define TRIES_MAX 100
#define SWITCHES_MAX 64

void plan_init(struct plan *plan)
{
    *plan = (struct plan){
        .port = 53,
        .family = AF_UNSPEC,
        .class = 1,
        .is_rd = true,
        .timeout_s = 5,
        .tries = 3,
        .edns = {.is_present = true,
                 .payload = PLAN_UDP_PAYLOAD_DEFAULT,
                 .checksum_code = RESPOND_CHECKSUM_CODE_DEFAULT},
        .show = {.has_command = true,
                 .has_comments = true,
                 .has_question = true,
                 .has_answer = true,
                 .has_authority = true,
                 .has_additional = true,
                 .has_statistics = true,
                 .has_ttl = true,
                 .has_class = true,
                 .has_crypto = true},
    };
}

struct named_switch {
    const char *name;
    bool *value;
};

/* Options that are on or off: +name, +noname. */
static size_t list_switches(struct plan *plan, struct named_switch list_out[SWITCHES_MAX])
{
    const struct named_switch switches[] = {
        {"tcp", &plan->is_tcp},
        {"vc", &plan->is_tcp},
        {"keepopen", &plan->is_kept_open},
        {"ignore", &plan->is_tc_ignored},
        {"rec", &plan->is_rd},
        {"recurse", &plan->is_rd},
        {"rdflag", &plan->is_rd},
        {"cd", &plan->is_cd},
        {"cdflag", &plan->is_cd},
        {"ad", &plan->is_ad},
        {"adflag", &plan->is_ad},
        {"zflag", &plan->is_z},
        {"do", &plan->edns.is_do},
        {"dnssec", &plan->edns.is_do},
        {"nsid", &plan->edns.wants_nsid},
        {"keepalive", &plan->edns.wants_keepalive},
        {"trace", &plan->is_traced},
        {"segments", &plan->has_segments},
        {"cmd", &plan->show.has_command},
        {"comments", &plan->show.has_comments},
        {"question", &plan->show.has_question},
        {"answer", &plan->show.has_answer},
        {"authority", &plan->show.has_authority},
        {"additional", &plan->show.has_additional},
        {"stats", &plan->show.has_statistics},
        {"qr", &plan->show.has_request},
        {"identify", &plan->show.has_identity},
        {"ttl", &plan->show.has_ttl},
        {"ttlid", &plan->show.has_ttl},
        {"class", &plan->show.has_class},
        {"multiline", &plan->show.is_wrapped},
        {"unknownformat", &plan->show.is_generic},
        {"crypto", &plan->show.has_crypto},
        {"rrcomments", &plan->show.has_rdata_remark},
    };
    static_assert(sizeof switches / sizeof *switches <= SWITCHES_MAX);
    memcpy(list_out, switches, sizeof switches);
    return sizeof switches / sizeof *switches;
}

static bool *find_switch(struct plan *plan, const char *name)
{
    struct named_switch switches[SWITCHES_MAX];
    for (size_t i = list_switches(plan, switches); i-- > 0;)
        if (strcmp(switches[i].name, name) == 0)
            return switches[i].value;
    return NULL;
}

/* One more name that what was typed may stand for: the shortest that begins all others, if there is
 * one, such as "time" of "timeout". */
static void consider(const char *typed, const char *name, const char **found, bool *is_unclear)
{
    if (strncmp(name, typed, strlen(typed)) != 0)
        return;
    if (*found == NULL || strncmp(*found, name, strlen(name)) == 0)
        *found = name;
    else if (strncmp(name, *found, strlen(*found)) != 0)
        *is_unclear = true;
}

/* The whole name of what was typed, which may be its beginning as with dig; NULL: nothing, or several. */
static const char *whole_name(struct plan *plan, const char *typed)
{
    static const char *const valued[] = {
        "all",     "short", "json",     "edns",    "cookie", "checksum", "padding",
        "tsig",    "key",   "key-file", "ednsopt", "hints",  "bufsize",  "time",
        "timeout", "tries", "retry",    "qid",     "opcode", "subnet",
    };
    struct named_switch switches[SWITCHES_MAX];
    size_t switch_count = list_switches(plan, switches);
    const char *found = NULL;
    bool is_unclear = false;
    for (size_t i = 0; i < switch_count; i++)
        consider(typed, switches[i].name, &found, &is_unclear);
    for (size_t i = 0; i < sizeof valued / sizeof *valued; i++)
        consider(typed, valued[i], &found, &is_unclear);
    bool is_whole = found != NULL && strcmp(found, typed) == 0;
    return *typed != '\0' && (is_whole || !is_unclear) ? found : NULL;
}

static void set_switch(struct plan *plan, bool *value, bool is_on)
{
    *value = is_on;
    bool is_of_edns = value == &plan->edns.is_do || value == &plan->edns.wants_nsid ||
                      value == &plan->edns.wants_keepalive;
    if (is_on && is_of_edns)
        plan->edns.is_present = true;
    if (is_on && value == &plan->has_segments)
        plan->is_tcp = true;
    if (value == &plan->show.is_wrapped) /* as dig: serials and keys are told about then */
        plan->show.has_rdata_remark = is_on;
}

static void set_all_shown(struct plan *plan, bool is_on)
{
    struct plan_show *show = &plan->show;
    show->has_command = show->has_comments = show->has_question = show->has_answer = is_on;
    show->has_authority = show->has_additional = show->has_statistics = is_on;
    if (!is_on)
        show->has_rdata_remark = false;
}

static const char *set_format(struct plan *plan, enum plan_format format, bool is_on)
{
    plan->show.format = is_on ? format : PLAN_FORMAT_TEXT;
    return NULL;
}

static const char *set_edns(struct plan *plan, const char *value, bool is_on)
{
    unsigned long version = 0;
    if (value != NULL && !arguments_number(value, 255, &version))
        return "versions of EDNS are 0 to 255";
    plan->edns.is_present = is_on;
    plan->edns.version = (uint8_t)version;
    return NULL;
}

static const char *set_cookie(struct plan *plan, const char *value, bool is_on)
{
    plan->edns.has_cookie = is_on;
    plan->edns.is_present |= is_on;
    plan->edns.cookie_len = 0;
    if (!is_on || value == NULL)
        return NULL;
    size_t len = arguments_hex(value, plan->edns.cookie, sizeof plan->edns.cookie);
    if (len < 1 || len > sizeof plan->edns.cookie)
        return "a cookie has 8 octets, or 16 to 40 with that of the server, in hexadecimal digits";
    plan->edns.cookie_len = len;
    return NULL;
}

/* +checksum, +checksum=00, +checksum=01, +checksum=00,65002 */
static const char *set_checksum(struct plan *plan, const char *value, bool is_on)
{
    static const char fault[] = "a layout is 00 or 01; an option code may follow: 01,65002";
    unsigned long code;
    plan->edns.has_checksum = is_on;
    plan->edns.is_present |= is_on;
    plan->edns.checksum_layout = CHECKSUM_LAYOUT_01;
    if (!is_on || value == NULL)
        return NULL;
    if (strncmp(value, "00", 2) == 0)
        plan->edns.checksum_layout = CHECKSUM_LAYOUT_00;
    else if (strncmp(value, "01", 2) != 0)
        return fault;
    if (value[2] == '\0')
        return NULL;
    if (value[2] != ',' || !arguments_number(value + 3, 65535, &code))
        return fault;
    plan->edns.checksum_code = (uint16_t)code;
    return NULL;
}

/* +ednsopt=CODE[:HEX] */
static const char *add_option(struct plan *plan, const char *value)
{
    struct plan_edns *edns = &plan->edns;
    char code_text[8];
    unsigned long code;
    size_t code_len = value == NULL ? 0 : strcspn(value, ":");
    if (code_len == 0 || code_len >= sizeof code_text)
        return "an option is CODE or CODE:HEX";
    memcpy(code_text, value, code_len);
    code_text[code_len] = '\0';
    if (!arguments_number(code_text, 65535, &code))
        return "codes of EDNS options are 0 to 65535";
    if (edns->options_len + 4 > sizeof edns->options)
        return "too many EDNS options";
    uint8_t *option = edns->options + edns->options_len;
    size_t cap = sizeof edns->options - edns->options_len - 4, len = 0;
    if (value[code_len] == ':')
        len = arguments_hex(value + code_len + 1, option + 4, cap);
    if (len > cap)
        return "not pairs of hexadecimal digits, or too many";
    option[0] = (uint8_t)(code >> 8);
    option[1] = (uint8_t)code;
    option[2] = (uint8_t)(len >> 8);
    option[3] = (uint8_t)len;
    edns->options_len += 4 + len;
    edns->is_present = true;
    return NULL;
}

/* +subnet=ADDRESS[/LENGTH]; 0: of nobody (RFC 7871 7.1.2). */
static const char *set_subnet(struct plan *plan, const char *value, bool is_on)
{
    static const char fault[] = "a subnet is ADDRESS or ADDRESS/LENGTH, or 0 for none";
    uint8_t *option = plan->edns.subnet, *address = option + 4;
    char text[INET6_ADDRSTRLEN];
    plan->edns.subnet_len = 0;
    if (!is_on)
        return NULL;
    if (value == NULL)
        return fault;
    size_t len = strcspn(value, "/");
    unsigned long bits;
    if (len >= sizeof text)
        return fault;
    memcpy(text, value, len);
    text[len] = '\0';
    memset(option, 0, sizeof plan->edns.subnet);
    if (strcmp(text, "0") == 0)
        strcpy(text, "0.0.0.0");
    bool is_ipv4 = inet_pton(AF_INET, text, address) == 1;
    if (!is_ipv4 && inet_pton(AF_INET6, text, address) != 1)
        return fault;
    bits = is_ipv4 ? 32 : 128;
    if (strcmp(value, "0") == 0)
        bits = 0;
    else if (value[len] == '/' && !arguments_number(value + len + 1, bits, &bits))
        return fault;
    option[1] = is_ipv4 ? 1 : 2;
    option[2] = (uint8_t)bits;
    if (bits % 8 != 0)
        address[bits / 8] &= (uint8_t)(0xff00 >> bits % 8);
    plan->edns.subnet_len = 4 + (bits + 7) / 8;
    plan->edns.is_present = true;
    return NULL;
}

static const char *set_opcode(struct plan *plan, const char *value)
{
    unsigned long number;
    const knot_lookup_t *named =
        value != NULL ? knot_lookup_by_name(knot_opcode_names, value) : NULL;
    if (named != NULL)
        plan->opcode = (uint8_t)named->id;
    else if (value != NULL && arguments_number(value, 15, &number))
        plan->opcode = (uint8_t)number;
    else
        return "opcodes are 0 to 15, or QUERY, STATUS, NOTIFY, UPDATE";
    return NULL;
}

static const char *set_padding(struct plan *plan, const char *value, bool is_on)
{
    unsigned long block = 128; /* RFC 8467 4.1 */
    if (value != NULL && (!arguments_number(value, 512, &block) || block == 0))
        return "blocks have 1 to 512 octets";
    plan->edns.padding_block = is_on ? (uint16_t)block : 0;
    plan->edns.is_present |= is_on;
    return NULL;
}

/* -y, -k: +key=KEY, +key-file=FILE; +tsig=well-known, +tsig=KEY */
static const char *set_tsig(struct plan *plan, const char *name, const char *value, bool is_on)
{
    plan->has_tsig = is_on;
    plan->is_tsig_well_known = false;
    if (!is_on)
        return NULL;
    if (value == NULL)
        return "a key is needed: well-known, or [ALGORITHM:]NAME:SECRET";
    if (strcmp(name, "key-file") == 0)
        return key_read(value, &plan->tsig);
    if (strcmp(value, "well-known") != 0)
        return key_parse(value, &plan->tsig);
    plan->is_tsig_well_known = true;
    tsig_key_set_well_known(&plan->tsig);
    return NULL;
}

/* Options that need a number. */
static const char *set_number(struct plan *plan, const char *name, const char *value)
{
    unsigned long number;
    if (value == NULL || !arguments_number(value, 65535, &number))
        return "a number up to 65535 is needed";
    if (strcmp(name, "bufsize") == 0) {
        plan->edns.payload = (uint16_t)number;
        plan->edns.is_present = true;
    } else if (strcmp(name, "time") == 0 || strcmp(name, "timeout") == 0) {
        if (number == 0 || number > TIMEOUT_S_MAX)
            return "1 to 300 seconds";
        plan->timeout_s = (unsigned)number;
    } else if (strcmp(name, "tries") == 0 || strcmp(name, "retry") == 0) {
        plan->tries = (unsigned)number + (strcmp(name, "retry") == 0);
        if (plan->tries == 0 || plan->tries > TRIES_MAX)
            return "1 to 100 tries";
    } else if (strcmp(name, "qid") == 0) {
        plan->has_id = true;
        plan->id = (uint16_t)number;
    } else {
        return "no such option";
    }
    return NULL;
}

static const char *set_hints(struct plan *plan, const char *value)
{
    if (value == NULL || strlen(value) >= sizeof plan->hints)
        return "a file of hints is needed";
    strcpy(plan->hints, value);
    return NULL;
}

const char *arguments_option(struct plan *plan, const char *name, const char *value)
{
    const char *whole = whole_name(plan, name);
    bool is_on = whole != NULL || strncmp(name, "no", 2) != 0;
    if (!is_on)
        whole = whole_name(plan, name + 2);
    if (whole == NULL)
        return "no such option, or the beginning of several";
    name = whole;
    bool *simple = find_switch(plan, name);
    if (!is_on && value != NULL)
        return "takes no value";
    if (simple != NULL) {
        if (value != NULL)
            return "takes no value";
        set_switch(plan, simple, is_on);
        return NULL;
    }
    if (strcmp(name, "all") == 0)
        set_all_shown(plan, is_on);
    else if (strcmp(name, "short") == 0)
        return set_format(plan, PLAN_FORMAT_SHORT, is_on);
    else if (strcmp(name, "json") == 0)
        return set_format(plan, PLAN_FORMAT_JSON, is_on);
    else if (strcmp(name, "edns") == 0)
        return set_edns(plan, value, is_on);
    else if (strcmp(name, "cookie") == 0)
        return set_cookie(plan, value, is_on);
    else if (strcmp(name, "checksum") == 0)
        return set_checksum(plan, value, is_on);
    else if (strcmp(name, "padding") == 0)
        return set_padding(plan, value, is_on);
    else if (strcmp(name, "subnet") == 0)
        return set_subnet(plan, value, is_on);
    else if (strcmp(name, "tsig") == 0 || strcmp(name, "key") == 0 || strcmp(name, "key-file") == 0)
        return set_tsig(plan, name, value, is_on);
    else if (!is_on)
        return "no such option";
    else if (strcmp(name, "ednsopt") == 0)
        return add_option(plan, value);
    else if (strcmp(name, "opcode") == 0)
        return set_opcode(plan, value);
    else if (strcmp(name, "hints") == 0)
        return set_hints(plan, value);
    else
        return set_number(plan, name, value);
    return NULL;
}

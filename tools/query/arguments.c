/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/arguments.h"

#include "server/address.h"

#include <arpa/inet.h>
#include <libknot/descriptor.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct arguments *to;
    struct plan *now; /* what the next option is for */
    int count, at;
    char *const *words;
};

static int usage_fail(const char *word, const char *what)
{
    fprintf(stderr, "lethe-query: %s: %s (--help says more)\n", word, what);
    return EXIT_USAGE;
}

bool arguments_number(const char *text, unsigned long max, unsigned long *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    *out = strtoul(text, NULL, 10);
    return *out <= max;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t arguments_hex(const char *text, uint8_t *out, size_t cap)
{
    size_t len = 0;
    for (; *text != '\0'; text += 2, len++) {
        int high = hex_value(text[0]), low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0 || len == cap)
            return cap + 1;
        out[len] = (uint8_t)(high << 4 | low);
    }
    return len;
}

/* The plan that names and types go to; a new one where the last has what comes now. */
static struct plan *plan_for(struct reader *r, bool is_new)
{
    struct arguments *to = r->to;
    if (to->count > 0 && !is_new)
        return &to->plans[to->count - 1];
    struct plan *more = realloc(to->plans, (to->count + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    to->plans = more;
    more[to->count] = to->common;
    r->now = &more[to->count++];
    return r->now;
}

static int set_name(struct reader *r, const char *text)
{
    uint8_t name[NAME_MAX_LEN];
    if (name_from_text(text, name) == 0)
        return usage_fail(text, "not a domain name");
    struct plan *plan = plan_for(r, r->to->count > 0 && r->to->plans[r->to->count - 1].has_name);
    if (plan == NULL)
        return EXIT_INTERNAL;
    memcpy(plan->name, name, sizeof name);
    plan->has_name = true;
    return -1;
}

static int set_type(struct reader *r, uint16_t type)
{
    struct plan *plan = plan_for(r, false);
    if (plan == NULL)
        return EXIT_INTERNAL;
    if (type == KNOT_RRTYPE_AXFR || type == KNOT_RRTYPE_IXFR)
        return usage_fail("AXFR, IXFR",
                          "a zone transfer is no query of this program; try dig or kdig");
    plan->type = type;
    plan->has_type = true;
    return -1;
}

static int set_class(struct reader *r, uint16_t class)
{
    struct plan *plan = plan_for(r, false);
    if (plan == NULL)
        return EXIT_INTERNAL;
    plan->class = class;
    plan->has_class = true;
    return -1;
}

/* The first octets of an IPv4 address, as of a reverse zone: 192.0.2 is 2.0.192.in-addr.arpa. */
static bool reverse_some(const char *text, char name[160])
{
    char copy[16], whole[32];
    uint8_t octets[4];
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    unsigned count = 1;
    for (const char *at = copy; *at != '\0'; at++)
        count += *at == '.';
    if (count > 3)
        return false;
    snprintf(whole, sizeof whole, "%s%s", copy, &".0.0.0"[2 * (count - 1)]);
    if (inet_pton(AF_INET, whole, octets) != 1)
        return false;
    size_t at = 0;
    while (count-- > 0)
        at += (size_t)snprintf(name + at, 160 - at, "%u.", octets[count]);
    snprintf(name + at, 160 - at, "in-addr.arpa.");
    return true;
}

/* -x: 192.0.2.1 is 1.2.0.192.in-addr.arpa., and so on (RFC 1035 3.5, RFC 3596 2.5). */
static int set_reverse(struct reader *r, const char *text)
{
    char name[160] = "";
    uint8_t octets[16];
    size_t at = 0;
    if (inet_pton(AF_INET, text, octets) == 1)
        snprintf(name, sizeof name, "%u.%u.%u.%u.in-addr.arpa.", octets[3], octets[2], octets[1],
                 octets[0]);
    else if (inet_pton(AF_INET6, text, octets) == 1)
        for (int i = 15; i >= 0; i--)
            at += (size_t)snprintf(name + at, sizeof name - at, "%x.%x.%s", octets[i] & 15,
                                   octets[i] >> 4, i == 0 ? "ip6.arpa." : "");
    else if (!reverse_some(text, name))
        return usage_fail(text, "not an address");
    int exit_code = set_name(r, name);
    return exit_code >= 0 ? exit_code : set_type(r, KNOT_RRTYPE_PTR);
}

static int set_server(struct plan *plan, const char *text)
{
    size_t len = strcspn(text, "#@");
    if (len == 0 || len >= sizeof plan->server)
        return usage_fail(text, "not a server");
    unsigned long port;
    if (text[len] != '\0') {
        if (!arguments_number(text + len + 1, 65535, &port) || port == 0)
            return usage_fail(text, "not a port");
        plan->port = (uint16_t)port;
    }
    memcpy(plan->server, text, len);
    plan->server[len] = '\0';
    return -1;
}

static int set_source(struct plan *plan, const char *text)
{
    char copy[ADDRESS_TEXT_MAX];
    if (strlen(text) >= sizeof copy)
        return usage_fail(text, "not an address");
    strcpy(copy, text);
    char *port = strchr(copy, '#');
    if (port != NULL)
        *port = '@';
    if (!address_parse(copy, &plan->source))
        return usage_fail(text, "not an address");
    if (strchr(copy, '@') == NULL) { /* any port then */
        if (plan->source.ss_family == AF_INET)
            ((struct sockaddr_in *)&plan->source)->sin_port = 0;
        else
            ((struct sockaddr_in6 *)&plan->source)->sin6_port = 0;
    }
    plan->has_source = true;
    return -1;
}

static int set_port(struct plan *plan, const char *text)
{
    unsigned long port;
    if (!arguments_number(text, 65535, &port) || port == 0)
        return usage_fail(text, "not a port");
    plan->port = (uint16_t)port;
    return -1;
}

static int set_type_text(struct reader *r, const char *text)
{
    uint16_t type;
    return knot_rrtype_from_string(text, &type) == 0 ? set_type(r, type)
                                                     : usage_fail(text, "no type of records");
}

static int set_class_text(struct reader *r, const char *text)
{
    uint16_t class;
    return knot_rrclass_from_string(text, &class) == 0 ? set_class(r, class)
                                                       : usage_fail(text, "no class");
}

/* -y and -k are the long options of the same meaning. */
static int set_option(struct reader *r, const char *word, const char *name, const char *value)
{
    const char *fault = arguments_option(r->now, name, value);
    if (fault == NULL)
        return -1;
    usage_fail(word, fault);
    return strcmp(name, "key-file") == 0 ? EXIT_FILE : EXIT_USAGE;
}

/* One letter, with its value. */
static int read_letter(struct reader *r, char letter, const char *value)
{
    switch (letter) {
    case 'p':
        return set_port(r->now, value);
    case 'b':
        return set_source(r->now, value);
    case 'x':
        return set_reverse(r, value);
    case 'f':
        r->to->file = value;
        return -1;
    case 'q':
        return set_name(r, value);
    case 't':
        return set_type_text(r, value);
    case 'c':
        return set_class_text(r, value);
    case 'y':
        return set_option(r, "-y", "key", value);
    default:
        return set_option(r, "-k", "key-file", value);
    }
}

static int read_dash(struct reader *r, const char *word)
{
    if (strcmp(word, "-4") == 0 || strcmp(word, "-6") == 0) {
        r->now->family = word[1] == '4' ? AF_INET : AF_INET6;
        return -1;
    }
    if (strcmp(word, "-u") == 0 || strcmp(word, "-r") == 0) { /* -r: there is no file of habits */
        r->now->show.is_in_us |= word[1] == 'u';
        return -1;
    }
    if (strcmp(word, "-h") == 0) {
        help_print();
        return EXIT_ANSWERED;
    }
    if (strcmp(word, "-v") == 0) {
        puts("lethe-query " LETHE_VERSION);
        return EXIT_ANSWERED;
    }
    if (word[1] == '\0' || strchr("pbxfqtcyk", word[1]) == NULL)
        return usage_fail(word, "no such option");
    if (word[2] != '\0')
        return read_letter(r, word[1], word + 2);
    if (r->at == r->count)
        return usage_fail(word, "a value is missing");
    return read_letter(r, word[1], r->words[r->at++]);
}

/* +name, +name=value, --name=value, --name value. */
static int read_long(struct reader *r, const char *word, size_t prefix_len)
{
    char name[64];
    size_t len = strcspn(word + prefix_len, "=");
    if (len >= sizeof name)
        return usage_fail(word, "no such option");
    memcpy(name, word + prefix_len, len);
    name[len] = '\0';
    const char *value = word[prefix_len + len] == '=' ? word + prefix_len + len + 1 : NULL;
    if (prefix_len == 2 && strcmp(name, "help") == 0)
        return read_dash(r, "-h");
    if (prefix_len == 2 && strcmp(name, "version") == 0)
        return read_dash(r, "-v");
    if (prefix_len == 2 && strcmp(name, "hints") == 0 && value == NULL) {
        if (r->at == r->count)
            return usage_fail(word, "a file is missing");
        value = r->words[r->at++];
    }
    return set_option(r, word, name, value);
}

static int read_word(struct reader *r)
{
    const char *word = r->words[r->at++];
    const struct plan *last = r->to->count > 0 ? &r->to->plans[r->to->count - 1] : NULL;
    uint16_t number;
    if (word[0] == '@')
        return set_server(r->now, word + 1);
    if (word[0] == '+')
        return read_long(r, word, 1);
    if (word[0] == '-')
        return word[1] == '-' ? read_long(r, word, 2) : read_dash(r, word);
    if ((last == NULL || !last->has_type) && knot_rrtype_from_string(word, &number) == 0)
        return set_type(r, number);
    if ((last == NULL || !last->has_class) && knot_rrclass_from_string(word, &number) == 0)
        return set_class(r, number);
    return set_name(r, word);
}

int arguments_read(int count, char *const *words, const struct plan *common,
                   struct arguments *arguments_out)
{
    *arguments_out = (struct arguments){.common = *common};
    struct reader reader = {
        .to = arguments_out, .now = &arguments_out->common, .count = count, .words = words};
    while (reader.at < count) {
        int exit_code = read_word(&reader);
        if (exit_code >= 0)
            return exit_code;
    }
    if (arguments_out->count == 0 && arguments_out->file == NULL && plan_for(&reader, true) == NULL)
        return EXIT_INTERNAL;
    for (size_t i = 0; i < arguments_out->count; i++) {
        struct plan *plan = &arguments_out->plans[i];
        if (!plan->has_type) /* as dig: the servers of the root */
            plan->type = plan->has_name ? KNOT_RRTYPE_A : KNOT_RRTYPE_NS;
    }
    return -1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/config.h"
#include "server/buckets.h"
#include "stateless_tcp/stateless_tcp.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const config_tcp_choices[] = {"kernel", "stateless", "off", NULL};
const char *const config_io_choices[] = {"auto", "libpcap", "packet", "xdp", NULL};
static const char *const driver_choices[] = {"auto", "on", "off", "hot", "zones", NULL};
static const char *const udp_choices[] = {"socket", "fast", NULL};
static const char *const switch_choices[] = {"off", "on", NULL};
static const char *const any_choices[] = {"minimal", "full", NULL};
static const char *const profile_choices[] = {"classic", "modern", NULL};
static const char *const when_choices[] = {"off", "over-rate", "always", NULL};
/* By enum goaway_code. */
static const char *const goaway_choices[] = {"off", "host", "protocol", "port", "source", NULL};
static const char *const verify_choices[] = {"auto", "always", "never", NULL};

#define MEMBER(member) .offset = offsetof(struct config, member)
#define TEXT(member) \
    .kind = CONFIG_KIND_TEXT, MEMBER(member), .cap = sizeof((struct config *)0)->member
#define HIDE(member) \
    .kind = CONFIG_KIND_HIDE, MEMBER(member), .cap = sizeof((struct config *)0)->member
#define NUMBER(member, low, high) \
    .kind = CONFIG_KIND_NUMBER, MEMBER(member), .min = (low), .max = (high)
#define SIZE(member, low, high)                                                          \
    .kind = CONFIG_KIND_SIZE, .argument = "OCTETS[K|M|G]", MEMBER(member), .min = (low), \
    .max = (high)
#define SWITCH(member) .kind = CONFIG_KIND_SWITCH, .argument = "on|off", MEMBER(member)
#define PREFIXES(member) \
    .kind = CONFIG_KIND_PREFIXES, .argument = "ADDRESS[/LENGTH]", MEMBER(member)
#define CHOICE(member, list) .kind = CONFIG_KIND_CHOICE, MEMBER(member), .choices = (list)

/* clang-format off */
const struct config_key config_keys[CONFIG_KEY_COUNT] = {
    [CONFIG_KEY_DATABASE] = {NULL, "database", "db", "DIR",
        "zone database, as made by lethe(1)", TEXT(database)},
    [CONFIG_KEY_IMAGE] = {NULL, "image", "image", .help =
        "memory for zones compiled for answering, 0: none (default: 1G)",
        SIZE(image_size, CONFIG_IMAGE_SIZE_MIN, CONFIG_IMAGE_SIZE_MAX)},
    [CONFIG_KEY_PROXY] = {NULL, "proxy", "proxy", "ADDRESS@PORT",
        "ask this server over UDP, instead of serving zones", TEXT(proxy)},
    [CONFIG_KEY_WORKERS] = {NULL, "workers", "workers", "COUNT",
        "threads that answer (default: one per CPU)", NUMBER(workers, 1, CONFIG_WORKERS_MAX)},
    [CONFIG_KEY_PIN] = {NULL, "pin", "pin", .help =
        "tie each worker to a CPU (default: on)", SWITCH(is_pinned)},
    [CONFIG_KEY_USER] = {NULL, "user", "user", "NAME",
        "become this user once the sockets are open", TEXT(user)},
    [CONFIG_KEY_PID_FILE] = {NULL, "pid-file", "pid-file", "FILE",
        "write the process ID there while running", TEXT(pid_file)},
    [CONFIG_KEY_IO] = {NULL, "io", "io", "auto|libpcap|packet|xdp",
        "what carries frames of stateless TCP (default: auto)", CHOICE(io, config_io_choices)},
    [CONFIG_KEY_DRIVER] = {NULL, "driver", "driver", "auto|on|off|hot|zones",
        "answer SYN and FIN in the driver (default: auto, with io: xdp)",
        CHOICE(driver, driver_choices)},
    [CONFIG_KEY_UDP] = {NULL, "udp", "udp", "socket|fast",
        "where TCP is stateless, UDP by sockets or with it (default: socket)",
        CHOICE(udp, udp_choices)},
    [CONFIG_KEY_UDP_PAYLOAD] = {NULL, "udp-payload", "udp-payload", "OCTETS",
        "largest response over UDP (512-4096, default: 1232)",
        NUMBER(udp_payload, RESPOND_UDP_PAYLOAD_MIN, RESPOND_UDP_PAYLOAD_MAX)},
    [CONFIG_KEY_EDNS] = {NULL, "edns", "edns", .help =
        "answer EDNS with EDNS (default: on)", SWITCH(has_edns)},
    [CONFIG_KEY_EDNS_KEEPALIVE] = {NULL, "edns-keepalive", "edns-keepalive", .help =
        "announce the idle timeout over TCP (default: on)", SWITCH(has_keepalive)},
    [CONFIG_KEY_EDNS_PADDING] = {NULL, "edns-padding", "edns-padding", .help =
        "pad where asked for, over TCP (default: off)", SWITCH(has_padding)},
    [CONFIG_KEY_EDNS_EDE] = {NULL, "edns-ede", "edns-ede", .help =
        "say more of errors, by extended codes (default: on)", SWITCH(has_ede)},
    [CONFIG_KEY_ANY] = {NULL, "any", "any", "minimal|full",
        "ANY gets one RRset or all of them (default: minimal)", CHOICE(any, any_choices)},
    [CONFIG_KEY_MINIMAL_RESPONSES] = {NULL, "minimal-responses", "minimal-responses", .help =
        "answers without addresses of hosts that they name (default: off)", SWITCH(is_minimal)},
    [CONFIG_KEY_NSID] = {NULL, "nsid", "nsid", "TEXT|0xHEX",
        "server identifier for the NSID option (default: none)", TEXT(nsid_text)},
    [CONFIG_KEY_CHAOS_VERSION] = {"chaos", "version", "chaos-version", "TEXT|off",
        "answer to version.bind and version.server (default: off)", HIDE(chaos_version)},
    [CONFIG_KEY_CHAOS_ID] = {"chaos", "id", "chaos-id", "TEXT|off",
        "answer to id.server and hostname.bind (default: off)", HIDE(chaos_id)},
    [CONFIG_KEY_CHECKSUM_ENABLED] = {"checksum", "enabled", "checksum", .help =
        "serve the CHECKSUM option (default: on)", SWITCH(has_checksum)},
    [CONFIG_KEY_CHECKSUM_CODE] = {"checksum", "code", "checksum-code", "CODE",
        "its option code (default: 65002)", NUMBER(checksum_code, 1, 65535)},
    [CONFIG_KEY_CHECKSUM_SIPHASH] = {"checksum", "siphash", "checksum-siphash", .help =
        "digest with SipHash, algorithm 240 (default: off)", SWITCH(has_checksum_siphash)},
    [CONFIG_KEY_TSIG_KEYS] = {"tsig", "keys", "tsig-keys", "FILE",
        "keys that requests may be signed with (default: none)", TEXT(tsig_keys)},
    [CONFIG_KEY_TSIG_WELL_KNOWN] = {"tsig", "well-known", "tsig-well-known", .help =
        "take the key that everybody knows, too (default: off)", SWITCH(has_tsig_well_known)},
    [CONFIG_KEY_TSIG_SHA1] = {"tsig", "sha1", "tsig-sha1", .help =
        "take keys of HMAC-SHA1 (default: off)", SWITCH(has_tsig_sha1)},
    [CONFIG_KEY_COOKIE_ENABLED] = {"cookie", "enabled", "cookie", .help =
        "answer DNS cookies (default: on)", SWITCH(has_cookie)},
    [CONFIG_KEY_COOKIE_KEY_FILE] = {"cookie", "key-file", "cookie-key-file", "FILE",
        "their secrets, for servers that share them (default: random)", TEXT(cookie_key_file)},
    [CONFIG_KEY_POLICY_RATE_LIMIT] = {"policy", "rate-limit", "policy-rate-limit", "COUNT",
        "UDP queries a second of one prefix, 0: any number (default: 0)",
        NUMBER(rate_limit, 0, BUCKETS_RATE_MAX)},
    [CONFIG_KEY_POLICY_SLIP] = {"policy", "slip", "policy-slip", "COUNT",
        "beyond that, answer one in so many, 0: none (default: 1)", NUMBER(slip, 0, 100)},
    [CONFIG_KEY_POLICY_IPV4_PREFIX_LENGTH] = {"policy", "ipv4-prefix-length",
        "policy-ipv4-prefix-length", "BITS", "IPv4 addresses of one prefix (default: 24)",
        NUMBER(rate_ipv4_len, 1, 32)},
    [CONFIG_KEY_POLICY_IPV6_PREFIX_LENGTH] = {"policy", "ipv6-prefix-length",
        "policy-ipv6-prefix-length", "BITS", "IPv6 addresses of one prefix (default: 56)",
        NUMBER(rate_ipv6_len, 1, 128)},
    [CONFIG_KEY_POLICY_TABLE_SIZE] = {"policy", "table-size", "policy-table-size", .help =
        "memory for rates (default: 1M)",
        SIZE(rate_table_size, BUCKETS_SIZE_MIN, BUCKETS_SIZE_MAX)},
    [CONFIG_KEY_POLICY_REQUIRE_COOKIE] = {"policy", "require-cookie", "policy-require-cookie",
        "off|over-rate|always", "who has a good cookie is answered (default: over-rate)",
        CHOICE(require_cookie, when_choices)},
    [CONFIG_KEY_POLICY_TCP_ONLY] = {"policy", "tcp-only", "policy-tcp-only",
        "off|over-rate|always", "over UDP nothing but TC=1 (default: off)",
        CHOICE(tcp_only, when_choices)},
    [CONFIG_KEY_POLICY_ALLOW_LIST] = {"policy", "allow-list", "policy-allow-list", .help =
        "who is answered in any case; may be repeated", PREFIXES(allow_list)},
    [CONFIG_KEY_GOAWAY_CODE] = {"goaway", "code", "goaway-code", "off|host|protocol|port|source",
        "what to ask unwanted sources to block (default: off)", CHOICE(goaway_code, goaway_choices)},
    [CONFIG_KEY_GOAWAY_DENY] = {"goaway", "deny", "goaway-deny", .help =
        "who gets no answer and is asked; may be repeated", PREFIXES(denied)},
    [CONFIG_KEY_GOAWAY_TCP_RATE] = {"goaway", "tcp-rate", "goaway-tcp-rate", "COUNT",
        "stateless TCP: SYNs and requests a second of a prefix (default: 0, any)",
        NUMBER(goaway_tcp_rate, 0, BUCKETS_RATE_MAX)},
    [CONFIG_KEY_GOAWAY_LIMIT] = {"goaway", "limit", "goaway-limit", "COUNT",
        "GoAways a second of one prefix (default: 5)", NUMBER(goaway_limit, 1, SHUN_TOTAL_MAX)},
    [CONFIG_KEY_AUDIT_INTERVAL] = {"audit", "interval", "audit-interval", "SECONDS",
        "ask whether zones are delegated to us, 0: never (default: 0)",
        NUMBER(audit_interval_s, 0, 31536000)},
    [CONFIG_KEY_AUDIT_FINDINGS] = {"audit", "findings", "audit-findings", "COUNT",
        "believe bad news when it has come so often (default: 3)", NUMBER(audit_findings, 1, 1000)},
    [CONFIG_KEY_AUDIT_SPREAD] = {"audit", "spread", "audit-spread", "SECONDS",
        "and over so long (default: 21600)", NUMBER(audit_spread_s, 0, 31536000)},
    [CONFIG_KEY_AUDIT_HINTS] = {"audit", "hints", "audit-hints", "FILE",
        "root servers to begin with (default: none)", TEXT(audit_hints)},
    [CONFIG_KEY_AUDIT_PROGRAM] = {"audit", "program", "audit-program", "FILE",
        "what asks, lethe(1) (default: lethe)", TEXT(audit_program)},
    [CONFIG_KEY_TCP_IDLE_TIMEOUT] = {"tcp", "idle-timeout", "tcp-idle-timeout", "SECONDS",
        "kernel TCP: close an idle connection after (default: 10)",
        NUMBER(tcp_idle_timeout_s, 1, CONFIG_IDLE_TIMEOUT_MAX_S)},
    [CONFIG_KEY_TCP_MAX_CONNECTIONS] = {"tcp", "max-connections", "tcp-max-connections", "COUNT",
        "kernel TCP: connections per worker (default: 1000)",
        NUMBER(tcp_connections_max, 1, 1000000)},
    [CONFIG_KEY_TCP_PROFILE] = {"tcp", "profile", "tcp-profile", "classic|modern",
        "stateless TCP: behaviour (default: modern)", CHOICE(tcp_profile, profile_choices)},
    [CONFIG_KEY_TCP_MSS] = {"tcp", "mss", "tcp-mss", "OCTETS",
        "stateless TCP: segment size asked of clients (default: 1220)",
        NUMBER(tcp_mss, STATELESS_TCP_MSS_MIN, STATELESS_TCP_MSS_MAX)},
    [CONFIG_KEY_TCP_SEGMENT] = {"tcp", "segment", "tcp-segment", "OCTETS",
        "stateless TCP: segment size sent (default: 1208, classic: 512)",
        NUMBER(tcp_segment, STATELESS_TCP_SEGMENT_MIN, STATELESS_TCP_SEGMENT_MAX)},
    [CONFIG_KEY_TCP_VERIFY_CHECKSUM] = {"tcp", "verify-checksum", "tcp-verify-checksum",
        "auto|always|never", "stateless TCP: drop segments of wrong checksum (default: auto)",
        CHOICE(tcp_verify_checksum, verify_choices)},
    [CONFIG_KEY_TCP_KEY_FILE] = {"tcp", "key-file", "tcp-key-file", "FILE",
        "stateless TCP: secret, for servers that share it (default: random)", TEXT(tcp_key_file)},
    [CONFIG_KEY_TCP_STALE_RESET] = {"tcp", "stale-reset", "tcp-stale-reset", .help =
        "modern: reset what is no connection of ours any more (default: on)",
        SWITCH(has_stale_reset)},
    [CONFIG_KEY_TCP_RECENT_RESPONSES] = {"tcp", "recent-responses", "tcp-recent-responses", .help =
        "modern: memory of each interface for speed, 0: none (default: 4M)",
        SIZE(tcp_recent_size, RECENT_SIZE_MIN, CONFIG_RECENT_SIZE_MAX)},
    [CONFIG_KEY_TCP_FAST_OPEN] = {"tcp", "fast-open", "tcp-fast-open", .help =
        "modern: take requests that come with the SYN (default: off)", SWITCH(has_fast_open)},
    [CONFIG_KEY_TCP_TRANSFER_PEERS] = {"tcp", "transfer-peers", "tcp-transfer-peers", .help =
        "stateless TCP: who gets the kernel's instead; may be repeated",
        PREFIXES(tcp_transfer_peers)},
};
/* clang-format on */

void config_init(struct config *config)
{
    const struct respond_policy policy = respond_policy_default();
    memset(config, 0, sizeof *config);
    config->image_size = CONFIG_IMAGE_SIZE_DEFAULT;
    config->is_pinned = true;
    config->udp_payload = policy.udp_payload;
    config->has_edns = policy.has_edns;
    config->has_keepalive = policy.has_keepalive;
    config->has_padding = policy.has_padding;
    config->has_ede = policy.has_ede;
    config->any = policy.is_any_full;
    config->has_checksum = policy.has_checksum;
    config->checksum_code = policy.checksum_code;
    config->has_checksum_siphash = policy.has_checksum_siphash;
    config->has_cookie = true;
    config->slip = 1;
    config->rate_ipv4_len = 24;
    config->rate_ipv6_len = 56;
    config->rate_table_size = BUCKETS_SIZE_DEFAULT;
    config->require_cookie = RESTRAIN_WHEN_OVER_RATE;
    config->goaway_limit = 5;
    config->audit_findings = 3;
    config->audit_spread_s = 21600;
    strcpy(config->audit_program, "lethe");
    config->tcp_idle_timeout_s = 10;
    config->tcp_connections_max = 1000;
    config->tcp_profile = CONFIG_TCP_PROFILE_MODERN;
    config->tcp_mss = STATELESS_TCP_MSS_DEFAULT;
    config->has_stale_reset = true;
    config->tcp_recent_size = RECENT_SIZE_DEFAULT;
}

struct respond_policy config_policy(const struct config *config)
{
    struct respond_policy policy = respond_policy_default();
    policy.udp_payload = (uint16_t)config->udp_payload;
    policy.has_edns = config->has_edns;
    policy.has_keepalive = config->has_keepalive;
    policy.has_padding = config->has_padding;
    policy.has_ede = config->has_ede;
    policy.is_any_full = config->any != 0;
    policy.is_minimal = config->is_minimal;
    policy.has_checksum = config->has_checksum;
    policy.has_checksum_siphash = config->has_checksum_siphash;
    policy.checksum_code = (uint16_t)config->checksum_code;
    policy.nsid = config->nsid_len != 0 ? config->nsid : NULL;
    policy.nsid_len = (uint16_t)config->nsid_len;
    policy.chaos_version = config->chaos_version[0] != '\0' ? config->chaos_version : NULL;
    policy.chaos_id = config->chaos_id[0] != '\0' ? config->chaos_id : NULL;
    return policy;
}

int config_refuse(struct config_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int config_choose(const char *const *choices, const char *value, struct config_error *error)
{
    char list[128] = "";
    size_t used = 0;
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], value) == 0)
            return i;
        const char *between = i == 0 ? "" : choices[i + 1] != NULL ? ", " : " or ";
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", between, choices[i]);
        assert(used < sizeof list);
    }
    config_refuse(error, "\"%.100s\" is not %s", value, list);
    return -1;
}

static int config_set_number(const struct config_key *key, const char *value, unsigned *number_out,
                             struct config_error *error)
{
    size_t digits = strspn(value, "0123456789");
    unsigned long number = digits <= 9 ? strtoul(value, NULL, 10) : ULONG_MAX;
    if (digits == 0 || value[digits] != '\0' || number < key->min || number > key->max)
        return config_refuse(error, "\"%.100s\" is not a number from %zu to %zu", value, key->min,
                             key->max);
    *number_out = (unsigned)number;
    return 0;
}

/* "512K": octets, with K, M or G for powers of 1024. */
static int config_set_size(const struct config_key *key, const char *value, size_t *size_out,
                           struct config_error *error)
{
    static const char units[] = "KMG";
    size_t digits = strspn(value, "0123456789");
    const char *unit = value[digits] != '\0' ? strchr(units, value[digits]) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    unsigned long long size = digits <= 10 ? strtoull(value, NULL, 10) << shift : ULLONG_MAX;
    if (digits == 0 || strlen(value) != digits + (unit != NULL) ||
        (size != 0 && (size < key->min || size > key->max)))
        return config_refuse(error, "\"%.100s\" is not 0 or a size from %zuK to %zuG, such as 4M",
                             value, key->min >> 10, key->max >> 30);
    *size_out = (size_t)size;
    return 0;
}

static int config_set_text(const struct config_key *key, const char *value, char *text_out,
                           struct config_error *error)
{
    size_t value_len = strlen(value);
    if (value_len == 0)
        return config_refuse(error, "must not be empty");
    if (value_len >= key->cap)
        return config_refuse(error, "longer than %zu octets", key->cap - 1);
    memcpy(text_out, value, value_len + 1);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The octets of the NSID option from its text: 0xHEX, or the text itself. */
static int config_set_nsid(struct config *config, struct config_error *error)
{
    const char *text = config->nsid_text;
    size_t text_len = strlen(text);
    if (strncmp(text, "0x", 2) != 0) {
        if (text_len > CONFIG_NSID_MAX)
            return config_refuse(error, "longer than %d octets", CONFIG_NSID_MAX);
        memcpy(config->nsid, text, text_len);
        config->nsid_len = (unsigned)text_len;
        return 0;
    }
    text_len -= 2;
    if (text_len == 0 || text_len % 2 != 0 || text_len > 2 * (size_t)CONFIG_NSID_MAX)
        return config_refuse(error,
                             "0x must be followed by 2 to %d hexadecimal digits, evenly many",
                             2 * CONFIG_NSID_MAX);
    for (size_t i = 0; i < text_len / 2; i++) {
        int high = hex_digit(text[2 + 2 * i]), low = hex_digit(text[3 + 2 * i]);
        if (high < 0 || low < 0)
            return config_refuse(error, "\"%.100s\" has something else than hexadecimal digits",
                                 text);
        config->nsid[i] = (uint8_t)(high << 4 | low);
    }
    config->nsid_len = (unsigned)(text_len / 2);
    return 0;
}

static int config_check_proxy(const struct config *config, struct config_error *error)
{
    struct sockaddr_storage address;
    if (address_parse(config->proxy, &address) && !address_is_any(&address))
        return 0;
    return config_refuse(error,
                         "\"%.100s\" is not ADDRESS@PORT with the numeric IPv4 or IPv6 address of "
                         "one server, such as 127.0.0.1@5353",
                         config->proxy);
}

void config_clear(struct config *config, const struct config_key *key)
{
    assert(key->kind == CONFIG_KIND_PREFIXES);
    memset((char *)config + key->offset, 0, sizeof(struct config_prefixes));
}

static int config_add_prefix(struct config_prefixes *prefixes, const struct config_key *key,
                             const char *value, struct config_error *error)
{
    char text[ADDRESS_TEXT_MAX];
    struct prefix prefix;
    switch (address_parse_prefix(value, &prefix)) {
    case ADDRESS_PREFIX_GOOD:
        break;
    case ADDRESS_PREFIX_MALFORMED:
        return config_refuse(error,
                             "\"%.100s\" is not ADDRESS or ADDRESS/LENGTH with a numeric IPv4 or "
                             "IPv6 address, such as 192.0.2.1 or 2001:db8::/32",
                             value);
    case ADDRESS_PREFIX_LEN_TOO_LARGE:
        return config_refuse(error, "\"%.100s\" is longer than its address: %u bits", value,
                             strchr(value, ':') != NULL ? 128 : 32);
    case ADDRESS_PREFIX_HOST_BITS:
        return config_refuse(error, "\"%.100s\" has bits set beyond its length; is it %s?", value,
                             address_prefix_to_text(&prefix, text));
    }
    if (prefix.len == 0)
        return config_refuse(
            error, "\"%.100s\" is everybody%s", value,
            key == &config_keys[CONFIG_KEY_TCP_TRANSFER_PEERS] ? "; for that say tcp: kernel" : "");
    if (prefixes->count == CONFIG_PREFIXES_MAX)
        return config_refuse(error, "more than %d of them", CONFIG_PREFIXES_MAX);
    prefixes->items[prefixes->count++] = prefix;
    return 0;
}

int config_set(struct config *config, const struct config_key *key, const char *value,
               struct config_error *error)
{
    char *member = (char *)config + key->offset;
    int choice, outcome;
    switch (key->kind) {
    case CONFIG_KIND_TEXT:
        outcome = config_set_text(key, value, member, error);
        if (outcome == 0 && key == &config_keys[CONFIG_KEY_NSID])
            outcome = config_set_nsid(config, error);
        if (outcome == 0 && key == &config_keys[CONFIG_KEY_PROXY])
            outcome = config_check_proxy(config, error);
        return outcome;
    case CONFIG_KIND_HIDE:
        if (strcmp(value, "off") != 0)
            return config_set_text(key, value, member, error);
        member[0] = '\0';
        return 0;
    case CONFIG_KIND_NUMBER:
        return config_set_number(key, value, (unsigned *)(void *)member, error);
    case CONFIG_KIND_SIZE:
        return config_set_size(key, value, (size_t *)(void *)member, error);
    case CONFIG_KIND_SWITCH:
        choice = config_choose(switch_choices, value, error);
        if (choice >= 0)
            *(bool *)member = choice == 1;
        return choice >= 0 ? 0 : -EINVAL;
    case CONFIG_KIND_CHOICE:
        choice = config_choose(key->choices, value, error);
        if (choice >= 0)
            *(unsigned *)(void *)member = (unsigned)choice;
        return choice >= 0 ? 0 : -EINVAL;
    case CONFIG_KIND_PREFIXES:
        return config_add_prefix((struct config_prefixes *)(void *)member, key, value, error);
    }
    return -EINVAL;
}

int config_listen_add(struct config *config, const char *address, struct config_error *error)
{
    if (config->listen_count == CONFIG_LISTEN_MAX)
        return config_refuse(error, "more than %d addresses", CONFIG_LISTEN_MAX);
    struct config_listen *listen = &config->listen[config->listen_count];
    memset(listen, 0, sizeof *listen);
    if (!address_parse(address, &listen->address))
        return config_refuse(error,
                             "\"%.100s\" is not ADDRESS@PORT with a numeric IPv4 or IPv6 address "
                             "and a port from 1 to 65535, such as 192.0.2.1@53 or ::1@53",
                             address);
    listen->tcp = CONFIG_TCP_KERNEL;
    config->listen_count++;
    return 0;
}

int config_listen_set_interface(struct config_listen *listen, const char *interface,
                                struct config_error *error)
{
    size_t len = strlen(interface);
    if (len == 0 || len >= sizeof listen->interface || strpbrk(interface, "/ \t\n") != NULL)
        return config_refuse(error, "\"%.100s\" cannot be the name of an interface", interface);
    memcpy(listen->interface, interface, len + 1);
    return 0;
}

static bool prefixes_are_same(const struct config_prefixes *a, const struct config_prefixes *b)
{
    bool is_same = a->count == b->count;
    for (size_t i = 0; is_same && i < a->count; i++)
        is_same = a->items[i].len == b->items[i].len &&
                  packet_address_equal(&a->items[i].address, &b->items[i].address);
    return is_same;
}

static bool config_is_same_value(const struct config *a, const struct config *b,
                                 const struct config_key *key)
{
    const void *in_a = (const char *)a + key->offset, *in_b = (const char *)b + key->offset;
    switch (key->kind) {
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_HIDE:
        return strcmp(in_a, in_b) == 0;
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_CHOICE:
        return *(const unsigned *)in_a == *(const unsigned *)in_b;
    case CONFIG_KIND_SIZE:
        return *(const size_t *)in_a == *(const size_t *)in_b;
    case CONFIG_KIND_SWITCH:
        return *(const bool *)in_a == *(const bool *)in_b;
    case CONFIG_KIND_PREFIXES:
        return prefixes_are_same(in_a, in_b);
    }
    return false;
}

bool config_is_shunning(const struct config *config)
{
    return config->goaway_code != GOAWAY_NO_BLOCK || config->denied.count != 0;
}

bool config_is_shunning_tcp(const struct config *config)
{
    return config->denied.count != 0 || config->goaway_tcp_rate != 0;
}

struct restrain_config config_restrain(const struct config *config)
{
    return (struct restrain_config){.rate = config->rate_limit,
                                    .slip = config->slip,
                                    .ipv4_len = config->rate_ipv4_len,
                                    .ipv6_len = config->rate_ipv6_len,
                                    .table_size = config->rate_table_size,
                                    .require_cookie = (enum restrain_when)config->require_cookie,
                                    .tcp_only = (enum restrain_when)config->tcp_only,
                                    .allowed = config->allow_list.items,
                                    .allowed_count = config->allow_list.count,
                                    .is_shunning = config_is_shunning(config)};
}

struct shun_config config_shun(const struct config *config)
{
    return (struct shun_config){.code = (enum goaway_code)config->goaway_code,
                                .limit = config->goaway_limit,
                                .tcp_rate = config->goaway_tcp_rate,
                                .ipv4_len = config->rate_ipv4_len,
                                .ipv6_len = config->rate_ipv6_len,
                                .denied = config->denied.items,
                                .denied_count = config->denied.count,
                                .allowed = config->allow_list.items,
                                .allowed_count = config->allow_list.count,
                                .key_file = config->tcp_key_file};
}

bool config_is_same_restrain(const struct config *a, const struct config *b)
{
    for (unsigned k = CONFIG_KEY_POLICY_RATE_LIMIT; k <= CONFIG_KEY_GOAWAY_LIMIT; k++)
        if (!config_is_same_value(a, b, &config_keys[k]))
            return false;
    return a->goaway_code == GOAWAY_NO_BLOCK ||
           config_is_same_value(a, b, &config_keys[CONFIG_KEY_TCP_KEY_FILE]);
}

static bool is_restrained(const struct config *config)
{
    const struct restrain_config restrain = config_restrain(config);
    return restrain_is_wanted(&restrain);
}

bool config_is_proxy(const struct config *config)
{
    return config->proxy[0] != '\0';
}

bool config_is_same_stateless(const struct config *a, const struct config *b)
{
    for (unsigned k = CONFIG_KEY_TCP_PROFILE; k < CONFIG_KEY_COUNT; k++)
        if (!config_is_same_value(a, b, &config_keys[k]))
            return false;
    return config_is_same_value(a, b, &config_keys[CONFIG_KEY_IO]) &&
           config_is_same_value(a, b, &config_keys[CONFIG_KEY_DRIVER]) &&
           config_is_same_value(a, b, &config_keys[CONFIG_KEY_UDP]) &&
           is_restrained(a) == is_restrained(b) &&
           config_is_shunning_tcp(a) == config_is_shunning_tcp(b);
}

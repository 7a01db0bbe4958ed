/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/config.h"

#include "server/address.h"
#include "zonedb/respond.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_ZONE = 256,
    OPTION_MIX,
    OPTION_QUESTION_COUNT,
    OPTION_SEED,
    OPTION_CHECKSUM,
    OPTION_CHECKSUM_CODE,
    OPTION_RD,
    OPTION_ARRIVALS,
    OPTION_QUERIES_PER_CONNECTION,
    OPTION_PIPELINE,
    OPTION_CLOSE,
    OPTION_FAST_OPEN,
    OPTION_PORTS,
    OPTION_BACKEND,
    OPTION_DRIVER,
    OPTION_GATEWAY,
    OPTION_MAC,
    OPTION_HANDSHAKE_ACK,
    OPTION_RETRANSMIT,
    OPTION_WINDOW,
    OPTION_COMPARE,
    OPTION_COMPARE_EVERY,
    OPTION_DIFFERENCES,
    OPTION_JSON,
    OPTION_CSV,
    OPTION_HISTOGRAM,
    OPTION_QUIET,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, 's'},
    {"port", required_argument, NULL, 'p'},
    {"questions", required_argument, NULL, 'd'},
    {"zone", required_argument, NULL, OPTION_ZONE},
    {"mix", required_argument, NULL, OPTION_MIX},
    {"question-count", required_argument, NULL, OPTION_QUESTION_COUNT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"edns", no_argument, NULL, 'e'},
    {"payload", required_argument, NULL, 'b'},
    {"dnssec", no_argument, NULL, 'D'},
    {"checksum", no_argument, NULL, OPTION_CHECKSUM},
    {"checksum-code", required_argument, NULL, OPTION_CHECKSUM_CODE},
    {"rd", no_argument, NULL, OPTION_RD},
    {"seconds", required_argument, NULL, 'l'},
    {"count", required_argument, NULL, 'n'},
    {"rate", required_argument, NULL, 'Q'},
    {"arrivals", required_argument, NULL, OPTION_ARRIVALS},
    {"outstanding", required_argument, NULL, 'q'},
    {"connections", required_argument, NULL, 'c'},
    {"queries-per-connection", required_argument, NULL, OPTION_QUERIES_PER_CONNECTION},
    {"pipeline", required_argument, NULL, OPTION_PIPELINE},
    {"close", required_argument, NULL, OPTION_CLOSE},
    {"fast-open", no_argument, NULL, OPTION_FAST_OPEN},
    {"timeout", required_argument, NULL, 't'},
    {"threads", required_argument, NULL, 'T'},
    {"source", required_argument, NULL, 'a'},
    {"ports", required_argument, NULL, OPTION_PORTS},
    {"interface", required_argument, NULL, 'i'},
    {"backend", required_argument, NULL, OPTION_BACKEND},
    {"driver", no_argument, NULL, OPTION_DRIVER},
    {"gateway", required_argument, NULL, OPTION_GATEWAY},
    {"mac", required_argument, NULL, OPTION_MAC},
    {"handshake-ack", required_argument, NULL, OPTION_HANDSHAKE_ACK},
    {"retransmit", required_argument, NULL, OPTION_RETRANSMIT},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"compare", required_argument, NULL, OPTION_COMPARE},
    {"compare-every", required_argument, NULL, OPTION_COMPARE_EVERY},
    {"differences", required_argument, NULL, OPTION_DIFFERENCES},
    {"json", no_argument, NULL, OPTION_JSON},
    {"csv", required_argument, NULL, OPTION_CSV},
    {"histogram", required_argument, NULL, OPTION_HISTOGRAM},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char *const mode_names[] = {"udp", "tcp", "raw", "raw-udp", NULL};

const char *config_mode_name(enum bench_mode mode)
{
    return mode_names[mode];
}

static bool parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return false;
    *out = strtoull(text, NULL, 10);
    return *out >= min && *out <= max;
}

static bool parse_count32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value;
    if (!parse_count(text, min, max, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool parse_number(const char *text, double min, double max, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out) && *out >= min && *out <= max;
}

/* Index of `text` in a list that NULL ends; -1. */
static int parse_choice(const char *text, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(text, choices[i]) == 0)
            return i;
    return -1;
}

static bool parse_two(const char *text, const char *first, const char *second, bool *is_second_out)
{
    const char *choices[] = {first, second, NULL};
    int choice = parse_choice(text, choices);
    *is_second_out = choice == 1;
    return choice >= 0;
}

static bool parse_mix(const char *text, unsigned mix[3])
{
    int end = 0;
    return strspn(text, "0123456789:") == strlen(text) &&
           sscanf(text, "%4u:%4u:%4u%n", &mix[0], &mix[1], &mix[2], &end) == 3 &&
           text[end] == '\0' && mix[0] + mix[1] + mix[2] > 0;
}

static bool parse_ports(const char *text, struct bench_config *config)
{
    unsigned first, last;
    int end = 0;
    if (strspn(text, "0123456789-") != strlen(text) ||
        sscanf(text, "%5u-%5u%n", &first, &last, &end) != 2 || text[end] != '\0' || first < 1 ||
        last > 65535 || last < first)
        return false;
    config->port_first = (uint16_t)first;
    config->port_last = (uint16_t)last;
    return true;
}

static bool parse_mac(const char *text, struct bench_config *config)
{
    unsigned octets[6];
    int end = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &octets[0], &octets[1], &octets[2], &octets[3],
               &octets[4], &octets[5], &end) != 6 ||
        text[end] != '\0' || octets[0] & 1)
        return false;
    for (int i = 0; i < 6; i++)
        config->mac[i] = (uint8_t)octets[i];
    config->has_mac = true;
    return true;
}

static bool parse_server(const char *text, struct bench_config *config)
{
    return address_parse(text, &config->server);
}

static bool parse_gateway(const char *text, struct bench_config *config)
{
    struct prefix one;
    if (address_parse_prefix(text, &one) != ADDRESS_PREFIX_GOOD ||
        one.len != (one.address.family == 4 ? 32 : 128))
        return false;
    config->gateway = one.address;
    config->has_gateway = true;
    return true;
}

static bool parse_source(const char *text, struct bench_config *config)
{
    config->has_source = true;
    return address_parse_prefix(text, &config->source) == ADDRESS_PREFIX_GOOD;
}

static bool parse_window(const char *text, struct bench_config *config)
{
    uint32_t window;
    if (!parse_count32(text, 512, 65535, &window))
        return false;
    config->window = (uint16_t)window;
    return true;
}

static bool parse_questions_option(int option, const char *value, struct bench_config *config)
{
    uint32_t number = 0;
    switch (option) {
    case 'd':
        config->questions = value;
        return true;
    case OPTION_ZONE:
        config->zone = value;
        return strchr(value, ':') != NULL;
    case OPTION_MIX:
        return parse_mix(value, config->mix);
    case OPTION_QUESTION_COUNT:
        return parse_count32(value, 1, 50000000, &config->question_count);
    case OPTION_SEED:
        return parse_count(value, 0, UINT64_MAX, &config->seed);
    case 'b':
        config->form.has_edns = true;
        if (!parse_count32(value, 512, 65535, &number))
            return false;
        config->form.payload = (uint16_t)number;
        return true;
    case OPTION_CHECKSUM_CODE:
        if (!parse_count32(value, 1, 65535, &number))
            return false;
        config->form.checksum_code = (uint16_t)number;
        return true;
    default:
        return false;
    }
}

static bool parse_amount_option(int option, const char *value, struct bench_config *config)
{
    double number = 0;
    bool is_second = false;
    switch (option) {
    case 'l':
        return parse_number(value, 0.001, 86400, &config->seconds);
    case 'n':
        return parse_count(value, 1, UINT64_MAX - 1, &config->query_limit);
    case 'Q':
        return parse_number(value, 0.001, 1e8, &config->rate);
    case OPTION_ARRIVALS:
        if (!parse_two(value, "even", "poisson", &is_second))
            return false;
        config->arrivals = is_second ? SCHEDULE_POISSON : SCHEDULE_EVEN;
        return true;
    case 'q':
        return parse_count32(value, 1, 1000000, &config->outstanding);
    case 'c':
        return parse_count32(value, 1, 1000000, &config->connections);
    case OPTION_QUERIES_PER_CONNECTION:
        return parse_count32(value, 0, 1000000000, &config->queries_per_connection);
    case OPTION_PIPELINE:
        return parse_count32(value, 1, 64, &config->pipeline);
    case OPTION_CLOSE:
        if (!parse_two(value, "fin", "rst", &is_second))
            return false;
        config->close = is_second ? BENCH_CLOSE_RST : BENCH_CLOSE_FIN;
        return true;
    case 't':
        if (!parse_number(value, 0.001, 3600, &number))
            return false;
        config->timeout_ns = (uint64_t)(number * 1e9);
        return true;
    case 'T':
        return parse_count32(value, 1, 64, &config->threads);
    default:
        return parse_questions_option(option, value, config);
    }
}

static bool parse_option(int option, const char *value, struct bench_config *config)
{
    double number = 0;
    switch (option) {
    case 's':
        return parse_server(value, config);
    case 'a':
        return parse_source(value, config);
    case OPTION_PORTS:
        return parse_ports(value, config);
    case 'i':
        config->interface = value;
        return true;
    case OPTION_BACKEND:
        config->backend = value;
        return true;
    case OPTION_GATEWAY:
        return parse_gateway(value, config);
    case OPTION_MAC:
        return parse_mac(value, config);
    case OPTION_HANDSHAKE_ACK:
        return parse_two(value, "own", "joined", &config->is_handshake_joined);
    case OPTION_RETRANSMIT:
        if (!parse_number(value, 1, 60000, &number))
            return false;
        config->retransmit_ns = (uint64_t)(number * 1e6);
        return true;
    case OPTION_WINDOW:
        return parse_window(value, config);
    case OPTION_COMPARE:
        config->compare = address_parse(value, &config->compare_server) ? NULL : value;
        return true;
    case OPTION_COMPARE_EVERY:
        return parse_count32(value, 1, 1000000000, &config->compare_every);
    case OPTION_DIFFERENCES:
        return parse_count32(value, 0, 1000000000, &config->difference_count);
    case OPTION_CSV:
        config->csv = value;
        return true;
    case OPTION_HISTOGRAM:
        config->histogram = value;
        return true;
    default:
        return parse_amount_option(option, value, config);
    }
}

static enum bench_exit fail(const char *what, const char *value)
{
    fprintf(stderr, "lethe-bench: %s%s%s (--help says more)\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return BENCH_EXIT_USAGE;
}

/* What a value must be. */
static const struct {
    int option;
    const char *text;
} value_texts[] = {
    {'s', "a numeric IPv4 or IPv6 address, @PORT"},
    {'p', "1 to 65535"},
    {'a', "a network such as 198.18.64.0/18, host bits clear"},
    {OPTION_ZONE, "DIR:APEX"},
    {OPTION_MIX, "three whole numbers such as 60:30:10"},
    {OPTION_QUESTION_COUNT, "1 to 50000000"},
    {'b', "512 to 65535"},
    {OPTION_CHECKSUM_CODE, "1 to 65535"},
    {'l', "0.001 to 86400"},
    {'n', "1 or more"},
    {'Q', "0.001 to 100000000"},
    {OPTION_ARRIVALS, "even or poisson"},
    {'q', "1 to 1000000"},
    {'c', "1 to 1000000"},
    {OPTION_QUERIES_PER_CONNECTION, "0 to 1000000000"},
    {OPTION_PIPELINE, "1 to 64"},
    {OPTION_CLOSE, "fin or rst"},
    {'t', "0.001 to 3600"},
    {'T', "1 to 64"},
    {OPTION_PORTS, "FIRST-LAST, 1 to 65535"},
    {OPTION_GATEWAY, "a numeric address"},
    {OPTION_MAC, "one station's, such as 02:00:00:00:00:01"},
    {OPTION_HANDSHAKE_ACK, "own or joined"},
    {OPTION_RETRANSMIT, "1 to 60000"},
    {OPTION_WINDOW, "512 to 65535"},
    {OPTION_COMPARE_EVERY, "1 to 1000000000"},
    {OPTION_DIFFERENCES, "0 to 1000000000"},
};

static enum bench_exit fail_value(int option, const char *value)
{
    const char *name = "", *text = "another";
    for (const struct option *o = long_options; o->name != NULL; o++)
        if (o->val == option)
            name = o->name;
    for (size_t i = 0; i < sizeof value_texts / sizeof value_texts[0]; i++)
        if (value_texts[i].option == option)
            text = value_texts[i].text;
    fprintf(stderr, "lethe-bench: bad value for --%s: %s; it is %s (--help says more)\n", name,
            value, text);
    return BENCH_EXIT_USAGE;
}

/* The only word that is no option. */
static enum bench_exit read_mode(int word_count, char *const *words, struct bench_config *config)
{
    int mode = -1;
    for (int i = 0; i < word_count; i++) {
        int choice = parse_choice(words[i], mode_names);
        if (choice >= 0 && mode < 0)
            mode = choice;
        else if (word_count > 1)
            return fail("there is a word too many", words[i]);
    }
    if (mode < 0)
        return fail("say how to ask, with one of: udp, tcp, raw, raw-udp",
                    word_count == 1 ? words[0] : NULL);
    config->mode = (enum bench_mode)mode;
    return BENCH_EXIT_GOOD;
}

/* Options without a value. false: it is none of them. */
static bool take_switch(int option, struct bench_config *config)
{
    switch (option) {
    case 'e':
        config->form.has_edns = true;
        return true;
    case 'D':
        config->form.is_do = true;
        return true;
    case OPTION_CHECKSUM:
        config->form.has_checksum = true;
        return true;
    case OPTION_RD:
        config->form.has_rd = true;
        return true;
    case OPTION_FAST_OPEN:
        config->has_fast_open = true;
        return true;
    case OPTION_DRIVER:
        config->has_driver = true;
        return true;
    case OPTION_JSON:
        config->is_json = true;
        return true;
    case OPTION_QUIET:
        config->is_quiet = true;
        return true;
    default:
        return false;
    }
}

static bool is_raw(const struct bench_config *config)
{
    return config->mode == BENCH_RAW || config->mode == BENCH_RAW_UDP;
}

static bool is_tcp(const struct bench_config *config)
{
    return config->mode == BENCH_TCP || config->mode == BENCH_RAW;
}

static bool has_compare(const struct bench_config *config)
{
    return config->compare != NULL || config->compare_server.ss_family != 0;
}

static bool is_without_link(const struct sockaddr_storage *server)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)server;
    return server->ss_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
           in6->sin6_scope_id == 0;
}

/* The program does the plain cases. */
static const char *find_driver_contradiction(const struct bench_config *config)
{
    if (!is_raw(config))
        return "--driver is for raw and raw-udp";
    if (config->threads != 1)
        return "--driver needs no threads (-T): the program runs where frames come";
    if (config->pipeline != 1 || config->has_fast_open || config->form.has_checksum ||
        has_compare(config))
        return "--driver goes without --pipeline, --fast-open, --checksum and --compare";
    if (config->rate > 0 && is_tcp(config) && config->queries_per_connection != 1)
        return "--driver with --rate asks once on a connection";
    return NULL;
}

/* What is missing or does not go together. NULL: nothing. */
static const char *find_contradiction(const struct bench_config *config)
{
    int family = config->server.ss_family == AF_INET ? 4 : 6;
    if (config->server.ss_family == 0)
        return "name the server with -s ADDRESS";
    if (!is_raw(config) && is_without_link(&config->server))
        return "a link-local server is named with its link, as in fe80::1%eth0";
    if ((config->questions == NULL) == (config->zone == NULL))
        return "name the questions with either -d FILE or --zone DIR:APEX";
    if (config->has_source && config->source.address.family != family)
        return "--source and --server are of different IP versions";
    if (config->has_gateway && config->gateway.family != family)
        return "--gateway and --server are of different IP versions";
    if (is_raw(config) && config->interface == NULL)
        return "name the interface of the frames with -i NAME";
    if (is_raw(config) && !config->has_source)
        return "name addresses that this host's kernel does not have with --source PREFIX";
    if (config->queries_per_connection != 0 && config->pipeline > config->queries_per_connection)
        return "--pipeline is more than --queries-per-connection";
    if (config->has_fast_open && !is_tcp(config))
        return "--fast-open is for TCP";
    return config->has_driver ? find_driver_contradiction(config) : NULL;
}

static void fill_defaults(struct bench_config *config)
{
    if (config->connections == 0 && !is_tcp(config))
        config->connections = 16;
    if (config->connections == 0)
        config->connections = config->rate > 0 && config->queries_per_connection != 0 ? 10000 : 100;
}

enum bench_exit config_read(int argc, char **argv, struct bench_config *config, bool *is_done_out)
{
    int option;
    uint16_t port = 0;
    uint32_t number = 0;
    *is_done_out = true;
    *config = (struct bench_config){
        .mix = {60, 30, 10},
        .question_count = 100000,
        .seed = 1,
        .seconds = 10,
        .query_limit = UINT64_MAX,
        .timeout_ns = 5000000000,
        .threads = 1,
        .outstanding = 100,
        .queries_per_connection = 1,
        .pipeline = 1,
        .port_first = 1024,
        .port_last = 65535,
        .retransmit_ns = 200000000,
        .window = 8760,
        .compare_every = 1,
        .difference_count = 10,
        .form = {.payload = 1232, .checksum_code = RESPOND_CHECKSUM_CODE_DEFAULT}};
    argv[0] = program_invocation_short_name; /* for what getopt says */
    while ((option = getopt_long(argc, argv, "s:p:d:eb:Dl:n:Q:q:c:t:T:a:i:h", long_options,
                                 NULL)) != -1) {
        if (option == 'h') {
            fputs(config_help, stdout);
            return BENCH_EXIT_GOOD;
        }
        if (option == OPTION_VERSION) {
            puts("lethe-bench " LETHE_VERSION);
            return BENCH_EXIT_GOOD;
        }
        if (option == '?') {
            fputs("lethe-bench: --help says more\n", stderr);
            return BENCH_EXIT_USAGE;
        }
        if (option == 'p' && parse_count32(optarg, 1, 65535, &number))
            port = (uint16_t)number;
        else if (!take_switch(option, config) && !parse_option(option, optarg, config))
            return fail_value(option, optarg);
    }
    *is_done_out = false;
    if (read_mode(argc - optind, argv + optind, config) != BENCH_EXIT_GOOD)
        return BENCH_EXIT_USAGE;
    const char *contradiction = find_contradiction(config);
    if (contradiction != NULL)
        return fail(contradiction, NULL);
    if (port != 0 && config->server.ss_family == AF_INET)
        ((struct sockaddr_in *)&config->server)->sin_port = htons(port);
    else if (port != 0)
        ((struct sockaddr_in6 *)&config->server)->sin6_port = htons(port);
    fill_defaults(config);
    return BENCH_EXIT_GOOD;
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe-forward - between a resolver and the servers it asks: protects its queries.
 */
#include "server/address.h"
#include "server/tsig_keys.h"
#include "tools/forward/forward.h"

#include <cap-ng.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    CHECKSUM_CODE = 65002,
};

static const char help_text[] =
    "usage: lethe-forward --listen ADDRESS[@PORT] [--to ADDRESS[@PORT]] [OPTION...]\n"
    "\n"
    "Forward queries over UDP to a server, and protect them: responses that somebody has altered "
    "are\n"
    "not passed on, the question is asked again over TCP. Without --to queries go where they were\n"
    "sent to: the firewall must bring them here (nft: tproxy), see lethe-forward(8).\n"
    "\n"
    "  --listen ADDRESS[@PORT]   where queries come (port 53)\n"
    "  --to ADDRESS[@PORT]       the server to ask\n"
    "  --checksum 00|01          add the CHECKSUM option, in this draft's layout, and check it\n"
    "  --checksum-code NUMBER    its option code (65002)\n"
    "  --tsig FILE               sign by the key in this file, and check the response's signature\n"
    "  --tsig well-known         the same by the key that everybody knows, with a nonce\n"
    "  --absent-by-tcp           ask over TCP, too, where the server does not protect its "
    "responses\n"
    "  --tcp-first               ask over TCP, and over UDP where that fails\n"
    "  --user NAME               become this user, once the sockets are open\n"
    "  --json                    print the counts at the end as JSON\n"
    "  -h, --help, -V, --version\n"
    "\n"
    "SIGINT or SIGTERM ends it.\n"
    "Exit codes: 0 ended by a signal, 1 an address or permission is missing, 2 bad usage.\n";

static volatile sig_atomic_t is_ended;

static void on_signal(int number)
{
    (void)number;
    is_ended = 1;
}

static int usage_fail(const char *what, const char *value)
{
    fprintf(stderr, "lethe-forward: %s%s%s (--help says more)\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return EXIT_USAGE;
}

static bool parse_layout(const char *text, struct protect *protect)
{
    protect->means = PROTECT_BY_CHECKSUM;
    protect->layout = strcmp(text, "00") == 0 ? CHECKSUM_LAYOUT_00 : CHECKSUM_LAYOUT_01;
    return strcmp(text, "00") == 0 || strcmp(text, "01") == 0;
}

static bool parse_code(const char *text, struct protect *protect)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    protect->checksum_code = (uint16_t)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value >= 1 && value <= UINT16_MAX;
}

static bool parse_key(const char *text, struct protect *protect)
{
    const struct tsig_key_source source = {.path = text, .has_sha1 = true};
    struct tsig_key_list keys;
    char reason[512];
    protect->means = PROTECT_BY_TSIG;
    protect->has_nonce = strcmp(text, "well-known") == 0;
    if (protect->has_nonce) {
        tsig_key_set_well_known(&protect->key);
        return true;
    }
    if (tsig_keys_read(&source, &keys, reason, sizeof reason) != 0) {
        fprintf(stderr, "lethe-forward: --tsig: %s\n", reason);
        return false;
    }
    bool is_one = keys.count == 1;
    if (is_one)
        protect->key = keys.items[0];
    else
        fprintf(stderr, "lethe-forward: --tsig: %s: %zu keys, not one\n", text, keys.count);
    tsig_keys_free(&keys);
    return is_one;
}

static bool parse_value(int option, const char *text, struct forward_config *config)
{
    switch (option) {
    case 'l':
        return address_parse(text, &config->listen);
    case 't':
        return address_parse(text, &config->to);
    case 'c':
        return parse_layout(text, &config->protect);
    case 'n':
        return parse_code(text, &config->protect);
    case 'k':
        return parse_key(text, &config->protect);
    default:
        return false;
    }
}

/* 0: go on; else the exit status, plus one. */
static int parse(int argc, char **argv, struct forward_config *config, const char **user,
                 bool *is_json)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},   {"to", required_argument, NULL, 't'},
        {"checksum", required_argument, NULL, 'c'}, {"checksum-code", required_argument, NULL, 'n'},
        {"tsig", required_argument, NULL, 'k'},     {"absent-by-tcp", no_argument, NULL, 'a'},
        {"tcp-first", no_argument, NULL, 'f'},      {"user", required_argument, NULL, 'u'},
        {"json", no_argument, NULL, 'j'},           {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},        {NULL, 0, NULL, 0},
    };
    int option;
    argv[0] = program_invocation_short_name; /* for what getopt says */
    while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
        switch (option) {
        case 'h':
            fputs(help_text, stdout);
            return EXIT_SUCCESS + 1;
        case 'V':
            puts("lethe-forward " LETHE_VERSION);
            return EXIT_SUCCESS + 1;
        case '?':
            fputs("lethe-forward: --help says more\n", stderr);
            return EXIT_USAGE + 1;
        case 'a':
            config->is_absent_by_tcp = true;
            break;
        case 'f':
            config->is_tcp_first = true;
            break;
        case 'u':
            *user = optarg;
            break;
        case 'j':
            *is_json = true;
            break;
        default:
            if (!parse_value(option, optarg, config)) {
                (void)usage_fail("not understood", optarg);
                return EXIT_USAGE + 1;
            }
        }
    }
    if (optind != argc || config->listen.ss_family == 0) {
        (void)(optind != argc ? usage_fail("too many arguments", argv[optind])
                              : usage_fail("--listen is needed", NULL));
        return EXIT_USAGE + 1;
    }
    return 0;
}

static void print_counts(const struct forward_counts *counts, bool is_json)
{
    static const char text[] =
        "%" PRIu64 " questions, %" PRIu64 " refused; responses: %" PRIu64 " good, %" PRIu64
        " not protected, %" PRIu64 " bad; %" PRIu64 " asked over TCP, %" PRIu64
        " over UDP since that failed; %" PRIu64 " forgotten\n";
    static const char json[] =
        "{\"questions\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"good\": %" PRIu64
        ", \"absent\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"by_tcp\": %" PRIu64
        ", \"fell_back\": %" PRIu64 ", \"forgotten\": %" PRIu64 "}\n";
    printf(is_json ? json : text, counts->questions, counts->refused, counts->good, counts->absent,
           counts->bad, counts->by_tcp, counts->fell_back, counts->forgotten);
}

/* The sockets are open, those of transparent forwarding are so for good: nothing more is needed. */
static int drop_privileges(const char *user)
{
    int outcome;
    capng_clear(CAPNG_SELECT_BOTH);
    if (user == NULL) {
        outcome = capng_apply(CAPNG_SELECT_CAPS);
    } else {
        const struct passwd *found = getpwnam(user);
        if (found == NULL) {
            fprintf(stderr, "lethe-forward: --user: \"%.100s\": there is no such user\n", user);
            return -ENOENT;
        }
        outcome = found->pw_uid == geteuid() && found->pw_gid == getegid()
                      ? capng_apply(CAPNG_SELECT_CAPS)
                      : capng_change_id((int)found->pw_uid, (int)found->pw_gid,
                                        CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    }
    if (outcome == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return 0;
    fprintf(stderr, "lethe-forward: cannot give up privileges (%d): %s\n", outcome,
            strerror(errno));
    return -EPERM;
}

static int serve(struct forward *forward, const struct forward_config *config, const char *user,
                 bool is_json)
{
    const char *reason;
    char text[ADDRESS_TEXT_MAX];
    int outcome = forward_open(forward, config, &reason);
    address_to_text(&config->listen, text);
    if (outcome == 0) {
        outcome = drop_privileges(user);
        if (outcome != 0)
            return outcome;
        fprintf(stderr, "lethe-forward: ready on %s\n", text);
        reason = "cannot go on";
        outcome = forward_run(forward, &is_ended);
        print_counts(&forward->counts, is_json);
    }
    if (outcome != 0)
        fprintf(stderr, "lethe-forward: %s on %s: %s\n", reason, text, strerror(-outcome));
    return outcome;
}

int main(int argc, char **argv)
{
    struct forward_config config = {.protect.checksum_code = CHECKSUM_CODE};
    bool is_json = false;
    const char *user = NULL;
    int status = parse(argc, argv, &config, &user, &is_json);
    if (status != 0)
        return status - 1;

    struct forward *forward = calloc(1, sizeof *forward);
    if (forward == NULL) {
        fputs("lethe-forward: no memory\n", stderr);
        return EXIT_REFUSED;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int outcome = serve(forward, &config, user, is_json);
    forward_close(forward);
    free(forward);
    return outcome == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

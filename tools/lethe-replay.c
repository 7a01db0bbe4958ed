/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe-replay - answer the frames of a capture file as lethed would have, without a network.
 */
#include "server/address.h"
#include "server/keys.h"
#include "server/serve.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENDPOINTS_MAX 64

enum {
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
};

static const char help_text[] =
    "usage: lethe-replay IN OUT --zones DIR [OPTION...]\n"
    "\n"
    "Answer each Ethernet frame of capture IN (pcap or pcapng) from the zones in database DIR, as\n"
    "lethed answers UDP and stateless TCP, and write the answers to capture OUT (pcap). Each "
    "answer\n"
    "bears the time of its question: the same input gives the same output.\n"
    "\n"
    "  --zones DIR                 zone database, as made by lethe(1)\n"
    "  --address ADDRESS[@PORT]    answer for this address (repeatable; default: any, port 53)\n"
    "  --key HEX                   secret of the cookies, 64 digits (default: all 0)\n"
    "  --key-file FILE             the same, from the file that lethed has\n"
    "  --tcp-profile classic|modern  how TCP behaves (default: modern)\n"
    "  --tcp-mss OCTETS            segment size asked of clients (536-1460, default: 1220)\n"
    "  --tcp-segment OCTETS        segment size sent (512-1220, default: 1220, classic: 512)\n"
    "  --tcp-fast-open on|off      take requests that come with the SYN (default: off)\n"
    "  --tcp-verify-checksum auto|always|never  (default: auto)\n"
    "  --any minimal|full          ANY gets one RRset or all of them (default: minimal)\n"
    "  --udp-payload OCTETS        largest response over UDP (512-4096, default: 1232)\n"
    "  --json                      print the summary as JSON\n"
    "  --quiet                     print no summary\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 replayed, 1 a file or database is at fault, 2 bad usage.\n";

struct replay {
    const char *path_in, *path_out, *zones;
    struct packet_endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    struct keys_secret secret;
    const char *key_file; /* of the secret; NULL: it is there */
    struct stateless_tcp_config tcp;
    struct respond_policy policy;
    bool is_json, is_quiet;

    uint64_t frames_in, octets_in, frames_answered, frames_out, octets_out;
};

static int usage_fail(const char *what, const char *value)
{
    fprintf(stderr, "lethe-replay: %s%s%s (--help says more)\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return EXIT_USAGE;
}

static int refuse(const char *text)
{
    fprintf(stderr, "lethe-replay: %s\n", text);
    return EXIT_REFUSED;
}

static bool parse_number(const char *text, unsigned min, unsigned max, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = strtoul(text, NULL, 10);
    if (digits == 0 || digits > 5 || text[digits] != '\0' || value < min || value > max)
        return false;
    *out = (uint16_t)value;
    return true;
}

static bool parse_endpoint(const char *text, struct replay *replay)
{
    struct sockaddr_storage address;
    if (replay->endpoint_count == ENDPOINTS_MAX || !address_parse(text, &address))
        return false;
    struct packet_endpoint *endpoint = &replay->endpoints[replay->endpoint_count++];
    endpoint->port = address_port(&address);
    if (address.ss_family == AF_INET) {
        endpoint->address.family = 4;
        memcpy(endpoint->address.octets, &((struct sockaddr_in *)&address)->sin_addr, 4);
    } else {
        endpoint->address.family = 6;
        memcpy(endpoint->address.octets, &((struct sockaddr_in6 *)&address)->sin6_addr, 16);
    }
    return true;
}

/* Index of `text` in a list that NULL ends; -1. */
static int parse_choice(const char *text, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(text, choices[i]) == 0)
            return i;
    return -1;
}

static bool parse_policies(int option, const char *value, struct replay *replay)
{
    static const char *const any[] = {"minimal", "full", NULL};
    static const char *const verify[] = {"auto", "always", "never", NULL};
    static const enum packet_checksum_policy verify_policies[] = {
        PACKET_CHECKSUM_AUTO, PACKET_CHECKSUM_ALWAYS, PACKET_CHECKSUM_NEVER};
    if (option == 'n') {
        int choice = parse_choice(value, any);
        replay->policy.is_any_full = choice == 1;
        return choice >= 0;
    }
    int choice = parse_choice(value, verify);
    if (choice >= 0)
        replay->tcp.checksum_policy = verify_policies[choice];
    return choice >= 0;
}

static bool parse_profile(const char *value, struct replay *replay)
{
    static const char *const profiles[] = {"classic", "modern", NULL};
    int choice = parse_choice(value, profiles);
    replay->tcp.profile = choice == 1 ? STATELESS_TCP_MODERN : STATELESS_TCP_CLASSIC;
    return choice >= 0;
}

static bool parse_fast_open(const char *value, struct replay *replay)
{
    static const char *const switches[] = {"off", "on", NULL};
    int choice = parse_choice(value, switches);
    replay->tcp.has_fast_open = choice == 1;
    return choice >= 0;
}

/* One option with a value. False: the value is bad. */
static bool parse_option(int option, const char *value, struct replay *replay)
{
    switch (option) {
    case 'z':
        replay->zones = value;
        return true;
    case 'a':
        return parse_endpoint(value, replay);
    case 'k':
        return keys_secret_parse(value, &replay->secret);
    case 'f':
        replay->key_file = value;
        return true;
    case 'p':
        return parse_profile(value, replay);
    case 'm':
        return parse_number(value, STATELESS_TCP_MSS_MIN, STATELESS_TCP_MSS_MAX, &replay->tcp.mss);
    case 's':
        return parse_number(value, STATELESS_TCP_SEGMENT_MIN, STATELESS_TCP_SEGMENT_MAX,
                            &replay->tcp.segment_size);
    case 'o':
        return parse_fast_open(value, replay);
    case 'u':
        return parse_number(value, RESPOND_UDP_PAYLOAD_MIN, RESPOND_UDP_PAYLOAD_MAX,
                            &replay->policy.udp_payload);
    default:
        return parse_policies(option, value, replay);
    }
}

static const struct option long_options[] = {
    {"zones", required_argument, NULL, 'z'},
    {"address", required_argument, NULL, 'a'},
    {"key", required_argument, NULL, 'k'},
    {"key-file", required_argument, NULL, 'f'},
    {"tcp-profile", required_argument, NULL, 'p'},
    {"tcp-mss", required_argument, NULL, 'm'},
    {"tcp-segment", required_argument, NULL, 's'},
    {"tcp-fast-open", required_argument, NULL, 'o'},
    {"tcp-verify-checksum", required_argument, NULL, 'c'},
    {"any", required_argument, NULL, 'n'},
    {"udp-payload", required_argument, NULL, 'u'},
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

/* Returns an exit code; -1: go on. */
static int parse_arguments(int argc, char **argv, struct replay *replay)
{
    int option, index = 0;
    argv[0] = program_invocation_short_name; /* for what getopt says */
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        switch (option) {
        case 'h':
            fputs(help_text, stdout);
            return EXIT_SUCCESS;
        case 'v':
            puts("lethe-replay " LETHE_VERSION);
            return EXIT_SUCCESS;
        case 'j':
            replay->is_json = true;
            break;
        case 'q':
            replay->is_quiet = true;
            break;
        case '?':
            fputs("lethe-replay: --help says more\n", stderr);
            return EXIT_USAGE;
        default:
            if (!parse_option(option, optarg, replay)) {
                char what[64];
                snprintf(what, sizeof(what), "bad value for --%s", long_options[index].name);
                return usage_fail(what, optarg);
            }
        }
    }
    if (argc - optind != 2)
        return usage_fail("name two files, IN and OUT", NULL);
    if (replay->zones == NULL)
        return usage_fail("name a zone database with --zones DIR", NULL);
    replay->path_in = argv[optind];
    replay->path_out = argv[optind + 1];
    if (replay->tcp.segment_size == 0)
        replay->tcp.segment_size = replay->tcp.profile == STATELESS_TCP_MODERN
                                       ? STATELESS_TCP_SEGMENT_MAX
                                       : STATELESS_TCP_SEGMENT_DEFAULT;
    if (replay->endpoint_count == 0)
        replay->endpoints[replay->endpoint_count++] =
            (struct packet_endpoint){.port = ADDRESS_PORT_DEFAULT};
    qsort(replay->endpoints, replay->endpoint_count, sizeof(*replay->endpoints),
          packet_endpoint_compare);
    return -1;
}

/* Answer frame by frame. Returns what ended it: -ENODATA at the end of the capture. */
static int replay_frames(struct replay *replay, struct io *io, struct serve *serve)
{
    const struct io_backend *backend = &io_backend_file;
    struct stateless_tcp_keys keys;
    struct io_frame frame;
    struct train train;
    int outcome;
    serve->keys = &keys;
    while ((outcome = backend->receive(io, 0, &frame, 1)) > 0) {
        keys_at(&replay->secret, frame.time_us / 1000000, &keys);
        backend->lend(io, &train);
        serve_frame(serve, &frame, &train);
        replay->frames_in++;
        replay->octets_in += frame.len;
        replay->frames_answered += train.frame_count > 0;
        replay->frames_out += train.frame_count;
        replay->octets_out += train.len;
        outcome = backend->send(io, &train);
        if (outcome != 0)
            break;
    }
    return outcome;
}

static void print_summary(const struct replay *replay)
{
    const char *format = replay->is_json
                             ? "{\"frames_in\": %llu, \"octets_in\": %llu, \"frames_answered\": "
                               "%llu, \"frames_out\": %llu, \"octets_out\": %llu}\n"
                             : "%llu frames in (%llu octets), %llu of them answered, %llu frames "
                               "out (%llu octets)\n";
    if (!replay->is_quiet)
        printf(format, (unsigned long long)replay->frames_in, (unsigned long long)replay->octets_in,
               (unsigned long long)replay->frames_answered, (unsigned long long)replay->frames_out,
               (unsigned long long)replay->octets_out);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat status_a, status_b;
    return stat(a, &status_a) == 0 && stat(b, &status_b) == 0 && S_ISREG(status_a.st_mode) &&
           status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

static int replay_capture(struct replay *replay, struct zonedb_view *view)
{
    static uint8_t stream[SERVE_STREAM_CAP];
    static max_align_t memory[RECENT_SIZE_DEFAULT / sizeof(max_align_t)];
    struct recent recent = recent_make(memory, sizeof memory);
    struct serve serve = {
        .view = view,
        .policy = &replay->policy,
        .tcp = &replay->tcp,
        .endpoints = replay->endpoints,
        .endpoint_count = replay->endpoint_count,
        .is_settled = true, /* there is one snapshot */
        .recent = &recent,
        .stream = stream,
    };
    struct io_config config = {.path_in = replay->path_in, .path_out = replay->path_out};
    struct io_error error;
    struct io *io;
    if (is_same_file(replay->path_in, replay->path_out))
        return usage_fail("IN and OUT are the same file", replay->path_in);
    if (io_backend_file.open(&config, &io, &error) != 0)
        return refuse(error.text);
    int outcome = replay_frames(replay, io, &serve);
    io_backend_file.close(io);
    if (outcome == -ENODATA) {
        print_summary(replay);
        return EXIT_SUCCESS;
    }
    if (outcome == -EBADMSG)
        snprintf(error.text, sizeof(error.text),
                 "%s is damaged after frame %llu; what came before "
                 "it is answered in %s",
                 replay->path_in, (unsigned long long)replay->frames_in, replay->path_out);
    else
        snprintf(error.text, sizeof(error.text), "cannot write %s: %s", replay->path_out,
                 strerror(-outcome));
    return refuse(error.text);
}

int main(int argc, char **argv)
{
    static struct replay replay;
    replay.tcp = stateless_tcp_config_default();
    replay.tcp.profile = STATELESS_TCP_MODERN;
    replay.tcp.segment_size = 0; /* as the profile has it */
    replay.policy = respond_policy_default();
    int exit_code = parse_arguments(argc, argv, &replay);
    if (exit_code >= 0)
        return exit_code;

    char reason[1024];
    if (replay.key_file != NULL &&
        keys_secret_read(replay.key_file, &replay.secret, reason, sizeof reason) != 0)
        return refuse(reason);
    struct zonedb *db;
    struct zonedb_error error;
    if (zonedb_open(replay.zones, ZONEDB_READ, &db, &error) != 0)
        return refuse(error.text);
    struct zonedb_view *view;
    int outcome = zonedb_view_open(db, &view);
    if (outcome == 0) {
        exit_code = replay_capture(&replay, view);
        zonedb_view_close(view);
    } else {
        exit_code = refuse(strerror(-outcome));
    }
    zonedb_close(db);
    return exit_code;
}

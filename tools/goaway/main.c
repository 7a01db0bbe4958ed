/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe-goaway - stop sending where a GoAway, and the target's word, say so. See lethe-goaway(8).
 */
#include "tools/goaway/list.h"
#include "tools/goaway/options.h"
#include "tools/goaway/table.h"
#include "tools/goaway/tell.h"
#include "tools/goaway/watch.h"

#include <cap-ng.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_RUNTIME = 1, EXIT_USAGE = 2, TICK_MS = 100 };

struct program {
    struct options options;
    struct tell tell;
    struct watch *watch;
    struct table *table; /* NULL: nothing is installed */
    struct agent *agent;
    uint64_t now_ms;
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- what the agent asks for ---- */

static int program_send(void *context, const struct goaway_ends *ends, const uint8_t *octets,
                        size_t len)
{
    const struct program *program = context;
    return watch_send(program->watch, ends, octets, len);
}

static int program_block(void *context, enum goaway_code code, const struct goaway_packet *packet,
                         unsigned seconds)
{
    const struct program *program = context;
    struct table_error error;
    if (program->table == NULL)
        return 0;
    int outcome = table_block(program->table, code, packet, seconds, &error);
    if (outcome != 0)
        tell_line("%s", error.text);
    return outcome;
}

static void program_tell(void *context, const struct agent_news *news)
{
    struct program *program = context;
    tell_news(&program->tell, program->now_ms, news);
}

static void program_take(void *context, bool is_outgoing, const uint8_t *octets, size_t len)
{
    struct program *program = context;
    agent_packet(program->agent, program->now_ms, is_outgoing, octets, len);
}

/* ---- privileges ---- */

/* The table needs CAP_NET_ADMIN for each element; the capture and the sockets are open. */
static int drop_privileges(const struct options *options)
{
    capng_clear(CAPNG_SELECT_BOTH);
    if (!options->is_dry)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    int outcome;
    if (options->user == NULL) {
        outcome = capng_apply(CAPNG_SELECT_CAPS);
    } else {
        errno = 0;
        const struct passwd *user = getpwnam(options->user);
        if (user == NULL) {
            tell_line("--user: \"%.100s\": there is no such user", options->user);
            return -ENOENT;
        }
        outcome = capng_change_id((int)user->pw_uid, (int)user->pw_gid,
                                  CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    }
    if (outcome != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        tell_line("cannot give up privileges (%d): %s", outcome, strerror(errno));
        return -EPERM;
    }
    return 0;
}

/* ---- run ---- */

static int program_open(struct program *program)
{
    const struct options *options = &program->options;
    struct watch_error watch_error;
    struct table_error table_error;
    const struct agent_io io = {program, program_send, program_block, program_tell};
    struct agent_config config = {
        .dampening_s = options->dampening_s, .rate = options->rate, .is_edge = options->is_edge};
    program->agent = malloc(sizeof(*program->agent));
    if (program->agent == NULL ||
        getrandom(config.key, sizeof(config.key), 0) != (ssize_t)sizeof(config.key)) {
        tell_line("out of memory, or of random numbers");
        return -ENOMEM;
    }
    agent_begin(program->agent, &config, &io);
    int outcome = watch_open(options->interface, options->filter, options->is_edge, &program->watch,
                             &watch_error);
    if (outcome != 0) {
        tell_line("%s", watch_error.text);
        return outcome;
    }
    const struct table_config table_config = {
        .is_kept = options->is_kept,
        .edge_index = options->is_edge ? if_nametoindex(options->interface) : 0,
        .element_max = 2 * AGENT_BLOCKS_MAX, /* the kernel forgets those that are over later */
    };
    if (!options->is_dry &&
        (outcome = table_open(&table_config, &program->table, &table_error)) != 0) {
        tell_line("%s", table_error.text);
        return outcome;
    }
    return drop_privileges(options);
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int program_run(struct program *program, int signals)
{
    struct pollfd ready[] = {
        {.fd = watch_descriptor(program->watch), .events = POLLIN},
        {.fd = signals, .events = POLLIN},
    };
    struct watch_error error;
    for (;;) {
        if (poll(ready, 2, TICK_MS) < 0 && errno != EINTR)
            return -errno;
        if (ready[1].revents != 0)
            return 0;
        program->now_ms = clock_ms();
        if (watch_read(program->watch, program_take, program, &error) < 0) {
            tell_line("%s", error.text);
            return -EIO;
        }
        agent_tick(program->agent, program->now_ms);
    }
}

static bool has_number(const char *path)
{
    FILE *file = fopen(path, "re");
    bool is_one = file != NULL && fgetc(file) > '0';
    if (file != NULL)
        fclose(file);
    return is_one;
}

static void warn_of_no_router(const struct options *options)
{
    if (options->is_edge && !has_number("/proc/sys/net/ipv4/ip_forward") &&
        !has_number("/proc/sys/net/ipv6/conf/all/forwarding"))
        tell_line("warning: --edge, and this host forwards nothing: set net.ipv4.ip_forward or "
                  "net.ipv6.conf.all.forwarding");
}

static int program_main(struct program *program)
{
    int signals = open_signals();
    int outcome = program_open(program);
    if (outcome == 0) {
        tell_line(
            "ready: watching %s%s, dampening %u s%s",
            program->options.interface != NULL ? program->options.interface : "all interfaces",
            program->options.is_edge ? " for who is behind" : "", program->options.dampening_s,
            program->options.is_dry ? ", nothing is blocked (--dry-run)" : "");
        warn_of_no_router(&program->options);
        outcome = program_run(program, signals);
        tell_sums(&program->tell, program->agent, watch_lost(program->watch));
    }
    table_close(program->table);
    watch_close(program->watch);
    free(program->agent);
    return outcome == 0 ? EXIT_SUCCESS : EXIT_RUNTIME;
}

int main(int argc, char **argv)
{
    struct program program = {.now_ms = clock_ms()};
    char reason[256];
    switch (options_parse(argc, argv, &program.options, reason, sizeof(reason))) {
    case OPTIONS_RUN:
        if (program.options.is_list)
            return list_blocks(program.options.is_json) == 0 ? EXIT_SUCCESS : EXIT_RUNTIME;
        program.tell = (struct tell){.is_json = program.options.is_json,
                                     .is_dry = program.options.is_dry,
                                     .is_edge = program.options.is_edge};
        return program_main(&program);
    case OPTIONS_HELP:
        options_print_help();
        return EXIT_SUCCESS;
    case OPTIONS_VERSION:
        puts("lethe-goaway " LETHE_VERSION);
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        tell_line("%s", reason);
        return EXIT_USAGE;
    }
    return EXIT_USAGE;
}

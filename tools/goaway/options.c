/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/goaway/options.h"

#include "tools/goaway/agent.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_DAMPENING = 256,
    OPTION_DRY_RUN,
    OPTION_EDGE,
    OPTION_INTERFACE,
    OPTION_JSON,
    OPTION_KEEP,
    OPTION_LIST,
    OPTION_RATE,
    OPTION_USER,
    OPTION_WATCH,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option table[] = {
    {"dampening", required_argument, NULL, OPTION_DAMPENING},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"edge", no_argument, NULL, OPTION_EDGE},
    {"interface", required_argument, NULL, OPTION_INTERFACE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"list", no_argument, NULL, OPTION_LIST},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"user", required_argument, NULL, OPTION_USER},
    {"watch", required_argument, NULL, OPTION_WATCH},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static bool set_number(const char *name, const char *value, unsigned max, unsigned *number_out,
                       char *reason, size_t reason_cap)
{
    size_t digits = strspn(value, "0123456789");
    unsigned long number = digits <= 9 ? strtoul(value, NULL, 10) : 0;
    if (digits == 0 || value[digits] != '\0' || number < 1 || number > max) {
        snprintf(reason, reason_cap, "--%s: \"%.100s\" is not a number from 1 to %u", name, value,
                 max);
        return false;
    }
    *number_out = (unsigned)number;
    return true;
}

/* False: what is wrong is said. */
static bool set_option(int option, const char *word, struct options *options, char *reason,
                       size_t reason_cap)
{
    switch (option) {
    case OPTION_DAMPENING:
        return set_number("dampening", optarg, AGENT_DAMPENING_MAX_S, &options->dampening_s, reason,
                          reason_cap);
    case OPTION_RATE:
        return set_number("rate", optarg, 1000, &options->rate, reason, reason_cap);
    case OPTION_DRY_RUN:
        options->is_dry = true;
        return true;
    case OPTION_EDGE:
        options->is_edge = true;
        return true;
    case OPTION_LIST:
        options->is_list = true;
        return true;
    case OPTION_JSON:
        options->is_json = true;
        return true;
    case OPTION_KEEP:
        options->is_kept = true;
        return true;
    case OPTION_INTERFACE:
        options->interface = optarg;
        return true;
    case OPTION_USER:
        options->user = optarg;
        return true;
    case OPTION_WATCH:
        options->filter = optarg;
        return true;
    default:
        snprintf(reason, reason_cap, "%.100s %s; try lethe-goaway --help", word,
                 option == ':' ? "needs a value" : "is not an option");
        return false;
    }
}

enum options_outcome options_parse(int argc, char **argv, struct options *options_out, char *reason,
                                   size_t reason_cap)
{
    int option;
    *options_out = (struct options){.filter = "udp or tcp",
                                    .dampening_s = AGENT_DAMPENING_DEFAULT_S,
                                    .rate = AGENT_RATE_DEFAULT};
    opterr = 0;
    for (int at = 1; (option = getopt_long(argc, argv, "+:h", table, NULL)) != -1; at = optind) {
        if (option == OPTION_HELP || option == 'h')
            return OPTIONS_HELP;
        if (option == OPTION_VERSION)
            return OPTIONS_VERSION;
        if (!set_option(option, argv[at], options_out, reason, reason_cap))
            return OPTIONS_WRONG;
    }
    if (options_out->is_edge && options_out->interface == NULL) {
        snprintf(reason, reason_cap, "--edge: say --interface too, the one that leads out");
        return OPTIONS_WRONG;
    }
    if (optind == argc)
        return OPTIONS_RUN;
    snprintf(reason, reason_cap, "\"%.100s\" is not an option; try lethe-goaway --help",
             argv[optind]);
    return OPTIONS_WRONG;
}

void options_print_help(void)
{
    puts("Usage: lethe-goaway [OPTION]...\n"
         "\n"
         "Stop sending to hosts that ask for it by GoAway and confirm it.\n"
         "\n"
         "  --dampening SECONDS  how long a block lasts (1-86400, default: 60)\n"
         "  --interface IFNAME   watch this interface alone\n"
         "  --edge               on a router: for who is behind it, where --interface leads out\n"
         "  --watch FILTER       watch these packets alone (default: udp or tcp)\n"
         "  --rate COUNT         ask back at most so often a second (1-1000, default: 10)\n"
         "  --dry-run            ask back and tell, but block nothing\n"
         "  --keep               leave blocks to their time at the end\n"
         "  --user NAME          become this user once everything is open\n"
         "  --list               say what is blocked now, and exit\n"
         "  --json               tell in JSON on standard output\n"
         "  -h, --help, --version  say it, and exit\n"
         "\n"
         "Exit status: 0 after SIGTERM or SIGINT; 1 it could not run; 2 options are wrong.");
}

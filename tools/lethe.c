/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe - look after zone databases.
 */
#include "tools/lethe.h"
#include "zonedb/fault.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The lock of the database is waited for in silence so long. */
#define WAITING_S 2

enum option_code {
    OPTION_DB = 256,
    OPTION_QUIET,
    OPTION_JSON,
    OPTION_TIME,
    OPTION_LIST,
    OPTION_FORMAT,
    OPTION_PARENT,
    OPTION_CACHE,
    OPTION_HINTS,
    OPTION_POLICY,
    OPTION_SPREAD,
    OPTION_FINDINGS,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_VERSION,
};

struct command {
    const char *group, *verb;
    int words_min, words_max;
    bool needs_db;
    int (*run)(const struct lethe_arguments *);
    const char *usage;
    const char *help;
};

static const struct command commands[] = {
    {"zone", "load", 0, 2, true, lethe_zone_load,
     "lethe --db DIR zone load [--format text|tinydns] NAME FILE | --list LIST",
     "Check zone text in FILE (-: standard input) and put it in place of zone NAME, while servers\n"
     "answer. A refused file changes nothing. The database is made when there is none.\n"
     "--list: load many zones, one NAME FILE in each line of LIST (-: standard input); relative\n"
     "FILEs are beside LIST. Zones without errors are loaded, many in one transaction.\n"
     "--format tinydns: FILE is one of tinydns-data, as a FILE with the name \"data\" is "
     "anyway.\n"},
    {"zone", "import", 1, 1, true, lethe_zone_import, "lethe --db DIR zone import FILE",
     "Load all zones of a tinydns-data file (-: standard input), those of its \".\" and \"Z\" "
     "lines, in\n"
     "one transaction. A file with an error changes nothing.\n"},
    {"zone", "change", 1, 2, true, lethe_zone_change, "lethe --db DIR zone change NAME [FILE]",
     "Change records of zone NAME in one transaction, while servers answer: FILE (-, or none:\n"
     "standard input) has a record in each line, behind \"- \" one that goes, behind \"+ \" one "
     "that\n"
     "comes. The serial is raised by one unless a SOA comes. A refused change changes nothing.\n"},
    {"zone", "check", 1, 2, false, lethe_zone_check,
     "lethe zone check [--time T] [--format text|tinydns] NAME FILE",
     "Check zone text without a database: all that `zone load` checks, and in a signed zone\n"
     "signatures, denial chains and DS digests. --time: judge signatures at this time\n"
     "(YYYYMMDDHHMMSS, or seconds since 1970) instead of now. Of a tinydns-data file, without "
     "NAME,\n"
     "all zones are checked.\n"},
    {"zone", "dump", 1, 2, true, lethe_zone_dump, "lethe --db DIR zone dump NAME [FILE]",
     "Write zone NAME as text to FILE or standard output, SOA first, then in canonical order.\n"},
    {"zone", "list", 0, 0, true, lethe_zone_list, "lethe --db DIR zone list [--json]",
     "List the zones: name, serial, state, kind of signing, records, time of loading.\n"},
    {"zone", "remove", 1, 1, true, lethe_zone_remove, "lethe --db DIR zone remove NAME",
     "Remove zone NAME, while servers answer.\n"},
    {"zone", "withhold", 1, 1, true, lethe_zone_withhold, "lethe --db DIR zone withhold NAME",
     "Answer questions for zone NAME as if it were not there, until `zone serve`; loads and "
     "changes\n"
     "go on.\n"},
    {"zone", "serve", 1, 1, true, lethe_zone_serve, "lethe --db DIR zone serve NAME",
     "Answer from zone NAME again.\n"},
    {"zone", "stat", 0, 1, true, lethe_zone_stat, "lethe --db DIR zone stat [NAME] [--json]",
     "Show what the database knows of zone NAME, or of itself.\n"},
    {"audit", NULL, 0, 1000000, true, lethe_audit,
     "lethe --db DIR audit [--parent ADDRESS[@PORT]]... [--hints FILE] [--policy POLICY] [ZONE...]",
     "Ask the servers of the zones above whether ZONEs (all, if none is named) are still delegated "
     "to\n"
     "us, note what they say, and do as the POLICY of each zone says when it has been said often\n"
     "enough: off, warn, cut-ttl, withhold. --parent and --policy are remembered: for ZONEs, or "
     "for\n"
     "all zones that have none of their own. --hints: where to begin with the root, if there is "
     "no\n"
     "--parent. --findings N (3), --spread TIME (6h): how often, and over what time, bad news "
     "must\n"
     "come. --timeout S (3): of each try.\n"},
    {"kiting", NULL, 1, 1000000, false, lethe_kiting,
     "lethe kiting --cache ADDRESS[@PORT] --parent ADDRESS[@PORT] | --hints FILE ZONE...",
     "Compare the name servers that a cache has for ZONEs with those that the zone above delegates "
     "to\n"
     "now. A cache that has none of these is called a ghost's; then the exit code is 1.\n"},
    {"db", "set", 2, 2, true, lethe_db_set, "lethe --db DIR db set ns-ttl-cap SECONDS|off",
     "Let no NS record at a zone's apex have a TTL above SECONDS, whatever is loaded; those that "
     "are\n"
     "there are cut at once.\n"},
    {"db", "copy", 1, 1, true, lethe_db_copy, "lethe --db DIR db copy TARGET",
     "Write a compacted copy of the database into directory TARGET (empty or not there yet),\n"
     "while others read and write.\n"},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out, const char *group)
{
    fprintf(out, "lethe looks after zone databases of the lethed name server.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (group == NULL || strcmp(group, commands[i].group) == 0)
            fprintf(out, "  %s\n", commands[i].usage);
    fprintf(out, "\n"
                 "  --db DIR    directory of the zone database\n"
                 "  --quiet, -q only errors\n"
                 "  --json      results for programs\n"
                 "  --help, -h  this text, or that of a subcommand\n"
                 "  --version\n\n"
                 "NAME is a domain name as in a zone file; the root zone is \".\".\n"
                 "Exit codes: 0 done, 1 refused or failed, 2 wrong use.\n");
}

int lethe_usage(const char *format, ...)
{
    va_list arguments;

    fputs("lethe: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\n", stderr);
    return EXIT_USAGE;
}

int lethe_fail(const char *format, ...)
{
    va_list arguments;

    fputs("lethe: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\n", stderr);
    return EXIT_REFUSED;
}

bool lethe_name(const char *text, uint8_t name[NAME_MAX_LEN])
{
    if (strcmp(text, "@") != 0 && name_from_text(text, name) > 0)
        return true;
    lethe_fail("\"%s\" is not a domain name; NAME is that of the zone, such as example.com", text);
    return false;
}

static bool is_alarm_set;

static void on_alarm(int number)
{
    static const char text[] =
        "lethe: another program is writing to the database; waiting for it\n";
    (void)number;
    const ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
}

void lethe_waiting_ends(void)
{
    if (is_alarm_set) /* called for each zone */
        alarm(0);
    is_alarm_set = false;
}

struct zonedb *lethe_open(const struct lethe_arguments *arguments, enum zonedb_mode mode)
{
    struct zonedb_error error;
    struct zonedb *db = NULL;

    if (mode != ZONEDB_READ && signal(SIGALRM, on_alarm) != SIG_ERR) {
        alarm(WAITING_S);
        is_alarm_set = true;
    }
    if (zonedb_open(arguments->db, mode, &db, &error) != 0) {
        lethe_waiting_ends();
        lethe_fail("%s", error.text);
        return NULL;
    }
    zonedb_fault_explain("lethe", arguments->db);
    return db;
}

void lethe_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

int lethe_finish_output(int exit_code)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return lethe_fail("standard output: %s", strerror(errno));
    return exit_code;
}

/* Seconds since 1970, or YYYYMMDDHHMMSS (UTC) as in RRSIGs. */
static bool parse_time(const char *text, uint64_t *time_out)
{
    const size_t len = strlen(text);

    if (len == 0 || strspn(text, "0123456789") != len || len > 14)
        return false;
    if (len < 14) {
        *time_out = strtoull(text, NULL, 10);
        return true;
    }
    struct tm tm = {0};
    const char *end = strptime(text, "%Y%m%d%H%M%S", &tm);
    if (end == NULL || *end != '\0')
        return false;
    *time_out = (uint64_t)timegm(&tm);
    return true;
}

static int run_command(const struct command *command, struct lethe_arguments *arguments,
                       bool has_help)
{
    if (has_help) {
        printf("usage: %s\n\n%s", command->usage, command->help);
        return lethe_finish_output(EXIT_OK);
    }
    if (arguments->word_count < command->words_min || arguments->word_count > command->words_max)
        return lethe_usage("usage: %s", command->usage);
    if (command->needs_db && arguments->db == NULL)
        return lethe_usage("--db DIR is missing; usage: %s", command->usage);
    return command->run(arguments);
}

static int dispatch(struct lethe_arguments *arguments, bool has_help)
{
    const char *group = arguments->word_count > 0 ? arguments->words[0] : NULL;
    const char *verb = arguments->word_count > 1 ? arguments->words[1] : NULL;
    bool is_group = group == NULL;

    for (size_t i = 0; i < COMMAND_COUNT && group != NULL; i++) {
        if (strcmp(group, commands[i].group) != 0)
            continue;
        const int own_words = commands[i].verb != NULL ? 2 : 1;
        is_group = own_words == 2;
        if (is_group && (verb == NULL || strcmp(verb, commands[i].verb) != 0))
            continue;
        arguments->words += own_words;
        arguments->word_count -= own_words;
        return run_command(&commands[i], arguments, has_help);
    }
    if (has_help && is_group && verb == NULL) {
        print_help(stdout, group);
        return lethe_finish_output(EXIT_OK);
    }
    if (is_group && verb == NULL) {
        print_help(stderr, group);
        return EXIT_USAGE;
    }
    return lethe_usage("no subcommand \"%s%s%s\"; see lethe --help", group, is_group ? " " : "",
                       is_group ? verb : "");
}

/* Options with a text, which the subcommand takes apart; returns whether it is one. */
static bool take_text(struct lethe_arguments *arguments, int option, const char *value)
{
    const int parents_max = (int)(sizeof(arguments->parents) / sizeof(arguments->parents[0]));

    switch (option) {
    case OPTION_DB:
        arguments->db = value;
        return true;
    case OPTION_LIST:
        arguments->list = value;
        return true;
    case OPTION_PARENT:
        if (arguments->parent_count < parents_max)
            arguments->parents[arguments->parent_count++] = value;
        return true;
    case OPTION_CACHE:
        arguments->cache = value;
        return true;
    case OPTION_HINTS:
        arguments->hints = value;
        return true;
    case OPTION_POLICY:
        arguments->policy = value;
        return true;
    case OPTION_SPREAD:
        arguments->spread = value;
        return true;
    case OPTION_FINDINGS:
        arguments->findings = value;
        return true;
    case OPTION_TIMEOUT:
        arguments->timeout = value;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"db", required_argument, NULL, OPTION_DB},
        {"quiet", no_argument, NULL, OPTION_QUIET},
        {"json", no_argument, NULL, OPTION_JSON},
        {"time", required_argument, NULL, OPTION_TIME},
        {"list", required_argument, NULL, OPTION_LIST},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"parent", required_argument, NULL, OPTION_PARENT},
        {"cache", required_argument, NULL, OPTION_CACHE},
        {"hints", required_argument, NULL, OPTION_HINTS},
        {"policy", required_argument, NULL, OPTION_POLICY},
        {"spread", required_argument, NULL, OPTION_SPREAD},
        {"findings", required_argument, NULL, OPTION_FINDINGS},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
    };
    struct lethe_arguments arguments = {0};
    bool has_help = false;

    argv[0] = program_invocation_short_name; /* for what getopt says */
    for (int option; (option = getopt_long(argc, argv, "hq", options, NULL)) != -1;) {
        switch (option) {
        case 'q':
        case OPTION_QUIET:
            arguments.is_quiet = true;
            break;
        case OPTION_JSON:
            arguments.is_json = true;
            break;
        case OPTION_TIME:
            if (!parse_time(optarg, &arguments.time_s))
                return lethe_usage("--time %s: neither seconds nor YYYYMMDDHHMMSS", optarg);
            arguments.has_time = true;
            break;
        case OPTION_FORMAT:
            if (strcmp(optarg, "text") != 0 && strcmp(optarg, "tinydns") != 0)
                return lethe_usage("--format %s: neither text nor tinydns", optarg);
            arguments.format = optarg;
            break;
        case 'h':
        case OPTION_HELP:
            has_help = true;
            break;
        case OPTION_VERSION:
            printf("lethe %s\n", LETHE_VERSION);
            return lethe_finish_output(EXIT_OK);
        default:
            if (!take_text(&arguments, option, optarg))
                return lethe_usage("--help says more");
        }
    }
    arguments.words = argv + optind;
    arguments.word_count = argc - optind;
    return dispatch(&arguments, has_help);
}

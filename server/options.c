/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command line. Every key of the file has its option; addresses have three that belong
 * together:
 *
 *     --listen A --listen B --tcp stateless                     both stateless
 *     --listen A --tcp kernel --listen B --tcp stateless        one each
 *     --tcp kernel --listen A --tcp stateless --listen B        one each
 *
 * --tcp (and --interface) settles every address before it that is not settled yet. What comes after
 * it inherits its value: for good when it stood first and settled nothing, else until the next one.
 * Addresses of the file, where none are on the command line, stand before everything.
 */
#include "server/config.h"
#include "server/nearest.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_CONFIG = 256,
    OPTION_CHECK,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_LISTEN,
    OPTION_TCP,
    OPTION_INTERFACE,
    OPTION_KEY, /* + enum config_key_id */
};

#define HELP_COLUMN 30
#define OPTION_COUNT (OPTION_KEY - OPTION_CONFIG + CONFIG_KEY_COUNT + 1)

static void options_table(struct option table[OPTION_COUNT])
{
    static const struct option fixed[] = {
        {"config", required_argument, NULL, OPTION_CONFIG},
        {"check-config", no_argument, NULL, OPTION_CHECK},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"listen", required_argument, NULL, OPTION_LISTEN},
        {"tcp", required_argument, NULL, OPTION_TCP},
        {"interface", required_argument, NULL, OPTION_INTERFACE},
    };
    size_t count = sizeof fixed / sizeof fixed[0];
    memcpy(table, fixed, sizeof fixed);
    for (int i = 0; i < CONFIG_KEY_COUNT; i++)
        table[count++] =
            (struct option){config_keys[i].option, required_argument, NULL, OPTION_KEY + i};
    table[count++] = (struct option){0};
    assert(count == OPTION_COUNT);
}

/* One of --tcp and --interface while the command line is read from left to right. */
struct inherited {
    const char *value; /* of the last one; NULL: none yet */
    bool is_final;     /* it stood first: what comes after it is settled by it */
    bool is_used;      /* some address got it */
};

struct options {
    struct config *config;
    struct inherited tcp, interface;
    bool is_tcp_settled[CONFIG_LISTEN_MAX], is_interface_settled[CONFIG_LISTEN_MAX];
};

static int options_set_tcp(struct config_listen *listen, const char *value,
                           struct config_error *error)
{
    int choice = config_choose(config_tcp_choices, value, error);
    if (choice < 0)
        return -EINVAL;
    listen->tcp = (enum config_tcp)choice;
    return 0;
}

typedef int options_set(struct config_listen *listen, const char *value,
                        struct config_error *error);

static int options_settle(struct config *config, struct inherited *inherited, bool *is_settled,
                          options_set *set, const char *value, struct config_error *error)
{
    struct config_listen probe;
    if (set(&probe, value, error) != 0)
        return -EINVAL;
    bool is_any_settled = false;
    for (size_t i = 0; i < config->listen_count; i++) {
        if (is_settled[i])
            continue;
        set(&config->listen[i], value, error);
        is_settled[i] = is_any_settled = true;
    }
    *inherited = (struct inherited){value, !is_any_settled, is_any_settled};
    return 0;
}

static int options_listen(struct options *options, const char *value, struct config_error *error)
{
    struct config *config = options->config;
    if (config_listen_add(config, value, error) != 0)
        return -EINVAL;
    size_t i = config->listen_count - 1;
    if (options->tcp.value != NULL) {
        options_set_tcp(&config->listen[i], options->tcp.value, error);
        options->is_tcp_settled[i] = options->tcp.is_final;
        options->tcp.is_used = true;
    }
    if (options->interface.value != NULL) {
        config_listen_set_interface(&config->listen[i], options->interface.value, error);
        options->is_interface_settled[i] = options->interface.is_final;
        options->interface.is_used = true;
    }
    return 0;
}

static int options_unused(const char *option, struct config_error *error)
{
    snprintf(error->text, sizeof error->text, "--%s: there is no --listen that it could apply to",
             option);
    return -EINVAL;
}

/* A list on the command line replaces the file's, as addresses do. */
static int options_set_key(struct config *config, int k, const char *value,
                           struct config_error *error)
{
    const struct config_key *key = &config_keys[k];
    if (key->kind == CONFIG_KIND_PREFIXES && config->line[k] != 0)
        config_clear(config, key);
    config->line[k] = 0;
    return config_set(config, key, value, error);
}

static int options_apply_one(struct options *options, int option, const char *value,
                             struct config_error *error)
{
    switch (option) {
    case OPTION_LISTEN:
        return options_listen(options, value, error);
    case OPTION_TCP:
        if (options->tcp.value != NULL && !options->tcp.is_used)
            return options_unused("tcp", error);
        return options_settle(options->config, &options->tcp, options->is_tcp_settled,
                              options_set_tcp, value, error);
    case OPTION_INTERFACE:
        if (options->interface.value != NULL && !options->interface.is_used)
            return options_unused("interface", error);
        return options_settle(options->config, &options->interface, options->is_interface_settled,
                              config_listen_set_interface, value, error);
    default:
        return options_set_key(options->config, option - OPTION_KEY, value, error);
    }
}

/* Interfaces given on the command line matter to its stateless addresses only. */
static int options_finish(struct options *options, struct config_error *error)
{
    struct config *config = options->config;
    bool is_wanted = false;
    if (options->tcp.value != NULL && !options->tcp.is_used)
        return options_unused("tcp", error);
    if (options->interface.value == NULL)
        return 0;
    for (size_t i = 0; i < config->listen_count; i++) {
        if (config->listen[i].tcp == CONFIG_TCP_STATELESS)
            is_wanted = true;
        else
            config->listen[i].interface[0] = '\0';
    }
    if (!options->interface.is_used)
        return options_unused("interface", error);
    if (is_wanted)
        return 0;
    snprintf(error->text, sizeof error->text,
             "--interface: only --tcp stateless uses an interface, and no --listen has that");
    return -EINVAL;
}

static int options_name_error(const struct option *table, int option, struct config_error *error)
{
    char reason[sizeof error->text];
    memcpy(reason, error->text, sizeof reason);
    for (; table->name != NULL; table++)
        if (table->val == option && strncmp(reason, "--", 2) != 0)
            snprintf(error->text, sizeof error->text, "--%s: %.400s", table->name, reason);
    return -EINVAL;
}

/* -c FILE and -h, as other servers have them, beside the long ones. */
static const char options_letters[] = "+:c:h";

/* `word`: what getopt_long() was at. */
static int options_usage(const char *word, bool is_value_missing, const struct option *table,
                         struct config_error *error)
{
    struct nearest nearest = {.typed = word + strspn(word, "-")};
    for (; table->name != NULL; table++)
        nearest_offer(&nearest, table->name);
    if (is_value_missing)
        snprintf(error->text, sizeof error->text, "%.100s needs a value; try lethed --help", word);
    else if (nearest.found != NULL)
        snprintf(error->text, sizeof error->text, "%.100s is not an option; is it --%s?", word,
                 nearest.found);
    else
        snprintf(error->text, sizeof error->text, "%.100s is not an option; try lethed --help",
                 word);
    return -EINVAL;
}

/* First look: what to do and which file to read. */
static int options_scan(int argc, char **argv, const struct option *table,
                        enum config_action *action_out, const char **path_out, bool *has_listen_out,
                        struct config_error *error)
{
    int option;
    *action_out = CONFIG_RUN;
    *path_out = NULL;
    *has_listen_out = false;
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    for (int at = 1; (option = getopt_long(argc, argv, options_letters, table, NULL)) != -1;
         at = optind) {
        if (option == OPTION_CONFIG || option == 'c')
            *path_out = optarg;
        else if (option == OPTION_CHECK)
            *action_out = CONFIG_CHECK;
        else if (option == OPTION_LISTEN)
            *has_listen_out = true;
        else if (option == ':' || option == '?')
            return options_usage(argv[at], option == ':', table, error);
        else if (option == OPTION_HELP || option == 'h' || option == OPTION_VERSION) {
            *action_out = option == OPTION_VERSION ? CONFIG_VERSION : CONFIG_HELP;
            return 0;
        }
    }
    if (optind == argc)
        return 0;
    snprintf(error->text, sizeof error->text, "\"%.100s\" is not an option; try lethed --help",
             argv[optind]);
    return -EINVAL;
}

static int options_apply(int argc, char **argv, const struct option *table, struct config *config,
                         struct config_error *error)
{
    struct options options = {.config = config};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, options_letters, table, NULL)) != -1)
        if (option >= OPTION_LISTEN && options_apply_one(&options, option, optarg, error) != 0)
            return options_name_error(table, option, error);
    return options_finish(&options, error);
}

int config_load(int argc, char **argv, enum config_action *action_out, struct config *config_out,
                struct config_error *error)
{
    struct option table[OPTION_COUNT];
    const char *path;
    bool has_listen;
    options_table(table);
    config_init(config_out);
    error->text[0] = '\0';
    int outcome = options_scan(argc, argv, table, action_out, &path, &has_listen, error);
    if (outcome != 0 || *action_out == CONFIG_HELP || *action_out == CONFIG_VERSION)
        return outcome;
    if (path != NULL && (outcome = config_read(config_out, path, error)) != 0)
        return outcome;
    /* Addresses on the command line replace the file's: a mixture is never what was meant. */
    if (has_listen)
        config_out->listen_count = 0;
    outcome = options_apply(argc, argv, table, config_out, error);
    return outcome != 0 ? outcome : config_check(config_out, error);
}

static void options_print(const char *option, const char *argument, const char *help)
{
    char left[64];
    int len = snprintf(left, sizeof left, "--%s %s", option, argument);
    if (len > HELP_COLUMN)
        printf("  %s\n%*s%s\n", left, HELP_COLUMN + 3, "", help);
    else
        printf("  %-*s %s\n", HELP_COLUMN, left, help);
}

void config_print_help(void)
{
    puts("Usage: lethed [--config FILE] [OPTION VALUE]...\n"
         "       lethed --check-config [--config FILE] [OPTION VALUE]...\n"
         "\n"
         "Answer DNS queries from a zone database, over UDP, TCP and TCP without state.\n"
         "Options win over the file; no file is needed.\n");
    options_print("config", "FILE", "(-c) read this file first, see lethed.yaml(5)");
    options_print("check-config", "", "check file and options, then exit");
    options_print("listen", "ADDRESS[@PORT]", "serve here; may be repeated");
    options_print("tcp", "kernel|stateless|off", "TCP of the --listen before it (default: kernel)");
    options_print("interface", "IFNAME", "where frames for stateless TCP are captured");
    for (int i = 0; i < CONFIG_KEY_COUNT; i++)
        options_print(config_keys[i].option, config_keys[i].argument, config_keys[i].help);
    options_print("help", "", "(-h) show this");
    options_print("version", "", "show the version");
    puts(
        "\nExit status: 0 after SIGTERM or SIGINT; 1 it could not serve; 2 options or file wrong.");
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command line: which address gets which TCP and interface; that every key has its option; that
 * options win over the file.
 */
#include "server/config.h"
#include "test_main.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct config config;
static struct config_error error;
static enum config_action action;

/* Load from words separated by blanks. */
static int load(const char *words)
{
    char *argv[64] = {(char[]){"lethed"}}, *copy = strdup(words), *rest = copy, *word;
    int argc = 1;
    while ((word = strsep(&rest, " ")) != NULL)
        if (*word != '\0')
            argv[argc++] = word;
    int outcome = config_load(argc, argv, &action, &config, &error);
    free(copy);
    return outcome;
}

/* "kernel stateless/eth0 off": what each address got. */
static const char *got(void)
{
    static char text[512];
    text[0] = '\0';
    for (size_t i = 0; i < config.listen_count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%s%s", i > 0 ? " " : "",
                 config_tcp_choices[config.listen[i].tcp],
                 config.listen[i].interface[0] != '\0' ? "/" : "", config.listen[i].interface);
    return text;
}

static const struct {
    const char *words, *got;
} good[] = {
    {"--listen ::1", "kernel"},
    {"--listen ::1 --listen ::2", "kernel kernel"},
    {"--listen ::1 --listen ::2 --tcp stateless", "stateless stateless"},
    {"--listen ::1 --tcp kernel --listen ::2 --tcp stateless", "kernel stateless"},
    {"--listen ::1 --tcp stateless --listen ::2 --tcp kernel", "stateless kernel"},
    {"--listen ::1 --tcp off --listen ::2", "off off"},
    {"--listen ::1 --tcp off --listen ::2 --listen ::3 --tcp kernel", "off kernel kernel"},
    {"--tcp off --listen ::1 --listen ::2", "off off"},
    {"--tcp kernel --listen ::1 --tcp stateless --listen ::2", "kernel stateless"},
    {"--tcp kernel --listen ::1 --listen ::2 --tcp off --listen ::3 --listen ::4",
     "kernel kernel off off"},
    {"--listen ::1 --tcp stateless --interface eth0", "stateless/eth0"},
    {"--interface eth0 --listen ::1 --tcp stateless", "stateless/eth0"},
    {"--listen ::1 --listen ::2 --tcp stateless --interface eth0", "stateless/eth0 stateless/eth0"},
    {"--listen ::1 --tcp stateless --interface eth0 --listen ::2 --interface eth1",
     "stateless/eth0 stateless/eth1"},
    {"--listen ::1 --tcp stateless --interface eth0 --listen ::2 --tcp kernel",
     "stateless/eth0 kernel"},
    {"--listen ::1 --tcp kernel --listen ::2 --tcp stateless --interface eth0",
     "kernel stateless/eth0"},
    {"--listen 0.0.0.0@5300 --tcp stateless --interface eth0", "stateless/eth0"},
};

START_TEST(test_which_address_gets_what)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char words[256];
        snprintf(words, sizeof words, "--db d %s", good[i].words);
        ck_assert_msg(load(words) == 0, "%s: %s", words, error.text);
        ck_assert_msg(strcmp(got(), good[i].got) == 0, "%s: got %s, wanted %s", words, got(),
                      good[i].got);
    }
}
END_TEST

static const struct {
    const char *words, *reason;
} bad[] = {
    {"", "no database: say --db DIR"},
    {"--db d", "nothing to listen on: say --listen ADDRESS@PORT"},
    {"--listen ::1", "no database"},
    {"--db d --listen", "--listen needs a value"},
    {"--db d --listen ::1 --nonsense", "--nonsense is not an option"},
    {"--db d --listen ::1 nonsense", "\"nonsense\" is not an option"},
    {"--db d --listen ::1 -x", "-x is not an option"},
    {"-db d", "-db is not an option; is it --db?"},
    {"--db d --lisetn ::1", "--lisetn is not an option; is it --listen?"},
    {"--db d --listen ::1 -c", "-c needs a value"},
    {"-c /nonexistent.yaml", "/nonexistent.yaml: cannot be read"},
    {"--db d --listen nowhere", "--listen: \"nowhere\" is not ADDRESS@PORT"},
    {"--db d --listen ::1 --listen ::1@53", "--listen: ::1@53 is there twice"},
    {"--db d --listen ::1 --tcp on", "--tcp: \"on\" is not kernel, stateless or off"},
    {"--db d --tcp kernel", "--tcp: there is no --listen"},
    {"--db d --tcp kernel --tcp off --listen ::1", "--tcp: there is no --listen"},
    {"--db d --listen ::1 --interface lo", "--interface: only --tcp stateless uses"},
    {"--db d --listen ::1 --tcp off --interface lo", "--interface: only --tcp stateless uses"},
    {"--db d --interface lo", "--interface: there is no --listen"},
    {"--db d --listen ::1 --tcp stateless --interface a/b", "--interface: \"a/b\" cannot be"},
    {"--db d --listen :: --tcp stateless", "--listen: ::@53 with stateless TCP needs"},
    {"--db d --listen ::1 --tcp-profile 2", "--tcp-profile: \"2\" is not classic or modern"},
    {"--db d --listen ::1 --udp-payload 9", "--udp-payload: \"9\" is not a number"},
    {"--db d --listen ::1 --edns maybe", "--edns: \"maybe\" is not off or on"},
    {"--proxy nowhere", "--proxy: \"nowhere\" is not ADDRESS@PORT"},
    {"--proxy 0.0.0.0@53", "--proxy: \"0.0.0.0@53\" is not ADDRESS@PORT"},
    {"--proxy ::1 --db d --listen ::2 --tcp stateless", "--proxy: there is a database too"},
    {"--proxy ::1 --listen ::2", "--listen: ::2@53 must have tcp: stateless"},
    {"--proxy ::1 --listen ::2 --tcp off", "--listen: ::2@53 must have tcp: stateless"},
    {"--proxy ::1", "nothing to listen on"},
    {"--proxy ::1 --listen ::2 --tcp stateless --tcp-transfer-peers ::3",
     "--tcp-transfer-peers: a proxy has no kernel TCP"},
    {"--db d --listen ::1 --tcp-transfer-peers ::1/127",
     "--tcp-transfer-peers: \"::1/127\" has bits set beyond its length; is it ::/127?"},
    {"--config /nonexistent.yaml", "/nonexistent.yaml: cannot be read"},
    {"--check-config --db d", "nothing to listen on"},
};

START_TEST(test_bad_command_lines)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(load(bad[i].words) < 0, "accepted: %s", bad[i].words);
        ck_assert_msg(strncmp(error.text, bad[i].reason, strlen(bad[i].reason)) == 0,
                      "%s: got \"%s\", wanted %s", bad[i].words, error.text, bad[i].reason);
    }
}
END_TEST

START_TEST(test_actions)
{
    ck_assert_int_eq(load("--help"), 0);
    ck_assert_int_eq(action, CONFIG_HELP);
    ck_assert_int_eq(load("--version --nonsense"), 0);
    ck_assert_int_eq(action, CONFIG_VERSION);
    ck_assert_int_eq(load("--check-config --db d --listen ::1"), 0);
    ck_assert_int_eq(action, CONFIG_CHECK);
    ck_assert_int_eq(load("--db=d --listen=::1"), 0);
    ck_assert_int_eq(action, CONFIG_RUN);
}
END_TEST

/* A value, other than the default, that each kind of key takes. */
static const char *sample(const struct config_key *key)
{
    static char text[16];
    if (key == &config_keys[CONFIG_KEY_PROXY])
        return "192.0.2.1@54";
    if (key == &config_keys[CONFIG_KEY_TCP_PROFILE])
        return "classic";
    switch (key->kind) {
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_HIDE:
        return "text";
    case CONFIG_KIND_NUMBER:
        snprintf(text, sizeof text, "%zu", key->min + 1);
        return text;
    case CONFIG_KIND_SIZE:
        return "1M";
    case CONFIG_KIND_SWITCH:
        config_init(&config);
        return *((const bool *)&config + key->offset) ? "off" : "on";
    case CONFIG_KIND_CHOICE:
        return key->choices[1];
    case CONFIG_KIND_PREFIXES:
        return "192.0.2.0/24";
    }
    return NULL;
}

START_TEST(test_every_key_has_an_option_that_does_the_same)
{
    struct config *by_file = malloc(sizeof *by_file);
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
        const struct config_key *key = &config_keys[k];
        char words[256], text[256];
        const char *value = sample(key);
        bool is_proxy = k == CONFIG_KEY_PROXY;
        bool is_of_code = k == CONFIG_KEY_GOAWAY_TCP_RATE; /* vain without one */
        snprintf(words, sizeof words, "%s --listen ::1 --tcp stateless%s --%s %s",
                 is_proxy ? "" : "--db d", is_of_code ? " --goaway-code port" : "", key->option,
                 value);
        bool is_list = key->kind == CONFIG_KIND_PREFIXES;
        snprintf(text, sizeof text, "%s%s%s: %s%s%s\n", key->group != NULL ? key->group : "",
                 key->group != NULL ? ":\n  " : "", key->name, is_list ? "[" : "", value,
                 is_list ? "]" : "");
        ck_assert_msg(load(words) == 0, "%s: %s", words, error.text);
        config_init(by_file);
        ck_assert_msg(config_read_text(by_file, "f", text, strlen(text), &error) == 0, "%s: %s",
                      text, error.text);
        size_t size = key->cap != 0                     ? strlen(value) + 1
                      : is_list                         ? sizeof(struct config_prefixes)
                      : key->kind == CONFIG_KIND_SWITCH ? sizeof(bool)
                                                        : sizeof(unsigned);
        ck_assert_mem_eq((const char *)&config + key->offset, (const char *)by_file + key->offset,
                         size);
    }
    free(by_file);
}
END_TEST

START_TEST(test_options_win_over_the_file)
{
    char path[] = "/tmp/lethe-options-XXXXXX", words[256];
    static const char text[] = "database: from-file\nudp-payload: 1000\nany: full\n"
                               "listen: [{address: '::1'}, {address: '::2'}]\n"
                               "tcp: {transfer-peers: [192.0.2.7, 192.0.2.8]}\n";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    snprintf(words, sizeof words, "--udp-payload 2000 --config %s", path);
    ck_assert_msg(load(words) == 0, "%s", error.text);
    ck_assert_str_eq(config.database, "from-file");
    ck_assert(config.udp_payload == 2000 && config.any == 1 && config.listen_count == 2);
    snprintf(words, sizeof words, "--config %s --listen ::3", path);
    ck_assert_msg(load(words) == 0, "%s", error.text);
    ck_assert(config.listen_count == 1 && config.udp_payload == 1000);
    ck_assert_uint_eq(config.tcp_transfer_peers.count, 2);
    snprintf(words, sizeof words,
             "--config %s --tcp-transfer-peers ::5 --tcp-transfer-peers 192.0.2.0/24 "
             "--tcp-transfer-peers ::6",
             path);
    ck_assert_msg(load(words) == 0, "%s", error.text);
    ck_assert_uint_eq(config.tcp_transfer_peers.count, 3);
    ck_assert_uint_eq(config.tcp_transfer_peers.items[0].address.octets[15], 5);
    /* What is wrong on the command line is said of the command line, not of a line. */
    snprintf(words, sizeof words, "--config %s --tcp-profile baroque", path);
    ck_assert_int_eq(load(words), -EINVAL);
    ck_assert_msg(strncmp(error.text, "--tcp-profile: ", 15) == 0, "%s", error.text);
    /* The file's addresses stand before every option. */
    snprintf(words, sizeof words, "--config %s --tcp off", path);
    ck_assert_msg(load(words) == 0, "%s", error.text);
    ck_assert_str_eq(got(), "off off");
    unlink(path);
}
END_TEST

TEST_MAIN("server_options", test_which_address_gets_what, test_bad_command_lines, test_actions,
          test_every_key_has_an_option_that_does_the_same, test_options_win_over_the_file)

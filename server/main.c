/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethed - the daemon: read the configuration, open everything, give up privileges, serve, and look
 * after signals. See lethed(8).
 */
#include "server/audit.h"
#include "server/config.h"
#include "server/keys.h"
#include "server/log.h"
#include "server/privilege.h"
#include "server/server.h"
#include "server/tsig_keys.h"
#include "zonedb/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_RUNTIME = 1,
    EXIT_USAGE = 2,
};

/* Signals are taken by sigwaitinfo() in this thread alone; threads inherit the mask. */
static void main_block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* `is_ours_out`: a file, to be removed in the end, and no device. */
static bool main_write_pid(const char *path, bool *is_ours_out)
{
    char text[16];
    struct stat status;
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && write(fd, text, (size_t)len) == len;
    if (!is_written)
        log_write(LOG_LEVEL_ERROR, "pid-file %s: %s", path, strerror(errno));
    *is_ours_out = is_written && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (fd >= 0)
        close(fd);
    return is_written;
}

/* Tell systemd, in its words for a reload (sd_notify(3)). */
static void main_notify_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%jd",
               (intmax_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void main_doubt(const struct config *config)
{
    struct config_error doubt;
    if (config_is_doubtful(config, &doubt))
        log_write(LOG_LEVEL_WARNING, "%s", doubt.text);
}

static void main_reload(struct server *server, struct audit *audit, int argc, char **argv)
{
    struct config *config = malloc(sizeof *config);
    struct config_error config_error = {"out of memory"};
    struct server_error server_error;
    enum config_action action;
    char text[900];
    main_notify_reloading();
    if (config == NULL || config_load(argc, argv, &action, config, &config_error) != 0)
        log_write(LOG_LEVEL_ERROR, "not reloaded, all stays as it was: %s", config_error.text);
    else if (server_reload(server, config, &server_error) != 0)
        log_write(LOG_LEVEL_ERROR, "not reloaded, all stays as it was: %s", server_error.text);
    else {
        main_doubt(config);
        audit_begin(audit, config);
        server_describe(server, text, sizeof text);
        log_write(LOG_LEVEL_INFO, "reloaded: %s", text);
    }
    free(config);
    sd_notify(0, "READY=1");
}

static uint64_t main_clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* The next signal, or 0: the audit is to have its turn. */
static int main_wait(const sigset_t *signals, const struct audit *audit)
{
    uint64_t wait_s = audit_wait_s(audit, main_clock_s());
    struct timespec limit = {.tv_sec = (time_t)wait_s};
    int number =
        wait_s == UINT64_MAX ? sigwaitinfo(signals, NULL) : sigtimedwait(signals, NULL, &limit);
    return number > 0 && number != SIGCHLD ? number : 0;
}

static void main_serve(struct server *server, struct audit *audit, const sigset_t *signals,
                       int argc, char **argv)
{
    for (;;) {
        audit_turn(audit, main_clock_s());
        int number = main_wait(signals, audit);
        if (number == SIGHUP)
            main_reload(server, audit, argc, argv);
        else if (number == SIGTERM || number == SIGINT) {
            log_write(LOG_LEVEL_INFO, "%s: answering what has arrived, then ending",
                      number == SIGTERM ? "SIGTERM" : "SIGINT");
            sd_notify(0, "STOPPING=1");
            return;
        }
    }
}

static void main_announce(struct server *server, const struct config *config)
{
    char text[900];
    server_describe(server, text, sizeof text);
    log_write(LOG_LEVEL_INFO, "version %s: %s", LETHE_VERSION, text);
    if (!config_is_proxy(config) && server_zone_count(server) == 0)
        log_write(LOG_LEVEL_WARNING,
                  "no zone yet: every query is REFUSED until one is there; load one, any time, "
                  "with: lethe --db %s zone load NAME FILE",
                  config->database);
    main_doubt(config);
    log_write(LOG_LEVEL_INFO, "ready");
    sd_notify(0, "READY=1");
}

static int main_run(const struct config *config, int argc, char **argv)
{
    struct server *server;
    struct server_error server_error;
    struct privilege_error privilege_error;
    sigset_t signals;
    main_block_signals(&signals);
    if (server_open(config, &server, &server_error) != 0) {
        log_write(LOG_LEVEL_ERROR, "%s", server_error.text);
        return EXIT_RUNTIME;
    }
    zonedb_fault_explain("lethed", config->database);
    int status = EXIT_RUNTIME;
    bool has_pid_file = false;
    if (config->pid_file[0] != '\0' && !main_write_pid(config->pid_file, &has_pid_file))
        ; /* said there */
    else if (privilege_drop(config, &privilege_error) != 0)
        log_write(LOG_LEVEL_ERROR, "%s", privilege_error.text);
    else if (server_start(server, &server_error) != 0)
        log_write(LOG_LEVEL_ERROR, "%s", server_error.text);
    else {
        main_announce(server, config);
        server_begin_image(server);
        struct audit audit = {.child = 0};
        audit_begin(&audit, config);
        main_serve(server, &audit, &signals, argc, argv);
        audit_end(&audit);
        status = EXIT_SUCCESS;
    }
    server_close(server);
    /* In a directory of root's that may be beyond us by now; then the file goes stale. */
    if (has_pid_file)
        unlink(config->pid_file);
    return status;
}

static int main_check_secrets(const struct config *config, char *reason, size_t reason_cap)
{
    struct keys_secret secret;
    struct dns_cookie_secrets secrets;
    struct privilege_error error;
    int outcome = config->tcp_key_file[0] == '\0'
                      ? 0
                      : keys_secret_read(config->tcp_key_file, &secret, reason, reason_cap);
    if (outcome == 0 && config->cookie_key_file[0] != '\0')
        outcome = keys_dns_cookie_read(config->cookie_key_file, &secrets, reason, reason_cap);
    explicit_bzero(&secret, sizeof secret);
    explicit_bzero(&secrets, sizeof secrets);
    if (outcome == 0 && (outcome = privilege_check(config, &error)) != 0)
        snprintf(reason, reason_cap, "%.500s", error.text);
    return outcome;
}

/* What the configuration names is read too, where it has a text of its own. */
static int main_check(const struct config *config)
{
    const struct tsig_key_source source = {config->tsig_keys, config->has_tsig_well_known,
                                           config->has_tsig_sha1};
    struct tsig_key_list keys;
    struct config_error error;
    if (tsig_keys_read(&source, &keys, error.text, sizeof error.text) != 0) {
        log_write(LOG_LEVEL_ERROR, "%s", error.text);
        return EXIT_USAGE;
    }
    tsig_keys_free(&keys);
    if (main_check_secrets(config, error.text, sizeof error.text) != 0) {
        log_write(LOG_LEVEL_ERROR, "%s", error.text);
        return EXIT_USAGE;
    }
    main_doubt(config);
    printf("%s: good\n", config->file[0] != '\0' ? config->file : "command line");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct config *config = malloc(sizeof *config);
    struct config_error error;
    enum config_action action;
    int status = EXIT_SUCCESS;
    log_open();
    if (config == NULL) {
        log_write(LOG_LEVEL_ERROR, "out of memory");
        return EXIT_RUNTIME;
    }
    if (config_load(argc, argv, &action, config, &error) != 0) {
        log_write(LOG_LEVEL_ERROR, "%s", error.text);
        free(config);
        return EXIT_USAGE;
    }
    switch (action) {
    case CONFIG_RUN:
        status = main_run(config, argc, argv);
        break;
    case CONFIG_CHECK:
        status = main_check(config);
        break;
    case CONFIG_HELP:
        config_print_help();
        break;
    case CONFIG_VERSION:
        puts("lethed " LETHE_VERSION);
        break;
    }
    free(config);
    return status;
}

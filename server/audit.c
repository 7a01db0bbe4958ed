/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/audit.h"

#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit code of `lethe audit` where a zone is not delegated: it has said so. */
#define EXIT_TOLD 1

void audit_begin(struct audit *audit, const struct config *config)
{
    const bool has_zones = !config_is_proxy(config);
    if (audit->interval_s != config->audit_interval_s)
        audit->next_s = 0;
    audit->interval_s = has_zones ? config->audit_interval_s : 0;
    audit->findings = config->audit_findings;
    audit->spread_s = config->audit_spread_s;
    strcpy(audit->program, config->audit_program);
    strcpy(audit->hints, config->audit_hints);
    strcpy(audit->database, config->database);
}

uint64_t audit_wait_s(const struct audit *audit, uint64_t now_s)
{
    if (audit->interval_s == 0 || audit->child != 0)
        return UINT64_MAX;
    return audit->next_s > now_s ? audit->next_s - now_s : 0;
}

/* The child's standard output is a log too; it gets no other descriptor, and no signal blocked. */
static int spawn(const struct audit *audit, char *const *arguments, pid_t *child_out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    extern char **environ;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    /* They would outlast the change of program. This thread keeps what it has itself. */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    int outcome = posix_spawn_file_actions_init(&files);
    if (outcome != 0)
        return outcome;
    outcome = posix_spawnattr_init(&attributes);
    if (outcome != 0) {
        posix_spawn_file_actions_destroy(&files);
        return outcome;
    }
    outcome = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (outcome == 0)
        outcome = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    if (outcome == 0)
        outcome = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (outcome == 0)
        outcome =
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (outcome == 0)
        outcome = posix_spawnattr_setsigmask(&attributes, &none);
    if (outcome == 0)
        outcome = posix_spawnattr_setsigdefault(&attributes, &defaults);
    if (outcome == 0)
        outcome = posix_spawnp(child_out, audit->program, &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return outcome;
}

static void start(struct audit *audit)
{
    char findings[16], spread[16];
    const char *arguments[16];
    size_t count = 0;
    snprintf(findings, sizeof findings, "%u", audit->findings);
    snprintf(spread, sizeof spread, "%u", audit->spread_s);
    arguments[count++] = audit->program;
    arguments[count++] = "--db";
    arguments[count++] = audit->database;
    arguments[count++] = "audit";
    arguments[count++] = "--quiet";
    arguments[count++] = "--findings";
    arguments[count++] = findings;
    arguments[count++] = "--spread";
    arguments[count++] = spread;
    if (audit->hints[0] != '\0') {
        arguments[count++] = "--hints";
        arguments[count++] = audit->hints;
    }
    arguments[count] = NULL;
    int outcome = spawn(audit, (char *const *)(uintptr_t)arguments, &audit->child);
    if (outcome == 0)
        return;
    audit->child = 0;
    log_write(LOG_LEVEL_ERROR, "audit: cannot run %s: %s; name it with audit: program",
              audit->program, strerror(outcome));
}

static void reap(struct audit *audit)
{
    int status;
    if (audit->child == 0 || waitpid(audit->child, &status, WNOHANG) != audit->child)
        return;
    audit->child = 0;
    if (WIFSIGNALED(status))
        log_write(LOG_LEVEL_WARNING, "audit: ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) > EXIT_TOLD)
        log_write(LOG_LEVEL_WARNING, "audit: %s ended with status %d", audit->program,
                  WEXITSTATUS(status));
}

void audit_turn(struct audit *audit, uint64_t now_s)
{
    reap(audit);
    if (audit_wait_s(audit, now_s) != 0)
        return;
    audit->next_s = now_s + audit->interval_s;
    start(audit);
}

void audit_end(struct audit *audit)
{
    if (audit->child == 0)
        return;
    kill(audit->child, SIGTERM);
    while (waitpid(audit->child, NULL, 0) < 0 && errno == EINTR)
        ;
    audit->child = 0;
}

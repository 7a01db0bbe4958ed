/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Ports below this need CAP_NET_BIND_SERVICE (ip-sysctl). */
static unsigned unprivileged_port_start(void)
{
    unsigned start = 1024;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    if (file == NULL)
        return start;
    if (fscanf(file, "%u", &start) != 1)
        start = 1024;
    fclose(file);
    return start;
}

static int privilege_user(const struct config *config, struct passwd *user_out,
                          struct privilege_error *error)
{
    errno = 0;
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL) {
        snprintf(error->text, sizeof error->text,
                 "user %s: %s; create it with: useradd --system %s", config->user,
                 errno != 0 ? strerror(errno) : "there is no such user", config->user);
        return errno != 0 ? -errno : -ENOENT;
    }
    *user_out = *user;
    return 0;
}

int privilege_check(const struct config *config, struct privilege_error *error)
{
    struct passwd user;
    return config->user[0] == '\0' ? 0 : privilege_user(config, &user, error);
}

static int privilege_change(const struct config *config, struct privilege_error *error)
{
    struct passwd user;
    int outcome;
    if (config->user[0] == '\0') {
        outcome = capng_apply(CAPNG_SELECT_CAPS);
        if (outcome == 0)
            return 0;
        snprintf(error->text, sizeof error->text, "cannot give up capabilities: capset: %s",
                 strerror(errno));
        return -EPERM;
    }
    if ((outcome = privilege_user(config, &user, error)) != 0)
        return outcome;
    if (user.pw_uid == geteuid() && user.pw_gid == getegid())
        outcome = capng_apply(CAPNG_SELECT_CAPS);
    else
        outcome = capng_change_id((int)user.pw_uid, (int)user.pw_gid,
                                  CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    if (outcome == 0)
        return 0;
    snprintf(error->text, sizeof error->text,
             "cannot become user %s (step %d of capng_change_id): start as root, or leave \"user\" "
             "out and let the service manager start the daemon as that user",
             config->user, -outcome);
    return -EPERM;
}

/* Whether a reload could lock the memory of AF_XDP sockets only by a capability: the limit is
 * raised where that is permitted, and what there is of it all processes of a user share. */
static bool needs_lock(const struct config *config)
{
    struct rlimit limit;
    return config->io == CONFIG_IO_XDP && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
           limit.rlim_cur != RLIM_INFINITY;
}

/* Whether the thread of an image in the driver, a reload's too, could go before others only by a
 * capability: the limit is raised where that is permitted. */
static bool needs_nice(const struct config *config)
{
    struct rlimit limit;
    if (config->driver != CONFIG_DRIVER_ZONES || getrlimit(RLIMIT_RTPRIO, &limit) != 0)
        return false;
    if (limit.rlim_cur != 0)
        return false;
    limit.rlim_cur = 1;
    if (limit.rlim_max == 0)
        limit.rlim_max = 1;
    return setrlimit(RLIMIT_RTPRIO, &limit) != 0;
}

int privilege_drop(const struct config *config, struct privilege_error *error)
{
    bool has_low_port = false, has_stateless = false;
    unsigned start = unprivileged_port_start();
    for (size_t i = 0; i < config->listen_count; i++) {
        has_low_port |= address_port(&config->listen[i].address) < start;
        has_stateless |= config->listen[i].tcp == CONFIG_TCP_STATELESS;
    }
    if (capng_get_caps_process() != 0) {
        snprintf(error->text, sizeof error->text, "cannot read the process's capabilities");
        return -EPERM;
    }
    bool bind = has_low_port && capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
    bool raw = has_stateless && capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW);
    bool admin = has_stateless && capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN);
    bool lock =
        has_stateless && needs_lock(config) && capng_have_capability(CAPNG_PERMITTED, CAP_IPC_LOCK);
    bool nice =
        has_stateless && needs_nice(config) && capng_have_capability(CAPNG_PERMITTED, CAP_SYS_NICE);
    const capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED;
    capng_clear(CAPNG_SELECT_BOTH);
    if (bind)
        capng_update(CAPNG_ADD, sets, CAP_NET_BIND_SERVICE);
    if (raw)
        capng_update(CAPNG_ADD, sets, CAP_NET_RAW);
    if (admin)
        capng_update(CAPNG_ADD, sets, CAP_NET_ADMIN);
    if (lock)
        capng_update(CAPNG_ADD, sets, CAP_IPC_LOCK);
    if (nice)
        capng_update(CAPNG_ADD, sets, CAP_SYS_NICE);
    int outcome = privilege_change(config, error);
    if (outcome == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        outcome = -errno;
        snprintf(error->text, sizeof error->text, "prctl: %s", strerror(errno));
    }
    return outcome;
}

void privilege_drop_all(void)
{
    capng_clear(CAPNG_SELECT_CAPS);
    capng_apply(CAPNG_SELECT_CAPS);
}

unsigned long privilege_raise_descriptors(unsigned long wanted)
{
    struct rlimit limit, more;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur >= wanted)
        return limit.rlim_cur;
    /* Beyond the hard limit only with CAP_SYS_RESOURCE. */
    more.rlim_cur = wanted;
    more.rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &more) != 0) {
        more.rlim_cur = more.rlim_max = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &more);
    }
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

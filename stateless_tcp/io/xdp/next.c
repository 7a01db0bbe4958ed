/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/next.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The map with the pages, by its name in the program. */
#define PAGES_NAME "image_pages"
#define FDS_MAX 3

struct next {
    pid_t keeper;
    int fd; /* to it */
};

/* What it is told, with a descriptor if there are pages already; */
struct order {
    uint64_t page_count;
};

/* and what it says, with the descriptors of the program and, where it made them, of the pages. */
struct delivery {
    int result;
    char words[160];
};

static int next_fail(struct io_error *error, int result, const char *what, const char *reason)
{
    snprintf(error->text, sizeof(error->text), "the XDP program that answers requests: %s: %s",
             what, reason);
    return result;
}

/* ---- descriptors over a socket ---- */

union fd_control {
    struct cmsghdr header;
    uint8_t octets[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static ssize_t fds_send(int fd, void *octets, size_t len, const int *fds, size_t fd_count)
{
    union fd_control control = {.octets = {0}};
    struct iovec iov = {octets, len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.octets;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* fds_out[] is negative where none came. */
static ssize_t fds_receive(int fd, void *octets, size_t len, int fds_out[FDS_MAX])
{
    union fd_control control;
    struct iovec iov = {octets, len};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    for (unsigned i = 0; i < FDS_MAX; i++)
        fds_out[i] = -1;
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(fds_out, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return got;
}

/* ---- the process ---- */

/* libbpf tells what went wrong by printing it. */
static char last_words[sizeof(((struct delivery *)0)->words)];

__attribute__((format(printf, 2, 0))) static int hear(enum libbpf_print_level level,
                                                      const char *format, va_list arguments)
{
    if (level == LIBBPF_WARN) {
        vsnprintf(last_words, sizeof(last_words), format, arguments);
        last_words[strcspn(last_words, "\n")] = '\0';
    }
    return 0;
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Keep nothing of the daemon's but what it takes: others would wait in vain for the end of what is
 * open here too. */
static void keeper_detach(int fd, const struct next_map *maps, size_t map_count)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    int kept[NEXT_MAPS_MAX + 1] = {fd};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    for (size_t i = 0; i < map_count; i++)
        kept[i + 1] = maps[i].fd;
    qsort(kept, map_count + 1, sizeof(kept[0]), compare_fds);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; null >= 0 && i < 3; i++)
        dup2(null, i);
    unsigned from = 3;
    for (size_t i = 0; i <= map_count; i++) {
        if ((unsigned)kept[i] > from)
            close_range(from, (unsigned)kept[i] - 1, 0);
        from = (unsigned)kept[i] + 1;
    }
    close_range(from, ~0u, 0);
    prctl(PR_SET_NAME, "lethed-image");
}

static void keeper_keep(void)
{
    static const unsigned wanted[] = {CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN};
    bool has[4];
    capng_get_caps_process();
    for (unsigned i = 0; i < 4; i++)
        has[i] = capng_have_capability(CAPNG_PERMITTED, wanted[i]);
    has[3] = has[3] && !(has[0] && has[1]);
    capng_clear(CAPNG_SELECT_BOTH);
    for (unsigned i = 0; i < 4; i++)
        if (has[i])
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, wanted[i]);
    capng_apply(CAPNG_SELECT_BOTH);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int keeper_prepare(struct bpf_object *object, const struct next_map *maps, size_t map_count,
                          const struct order *order, int pages_fd)
{
    struct bpf_map *pages = bpf_object__find_map_by_name(object, PAGES_NAME);
    if (pages == NULL)
        return -ENOENT;
    int result = pages_fd >= 0 ? bpf_map__reuse_fd(pages, pages_fd)
                               : bpf_map__set_max_entries(pages, (uint32_t)order->page_count);
    for (size_t i = 0; result == 0 && i < map_count; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i].name);
        if (map != NULL)
            result = bpf_map__reuse_fd(map, maps[i].fd);
    }
    return result;
}

static void keeper_load(int fd, const struct io_program *program, const struct next_map *maps,
                        size_t map_count, const struct order *order, int pages_fd)
{
    const struct bpf_object_open_opts options = {.sz = sizeof(options),
                                                 .object_name = "lethe_next"};
    struct delivery delivery = {0};
    int fds[FDS_MAX] = {-1, -1, -1};
    last_words[0] = '\0';
    struct bpf_object *object = bpf_object__open_mem(program->octets, program->len, &options);
    int result = object == NULL ? -errno : keeper_prepare(object, maps, map_count, order, pages_fd);
    if (result == 0)
        result = bpf_object__load(object);
    if (result == 0) {
        struct bpf_program *first = bpf_object__next_program(object, NULL);
        fds[0] = bpf_program__fd(first);
        fds[1] = bpf_program__fd(bpf_object__next_program(object, first));
        fds[2] = bpf_object__find_map_fd_by_name(object, PAGES_NAME);
    }
    delivery.result = result;
    memcpy(delivery.words, last_words, sizeof(last_words));
    fds_send(fd, &delivery, sizeof(delivery), fds, result != 0 ? 0 : pages_fd >= 0 ? 2 : 3);
    bpf_object__close(object);
}

_Noreturn static void keeper_run(int fd, const struct io_program *program,
                                 const struct next_map *maps, size_t map_count)
{
    struct order order;
    int fds[FDS_MAX];
    keeper_detach(fd, maps, map_count);
    keeper_keep();
    libbpf_set_print(hear);
    while (fds_receive(fd, &order, sizeof(order), fds) == (ssize_t)sizeof(order)) {
        keeper_load(fd, program, maps, map_count, &order, fds[0]);
        for (unsigned i = 0; i < FDS_MAX; i++)
            if (fds[i] >= 0)
                close(fds[i]);
    }
    _exit(EXIT_SUCCESS);
}

/* ---- the daemon's side ---- */

int next_open(const struct io_program *program, const struct next_map *maps, size_t map_count,
              struct next **next_out, struct io_error *error)
{
    int ends[2];
    struct next *next = calloc(1, sizeof(*next));
    *next_out = NULL;
    assert(map_count <= NEXT_MAPS_MAX);
    if (next == NULL)
        return next_fail(error, -ENOMEM, "cannot begin", "out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        int problem = errno;
        free(next);
        return next_fail(error, -problem, "no socket pair", strerror(problem));
    }
    next->keeper = fork();
    if (next->keeper == 0)
        keeper_run(ends[1], program, maps, map_count);
    int problem = next->keeper < 0 ? errno : 0;
    close(ends[1]);
    next->fd = ends[0];
    if (problem != 0) {
        next_close(next);
        return next_fail(error, -problem, "cannot fork", strerror(problem));
    }
    *next_out = next;
    return 0;
}

int next_load(struct next *next, int pages_fd, size_t page_count,
              struct next_programs *programs_out, int *pages_out, struct io_error *error)
{
    struct order order = {.page_count = page_count};
    struct delivery delivery;
    int fds[FDS_MAX] = {-1, -1, -1};
    if (page_count > UINT32_MAX)
        return next_fail(error, -E2BIG, "cannot load", "too many pages");
    if (fds_send(next->fd, &order, sizeof(order), &pages_fd, pages_fd >= 0) !=
            (ssize_t)sizeof(order) ||
        fds_receive(next->fd, &delivery, sizeof(delivery), fds) != (ssize_t)sizeof(delivery))
        return next_fail(error, -EPIPE, "cannot load", "the process that loads it is gone");
    if (delivery.result == 0 && (fds[1] < 0 || (pages_fd < 0 && fds[2] < 0)))
        delivery.result = -EMFILE;
    if (delivery.result == 0) {
        *programs_out = (struct next_programs){fds[0], fds[1]};
        if (pages_fd < 0)
            *pages_out = fds[2];
        return 0;
    }
    for (unsigned i = 0; i < FDS_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    snprintf(error->text, sizeof(error->text),
             "the XDP program that answers requests: cannot load: %s; %s",
             strerror(-delivery.result), delivery.words);
    return delivery.result;
}

void next_close(struct next *next)
{
    if (next == NULL)
        return;
    close(next->fd);
    if (next->keeper > 0)
        waitpid(next->keeper, NULL, 0);
    free(next);
}

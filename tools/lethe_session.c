/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/lethe_session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define BAR_EVERY_S 0.1
#define DISK_LOW ((uint64_t)1 << 20)

double session_clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct session session_begin(const struct lethe_arguments *arguments)
{
    return (struct session){
        .arguments = arguments,
        .has_bar = !arguments->is_quiet && isatty(STDERR_FILENO) == 1,
        .bar_s = session_clock_s(),
    };
}

void session_clear(struct session *session)
{
    if (session->is_bar_drawn)
        fputs("\r\033[K", stderr);
    session->is_bar_drawn = false;
}

static void show_message(void *context, const struct text_message *message)
{
    struct session *session = context;
    const char *kind = message->severity == TEXT_ERROR ? "error" : "warning";

    if (message->severity == TEXT_WARNING && session->arguments->is_quiet)
        return;
    session_clear(session);
    if (message->line == 0)
        fprintf(stderr, "%s: %s: %s\n", message->file, kind, message->text);
    else
        fprintf(stderr, "%s:%" PRIu64 ":%" PRIu64 ": %s: %s\n", message->file, message->line,
                message->column, kind, message->text);
}

static const char *phase_name(enum text_phase phase)
{
    switch (phase) {
    case TEXT_READING:
        return "reading";
    case TEXT_CHECKING:
        return "checking";
    case TEXT_VERIFYING:
        return "verifying";
    case TEXT_WRITING:
        return "writing";
    }
    return "";
}

void session_draw(struct session *session, const char *what, uint64_t done, uint64_t total)
{
    const double now = session->has_bar ? session_clock_s() : 0;

    if (!session->has_bar || total == 0 || (now - session->bar_s < BAR_EVERY_S && done < total))
        return;
    const int filled = (int)(done * BAR_WIDTH / total);
    fprintf(stderr, "\r%-10s [%.*s%*s] %3d %%", what, filled, "##############################",
            BAR_WIDTH - filled, "", (int)(done * 100 / total));
    session->bar_s = now;
    session->is_bar_drawn = true;
}

static void show_progress(void *context, enum text_phase phase, uint64_t done, uint64_t total)
{
    struct session *session = context;

    if (phase == TEXT_WRITING)
        lethe_waiting_ends();
    if (!session->is_phase_hidden)
        session_draw(session, phase_name(phase), done, total);
}

struct zonedb *session_database(void *context)
{
    struct session *session = context;

    if (session->db == NULL)
        session->db = lethe_open(session->arguments, ZONEDB_CREATE);
    return session->db;
}

struct text_options session_options(struct session *session, bool is_thorough)
{
    return (struct text_options){
        .message = show_message,
        .progress = show_progress,
        .context = session,
        .is_thorough = is_thorough,
    };
}

void session_hidden_warnings(const struct session *session, const struct text_counts *counts)
{
    if (!session->arguments->is_quiet && counts->warnings > TEXT_WARNINGS_MAX)
        fprintf(stderr, "lethe: %" PRIu64 " more warnings not shown\n",
                counts->warnings - TEXT_WARNINGS_MAX);
}

/* LMDB calls a write that a full disk cut short an input/output error. */
static bool is_disk_full(const char *directory, int error)
{
    struct statvfs status;

    return error == -EDQUOT || (error == -EIO && statvfs(directory, &status) == 0 &&
                                status.f_bavail * status.f_frsize < DISK_LOW);
}

int session_fail_write(const struct session *session, const char *what, int error)
{
    const char *directory = session->arguments->db;

    if (is_disk_full(directory, error))
        return lethe_fail("%s: no room on the disk of %s; make room and load again; the zone "
                          "served before is unchanged",
                          what, directory);
    return lethe_fail("%s: cannot write to %s: %s; the zone served before is unchanged", what,
                      directory, strerror(-error));
}

const char *session_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

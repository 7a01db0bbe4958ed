/* SPDX-License-Identifier: BSD-2-Clause
 *
 * clock_shift - loaded before the C library, lets a process live later than the host: by as many
 * seconds as the file CLOCK_SHIFT says at that moment. Only time() and CLOCK_REALTIME move; what
 * measures spans goes on as it was.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now_out);
__attribute__((visibility("default"))) time_t time(time_t *now_out);

static time_t shift_s(void)
{
    char text[24] = "";
    const char *path = getenv("CLOCK_SHIFT");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    return len > 0 ? (time_t)strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now_out)
{
    int outcome = (int)syscall(SYS_clock_gettime, clock, now_out);
    if (outcome == 0 && clock == CLOCK_REALTIME)
        now_out->tv_sec += shift_s();
    return outcome;
}

time_t time(time_t *now_out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now_out != NULL)
        *now_out = now.tv_sec;
    return now.tv_sec;
}

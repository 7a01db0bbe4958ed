/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/cpus.h"

#include <pthread.h>
#include <sched.h>

unsigned cpus_usable(int *cpus_out, unsigned cpu_cap)
{
    cpu_set_t set;
    unsigned count = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < cpu_cap; cpu++)
        if (CPU_ISSET((size_t)cpu, &set))
            cpus_out[count++] = cpu;
    return count;
}

void cpus_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

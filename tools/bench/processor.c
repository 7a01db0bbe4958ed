/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/processor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TICKS_MIN 10

/* proc_stat(5): user nice system idle iowait irq softirq steal */
static void read_line(const char *line, struct processor_load *loads, uint32_t count)
{
    uint64_t v[8];
    uint32_t number;
    if (sscanf(line,
               "cpu%" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64,
               &number, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 9 ||
        number >= count)
        return;
    loads[number].busy = v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
    loads[number].all = loads[number].busy + v[3] + v[4];
}

void processor_read(struct processor_load *loads, uint32_t count)
{
    char line[512];
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        read_line(line, loads, count);
    fclose(file);
}

double processor_share(const struct processor_load *before, uint32_t count)
{
    struct processor_load *now = calloc(count, sizeof *now);
    double largest = 0;
    if (now == NULL)
        return 0;
    processor_read(now, count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t all = now[i].all - before[i].all, busy = now[i].busy - before[i].busy;
        if (before[i].is_used == 0 || all < TICKS_MIN || now[i].all < before[i].all)
            continue;
        double share = (double)busy / (double)all;
        largest = share > largest ? share : largest;
    }
    free(now);
    return largest < 1 ? largest : 1;
}

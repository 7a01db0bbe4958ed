/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/mute.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One may have been lost as anything may; a client's second comes a second later. */
#define SYNS_MIN 2

static uint64_t others_of(const uint64_t counters[DRIVER_COUNTERS])
{
    return counters[DRIVER_COUNT_ACK] + counters[DRIVER_COUNT_COMPLETION] +
           counters[DRIVER_COUNT_FIN] + counters[DRIVER_COUNT_RESET];
}

void mute_begin(struct mute *mute, const char *interface, const uint64_t counters[DRIVER_COUNTERS])
{
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {0};
    *mute = (struct mute){.syns = counters[DRIVER_COUNT_SYN], .others = others_of(counters)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    request.ifr_data = (char *)&driver;
    mute->is_veth = ioctl(fd, SIOCETHTOOL, &request) == 0 && strcmp(driver.driver, "veth") == 0;
    close(fd);
}

void mute_look(struct mute *mute, const uint64_t counters[DRIVER_COUNTERS])
{
    uint64_t syns = counters[DRIVER_COUNT_SYN], others = others_of(counters);
    bool is_silent = others == mute->others;
    if (is_silent && syns - mute->syns < SYNS_MIN)
        return; /* too few to tell: count on */
    mute->is_noticed |= mute->is_veth && is_silent;
    mute->syns = syns;
    mute->others = others;
}

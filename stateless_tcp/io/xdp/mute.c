/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/mute.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Interfaces with many queues have many counters; with more than that, nobody looks. */
#define STATISTICS_MAX 4096

/* Fewer frames prove nothing. */
#define ANSWERED_MIN 8

static int ask(int fd, const char *interface, void *request)
{
    struct ifreq ifreq = {0};
    snprintf(ifreq.ifr_name, sizeof(ifreq.ifr_name), "%s", interface);
    ifreq.ifr_data = request;
    return ioctl(fd, SIOCETHTOOL, &ifreq);
}

static uint32_t statistics_count(int fd, const char *interface)
{
    _Alignas(struct ethtool_sset_info)
        uint8_t memory[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)] = {0};
    struct ethtool_sset_info *sets = (struct ethtool_sset_info *)(void *)memory;
    sets->cmd = ETHTOOL_GSSET_INFO;
    sets->sset_mask = 1ull << ETH_SS_STATS;
    if (ask(fd, interface, sets) != 0 || sets->sset_mask == 0 || sets->data[0] > STATISTICS_MAX)
        return 0;
    return sets->data[0];
}

/* The sum of all queues' counters of that name. Returns false if there is none. */
static bool errors_read(const char *interface, uint64_t *errors_out)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint32_t count = fd >= 0 ? statistics_count(fd, interface) : 0;
    struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
    struct ethtool_stats *values = calloc(1, sizeof(*values) + (size_t)count * sizeof(uint64_t));
    bool is_known = false;
    *errors_out = 0;
    if (count > 0 && names != NULL && values != NULL) {
        names->cmd = ETHTOOL_GSTRINGS;
        names->string_set = ETH_SS_STATS;
        values->cmd = ETHTOOL_GSTATS;
        names->len = values->n_stats = count;
        bool is_read = ask(fd, interface, names) == 0 && ask(fd, interface, values) == 0;
        for (uint32_t i = 0; is_read && i < count; i++) {
            char name[ETH_GSTRING_LEN + 1] = {0};
            memcpy(name, names->data + (size_t)i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
            /* Ours, not the "peer_..." ones. */
            if (strncmp(name, "rx_queue_", 9) != 0 || strstr(name, "_xdp_tx_errors") == NULL)
                continue;
            is_known = true;
            *errors_out += values->data[i];
        }
    }
    free(names);
    free(values);
    if (fd >= 0)
        close(fd);
    return is_known;
}

void mute_begin(struct mute *mute, const char *interface)
{
    mute->is_known = errors_read(interface, &mute->errors);
    mute->answered = 0;
    mute->is_noticed = false;
}

void mute_look(struct mute *mute, const char *interface, uint64_t answered)
{
    uint64_t errors;
    if (!mute->is_known || mute->is_noticed || answered - mute->answered < ANSWERED_MIN ||
        !errors_read(interface, &errors))
        return;
    uint64_t asked = answered - mute->answered, lost = errors - mute->errors;
    mute->is_noticed = lost >= asked - asked / 16;
    mute->errors = errors;
    mute->answered = answered;
}

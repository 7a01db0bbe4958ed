/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The capture is that of the pseudo-device "any" even for one interface: there alone each packet
 * tells whether it goes out or comes in, in the order of both.
 */
#include "tools/goaway/watch.h"

#include "server/icmp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <pcap/sll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAPTURE_LEN = 2048, /* of a longer UDP packet the checksum cannot be known */
    BUFFER_LEN = 8 << 20,
    DELAY_MS = 10,
};

struct watch {
    pcap_t *pcap;
    struct icmp icmp;
    watch_packet *take;
    void *context;
};

static int watch_fail(struct watch_error *error, int outcome, const char *what, const char *reason)
{
    snprintf(error->text, sizeof(error->text), "%s: %s", what, reason);
    return outcome;
}

static int open_sockets(struct watch *watch, bool is_edge, struct watch_error *error)
{
    int outcome = icmp_open(0, 0, &watch->icmp);
    if (outcome == 0 && is_edge)
        outcome = icmp_speak_for_others(&watch->icmp);
    if (outcome == -EPERM)
        return watch_fail(error, -EPERM, "raw socket",
                          "not permitted; start as root or with CAP_NET_RAW");
    return outcome == 0 ? 0 : watch_fail(error, outcome, "raw socket", strerror(-outcome));
}

static int open_filter(struct watch *watch, const char *interface, const char *filter,
                       struct watch_error *error)
{
    char *text = NULL;
    struct bpf_program program;
    unsigned index = interface != NULL ? if_nametoindex(interface) : 0;
    if (interface != NULL && index == 0)
        return watch_fail(error, -ENODEV, interface, "there is no such interface");
    char where[32] = "";
    if (index != 0)
        snprintf(where, sizeof(where), "ifindex %u and ", index);
    if (asprintf(&text,
                 "%s((%s) or (icmp and (icmp[0] = %d or icmp[0] = %d)) or "
                 "(icmp6 and (ip6[40] = %d or ip6[40] = %d)))",
                 where, filter, GOAWAY_TYPE_V4, GOAWAY_TYPE_BLOCK_V4, GOAWAY_TYPE_V6,
                 GOAWAY_TYPE_BLOCK_V6) < 0)
        return watch_fail(error, -ENOMEM, "filter", "out of memory");
    int outcome = pcap_compile(watch->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN);
    free(text);
    if (outcome == 0) {
        outcome = pcap_setfilter(watch->pcap, &program);
        pcap_freecode(&program);
    }
    return outcome == 0 ? 0 : watch_fail(error, -EINVAL, "filter", pcap_geterr(watch->pcap));
}

static int open_capture(struct watch *watch, struct watch_error *error)
{
    char reason[PCAP_ERRBUF_SIZE];
    watch->pcap = pcap_create("any", reason);
    if (watch->pcap == NULL)
        return watch_fail(error, -ENODEV, "libpcap", reason);
    pcap_set_snaplen(watch->pcap, CAPTURE_LEN);
    pcap_set_buffer_size(watch->pcap, BUFFER_LEN);
    pcap_set_timeout(watch->pcap, DELAY_MS);
    int outcome = pcap_activate(watch->pcap);
    if (outcome == PCAP_ERROR_PERM_DENIED)
        return watch_fail(error, -EPERM, "libpcap",
                          "not permitted; start as root or with CAP_NET_RAW");
    if (outcome < 0 || pcap_set_datalink(watch->pcap, DLT_LINUX_SLL2) != 0 ||
        pcap_setnonblock(watch->pcap, 1, reason) != 0)
        return watch_fail(error, -ENOTSUP, "libpcap", pcap_geterr(watch->pcap));
    return 0;
}

int watch_open(const char *interface, const char *filter, bool is_edge, struct watch **watch_out,
               struct watch_error *error)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    *watch_out = NULL;
    if (watch == NULL)
        return watch_fail(error, -ENOMEM, "watch", "out of memory");
    watch->icmp = (struct icmp){-1, -1};
    int outcome = open_capture(watch, error);
    if (outcome == 0)
        outcome = open_filter(watch, interface, filter, error);
    if (outcome == 0)
        outcome = open_sockets(watch, is_edge, error);
    if (outcome != 0)
        watch_close(watch);
    else
        *watch_out = watch;
    return outcome;
}

int watch_descriptor(const struct watch *watch)
{
    return pcap_get_selectable_fd(watch->pcap);
}

static void watch_take(u_char *user, const struct pcap_pkthdr *header, const u_char *octets)
{
    struct watch *watch = (struct watch *)(void *)user;
    if (header->caplen < sizeof(struct sll2_header))
        return;
    struct sll2_header link;
    memcpy(&link, octets, sizeof(link));
    /* Of others' packets, broadcast and multicast none is for us or from us. A VLAN's are seen on its
     * own interface, without the tag. */
    if ((link.sll2_pkttype != LINUX_SLL_OUTGOING && link.sll2_pkttype != LINUX_SLL_HOST) ||
        (link.sll2_protocol != htons(ETH_P_IP) && link.sll2_protocol != htons(ETH_P_IPV6)))
        return;
    watch->take(watch->context, link.sll2_pkttype == LINUX_SLL_OUTGOING, octets + sizeof(link),
                header->caplen - sizeof(link));
}

int watch_read(struct watch *watch, watch_packet *take, void *context, struct watch_error *error)
{
    watch->take = take;
    watch->context = context;
    int count = pcap_dispatch(watch->pcap, WATCH_BATCH, watch_take, (u_char *)watch);
    if (count < 0)
        return watch_fail(error, -EIO, "libpcap", pcap_geterr(watch->pcap));
    return count;
}

unsigned watch_lost(const struct watch *watch)
{
    struct pcap_stat stat = {0};
    return pcap_stats(watch->pcap, &stat) == 0 ? stat.ps_drop : 0;
}

int watch_send(struct watch *watch, const struct goaway_ends *ends, const uint8_t *octets,
               size_t len)
{
    return icmp_send(&watch->icmp, ends, octets, len);
}

void watch_close(struct watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->pcap != NULL)
        pcap_close(watch->pcap);
    icmp_close(&watch->icmp);
    free(watch);
}

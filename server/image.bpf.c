/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP program that goes on where lethe_driver climbs: requests are answered from the zone image
 * (zonedb/image.h), those that it does not hold climb as ever.
 *
 * An object of its own, loaded when there is an image, so that the verifier's time is not the
 * start's. All maps but image_pages and image_works are those of lethe_driver.
 */
#include "stateless_tcp/io/xdp/maps.bpf.h"
/* after it */
#include "server/image_tcp.bpf.h"
#include "server/image_udp.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct image_work);
} image_works SEC(".maps");

SEC("xdp")
int lethe_image(struct xdp_md *ctx)
{
    uint32_t zero = 0;
    struct driver_work *driver = bpf_map_lookup_elem(&driver_works, &zero);
    struct image_work *work = bpf_map_lookup_elem(&image_works, &zero);
    if (!driver || !work)
        return driver_climb_up(ctx);
    uint32_t bank = driver->frame.bank & 1;
    const struct driver_config *config = bpf_map_lookup_elem(&driver_configs, &bank);
    if (!config)
        return driver_climb_up(ctx);
    bool is_tcp = driver->frame.transport == DRIVER_TRANSPORT_TCP;
    switch (is_tcp ? image_tcp_answer(ctx, config, driver, work)
                   : image_udp(ctx, config, driver, work)) {
    case DRIVER_CLIMB:
        break;
    case DRIVER_DROP:
        driver_count(DRIVER_COUNT_SILENT);
        return XDP_DROP;
    case DRIVER_TX:
        driver_count(is_tcp ? DRIVER_COUNT_REQUEST : DRIVER_COUNT_IMAGE);
        return driver_send(ctx, config);
    }
    return driver_climb_up(ctx);
}

/* None of the functions that the kernel keeps for GPL programs is called. */
char image_license[] SEC("license") = "BSD-2-Clause";

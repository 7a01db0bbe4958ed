/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/image_program.h"

#include "test/must.h"
#include "test/unit/driver_frames.h"
#include "test/unit/driver_run.h"
#include "zonedb/image.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CPUS_MAX = 1024 };

extern const unsigned char driver_object[], image_object[];
extern const size_t driver_object_len, image_object_len;

static int map_of(const struct bpf_object *object, const char *name)
{
    int fd = bpf_object__find_map_fd_by_name(object, name);
    MUST(fd >= 0);
    return fd;
}

static void load_image(uint32_t page_count, struct image_program *out)
{
    out->image = bpf_object__open_mem(image_object, image_object_len, NULL);
    MUST(out->image != NULL);
    struct bpf_map *map;
    bpf_object__for_each_map(map, out->image)
    {
        int shared = bpf_object__find_map_fd_by_name(out->driver, bpf_map__name(map));
        if (shared >= 0 && !bpf_map__is_internal(map))
            MUST(bpf_map__reuse_fd(map, shared) == 0);
    }
    MUST(bpf_map__set_max_entries(bpf_object__find_map_by_name(out->image, "image_pages"),
                                  page_count) == 0);
    MUST(bpf_object__load(out->image) == 0);
    out->pages_len = (size_t)page_count * IMAGE_PAGE_LEN;
    out->pages = mmap(NULL, out->pages_len, PROT_READ | PROT_WRITE, MAP_SHARED,
                      map_of(out->image, "image_pages"), 0);
    MUST(out->pages != MAP_FAILED);
}

bool image_program_open(uint32_t page_count, struct image_program *out)
{
    if (!driver_is_permitted()) {
        printf("SKIPPED: BPF is not permitted here\n");
        return false;
    }
    out->driver = bpf_object__open_mem(driver_object, driver_object_len, NULL);
    MUST(out->driver != NULL && bpf_object__load(out->driver) == 0);
    out->program = bpf_program__fd(bpf_object__find_program_by_name(out->driver, "lethe_driver"));
    for (unsigned i = 0; i < 2; i++) {
        uint32_t transports = DRIVER_TRANSPORT_TCP | DRIVER_TRANSPORT_UDP;
        struct driver_endpoint key = {.port = driver_endpoints[i].port,
                                      .family = driver_endpoints[i].address.family};
        memcpy(key.address, driver_endpoints[i].address.octets, sizeof key.address);
        MUST(bpf_map_update_elem(map_of(out->driver, "driver_endpoints"), &key, &transports,
                                 BPF_ANY) == 0);
    }
    load_image(page_count, out);
    image_program_join(out, true);
    return true;
}

void image_program_tell(const struct image_program *program, struct driver_config config)
{
    const uint32_t bank = 0;
    config.port_low = config.port_high = driver_endpoints[0].port;
    MUST(bpf_map_update_elem(map_of(program->driver, "driver_configs"), &bank, &config, BPF_ANY) ==
         0);
}

void image_program_join(const struct image_program *program, bool is_joined)
{
    const uint32_t slot = 0;
    int map = map_of(program->driver, "driver_next");
    int next = bpf_program__fd(bpf_object__find_program_by_name(program->image, "lethe_image"));
    MUST((is_joined ? bpf_map_update_elem(map, &slot, &next, BPF_ANY)
                    : bpf_map_delete_elem(map, &slot)) == 0);
}

uint64_t image_program_count(const struct image_program *program, enum driver_counter counter)
{
    const uint32_t key = counter;
    uint64_t values[CPUS_MAX], sum = 0;
    int cpu_count = libbpf_num_possible_cpus();
    MUST(cpu_count > 0 && cpu_count <= CPUS_MAX);
    MUST(bpf_map_lookup_elem(map_of(program->driver, "driver_counters"), &key, values) == 0);
    for (int cpu = 0; cpu < cpu_count; cpu++)
        sum += values[cpu];
    return sum;
}

void image_program_close(struct image_program *program)
{
    munmap(program->pages, program->pages_len);
    bpf_object__close(program->image);
    bpf_object__close(program->driver);
}

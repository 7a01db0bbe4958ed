/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/notes.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOTES_NAME "driver_notes"
#define TRAINS_NAME "driver_trains"
#define NOTES_LEN (RECENT_NOTES * sizeof(struct recent_note))
#define TRAINS_LEN (RECENT_TRAINS * sizeof(struct recent_train))

static const void *make(const char *name, size_t size, uint32_t count, int *map_out)
{
    const struct bpf_map_create_opts options = {.sz = sizeof(options), .map_flags = BPF_F_MMAPABLE};
    int fd =
        bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), (uint32_t)size, count, &options);
    if (fd < 0)
        return NULL;
    void *memory = mmap(NULL, size * count, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    *map_out = fd;
    return memory;
}

void notes_make(struct notes *notes)
{
    notes->notes = make(NOTES_NAME, sizeof(struct recent_note), RECENT_NOTES, &notes->notes_map);
    notes->trains =
        make(TRAINS_NAME, sizeof(struct recent_train), RECENT_TRAINS, &notes->trains_map);
}

size_t notes_maps(const struct notes *notes, struct next_map *maps_out)
{
    size_t count = 0;
    if (notes->notes != NULL)
        maps_out[count++] = (struct next_map){NOTES_NAME, notes->notes_map};
    if (notes->trains != NULL)
        maps_out[count++] = (struct next_map){TRAINS_NAME, notes->trains_map};
    return count;
}

void notes_free(struct notes *notes)
{
    if (notes->notes != NULL) {
        munmap((void *)(uintptr_t)notes->notes, NOTES_LEN);
        close(notes->notes_map);
    }
    if (notes->trains != NULL) {
        munmap((void *)(uintptr_t)notes->trains, TRAINS_LEN);
        close(notes->trains_map);
    }
    *notes = (struct notes){0};
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_program.h - both XDP programs loaded, the one behind the other, with an image, for tests
 * that run them by driver_run(). On no interface.
 */
#ifndef TEST_UNIT_IMAGE_PROGRAM_H
#define TEST_UNIT_IMAGE_PROGRAM_H

#include "stateless_tcp/io/xdp/driver.h"

#include <stdbool.h>
#include <stddef.h>

struct bpf_object;

struct image_program {
    struct bpf_object *driver, *image; /* their maps are found by name */
    int program;                       /* lethe_driver, for driver_run() */
    uint8_t *pages;                    /* map image_pages, shared with the program */
    size_t pages_len;
};

/* Load them; the image is zeros. The endpoints are those of driver_frames.h. Returns false, and
 * says why, where that is not permitted; else ends the test if anything fails. */
bool image_program_open(uint32_t page_count, struct image_program *out);

/* What the programs are told; their endpoints and bank are seen to. */
void image_program_tell(const struct image_program *program, struct driver_config config);

/* Whether lethe_driver goes on to the other one. */
void image_program_join(const struct image_program *program, bool is_joined);

/* Of all processors. */
uint64_t image_program_count(const struct image_program *program, enum driver_counter counter);

void image_program_close(struct image_program *program);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_program.h - the XDP program of image.bpf.c, which answers requests from an image.
 */
#ifndef SERVER_IMAGE_PROGRAM_H
#define SERVER_IMAGE_PROGRAM_H

#include "stateless_tcp/io/io.h"

/* Returns false if this build has none. What is pointed to lives as long as the process. */
bool image_program_get(struct io_program *program_out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/image_program.h"

#ifdef HAS_IMAGE_PROGRAM
/* image.bpf.c as clang made it, which is part of this binary. */
extern const unsigned char image_object[];
extern const size_t image_object_len;

bool image_program_get(struct io_program *program_out)
{
    *program_out = (struct io_program){image_object, image_object_len};
    return true;
}
#else
bool image_program_get(struct io_program *program_out)
{
    (void)program_out;
    return false;
}
#endif

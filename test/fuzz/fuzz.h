/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz.h - what every fuzz target needs: the entry points.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../must.h"

__attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((visibility("default"))) int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif

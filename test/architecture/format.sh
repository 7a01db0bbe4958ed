#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every C file is as clang-format would have it.
command -v clang-format > /dev/null || { echo "skipped: clang-format is not installed"; exit 77; }
cd "$1" || exit 1
find zonedb stateless_tcp server tools test -name '*.[ch]' -exec clang-format --dry-run --Werror {} +

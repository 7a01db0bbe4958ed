#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write the octets of a file as a C array.

usage: embed.py FILE NAME OUTPUT.c
"""
import sys

source, name, target = sys.argv[1:]
octets = open(source, "rb").read()
with open(target, "w", encoding="ascii") as out:
    out.write("/* SPDX-License-Identifier: BSD-2-Clause */\n#include <stddef.h>\n")
    out.write(f"extern const unsigned char {name}[];\nextern const size_t {name}_len;\n")
    # libelf reads words out of it
    out.write(f"_Alignas(8) const unsigned char {name}[] = {{\n")
    for at in range(0, len(octets), 20):
        out.write("".join(f"{octet}," for octet in octets[at:at + 20]) + "\n")
    out.write(f"}};\nconst size_t {name}_len = {len(octets)};\n")

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Hold the rooms to what they promise.

usage: check.py SOURCE_DIR BUILD_DIR CC [--sanitized]

 - quoted includes go only where the table below allows;
 - the libraries of packets are each used by one file;
 - the pure static libraries call nothing but what is listed, and hold no writable data;
 - every public header compiles alone;
 - no binary links libraries whose licences do not go together;
 - every source file names its licence.

Each rule is first tried on a planted offender, so that a rule that has gone blind is noticed.
"""
import os
import re
import subprocess
import sys
import tempfile

# Room -> prefixes of what its quoted includes may name (besides the room itself).
MAY_INCLUDE = {
    "zonedb/": ["zonedb/", "stateless_tcp/siphash.h"],
    "stateless_tcp/io/": ["stateless_tcp/"],
    "stateless_tcp/": ["stateless_tcp/"],
    "server/": ["server/", "zonedb/", "stateless_tcp/"],
    "tools/": ["tools/", "server/", "zonedb/", "stateless_tcp/"],
    "test/": [""],
}
# Headers of a room that only the room itself (and its tests) may include.
PRIVATE = ["zonedb/" + name for name in
           ("admit.h", "answer.h", "digest.h", "edns.h", "find.h", "image_block.h", "image_room.h",
            "length.h", "node.h", "query.h", "response.h", "signed.h",
            "template.h", "text_change_rules.h", "text_denial.h", "text_rdata.h", "text_runs.h",
            "text_stream.h", "text_verify.h", "text_zone.h", "view.h", "words.h", "writer.h")]
# System headers that carry a library: each in at most one file per room.
ONE_FILE = ["pcap", "libnet", "nftables/", "xdp/", "bpf/"]
PURE_LIBRARIES = {
    "zonedb/libzonedb_respond.a": r"mem(cpy|cmp|set|move|chr)|strlen|strchr|__assert_fail"
                                  r"|mdb_cursor_get|nettle_sha(1|256)_(init|update|digest)"
                                  r"|nettle_hmac_sha(1|256|384|512)_(set_key|update|digest)"
                                  r"|nettle_memeql_sec"
                                  r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_",
    "stateless_tcp/libstateless_tcp.a": r"mem(cpy|cmp|set|move)|__assert_fail"
                                        r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_",
    "server/libproxy.a": r"mem(cpy|cmp|set|move)|strlen|__assert_fail"
                         r"|stateless_tcp_\w+|packet_\w+"
                         r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_",
}
WRITABLE = re.compile(r"^\.(data|bss|tdata|tbss)(\.(?!rel\.ro)|$)")
# Binary -> libraries that must not be among what it loads.
MUST_NOT_LINK = {
    "server/lethed": ["libzscanner", "libknot", "libcrypto", "libssl"],
    "tools/lethe": ["libnftables"],
    "tools/lethe-query": ["libnftables"],
    "tools/lethe-goaway": ["libzscanner", "libknot", "libcrypto", "libssl"],
}
# Not everywhere.
OPTIONAL = ["tools/lethe-goaway"]
failures = []


def fail(text):
    failures.append(text)
    print("FAIL", text)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def sources(top):
    for room in ("zonedb", "stateless_tcp", "server", "tools", "test"):
        for directory, _, files in os.walk(os.path.join(top, room)):
            for name in files:
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(directory, name), top)
                    yield path, open(os.path.join(top, path), encoding="utf-8").read()


def room_of(path):
    return max((room for room in MAY_INCLUDE if path.startswith(room)), key=len)


def bad_includes(path, text):
    """Includes of one file that the table does not allow."""
    room = room_of(path)
    found = []
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
        if "/" not in name:
            if room != "test/":
                found.append(name + " (write it from the top)")
            continue
        if not any(name.startswith(prefix) for prefix in MAY_INCLUDE[room]):
            found.append(name)
        elif name in PRIVATE and room not in ("zonedb/", "test/"):
            found.append(name + " (private)")
    return found


def check_includes(top):
    if not bad_includes("zonedb/x.c", '#include "server/serve.h"\n'):
        fail("self-test: an upward include went unnoticed")
    if not bad_includes("server/x.c", '#include "zonedb/node.h"\n'):
        fail("self-test: a private header went unnoticed")
    users = {}
    for path, text in sources(top):
        for name in bad_includes(path, text):
            fail(f"{path}: may not include {name}")
        if "SPDX-License-Identifier: BSD-2-Clause" not in text[:200]:
            fail(f"{path}: no licence line")
        for name in re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.M):
            for library in ONE_FILE:
                # Programs for the kernel link nothing.
                if name.startswith(library) and not path.startswith("test/") and ".bpf." not in path:
                    users.setdefault((room_of(path), library), set()).add(path)
    for (room, library), paths in users.items():
        # The load generator has a BPF program of its own, the agent a capture and a firewall table.
        if not room.startswith("stateless_tcp/io") and (room, library) not in (
                ("tools/", "bpf/"), ("tools/", "pcap"), ("tools/", "nftables/")):
            fail(f"<{library}> is used outside of stateless_tcp/io: {sorted(paths)}")
        # libpcap reads devices and files, and compiles filters: one file for each. libbpf loads a
        # program here and the next one in another process, knows where frames leave, and makes memory
        # for notes.
        if len(paths) > {"pcap": 3, "bpf/": 4}.get(library, 1):
            fail(f"<{library}> is used by more than one file: {sorted(paths)}")


def impurities(archive, allowed):
    """What a static library calls that it may not, and the writable data that it holds."""
    symbols = run("nm", archive).stdout.splitlines()
    defined = {line.split()[-1] for line in symbols if len(line.split()) == 3}
    undefined = {line.split()[-1] for line in symbols if line.strip().startswith("U ")}
    found = [f"calls {s}" for s in sorted(undefined - defined)
             if not re.fullmatch(allowed, s) and not s.startswith("siphash")]
    for line in run("size", "-A", archive).stdout.splitlines():
        fields = line.split()
        if len(fields) >= 2 and WRITABLE.match(fields[0]) and fields[1] != "0":
            found.append(f"holds writable data ({fields[0]}, {fields[1]} octets)")
    return found


def check_purity(build, cc):
    planted = {
        "a clock": "#include <time.h>\nlong f(void); long f(void){return (long)time(0);}",
        "a counter": "int f(void); int f(void){static int n; return n++;}",
        "a thread-local": "int f(void); int f(void){static _Thread_local int n = 3; return n++;}",
        "an allocation": "#include <stdlib.h>\nvoid *f(void); void *f(void){return malloc(3);}",
    }
    with tempfile.TemporaryDirectory() as scratch:
        for what, code in planted.items():
            source, object_, archive = (os.path.join(scratch, n) for n in ("x.c", "x.o", "x.a"))
            with open(source, "w", encoding="utf-8") as file:
                file.write(code)
            run(cc, "-c", source, "-o", object_)
            if os.path.exists(archive):
                os.remove(archive)
            run("ar", "rc", archive, object_)
            if not impurities(archive, r"memcpy"):
                fail(f"self-test: {what} went unnoticed")
    for library, allowed in PURE_LIBRARIES.items():
        archive = os.path.join(build, library)
        if not os.path.exists(archive):
            fail(f"{library} was not built")
            continue
        for what in impurities(archive, allowed):
            fail(f"{library} {what}")


def check_headers(top, cc):
    for path, _ in sources(top):
        if not path.endswith(".h") or path.startswith("test/") or path.endswith(".bpf.h"):
            continue
        result = run(cc, "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                     "-I", top, "-include", os.path.join(top, path), "-x", "c", os.devnull)
        if result.returncode != 0:
            fail(f"{path} does not compile alone:\n{result.stderr}")


def check_licences(build):
    for binary, banned in MUST_NOT_LINK.items():
        path = os.path.join(build, binary)
        if not os.path.exists(path):
            if binary not in OPTIONAL:
                fail(f"{binary} was not built")
            continue
        loaded = run("ldd", path).stdout
        if "libc.so" not in loaded:
            fail(f"ldd cannot read {binary}")
        # What libnftables itself brings along is its affair; what we ask for is ours.
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", path).stdout)
        for library in banned:
            if any(name.startswith(library) for name in needed):
                fail(f"{binary} links {library}: the licences do not go together")


def main():
    top, build, cc = sys.argv[1:4]
    check_includes(top)
    check_headers(top, cc)
    check_licences(build)
    if "--sanitized" in sys.argv:
        print("note: symbols and sections are not checked in a sanitizer build")
    else:
        check_purity(build, cc)
    print("architecture:", f"{len(failures)} offences" if failures else "as promised")
    return 1 if failures else 0


sys.exit(main())

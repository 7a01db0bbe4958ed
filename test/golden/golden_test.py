#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Replay request captures and compare the answers octet by octet.

usage: golden_test.py LETHE LETHE_REPLAY [--update] [--merged DIR] [CASE...]

Per case: the request capture NAME.in.pcap is what cases.py makes; its answers are NAME.out.pcap;
and they are what check_NAME() beside it says. Names with modern_ are in modern_cases.py, or in
modern_dialogues.py, where a case says both sides. --update writes both captures anew: look at the
difference before you commit it. --merged writes DIR/NAME.pcap too, requests and answers in order, to
be read with `tshark -r`.
"""
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import cases  # noqa: E402
import modern_cases  # noqa: E402
import modern_client  # noqa: E402
import modern_dialogues  # noqa: E402
from frames import Segment, pcap_bytes, pcap_frames  # noqa: E402


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"FAIL {' '.join(command)}: exit code {result.returncode}\n{result.stderr}")
    return result.stdout


def decode(path):
    """A capture as text."""
    if shutil.which("tcpdump"):
        # From standard input: tcpdump gives up its rights before it opens a file.
        with open(path, "rb") as file:
            result = subprocess.run(["tcpdump", "-n", "-S", "-e", "-vv", "-tt", "-r", "-"],
                                    stdin=file, capture_output=True, text=True, check=False)
        return result.stdout.splitlines()
    with open(path, "rb") as file:
        return [f"{time_us} {frame.hex()}" for time_us, frame in pcap_frames(file.read())]


def make_database(lethe, directory):
    zones = os.path.join(HERE, "zones")
    big = os.path.join(directory, "example.zone")
    with open(big, "w", encoding="ascii") as file:
        file.write("$ORIGIN example.\n$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n")
        for owner, count in (("big", 13), ("long", 100), ("huge", 307)):
            for i in range(count):
                file.write(f'{owner} TXT "{i:03d}{"x" * 197}"\n')
    for name, path in (("rand.apnic.net", os.path.join(zones, "rand.apnic.net.zone")),
                       ("example", big)):
        run(lethe, "--db", os.path.join(directory, "db"), "zone", "load", name, path)
    return os.path.join(directory, "db")


def compare(name, path, expected_path):
    with open(path, "rb") as file, open(expected_path, "rb") as expected:
        if file.read() == expected.read():
            return True
    print(f"FAIL {name}: not what {os.path.basename(expected_path)} holds (-), but (+):")
    print("\n".join(difflib.unified_diff(decode(expected_path), decode(path), "expected", "now",
                                         lineterm="", n=2)))
    return False


def tcp_segments(frames):
    segments = []
    for time_us, frame in frames:
        if frame[23 if frame[12] == 8 else 20] == 6 or frame[12:14] in (b"\x81\0", b"\x88\xa8"):
            segments.append(Segment(frame))
            segments[-1].time_us = time_us
    return segments


def write_merged(path, requests, answers):
    """An answer bears the time of its request: a stable sort puts it behind."""
    with open(path, "wb") as file:
        file.write(pcap_bytes(sorted(requests + answers, key=lambda frame: frame[0])))


def make_case(name):
    """The case, what lethe-replay is told, and what looks at the segments that it makes; or None."""
    if name in modern_dialogues.CASES:
        case = modern_dialogues.CASES[name]()
        return case, case.options, lambda segments: modern_client.check(case, segments)
    if name in modern_cases.CASES:
        case, client = modern_cases.CASES[name]()
        options = ["--tcp-profile", "modern"]
        if name == "modern_fast_open":
            options += ["--tcp-fast-open", "on"]
        return case, options, lambda segments: modern_cases.CHECKS[name](client, segments)
    case = cases.CASES[name]()
    check = cases.CHECKS.get(name)
    return (case, ["--tcp-profile", "classic"],
            check and (lambda segments: check(case, segments)))


def run_case(name, replay, database, directory, is_update, merged):
    case, options, check = make_case(name)
    expected_in, expected_out = (os.path.join(HERE, f"{name}.{way}.pcap") for way in ("in", "out"))
    made_in, made_out = (os.path.join(directory, f"{name}.{way}.pcap") for way in ("in", "out"))
    with open(made_in, "wb") as file:
        file.write(pcap_bytes(case.frames))
    if is_update:
        shutil.copyfile(made_in, expected_in)
    run(replay, expected_in, made_out, "--zones", database, "--any", "full", *options)
    with open(made_out, "rb") as file:
        frames = pcap_frames(file.read())
    if merged:
        write_merged(os.path.join(merged, f"{name}.pcap"), case.frames, frames)
    is_good = True
    if check is not None:
        try:
            check(tcp_segments(frames))
        except AssertionError:
            print(f"FAIL {name}: not what check_{name}() says")
            traceback.print_exc(file=sys.stdout)
            print("\n".join(decode(made_out)))
            is_good = False
    if is_update:
        shutil.copyfile(made_out, expected_out)
    return compare(name, made_in, expected_in) and compare(name, made_out, expected_out) and is_good


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    merged = None
    if "--merged" in arguments:
        at = arguments.index("--merged")
        _, merged = arguments[at:at + 2]
        del arguments[at:at + 2]
    lethe, replay, *names = arguments
    names = names or [*cases.CASES, *modern_cases.CASES, *modern_dialogues.CASES]
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        database = make_database(lethe, directory)
        for name in names:
            is_good = run_case(name, replay, database, directory, "--update" in sys.argv,
                               merged)
            failed += not is_good
            if is_good:
                print("ok  ", name)
    return 1 if failed else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What lethe-replay says to bad input, and what it prints: replay_test.py LETHE LETHE_REPLAY"""
import json
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import modern_dialogues  # noqa: E402
from cases import CASES  # noqa: E402
from frames import fast_open_cookie, pcap_bytes, pcap_frames  # noqa: E402

lethe, replay = sys.argv[1:3]
failed = 0


def expect(what, is_so, text=""):
    global failed
    print("ok  " if is_so else "FAIL", what, "" if is_so else text)
    failed += not is_so


def run(*arguments):
    return subprocess.run([replay, *arguments], capture_output=True, text=True, check=False)


def refused(what, code, words, *arguments):
    """Exit code, a message that contains these words, and nothing on standard output."""
    result = run(*arguments)
    expect(what, result.returncode == code and words in result.stderr and not result.stdout
           and "lethe-replay: " in result.stderr,
           f"{result.returncode} {result.stdout!r} {result.stderr!r}")


def write(path, octets):
    with open(path, "wb") as file:
        file.write(octets)
    return path


def main():
    case = CASES["slides_ipv4"]()
    capture = pcap_bytes(case.frames)
    with tempfile.TemporaryDirectory() as top:
        zones, out, good = (os.path.join(top, name) for name in ("db", "out.pcap", "in.pcap"))
        write(good, capture)
        subprocess.run([lethe, "--db", zones, "zone", "load", "rand.apnic.net",
                        os.path.join(HERE, "zones", "rand.apnic.net.zone")],
                       check=True, capture_output=True)

        expect("--help", run("--help").stdout.startswith("usage: "))
        expect("--version", run("--version").stdout.startswith("lethe-replay "))
        refused("no arguments", 2, "two files")
        refused("no zones", 2, "--zones", good, out)
        refused("unknown option", 2, "--nonsense", good, out, "--nonsense")
        for option, value in (("--key", "12"), ("--address", "example"), ("--tcp-mss", "535"),
                              ("--tcp-mss", "1461"), ("--tcp-segment", "511"), ("--any", "most"),
                              ("--tcp-segment", "1221"), ("--tcp-segment", ""),
                              ("--tcp-profile", "baroque"), ("--tcp-verify-checksum", "maybe"),
                              ("--tcp-fast-open", "maybe"),
                              ("--udp-payload", "511"), ("--udp-payload", "4097x")):
            refused(f"{option} {value}", 2, option, good, out, "--zones", zones, option, value)
        refused("no database", 1, "nowhere", good, out, "--zones", os.path.join(top, "nowhere"))
        refused("no capture", 1, "absent.pcap", os.path.join(top, "absent.pcap"), out,
                "--zones", zones)
        refused("no directory to write to", 1, "absent", good, os.path.join(top, "absent/out"),
                "--zones", zones)
        refused("no capture file", 1, "text.pcap",
                write(os.path.join(top, "text.pcap"), b"not a capture at all, only text"), out,
                "--zones", zones)
        refused("another link type", 1, "Ethernet",
                write(os.path.join(top, "cooked.pcap"), capture[:20] + struct.pack("<I", 113)
                      + capture[24:]), out, "--zones", zones)
        refused("a cut file", 1, "after frame 5",
                write(os.path.join(top, "cut.pcap"), capture[:-3]), out, "--zones", zones)
        refused("in place", 2, "same file", good, good, "--zones", zones)
        with open(good, "rb") as file:
            expect("the input is as it was", file.read() == capture)

        classic = ("--tcp-profile", "classic")
        result = run(good, out, "--zones", zones, "--json", "--any", "full", *classic)
        expect("--json", json.loads(result.stdout) == {
            "frames_in": 6, "octets_in": sum(len(frame) for _, frame in case.frames),
            "frames_answered": 3, "frames_out": 5, "octets_out": os.path.getsize(out) - 24 - 5 * 16},
            result.stdout)
        with open(out, "rb") as file:
            frames = pcap_frames(file.read())
        asked = {time_us for time_us, _ in case.frames}
        expect("answers bear the time of their questions", {t for t, _ in frames} <= asked)
        expect("--quiet", run(good, out, "--zones", zones, "--quiet").stdout == "")
        run(good, out, "--zones", zones, "--address", "198.18.0.1@5353", "--address", "fd00::1")
        expect("--address", os.path.getsize(out) == 24)
        run(good, out, "--zones", zones, "--address", "198.18.0.1")
        expect("--address with port 53 by default", os.path.getsize(out) > 24)
        run(good, out, "--zones", zones, "--key", "00" * 31 + "02", *classic)
        with open(out, "rb") as file:
            by_key = file.read()
        expect("--key: another secret proves nothing", len(pcap_frames(by_key)) == 1)
        key_file = out + ".key"
        for text, status in (("00" * 31 + "02\n", 0), ("02\n", 1), (None, 1)):
            if text is None:
                os.remove(key_file)
            else:
                with open(key_file, "w", encoding="ascii") as file:
                    file.write(text)
            result = run(good, out, "--zones", zones, "--key-file", key_file, *classic)
            expect(f"--key-file with {text!r}", result.returncode == status and
                   (status == 0 or key_file in result.stderr), result.stderr)
            if status == 0:
                with open(out, "rb") as file:
                    expect("--key-file is --key", file.read() == by_key)
        case = modern_dialogues.CASES["modern_fast_open_dialogues"]()
        write(good, pcap_bytes(case.frames))
        cookie = b"\x22\x0a" + fast_open_cookie(case.time_us // 10**6, *modern_dialogues.V4)
        for switch, count in (("on", 4), ("off", 0), (None, 0)):
            run(good, out, "--zones", zones, *(("--tcp-fast-open", switch) if switch else ()))
            with open(out, "rb") as file:
                expect(f"--tcp-fast-open {switch}", file.read().count(cookie) == count)
        write(good, capture)
        made = {}
        for profile in ((), classic, ("--tcp-profile", "modern", "--tcp-segment", "1220")):
            run(good, out, "--zones", zones, *profile)
            with open(out, "rb") as file:
                made[profile[1:2]] = file.read()
        expect("modern is the default", made[()] == made["modern",] != made["classic",])
    return 1 if failed else 0


sys.exit(main())

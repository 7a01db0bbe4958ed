#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""tools/quickstart shows every answer that it promises and leaves nothing behind.

    quickstart_test.py QUICKSTART BUILD
"""
import glob
import os
import signal
import subprocess
import sys
import time

QUICKSTART, BUILD = sys.argv[1:3]
COMMAND = [QUICKSTART, "--no-install", "--build", BUILD]
ANSWERS = 5


def left_behind(pid):
    """What a run with this process id has not cleaned up."""
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [name for name in spaces.stdout.split() if name.endswith(f"-{pid}")]


def scratch():
    return set(glob.glob("/tmp/lethe-quickstart.*"))


def run_to_the_end():
    before = scratch()
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    if "no network namespaces" in output:
        print("SKIP: no network namespaces here")
        sys.exit(77)
    assert output.count("NOERROR, ") == ANSWERS, output
    assert output.count("$ dig @") == ANSWERS, output
    assert "TCP without state, IPv6" in output, output
    assert not left_behind(process.pid) and scratch() <= before, "something is left behind"


def interrupt_while_it_is_kept():
    before = scratch()
    with subprocess.Popen(COMMAND + ["--keep"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.PIPE, text=True) as process:
        output = ""
        while "process " not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        assert left_behind(process.pid), "namespaces are there while it runs"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.stdin.close()
        process.wait(30)
    assert process.returncode == 143, process.returncode
    assert not left_behind(process.pid) and scratch() <= before, "something is left behind"


def refuse_nonsense():
    done = subprocess.run([QUICKSTART, "--nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage:" in done.stderr, done
    done = subprocess.run([QUICKSTART, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "usage:" in done.stdout, done


if os.geteuid() != 0:
    print("SKIP: needs root, for network namespaces")
    sys.exit(77)
refuse_nonsense()
run_to_the_end()
interrupt_while_it_is_kept()

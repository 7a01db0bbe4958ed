#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The README's commands of ours, as they stand there: each does what it should.

    readme_test.py TOP BUILD

In a network with one interface, eth0, and with /var/lib and /etc/lethe that end with the test. Left out
are those that other tests run (quickstart, lab, frames of lethe-bench) and those that take too long.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import netns  # noqa: E402

TOP, BUILD = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
ZONE = "@ 60 SOA ns admin 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 A 192.0.2.2\n"
FILES = {"example.zone": ZONE, "zones": "other.example other.zone\n", "other.zone": ZONE,
         "changes": "- www 60 A 192.0.2.2\n+ www 60 A 192.0.2.3\n", "questions": "www.example A\n"}
ELSEWHERE = ("lethe-bench raw ",)
# They end with something else than 0 here: there is no root, and no cache.
CODES = {"+trace": 9}
COMMANDS_MIN = 15
failed = 0


def commands():
    """Lines of code that begin with a program of ours, without comments."""
    for line in (TOP / "README.md").read_text().splitlines():
        found = re.match(r"    (lethe(?:d|-\w+)? .*?)(?:  +#.*)?$", line)
        if found and not re.match(r"lethe \w+ load  ", found[1]) and not found[1].startswith(ELSEWHERE):
            yield found[1].replace("lethed ...", "lethed --db /var/lib/lethe/db --listen 192.0.2.1")


def run(words, folder, env):
    """It starts, says that it is ready, and ends by SIGTERM; or ends by itself."""
    lasts = words[0] in ("lethed", "lethe-forward", "lethe-goaway") and "--check-config" not in words
    if not lasts:
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout + done.stderr
    with subprocess.Popen(words, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as process:
        said = ""
        while "ready" not in said:
            line = process.stderr.readline()
            if line == "":
                return process.wait(), said + "(never ready)"
            said += line
        process.send_signal(signal.SIGTERM)
        said += process.stderr.read()
        return process.wait(30), said


def run_all(folder, env):
    global failed
    count, server = 0, None
    for command in commands():
        words = re.sub(r"-l 10\b", "-l 1", command).split()
        if words[0] == "lethe-query" and server is None:
            server = netns.Lethed("lethed", "--db", "/var/lib/lethe/db", "--listen", "192.0.2.1", environment=env)
        elif words[0] == "lethed" and server is not None:  # of the same address
            server.end()
            server = None
        code, said = run(words, folder, env)
        count += 1
        wanted = CODES.get(words[-1], 0)
        print(f"{'ok  ' if code == wanted else 'FAIL'} {command}")
        if code != wanted:
            failed += 1
            print(f"exit code {code}, not {wanted}: {said}")
        if words[0] == "lethed" and "--goaway-code" in words:
            server = netns.Lethed("lethed", "--db", "/var/lib/lethe/db", "--listen", "192.0.2.1", environment=env)
    if server is not None:
        server.end()
    if count < COMMANDS_MIN:
        failed += 1
        print("FAIL only", count, "commands were found")


def main():
    netns.skip_unless("mount")
    if os.environ.get("LETHE_TEST_NETWORK") != "own":
        os.environ["LETHE_TEST_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable] + sys.argv)
    place = netns.Here()
    place.run("mount", "--make-rprivate", "/")
    place.run("mount", "-t", "tmpfs", "none", "/var/lib")
    os.makedirs("/var/lib/lethe")
    with tempfile.TemporaryDirectory(prefix="lethe-readme-") as folder:
        for name in ("upper", "work"):
            os.mkdir(f"/var/lib/{name}")
        made = place.run("mount", "-t", "overlay", "-o",
                         "lowerdir=/etc,upperdir=/var/lib/upper,workdir=/var/lib/work", "none", "/etc", check=False)
        if made.returncode != 0:
            print("SKIP: no overlay over /etc:", made.stderr)
            sys.exit(netns.SKIP)
        os.makedirs("/etc/lethe", exist_ok=True)
        shutil.copy(TOP / "doc/lethed.yaml.example", "/etc/lethe/lethed.yaml")
        pathlib.Path("/etc/lethe/tcp.key").write_text("0" * 64 + "\n")
        for command in ("link set lo up", "link add eth0 type veth peer name peer0", "link set eth0 up",
                        "link set peer0 up", "address add 192.0.2.1/24 dev eth0"):
            place.ip(command)
        for name, text in FILES.items():
            pathlib.Path(folder, name).write_text(text)
        for name in ("IN.pcap", "in.pcap"):
            shutil.copy(TOP / "test/golden/half_close.in.pcap", pathlib.Path(folder, name))
        env = {**os.environ, "PATH": f"{BUILD}/tools:{BUILD}/server:{os.environ['PATH']}"}
        os.environ["PATH"] = env["PATH"]
        run_all(folder, env)
    sys.exit(1 if failed else 0)


main()

# SPDX-License-Identifier: BSD-2-Clause
"""Load time, size, restart, memory and update visibility of large zones: by test/bench/scale.py."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

SCALE = pathlib.Path(__file__).resolve().parent.parent / "scale.py"
# For each million of delegations, and besides.
LIMIT_S_PER_MILLION, LIMIT_S = 400, 600
PEERS = ("nsd", "knot", "bind", "pdns")


def command(build, options, work, path):
    """In a PID namespace of its own: whatever it has started ends with it."""
    peers = ",".join(peer for peer in PEERS if peer in options.peers) or "none"
    return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable,
            str(SCALE), "--build", str(build), "--delegations", ",".join(map(str, options.scale)),
            "--zones", str(options.scale_zones), "--peers", peers, "--json", str(path), "--work",
            str(work), "--progress"]


def skipped(options):
    """What is not measured, in words."""
    out = [f"{peer}: not among the servers asked for" for peer in PEERS
           if peer not in options.peers]
    if not options.scale_zones:
        out.append("many small zones: not asked for")
    if max(options.scale) < 10000000:
        out.append("10,000,000 delegations: minutes, and gigabytes of disk; --scale "
                   "1000000,10000000 measures them")
    return out


def follow(stream, say, told):
    """Its progress, as it comes."""
    for line in stream:
        if line.strip():
            say(f"scale: {line.strip()}")
            told.append(line)


def figures(build, options, say):
    """What it says (scale.py documents it), or why it says nothing."""
    say(f"scale: {', '.join(map(str, options.scale))} delegations, {options.scale_zones} zones")
    limit_s = LIMIT_S + LIMIT_S_PER_MILLION * sum(options.scale) / 1e6
    with tempfile.TemporaryDirectory(prefix="lethe-scale-", dir=options.state) as work:
        os.chmod(work, 0o755)
        path = pathlib.Path(work, "scale.json")
        told = []
        with subprocess.Popen(command(build, options, work, path), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, start_new_session=True) as run:
            reader = threading.Thread(target=follow, args=(run.stdout, say, told), daemon=True)
            reader.start()
            try:
                run.wait(limit_s)
            except subprocess.TimeoutExpired:
                told.append(f"took more than {limit_s:.0f} s")
            except KeyboardInterrupt:
                told.append("interrupted")
            finally:
                run.kill()
                run.wait()
                reader.join(10)
        if not path.exists():
            return {"why": "".join(told)[-500:] or "it said nothing"}
        return {**json.loads(path.read_text(encoding="utf-8")), "skipped": skipped(options)}

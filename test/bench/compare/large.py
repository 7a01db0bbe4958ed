# SPDX-License-Identifier: BSD-2-Clause
"""Load time, size, restart, memory and update visibility of large zones: by test/bench/scale.py."""
import json
import pathlib
import subprocess
import sys
import tempfile

SCALE = pathlib.Path(__file__).resolve().parent.parent / "scale.py"
LIMIT_S = 1800
PEERS = ("nsd", "knot", "bind")


def figures(build, options, say):
    """What it says (scale.py documents it), or why it says nothing."""
    counts = ",".join(map(str, options.scale))
    say(f"scale: {counts} delegations, {options.scale_zones} zones")
    with tempfile.TemporaryDirectory(prefix="lethe-scale-") as directory:
        path = pathlib.Path(directory, "scale.json")
        peers = ",".join(peer for peer in PEERS if peer in options.peers) or "none"
        command = [sys.executable, str(SCALE), "--build", str(build), "--delegations", counts,
                   "--zones", str(options.scale_zones), "--peers", peers, "--json", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            return {"why": f"took more than {LIMIT_S} s"}
        if not path.exists():
            return {"why": (done.stdout + done.stderr)[-500:]}
        return json.loads(path.read_text(encoding="utf-8"))

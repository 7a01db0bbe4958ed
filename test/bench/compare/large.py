# SPDX-License-Identifier: BSD-2-Clause
"""Load time, size, restart, memory and update visibility of large zones: by test/bench/scale.py."""
import json
import pathlib
import subprocess
import sys
import tempfile

SCALE = pathlib.Path(__file__).resolve().parent.parent / "scale.py"
LIMIT_S = 1800


def figures(build, delegations, say):
    """What it says, or why it says nothing."""
    say(f"scale: {delegations} delegations")
    with tempfile.TemporaryDirectory(prefix="lethe-scale-") as directory:
        path = pathlib.Path(directory, "scale.json")
        try:
            done = subprocess.run([sys.executable, str(SCALE), "--build", str(build), "--delegations",
                                   str(delegations), "--json", str(path)], capture_output=True,
                                  text=True, check=False, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            return {"delegations": delegations, "why": f"took more than {LIMIT_S} s"}
        if done.returncode or not path.exists():
            return {"delegations": delegations, "why": (done.stdout + done.stderr)[-500:]}
        return {"delegations": delegations, "figures": json.loads(path.read_text(encoding="utf-8"))}

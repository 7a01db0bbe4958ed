# SPDX-License-Identifier: BSD-2-Clause
"""How soon a changed delegation is seen: one is added to the large zone and taken away again."""
import subprocess
import sys
import time

import loads
import servers

APEX, OWNER = "tld.", "compare-change"
# So often each, while there is time: some read the whole zone anew for it.
TIMES, LIMIT_S, ONE_LIMIT_S = 5, 20, 60


class Watcher:
    """Asks from the client's namespace until the delegation is there, or gone."""

    def __init__(self, link, address, wanted):
        self.process = link.client.start(
            "taskset", "-c", str(link.client_cpu), sys.executable, str(servers.HERE / "ask.py"),
            "seen", address, str(servers.PORT), f"{OWNER}.{APEX}", str(ONE_LIMIT_S), wanted,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def __enter__(self):
        self.process.stdout.readline()
        return self

    def seen(self):
        """When."""
        said = self.process.stdout.readline().split()
        if not said:
            raise loads.Failed(f"a change is not seen within {ONE_LIMIT_S} s")
        return float(said[0])

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def one(instance, how):
    """(seconds that the command took, seconds until it was seen)"""
    with Watcher(instance.link, instance.address, "all" if how == "add" else "nothing") as watcher:
        begun = time.monotonic()
        done = instance.link.server.start(
            *instance.server.change_command(instance.zone_set, how), cwd=instance.directory,
            env={**instance.environment, "APEX": APEX, "OWNER": OWNER}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=ONE_LIMIT_S)
        took = time.monotonic() - begun
        if done.returncode:
            raise loads.Failed(f"change: {said.strip()[-300:]}")
        return took, watcher.seen() - begun


def measure(instance):
    """Of a server that answers."""
    took, seen, end = [], [], time.monotonic() + LIMIT_S
    for _ in range(TIMES):
        for how in ("add", "remove"):
            took_s, seen_s = one(instance, how)
            took.append(took_s)
            seen.append(seen_s)
        if time.monotonic() > end:
            break
    return {"server": instance.server.name, "took_s": took, "seen_s": seen}

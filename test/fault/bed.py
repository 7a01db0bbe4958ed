# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of profile modern on a bad network share."""
import os
import subprocess
import time

import tcp_client
from netns import Lethed

# Round ones, those around the first two ends of segments (1,208 octets each, the length counted),
# and some between.
SIZES = [100, 150, 230, 350, 512, 700, 1000, 1199, 1204, 1205, 1206, 1207, 1208, 1220, 1233, 1500,
         2000, 2412, 2414, 2416, 3000, 4000, 5500, 7500, 10000, 14000, 20000, 28000, 40000, 60000]
# What may come with use, once: the pages of the cache of recent responses, tables of the C library.
MEMORY_KB = 4096 + 1024


class Bed:
    """A database, keys, and lethed on a network, stateless on port 53 and with the kernel's TCP on
    port 54. This process is in the client's namespace."""

    def __init__(self, build, directory, net, sizes=SIZES, cuts=0, options=()):
        self.build, self.directory, self.net, self.options = build, directory, net, options
        self.has_image = "--image" in options
        self.zone = os.path.join(directory, "example.zone")
        self.names = tcp_client.write_zone(self.zone, sizes, cuts)
        self.database = os.path.join(directory, "db")
        subprocess.run([self.program("tools/lethe"), "--db", self.database, "zone", "load",
                        "example", self.zone], check=True, stdout=subprocess.DEVNULL)
        # Inside a response only what was committed long ago is gone on with.
        old = time.time() - 3600
        os.utime(os.path.join(self.database, "data.mdb"), (old, old))
        self.key_file = os.path.join(directory, "key")
        with open(self.key_file, "w", encoding="ascii") as file:
            file.write("5a" * 32 + "\n")

    def program(self, path):
        return os.path.join(os.path.abspath(self.build), path)

    def serve(self, place=None, driver=None):
        """driver: instead of what the options say, which is not `off`."""
        arguments, options = [], list(self.options)
        if driver and "--driver" in options:
            options[options.index("--driver") + 1] = driver
        for address in self.net.addresses:
            arguments += ["--listen", f"{address}@53", "--tcp", "stateless", "--interface", "v0",
                          "--listen", f"{address}@54", "--tcp", "kernel"]
        lethed = Lethed(self.program("server/lethed"), "--db", self.database, "--workers", "1",
                        "--tcp-profile", "modern", "--tcp-key-file", self.key_file, *arguments,
                        *options, place=place or self.net.server)
        if self.has_image:
            lethed.wait_for("image ready")
        return lethed

    def learn(self, port=54):
        """By the kernel's TCP."""
        return tcp_client.learn(self.net.v4, port, self.names)


def said(result, begun):
    spent = sorted(each[2] for each in result.times)
    return (f"{result.responses} responses over {result.connections} connections "
            f"({result.reopened} ended by the server), {len(result.failures)} failed; "
            f"conversations: median {spent[len(spent) // 2]:.3f} s, "
            f"99 % {spent[len(spent) * 99 // 100]:.1f} s, longest {spent[-1]:.1f} s; "
            f"all in {time.monotonic() - begun:.0f} s")


def must_all_be_right(result, count):
    assert not result.failures, "\n".join(result.failures[:5])
    assert result.responses == count, f"{result.responses} responses of {count}"

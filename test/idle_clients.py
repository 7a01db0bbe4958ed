# SPDX-License-Identifier: BSD-2-Clause
"""Connections without sockets on the client's side: test/fault/idle_clients.c, spoken to."""
import subprocess


class IdleClients:
    """`process`: the running program, with pipes of text; it ends with this. `failure`: what is
    raised when it ends before."""

    def __init__(self, process, failure=AssertionError):
        self.process, self.failure = process, failure

    def __enter__(self):
        return self

    def say(self, *words):
        """The answer's numbers by their names."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().split()
        if not said:
            raise self.failure(f"the clients ended with {self.process.wait()}")
        return dict(zip(said[::2], map(int, said[1::2])))

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

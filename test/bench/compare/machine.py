# SPDX-License-Identifier: BSD-2-Clause
"""Whose CPU time, and on what machine.

The server has one core, the load generator the other. Both ends of the veth pair use threaded NAPI,
so that what the kernel does to receive for the server runs in a kernel thread that we tie to the
server's core and can read the time of; everything else is done in the server's own processes, whose
time a control group adds up. Their sum, to the nanosecond, is what a query costs. /proc/stat of the
server's core, sampled a hundred times a second, must say the same: what it says beyond the sum was
used by strangers.
"""
import gzip
import os
import pathlib
import platform
import re
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
GROUPS = (("v1", "/sys/fs/cgroup/cpuacct"), ("v2", "/sys/fs/cgroup"),
          ("v2", "/sys/fs/cgroup/unified"))
# Another user of the server's core: beyond this share of the time a run says less than it should.
FOREIGN_LIMIT = 0.05
QUIET_S = 0.1


def read(path):
    """The text of a file below /proc or /sys, "" if it is gone."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def family(pid):
    """A process and its children, all generations."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in read(task).split()]
    return found


def core_times(cpu, text=None):
    """Seconds since boot by the kind of use, of one core."""
    text = read("/proc/stat") if text is None else text
    fields = re.search(rf"^cpu{cpu} (.*)$", text, re.M)[1].split()
    user, nice, system, idle, iowait, irq, softirq, steal = (int(f) * TICK_S for f in fields[:8])
    return {"user": user + nice, "system": system, "irq": irq, "softirq": softirq,
            "idle": idle + iowait, "steal": steal}


def busy(times):
    return times["user"] + times["system"] + times["irq"] + times["softirq"]


def run_time_s(pids):
    """CPU time of threads (the first of each process), in seconds."""
    return sum(int(read(f"/proc/{pid}/schedstat").split()[0] or 0) for pid in pids
               if read(f"/proc/{pid}/schedstat")) / 1e9


def kernel_threads(prefix):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        if read(path).startswith(prefix):
            found.append(int(path.parent.name))
    return found


def has_irq_time_apart(text=None):
    """Does this kernel keep the time of interrupts out of that of the process they interrupt?"""
    if text is None:
        release = platform.release()
        text = read(f"/boot/config-{release}")
        if os.path.exists("/proc/config.gz"):
            with gzip.open("/proc/config.gz", "rt") as file:
                text = file.read()
    return "CONFIG_IRQ_TIME_ACCOUNTING=y" in text


def map_sizes(texts):
    """Octets of each BPF map, by its number, from /proc/*/fdinfo/*."""
    out = {}
    for text in texts:
        number = re.search(r"^map_id:\s+(\d+)$", text, re.M)
        size = re.search(r"^memlock:\s+(\d+)$", text, re.M)
        if number and size:
            out[int(number[1])] = int(size[1])
    return out


class Group:
    """The time of a server's processes: by a control group of version 1 or 2, otherwise by adding
    up what the kernel knows of each thread."""

    def __init__(self, name, kinds=GROUPS):
        self.path = self.version = self.pid = None
        for version, root in kinds:
            known = "cpuacct.usage" if version == "v1" else "cgroup.controllers"
            if os.path.exists(os.path.join(root, known)):
                try:
                    path = pathlib.Path(root, name)
                    path.mkdir(exist_ok=True)
                except OSError:
                    continue
                if version == "v1" or (path / "cpu.stat").exists():
                    self.path, self.version = path, version
                    break
                path.rmdir()

    def method(self):
        return {"v1": "control group, version 1 (cpuacct)",
                "v2": "control group, version 2 (cpu.stat)",
                None: "threads (schedstat)"}[self.version]

    def prefix(self):
        """Words before a command that put it into the group, and leave in the file `started` when
        it began (nanoseconds of the day's clock)."""
        return ["sh", "-c", 'echo $$ > "$0" && date +%s%N > started && exec "$@"',
                str(self.path / "cgroup.procs") if self.path else "/dev/null"]

    def processes(self):
        if self.path is None:
            pids = family(self.pid) if self.pid else []
            return [pid for pid in pids if read(f"/proc/{pid}/stat")]
        return [int(pid) for pid in read(self.path / "cgroup.procs").split()]

    def used_s(self):
        if self.version == "v1":
            return int(read(self.path / "cpuacct.usage")) / 1e9
        if self.version == "v2":
            return int(re.search(r"usage_usec (\d+)", read(self.path / "cpu.stat"))[1]) / 1e6
        tasks = [int(task.name) for pid in self.processes()
                 for task in pathlib.Path(f"/proc/{pid}/task").glob("*")]
        return run_time_s(tasks)

    def memory_kb(self):
        """(what its processes hold for themselves, all of theirs that is present), shared pages
        counted once, huge ones included."""
        own = total = 0
        for pid in self.processes():
            text = read(f"/proc/{pid}/smaps_rollup")
            sizes = {name: int(kb) for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
            huge = sizes.get("Private_Hugetlb", 0) + sizes.get("Shared_Hugetlb", 0)
            total += sizes.get("Pss", 0) + huge
            own += sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0) + huge
        return own, total

    def maps_kb(self):
        """What BPF maps that its processes hold take in the kernel."""
        return sum(map_sizes(read(file) for pid in self.processes() for file in
                             pathlib.Path(f"/proc/{pid}/fdinfo").glob("*")).values()) // 1024

    def remove(self):
        for _ in range(50):
            try:
                if self.path is not None and self.path.exists():
                    self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)


class Meter:
    """What a stretch of time cost: start() before, stop() after."""

    def __init__(self, server_cpu, client_cpu, device):
        self.server_cpu, self.client_cpu, self.device = server_cpu, client_cpu, device
        self.is_irq_apart = has_irq_time_apart()
        self.interrupt_threads = kernel_threads(f"ksoftirqd/{server_cpu}")
        self.group = self.receivers = self.before = None

    def _now(self):
        text = read("/proc/stat")
        core = core_times(self.server_cpu, text)
        softirq = (core["irq"] + core["softirq"] if self.is_irq_apart
                   else run_time_s(self.interrupt_threads))
        return {"server": self.group.used_s() if self.group else 0.0,
                "receive": run_time_s(self.receivers), "softirq": softirq,
                "core": busy(core), "core_all": busy(core) + core["idle"] + core["steal"],
                "steal": core["steal"], "client": busy(core_times(self.client_cpu, text)),
                "at": time.monotonic()}

    def start(self, group):
        self.group = group
        self.receivers = kernel_threads(f"napi/{self.device}-")
        self.before = self._now()

    def stop(self):
        after = self._now()
        return usage({key: after[key] - self.before[key] for key in after})


def usage(spent):
    """Shares and the sum, from the seconds by kind."""
    wall = max(spent["at"], 1e-9)
    total = spent["server"] + spent["receive"] + spent["softirq"]
    return {"wall_s": wall, "server_s": spent["server"], "receive_s": spent["receive"],
            "softirq_s": spent["softirq"], "total_s": total, "core_s": spent["core"],
            "foreign": max(0.0, spent["core"] - total) / wall, "steal": spent["steal"] / wall,
            "server_busy": spent["core"] / wall, "client_busy": spent["client"] / wall}


def wait_quiet(limit_s, share=0.06):
    """Until the machine has been idle for QUIET_S; False if that does not come."""
    end = time.monotonic() + limit_s
    while True:
        before, at = read("/proc/stat"), time.monotonic()
        time.sleep(QUIET_S)
        after, spent = read("/proc/stat"), time.monotonic() - at
        used = [busy(core_times(cpu, after)) - busy(core_times(cpu, before))
                for cpu in re.findall(r"^cpu(\d+) ", after, re.M)]
        if sum(used) <= share * spent * len(used):
            return True
        if time.monotonic() >= end:
            return False


def describe():
    """The machine, for the report."""
    cpu = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.M)
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', read("/etc/os-release"), re.M))
    return {"kernel": platform.release(), "cpu": cpu[1] if cpu else platform.machine(),
            "cores": os.cpu_count(),
            "memory_gb": round(int(memory[1]) / 1e6, 1) if memory else None,
            "system": release.get("PRETTY_NAME", ""),
            "is_virtual": "hypervisor" in read("/proc/cpuinfo"),
            "irq_time_apart": has_irq_time_apart()}

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-bench as a process: what it says to whom, and whether its figures hold.

usage: bench_test.py --build DIR
"""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import netns  # pylint: disable=wrong-import-position

BUILD = sys.argv[sys.argv.index("--build") + 1]
BENCH, LETHE = os.path.join(BUILD, "tools/lethe-bench"), os.path.join(BUILD, "tools/lethe")
LETHED = os.path.join(BUILD, "server/lethed")
MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../doc/lethe-bench.1")
SCRATCH = tempfile.mkdtemp(prefix="lethe-bench-test-")
DATABASE, QUESTIONS = os.path.join(SCRATCH, "db"), os.path.join(SCRATCH, "questions")
SOURCES = {"4": "198.18.64.0/24", "6": "fd00:198:18:64::/120"}

NUMBER, TEXT, LIST, OBJECT = (int, float), str, list, dict
# Member -> its type, or the members of the object that it is.
DURATIONS = {name: NUMBER for name in
             ("count", "min", "mean", "p50", "p90", "p99", "p999", "p9999", "max")}
SCHEMA = {
    "tool": TEXT, "version": TEXT, "mode": TEXT, "server": TEXT, "rate": (int, float, type(None)),
    "threads": int, "connections": int, "queries_per_connection": int, "pipeline": int,
    "questions": int, "seconds": NUMBER, "sent": int, "answered": int, "lost": int, "wrong": int,
    "unexpected": int, "stray": int, "unsent": int, "held": int, "truncated": int, "compared": int,
    "different": int,
    "octets_sent": int, "octets_received": int, "sent_per_s": NUMBER, "answered_per_s": NUMBER,
    "loss": NUMBER, "rcodes": OBJECT, "checksum": {"good": int, "bad": int, "absent": int},
    "tcp": {name: int for name in ("opened", "refused", "resets", "no_port", "fast_open",
                                   "segments_sent", "segments_received", "retransmissions")},
    "latency_us": DURATIONS, "lag_us": DURATIONS,
    "generator": {"user_s": NUMBER, "system_s": NUMBER, "wait_s": NUMBER, "busy_share": NUMBER,
                  "processor_share": NUMBER,
                  "us_per_answer": NUMBER, "kernel_drops": int, "warnings": LIST},
    "intervals": LIST,
}
INTERVAL = {name: NUMBER for name in ("second", "sent", "answered", "lost", "wrong", "unsent",
                                      "p50_us", "p90_us", "p99_us", "p999_us", "max_us")}


def must_have_shape(value, shape, where):
    if isinstance(shape, dict):
        assert sorted(value) == sorted(shape), f"{where}: {sorted(set(value) ^ set(shape))}"
        for name, of in shape.items():
            must_have_shape(value[name], of, f"{where}.{name}")
    else:
        assert isinstance(value, shape) and not isinstance(value, bool), f"{where}: {value!r}"


def must_hold(result):
    """What is true of every result."""
    must_have_shape(result, SCHEMA, "result")
    for interval in result["intervals"]:
        must_have_shape(interval, INTERVAL, "interval")
    for name in ("sent", "answered", "lost", "wrong", "unsent"):
        assert result[name] == sum(interval[name] for interval in result["intervals"]), name
    assert result["sent"] == result["answered"] + result["lost"] + result["wrong"], result
    assert sum(result["rcodes"].values()) == result["answered"], result
    latency = result["latency_us"]
    assert latency["count"] == result["answered"], result
    order = [latency[name] for name in ("min", "p50", "p90", "p99", "p999", "p9999", "max")]
    assert order == sorted(order), order
    assert latency["min"] <= latency["mean"] <= latency["max"], latency


def bench(place, *arguments, mode="udp", status=0, questions=("-d", QUESTIONS)):
    """The result of a run."""
    done = place.run(BENCH, mode, *arguments, *questions, "--json", "--quiet", check=False)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    result = json.loads(done.stdout)
    must_hold(result)
    return result


def must_be_right(result, sent):
    assert result["sent"] == result["answered"] == sent, result
    assert result["unexpected"] == result["wrong"] == result["lost"] == 0, result


def refused(status, text, *arguments, place=netns.Here()):
    done = place.run(BENCH, *arguments, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    assert text in done.stderr, (arguments, done.stderr)
    assert done.stdout == "", done.stdout


def prepare():
    zone = os.path.join(SCRATCH, "zone")
    with open(zone, "w", encoding="ascii") as file:
        file.write("$ORIGIN example.\n$TTL 9\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n")
        for i in range(300):
            file.write(f"name{i} A 192.0.2.2\nname{i} TXT \"{'x' * 100}\"\n")
            file.write(f"cut{i} NS ns.cut{i}\nns.cut{i} A 192.0.2.3\n")
        for i in range(40):
            file.write(f"big TXT \"{i} {'y' * 200}\"\n")
    with open(QUESTIONS, "w", encoding="ascii") as file:
        for i in range(300):
            file.write(f"name{i}.example A\nName{i}.example. txt\nwww.cut{i}.example A\n"
                       f"nx{i}.example AAAA\n")
        file.write("; the end\nbig.example TXT\n")
    subprocess.run([LETHE, "--db", DATABASE, "zone", "load", "example", zone], check=True,
                   capture_output=True)


def test_bad_command_lines():
    good = ("-s", "127.0.0.1", "-d", QUESTIONS)
    refused(2, "say how to ask", *good)
    refused(2, "say how to ask, with one of: udp, tcp, raw, raw-udp: http", "http", *good)
    refused(2, "name the server", "udp", "-d", QUESTIONS)
    refused(2, "name the questions", "udp", "-s", "127.0.0.1")
    refused(2, "name the questions", "udp", *good, "--zone", "x:y")
    refused(2, "bad value for --server: localhost", "udp", "-s", "localhost", "-d", QUESTIONS)
    for option, value in (("port", "0"), ("port", "65536"), ("rate", "x"), ("rate", "nan"),
                          ("seconds", "-1"), ("mix", "1:2"), ("mix", "0:0:0"), ("mix", "1:2:3:4"),
                          ("count", "0"), ("threads", "65"), ("pipeline", "65"), ("close", "psh"),
                          ("ports", "9-1"), ("ports", "1-65536"), ("mac", "01:00:00:00:00:00"),
                          ("mac", "02:00"), ("source", "198.18.0.1/24"), ("source", "x"),
                          ("window", "100"), ("arrivals", "odd"), ("payload", "511"),
                          ("handshake-ack", "none"), ("compare-every", "0"), ("zone", "dir")):
        refused(2, f"bad value for --{option}: {value}", "udp", *good, f"--{option}={value}")
    refused(2, "it is 0.001 to 100000000", "udp", *good, "-Q", "0")
    refused(2, "there is a word too many: FILE", "udp", *good, "--json", "FILE")
    refused(2, "as in fe80::1%eth0", "tcp", "-s", "fe80::2", "-d", QUESTIONS)
    refused(2, "different IP versions", "udp", *good, "-a", "fd00::/64")
    refused(2, "name the interface", "raw", *good, "-a", "198.18.64.0/24")
    refused(2, "--source PREFIX", "raw", *good, "-i", "lo")
    refused(2, "--pipeline is more", "tcp", *good, "--pipeline", "2")
    refused(2, "--fast-open is for TCP", "udp", *good, "--fast-open")
    refused(2, "--driver is for raw", "udp", *good, "--driver")
    of_driver = ("raw", *good, "-a", "198.18.64.0/24", "-i", "lo", "--driver")
    refused(2, "needs no threads", *of_driver, "-T", "2")
    for option in (("--fast-open",), ("--checksum",), ("--compare", "/x"),
                   ("--pipeline", "2", "--queries-per-connection", "4")):
        refused(2, "--driver goes without", *of_driver, *option)
    refused(2, "asks once", *of_driver, "-Q", "9", "--queries-per-connection", "2")
    done = netns.Here().run(BENCH, "--help")
    assert "usage: lethe-bench" in done.stdout and done.stderr == "", done
    assert netns.Here().run(BENCH, "--version").stdout.startswith("lethe-bench ")


def test_manual():
    """Every option, and every member of the result, is in the manual, and no other option is."""
    with open(MANUAL, encoding="utf-8") as file:
        manual = file.read()
    usage = set(re.findall(r"--([a-z-]+)", netns.Here().run(BENCH, "--help").stdout))
    described = set(re.findall(r"\\-([a-z]+(?:-[a-z]+)*)", manual))
    assert usage == described, usage ^ described
    for name in (*SCHEMA, *SCHEMA["tcp"], *INTERVAL, *DURATIONS, *SCHEMA["generator"]):
        assert re.search(rf"\.(Va|It Va) .*\b{name}\b", manual), name


def test_bad_files():
    bad = os.path.join(SCRATCH, "bad")
    with open(bad, "w", encoding="ascii") as file:
        file.write("www.example A\nwww.example\n")
    refused(1, f"{bad}:2: a line has a name and a type", "udp", "-s", "127.0.0.1", "-d", bad)
    refused(1, f"1 line of {bad} is no question", "udp", "-s", "127.0.0.1", "-d", bad)
    refused(1, "cannot read questions", "udp", "-s", "127.0.0.1", "-d", bad + "x")
    refused(1, "/dev/zero:1: this line is too long", "udp", "-s", "127.0.0.1", "-d", "/dev/zero")
    refused(1, "Is a directory", "udp", "-s", "127.0.0.1", "-d", "/")
    refused(1, "there is no question", "udp", "-s", "127.0.0.1", "-d", "/dev/null")
    refused(1, "no such zone", "udp", "-s", "127.0.0.1", "--zone", DATABASE + ":org")
    refused(1, "no zone database there", "udp", "-s", "127.0.0.1", "--zone", SCRATCH + ":org")
    refused(1, "cannot write", "udp", "-s", "127.0.0.1", "-d", QUESTIONS, "--csv",
            SCRATCH + "/no/csv")


def test_bad_interfaces():
    raw = ("raw", "-s", "198.18.0.1", "-d", QUESTIONS, "-a", "198.18.64.0/24")
    with netns.Network() as net:
        refused(1, "No such device", *raw, "-i", "v9", place=net.client)
        refused(1, "no such --backend", *raw, "-i", "v1", "--backend", "carrier-pigeon",
                place=net.client)
        refused(1, "the host itself has an address of --source", *raw[:-1], "198.18.0.0/24", "-i",
                "v1", place=net.client)
        refused(1, "name that with --gateway", *raw[:2], "198.18.0.99", *raw[3:], "-i", "v1",
                place=net.client)


def test_interfaces_of_others():
    """One XDP program at a time, and it goes with the process, however that ends."""
    with netns.Network() as net:
        if not has_driver(net):
            return
        driver = ("raw", "-s", net.v4, "-d", QUESTIONS, "-a", SOURCES["4"], "--driver", "--mac",
                  "02:00:00:00:00:01")
        first = net.client.start(BENCH, *driver, "-i", "v1", "-Q", "1", "-l", "60", "--quiet",
                                 stdout=subprocess.DEVNULL)
        try:
            netns.wait_until(lambda: "prog/xdp" in net.client.run(
                "ip", "-details", "link", "show", "v1").stdout, "an XDP program")
            refused(1, "an XDP program is there already", *driver, "-i", "v1", place=net.client)
        finally:
            first.kill()
            first.wait()
        netns.wait_until(lambda: "prog/xdp" not in net.client.run(
            "ip", "-details", "link", "show", "v1").stdout, "no XDP program")


def test_kernel_sockets():
    with netns.Network() as net, netns.Lethed(LETHED, "--db", DATABASE, "--listen", net.v4 + "@53",
                                              "--listen", net.v6 + "@5353", place=net.server):
        for server in (("-s", net.v4), ("-s", net.v6, "-p", "5353"), ("-s", net.v6 + "@5353")):
            for mode in ("udp", "tcp"):
                more = ("-n", "3001", "--compare", DATABASE, "-e", "-c", "20")
                must_be_right(bench(net.client, *server, *more, mode=mode), 3001)
        server = ("-s", net.v4, "--compare", DATABASE)
        result = bench(net.client, *server, "-n", "4000", "-T", "3", "--checksum", "-D")
        must_be_right(result, 4000)
        assert result["checksum"] == {"good": 4000, "bad": 0, "absent": 0}, result
        result = bench(net.client, *server, "-n", "4000", "--queries-per-connection", "10",
                       "--pipeline", "4", "-c", "5", "--close", "rst", mode="tcp")
        must_be_right(result, 4000)
        assert 400 <= result["tcp"]["opened"] <= 410, result
        result = bench(net.client, *server, "-n", "4000", "--queries-per-connection", "0", "-c",
                       "7", mode="tcp")
        must_be_right(result, 4000)
        assert result["tcp"]["opened"] == 7, result
        net.client.ip(f"route add local {SOURCES['4']} dev lo")
        net.server.ip(f"route add {SOURCES['4']} via {net.client_v4}")
        must_be_right(bench(net.client, *server, "-n", "1000", "-a", SOURCES["4"], mode="tcp"),
                      1000)
        net.client.ip(f"route add local {SOURCES['6']} dev lo")
        net.server.ip(f"route add {SOURCES['6']} via {net.client_v6}")
        for mode in ("udp", "tcp"):
            more = ("-n", "1000", "-p", "5353", "-a", SOURCES["6"])
            must_be_right(bench(net.client, "-s", net.v6, *more, mode=mode), 1000)


def test_compare_with_a_server():
    """Another server is asked each question once, over the transport of the run."""
    other = os.path.join(SCRATCH, "other")
    zone = os.path.join(SCRATCH, "zone")
    with open(zone, encoding="ascii") as file, open(zone + "2", "w", encoding="ascii") as changed:
        text = file.read().replace("name7 A 192.0.2.2\n", "name7 A 192.0.2.77\n")
        text = text.replace("name8 A 192.0.2.2\n", "name8 3600 A 192.0.2.2\n")
        changed.write(text.replace("cut9 NS ns.cut9\nns.cut9 A 192.0.2.3\n", ""))
    subprocess.run([LETHE, "--db", other, "zone", "load", "example", zone + "2"], check=True,
                   capture_output=True)
    with netns.Network() as net, lethed(net, "--tcp", "kernel"), netns.Lethed(
            LETHED, "--db", DATABASE, "--listen", net.v4 + "@5301", "--listen", net.v6 + "@5301",
            "--tcp", "kernel", place=net.server), netns.Lethed(
            LETHED, "--db", other, "--listen", net.v4 + "@5302", "--tcp", "kernel",
            place=net.server):
        for mode in ("udp", "tcp"):
            for server in (net.v4, net.v6):
                result = bench(net.client, "-s", net.v4, "-n", "2402", "--compare",
                               server + "@5301", "-D", mode=mode)
                must_be_right(result, 2402)
                assert result["compared"] == 2402 and result["different"] == 0, result
            # 1,201 questions; of three names one is answered otherwise each, without case
            done = net.client.run(BENCH, mode, "-s", net.v4, "-n", "2402", "-d", QUESTIONS,
                                  "--compare", net.v4 + "@5302", "--differences", "4", "--json",
                                  check=False)
            result = json.loads(done.stdout)
            assert done.returncode == 4, done
            assert (result["different"], result["unexpected"], result["wrong"]) == (6, 6, 0), result
            told = [line for line in done.stderr.splitlines() if "difference: " in line]
            assert len(told) == 4, done.stderr
            assert any("name7.example. TYPE1: " in line for line in told), told
            assert any("www.cut9.example. TYPE1: RCODE 0, expected 3" in line for line in told), told
        refused(1, "cannot compare with " + net.v4 + "@5303: it does not answer", "udp", "-s",
                net.v4, "-d", QUESTIONS, "--compare", net.v4 + "@5303", place=net.client)
        # And a database that is not the server's.
        result = bench(net.client, "-s", net.v4, "-n", "1201", "--compare", other, status=4)
        assert result["different"] == 3, result


def test_open_loop():
    path = os.path.join(SCRATCH, "csv")
    with netns.Network() as net, netns.Lethed(LETHED, "--db", DATABASE, "--listen", net.v4 + "@53",
                                              place=net.server):
        result = bench(net.client, "-s", net.v4, "-Q", "1000", "-l", "2.2", "--csv", path)
        must_be_right(result, 2200)
        assert result["rate"] == 1000 and 2.1 < result["seconds"] < 2.3, result
        with open(path, encoding="ascii") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(result["intervals"]), rows
        for row, interval in zip(rows, result["intervals"]):
            for name in ("second", "sent", "answered", "lost"):
                assert int(row[name]) == interval[name], (row, interval)
        result = bench(net.client, "-s", net.v4, "-n", "1000", "--histogram", path)
        with open(path, encoding="ascii") as file:
            rows = list(csv.DictReader(file))
        assert sum(int(row["count"]) for row in rows) == 1000, rows
        assert float(rows[-1]["share"]) == 1, rows
        half = next(float(row["latency_us"]) for row in rows if float(row["share"]) >= 0.5)
        assert abs(half - result["latency_us"]["p50"]) < 0.002, (half, result)
        for mode in ("udp", "tcp"):
            result = bench(net.client, "-s", net.v4, "-Q", "500", "-l", "2", "--arrivals",
                           "poisson", mode=mode)
            must_be_right(result, result["sent"])
            assert 800 < result["sent"] < 1200, result


def test_zone_mix():
    mix = ("--zone", DATABASE + ":example")
    with netns.Network() as net, netns.Lethed(LETHED, "--db", DATABASE, "--listen", net.v4 + "@53",
                                              place=net.server):
        result = bench(net.client, "-s", net.v4, "-n", "5000", "--compare", DATABASE + "/.",
                       questions=mix)
        must_be_right(result, 5000)
        assert 0.55 < result["rcodes"]["NOERROR"] / 5000 < 0.65, result
        result = bench(net.client, "-s", net.v4, "-n", "1000", "--mix", "0:0:1",
                       questions=mix + ("--question-count", "1000"))
        assert result["rcodes"] == {"NXDOMAIN": 1000}, result


def test_nobody_answers():
    with netns.Network() as net:
        for mode in ("udp", "tcp"):
            result = bench(net.client, "-s", net.v4, "-n", "20", "-t", "0.5", mode=mode, status=3)
            assert result["lost"] == 20, result
        assert result["tcp"]["refused"] == 20, result
        for mode in ("udp", "tcp"):
            done = net.client.run(BENCH, mode, "-s", net.v4, "-n", "20", "-t", "0.5", "-d",
                                  QUESTIONS, "--quiet", check=False)
            # errors about datagrams are told at most once a second
            assert "Nothing answered: " in done.stdout, done.stdout
            assert mode == "udp" or "Connection refused" in done.stdout, done.stdout
            assert "RCODE" not in done.stdout and "Latency" not in done.stdout, done.stdout


def test_no_port_is_left():
    """That is the generator's own limit: it says so, and no query is lost for it."""
    with netns.Network() as net, lethed(net, "--tcp", "kernel"):
        net.client.sysctl(net__ipv4__ip_local_port_range="40000 40049")
        result = bench(net.client, "-s", net.v4, "-l", "0.5", mode="tcp")
        assert result["tcp"]["no_port"] > 0 and result["lost"] == 0, result
        assert any("no source port" in text for text in result["generator"]["warnings"]), result


def open_roads(net):
    """Routes to addresses that nobody has but the raw client."""
    net.server.ip(f"route add {SOURCES['4']} via {net.client_v4}")
    net.server.ip(f"route add {SOURCES['6']} via {net.client_v6}")


def raw(net, family, *arguments, **more):
    server = net.v4 if family == "4" else net.v6
    return bench(net.client, "-s", server, "-a", SOURCES[family], "-i", "v1", *arguments, **more)


def must_ask_raw(net, compare):
    """Every way of the raw clients. `compare`: the server's answers are ours."""
    more = ("--compare", DATABASE) if compare else ()
    for family in "46":
        must_be_right(raw(net, family, "-n", "2000", "-e", *more, mode="raw-udp"), 2000)
        for options in ((), ("--close", "rst"), ("--handshake-ack", "joined"), ("-T", "2")):
            result = raw(net, family, "-n", "1500", *options, *more, mode="raw")
            must_be_right(result, 1500)
            assert result["tcp"]["opened"] == 1500, result
            assert result["tcp"]["resets"] == result["tcp"]["refused"] == 0, result


def must_ask_many(net, compare):
    """Several queries on a connection."""
    more = ("--compare", DATABASE) if compare else ()
    for family in "46":
        for each, pipeline in (("10", "1"), ("12", "3"), ("0", "1")):
            result = raw(net, family, "-n", "2000", "-c", "10", "--queries-per-connection", each,
                         "--pipeline", pipeline, *more, mode="raw")
            must_be_right(result, 2000)


def lethed(net, *options):
    listen = [word for address in net.addresses for word in ("--listen", address + "@53", *options)]
    return netns.Lethed(LETHED, "--db", DATABASE, *listen, place=net.server)


def test_raw_against_kernel_tcp():
    with netns.Network() as net, lethed(net, "--tcp", "kernel"):
        open_roads(net)
        must_ask_raw(net, True)
        must_ask_many(net, True)
        # a server's neighbour on the link, asked for by ARP and neighbour discovery
        net.server.ip(f"route replace {SOURCES['4']} dev v0")
        net.server.ip(f"route replace {SOURCES['6']} dev v0")
        for family in "46":
            must_be_right(raw(net, family, "-n", "500", mode="raw"), 500)
        result = raw(net, "4", "-Q", "1000", "-l", "1", "--backend", "libpcap", mode="raw")
        must_be_right(result, 1000)


def lose(net, percent):
    """Lose segments at the server's device, on their way to and from its kernel: packet sockets, as
    the client has, are before and behind all hooks of their own device."""
    net.server.run("nft", "-f", "-", text="table netdev losses {\n" + "\n".join(
        f"chain {hook} {{ type filter hook {hook} device v0 priority 0; "
        f"tcp {port} 53 numgen random mod 100 < {percent} counter drop; }}"
        for hook, port in (("ingress", "dport"), ("egress", "sport"))) + "\n}\n")


def test_raw_with_losses():
    with netns.Network() as net, lethed(net, "--tcp", "kernel"):
        open_roads(net)
        lose(net, 5)
        for family, each in (("4", "1"), ("6", "10")):
            result = raw(net, family, "-n", "1000", "--queries-per-connection", each, "-t", "60",
                         "-c", "100", "--compare", DATABASE, mode="raw")
            must_be_right(result, 1000)
            assert result["tcp"]["retransmissions"] > 10, result


def test_raw_against_stateless_tcp():
    with netns.Network() as net, lethed(net, "--tcp", "stateless"):
        open_roads(net)
        must_ask_raw(net, True)
        must_ask_many(net, True)


def test_raw_fast_open():
    with netns.Network() as net, netns.Lethed(
            LETHED, "--db", DATABASE, "--listen", net.v4 + "@53", "--tcp", "stateless",
            "--tcp-fast-open", "on", place=net.server):
        open_roads(net)
        result = raw(net, "4", "-n", "2000", "-c", "10", "--fast-open", mode="raw")
        must_be_right(result, 2000)
        # the first from each address has no cookie, and one question has a long answer
        assert result["tcp"]["fast_open"] > 1500, result


def test_raw_against_classic():
    with netns.Network() as net, netns.Lethed(
            LETHED, "--db", DATABASE, "--listen", net.v4 + "@53", "--tcp", "stateless",
            "--tcp-profile", "classic", place=net.server):
        open_roads(net)
        must_be_right(raw(net, "4", "-n", "2000", mode="raw"), 2000)


def test_raw_against_nsd():
    if shutil.which("nsd") is None:
        print("SKIP: needs nsd")
        return
    path = os.path.join(SCRATCH, "nsd.conf")
    with netns.Network() as net:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""server:
  ip-address: {net.v4}
  ip-address: {net.v6}
  username: ""
  zonesdir: "{SCRATCH}"
  zonelistfile: "{SCRATCH}/zone.list"
  xfrdfile: "{SCRATCH}/xfrd.state"
  pidfile: "{SCRATCH}/nsd.pid"
  database: ""
  server-count: 1
  tcp-count: 500
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: example
  zonefile: zone
""")
        nsd = net.server.start("nsd", "-d", "-c", path, stderr=subprocess.DEVNULL)
        try:
            open_roads(net)
            netns.wait_until(lambda: net.client.run(
                "dig", "+tries=1", "+time=1", "@" + net.v4, "example", "SOA",
                check=False).returncode == 0, "NSD")
            must_ask_raw(net, False)
            must_ask_many(net, False)
            mix = ("--zone", DATABASE + ":example")
            must_be_right(raw(net, "4", "-n", "2000", mode="raw", questions=mix), 2000)
        finally:
            nsd.terminate()
            nsd.wait()


def has_driver(net):
    """Whether this build has XDP, and ethtool is there; says so if not."""
    if shutil.which("ethtool") is None:
        print("SKIP: needs ethtool")
        return False
    done = net.client.run(BENCH, "raw", "-s", net.v4, "-d", QUESTIONS, "-a", SOURCES["4"], "-i",
                          "lo", "--mac", "02:00:00:00:00:01", "--driver", check=False)
    assert done.returncode == 1, done
    if "this build has no XDP" in done.stderr:
        print("SKIP:", done.stderr)
        return False
    assert "its driver does not take an XDP program" in done.stderr, done.stderr
    return True


def hear_frames(net):
    """Frames of the driver arrive where generic receive offload is on."""
    net.server.run("ethtool", "-K", "v0", "gro", "on")
    net.client.run("ethtool", "-K", "v1", "gro", "on")


def must_ask_in_driver(net):
    for family in "46":
        result = raw(net, family, "-n", "2000", "-e", "--driver", mode="raw-udp")
        must_be_right(result, 2000)
        for options in ((), ("--close", "rst"), ("--handshake-ack", "joined")):
            result = raw(net, family, "-n", "1500", "--driver", *options, mode="raw")
            must_be_right(result, 1500)
            assert result["tcp"]["opened"] == 1500, result
            # SYN, ACK, query, FIN, ACK, and more where an answer is several segments long
            least = 4 * 1500 if options else 5 * 1500
            assert least <= result["tcp"]["segments_sent"] <= least + 200, result
            assert result["tcp"]["resets"] == result["tcp"]["refused"] == 0, result
        result = raw(net, family, "-n", "2000", "-c", "10", "--queries-per-connection", "0",
                     "--driver", mode="raw")
        must_be_right(result, 2000)
        assert result["tcp"]["opened"] == 10, result
        # RCODEs that are expected, all the same as without the driver
        mix = ("--zone", DATABASE + ":example", "--question-count", "1000")
        with_driver, without = (raw(net, family, "-n", "1000", *options, mode="raw", questions=mix)
                                for options in (("--driver",), ()))
        must_be_right(with_driver, 1000)
        for name in ("rcodes", "octets_sent", "octets_received", "truncated"):
            assert with_driver[name] == without[name], (name, with_driver, without)


def must_ask_in_driver_at_a_rate(net):
    for mode in ("raw", "raw-udp"):
        result = raw(net, "4", "-Q", "2000", "-l", "2.2", "--driver", mode=mode)
        must_be_right(result, 4400)
        assert result["lag_us"]["count"] == 4400 and len(result["intervals"]) >= 3, result
        assert all(interval["sent"] > 1500 for interval in result["intervals"][:2]), result


def test_driver_against_kernel_tcp():
    with netns.Network() as net, lethed(net, "--tcp", "kernel"):
        if not has_driver(net):
            return
        open_roads(net)
        hear_frames(net)
        must_ask_in_driver(net)
        must_ask_in_driver_at_a_rate(net)
        # Without timestamps a SYN+ACK is so short that it has no room for a query behind it.
        net.server.sysctl(net__ipv4__tcp_timestamps="0")
        for family in "46":
            result = raw(net, family, "-n", "500", "--driver", mode="raw")
            must_be_right(result, 500)
            assert result["tcp"]["retransmissions"] < 100, result
        lose(net, 5)
        result = raw(net, "4", "-n", "1000", "-t", "60", "-c", "100", "--driver", mode="raw")
        must_be_right(result, 1000)
        assert result["tcp"]["retransmissions"] > 10, result


def test_driver_against_stateless_tcp():
    with netns.Network() as net, lethed(net, "--tcp", "stateless", "--udp", "fast"):
        if not has_driver(net):
            return
        open_roads(net)
        hear_frames(net)
        must_ask_in_driver(net)


def test_driver_against_driver():
    with netns.Network() as net:
        if not has_driver(net):
            return
        with lethed(net, "--tcp", "stateless", "--interface", "v0", "--driver", "on"):
            open_roads(net)
            hear_frames(net)
            must_ask_in_driver(net)
            must_ask_in_driver_at_a_rate(net)


def test_driver_meets_nobody():
    with netns.Network() as net:
        if not has_driver(net):
            return
        hear_frames(net)
        open_roads(net)
        result = raw(net, "4", "-n", "20", "-t", "0.5", "--driver", mode="raw-udp", status=3)
        assert result["lost"] == 20, result
        assert any("nothing came back" in text for text in result["generator"]["warnings"]), result
        result = raw(net, "4", "-n", "20", "-t", "0.5", "--driver", mode="raw", status=3)
        assert result["lost"] == result["tcp"]["refused"] == 20, result


def test_interrupted():
    """SIGINT ends the sending, and what was counted is told. Lines of seconds are there before."""
    path = os.path.join(SCRATCH, "seconds")
    with netns.Network() as net, lethed(net, "--tcp", "kernel"):
        run = net.client.start(BENCH, "udp", "-s", net.v4, "-d", QUESTIONS, "-Q", "100", "-l",
                               "600", "--json", "--csv", path, "--quiet", stdout=subprocess.PIPE,
                               text=True)
        try:
            netns.wait_until(lambda: os.path.exists(path) and len(lines(path)) >= 3, "two seconds")
        finally:
            run.send_signal(signal.SIGINT)
        result = json.loads(run.communicate(timeout=60)[0])
        must_hold(result)
        must_be_right(result, result["sent"])
        assert result["sent"] >= 200 and run.returncode == 0, result
        assert len(lines(path)) == 1 + len(result["intervals"]), result


def lines(path):
    with open(path, encoding="ascii") as file:
        return file.readlines()


netns.skip_unless("dig")
try:
    prepare()
    netns.run_tests(globals())
finally:
    shutil.rmtree(SCRATCH)

# SPDX-License-Identifier: BSD-2-Clause
"""The figures and the report of test/bench/compare, from recorded and made-up measurements."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
import xml.dom.minidom

sys.dont_write_bytecode = True
COMPARE = pathlib.Path(__file__).resolve().parent.parent / "bench" / "compare"
sys.path.insert(0, str(COMPARE))
import ask  # noqa: E402
import data  # noqa: E402
import figures  # noqa: E402
import large  # noqa: E402
import link as links  # noqa: E402
import loads  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402

SPEC = importlib.util.spec_from_file_location("compare_main", COMPARE / "__main__.py")
main = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(main)

DNSPERF = """DNS Performance Testing Tool
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         28623
  Queries completed:    28481 (99.50%)
  Queries lost:         142 (0.50%)

  Response codes:       NOERROR 17161 (60.25%), NXDOMAIN 11320 (39.75%)
  Average packet size:  request 45, response 143
  Run time (s):         0.500902
  Queries per second:   56859.425596

  Average Latency (s):  0.003925 (min 0.000103, max 0.103461)
  Latency StdDev (s):   0.010016
"""
BENCH = json.dumps({
    "tool": "lethe-bench", "rate": None, "seconds": 0.5, "sent": 1000, "answered": 990, "lost": 10,
    "wrong": 0, "octets_received": 99000, "rcodes": {"NOERROR": 600, "NXDOMAIN": 390},
    "latency_us": {"count": 990, "mean": 20.5, "p50": 19, "p99": 80, "max": 200},
    "generator": {"us_per_answer": 4.5, "warnings": ["the generator was the limit"]}})
PROC_STAT = """cpu  300 20 100 5000 10 3 7 0 0 0
cpu0 100 20 50 2000 10 1 4 8 0 0
cpu1 200 0 50 3000 0 2 3 0 0 0
intr 12
"""


def measured(server, load, cost_us, number=0, foreign=0.0, answered=100000):
    total = cost_us * answered / 1e6
    return {"server": server, "load": load, "round": number, "rate": None, "answered": answered,
            "sent": answered + 10, "seconds": 1.0, "total_s": total, "server_s": total * 0.75,
            "receive_s": total * 0.25, "softirq_s": 0.0, "core_s": total * 1.01, "wall_s": 1.1,
            "foreign": foreign, "server_busy": total, "client_busy": 0.9, "steal": 0.0,
            "latency_us": {"mean": 100.0, "p99": 900.0}, "is_limited": False}


SERVERS = [
    {"name": "lethe-a", "label": "Lethe, a", "version": "1", "rival": None, "is_lethe": True,
     "about": "one mode", "ceiling": "socket"},
    {"name": "lethe-b", "label": "Lethe, b", "version": "1", "rival": None, "is_lethe": True,
     "about": "another", "ceiling": None},
    {"name": "nsd", "label": "NSD", "version": "4", "rival": "nsd", "is_lethe": False, "about": "",
     "ceiling": None},
    {"name": "nsd-new", "label": "NSD | new", "version": "5", "rival": "nsd", "is_lethe": False,
     "about": "", "ceiling": None},
    {"name": "echo", "label": "echo", "version": "-", "rival": "ceiling-socket", "is_lethe": False,
     "about": "", "ceiling": None}]

LOADED = {"wall_s": 2.0, "user_s": 1.5, "system_s": 0.25, "peak_octets": 1 << 30,
          "records_per_s": 1.25e6}
SCALE = {"delegations": 1000000, "records": 2500000, "text_octets": 100 << 20,
         "database_octets": 120 << 20, "database_to_text": 1.2, "sorted": LOADED,
         "shuffled": LOADED,
         "start": {"lethed": {"first_answer_s": 0.012, "resident_octets": 5 << 20,
                              "own_octets": 1 << 20}},
         "visible": {"change_ms": {"median": 1.0, "max": 2.0},
                     "visible_ms": {"median": 1.5, "max": 12.5},
                     "lost": 0, "queries": 1000, "background": {"lost": 0, "sent": 2000}},
         "limits": {"visible_ms": [12.5, 10, False], "records_per_s": [1.25e6, 1e6, True]}}


def result(measurements):
    return {"machine": {"kernel": "6.1", "cpu": "a processor", "cores": 2, "memory_gb": 8.0,
                        "system": "Debian", "is_virtual": True, "irq_time_apart": False},
            "began": 1.8e9, "took_s": 600, "generator": "lethe-bench 1", "accounting": ["threads"],
            "options": {"server_cpu": 0, "client_cpu": 1, "rounds": 5, "seconds": 1.0,
                        "quick": False},
            "zones": {"tld.": {"octets": 1000, "lines": 20}}, "receives_in_threads": True,
            "servers": SERVERS, "missing": [{"server": "froot", "why": "froot is not installed"}],
            "failures": [], "measurements": measurements,
            "latencies": [{**measured("nsd", "udp-tld", 8), "rate": rate} for rate in (1000, 2000)],
            "idle": [{"server": "nsd", "wanted": 1000, "asked_for": 1000, "opened": 1000,
                      "answered": 1000, "own_octets": 20000000, "kernel_octets": 3000000,
                      "sockets": 1000, "each_octets": 23000.0}],
            "starts": [{"server": "lethe-a", "zone_set": "tld", "load_s": None, "starts": [
                {"first_answer_s": 0.012, "cpu_s": 0.003, "own_kb": 900, "present_kb": 1900}]}],
            "databases": {"tld": {"load_s": 1.5, "octets": 1300, "text_octets": 1000}},
            "scale": {"tld": [SCALE], "small": None}}


class Figures(unittest.TestCase):
    def test_spread_has_median_and_ends(self):
        self.assertEqual(figures.spread([3, 1, 2, 10]),
                         {"median": 2.5, "min": 1, "max": 10, "count": 4})

    def test_cost_counts_the_whole_server_side(self):
        self.assertAlmostEqual(figures.cost_us(measured("nsd", "udp-tld", 7.5)), 7.5)

    def test_disturbed_runs_are_left_out_while_enough_remain(self):
        runs = [measured("nsd", "udp-tld", 8, n, 0.0) for n in range(3)] + \
            [measured("nsd", "udp-tld", 30, n, 0.4) for n in (3, 4)]
        summary = figures.summarize(runs)
        self.assertAlmostEqual(summary["cost_us"]["max"], 8)
        self.assertEqual((summary["runs"], summary["disturbed"]), (5, 2))

    def test_disturbed_runs_count_where_most_are(self):
        runs = [measured("nsd", "udp-tld", 8)] + \
            [measured("nsd", "udp-tld", 30, n, 0.4) for n in range(4)]
        self.assertEqual(figures.summarize(runs)["cost_us"]["count"], 5)

    def test_runs_without_answers_make_no_summary(self):
        self.assertIsNone(figures.summarize([measured("nsd", "udp-tld", 8, answered=0)]))

    def test_cheapest_build_of_a_rival_counts(self):
        summaries = figures.summaries(
            [measured("lethe-a", "udp-tld", 4), measured("lethe-b", "udp-tld", 2),
             measured("nsd", "udp-tld", 12), measured("nsd-new", "udp-tld", 6)])
        verdict = figures.verdicts(summaries, SERVERS)[0]
        self.assertEqual(verdict["ours"], "lethe-b")
        self.assertEqual(verdict["least"][0]["name"], "nsd-new")
        self.assertAlmostEqual(verdict["least"][0]["ratio"], 3)
        self.assertIs(verdict["is_least_reached"], True)   # 2.8 x
        self.assertIs(verdict["is_goal_reached"], False)   # 5 x
        self.assertIsNone(verdict["least"][1]["name"])     # no Knot there

    def test_each_work_is_judged_for_both_kinds_of_clients(self):
        summaries = figures.summaries(
            [measured("lethe-a", "rawudp-tld", 1), measured("nsd", "rawudp-tld", 6)])
        kernel, raw = figures.verdicts(summaries, SERVERS)[:2]
        self.assertEqual((kernel["load"], kernel["ours"]), ("udp-tld", None))
        self.assertEqual((raw["load"], raw["ours"], raw["is_goal_reached"]),
                         ("rawudp-tld", "lethe-a", True))

    def test_ratio_spread_is_of_the_ends(self):
        ratio = figures.ratio_spread({"median": 10, "min": 8, "max": 12},
                                     {"median": 2, "min": 1, "max": 4})
        self.assertEqual(ratio, {"ratio": 5, "min": 2, "max": 12})

    def test_nothing_measured_is_no_verdict(self):
        summaries = figures.summaries([measured("lethe-a", "udp-tld", 4)])
        verdict = figures.verdicts(summaries, SERVERS)[0]
        self.assertIsNone(verdict["is_least_reached"])

    def test_distance_to_the_ceiling_of_the_io_used(self):
        summaries = figures.summaries([measured("lethe-a", "udp-tld", 5),
                                       measured("echo", "udp-tld", 4)])
        verdicts = figures.io_verdicts(summaries, SERVERS)
        self.assertEqual([v["ours"] for v in verdicts], ["lethe-a"])
        self.assertAlmostEqual(verdicts[0]["ratio"], 1.25)
        self.assertIs(verdicts[0]["is_least_reached"], True)
        self.assertIs(verdicts[0]["is_goal_reached"], False)


    def test_a_histogram_becomes_a_curve(self):
        csv = "latency_us,count,share\n10.0,50,0.5\n20.0,49,0.99\n500.0,1,1.0\n"
        curve = dict(map(tuple, figures.curve(csv)))
        self.assertEqual((curve[0.01], curve[0.5], curve[0.6], curve[0.99], curve[0.999]),
                         (10, 10, 20, 20, 500))
        self.assertEqual(figures.curve(""), [])


class Machine(unittest.TestCase):
    def test_maps_of_two_descriptors_count_once(self):
        one = "pos:\t0\nmap_type:\t2\nmemlock:\t8192\nmap_id:\t7\nfrozen:\t0\n"
        self.assertEqual(machine.map_sizes([one, one, one.replace("\t7", "\t8"), "pos:\t0\n"]),
                         {7: 8192, 8: 8192})

    def test_core_times_are_those_of_one_core(self):
        times = machine.core_times(0, PROC_STAT)
        tick = machine.TICK_S
        self.assertAlmostEqual(machine.busy(times), (120 + 50 + 1 + 4) * tick)
        self.assertAlmostEqual(times["idle"], 2010 * tick)
        self.assertAlmostEqual(times["steal"], 8 * tick)

    def test_strangers_are_what_the_core_did_beyond_ours(self):
        spent = {"at": 2.0, "server": 1.0, "receive": 0.25, "softirq": 0.05, "core": 1.5,
                 "core_all": 2.0, "steal": 0.0, "client": 1.0}
        used = machine.usage(spent)
        self.assertAlmostEqual(used["total_s"], 1.3)
        self.assertAlmostEqual(used["foreign"], 0.1)
        self.assertAlmostEqual(used["client_busy"], 0.5)

    def test_kernels_that_count_interrupts_apart_are_known(self):
        self.assertTrue(machine.has_irq_time_apart("CONFIG_IRQ_TIME_ACCOUNTING=y\n"))
        self.assertFalse(machine.has_irq_time_apart("# CONFIG_IRQ_TIME_ACCOUNTING is not set\n"))

    def test_threads_are_added_up_without_control_groups(self):
        group = machine.Group("none", kinds=())
        group.pid = os.getpid()
        before = group.used_s()
        sum(range(3000000))
        self.assertGreater(group.used_s(), before)
        self.assertIn(os.getpid(), group.processes())


    def test_kernel_memory_without_a_socket_more_is_of_others(self):
        before = {"octets": 1000, "sockets": 5, "files": 9}
        self.assertEqual(measure.kernel_growth(before, {**before, "octets": 9000}), (0, 0))
        grown = {"octets": 9000, "sockets": 7, "files": 11}
        self.assertEqual(measure.kernel_growth(before, grown), (8000, 2))


class Generators(unittest.TestCase):
    def test_dnsperf(self):
        told = loads.Dnsperf(".").parse(DNSPERF)
        self.assertEqual((told["sent"], told["answered"]), (28623, 28481))
        self.assertEqual(told["rcodes"], {"NOERROR": 17161, "NXDOMAIN": 11320})
        self.assertAlmostEqual(told["seconds"], 0.500902)
        self.assertAlmostEqual(told["latency_us"]["mean"], 3925)
        self.assertAlmostEqual(told["latency_us"]["max"], 103461)

    def test_lethe_bench(self):
        told = loads.LetheBench(".").parse("warning: something\n" + BENCH)
        self.assertEqual((told["sent"], told["answered"]), (1000, 990))
        self.assertNotIn("count", told["latency_us"])
        self.assertEqual(told["response_octets"], 100)
        self.assertFalse(told["is_limited"])  # that matters at a fixed rate only

    def test_text_without_figures_is_refused(self):
        for generator in (loads.Dnsperf("."), loads.LetheBench(".")):
            with self.assertRaises(loads.Failed):
                generator.parse("dnsperf: error: connect failed\n")


class Rest(unittest.TestCase):
    def test_start_scripts_say_what_they_are(self):
        known = {name: servers.Script(servers.PEERS / name, ".") for name in servers.DEFAULT_PEERS}
        self.assertTrue(known["knot-xdp"].is_device)
        self.assertFalse(known["nsd"].is_device)
        self.assertEqual(known["nsd"].rival, "nsd")
        self.assertEqual(servers.Script(servers.PEERS / "froot", ".").zone_sets, ("root",))

    def test_modes_know_their_ceiling_and_their_image(self):
        modes = {mode[0]: servers.LetheMode(".", {}, *mode) for mode in servers.LETHE_MODES}
        self.assertEqual({name: mode.ceiling for name, mode in modes.items()
                          if name in ("socket", "packet-image", "xdp-driver", "xdp-zones")},
                         {"socket": "socket", "packet-image": "packet", "xdp-driver": "xdp",
                          "xdp-zones": "driver"})
        self.assertTrue(modes["xdp-zones"].has_image and modes["xdp-zones"].wants_pass)
        self.assertFalse(modes["packet"].has_image or modes["packet"].wants_pass)

    def test_readiness_is_read_from_what_lethed_says(self):
        said = servers.READY.search("lethed: image ready: 9 delegations of 1 zone, 4096 octets\n")
        self.assertEqual(said[1], "4096")
        self.assertIsNone(servers.READY.search("lethed: ready\n"))

    def test_families(self):
        wanted = [loads.BY_NAME[name] for name in ("udp-root", "udp-root6", "tcp1-root")]
        self.assertEqual(measure.served_of(wanted), [("root", 4), ("root", 6)])
        moved = loads.over_family(wanted, 6)
        self.assertEqual([(load.name, load.family) for load in moved],
                         [("udp-root", 6), ("tcp1-root", 6)])
        froot = servers.Script(servers.PEERS / "froot", ".")
        self.assertFalse(loads.fits(froot, loads.BY_NAME["udp-root6"]))
        ceiling = servers.Script(servers.PEERS / "ceiling-driver", ".")
        self.assertEqual([loads.fits(ceiling, load) for load in moved], [True, False])
        self.assertEqual(links.family_of(links.server_address(6, 3)), 6)
        self.assertEqual(len(set(links.client_addresses(6))), links.CLIENT_COUNT)

    def test_loads_are_asked_over_their_family(self):
        link = links.Link(0, 1)
        command = loads.LetheBench(".").command(loads.BY_NAME["udp-signed"], "q", "192.0.2.1", 1,
                                                None, link)
        self.assertIn("-D", command)
        command = loads.LetheBench(".").command(loads.BY_NAME["udp-root6"], "q", "2001:db8::1", 1,
                                                None, link)
        self.assertIn(loads.CLIENTS[6], command)

    def test_answers_that_watchers_wait_for(self):
        referral, answer = b"\0\0\x80\0\0\1\0\0", b"\0\0\x84\0\0\1\0\1"
        none = b"\0\0\x84\3\0\1\0\0"
        self.assertTrue(ask.is_seen(referral, "all") and not ask.is_seen(none, "all"))
        self.assertTrue(ask.is_seen(none, "nothing") and not ask.is_seen(referral, "nothing"))
        self.assertTrue(ask.is_first(answer, "all") and ask.is_first(referral, "nothing"))
        self.assertFalse(ask.is_first(referral, "all") or ask.is_first(none, "nothing"))

    def test_large_zones_tell_what_they_skip(self):
        options = types.SimpleNamespace(peers=["nsd"], scale=[1000, 2000], scale_zones=0)
        said = large.skipped(options)
        self.assertEqual([what.split(":")[0] for what in said],
                         ["knot", "bind", "pdns", "many small zones", "10,000,000 delegations"])
        command = large.command("build", options, "work", "scale.json")
        self.assertIn("1000,2000", command)
        self.assertIn("nsd", command)

    def test_clients_without_sockets(self):
        self.assertEqual([loads.with_sockets(name) for name in
                          ("rawudp-tld", "raw1-tld", "rawp-tld", "udp-root", "raw1", "tcpw")],
                         ["udp-tld", "tcp1-tld", "tcpp-tld", "udp-root", "tcp1", "tcpw"])
        ceiling = servers.Script(servers.PEERS / "ceiling-driver", ".")
        self.assertEqual([loads.fits(ceiling, loads.BY_NAME[name]) for name in
                          ("rawudp-tld", "raw1-root", "rawp-tld", "raw1-big")],
                         [True, True, True, False])
        generator = loads.LetheBench(".")
        generator.can_driver = True
        self.assertEqual([generator.has_driver(loads.BY_NAME[name]) for name in
                          ("rawudp-tld", "raw1-tld", "udp-tld")], [True, True, False])
        options = types.SimpleNamespace(loads=None)
        bind = servers.Script(servers.PEERS / "bind", ".")
        self.assertEqual([main.is_asked(options, server, loads.BY_NAME["raw1-tld"])
                          for server in (ceiling, bind)], [True, False])
        options.loads = ["raw1-tld"]
        self.assertTrue(main.is_asked(options, bind, loads.BY_NAME["raw1-tld"]))
        for raw in figures.RAW_LOADS.values():
            self.assertIn(loads.BY_NAME[raw], loads.DEFAULT_LOADS)

    def test_a_name_is_taken_once_and_what_is_missing_is_told(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "nsd-other")
            path.write_text("#!/bin/sh\n# label: other\necho version 1\n")
            path.chmod(0o755)
            args = types.SimpleNamespace(build=directory, modes=["socket"], peers=["nothing"],
                                         extra=[str(path), str(path)])
            there, missing = main.contestants(args, {})
        self.assertEqual([server.name for server in there], ["nsd-other"])
        self.assertEqual([gone["server"] for gone in missing],
                         ["lethe-socket", "nothing", "nsd-other"])

    def test_questions_are_the_same_each_time(self):
        names = ["aa", "bb"]
        first, second = data.Dice(1), data.Dice(1)
        asked = [data.tld_question(first, names, set(names)) for _ in range(500)]
        self.assertEqual(asked, [data.tld_question(second, names, set(names)) for _ in range(500)])
        existing = sum(q.split(".tld.")[0].split(".")[-1] in names for q in asked)
        self.assertTrue(250 < existing < 350, existing)

    def test_delegations_are_found_in_zone_text(self):
        with tempfile.NamedTemporaryFile("w", suffix=".zone") as file:
            file.write("$ORIGIN tld.\n@ NS a.nic\naa NS ns1.aa\naa NS ns2.aa\nns1.aa A 192.0.2.1\n"
                       "bb.tld. NS ns.example.\n"
                       "a1b2.tld.\t300 IN NSEC3\t1 1 0 - a1b3 NS DS RRSIG\n")
            file.flush()
            self.assertEqual(data.delegations_of(file.name), ["aa", "bb"])


class Reports(unittest.TestCase):
    def setUp(self):
        runs = [measured(name, "udp-tld", cost + n / 10, n)
                for name, cost in (("lethe-a", 3), ("nsd", 9), ("echo", 2)) for n in range(5)]
        self.result = result(runs)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def test_report_has_figures_ratios_and_verdicts(self):
        report.write(self.result, self.directory.name)
        text = pathlib.Path(self.directory.name, "report.md").read_text(encoding="utf-8")
        self.assertIn("| NSD | **9.20 (9.00-9.40)** | 2.87 |", text)
        self.assertIn("NSD: **2.87 x** (2.6-3.1) of 2.8 x", text)
        self.assertIn("froot is not installed", text)
        self.assertIn("**reached**, as far as measured", text)
        self.assertIn("12.0 ms", text)
        self.assertIn("| a change seen, ms | 12.5 | 10 | not reached |", text)

    def test_written_again_from_its_json_it_is_the_same(self):
        report.write(self.result, self.directory.name)
        again = os.path.join(self.directory.name, "again")
        subprocess.run([sys.executable, str(COMPARE), "--render",
                        os.path.join(self.directory.name, "report.json"), "--out", again],
                       check=True)
        for name in ("report.md", "report.json", "udp-tld.svg", "latency-udp-tld.svg"):
            self.assertEqual(pathlib.Path(self.directory.name, name).read_bytes(),
                             pathlib.Path(again, name).read_bytes(), name)

    def test_plots_are_well_formed(self):
        for name, svg in report.Report(self.result).plots().items():
            self.assertEqual(xml.dom.minidom.parseString(svg).documentElement.tagName, "svg", name)
        xml.dom.minidom.parseString(plots.bars("<&>", "us", []))
        xml.dom.minidom.parseString(plots.lines("one", "x", "y", [
            ("a < b", [("a & b", "#000000", "none", [(1, 1)])])]))
        xml.dom.minidom.parseString(plots.lines("none", "x", "y", [("empty", [])]))

    def test_curves_end_where_a_server_no_longer_keeps_up(self):
        self.result["latencies"] = [
            {**measured("nsd", "udp-tld", 8, answered=answered), "rate": rate,
             "curve_us": [[0.5, 90.0], [0.99, 900.0]]}
            for rate, answered in ((50000, 50000), (100000, 99000), (200000, 100000))]
        made = report.Report(self.result)
        self.assertEqual([m["rate"] for m in made.keeping_up("udp-tld")], [50000, 100000])
        self.assertEqual(made.curves_rate("udp-tld"), 100000)
        self.assertIn("at 100,000 queries a second", made.plots()["percentiles-udp-tld.svg"])

    def test_images_are_told_with_their_memory(self):
        self.result["starts"][0]["starts"][0] |= {
            "image_s": 0.5, "image_cpu_s": 0.25, "image_octets": 200 << 20,
            "image_own_kb": 210 << 10, "image_present_kb": 220 << 10, "image_maps_kb": 230 << 10}
        self.assertIn("| Lethe, a | tld | 500 | 250 | 200 | 210 | 220 | 230 |",
                      report.Report(self.result).markdown())

    def test_changes_are_told_in_milliseconds(self):
        self.result["changes"] = [{"server": "nsd", "took_s": [0.002, 0.004], "seen_s": [1.5, 2.5]}]
        self.assertIn("| NSD | 2 | 3.00 (2.00-4.00) | 2,000 (1,500-2,500) |",
                      report.Report(self.result).markdown())

    def test_what_was_skipped_is_told(self):
        self.result["scale"]["skipped"] = ["nsd: not among the servers asked for"]
        self.assertIn("- nsd: not among", report.Report(self.result).markdown())


if __name__ == "__main__":
    unittest.main()

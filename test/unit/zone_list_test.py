#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe zone load --list, lethe zone change: what they say and what is there afterwards.

usage: zone_list_test.py LETHE MAKE_TLD
"""
import calendar
import json
import pathlib
import subprocess
import sys
import tempfile
import time

LETHE, MAKE_TLD = sys.argv[1:]
failed = 0


def expect(what, is_good, shown=""):
    global failed
    if not is_good:
        failed += 1
        print(f"FAIL {what}\n{shown}")


def lethe(*words, text=None):
    run = subprocess.run([LETHE, *words], input=text, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, run.stderr


def zone(db, name, verb="dump"):
    return lethe("--db", str(db), "zone", verb, name)


GOOD = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns.test.\n"


def test_list(top):
    db = top / "db"
    (top / "zones").mkdir()
    (top / "zones/a").write_text(GOOD)
    (top / "zones/b").write_text(GOOD + "www 60 A 192.0.2\n")
    (top / "zones/c").write_text(GOOD + "www 60 A 192.0.2.1\n")
    list_ = top / "zones/list"
    list_.write_text("# zones\n\na.test. a\nb.test b ; refused\n"
                     f"c.test\t{top}/zones/c # absolute\nbroken\none two three\n..  a\nd.test. none\n")
    code, out, told = lethe("--db", str(db), "--json", "zone", "load", "--list", str(list_))
    expect("exit code of a list with faults", code == 1, told)
    counts = json.loads(out)
    expect("counts", (counts["zones"], counts["refused"], counts["records"]) == (2, 5, 5), out)
    for line in (f"{top}/zones/b:3:17: error: invalid IPv4 address", f"{list_}:6: error: a line is",
                 f"{list_}:7: error: a line is", f"{list_}:8: error: the first word",
                 f"{top}/zones/none: error: No such file", "b.test: refused, 1 error; the zone"):
        expect(line, line in told, told)
    names = [one["zone"] for one in json.loads(lethe("--db", str(db), "zone", "list", "--json")[1])]
    expect("zones that are there", names == ["a.test.", "c.test."], names)

    # A refused zone stays as it was, another is replaced.
    (top / "zones/a").write_text(GOOD.replace("SOA a b 1", "SOA a b 2"))
    (top / "zones/c").write_text(GOOD + "oops\n")
    code, out, told = lethe("--db", str(db), "zone", "load", "--list", "-",
                            text=f"a.test {top}/zones/a\nc.test {top}/zones/c\n")
    expect("exit code of the second list", code == 1, told)
    expect("the first zone is new", " 2 2 3 4 5" in zone(db, "a.test")[1])
    expect("the third zone is old", "192.0.2.1" in zone(db, "c.test")[1])
    expect("a list is no use of NAME FILE",
           lethe("--db", str(db), "zone", "load", "a", "b", "--list", "c")[0] == 2)
    expect("NAME alone", lethe("--db", str(db), "zone", "load", "a")[0] == 2)
    expect("a list that is not there",
           lethe("--db", str(db), "zone", "load", "--list", str(top / "nothing"))[0] == 1)


def test_many(top):
    """More zones than one transaction takes."""
    db, count = top / "many", 12000
    subprocess.run([MAKE_TLD, "--small", str(top / "small"), str(count)], check=True)
    code, out, told = lethe("--db", str(db), "--json", "zone", "load", "--list",
                            str(top / "small/list"))
    expect("many zones", code == 0 and json.loads(out)["zones"] == count, told)
    stat = json.loads(lethe("--db", str(db), "zone", "stat", "--json")[1])
    expect("all of them are there", stat["zones"] == count and stat["names"] == 5 * count, stat)
    text = zone(db, f"z{count - 1}.example")[1]
    expect("the last one", f"z{count - 1}.example.\t3600\tIN\tSOA" in text, text)


def test_moved(top, db):
    """A delegation goes: until when may caches keep to it? Not asked for: one that keeps a server."""
    change = lambda text, *more: lethe("--db", str(db), *more, "zone", "change", "c.test", text=text)
    own = top / "own.zone"
    own.write_text("@ 7200 SOA a b 1 2 3 4 5\n@ 7200 NS ns.far.net.\n")
    expect("a child", lethe("--db", str(db), "zone", "load", "gone.c.test", str(own))[0] == 0)
    out = change("+ gone 900 NS ns.far.net.\n+ part 600 NS ns1.far.net.\n+ part NS ns2.far.net.\n"
                 "+ away 500 NS ns.far.net.\n")[1]
    expect("what comes is not told", "caches" not in out, out)
    code, out, told = change("- gone NS ns.far.net.\n- part NS ns1.far.net.\n- away 1 NS ns.far.net.\n"
                             "+ away 400 NS ns.other.net.\n", "--json")
    moved = json.loads(out)["moved"] if code == 0 else told
    expect("what moved", [(m["zone"], m["delegated"], m["parent_ttl"], m.get("own_ttl")) for m in moved] ==
           [("away.c.test.", True, 500, None), ("gone.c.test.", False, 900, 7200)], moved)
    ends = [calendar.timegm(time.strptime(moved[1][key], "%Y-%m-%dT%H:%M:%SZ")) for key in
            ("parent_end", "own_end")]
    expect("their ends", ends[1] - ends[0] in (6299, 6300, 6301) and ends[0] > time.time(), moved)
    out = change("- part NS ns2.far.net.\n")[1]
    expect("in words", "part.c.test.: no delegation any more; caches may have the delegation of before until "
           in out and "(TTL 600), and for how long the zone's own NS, lethe kiting tells" in out, out)
    expect("not of a change that is refused", "caches" not in change("- away NS ns.other.net.\n- x A 1.2.3.4\n")[1])
    change("- away NS ns.other.net.\n", "--quiet")
    lethe("--db", str(db), "zone", "remove", "gone.c.test")


def test_change(top):
    db = top / "db"
    code, out, told = lethe("--db", str(db), "zone", "change", "c.test", "-",
                            text="- www A 192.0.2.1\n+ www A 192.0.2.7\n")
    expect("a change", code == 0 and "serial 1 to 2, 1 record removed, 1 added, at 1 name" in out,
           out + told)
    expect("what it made", "192.0.2.7" in zone(db, "c.test")[1])
    change = top / "change"
    change.write_text("+ @ 60 CNAME x\n- www A 192.0.2.1\n")
    code, out, told = lethe("--db", str(db), "zone", "change", "c.test", str(change))
    expect("a refused change", code == 1 and f"{change}:1:8: error: CNAME beside" in told and
           f"{change}:2:3: error: the zone has no such record" in told and
           "change refused, 2 errors; the zone is as it was" in told, told)
    expect("nothing came of it", "SOA\ta.c.test. b.c.test. 2 " in zone(db, "c.test")[1])
    test_moved(top, db)
    code, _, told = lethe("--db", str(db), "zone", "change", "x.test", text="+ www A 192.0.2.7\n")
    expect("no such zone", code == 1 and "no zone x.test. there" in told, told)
    code, _, told = lethe("--db", str(db), "zone", "change", "c.test", str(top / "nothing"))
    expect("no such file", code == 1 and f"{top}/nothing: error: No such file" in told, told)


with tempfile.TemporaryDirectory() as scratch:
    for test in (test_list, test_many, test_change):
        test(pathlib.Path(scratch))
sys.exit(1 if failed else 0)

"""Runs the zoo, or brings its files here. Exit 1 on a wrong answer, a crash, or less than a floor file says."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import listing, report

SECONDS = 900
"""Of one model in all, for what hangs without using a processor: `one` limits the processor time."""


def arguments():
    parser = argparse.ArgumentParser(prog="tests/zoo/run", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for results.json and results.md")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="models whose FAMILY/NAME has one of these in it")
    parser.add_argument("--committed", action="store_true", help="only models whose files are in the repository")
    parser.add_argument("--floor", type=Path, help="lines of FAMILY/NAME and outcome: run these, and fail where one is worse")
    parser.add_argument("--fetch", action="store_true", help="bring the packages' model files into the cache folder")
    parser.add_argument("--export", metavar="SCRIPT", help="run an export script of tests/zoo/exports, or `all`")
    parser.add_argument("--docs", type=Path, metavar="RESULTS", help="write docs/zoo.md from a results.json")
    parser.add_argument("--bin", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def ask(entry, programs):
    """One child process, ended with all that it started when its time is over."""
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        command = [sys.executable, "-m", "zoo.one", entry.id, programs, folder]
        start = time.monotonic()
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            out, err = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return {"outcome": "timeout", "reason": f"not done in {SECONDS} s", "seconds": SECONDS}
        took = round(time.monotonic() - start, 2)
        if child.returncode != 0:
            return {"outcome": "crashed", "reason": f"the comparison: {err.strip()[-600:]}", "seconds": took}
        return json.loads(out.splitlines()[-1]) | {"seconds": took}


def floor(path):
    """What a floor file says: outcome by model."""
    lines = [l.split() for l in path.read_text().splitlines() if l and not l.startswith("#")]
    return {identity: " ".join(outcome) for identity, *outcome in lines}


def main():
    args = arguments()
    entries = listing.read()
    if args.docs:
        return report.docs(json.loads(args.docs.read_text()))
    if args.export:
        scripts = sorted(p.name for p in (listing.HERE / "exports").glob("from_*.py"))
        return max(listing.export(s) for s in (scripts if args.export == "all" else [args.export]))
    least = floor(args.floor) if args.floor else None
    if least is not None:
        entries = [e for e in entries if e.id in least]
    if args.only:
        entries = [e for e in entries if any(part in e.id for part in args.only)]
    if args.committed:
        entries = [e for e in entries if e.source.startswith("committed:")]
    if args.fetch:
        failed = listing.fetch(entries)
        print("\n".join(failed), file=sys.stderr)
        return 1 if failed else 0
    found = []
    for entry in entries:
        what = ask(entry, args.bin.resolve())
        found.append({"name": entry.name, "family": entry.family} | what)
        print(f"{entry.id}: {what['outcome']} ({what['seconds']} s) {what.get('reason', '')[:160]}", flush=True)
        if args.out:
            report.write(found, args.out)
    print(", ".join(f"{n} {o}" for o, n in Counter(m["outcome"] for m in found).most_common()))
    if least is not None:
        return report.below(found, least)
    return 1 if any(m["outcome"] in ("wrong", "crashed", "missing") for m in found) else 0


if __name__ == "__main__":
    sys.exit(main())

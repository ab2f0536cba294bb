"""Runs tests of the list, counts, and compares with what was proved before; exit 1 where an answer is wrong, or where the
committed list of proved tests is not what was found."""

import argparse
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx

from . import case as cases
from . import judge, programs, selftest, suite, tables

FLOOR = suite.HERE / "proved.txt"
TIES = suite.HERE / "ties.txt"
PAGE = suite.HERE.parent.parent / "docs" / "conformance.md"


def arguments():
    parser = argparse.ArgumentParser(prog="tests/conformance/run", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for results.json and results.md")
    parser.add_argument("--bin", type=Path, help="folder of the built programs")
    parser.add_argument("--only", metavar="REGEX", help="only tests whose names match")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="of the tests that proved.txt does not have only every Nth")
    parser.add_argument("--expanded", action="store_true", help="the 252 tests whose functions are written out instead")
    parser.add_argument("--floor", action="store_true", help="compare with proved.txt: exit 1 where it is not what was found")
    parser.add_argument("--update", action="store_true", help="after a whole run: write proved.txt")
    parser.add_argument("--docs", action="store_true", help="write docs/conformance.md from list.txt and proved.txt")
    parser.add_argument("--check-docs", action="store_true", help="exit 1 where docs/conformance.md is another page")
    parser.add_argument("--jobs", type=int, default=1, help="tests at a time")
    parser.add_argument("--selftest", action="store_true", help="what the judge itself must get right")
    parser.add_argument("--make-list", action="store_true", help="make list.txt again by the rules")
    return parser.parse_args()


def floor():
    """Names of the tests that were proved."""
    return set(FLOOR.read_text().split()) if FLOOR.is_file() else set()


def ties():
    """{test: flat places of its integer outputs where two floats are nearer than a step}; ` # ` begins a reason."""
    lines = TIES.read_text().splitlines() if TIES.is_file() else []
    told = (line.split("#")[0].split() for line in lines)
    return {fields[0]: {int(p) for p in fields[1:]} for fields in told if fields}


def run_test(test, worker, tied):
    """The record of one test."""
    record = {"name": test.name, "tier": test.tier, "op": test.op, "reason": "", "error": None}
    made = cases.make(test)
    record["constants"] = made.constants
    if made.constant:
        # Never asked: whatever the program makes of it, nothing is proved.
        return record | {"outcome": judge.CONSTANT, "reason": "the output does not depend on the input's values"}
    outputs = [o.name for o in onnx.load_from_string(made.model).graph.output]
    with tempfile.TemporaryDirectory(prefix="zkinfer-conformance-") as folder:
        try:
            proved = programs.prove(worker, made, outputs, Path(folder))
        except programs.Ended as ended:
            return record | {"outcome": judge.CRASHED, "reason": str(ended)}
    outcome, far = judge.judge(made, proved, tied.get(test.name, ()))
    reason = proved.reason
    if outcome == judge.INACCURATE and not reason:
        reason = "compile: the error is beyond the budget"
    error = None if far is None else far if far != float("inf") else "another shape"
    return record | {"outcome": outcome, "reason": reason, "error": error}


def chosen(args, known):
    """The tests of this run."""
    every = [t for t in suite.tests() if (t.tier == suite.EXPANDED) == args.expanded]
    matching = [t for t in every if not args.only or re.search(args.only, t.name)]
    return [t for i, t in enumerate(matching) if t.name in known or i % args.every == 0]


def compare(records, known):
    """What is not as proved.txt says, in lines."""
    said = []
    for r in records:
        if r["outcome"] == judge.PROVED and r["name"] not in known:
            said.append(f"newly proved: {r['name']}: run tests/conformance/run --update --docs")
        if r["outcome"] != judge.PROVED and r["name"] in known:
            said.append(f"no longer proved: {r['name']}: {r['outcome']}: {r['reason']}")
    return said


def summary(records):
    """The counts that results.json begins with."""
    outcomes = Counter(r["outcome"] for r in records)
    per_op = defaultdict(Counter)
    for r in records:
        of_op = per_op[r["op"]]
        of_op["total"] += 1
        of_op["lowered"] += r["outcome"] in judge.LOWERED
        of_op["right"] += r["outcome"] in (judge.PROVED, judge.RIGHT)
        of_op["proved"] += r["outcome"] == judge.PROVED
    core = [r for r in records if r["op"] not in suite.NOT_CORE]
    return {
        "total": len(records),
        "lowered": sum(outcomes[o] for o in judge.LOWERED),
        "right": outcomes[judge.PROVED] + outcomes[judge.RIGHT],
        "proved": outcomes[judge.PROVED],
        "wrong": outcomes[judge.WRONG],
        "core": {"total": len(core), "proved": sum(r["outcome"] == judge.PROVED for r in core)},
        "outcomes": {o: outcomes[o] for o in judge.OUTCOMES},
        "withConstants": sum(bool(r["constants"]) for r in records),
        "onnx": suite.VERSION,
        "list": suite.LIST_SHA256,
        "per_op": {op: {c: per_op[op][c] for c in ("total", "lowered", "right", "proved")} for op in sorted(per_op)},
    }


def main():
    args = arguments()
    if args.make_list:
        suite.make_list()
        return
    if args.selftest:
        sys.exit(0 if selftest.run() else 1)
    known = floor()
    if args.out or args.floor or args.update:
        worker = (args.bin / "prover-worker").resolve()
        if not worker.is_file():
            raise SystemExit(f"{worker} is not built: cargo build --release --workspace --bins")
        tied = ties()
        with ThreadPoolExecutor(args.jobs) as pool:
            records = list(pool.map(lambda t: run_test(t, worker, tied), chosen(args, known)))
        found = summary(records)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "results.json").write_text(json.dumps(found | {"tests": records}, indent=1))
            (args.out / "results.md").write_text(tables.results(found, records))
        print(tables.line(found))
        bad = [f"{r['outcome']}: {r['name']}: {r['reason']} {r['error']}"
               for r in records if r["outcome"] in (judge.WRONG, judge.CRASHED)]
        if args.update:
            if args.only or args.every > 1 or args.expanded:
                raise SystemExit("--update takes a whole run")
            known = {r["name"] for r in records if r["outcome"] == judge.PROVED}
            FLOOR.write_text("".join(f"{name}\n" for name in sorted(known)))
        if args.floor:
            bad += compare(records, known)
        for text in bad:
            print(text)
        if any(r["outcome"] == judge.WRONG for r in records) or (args.floor and bad):
            sys.exit(1)
    page = tables.page(suite.tests(), known)
    if args.docs:
        PAGE.write_text(page)
    if args.check_docs and page != (PAGE.read_text() if PAGE.is_file() else ""):
        raise SystemExit("docs/conformance.md is not what list.txt and proved.txt say: tests/conformance/run --docs")

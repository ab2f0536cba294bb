"""What recorded runs have proved together, as a file that stands in the repository: what takes days is met run by run.

Invariant: a run adds what it has proved itself, once, under its seed; and goes on where all recorded runs together have ended.
Counts of pairs and cells are one digit each of base 36, up to `MOST`: none is asked for more often.
"""

import json
import subprocess
from collections import Counter
from pathlib import Path

from . import judge, tables
from .registry import op_of
from .targets import LEAST

REPOSITORY = Path(__file__).parents[3]
FILE = REPOSITORY / "tests" / "generator" / "record.json"
PAGE = REPOSITORY / "docs" / "random-graphs.md"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
MOST = len(DIGITS) - 1
NONE = "."
"""Where no such pair exists, or no graph of it is taken."""
REASONS = 40
"""Most reasons of refusals that the page lists."""


def read(path):
    """The record in a file; an empty one where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {"runs": {}, "proved": {}}


def commit():
    """Of the sources, as far as git knows."""
    asked = subprocess.run(["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return asked.stdout.strip() or "unknown"


def begin(run, record):
    """Counts on from all recorded runs."""
    for kind, targets in _targets(run.plan).items():
        found = record["proved"].get(kind, {"columns": [], "rows": {}})
        counts = _counts(found, str)
        for row, column, target in targets:
            run.plan.made[target.key] = run.proved[target.key] = counts[row, column]


def add(run, record, report):
    """The record with what a run has done so far."""
    kept = ("graphs", "outcomes", "refused", "receiptsVerified", "passedOver")
    entry = {"commit": run.commit, **{name: report[name] for name in kept}, "errors": report["errors"]["all"]}
    entry["failures"] = [{name: f[name] for name in ("id", "system", "outcome")} for f in report["failures"]]
    proved = {}
    for kind, targets in _targets(run.plan).items():
        columns = sorted({column for _, column, _ in targets})
        digits = {
            (row, column): DIGITS[min(MOST, run.proved[target.key])] for row, column, target in targets if not target.refused
        }
        rows = {row: "".join(digits.get((row, column), NONE) for column in columns) for row in sorted({row for row, _, _ in targets})}
        proved[kind] = {"columns": columns, "rows": rows}
    return {"runs": {**record["runs"], run.seed: entry}, "proved": proved}


def write(path, record):
    """Whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, indent=1) + "\n")
    new.replace(path)


def _targets(plan):
    """{kind: [(row, column, target)]}."""
    return {
        "pairs": [(*t.key, t) for t in plan.pairs],
        "cells": [(f"{t.key[0]}({t.key[1]})", f"{t.key[2]}, rank {t.key[3]}", t) for t in plan.cells],
    }


def _counts(proved, column):
    """How often each (row, column) has been proved, columns taken together by a function of them."""
    counts = Counter()
    for row, digits in proved["rows"].items():
        for name, digit in zip(proved["columns"], digits):
            if digit != NONE:
                counts[row, column(name)] += DIGITS.index(digit)
    return counts


def markdown(record):
    """The page."""
    runs, proved = record["runs"], record["proved"]
    outcomes, reasons, errors, verified = {}, Counter(), Counter(), Counter()
    for run in runs.values():
        for system, of in run["outcomes"].items():
            outcomes.setdefault(system, Counter()).update(of)
        for of in run["refused"].values():
            reasons.update(of)
        errors.update(run["errors"])
        verified.update(run["receiptsVerified"])
    lines = [
        "<!-- Generated from tests/generator/record.json by tests/generator/run --docs. -->", "# Random graphs", "",
        "Random valid ONNX graphs over all supported operators, proved by `operator local` on inputs that calibration has not "
        "seen, and compared with onnxruntime: shape, value and class. [tests/generator](../tests/generator/README.md) says how; "
        "`tests/generator/run --record tests/generator/record.json` adds a run to what is recorded.", "",
        "| | " + " | ".join(outcomes) + " |", "|---" * (len(outcomes) + 1) + "|",
    ]
    names = [judge.PROVED, judge.REFUSED, *judge.WRONG, judge.INACCURATE, judge.MISREAD, judge.CRASHED, "receipt refused"]
    names += sorted({name for of in outcomes.values() for name in of} - {*names})
    lines += [f"| {name} | " + " | ".join(f"{of[name]:,}" for of in outcomes.values()) + " |" for name in names]
    total = sum(sum(of.values()) for of in outcomes.values())
    refused = sum(of[judge.REFUSED] for of in outcomes.values())
    exceeded = sum(n for why, n in reasons.items() if why.split(":")[0] in judge.EXCEEDED)
    lines += ["", f"Refused are {refused / max(total, 1):.1%} of {total:,} graphs, for accuracy {exceeded / max(total, 1):.2%}."]
    quantiles = [tables.quantile(errors, q) for q in (0.5, 0.99, 1.0)]
    if quantiles[0] is not None:
        lines += ["Of the greatest value, the error's median is {:.1e}, 99 % are below {:.1e}, the greatest is {:.1e}.".format(*quantiles)]
    lines += [f"Receipts verified with `--model --input`: {verified['valid']:,} valid, {verified['invalid']:,} invalid.", ""]
    for title, counts in (
        ("Pairs of operators (producer, consumer)", _counts(proved["pairs"], op_of)),
        ("Binary operators with a constant (operator, side, shape of the constant, rank)", _counts(proved["cells"], str)),
    ):
        met, full = sum(min(n, LEAST) for n in counts.values()), sum(n >= LEAST for n in counts.values())
        lines.append(
            f"- {title}: {full:,} of {len(counts):,} proved at least {LEAST} times, {met / max(LEAST * len(counts), 1):.1%} of what that takes."
        )
    lines += ["", "How often each was proved stands in the record, a digit of base 36 each.", "", "## Runs", ""]
    lines += ["| seed | commit | graphs | proved | failed |", "|---|---|---|---|---|"]
    for seed, run in runs.items():
        of = sum((Counter(o) for o in run["outcomes"].values()), Counter())
        failed = ", ".join(f"`{f['id'].split('/')[0]}` ({f['outcome']})" for f in run["failures"]) or "none"
        lines.append(f"| {seed} | {run['commit']} | {run['graphs']:,} | {of[judge.PROVED]:,} | {failed} |")
    lines += ["", "## Why graphs were refused", "", "| reason | graphs |", "|---|---|"]
    lines += [f"| {why.replace('|', '/')} | {n:,} |" for why, n in reasons.most_common(REASONS)]
    rest = sum(n for _, n in reasons.most_common()[REASONS:])
    if rest:
        lines.append(f"| {len(reasons) - REASONS} more | {rest:,} |")
    return "\n".join(lines) + "\n"

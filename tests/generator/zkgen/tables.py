"""What a run found, as JSON and for people."""

from collections import Counter

from . import judge
from .registry import op_of
from .targets import LEAST, LEAST_FORM


def report(run, seconds):
    total = sum(sum(o.values()) for o in run.outcomes.values())
    at = lambda q: quantile(run.errors, q)
    row = lambda t: {
        "of": list(t.key), "made": run.plan.made[t.key], "proved": run.proved[t.key], "knownRefused": t.refused,
    }
    return {
        "seed": run.seed,
        "next": run.plan.number + 1,
        "graphs": total,
        "seconds": round(seconds, 1),
        "graphsPerSecond": round(total / seconds, 2),
        "outcomes": {s: dict(o) for s, o in run.outcomes.items() if o},
        "refused": {s: dict(r.most_common()) for s, r in run.reasons.items()},
        "refusedExamples": dict(run.examples),
        "receiptsVerified": {"valid": run.verified[True], "invalid": run.verified[False]},
        "errors": {"median": at(0.5), "p99": at(0.99), "greatest": at(1.0), "all": dict(run.errors)},
        "onnxruntimeDeparts": dict(run.departures),
        "passedOver": dict(run.passed),
        "withoutASizeOfTheirOwn": run.zeros,
        "notMade": run.unmade,
        "failures": run.failures,
        "pairs": [row(t) for t in run.plan.pairs],
        "cells": [row(t) for t in run.plan.cells],
    }


def restore(run, report):
    """Puts a run where that of a report ended. Graphs that were made and not settled then count as refused; those that failed
    are asked again, and count as they end now."""
    run.seed, run.before = report["seed"], report["seconds"]
    run.plan.go_on(run.seed, report["next"])
    for row in [*report["pairs"], *report["cells"]]:
        key, made, proved = tuple(row["of"]), row["made"], row["proved"]
        run.plan.made[key], run.plan.failed[key], run.proved[key] = made, made - proved, proved
    for system, outcomes in report["outcomes"].items():
        run.outcomes[system].update(outcomes)
    for system, reasons in report["refused"].items():
        run.reasons[system].update(reasons)
    run.examples.update(report["refusedExamples"])
    verified = report["receiptsVerified"]
    run.verified.update({True: verified["valid"], False: verified["invalid"]})
    run.errors.update(report["errors"]["all"])
    run.departures.update(report["onnxruntimeDeparts"])
    run.passed.update(report["passedOver"])
    run.zeros, run.unmade = report["withoutASizeOfTheirOwn"], report["notMade"]
    for failure in report["failures"]:
        run.outcomes[failure["system"]][failure["outcome"]] -= 1
        run.failed_before.append((failure["id"], failure["system"]))


def rounded(error):
    """An error as it is counted."""
    return f"{error:.1e}"


def quantile(errors, q):
    """Of errors as they are counted, or None."""
    rest = q * sum(errors.values())
    for error, count in sorted(errors.items(), key=lambda i: float(i[0])):
        rest -= count
        if rest <= 0:
            return float(error)
    return None


def _coverage(rows, least):
    accepted = [r["proved"] for r in rows if not r["knownRefused"]]
    full = sum(n >= least for n in accepted)
    return f"{full} of {len(accepted)} proved at least {least} times"


MOST_REFUSED = 0.30
MOST_FOR_ACCURACY = 0.01
"""Of all graphs."""


def short_of(report):
    """What a run that is meant to meet everything has not kept, each in a few words."""
    outcomes = [o for o in report["outcomes"].values()]
    total = max(1, sum(sum(o.values()) for o in outcomes))
    refused = sum(o.get(judge.REFUSED, 0) for o in outcomes) / total
    reasons = [(why, n) for of in report["refused"].values() for why, n in of.items()]
    accuracy = sum(n for why, n in reasons if why.split(":")[0] in judge.EXCEEDED) / total
    lines = []
    if refused > MOST_REFUSED:
        lines.append(f"{refused:.1%} of the graphs were refused, at most {MOST_REFUSED:.0%} may be")
    if accuracy > MOST_FOR_ACCURACY:
        lines.append(f"{accuracy:.2%} of the graphs were refused for accuracy, at most {MOST_FOR_ACCURACY:.0%} may be")
    for what, rows, least in (
        ("pairs of operators", _of_operators(report["pairs"]), LEAST),
        ("binary operators with a constant", report["cells"], LEAST),
    ):
        lacking = sum(r["proved"] < least for r in rows if not r["knownRefused"])
        if lacking:
            lines.append(f"{lacking} {what} were proved fewer than {least} times")
    return lines


def _of_operators(pairs):
    """The rows of pairs of operators: of all forms of a consumer together."""
    proved = Counter()
    for row in pairs:
        if not row["knownRefused"]:
            producer, consumer = row["of"]
            proved[producer, op_of(consumer)] += row["proved"]
    return [{"proved": n, "knownRefused": False} for n in proved.values()]


def summary(report):
    """A few lines."""
    speed = f"{report['seconds']} s ({report['graphsPerSecond']} a second)"
    lines = [f"{report['graphs']} graphs in {speed}, seed {report['seed']}"]
    for system, outcomes in report["outcomes"].items():
        total = sum(outcomes.values())
        parts = ", ".join(f"{n} {o}" for o, n in sorted(outcomes.items(), key=lambda i: -i[1]))
        exceeded = sum(
            n for why, n in report["refused"].get(system, {}).items() if why.split(":")[0] in judge.EXCEEDED
        )
        refused = outcomes.get(judge.REFUSED, 0)
        lines.append(f"{system}: {parts}; refused {refused / total:.1%}, of these for accuracy {exceeded / total:.2%}")
    lines.append(f"pairs of operators: {_coverage(_of_operators(report['pairs']), LEAST)}")
    lines.append(f"pairs of operator and form: {_coverage(report['pairs'], LEAST_FORM)}")
    lines.append(f"binary operators with a constant: {_coverage(report['cells'], LEAST)}")
    if report["withoutASizeOfTheirOwn"]:
        lines.append(f"an output that is 0 on every sample, judged by the input's size: {report['withoutASizeOfTheirOwn']}")
    for why, n in report["passedOver"].items():
        lines.append(f"passed over, and not counted: {n} with {why}")
    if report["notMade"]:
        lines.append(f"NOT MADE, by a fault of the generator: {len(report['notMade'])}, {report['notMade'][0]}")
    verified = report["receiptsVerified"]
    lines.append(f"receipts verified with --model --input: {verified['valid']} valid, {verified['invalid']} invalid")
    return "\n".join(lines)


def markdown(report):
    """The tables."""
    lines = ["# Random graphs", "", summary(report).replace("\n", "\n\n"), ""]
    errors = report["errors"]
    if errors["median"] is not None:
        median, p99, greatest = (f"{errors[q]:.1e}" for q in ("median", "p99", "greatest"))
        lines += [f"Error: median {median}, 99 % below {p99}, greatest {greatest}.", ""]
    if report["onnxruntimeDeparts"]:
        lines += ["onnxruntime departs from the specification and was asked in other words:", ""]
        lines += [f"- {name}: {n} graphs" for name, n in report["onnxruntimeDeparts"].items()] + [""]
    for system, reasons in report["refused"].items():
        lines += [f"## Refused with {system}", "", "| reason | graphs |", "|---|---|"]
        lines += [f"| {why.replace('|', '/')} | {n} |" for why, n in reasons.items()] + [""]
    if report["failures"]:
        lines += ["## Failures", "", "| id | system | outcome | error | operators |", "|---|---|---|---|---|"]
        for f in report["failures"]:
            operators = " ".join(f.get("smallest") or f["operators"])
            lines.append(f"| `{f['id']}` | {f['system']} | {f['outcome']} | {f['error']} | {operators} |")
        lines.append("")
    lines += ["## Pairs: made / proved", ""]
    lines += ["Rows produce, columns consume; empty where no such pair exists, `r` where the importer refuses it.", ""]
    lines += _matrix(report["pairs"], lambda r: (r["of"][0], r["of"][1])) + [""]
    lines += ["## Binary operators with a constant: made / proved", ""]
    lines += ["Columns are the rank of the computed operand.", ""]
    lines += _matrix(report["cells"], lambda r: (f"{r['of'][0]}({r['of'][1]}) {r['of'][2]}", str(r["of"][3])))
    return "\n".join(lines) + "\n"


def _matrix(rows, place):
    at = {place(r): r for r in rows}
    names, columns = sorted({p[0] for p in at}), sorted({p[1] for p in at})
    cell = lambda r: "" if r is None else f"{r['made']}/{r['proved']}" + (" r" if r["knownRefused"] else "")
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(cell(at.get((name, c))) for c in columns) + " |")
    return lines

"""Measures shape by shape, one process at a time, and writes results.json, results.md and results.svg."""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

from . import batches, errors, machine, net, report
from .peers import Ezkl
from .shapes import BATCHED, SHAPES

HERE = Path(__file__).resolve().parent.parent
NOMINAL = HERE / "nominal.json"
KEPT = HERE / "results.json"
DOCS = HERE.parent.parent / "docs"
SENTENCE = HERE.parent / "sentence" / "results.json"
SYSTEMS = {"sumcheck-whir": "SumcheckWhir", "halo2-kzg": "Halo2Kzg"}
MEASURED_WITH_EZKL = ("tiny-mlp", "mlp-10k", "small-cnn", "boosted-trees")
SAMPLES = 32
APART = 1.5
"""A reference job so many times slower or faster than that of the nominal time is another one."""


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for results.json, results.md, results.svg")
    parser.add_argument("--bench", type=Path, required=True, help="the built program `bench`")
    parser.add_argument("--build", default="native", help="how it was built, for the rows")
    parser.add_argument("--ezkl", type=Path, help="the Python whose environment has ezkl")
    parser.add_argument("--cache", type=Path, required=True, help="where ezkl's setups are kept")
    parser.add_argument("--with-ezkl", action="store_true", help="measure ezkl as well, for the first four shapes")
    parser.add_argument("--only", action="append", choices=SHAPES, metavar="SHAPE", help="only this shape")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="only this one of our systems")
    parser.add_argument("--times", type=int, default=20, help="proofs of which the median counts")
    parser.add_argument("--seconds", type=int, default=600, help="begin no further proof of a row after these")
    parser.add_argument("--batch", type=int, help="measure an input of so many at once against one alone, and nothing else; exit 1 "
                        "where it costs more than half")
    parser.add_argument("--errors", action="store_true", help="measure the greatest error over 100 inputs, and nothing else; exit 1 "
                        "where it is above ezkl's and above 5e-4")
    parser.add_argument("--limit", type=int, default=1800, help="longest wall time of a row")
    parser.add_argument("--publish", action="store_true", help="keep the rows in tests/bench/results.json, beside what is there")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and its plot from tests/bench/results.json")
    parser.add_argument("--check-docs", action="store_true", help="exit 1 where they are others")
    return parser.parse_args()


def inputs(name, shape):
    """(an input, calibration samples): standard-normal, a function of the shape's name."""
    drawn = np.random.default_rng(net.seed(f"{name}/inputs")).normal(size=(SAMPLES + 1, *shape)).astype(np.float32)
    return drawn[0], drawn[1:]


def rows_of(name, args, ezkl):
    """All rows of a shape."""
    make, quoted = SHAPES[name]
    model = make()
    with tempfile.TemporaryDirectory(prefix="zkinfer-bench-") as folder:
        folder = Path(folder)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        x, samples = inputs(name, [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim])
        (folder / "input.json").write_text(json.dumps(x.tolist()))
        (folder / "samples.json").write_text(json.dumps(samples.tolist()))
        plain = machine.Float(model.SerializeToString())
        budget = machine.budget(samples, plain)
        expected = plain.answer(x)
        same = {"shape": name, "macs": net.macs(model), "parameters": net.parameters(model),
                "ort_us": plain.microseconds(x)}
        for system in args.system or SYSTEMS:
            yield attempt(same | {"system": system},
                          lambda: machine.measure(args.bench, folder, SYSTEMS[system], expected, args, budget))
        if args.with_ezkl and name in MEASURED_WITH_EZKL:
            yield attempt(same | {"system": "ezkl"}, lambda: ezkl.measure(folder, x, expected, args.bench))
        elif quoted:
            counted = {"ezkl_rows": ezkl.rows(folder)} if args.with_ezkl else {}
            yield same | {"system": "ezkl"} | quoted_row(quoted) | counted


def attempt(row, measure):
    """The row with its figures, or with the reason why it has none."""
    try:
        return row | measure()
    except machine.NotMeasured as why:
        return row | {"reason": str(why)}


def batched(args):
    """Measures BATCHED at `--batch`, into batches.json of the folder."""
    if args.batch < 2 or not args.out or args.publish:
        raise SystemExit("--batch takes 2 or more, and --out for what it finds; nothing of it is published")
    names = args.only or list(BATCHED)
    if other := [name for name in names if name not in BATCHED]:
        raise SystemExit(f"{other[0]} is not measured with several inputs at once; {', '.join(BATCHED)} are")
    shape_of = lambda model: [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    rows = []
    for row in batches.rows(names, lambda name, model: inputs(name, shape_of(model)), args):
        print(batches.line(row), flush=True)
        rows.append(row)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "batches.json").write_text(json.dumps(rows, indent=1))
    if missed := batches.missed(rows):
        raise SystemExit(f"more than {batches.MOST} of what an input costs alone: {', '.join(missed)}")


def compared(args, ezkl):
    """Measures the greatest errors of the shapes, into errors.json of the folder."""
    if not args.out or args.publish:
        raise SystemExit("--errors takes --out for what it finds; nothing of it is published")
    found = []
    for name in args.only or SHAPES:
        for row in errors.rows(name, SHAPES[name][0](), inputs, args, ezkl if name in MEASURED_WITH_EZKL else None):
            print(errors.line(row), flush=True)
            found.append(row)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "errors.json").write_text(json.dumps(found, indent=1))
    if missed := errors.missed(found):
        raise SystemExit(f"above {machine.ABSOLUTE} and above ezkl's: {', '.join(missed)}")


def quoted_row(quoted):
    return {
        "origin": "quoted",
        "prove_cpu_s": quoted.prove_cpu_s,
        "keygen_cpu_s": quoted.keygen_cpu_s,
        "peak_rss_mb": quoted.rss_mb,
        "proof_bytes": quoted.proof_bytes,
        "verify_ms": 1e3 * quoted.verify_s,
        "class_rows": quoted.rows,
    }


def nominal(rows):
    """Seconds of the reference job to which figures are scaled: committed by the first run with ezkl."""
    if NOMINAL.is_file():
        return json.loads(NOMINAL.read_text())["nominal_s"]
    measured = {r["shape"]: r for r in rows if r["system"] == "ezkl" and "prove_cpu_raw_s" in r}
    if set(measured) != set(MEASURED_WITH_EZKL):
        return None
    ratios = [SHAPES[s][1].prove_cpu_s / r["prove_cpu_raw_s"] for s, r in measured.items()]
    geometric = math.exp(sum(map(math.log, ratios)) / len(ratios))
    reference = sum(r["reference_s"] for r in measured.values()) / len(measured)
    kept = {"nominal_s": reference * geometric, "reference_s": reference, "quoted_over_measured": geometric,
            "by_shape": dict(zip(measured, ratios))}
    NOMINAL.write_text(json.dumps(kept, indent=1) + "\n")
    return kept["nominal_s"]


def scale(rows, seconds):
    for row in rows:
        if "prove_cpu_raw_s" in row and seconds:
            row["prove_cpu_s"] = row["prove_cpu_raw_s"] * seconds / row["reference_s"]


def merged(old, new):
    """Old rows, the new ones in their place, in the order of the shapes; a quoted one takes no measured one's place."""
    kept = {(r["shape"], r["system"]): r for r in old}
    for r in new:
        before = kept.get((r["shape"], r["system"]), {})
        if not (before.get("origin") == "measured" and r.get("origin") == "quoted"):
            kept[r["shape"], r["system"]] = counted_before(before, r) | r
    order = [*SYSTEMS, "ezkl"]
    return sorted(kept.values(), key=lambda r: (list(SHAPES).index(r["shape"]), order.index(r["system"])))


def counted_before(before, now):
    """The rows that ezkl counted when it was there, for a quotation beside the same model."""
    same = all(before.get(k) == now.get(k) for k in ("origin", "macs", "parameters"))
    return {k: before[k] for k in ("ezkl_rows",) if same and now.get("origin") == "quoted" and k in before}


def unlike(rows):
    """What to say where the reference job took another time than when the nominal one was set."""
    if not NOMINAL.is_file():
        return
    then = json.loads(NOMINAL.read_text())["reference_s"]
    for now in (r["reference_s"] for r in rows if "reference_s" in r):
        if not 1 / APART < now / then < APART:
            yield (f"the reference job took {now:.3f} s, and {then:.3f} s when the nominal time was set: another kind of machine, "
                   "or a build without optimisation, whose figures are none")


def kept():
    return json.loads(KEPT.read_text()) if KEPT.is_file() else []


def keep(rows):
    """Into tests/bench/results.json, beside what is there; all rows are scaled alike."""
    rows = merged(kept(), rows)
    scale(rows, nominal(rows))
    KEPT.write_text(json.dumps(rows, indent=1) + "\n")


def write(folder, rows):
    scale(rows, nominal(rows))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(rows, indent=1))
    (folder / "results.md").write_text(report.table(rows))
    (folder / "results.svg").write_text(report.plot(rows))


def main():
    args = arguments()
    if args.batch is not None:
        batched(args)
    elif args.errors:
        compared(args, Ezkl(args.ezkl, args.cache) if args.with_ezkl else None)
    elif args.out or args.publish:
        ezkl = Ezkl(args.ezkl, args.cache) if args.with_ezkl else None
        rows = []
        for name in args.only or SHAPES:
            for row in rows_of(name, args, ezkl):
                print(report.line(row), flush=True)
                rows.append(row)
                for warning in unlike([row]):
                    print(f"warning: {warning}", file=sys.stderr, flush=True)
            # What was measured is kept, whatever becomes of the next.
            if args.publish:
                keep(rows)
            if args.out:
                write(args.out, rows)
    if args.docs or args.check_docs:
        rows = kept()
        for file, text in (("benchmarks.md", report.page(rows, json.loads(SENTENCE.read_text()))), ("benchmarks.svg", report.plot(rows))):
            if args.docs:
                (DOCS / file).write_text(text)
            elif (DOCS / file).read_text() != text:
                raise SystemExit(f"docs/{file} is not what tests/bench/results.json says: tests/bench/run --docs")

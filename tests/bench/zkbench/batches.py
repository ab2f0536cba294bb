"""What an input costs where several are proved at once: the same model, file and samples, at 1 and at a batch of more."""

import json
import tempfile
from pathlib import Path

import numpy as np

from . import machine
from .shapes import BATCHED

MOST = 0.5
"""An input of the batch may cost this share of what it costs alone."""
SYSTEM = "sumcheck-whir"


def rows(names, drawn, args):
    """For each of these models: CPU seconds of a proof and of an input in it, alone and in a batch."""
    for name in names:
        model = BATCHED[name]().SerializeToString()
        with tempfile.TemporaryDirectory(prefix="zkinfer-bench-") as folder:
            folder = Path(folder)
            (folder / "model.onnx").write_bytes(model)
            first, samples = drawn(name, BATCHED[name]())
            (folder / "samples.json").write_text(json.dumps(samples.tolist()))
            inputs = np.concatenate([first[None], samples])[: args.batch]
            if len(inputs) < args.batch:
                raise SystemExit(f"--batch {args.batch}: there are {len(samples) + 1} inputs to take")
            plain = machine.Float(model)
            budget = machine.budget(samples, plain)
            answers = [plain.answer(x) for x in inputs]
            sizes = {}
            for size in (1, args.batch):
                given = np.concatenate(inputs[:size])
                (folder / "input.json").write_text(json.dumps(given.tolist()))
                expected = [np.concatenate([a[at] for a in answers[:size]]) for at in range(len(answers[0]))]
                row = machine.measure(args.bench, folder, "SumcheckWhir", expected, args, budget, batch=size)
                sizes[size] = row | {"prove_cpu_per_input_s": row["prove_cpu_raw_s"] / size}
        # Both by the reference job of their own minute: the machine may have been slower in one of them.
        cost = {size: row["prove_cpu_per_input_s"] / row["reference_s"] for size, row in sizes.items()}
        yield {"shape": name, "system": SYSTEM, "batch": args.batch, "times_alone": cost[args.batch] / cost[1],
               "alone": sizes[1], "together": sizes[args.batch]}


def line(row):
    """A row for people."""
    alone, together = (row[of]["prove_cpu_per_input_s"] for of in ("alone", "together"))
    return (f"measured: {row['shape']}, {row['batch']} at once: {together:.4g} CPU s an input, {alone:.4g} alone: "
            f"{row['times_alone']:.2f} of it, at most {MOST} wanted")


def missed(rows):
    """Which of them cost too much."""
    return [row["shape"] for row in rows if row["times_alone"] > MOST]

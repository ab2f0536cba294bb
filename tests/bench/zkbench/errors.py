"""How far answers are off over many inputs that calibration has not seen: ours and ezkl's, of the same files and inputs.

Errors are absolute, against onnxruntime, as ezkl reports them. Ours are those of the integer graph, which is what is proved.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from . import machine, net

INPUTS = 100


def rows(name, model, drawn, args, ezkl):
    """A row for each of our systems, and for ezkl where it is given."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    _, samples = drawn(name, shape)
    unseen = np.random.default_rng(net.seed(f"{name}/unseen")).normal(size=(INPUTS, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="zkinfer-bench-") as folder:
        folder = Path(folder)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "samples.json").write_text(json.dumps(samples.tolist()))
        (folder / "inputs.json").write_text(json.dumps(unseen.tolist()))
        plain = machine.Float(model.SerializeToString())
        expected = [plain.answer(x) for x in unseen]
        budget = machine.budget(samples, plain)
        for system in args.system or ["sumcheck-whir"]:
            said = machine.run(
                args.bench,
                ["errors", folder / "model.onnx", "--samples", folder / "samples.json", "--inputs", folder / "inputs.json",
                 "--system", "Halo2Kzg" if system == "halo2-kzg" else "SumcheckWhir", "--budget", budget],
                args.limit,
            )
            yield {"shape": name, "system": system, "budget_millionths": budget, "profile": said["profile"],
                   "widened": said["widened"], "within_budget": said["within_budget"]} | greatest(said["answers"], expected)
        if ezkl:
            (folder / "ezkl.json").write_text(json.dumps({"input_data": [unseen[0].ravel().tolist()]}))
            yield {"shape": name, "system": "ezkl"} | greatest(ezkl.answers(folder, unseen), expected)


def greatest(answers, expected):
    """Greatest error of what was answered, and how many inputs were refused."""
    off = [max(float(np.abs(np.array(o) - e.ravel()).max()) for o, e in zip(a, y)) for a, y in zip(answers, expected) if a]
    return {"inputs": len(answers), "refused": len(answers) - len(off), "max_abs_err": max(off), "mean_max_abs_err": float(np.mean(off))}


def line(row):
    """A row for people."""
    how = f", {row['profile']}, {row['widened']} widened, budget {row['budget_millionths']}" if "profile" in row else ""
    return (f"measured: {row['shape']} {row['system']}{how}: greatest error {row['max_abs_err']:.2g} over {row['inputs']} inputs, "
            f"{row['refused']} refused")


def missed(rows):
    """Shapes of ours above the bar."""
    peer = {row["shape"]: row["max_abs_err"] for row in rows if row["system"] == "ezkl"}
    return [row["shape"] for row in rows if row["system"] != "ezkl"
            and row["max_abs_err"] > max(machine.ABSOLUTE, peer.get(row["shape"], 0.0))]

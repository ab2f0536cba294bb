"""One model: bound, asked of onnxruntime, compiled, proved, verified, compared. Runs in a process of its own.

`right` means: on three inputs of its domain that calibration has not seen, SumcheckWhir proves the answer at the default
budget, `verify` with the model and the input holds it valid, and it is onnxruntime's within the budget, with the same
greatest value where an output is of shape [1, n], and exactly where an output is of integers.
"""

import json
import math
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented
from zkgen import judge, oracle
from zkgen.program import outputs_of

from . import inputs, listing

MEMORY = 6 << 30
PROCESSOR_SECONDS = 240
"""Of one program, all its threads together: 120 s on two cores, however many others use them."""
BUDGET = "10000"
"""Of errors, in millionths: what `verify` accepts by default."""
CALIBRATION_VALUES = 1 << 24
"""Most values of a file of samples: large inputs are calibrated by fewer."""
FOUND = "right", "refused", "over budget", "wrong", "crashed", "missing", "timeout"
"""What may become of a model."""


class Ended(Exception):
    """A model's outcome, before its end."""

    def __init__(self, outcome, reason, blockers=()):
        super().__init__(reason)
        self.outcome, self.reason, self.blockers = outcome, reason, list(blockers)


def refusal(said, stderr, what):
    """A program's own refusal: its words, and each thing that stands in the way once, without names and numbers."""
    failed = (said or {}).get("failed") or {}
    nodes = [f"{u['op']}: {u['reason']}" for u in failed.get("unsupported") or []]
    text = failed.get("message") or (said or {}).get("error") or stderr[-1000:] or "no reason given"
    if not nodes:
        return Ended("refused", f"{what}: {text[:1000]}", [f"[{judge.reason_of(failed.get('kind', what), text)}]"])
    kinds = Counter(nodes)
    return Ended("refused", "; ".join(f"{n} × {k}" if n > 1 else k for k, n in kinds.most_common()), sorted(kinds))


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 1))


def run(command, what):
    """Standard output of one program as JSON, and its exit code. A program that a signal ended is a crash."""
    ran = subprocess.run([str(c) for c in command], capture_output=True, text=True, preexec_fn=limit)
    said = ran.stderr.strip()
    if "memory allocation of" in said:
        raise Ended("refused", f"{what}: more than {MEMORY >> 30} GiB of memory")
    if ran.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Ended("timeout", f"{what}: more than {PROCESSOR_SECONDS} s of processor time")
    if ran.returncode < 0 or "panicked at" in said:
        raise Ended("crashed", f"{what}: exit {ran.returncode}: {said[-400:]}")
    try:
        return json.loads(ran.stdout), ran.returncode, said
    except ValueError:
        return None, ran.returncode, said


def evaluator(model):
    """onnxruntime; on the same model of a later opset where it has no kernel for an operator as old as the file."""
    try:
        return oracle.Oracle(model)
    except NotImplemented:
        return oracle.Oracle(version_converter.convert_version(model, 13))


class Model:
    """A model with its free dimensions bound, and what onnxruntime answers."""

    def __init__(self, entry):
        self.entry = entry
        self.proto = onnx.load(str(entry.path()))
        self.external = entry.parts()[1:]
        self.shapes = inputs.shapes_of(self.proto, entry)
        inputs.bind(self.proto, self.shapes, {})
        self.asked = inputs.draw(entry, self.proto, self.shapes, "asked", inputs.ASKED)
        asked = evaluator(self.proto)
        self.expected = []
        for question in self.asked:
            answers = asked.answer(question)
            if any(isinstance(y, (list, dict)) for y in answers):
                raise Ended("refused", "an output is no tensor")
            self.expected.append(dict(zip(asked.names, map(np.asarray, answers))))
        inputs.bind(self.proto, self.shapes, {n: y.shape for n, y in self.expected[0].items()})

    def calibration(self, folder):
        """The arguments that give samples of the domain; none where compiling makes them up just so."""
        if inputs.default_domain(self.entry, self.proto):
            return []
        values = sum(math.prod(shape) for shape in self.shapes.values())
        count = max(1, min(inputs.SAMPLES, CALIBRATION_VALUES // max(1, values)))
        samples = inputs.draw(self.entry, self.proto, self.shapes, "calibration", count)
        by_name = {n: np.stack([s[n] for s in samples]).astype(np.float32) for n in self.shapes}
        if len(by_name) == 1:
            path = folder / "calibration.npy"
            np.save(path, *by_name.values())
        else:
            path = folder / "calibration.json"
            path.write_text(json.dumps({n: v.tolist() for n, v in by_name.items()}))
        return ["--calibration", path]


def prove(model, programs, folder):
    """Compiles once and proves every question; returns the greatest error."""
    model_file = folder / "model.onnx"
    # A model whose weights lie beside it is given so.
    onnx.save(model.proto, str(model_file), save_as_external_data=bool(model.external), location="model.data")
    worker = programs / "prover-worker"
    command = [worker, "compile", model_file, "--error-budget", BUDGET, "--out", folder / "compiled", "-o", "json"]
    compiled, code, said = run(command + model.calibration(folder), "compile")
    if code != 0 or compiled is None:
        raise refusal(compiled, said, "compile")
    accuracy = compiled["compiled"]["accuracy"]
    if not accuracy["withinBudget"]:
        raise Ended("over budget", "on the calibration data")
    worst = 0.0
    for number, (question, expected) in enumerate(zip(model.asked, model.expected)):
        file = folder / f"{number}.json"
        named = {n: np.asarray(v, dtype=np.float64).tolist() for n, v in question.items()}
        file.write_text(json.dumps(named if len(named) > 1 else next(iter(named.values()))))
        receipt = folder / f"{number}.cbor"
        proved, code, said = run(
            [worker, "prove", folder / "compiled", "--input", file, "--out", receipt, "-o", "json"], "prove"
        )
        if code != 0:
            raise refusal(proved, said, "prove")
        scale = accuracy["outputScale"]
        verify = [worker, "verify", receipt, "--model", model_file, "--input", file, "-o", "json"]
        verdict, code, said = run([*verify, "--output-scale", ",".join(repr(float(s)) for s in scale)], "verify")
        outcome, error = compare(outputs_of(receipt.read_bytes()), expected, scale)
        fails = [s["text"] for s in (verdict or {}).get("sentences", []) if s["outcome"] == "fails"]
        if code != 0:
            loses = all(re.match(r"Beyond your greatest error|Another class|Another value|Too coarse|The class", f) for f in fails) and fails
            raise Ended("over budget" if loses else "crashed", f"verify: {'; '.join(fails) or said[-300:]}")
        if outcome != judge.PROVED:
            raise Ended("wrong", f"{outcome}, error {error:.3g}, in a receipt that verify holds valid")
        worst = max(worst, error)
    return worst


def compare(outputs, expected, scale):
    """judge's rule for floats; integers and truth values must be equal."""
    for name, y in expected.items():
        whole = np.issubdtype(y.dtype, np.integer) or y.dtype == bool
        if whole and (name not in outputs or not np.array_equal(outputs[name], y.astype(np.float64))):
            return "wrong value", float("inf")
    return judge.judge(outputs, expected, scale, True)


def main(identity, programs, folder):
    entry = next(e for e in listing.read() if e.id == identity)
    try:
        error = prove(Model(entry), Path(programs), Path(folder))
        found = {"outcome": "right", "reason": "", "error": error}
    except Ended as end:
        found = {"outcome": end.outcome, "reason": end.reason, "blockers": end.blockers}
    except listing.Missing as missing:
        found = {"outcome": "missing", "reason": str(missing)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

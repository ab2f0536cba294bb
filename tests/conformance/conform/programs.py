"""`prover-worker` as a person runs it, in a folder of the test's own and within limits: what takes more is ended, and that is
the test's result, not the end of the run."""

import json
import resource
import signal
import subprocess
from dataclasses import dataclass, field

import numpy as np

SECONDS = 40
"""CPU time of each step: a busy machine changes no result."""
WALL = 600
MEMORY = 8 << 30
TOLERANCE = 2.0**-8
BUDGET = "3906"
"""The tolerance in millionths, rounded down."""


class Ended(Exception):
    """A program that gave no answer: it crashed, hung, or took too much."""


@dataclass
class Proved:
    """How far a test came."""

    lowered: bool = False
    reason: str = ""
    """Why it came no further."""
    values: list = field(default_factory=list)
    """By output, flat."""
    shapes: list = field(default_factory=list)
    deep: bool = False
    """`verify` with the model and the input says valid."""
    shallow: bool = False
    """`verify` with the manifest alone says valid."""
    within_budget: bool = False


def prove(worker, case, outputs, folder):
    """Compiles, proves, verifies."""
    (folder / "model.onnx").write_bytes(case.model)
    (folder / "input.json").write_text(json.dumps({n: v.tolist() for n, v in case.inputs.items()}))
    samples = {n: v.tolist() for n, v in case.samples.items()}
    (folder / "samples.json").write_text(json.dumps(samples))
    scale = ["--output-scale", ",".join("1" for _ in outputs), "--no-top1"]
    settings = ["--error-budget", BUDGET, *scale]
    compile_ = ["compile", "-o", "json", *settings, "--proof-system", "SumcheckWhir", "--out", "made", "model.onnx"]
    code, compiled = _run(worker, folder, [*compile_, "--calibration", "samples.json"])
    if compiled is None:
        return Proved(reason=f"compile: exit {code}, no report")
    if "error" in compiled:
        return Proved(reason=f"compile: {compiled['error']}")
    if "failed" in compiled:
        failed = compiled["failed"]
        return Proved(lowered=failed["kind"] == "SliceTooLarge", reason=_refusal(failed))
    done = Proved(lowered=True)
    done.within_budget = compiled["compiled"]["accuracy"]["withinBudget"]
    code, proved = _run(worker, folder, ["prove", "made", "--input", "input.json", "--out", "receipt", "-o", "json"])
    if code != 0:
        done.reason = f"prove: {(proved or {}).get('error', f'exit {code}')}"
        return done
    done.values = [np.asarray(v, dtype=np.float64) for v in proved["output"]]
    verify = ["verify", "receipt", "-o", "json"]
    deep = ["--model", "model.onnx", "--input", "input.json", "--max-error", repr(TOLERANCE), *scale]
    code, said = _run(worker, folder, [*verify, *deep])
    done.deep = code == 0
    if done.deep:
        by_name = said["outputs"]
        done.values = [np.asarray(by_name[o]["values"], dtype=np.float64) for o in outputs]
        done.shapes = [tuple(by_name[o]["shape"]) for o in outputs]
        return done
    failed = [s["text"] for s in (said or {}).get("sentences", []) if s["outcome"] == "fails"]
    done.reason = f"verify: {' '.join(failed) or f'exit {code}'}"
    code, _ = _run(worker, folder, [*verify, "--manifest", "made/manifest.cbor", "--files", "made"])
    done.shallow = code == 0
    return done


def _refusal(failed):
    """A refusal in a line: the first unsupported node with its operator, else the message."""
    nodes = failed.get("unsupported") or []
    if nodes:
        return f"{nodes[0]['op']}: {nodes[0]['reason']}"
    return f"{failed['kind']}: {failed['message']}"


def _run(worker, folder, arguments):
    """(exit code, the JSON that it printed or None)."""

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    try:
        ran = subprocess.run([worker, *arguments], cwd=folder, capture_output=True, text=True, timeout=WALL, preexec_fn=limit)
    except subprocess.TimeoutExpired as late:
        raise Ended(f"{arguments[0]}: no end within {WALL} s") from late
    if ran.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Ended(f"{arguments[0]}: more than {SECONDS} s of CPU time")
    if ran.returncode < 0 or ran.returncode not in (0, 1, 2) or "panicked" in ran.stderr:
        raise Ended(f"{arguments[0]}: crashed, exit {ran.returncode}: {ran.stderr.strip()[-300:]}")
    try:
        return ran.returncode, json.loads(ran.stdout)
    except ValueError:
        return ran.returncode, None

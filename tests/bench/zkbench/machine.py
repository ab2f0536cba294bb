"""This program on this machine: a row, the reference job, and what plain inference takes."""

import json
import os
import resource
import statistics
import subprocess
import time

import numpy as np
import onnxruntime

MEMORY = 20 << 30
ABSOLUTE = 5e-4
"""Greatest error of an output, in its own units, that models are compiled for."""


class NotMeasured(Exception):
    """Why there is no figure."""


def run(bench, arguments, seconds):
    """What `bench` printed. One thread, whatever the machine has."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    try:
        ran = subprocess.run(
            [bench, *map(str, arguments)],
            capture_output=True, text=True, timeout=seconds, preexec_fn=limit,
            env=os.environ | {"RAYON_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as late:
        raise NotMeasured(f"no end within {seconds} s") from late
    if ran.returncode != 0:
        raise NotMeasured(f"exit {ran.returncode}: {ran.stderr.strip()[-300:]}")
    return json.loads(ran.stdout)


def reference(bench):
    """Seconds of the reference job, now."""
    return run(bench, ["reference"], 600)["seconds"]


class Float:
    """onnxruntime on one thread."""

    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def answer(self, x):
        return self._session.run(None, {"x": x})

    def microseconds(self, x):
        """Of an inference: the median of 200, or of as many as half a second allows."""
        took, end = [], time.monotonic() + 0.5
        while len(took) < 200 and (len(took) < 3 or time.monotonic() < end):
            began = time.perf_counter()
            self._session.run(None, {"x": x})
            took.append(1e6 * (time.perf_counter() - began))
        return statistics.median(took)


def budget(samples, model):
    """Millionths by which errors stay within 5e-4, absolute as ezkl's are: a budget is a share of the greatest output."""
    greatest = max(float(np.abs(y).max()) for x in samples for y in model.answer(x))
    return max(1, int(1e6 * ABSOLUTE / max(1.0, greatest)))


def measure(bench, folder, system, expected, args, budget, batch=1):
    """A row of results.json but for the shape."""
    said = run(
        bench,
        ["row", folder / "model.onnx", "--samples", folder / "samples.json", "--input", folder / "input.json",
         "--system", system, "--times", args.times, "--seconds", args.seconds, "--batch", batch, "--budget", budget],
        args.limit,
    )
    if "refused" in said:
        raise NotMeasured(said["refused"])
    row = said["measured"]
    outputs = row.pop("outputs")
    error = max(float(np.abs(np.array(o) - e.ravel()).max()) for o, e in zip(outputs, expected))
    return row | {
        "origin": "measured",
        "build": args.build,
        "reference_s": sum(row["reference_s"]) / 2,
        "max_abs_err": error,
        "largest_output": max(float(np.abs(e).max()) for e in expected),
    }

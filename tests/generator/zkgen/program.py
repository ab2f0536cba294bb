"""The programs under test, as a person runs them: `operator local` on a folder of objects, `prover-worker verify`."""

import base64
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import cbor

API = "zkinfer.dev/v1alpha1"
BUDGET_MILLIONTHS = 10_000
SECONDS = 600


@dataclass
class Answer:
    """What became of one request."""

    phase: str
    reason: str = ""
    message: str = ""
    outputs: dict = field(default_factory=dict)
    receipt: str = ""
    scale: list = None


class Crashed(Exception):
    """The operator ended as no operator should."""


class Programs:
    """Paths of the built programs."""

    def __init__(self, folder):
        self.operator, self.worker = Path(folder) / "operator", Path(folder) / "prover-worker"
        for path in (self.operator, self.worker):
            if not path.is_file():
                raise SystemExit(f"{path} is not built: cargo build --release --workspace --bins")
        usage = subprocess.run([self.worker, "verify", "--help"], capture_output=True, text=True)
        self.flags = set(re.findall(r"--[a-z0-9-]+", usage.stdout))
        schema = subprocess.run([self.operator, "crds"], capture_output=True, text=True)
        self.compares = "compareTop1" in schema.stdout
        """Whether a Model may say that its outputs are no classes."""

    def run(self, cases, system, folder):
        """One run of local mode over many models: [(name, model, inputs, compare classes)] → {name: Answer}."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "objects.yaml"
        file.write_text("\n---\n".join(json.dumps(d) for d in documents(cases, system, self.compares)))
        command = [self.operator, "local", "-f", file, "--state", folder / "state", "--worker", self.worker]
        command += ["-o", "json", "-q"]
        if system == "Halo2Kzg":
            command.append("--allow-dev-srs")
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired as late:
            raise Crashed(f"no end within {SECONDS} s") from late
        if ran.returncode == 2:
            raise SystemExit(f"the operator does not take the objects: {ran.stderr[-800:]}")
        try:
            items = json.loads(ran.stdout)["items"]
        except (ValueError, KeyError) as error:
            raise Crashed(f"exit {ran.returncode}: {ran.stderr[-800:]}") from error
        if ran.returncode not in (0, 1):
            raise Crashed(f"exit {ran.returncode}: {ran.stderr[-800:]}")
        by = {(i["kind"], i["metadata"]["name"]): i for i in items}
        return {
            name: answer(by[("InferenceRequest", name)], by[("Model", name)])
            for name, *_ in cases
        }

    def verify(self, receipt, model, inputs, scale, system, compare):
        """`prover-worker verify` at its deepest: (exit code, what it said)."""
        folder = Path(receipt).parent
        stem = Path(receipt).stem
        model_file, input_file = folder / f"{stem}.onnx", folder / f"{stem}.json"
        model_file.write_bytes(model)
        named = {n: numbers(v) for n, v in inputs.items()}
        input_file.write_text(json.dumps(named if len(named) > 1 else next(iter(named.values()))))
        command = [self.worker, "verify", receipt, "--model", model_file, "--input", input_file]
        if "--output-scale" in self.flags:
            command += ["--output-scale", ",".join(repr(float(s)) for s in scale)]
        if "--no-top1" in self.flags and not compare:
            command.append("--no-top1")
        if system == "Halo2Kzg":
            command.append("--allow-dev-srs")
        values_file = folder / f"{stem}.npz"
        command += ["--values", values_file]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        if ran.returncode == 0 and not same(np.load(values_file), outputs_of(Path(receipt).read_bytes())):
            return 1, f"{values_file} has other values than the receipt"
        return ran.returncode, ran.stdout + ran.stderr


def same(got, expected):
    """Whether two sets of named arrays are the same, shapes and all."""
    return set(got) == set(expected) and all(np.array_equal(got[n], v) and got[n].shape == v.shape for n, v in expected.items())


def numbers(values):
    """As nested lists; yes and no are 1 and 0."""
    return np.asarray(values * 1).tolist()


def documents(cases, system, compares):
    """The objects of a run."""
    for pool in ("alpha", "beta"):
        spec = {"image": "prover-worker", "allowUnpinnedImage": True, "resources": {"cpu": "1", "memory": "2Gi"}}
        yield {"apiVersion": API, "kind": "MinerPool", "metadata": {"name": pool}, "spec": spec}
    for name, model, inputs, compare in cases:
        meta = {"name": name}
        binary = {"model.onnx": base64.b64encode(model).decode()}
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": binary}
        quantization = {"errorBudgetMillionths": BUDGET_MILLIONTHS}
        if compares:
            quantization["compareTop1"] = compare
        source = {"configMap": {"name": name, "key": "model.onnx"}}
        spec = {"source": source, "quantization": quantization, "proofSystem": system}
        yield {"apiVersion": API, "kind": "Model", "metadata": meta, "spec": spec}
        inline = {
            n: {"shape": list(v.shape), "data": [float(x) for x in v.ravel()]} for n, v in inputs.items()
        }
        spec = {"modelRef": {"name": name}, "input": {"inline": inline}}
        yield {"apiVersion": API, "kind": "InferenceRequest", "metadata": meta, "spec": spec}


def answer(request, model):
    """A request's end, with its reason; a Model's reason where the request waits for it."""
    status = request.get("status") or {}
    phase = status.get("phase", "none")
    if phase == "Succeeded":
        receipt = status["receipt"]["path"]
        done = Answer(phase, receipt=receipt, outputs=outputs_of(Path(receipt).read_bytes()))
        done.scale = (model.get("status", {}).get("accuracy") or {}).get("outputScale")
        shown = status.get("output") or {}
        if shown.get("values") is not None and shown.get("name") in done.outputs:
            proved = done.outputs[shown["name"]].ravel()
            if len(proved) != len(shown["values"]) or not np.allclose(proved, shown["values"], rtol=1e-9, atol=0):
                return Answer(phase, "InternalError", "status shows other values than the receipt has")
        return done
    conditions = lambda o: {c["type"]: c for c in (o.get("status") or {}).get("conditions", [])}
    mine, its = conditions(request), conditions(model)
    for condition in (mine.get("Failed"), its.get("Compiled"), its.get("Ready"), mine.get("Ready")):
        bad = condition and (condition["status"] == "False" or condition["type"] == "Failed")
        if bad and condition.get("reason") not in (None, "NotFailed", "ModelNotReady", "ModelFailed", "Pending"):
            return Answer(phase, condition["reason"], condition.get("message", ""))
    return Answer(phase, "NoReason", json.dumps([status, model.get("status")])[:2000])


def outputs_of(receipt):
    """{name: values as floats} of a receipt's outputs, in the shapes that its manifest states."""
    decoded = cbor.decode(receipt)
    about = {t["id"]: t["info"] for t in decoded["manifest"]["boundary"]}
    found = {}
    for output in decoded["output"]:
        info, values = about[output["id"]], output["values"]
        integers = np.frombuffer(values, dtype="<i8") if isinstance(values, bytes) else np.asarray(values)
        found[info["name"]] = (integers * 2.0 ** -info["exponent"]).reshape(info["shape"])
    return found

"""ezkl as PyPI has it: in an environment of its own, each stage a process, the proof three times."""

import json
import os
import statistics
import subprocess
from pathlib import Path

import numpy as np

from . import machine

STAGE = Path(__file__).with_name("ezkl_stage.py")
PROOFS = 3
SECONDS = 3600


class Ezkl:
    """The interpreter whose environment has ezkl."""

    def __init__(self, python, cache):
        self.python, self.srs = python, cache / "srs"
        self.srs.mkdir(parents=True, exist_ok=True)

    def rows(self, folder):
        """What `gen_settings` counts."""
        return self._stage("count", folder)["rows"]

    def measure(self, folder, input, expected, bench):
        """A row of results.json but for the shape; `folder` has model.onnx."""
        (folder / "ezkl.json").write_text(json.dumps({"input_data": [input.ravel().tolist()]}))
        made = self._stage("compile", folder)
        self._make_srs(made["logrows"])
        before = machine.reference(bench)
        setup = self._stage("setup", folder)
        proofs = [self._stage("prove", folder) for _ in range(PROOFS)]
        verify = self._stage("verify", folder)
        reference = (before + machine.reference(bench)) / 2
        error = max(float(np.abs(np.array(o) - e.ravel()).max()) for o, e in zip(made["outputs"], expected))
        middle = lambda key: statistics.median(p[key] for p in proofs)
        return {
            "system": "ezkl",
            "origin": "measured",
            "prove_cpu_raw_s": middle("cpu_s"),
            "prove_wall_s": middle("wall_s"),
            "reference_s": reference,
            "keygen_cpu_s": setup["cpu_s"],
            "compile_cpu_s": made["cpu_s"],
            "peak_rss_mb": max(p["rss_mb"] for p in proofs),
            "proof_bytes": proofs[0]["proof_bytes"],
            "verify_ms": 1e3 * verify["wall_s"],
            "max_abs_err": error,
            "slices": 1,
            "ezkl_rows": made["rows"],
            "ezkl_logrows": made["logrows"],
        }

    def answers(self, folder, inputs):
        """What its integers answer to each of these; `folder` has model.onnx, and ezkl.json to calibrate with."""
        self._stage("compile", folder)
        (folder / "asked.json").write_text(json.dumps([x.ravel().tolist() for x in inputs]))
        return self._stage("answer", folder)["answers"]

    def _make_srs(self, logrows):
        path = self.srs / f"kzg{logrows}.srs"
        if not path.exists():
            code = "import ezkl, sys; ezkl.gen_srs(sys.argv[1], int(sys.argv[2]))"
            partly = path.with_suffix(".part")
            subprocess.run([self.python, "-c", code, partly, str(logrows)], check=True, timeout=SECONDS)
            partly.rename(path)

    def _stage(self, stage, folder):
        ran = subprocess.run(
            [self.python, STAGE, stage, folder],
            capture_output=True, text=True, timeout=SECONDS, env=os.environ | {"BENCH_SRS": str(self.srs)},
        )
        if ran.returncode != 0:
            raise machine.NotMeasured(f"ezkl {stage}: exit {ran.returncode}: {ran.stderr.strip()[-300:]}")
        return json.loads(ran.stdout.strip().splitlines()[-1])

"""One stage of ezkl in a process of its own, which prints what it used: `python ezkl_stage.py STAGE FOLDER`.

Defaults throughout, as its documentation's first example has them: public input and output, fixed weights, KZG, calibrated
for resources.
"""

import json
import os
import resource
import sys
import time

import ezkl

SAFETY_MARGIN = 2.0


def arguments():
    run = ezkl.PyRunArgs()
    run.input_visibility, run.output_visibility, run.param_visibility = "public", "public", "fixed"
    return run


def main():
    stage, folder = sys.argv[1:]
    os.chdir(folder)
    began = time.monotonic()
    said = {}
    if stage in ("count", "compile"):
        ezkl.gen_settings("model.onnx", "settings.json", py_run_args=arguments())
        said["rows"] = settings()["num_rows"]
    if stage == "compile":
        ezkl.calibrate_settings("ezkl.json", "model.onnx", "settings.json", "resources", SAFETY_MARGIN, None, [1, 10], 21)
        said["logrows"] = settings()["run_args"]["logrows"]
        ezkl.compile_circuit("model.onnx", "compiled", "settings.json")
        ezkl.gen_witness("ezkl.json", "compiled", "witness.json")
        witness = json.load(open("witness.json"))
        said["outputs"] = [[float(v) for v in o] for o in witness["pretty_elements"]["rescaled_outputs"]]
    elif stage == "answer":
        said["answers"] = []
        for asked in json.load(open("asked.json")):
            json.dump({"input_data": [asked]}, open("one.json", "w"))
            ezkl.gen_witness("one.json", "compiled", "one-witness.json")
            outputs = json.load(open("one-witness.json"))["pretty_elements"]["rescaled_outputs"]
            said["answers"].append([[float(v) for v in o] for o in outputs])
    elif stage == "setup":
        ezkl.setup("compiled", "vk", "pk", srs(), None, False)
    elif stage == "prove":
        ezkl.prove("witness.json", "compiled", "pk", "proof.json", srs())
        proof = json.load(open("proof.json"))["proof"]
        said["proof_bytes"] = (len(proof) - 2) // 2 if isinstance(proof, str) else len(proof)
    elif stage == "verify":
        if not ezkl.verify("proof.json", "settings.json", "vk", srs(), False):
            raise SystemExit("ezkl does not verify its own proof")
    used = resource.getrusage(resource.RUSAGE_SELF)
    said |= {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.monotonic() - began, "rss_mb": used.ru_maxrss / 1024}
    print(json.dumps(said))


def settings():
    return json.load(open("settings.json"))


def srs():
    """The setup of this size, made on this machine for measuring alone, once."""
    logrows = settings()["run_args"]["logrows"]
    path = os.path.join(os.environ["BENCH_SRS"], f"kzg{logrows}.srs")
    if not os.path.exists(path):
        raise SystemExit(f"{path} is missing")
    return path


if __name__ == "__main__":
    main()

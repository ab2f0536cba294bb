"""Which of ONNX's node tests count. `list.txt` decides: each test with its tier, its operator and a digest of its files,
and the list's own digest stands here, so that no run counts other tests than any other run.

The rules by which the list was made are below, too: `--make-list` makes it again.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import AttributeProto, TensorProto, numpy_helper

VERSION = "1.22.0"
HERE = Path(__file__).resolve().parent.parent
LIST = HERE / "list.txt"
LIST_SHA256 = "60ff4e7494650d962a5882b3b26a9a3dc12240144730a2006bb8c8819b672e6b"
DATA = Path(onnx.backend.test.__file__).parent / "data" / "node"

COUNTED = ("T1", "T2a")
"""Float in, float32 out; float in, integers or booleans out: 684 and 79 of them."""
EXPANDED = "expanded"
"""Bodies of functions written out, of tests that would be T1: 252, counted for themselves."""
NOT_CORE = set(
    "DFT STFT GridSample NonMaxSuppression RoiAlign DeformConv Det Col2Im AffineGrid Unique MaxUnpool TensorScatter "
    "LinearAttention CausalConvWithState Compress MelWeightMatrix".split()
)
"""Operators that inference seldom has: what is left is the core."""

RANDOM = set("Bernoulli RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial".split())
CONTROL = set("Loop Scan If SequenceMap".split())
LOSSES = set("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss".split())
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
NARROW = {
    number
    for name, number in TensorProto.DataType.items()
    if name.startswith("FLOAT8") or name in ("INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1")
}


@dataclass(frozen=True)
class Test:
    """A line of the list."""

    name: str
    tier: str
    op: str
    digest: str

    @property
    def folder(self):
        return DATA / self.name


def tests():
    """All tests of the list.

    Raises SystemExit where the list or the package is another one.
    """
    if onnx.__version__ != VERSION:
        raise SystemExit(f"the tests are those of onnx {VERSION}, this is {onnx.__version__}")
    text = LIST.read_bytes()
    found = hashlib.sha256(text).hexdigest()
    if found != LIST_SHA256:
        raise SystemExit(f"{LIST.name} is not the list that was committed: SHA-256 {found}")
    lines = (line.split() for line in text.decode().splitlines())
    return [Test(*fields) for fields in lines]


def make_list():
    """Writes the list by the rules, and says its digest."""
    lines = []
    for folder in sorted(DATA.iterdir()):
        tier = _tier(folder)
        if folder.name.endswith("_expanded") or "_expanded_" in folder.name:
            tier = EXPANDED if tier == "T1" else None
        if tier in (*COUNTED, EXPANDED):
            nodes = onnx.load(folder / "model.onnx").graph.node
            op = nodes[0].op_type if len(nodes) == 1 else "-"
            lines.append(f"{folder.name} {tier} {op} {digest(folder)}\n")
    text = "".join(lines)
    LIST.write_text(text)
    print(f"{len(lines)} tests, SHA-256 {hashlib.sha256(text.encode()).hexdigest()}")


def files(folder):
    """Model and data of a test, in the order of their names."""
    return [folder / "model.onnx", *sorted((folder / "test_data_set_0").iterdir())]


def digest(folder):
    """One digest of all a test's files."""
    whole = hashlib.sha256()
    for file in files(folder):
        whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def data(folder, kind, count):
    """Tensors of a test: kind is input or output. None where the file is missing or has no tensor."""
    tensors = []
    for i in range(count):
        file = folder / "test_data_set_0" / f"{kind}_{i}.pb"
        tensor = None
        if file.is_file():
            tensor = TensorProto()
            tensor.ParseFromString(file.read_bytes())
        tensors.append(tensor)
    return tensors


def _tier(folder):
    """The tier of a test, or None where it does not count; the first rule that matches decides."""
    graph = onnx.load(folder / "model.onnx").graph
    nodes = list(_nodes(graph))
    ops = {n.op_type for n in nodes}
    if any(n.domain not in ("", "ai.onnx") for n in nodes) or ops & RANDOM or ops & CONTROL:
        return None
    ports = [*graph.input, *graph.output]
    if any(p.type.WhichOneof("value") != "tensor_type" for p in ports):
        return None
    if any(p.type.tensor_type.elem_type == TensorProto.STRING for p in ports):
        return None
    inputs = [t for t in data(folder, "input", len(graph.input)) if t is not None]
    outputs = data(folder, "output", len(graph.output))
    # The second input of CastLike gives a type alone.
    asked = inputs[:1] if "CastLike" in ops else inputs
    if any(0 in t.dims for t in [*outputs, *(i for i in asked if i.data_type in FLOATS)]):
        return None
    tensors = [*inputs, *outputs]
    if any(t.data_type in NARROW for t in tensors):
        return None
    floats = [numpy_helper.to_array(t).astype(np.float64) for t in tensors if t.data_type in FLOATS]
    if not all(np.isfinite(f).all() for f in floats) or "train" in folder.name or ops & LOSSES:
        return None
    if folder.name.startswith(("test_nllloss", "test_sce")):
        return None
    if not any(t.data_type in FLOATS for t in inputs):
        return None
    if any(t.data_type in FLOATS - {TensorProto.FLOAT} for t in tensors):
        return None
    return "T1" if any(t.data_type == TensorProto.FLOAT for t in outputs) else "T2a"


def _nodes(graph):
    """All nodes, also those inside attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
            for inner in attribute.graphs:
                yield from _nodes(inner)

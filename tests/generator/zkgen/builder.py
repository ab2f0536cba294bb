"""A graph under construction.

Invariant: every tensor that `node` returns depends on an input of the graph, and its shape and type are those that the ONNX
specification gives it. Values stay near 1 in size: weights are scaled by the number of terms that they meet.
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSETS = tuple(range(9, 25))
ML = "ai.onnx.ml"
MICROSOFT = "com.microsoft"
MAX_LEN = 600
"""Most values of a tensor that a graph makes: many small graphs find more than a few large ones."""


KINDS = {
    "float": TensorProto.FLOAT, "bool": TensorProto.BOOL, "int64": TensorProto.INT64, "int32": TensorProto.INT32,
    "uint8": TensorProto.UINT8, "int8": TensorProto.INT8,
}
"""Types of tensors that a form may read, by name. A tensor of another type is read by the node that its form adds behind it."""
ANY = tuple(KINDS)
WHOLE = ("int64", "int32")
BYTES = ("uint8", "int8")
"""Types of inputs alone."""


def within(node):
    """The node, and those of its branches."""
    inner = [n for a in node.attribute for n in a.g.node]
    return [node, *(m for n in inner for m in within(n))]


def reads(node):
    """The names that a node reads, those in its branches included."""
    return [name for n in within(node) for name in n.input]


class Unfit(Exception):
    """What was asked for cannot be built on this tensor; another seed may do."""


@dataclass(frozen=True)
class Tensor:
    """A tensor that depends on an input."""

    name: str
    shape: tuple
    maker: str
    kind: str = "float"
    most: int = 0
    """Of whole numbers from 0 up: the greatest that it may hold; 0 where nothing is said."""

    @property
    def rank(self):
        return len(self.shape)

    @property
    def len(self):
        return math.prod(self.shape)


class Builder:
    """Collects nodes and constants."""

    def __init__(self, rng, opset):
        self.rng = rng
        self.opset = opset
        self.nodes = []
        self.initializers = []
        self.inputs = []
        self.all = []
        self.ml = None
        """The version of the domain ai.onnx.ml, where a node is of it."""
        self.outputs = []
        self.constant_shapes = {}  # of constants that nodes compute
        self._names = 0

    def name(self, stem):
        self._names += 1
        return f"{stem}{self._names}"

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, of):
        return self.rng.choice(list(of))

    def normal(self, shape, scale=1.0):
        """Float32 values around 0."""
        seed = self.rng.getrandbits(32)
        return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)

    def between(self, shape, low, high, signs=False):
        """Float32 values of that magnitude: never near 0."""
        draw = np.random.default_rng(self.rng.getrandbits(32))
        values = draw.uniform(low, high, shape)
        if signs:
            values = values * draw.choice([-1.0, 1.0], shape)
        return np.asarray(values, dtype=np.float32)

    def input(self, shape, kind="float", most=0):
        name = self.name("x")
        tensor = Tensor(name, tuple(shape), "Input", kind, most)
        self.inputs.append(tensor)
        self.all.append(tensor)
        return tensor

    @property
    def tensors(self):
        """Those of floats."""
        return [t for t in self.all if t.kind == "float"]

    def hide(self, tensor):
        """Nothing else will read it."""
        self.all.remove(tensor)

    def of_ml(self, *versions):
        """Sets the version of the domain ai.onnx.ml to one of these, or keeps the one that there is."""
        if self.ml is None:
            self.ml = self.pick(versions)
        if self.ml not in versions:
            raise Unfit("the version of ai.onnx.ml")

    def constant(self, values, stem="c"):
        """The name of a constant: an initializer, a Constant node, or a node that computes it from constants."""
        values = np.asarray(values)
        if values.dtype == np.float32 and self.chance(0.08):
            return self._computed_constant(values)
        name = self.name(stem)
        if self.chance(0.25):
            value = numpy_helper.from_array(values, name)
            self.nodes.append(helper.make_node("Constant", [], [name], name=name, value=value))
        else:
            self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def _computed_constant(self, values):
        """The same values by an operator that the importer folds; every step is exact."""
        how = self.rng.choice(["Identity", "Neg", "Cast", "Sub", "Div", "Reshape", "Transpose", "Concat", "Gather", "Where"])
        if values.ndim == 0 and how in ("Transpose", "Concat", "Gather"):
            how = "Neg"
        attributes = {}
        if how == "Neg":
            sources = [-values]
        elif how == "Cast":
            sources, attributes = [values.astype(np.float64)], {"to": 1}
        elif how == "Sub":
            sources = [values, np.zeros(values.shape[-1:], np.float32)]
        elif how == "Div":
            sources = [values * 4, np.float32(4)]
        elif how == "Reshape":
            sources = [values.ravel(), np.asarray(values.shape, dtype=np.int64)]
        elif how == "Transpose":
            sources = [np.ascontiguousarray(values.T)]
        elif how == "Gather":
            order = np.random.default_rng(self.rng.getrandbits(32)).permutation(values.shape[0])
            sources, attributes = [values[np.argsort(order)], order.astype(np.int64)], {"axis": 0}
        elif how == "Where":
            draw = np.random.default_rng(self.rng.getrandbits(32))
            first, other = draw.random(values.shape) < 0.5, draw.standard_normal(values.shape).astype(np.float32)
            sources = [first, np.where(first, values, other), np.where(first, other, values)]
        elif how == "Concat":
            at = self.rng.randint(0, values.shape[0])
            sources, attributes = [p for p in (values[:at], values[at:]) if len(p)] or [values], {"axis": 0}
        else:
            sources = [values]
        names = []
        for source in sources:
            names.append(self.name("c"))
            self.initializers.append(numpy_helper.from_array(np.asarray(source), names[-1]))
        name = self.name("folded")
        self.nodes.append(helper.make_node(how, names, [name], name=f"{how}_{name}", **attributes))
        self.constant_shapes[name] = values.shape
        return name

    def ints(self, values, stem="i"):
        return self.constant(np.asarray(values, dtype=np.int64), stem)

    def node(self, op, inputs, shape, kind="float", most=0, **attributes):
        """Adds a node with one output, or with one per shape where `shape` is a list, and then of these kinds."""
        shapes = shape if isinstance(shape, list) else [shape]
        for one in shapes:
            if any(d < 1 for d in one) or math.prod(one) > MAX_LEN or len(one) > 5:
                raise Unfit(f"{op} makes {one}")
        names = [i.name if isinstance(i, Tensor) else i for i in inputs]
        while names and names[-1] == "":
            names.pop()
        outputs = [self.name(op.lower()) for _ in shapes]
        self.nodes.append(helper.make_node(op, names, outputs, name=f"{op}_{outputs[0]}", **attributes))
        kinds = kind if isinstance(kind, list) else [kind] * len(shapes)
        made = [Tensor(n, tuple(s), op, k, most) for n, s, k in zip(outputs, shapes, kinds)]
        self.all.extend(made)
        return made if isinstance(shape, list) else made[0]

    def moved(self, op, inputs, shape, **attributes):
        """A node that puts its first input's values elsewhere: they stay what they are."""
        first = inputs[0]
        return self.node(op, inputs, shape, kind=first.kind, most=first.most, **attributes)

    def axis(self, axis, rank, since=11):
        """The axis, counted from the end in half of the cases where the operator set allows it."""
        return axis - rank if self.opset >= since and self.chance(0.5) else axis

    def mark(self):
        """What there is, for `undo`."""
        return len(self.nodes), len(self.initializers), len(self.inputs), len(self.all), self._names, self.ml

    def undo(self, mark):
        """Takes back all that was added since."""
        nodes, initializers, inputs, tensors, self._names, self.ml = mark
        del self.nodes[nodes:], self.initializers[initializers:], self.inputs[inputs:], self.all[tensors:]

    def needed(self):
        """The tensors that an output needs."""
        needed, _ = self._live()
        return {t for t in self.all if t.name in needed}

    def _live(self):
        needed, kept = {t.name for t in self.outputs}, []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed.update(reads(node))
                kept.append(node)
        kept.reverse()
        return needed, kept

    def model(self):
        """The file, without what no output needs."""
        needed, kept = self._live()
        inputs = [
            helper.make_tensor_value_info(t.name, KINDS[t.kind], t.shape) for t in self.inputs if t.name in needed
        ]
        outputs = [helper.make_tensor_value_info(t.name, KINDS[t.kind], t.shape) for t in self.outputs]
        constants = [t for t in self.initializers if t.name in needed]
        graph = helper.make_graph(kept, "generated", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", self.opset)]
        if any(n.domain == ML for n in kept):
            opsets.append(helper.make_opsetid(ML, self.ml))
        if any(n.domain == MICROSOFT for n in kept):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        ir = 8 if self.opset < 19 else 10
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir, producer_name="zkinfer generator")

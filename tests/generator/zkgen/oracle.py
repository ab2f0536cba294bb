"""What a graph answers, by a program that is not ours: onnxruntime with its optimisations off.

Where onnxruntime is known to depart from the specification it is asked the same question in other words; each such
departure has a name here, and a run counts the graphs that have one.
"""

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from .builder import reads, within

onnxruntime.set_default_logger_severity(4)


def attributes_of(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _same(node):
    """The name of the departure of a window with auto_pad SAME, or None.

    The specification: the output has ceil(size / stride) places, whatever kernel and dilation, and padding makes up
    for what is missing. onnxruntime 1.32 forgets the dilation (pools) or refuses it (Conv). Where the stride of a pool is
    so much longer than its kernel that the padding would be negative, it refuses the pool, or crops the image (LpPool).
    ONNX's reference evaluator forgets the dilation, too.
    """
    attributes = attributes_of(node)
    if node.op_type not in ("Conv", "MaxPool", "AveragePool", "LpPool"):
        return None
    if not attributes.get("auto_pad", b"").startswith(b"SAME"):
        return None
    if max(attributes.get("dilations", [1])) > 1:
        return f"{node.op_type}: auto_pad SAME with dilation"
    if node.op_type != "Conv" and max(attributes.get("strides", [1])) > min(attributes["kernel_shape"]):
        return f"{node.op_type}: auto_pad SAME with a stride longer than the kernel"
    return None


def _base(node):
    """The name of the departure of base values, or None.

    The specification: they are added to each target's sum. onnxruntime 1.32 answers 0 for a target that no leaf of a row votes
    for, where there are several targets. ONNX's reference evaluator adds them.
    """
    attributes = attributes_of(node)
    several = node.op_type == "TreeEnsembleRegressor" and attributes.get("n_targets", 1) > 1
    return "TreeEnsembleRegressor: base values of a target without a vote" if several and "base_values" in attributes else None


def _constant_group(node):
    """The name of the departure of groups of equal numbers, or None.

    The specification, as a function: (x - mean) / (deviation + 1e-9), so 0 for all of such a group. onnxruntime 1.32 divides by
    the deviation alone and answers 0 / 0. ONNX's reference evaluator answers 0.
    """
    return "MeanVarianceNormalization: a group of equal numbers" if node.op_type == "MeanVarianceNormalization" else None


def in_other_words(model):
    """(the model with each departing node said in other words, names of the departures). Node by node, from the first."""
    words = [(_same, _write_out), (_base, _add_behind), (_constant_group, _by_its_function)]
    of = lambda node: next(((name, write) for find, write in words if (name := find(node))), None)
    names = sorted({found[0] for found in map(of, model.graph.node) if found})
    seen = _casts_that_branches_read(model)
    if not names and not seen:
        return model, names
    model = _copy(model)
    if seen:
        names = sorted([*names, "Cast: there and back, and read in a branch"])
        _kept_for_branches(model, seen)
    while True:
        node, found = next(((n, found) for n in model.graph.node if (found := of(n))), (None, None))
        if found is None:
            return model, names
        found[1](model, node)


def _casts_that_branches_read(model):
    """Casts of casts whose output a branch reads: onnxruntime takes both for nothing, and the branch then misses its input."""
    casts = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Cast"}
    back = {made for made, source in casts.items() if source in casts}
    return back & {name for node in model.graph.node for inner in within(node)[1:] for name in inner.input}


def _kept_for_branches(model, seen):
    """Branches read a copy, which stands outside."""
    for node in list(model.graph.node):
        for inner in within(node)[1:]:
            for at, name in enumerate(inner.input):
                if name in seen:
                    inner.input[at] = f"{name}_seen"
        if node.output[0] in seen:
            copy = helper.make_node("Identity", [node.output[0]], [f"{node.output[0]}_seen"])
            model.graph.node.insert(list(model.graph.node).index(node) + 1, copy)


def _by_its_function(model, node):
    """x less its mean, d, and then d / (root of the mean of d² + 1e-9)."""
    x, made = node.input[0], node.output[0]
    axes = list(attributes_of(node).get("axes", [0, 2, 3]))
    opset = next(o.version for o in model.opset_import if o.domain == "")
    name = lambda part: f"{made}_{part}"
    constant = lambda part, array: model.graph.initializer.append(numpy_helper.from_array(array, name(part)))
    constant("least", np.asarray(1e-9, np.float32))
    constant("axes", np.asarray(axes, np.int64))

    def mean(of, to):
        if opset >= 18:
            return helper.make_node("ReduceMean", [of, name("axes")], [name(to)], keepdims=1)
        return helper.make_node("ReduceMean", [of], [name(to)], axes=axes, keepdims=1)

    nodes = [
        mean(x, "mean"),
        helper.make_node("Sub", [x, name("mean")], [name("d")]),
        helper.make_node("Mul", [name("d"), name("d")], [name("squares")]),
        mean(name("squares"), "variance"),
        helper.make_node("Sqrt", [name("variance")], [name("deviation")]),
        helper.make_node("Add", [name("deviation"), name("least")], [name("divisor")]),
        helper.make_node("Div", [name("d"), name("divisor")], [made]),
    ]
    at = list(model.graph.node).index(node)
    del model.graph.node[at]
    for more, one in enumerate(nodes):
        model.graph.node.insert(at + more, one)


def _add_behind(model, node):
    base = attributes_of(node)["base_values"]
    for attribute in [a for a in node.attribute if a.name == "base_values"]:
        node.attribute.remove(attribute)
    made = node.output[0]
    node.output[0], constant = f"{made}_bare", f"{made}_base"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(base, np.float32), constant))
    add = helper.make_node("Add", [node.output[0], constant], [made], name=f"Add_{made}")
    model.graph.node.insert(list(model.graph.node).index(node) + 1, add)


def _copy(model):
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _write_out(model, node):
    sizes = _shape(model, node, node.input[0])[2:]
    attributes = attributes_of(node)
    kernel = attributes.get("kernel_shape")
    if kernel is None:
        kernel = _shape(model, node, node.input[1])[2:]
    n = len(kernel)
    strides, dilations = attributes.get("strides", [1] * n), attributes.get("dilations", [1] * n)
    pads = [0] * 2 * n
    for i in range(n):
        out = -(-sizes[i] // strides[i])
        total = max(0, (out - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - sizes[i])
        less, more = total // 2, total - total // 2
        pads[i], pads[n + i] = (less, more) if attributes["auto_pad"] == b"SAME_UPPER" else (more, less)
    for attribute in [a for a in node.attribute if a.name in ("auto_pad", "pads")]:
        node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute("pads", pads))


def _shape(model, node, name):
    """The shape of a tensor that stands before a node: everything before it is evaluated on zeros."""
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    shapes |= {t.name: list(t.dims) for t in model.graph.initializer}
    if name in shapes:
        return shapes[name]
    before = _copy(model)
    del before.graph.node[list(model.graph.node).index(node) :]
    del before.graph.output[:]
    before.graph.output.append(helper.make_empty_tensor_value_info(name))
    kind = lambda i: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)
    zeros = {i.name: np.zeros(shapes[i.name], dtype=kind(i)) for i in model.graph.input}
    return list(_session(before).run(None, zeros)[0].shape)


def _session(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class NoNumber(Exception):
    """Something on the way is no number."""


class Oracle:
    """One model's answers."""

    def __init__(self, model):
        self.asked, self.departures = in_other_words(model)
        self.names = [o.name for o in model.graph.output]
        self._session = _session(self.asked)

    def answer(self, inputs):
        """Raises NoNumber where a node will not read what is no number."""
        try:
            return self._session.run(None, inputs)
        except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
            if "is NaN" in str(error):
                raise NoNumber(str(error)) from error
            raise

    def second_opinion(self, inputs):
        """ONNX's reference evaluator on the same question."""
        return [np.asarray(y) for y in ReferenceEvaluator(self.asked).run(None, inputs)]


def all_values(model, inputs):
    """Every float tensor of a graph that depends on an input, by name: for cutting a graph into pieces."""
    whole = _copy(model)
    have = {o.name for o in whole.graph.output}
    computed, from_shape = set(inputs), set()
    for node in model.graph.node:
        if node.op_type == "Shape" or any(i in from_shape for i in node.input[:1]):
            from_shape.update(node.output)
        elif any(i in computed for i in reads(node)):
            computed.update(node.output)
            for name in node.output:
                if name and name not in have:
                    whole.graph.output.append(helper.make_empty_tensor_value_info(name))
    oracle = Oracle(whole)
    return dict(zip(oracle.names, oracle.answer(inputs)))


EXACT = {
    "Abs", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Clip", "Floor", "Max", "MaxPool", "Min", "Neg", "OneHot", "OneHotEncoder",
    "ReduceMax", "ReduceMin", "Relu", "Round", "Sign", "TopK", "Where",
}
"""Operators beside those of moves whose values are exact: nothing is rounded there, so that a tie of theirs is one."""
DIVIDES = {
    "Div", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization", "MeanVarianceNormalization",
    "Normalizer", "RMSNormalization", "Reciprocal",
}
"""Operators that divide by what may be nothing but rounding: the spread of numbers that are alike."""
BETWEEN = {"GridSample", "Resize", "Upsample"}
"""Operators of moves that may make numbers between others."""
SHAKE = 1e-6
"""What single precision may be off by, as a part of a value."""


def shaken(model, inputs, arithmetic, seed):
    """What a graph answers where each value that is rounded is off by that much. Inputs beside the given ones do not show what a
    whole number on the way keeps from changing: two numbers that are one by the specification, and that onnxruntime computes in
    lanes and one by one, or the spread of such numbers, by which a normalisation divides."""
    divided = {node.input[0] for node in model.graph.node if node.op_type in DIVIDES}
    rounds = lambda node: node.op_type in BETWEEN or node.op_type in arithmetic and node.op_type not in EXACT
    values = all_values(model, inputs)
    noise = np.random.default_rng(seed)
    whole = _copy(model)
    nodes = []
    for node in whole.graph.node:
        nodes.append(node)
        for at, name in enumerate(node.output):
            y = values.get(name)
            if not (rounds(node) or name in divided) or y is None or y.dtype != np.float32 or y.size == 0:
                continue
            moved = (1 + SHAKE * noise.uniform(-1, 1, y.shape)).astype(np.float32)
            whole.graph.initializer.append(numpy_helper.from_array(moved, f"{name}_shake"))
            # Whatever reads it, a graph in a node among them, reads the value that is off.
            node.output[at] = f"{name}_still"
            nodes.append(helper.make_node("Mul", [node.output[at], f"{name}_shake"], [name], name=f"Shake_{name}"))
    del whole.graph.node[:]
    whole.graph.node.extend(nodes)
    return Oracle(whole).answer(inputs)

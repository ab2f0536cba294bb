"""A graph from its id alone.

An id is `SEED/TARGET`: the target is `any`, `pair PRODUCER > CONSUMER`, `path ATTEMPT > FORM > FORM …`, a `tree` likewise, or
`cell OPERATOR|SIDE|KIND|RANK`.
"""

import random

import numpy as np
from onnx import helper

from .builder import ANY, OPSETS, Builder, Unfit, reads
from .elementwise import CELLS, with_constant
from .moves import factors, reshape_to
from .paths import Path
from .registry import FORMS, emit, op_of
from .targets import known_refused, of_rank, shapes_to_try
from .whole import COMPARISONS, LOGIC, brought, embedding, given

TRIES = 1000
NEAR = 8
"""Inputs beside a graph's own."""
ARITHMETIC = {
    "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Neg", "Relu", "Clip", "BatchNormalization", "Conv", "Gemm",
    "MatMul", "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMax", "ReduceMean", "ReduceSum",
    "Sigmoid", "Tanh", "Erf", "Exp", "LeakyRelu", "HardSwish", "Gelu", "Elu", "HardSigmoid", "Softsign",
    "Abs", "Celu", "Cos", "Log", "Mish", "Reciprocal", "Selu", "Sin", "Softplus", "Sqrt", "ConvTranspose", "CumSum", "Mean",
    "PRelu", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "LpPool", "GlobalLpPool",
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan", "Shrink", "Pow", "Softmax", "LogSoftmax",
    "LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization",
    "LpNormalization", "LRN", "RNN", "GRU", "LSTM", "Col2Im", "Ceil", "Floor", "Round", "Sign", "Swish", "ThresholdedRelu",
    "Einsum", "Attention", "AffineGrid", "Not", "ArgMax", "ArgMin", "Scaler", "Normalizer", "Binarizer", "LinearRegressor",
    "LinearClassifier", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "SVMClassifier", "SVMRegressor",
    *COMPARISONS, *LOGIC,
}


def make(identity):
    """The model, or None where nothing of the kind exists."""
    seed, target = identity.split("/", 1)
    if target.startswith(("path ", "tree ")):
        try:
            return _finished(Path.named(seed, target).done())
        except Unfit:
            return None
    for attempt in range(TRIES):
        rng = random.Random(f"{seed}/{target}/{attempt}")
        try:
            return _build(rng, target)
        except Unfit:
            continue
    return None


def _build(rng, target):
    kind, _, rest = target.partition(" ")
    b = Builder(rng, rng.choice(_opsets(rest.split(" > ")) if kind == "pair" else OPSETS))
    if kind == "pair":
        producer, consumer = rest.split(" > ")
        _pair(b, producer, consumer)
        refused = known_refused((producer, consumer))
    elif kind == "cell":
        op, side, name, rank = rest.split("|")
        x = brought(b, _prefix(b, int(rank)), (CELLS[op].of,))
        if x.rank != int(rank):
            raise Unfit("another rank")
        b.last = with_constant(b, op, side, x, name)
        refused = known_refused((None, f"{op}({side})"))
    else:
        b.last = _prefix(b, None)
        refused = False
    aim = b.last if kind != "any" else None
    ends = kind == "pair" and consumer == "Output"
    if not ends and not refused:
        for _ in range(rng.choice([0, 1, 1, 2, 2, 3] if kind != "any" else [1, 2, 3, 4, 5])):
            b.last = _step(b)
    return _finished(b, aim, refused)


def _opsets(pair):
    """Versions of ONNX that a producer and a consumer may both be made in."""
    producer, consumer = ([FORMS[f].opsets for f in FORMS if op_of(f) == pair[0]], FORMS.get(pair[1]))
    ends = [consumer.opsets] if consumer else []
    ends.append((min(o[0] for o in producer), max(o[1] for o in producer)) if producer else (OPSETS[0], OPSETS[-1]))
    return [o for o in OPSETS if all(first <= o <= last for first, last in ends)] or list(OPSETS)


def _finished(b, aim=None, refused=False):
    """The model, with outputs. Raises Unfit for one that is not worth a proof."""
    if not b.outputs:
        _outputs(b)
    if aim is not None and aim not in b.needed():
        # The steps after the target went another way.
        if len(b.outputs) > 1 or b.chance(0.5):
            raise Unfit("the target is not in the graph")
        b.outputs.append(aim)
    model = b.model()
    if not model.graph.input or not (refused or computes(model.graph.node)):
        raise Unfit("it only moves values")
    return model, b


def computes(nodes):
    """Whether some node does more than move values."""
    of_one = lambda node: node.op_type in ("Sum", "Max", "Min") and len(node.input) == 1
    return any(node.op_type in ARITHMETIC and not of_one(node) for node in nodes)


def _pair(b, producer, consumer):
    if producer == "Input":
        x = b.input(_fitting(b, consumer))
    else:
        forms = [f for f in FORMS if op_of(f) == producer and f != "Max(x)"]
        plain = [f for f in forms if not FORMS[f].refused]
        form = b.pick(plain or forms)
        x = emit(b, form, _prefix(b, None, FORMS[form]))
    if consumer == "Output":
        b.last = x
        return
    if not FORMS[consumer].fits(x):
        raise Unfit(consumer)
    b.last = emit(b, consumer, x)


def _fitting(b, consumer):
    for _ in range(50):
        shape = shapes_to_try(b.rng)
        if FORMS[consumer].fits(Builder(b.rng, b.opset).input(shape)):
            return shape
    raise Unfit(consumer)


def _prefix(b, rank, form=None):
    """An input and some steps; the last tensor has the rank, or fits the form."""
    shape = of_rank(b.rng, rank) if rank else shapes_to_try(b.rng)
    x = embedding(b, shape) if b.chance(0.08) else b.input(shape)
    if b.chance(0.15):
        b.input(x.shape if b.chance(0.7) else shapes_to_try(b.rng))
    if b.chance(0.1):
        b.last = x = given(b, x)
    b.last = x
    for _ in range(b.rng.choice([0, 0, 1, 1, 2])):
        b.last = _step(b)
    x = brought(b, b.last, form.of if form else ("float",))
    fits = form.fits if form else lambda x: True
    if rank and x.rank != rank:
        x = reshape_to(b, x, factors(b.rng, x.len, rank))
    if not fits(x):
        shape = factors(b.rng, x.len, b.rng.choice([2, 3, 4]))
        if b.chance(0.7):
            shape = (1, *factors(b.rng, x.len, b.rng.choice([2, 3])))
        x = reshape_to(b, x, shape)
    if not fits(x):
        raise Unfit("no tensor fits")
    return x


def _step(b):
    """One more node, on the last tensor or on an older one."""
    x = b.last if b.chance(0.8) else b.pick([t for t in b.all if t.kind in ANY][-6:])
    usable = [f for f in FORMS.values() if f.fits(x) and not f.refused]
    form = b.rng.choices(usable, [f.weight for f in usable])[0]
    return emit(b, form.name, x)


def _outputs(b):
    """The last tensor, sometimes as scores of classes, sometimes with a second output."""
    last = b.last
    b.outputs = [last]
    read = {i for n in b.nodes for i in reads(n)}
    made = [t for t in b.all if t.maker != "Input" and t.kind in ANY and t != last]
    loose = [t for t in made if t.name not in read]
    if loose and b.chance(0.4):
        b.outputs.append(b.pick(loose))
    elif made and b.chance(0.1):
        b.outputs.append(b.pick(made))
    if len(b.outputs) > 1 and b.chance(0.5):
        b.outputs.reverse()


def inputs_of(model, identity, what, count=None):
    """Standard-normal inputs: those that calibration makes up have this distribution too, and other values. Of whole numbers
    each of its type, or each place in the table behind it."""
    seed = abs(hash_of(f"{what}/{identity}"))
    draw = np.random.default_rng(seed)
    sizes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    types = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    sizes_of = {t.name: t.dims for t in model.graph.initializer}
    look_ups = [n for n in model.graph.node if n.op_type == "Gather" and n.input[0] in sizes_of]
    rows = {n.input[1]: sizes_of[n.input[0]][0] for n in look_ups}

    def values(name, shape):
        kind = types[name]
        if kind == np.float32:
            return draw.standard_normal(shape).astype(kind)
        if name in rows:
            return draw.integers(-rows[name], rows[name], shape).astype(kind)
        ends = (0, 1) if kind == np.bool_ else (np.iinfo(kind).min, np.iinfo(kind).max)
        return draw.integers(ends[0], ends[1] + 1, shape).astype(kind)

    one = lambda: {n: values(n, s) for n, s in sizes.items()}
    return one() if count is None else [one() for _ in range(count)]


def nearly(inputs, identity, by=1e-5):
    """Inputs that differ from these by up to that part of themselves: a little more than single precision does."""
    draw = np.random.default_rng(hash_of(f"near/{identity}"))
    moved = lambda v: (v * (1 + draw.uniform(-by, by, v.shape))).astype(v.dtype) if v.dtype == np.float32 else v
    return [{n: moved(v) for n, v in inputs.items()} for _ in range(NEAR)]


def hash_of(text):
    """The same in every process."""
    import hashlib

    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

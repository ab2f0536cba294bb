"""Comparisons, logic, places of extremes: tensors of yes and no, and of whole numbers, and what reads them.

Constants stand at values that computed ones can have exactly, such as 0 behind a Relu, or anywhere else: what lies within
rounding of a threshold is passed over (`doubt`).
"""

import numpy as np
from onnx import numpy_helper

from . import quantised
from .builder import BYTES, WHOLE, Unfit
from .elementwise import CELLS, FLOAT, KINDS, SIDES, WithConstant, broadcast, fit, of_any_kind
from .registry import FORMS, operator

COMPARISONS = {"Greater": 9, "Less": 9, "Equal": 11, "GreaterOrEqual": 12, "LessOrEqual": 12}
"""By name, the first operator set that has it for floats."""
LOGIC = ("And", "Or", "Xor")
TO = {"float": 1, "bool": 9, "int32": 6, "int64": 7}
MAKERS = (*COMPARISONS, *LOGIC, "Not", "ArgMax", "ArgMin", "LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier")
"""Operators whose first output is of yes and no, or of whole numbers."""
JUMPS = {
    *COMPARISONS, *quantised.JUMPS, "ArgMax", "ArgMin", "Binarizer", "Ceil", "Floor", "Hardmax", "LinearClassifier", "Mod", "Round", "Sign", "SVMClassifier",
    "ThresholdedRelu", "TopK", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor",
}
"""Operators whose values jump: near a threshold, or a tie, it is rounding that decides."""
OF_TWO = ("Gather(computed)", "Where(computed)")
"""Forms that have products of two computed tensors."""
TYPES = {"bool": np.bool_, "int32": np.int32, "int64": np.int64}


def _beside(b, op, side, x, kind):
    """The operator on a tensor and a constant of its type, of that kind of shape."""
    if b.opset < _since(op, x):
        raise Unfit("opset")
    shape = KINDS[kind](b, x.shape)
    both = broadcast(shape, x.shape)
    draw = np.random.default_rng(b.rng.getrandbits(32))
    if x.kind == "float":
        values = np.zeros(shape, np.float32) if b.chance(0.3) else b.normal(shape, 0.8)
    elif x.kind == "bool":
        values = draw.random(shape) < 0.5
    else:
        values = draw.integers(-1, max(3, x.most + 2), shape)
    c = b.constant(np.asarray(values, dtype=TYPES.get(x.kind, np.float32)))
    return b.node(op, [x, c] if side == "x,c" else [c, x], both, kind="bool")


def _since(op, x):
    """The first operator set that has it of that type: two numbers are the same since the first, if they are whole."""
    return 9 if op == "Equal" and x.kind != "float" else COMPARISONS.get(op, 9)


def _other(b, x):
    """Another tensor of the same type beside it, and the shape of both."""
    fits = [t for t in b.all if t.kind == x.kind and t.name != x.name and fit(t, x)]
    if fits and b.chance(0.8):
        y = b.pick(fits)
    elif x.kind == "float":
        y = b.node("Relu", [x], x.shape)
    elif x.kind == "bool":
        y = b.node("Not", [x], x.shape, kind="bool")
    elif x.rank:
        y = b.moved("Transpose", [x], x.shape, perm=list(range(x.rank)))
    else:
        raise Unfit("no other")
    return y, broadcast(x.shape, y.shape)


def _two(op):
    def emit(b, x):
        if b.opset < _since(op, x):
            raise Unfit("opset")
        other, shape = _other(b, x)
        return b.node(op, [other, x] if b.chance(0.5) else [x, other], shape, kind="bool")

    return emit


for _ops, _read, _weight in ((COMPARISONS, "float", 0.4), (LOGIC, "bool", 1.0)):
    for _op in _ops:
        CELLS[_op] = WithConstant(_beside, of=_read)
        _of = ("bool",) if _read == "bool" else ("float", *WHOLE, "bool") if _op == "Equal" else ("float", *WHOLE)
        for _side in SIDES[:2]:
            operator(f"{_op}({_side})", of=_of, weight=_weight)(of_any_kind(_op, _side))
        operator(f"{_op}(x,y)", of=_of, weight=_weight)(_two(_op))


@operator("Not", of=("bool",))
def negation(b, x):
    return b.node("Not", [x], x.shape, kind="bool")


def _branch(b, c):
    """A tensor of floats that fits a condition, or Unfit."""
    fits = [t for t in b.tensors if fit(t, c)]
    if not fits:
        raise Unfit("no floats beside the condition")
    return b.pick(fits)


@operator("Where(computed)", of=("bool",), weight=2)
def where_computed(b, c):
    """Of two tensors, or of one and a constant."""
    x = _branch(b, c)
    if b.chance(0.4):
        y = _branch(b, c)
        return b.node("Where", [c, x, y], broadcast(c.shape, x.shape, y.shape))
    shape = b.pick([(), x.shape, x.shape[-1:]])
    both = [x, b.constant(b.normal(shape))]
    b.rng.shuffle(both)
    return b.node("Where", [c, *both], broadcast(c.shape, x.shape))


@operator("Where(constants)", of=("bool",), weight=2)
def where_constants(b, c):
    shapes = [b.pick([(), c.shape, c.shape[-1:]]) for _ in range(2)]
    return b.node("Where", [c, *(b.constant(b.normal(s)) for s in shapes)], c.shape)


@operator("Cast(to float)", of=("bool", *WHOLE), weight=4)
def cast_to_float(b, x):
    return b.node("Cast", [x], x.shape, to=FLOAT)


@operator("Cast(to whole)", of=("bool", *WHOLE))
def cast_to_whole(b, x):
    kind = b.pick(WHOLE if x.kind != "bool" else ("bool", *WHOLE))
    return b.node("Cast", [x], x.shape, kind=kind, most=1 if x.kind == "bool" else x.most, to=TO[kind])


@operator("OneHot", scalar=False, of=("int64",), weight=0.7)
def one_hot(b, x):
    depth = b.rng.randint(1, max(2, x.most + 2))
    axis = b.rng.randint(0, x.rank)
    off, on = (b.normal((2,)) if b.chance(0.5) else np.asarray([0, 1], np.float32))
    size = np.asarray(depth, np.int64) if b.chance(0.5) else np.asarray([depth], np.int64)
    shape = (*x.shape[:axis], depth, *x.shape[axis:])
    attributes = {} if axis == x.rank and b.chance(0.5) else {"axis": axis - b.pick([0, x.rank + 1])}
    values = b.constant(np.asarray([off, on], np.float32))
    return b.node("OneHot", [x, b.constant(size), values], shape, **attributes)


def _place(op):
    def emit(b, x):
        axis = b.rng.randrange(x.rank)
        keep = b.chance(0.5)
        attributes = {"keepdims": int(keep)} if not keep or b.chance(0.5) else {}
        if axis or b.chance(0.6):
            attributes["axis"] = b.axis(axis, x.rank)
        if b.opset >= 12 and b.chance(0.5):
            attributes["select_last_index"] = b.rng.randint(0, 1)
        shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape) if keep or i != axis)
        return b.node(op, [x], shape, kind="int64", most=max(1, x.shape[axis] - 1), **attributes)

    return emit


for _op in ("ArgMax", "ArgMin"):
    operator(_op, scalar=False, of=("float", "int32"), weight=1.5)(_place(_op))


@operator("Gather(computed)", scalar=False, weight=0.7)
def gather_computed(b, x):
    """Rows of the tensor at the places of its greatest values."""
    axis = b.rng.randrange(x.rank)
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    if x.len * int(np.prod(rest)) > 400:
        raise Unfit("too many rows")
    places = b.node("ArgMax", [x], rest, kind="int64", most=max(1, x.shape[axis] - 1), axis=axis, keepdims=0)
    return b.node("Gather", [x, places], (*x.shape[:axis], *rest, *x.shape[axis + 1 :]), axis=axis)


def brought(b, x, of):
    """The tensor, or one of a type of these that is made of it. Raises Unfit."""
    if x.kind in of:
        return x
    if x.kind != "float":
        x = cast_to_float(b, x)
    if "float" in of:
        return x
    if "bool" in of:
        return FORMS[b.pick(["Greater(x,c)", "Less(c,x)", "Less(x,c)", "Greater(x,y)"])].emit(b, x)
    if not x.rank:
        raise Unfit("no row")
    x = FORMS[b.pick(["ArgMax", "ArgMin"])].emit(b, x)
    if "int64" in of:
        return x
    return b.node("Cast", [x], x.shape, kind="int32", most=x.most, to=TO["int32"])


def given(b, x):
    """The tensor, with what an input of whole numbers, or of yes and no, makes of it."""
    kind = b.pick(["bool", *BYTES])
    y = b.input(x.shape[-1:] if b.chance(0.3) else x.shape, kind)
    if kind == "bool" and b.chance(0.6):
        other = b.constant(b.normal(x.shape[-1:]))
        return b.node("Where", [y, x, other], broadcast(x.shape, y.shape))
    y = b.node("Cast", [y], y.shape, to=FLOAT)
    if kind != "bool":
        y = b.node("Mul", [y, b.constant(np.float32(1 / 128))], y.shape)
    return b.node("Add", [x, y], broadcast(x.shape, y.shape))


def embedding(b, shape):
    """Rows of a table, of an input of their places."""
    lead, width = shape[:-1], shape[-1]
    # Of more than some four thousand rows the indices stand in the integer graph as such.
    rows = b.rng.randint(4098, 4400) if width <= 8 and b.chance(0.3) else b.rng.randint(2, 12)
    places = b.input(lead, b.pick(WHOLE))
    b.hide(places)  # how far its numbers go is the table's to say
    return b.node("Gather", [_table(b, (rows, width)), places], shape)


def _table(b, shape, alike=None):
    """An initializer: that says how far an input's numbers go. Along an axis all lists may be one."""
    name, values = b.name("table"), b.normal(shape)
    if alike is not None:
        values = np.broadcast_to(values[tuple(slice(None) if i == alike else slice(1) for i in range(len(shape)))], shape)
    b.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


@operator("GatherElements(table)", fits=lambda x: 1 <= x.rank <= 3 and 0 < x.most < 40 and x.maker != "Input", of=WHOLE, weight=2)
def gather_entries(b, x):
    """Entries of a constant's lists along an axis, at computed places; the lists may be all alike."""
    if b.opset < 11:
        raise Unfit("opset")
    axis = b.rng.randrange(x.rank)
    shape = tuple(x.most + 1 + b.rng.randint(0, 3) if i == axis else d + b.rng.randint(0, 1) for i, d in enumerate(x.shape))
    if np.prod(shape) > 600:
        raise Unfit("a large table")
    return b.node("GatherElements", [_table(b, shape, axis if b.chance(0.3) else None), x], x.shape, axis=b.axis(axis, x.rank))


@operator("Gather(table)", fits=lambda x: x.rank <= 3 and 0 < x.most < 40 and x.maker != "Input", of=WHOLE, weight=3)
def gather_rows(b, x):
    """Rows of a constant, at computed places."""
    width = b.pick([(), (b.rng.randint(1, 4),)])
    rows = x.most + 1 + b.rng.randint(0, 3)
    return b.node("Gather", [_table(b, (rows, *width)), x], (*x.shape, *width))

"""Operators of one tensor, and of one tensor and constants or a second tensor."""

from dataclasses import dataclass
from typing import Callable

import numpy as np
from onnx import helper

from .builder import ANY, Unfit
from .registry import operator

BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min")
SIDES = ("x,c", "c,x", "x,y")
FLOAT, HALF, DOUBLE = 1, 10, 11


@operator("Relu")
def relu(b, x):
    return b.node("Relu", [x], x.shape)


@operator("Neg")
def neg(b, x):
    return b.node("Neg", [x], x.shape)


@operator("Identity", of=ANY)
def identity(b, x):
    return b.moved("Identity", [x], x.shape)


@operator("Dropout")
def dropout(b, x):
    if b.opset < 12:
        return b.node("Dropout", [x], x.shape, ratio=b.pick([0.0, 0.3, 0.5]))
    inputs = [x]
    if b.chance(0.5):
        inputs.append(b.constant(np.float32(0.4)))
        if b.chance(0.5):
            inputs.append(b.constant(np.asarray(False)))
    return b.node("Dropout", inputs, x.shape)


@operator("Cast")
def cast(b, x):
    return b.node("Cast", [x], x.shape, to=FLOAT) if b.chance(0.4) else _there_and_back(b, x, DOUBLE)


@operator("Cast(half)")
def cast_to_half(b, x):
    return _there_and_back(b, x, HALF)


def _there_and_back(b, x, kind):
    other = b.node("Cast", [x], x.shape, kind="other", to=kind)
    return b.node("Cast", [other], x.shape, to=FLOAT)


@operator("Clip")
def clip(b, x):
    low, high = sorted(b.rng.gauss(0, 0.8) for _ in range(2))
    if high - low < 0.1:
        high = low + 0.5
    which = b.rng.choice(["both", "both", "min", "max"])
    if b.chance(0.3):
        low = 0.0
        high = abs(high) + 0.2
    if b.opset < 11:
        limits = {"both": {"min": low, "max": high}, "min": {"min": low}, "max": {"max": high}}[which]
        return b.node("Clip", [x], x.shape, **limits)
    minimum = b.constant(np.float32(low)) if which != "max" else ""
    maximum = b.constant(np.float32(high)) if which != "min" else ""
    return b.node("Clip", [x, minimum, maximum], x.shape)


@operator("BatchNormalization", fits=lambda x: x.rank >= 2 and x.shape[1] <= 16)
def batch_normalization(b, x):
    c = x.shape[1]
    arrays = [b.normal(c, 0.8), b.normal(c, 0.5), b.normal(c, 0.5), b.between(c, 0.3, 2.0)]
    attributes = {}
    if b.chance(0.5):
        attributes["epsilon"] = b.pick([1e-3, 1e-2, 0.5])
    if b.chance(0.3):
        attributes["momentum"] = 0.7
    if b.opset >= 14 and b.chance(0.3):
        attributes["training_mode"] = 0
    return b.node("BatchNormalization", [x, *map(b.constant, arrays)], x.shape, **attributes)


def broadcast(*shapes):
    """The shape of operands of these shapes, or Unfit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise Unfit("shapes") from error


# Shapes of a constant beside a tensor of this shape. Each kind has a name in the tables.
def _scalar(b, shape):
    return ()


def _one(b, shape):
    return (1,)


def _ones(b, shape):
    return (1,) * len(shape)


def _full(b, shape):
    return tuple(shape)


def _last(b, shape):
    return tuple(shape[-1:])


def _channel(b, shape):
    return (shape[1],) + (1,) * (len(shape) - 2) if len(shape) >= 3 else _refuse()


def _channel_full(b, shape):
    return (1, shape[1]) + (1,) * (len(shape) - 2) if len(shape) >= 2 else _refuse()


def _first(b, shape):
    return (shape[0],) + (1,) * (len(shape) - 1) if len(shape) >= 2 and shape[0] > 1 else _refuse()


def _suffix(b, shape):
    return tuple(shape[1:]) if len(shape) >= 3 else _refuse()


def _run(b, shape):
    """Two axes beside each other, in the middle."""
    return (1, *shape[1:3], *(1,) * (len(shape) - 3)) if len(shape) >= 4 else _refuse()


def _gap(b, shape):
    """Two axes with one between them."""
    if len(shape) < 3:
        _refuse()
    at = b.rng.randrange(len(shape) - 2)
    return tuple(d if i in (at, at + 2) else 1 for i, d in enumerate(shape))


def _wider(b, shape):
    """The tensor is repeated along an axis in which it has length 1."""
    ones = [i for i, d in enumerate(shape) if d == 1]
    if not ones:
        _refuse()
    at = b.pick(ones)
    return tuple(b.rng.randint(2, 3) if i == at else (d if b.chance(0.5) else 1) for i, d in enumerate(shape))


def _higher(b, shape):
    """The constant has an axis more."""
    rest = tuple(d if b.chance(0.7) else 1 for d in shape)
    return (b.rng.choice([1, 2, 3]), *rest) if len(shape) <= 4 else _refuse()


def _refuse():
    raise Unfit("no such constant at this rank")


KINDS = {
    "scalar": _scalar,
    "[1]": _one,
    "ones": _ones,
    "full": _full,
    "last": _last,
    "[C,1…]": _channel,
    "[1,C,1…]": _channel_full,
    "first": _first,
    "suffix": _suffix,
    "middle two": _run,
    "two apart": _gap,
    "wider": _wider,
    "higher": _higher,
}


OFTEN = ("[C,1…]", "[1,C,1…]")
"""What exporters write after a convolution: importers are tempted to merge it."""


def kind_of(constant, tensor):
    """The kind of a constant's shape beside a tensor's: the first name that fits."""
    out = np.broadcast_shapes(constant, tensor)
    rank = len(tensor)
    if len(constant) > rank:
        return "higher"
    if tuple(out) != tuple(tensor):
        return "wider"
    if constant == ():
        return "scalar"
    if all(d == 1 for d in constant):
        return "[1]" if len(constant) == 1 else "ones"
    if tuple(constant) == tuple(tensor):
        return "full"
    full = (1,) * (rank - len(constant)) + tuple(constant)
    varying = [i for i, d in enumerate(full) if d != 1]
    if len(constant) == 1:
        return "last"
    if varying == [1] and rank >= 3:
        return "[C,1…]" if len(constant) == rank - 1 else "[1,C,1…]"
    if varying == [1] and rank == 2:
        return "[1,C,1…]"
    if varying == [0]:
        return "first"
    if varying[-1] - varying[0] + 1 > len(varying):
        return "two apart"
    if varying[-1] == rank - 1:
        return "suffix"
    return "middle two"


@dataclass(frozen=True)
class WithConstant:
    """A binary operator beside a constant, of a kind of shape."""

    emit: Callable
    """`emit(b, op, side, x, kind) -> tensor`; raises Unfit."""
    sides: tuple = ("x,c", "c,x")
    of: str = "float"
    """The type of its tensor."""
    within: bool = False
    """The constant may not be larger than the tensor."""


CELLS = {}
"""By operator: every one that broadcasts its operands. Whoever has one registers it."""


def with_constant(b, op, side, x, kind):
    """`op(x, c)` or `op(c, x)`."""
    return CELLS[op].emit(b, op, side, x, kind)


SPECIAL = {
    ("Add", "x,c"): (0, 1, -1), ("Add", "c,x"): (0, 1, -1), ("Sub", "x,c"): (0, 1, -1), ("Sub", "c,x"): (0, 1, -1, 2),
    ("Mul", "x,c"): (1, 0, -1, 2), ("Mul", "c,x"): (1, 0, -1, 2), ("Div", "x,c"): (1, -1, 2, 0.5), ("Div", "c,x"): (1, 0, -1, 2),
    ("Max", "x,c"): (0, 1, -1), ("Max", "c,x"): (0, 1, -1), ("Min", "x,c"): (0, 1, -1), ("Min", "c,x"): (0, 1, -1),
    ("Pow", "x,c"): (1, 0, 2, -1, 0.5), ("Pow", "c,x"): (1, 2, 0.5), ("PRelu", "x,c"): (1, 0, -1),
}
"""Constants of which readers make something else: `x · 1`, `x + 0`, `1 - x`, `1 / x`."""


def special(b, op, side, shape):
    """Such a constant: one number everywhere, or each place by itself."""
    of = np.asarray(SPECIAL[op, side], np.float32)
    draw = np.random.default_rng(b.rng.getrandbits(32))
    mixed = draw.choice(of, shape)
    # A product that is 0 everywhere is no function of its input.
    if b.chance(0.5) or (op in ("Mul", "Div", "Pow") and not np.any(mixed)):
        mixed = np.full(shape, draw.choice(of[of != 0]))
    return np.asarray(mixed, np.float32)


def _arithmetic(b, op, side, x, kind):
    shape = KINDS[kind](b, x.shape)
    if b.chance(0.25):
        values = special(b, op, side, shape)
    elif op in ("Mul", "Div"):
        values = b.between(shape, 0.4, 1.8, signs=True)
    else:
        values = b.normal(shape, 0.8)
    c = b.constant(values)
    if op == "Div" and side == "c,x":
        x = away_from_zero(b, x)
    operands = [x, c] if side == "x,c" else [c, x]
    if op in ("Max", "Min") and b.chance(0.2):
        more = b.constant(b.normal((), 0.8))
        operands.insert(b.rng.randrange(3), more)
    return b.node(op, operands, broadcast(shape, x.shape))


def _power(b, op, side, x, kind):
    """Of whole exponents any base; of others those above 0. The importer makes a table for each exponent, of at most eight."""
    shape = KINDS[kind](b, x.shape)
    both = broadcast(shape, x.shape)
    draw = np.random.default_rng(b.rng.getrandbits(32))
    if side == "c,x":
        bases = special(b, op, side, shape) if b.chance(0.25) else b.between(shape, 0.4, 2.2)
        return b.node(op, [b.constant(bases), x], both)
    if b.chance(0.25):
        exponents = special(b, op, side, shape)
    else:
        whole = b.chance(0.4)
        exponents = draw.choice(np.asarray([2, 3, 4] if whole else [0.5, -0.5, 1.5, -1, -2], np.float32), shape)
        if b.chance(0.4):
            exponents = np.full(shape, exponents.flat[0])
    exponents = np.asarray(exponents, np.float32)
    if np.any(exponents < 0) or np.any(exponents % 1):
        x = positive(b, x)
    return b.node(op, [x, b.constant(exponents)], both)


def _prelu(b, op, side, x, kind):
    """Its slopes are not larger than the tensor, in the operator's own words."""
    shape = KINDS[kind](b, x.shape)
    if x.rank == 0 or broadcast(shape, x.shape) != tuple(x.shape):
        raise Unfit("the slopes are larger")
    slopes = special(b, op, side, shape) if b.chance(0.25) else b.normal(shape, 0.5)
    return b.node(op, [x, b.constant(slopes)], x.shape)


CELLS |= {op: WithConstant(_arithmetic) for op in BINARY}
CELLS |= {"Pow": WithConstant(_power), "PRelu": WithConstant(_prelu, sides=("x,c",), within=True)}


def positive(b, x):
    """A tensor of values well above 0, of this one."""
    part = b.node("Sigmoid", [x], x.shape)
    return b.node("Add", [part, b.constant(b.between((), 0.3, 1.0))], x.shape)


BIAS = ("Conv", "ConvTranspose", "BatchNormalization")
"""Operators whose third input is added for each channel."""


def away_from_zero(b, x):
    """A tensor like this one that has no value near 0, as a divisor has to be: the node that makes it, again, with a large bias, so
    that nothing stands between producer and quotient; or what is positive."""
    maker = next((n for n in reversed(b.nodes) if x.name in n.output), None)
    if maker is None or maker.op_type not in BIAS or b.chance(0.25):
        return positive(b, x)
    bias = np.full(x.shape[1], b.pick([-6, 6]), np.float32) + b.normal(x.shape[1], 0.4)
    inputs = [*maker.input[:2], b.constant(bias), *maker.input[3:]]
    attributes = {a.name: helper.get_attribute_value(a) for a in maker.attribute}
    return b.node(maker.op_type, inputs, x.shape, **attributes)


def fit(t, x):
    """Whether two tensors broadcast, to one that is not too large."""
    try:
        shape = broadcast(t.shape, x.shape)
    except Unfit:
        return False
    return np.prod(shape) <= 400 and len(shape) <= 5


def partner(b, x):
    """Another computed tensor whose shape broadcasts with x's: an older one, or one branched off from x."""
    fits = [t for t in b.tensors if t.name != x.name and fit(t, x)]
    if fits and b.chance(0.8):
        return b.pick(fits)
    branch = b.pick([relu, clip, lambda b, x: with_constant(b, "Mul", "x,c", x, "full")])
    return branch(b, x)


def with_tensor(b, op, x):
    y = partner(b, x)
    if op == "Div":
        y = away_from_zero(b, y)
        return b.node(op, [x, y], broadcast(x.shape, y.shape))
    operands = [x, y] if b.chance(0.5) else [y, x]
    return b.node(op, operands, broadcast(x.shape, y.shape))


def _power_of_two(b, x):
    """Base and exponent are both computed; the base is above 0."""
    y = partner(b, x)
    base, exponent = (x, y) if b.chance(0.5) else (y, x)
    return b.node("Pow", [positive(b, base), exponent], broadcast(x.shape, y.shape))


def of_any_kind(op, side):
    """A form with a constant of whatever shape fits."""

    def emit(b, x):
        for kind in sorted(KINDS, key=lambda k: b.rng.random() ** (1 / (3 if k in OFTEN else 1)), reverse=True):
            try:
                return with_constant(b, op, side, x, kind)
            except Unfit:
                continue
        raise Unfit(op)

    return emit


for _op in BINARY:
    for _side in SIDES[:2]:
        operator(f"{_op}({_side})")(of_any_kind(_op, _side))
    operator(f"{_op}(x,y)")(lambda b, x, op=_op: with_tensor(b, op, x))
for _side in SIDES[:2]:
    operator(f"Pow({_side})")(of_any_kind("Pow", _side))
operator("Pow(x,y)")(_power_of_two)
operator("PRelu(x,c)", scalar=False)(of_any_kind("PRelu", "x,c"))


@operator("Sum")
def sum_of(b, x):
    operands, shape = [x], x.shape
    for _ in range(b.rng.randint(0, 2)):
        if b.chance(0.5):
            y = partner(b, x)
            shape, operands = broadcast(shape, y.shape), [*operands, y]
        else:
            kind = b.pick(["scalar", "full", "last", "ones"])
            if x.rank == 0:
                kind = "scalar"
            c = KINDS[kind](b, x.shape)
            shape, operands = broadcast(shape, c), [*operands, b.constant(b.normal(c))]
    b.rng.shuffle(operands)
    return b.node("Sum", operands, shape)


@operator("Max(x)")
def max_of_one(b, x):
    return b.node(b.pick(["Max", "Min"]), [x], x.shape)

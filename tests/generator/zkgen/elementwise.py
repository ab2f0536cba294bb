"""Operators of one tensor, and of one tensor and constants or a second tensor."""

import numpy as np

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


def with_constant(b, op, side, x, kind):
    """`op(x, c)` or `op(c, x)`."""
    shape = KINDS[kind](b, x.shape)
    if op in ("Mul", "Div"):
        values = b.between(shape, 0.4, 1.8, signs=True)
    else:
        values = b.normal(shape, 0.8)
    if op in ("Max", "Min") and b.chance(0.25):
        values = np.zeros_like(values)
    c = b.constant(values)
    operands = [x, c] if side == "x,c" else [c, x]
    if op in ("Max", "Min") and b.chance(0.2):
        more = b.constant(b.normal((), 0.8))
        operands.insert(b.rng.randrange(3), more)
    return b.node(op, operands, broadcast(shape, x.shape))


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
        # A divisor has no value near 0: it is at least 0.3.
        least = b.constant(b.between((), 0.3, 1.0))
        y = b.node("Add", [b.node("Sigmoid", [y], y.shape), least], y.shape)
        return b.node(op, [x, y], broadcast(x.shape, y.shape))
    operands = [x, y] if b.chance(0.5) else [y, x]
    return b.node(op, operands, broadcast(x.shape, y.shape))


def _binary(op, side):
    def emit(b, x):
        if side == "x,y":
            return with_tensor(b, op, x)
        for kind in sorted(KINDS, key=lambda k: b.rng.random() ** (1 / (3 if k in OFTEN else 1)), reverse=True):
            try:
                return with_constant(b, op, side, x, kind)
            except Unfit:
                continue
        raise Unfit(op)

    return emit


for _op in BINARY:
    for _side in SIDES:
        _form = f"{_op}({_side})"
        operator(_form, refused=_form == "Div(c,x)")(_binary(_op, _side))


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

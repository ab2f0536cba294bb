"""Numbers of 8 bits: there and back by stated scales, products and convolutions by a tensor's own range, and an LSTM of them.

Each form ends in floats: whether a number is one or the next is rounding's to say, and what is made of it is not.
"""

import numpy as np

from .builder import MICROSOFT, Unfit
from .elementwise import FLOAT
from .registry import operator

QUANTISED = "DequantizeLinear(quantised)"
PRODUCT = "Mul(integers)"
JUMPS = {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QuantizeLinear"}
"""Operators whose values jump from one step to the next."""
OF_TWO = (PRODUCT,)
BY_PRODUCT = {"DynamicQuantizeLSTM", "QuantizeLinear"}
"""Operators that are proved by products of computed tensors, or by a table of 2^16 rows."""
STANDS_BEFORE = {
    "ConvInteger": PRODUCT,
    "DynamicQuantizeLinear": PRODUCT,
    "MatMulInteger": PRODUCT,
    "QLinearConv": QUANTISED,
    "QLinearMatMul": QUANTISED,
    "QuantizeLinear": QUANTISED,
}
"""Operators that are made by a form of another name, which they stand before."""


def _draw(b):
    return np.random.default_rng(b.rng.getrandbits(32))


def _hidden(b, op, inputs, shape, **attributes):
    """A node whose outputs nothing else reads."""
    made = b.node(op, inputs, shape, kind="other", **attributes)
    for tensor in made if isinstance(made, list) else [made]:
        b.hide(tensor)
    return made


def _scale(b, shape=(), low=0.02, high=0.05):
    return b.constant(b.between(shape, low, high))


def _weights(b, shape, kind=np.int8):
    low, high = (-127, 128) if kind == np.int8 else (0, 256)
    return b.constant(_draw(b).integers(low, high, shape).astype(kind))


@operator(QUANTISED)
def there_and_back(b, x):
    """By stated scales; a product or a convolution of the numbers may stand between."""
    if b.opset < 10:
        raise Unfit("opset")
    kind = b.pick([np.int8, np.uint8])
    least, most = (-20, 20) if kind == np.int8 else (108, 148)
    zero = lambda shape=(): b.constant(_draw(b).integers(least, most, shape).astype(kind))
    if x.rank and b.opset >= 13 and b.chance(0.3):
        axis = b.rng.randrange(x.rank)
        of = [_scale(b, x.shape[axis : axis + 1]), zero(x.shape[axis : axis + 1])]
        q = _hidden(b, "QuantizeLinear", [x, *of], x.shape, axis=axis)
        return b.node("DequantizeLinear", [q, *of], x.shape, axis=axis)
    of = [_scale(b), zero()]
    q = _hidden(b, "QuantizeLinear", [x, *of], x.shape)
    if x.rank >= 2 and kind == np.uint8 and b.chance(0.3):
        other, then = b.rng.randint(1, 4), [_scale(b, (), 0.05, 0.1), zero()]
        weights = [_weights(b, (x.shape[-1], other)), _scale(b, (), 0.004, 0.008), b.constant(np.int8(0))]
        shape = (*x.shape[:-1], other)
        q = _hidden(b, "QLinearMatMul", [q, *of, *weights, *then], shape)
        return b.node("DequantizeLinear", [q, *then], shape)
    if x.rank == 4 and kind == np.uint8 and b.chance(0.5):
        maps, then = b.rng.randint(1, 3), [_scale(b, (), 0.05, 0.1), zero()]
        weights = [_weights(b, (maps, x.shape[1], 1, 1)), _scale(b, (), 0.004, 0.008), b.constant(np.int8(0))]
        shape = (x.shape[0], maps, *x.shape[2:])
        q = _hidden(b, "QLinearConv", [q, *of, *weights, *then], shape, kernel_shape=[1, 1])
        return b.node("DequantizeLinear", [q, *then], shape)
    return b.node("DequantizeLinear", [q, *of], x.shape)


@operator(PRODUCT, fits=lambda x: x.rank >= 2, weight=1.5)
def by_its_own_range(b, x):
    """As exporters write it: numbers times numbers, as floats, times both scales."""
    if b.opset < 11:
        raise Unfit("opset")
    q, scale, zero = _hidden(b, "DynamicQuantizeLinear", [x], [x.shape, (), ()])
    if x.rank == 4 and b.chance(0.5):
        maps, side = b.rng.randint(1, 3), b.pick([1, min(3, *x.shape[2:])])
        shape = (x.shape[0], maps, *(d - side + 1 for d in x.shape[2:]))
        weights = _weights(b, (maps, x.shape[1], side, side), np.uint8)
        made = _hidden(b, "ConvInteger", [q, weights, zero, b.constant(np.uint8(128))], shape, kernel_shape=[side] * 2)
        of, lead = _scale(b, (), 0.003, 0.006), ()
    else:
        other = b.rng.randint(1, 6)
        shape, columns = (*x.shape[:-1], other), b.chance(0.4)
        of_weights = _draw(b).integers(-3, 4, other) if columns else np.asarray(0)
        weights = [_weights(b, (x.shape[-1], other)), zero, b.constant(of_weights.astype(np.int8))]
        made = _hidden(b, "MatMulInteger", [q, *weights], shape)
        lead = (other,) if columns else ()
        of = _scale(b, lead, 0.003, 0.006)
    floats = _hidden(b, "Cast", [made], shape, to=FLOAT)
    both = _hidden(b, "Mul", [scale, of], lead)
    return b.node("Mul", [floats, both], shape)


@operator("DynamicQuantizeLSTM", fits=lambda x: x.rank == 3 and x.shape[0] <= 4 and x.shape[1] == 1, weight=0.7)
def lstm(b, x):
    steps, _, width = x.shape
    direction = b.pick(["forward", "reverse", "bidirectional"])
    ways, hidden = 2 if direction == "bidirectional" else 1, b.rng.randint(2, 5)
    rows = 4 * hidden
    of = lambda: (ways, rows) if b.chance(0.3) else (ways,)
    own, state = of(), of()
    scales = [part for s in (own, state) for part in (_scale(b, s, 0.003, 0.006), b.constant(np.zeros(s, np.int8)))]
    inputs = [x, _weights(b, (ways, width, rows)), _weights(b, (ways, hidden, rows)), b.constant(b.normal((ways, 2 * rows), 0.3))]
    first = [b.constant(b.normal((ways, 1, hidden), 0.5)) if b.chance(0.4) else "" for _ in range(2)]
    shapes = [(steps, ways, 1, hidden), (ways, 1, hidden), (ways, 1, hidden)]
    return b.node(
        "DynamicQuantizeLSTM", [*inputs, "", *first, "", *scales], shapes if b.chance(0.4) else shapes[0],
        domain=MICROSOFT, direction=direction, hidden_size=hidden,
    )

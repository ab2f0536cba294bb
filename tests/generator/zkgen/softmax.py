"""Softmax and its kin, with and without a mask."""

import numpy as np

from .registry import operator


def _along(b, x):
    """The attributes of a softmax: since opset 13 along an axis, before that of all behind it."""
    # Before opset 13 the default is the second axis.
    if (x.rank > 1 or b.opset >= 13) and b.chance(0.3):
        return {}
    return {"axis": b.axis(b.rng.randrange(x.rank), x.rank)}


@operator("Softmax", scalar=False)
def softmax(b, x):
    if b.opset >= 13 and x.rank >= 2 and x.shape[-1] > 1 and b.chance(0.3):
        return masked(b, x)
    return b.node("Softmax", [x], x.shape, **_along(b, x))


@operator("LogSoftmax", scalar=False)
def log_softmax(b, x):
    return b.node("LogSoftmax", [x], x.shape, **_along(b, x))


def masked(b, x):
    """What exporters write: scores over a number, a constant far below 0 added where nothing counts."""
    keep = np.asarray([[b.chance(0.6) for _ in range(x.shape[-1])] for _ in range(x.shape[-2])])
    keep[:, 0] = True
    far = b.pick([-1e4, -65504.0, -1e9, float(np.finfo(np.float32).min)])
    if b.chance(0.5):
        x = b.node(b.pick(["Div", "Mul"]), [x, b.constant(np.float32(1.5))], x.shape)
    if b.chance(0.3):
        fill = b.constant(np.float32(far))
        x = b.node("Where", [b.constant(keep), x, fill], x.shape)
    else:
        x = b.node("Add", [x, b.constant(np.where(keep, 0, far).astype(np.float32))], x.shape)
    return b.node("Softmax", [x], x.shape, axis=-1)


BY_PRODUCT = {"Softmax", "LogSoftmax"}
"""Operators that have tables and products of two computed tensors."""

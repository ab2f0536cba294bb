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
    if b.chance(0.4):
        x = given(b, x, far)
    elif b.chance(0.3):
        fill = b.constant(np.float32(far))
        x = b.node("Where", [b.constant(keep), x, fill], x.shape)
    else:
        x = b.node("Add", [x, b.constant(np.where(keep, 0, far).astype(np.float32))], x.shape)
    return b.node("Softmax", [x], x.shape, axis=-1)


def given(b, x, far):
    """A mask that the inputs decide. Some place of a row always counts: of one that is masked as a whole, floats of 32 bits leave
    less than those of 64."""
    first = np.arange(x.shape[-1]) == 0
    keep = b.node("Or", [b.input(x.shape[-1:], "bool"), b.constant(first)], x.shape[-1:], kind="bool")
    fill = b.constant(np.float32(far))
    if b.chance(0.4):
        return b.node("Where", [keep, x, fill], x.shape)
    if b.chance(0.5):
        mask = b.node("Where", [keep, b.constant(np.float32(0)), fill], keep.shape)
    else:
        floats = b.node("Cast", [keep], keep.shape, to=1)
        mask = b.node("Mul", [b.node("Sub", [b.constant(np.float32(1)), floats], keep.shape), fill], keep.shape)
    return b.node("Add", [x, mask], x.shape)


BY_PRODUCT = {"Softmax", "LogSoftmax"}
"""Operators that have tables and products of two computed tensors."""

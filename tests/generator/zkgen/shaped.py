"""Operators of several dimensions that are sums of products: attention, Einsum, grids."""

import math

import numpy as np

from .builder import Unfit
from .registry import operator


def _since(b, opset, before=99):
    if not opset <= b.opset < before:
        raise Unfit("opset")


@operator("Einsum", fits=lambda x: x.rank in (2, 3))
def einsum(b, x):
    """With a constant."""
    _since(b, 12)
    inner, other = x.shape[-1], b.rng.randint(1, 4)
    axes = "bi" if x.rank == 2 else "abi"
    if b.chance(0.3):
        weights = b.normal(inner, 1 / math.sqrt(inner))
        return b.node("Einsum", [x, b.constant(weights)], x.shape[:-1], equation=f"{axes},i->{axes[:-1]}")
    weights = b.constant(b.normal((inner, other), 1 / math.sqrt(inner)))
    turned = b.chance(0.4)
    shape = (other, *x.shape[:-1]) if turned else (*x.shape[:-1], other)
    out = f"j{axes[:-1]}" if turned else f"{axes[:-1]}j"
    return b.node("Einsum", [x, weights], shape, equation=f"{axes},ij->{out}")


@operator("Einsum(x,y)", fits=lambda x: x.rank == 3)
def einsum_of_two(b, x):
    batch, rows, inner = x.shape
    _since(b, 12)
    return b.node("Einsum", [x, x], (batch, rows, rows), equation="bij,bkj->bik")


@operator("Attention", opsets=(23, 24), fits=lambda x: x.rank == 4 and x.shape[2] <= 5, weight=2)
def attention(b, x):
    """Queries, keys and values of one tensor."""
    _since(b, 23)
    batch, heads, rows, size = x.shape
    k = b.node("Mul", [x, b.constant(b.normal(size, 0.8))], x.shape)
    v = b.node("Add", [x, b.constant(b.normal(size, 0.5))], x.shape)
    attributes, inputs = {}, [x, k, v]
    mask = b.pick(["none", "none", "bool", "float", "asked"])
    if mask == "bool":
        keep = np.asarray([[b.chance(0.6) for _ in range(rows)] for _ in range(rows)])
        keep[:, 0] = True
        inputs.append(b.constant(keep))
    elif mask == "float":
        inputs.append(b.constant(b.normal((rows, rows))))
    elif mask == "asked":
        # Of a row in which no place counts there are no values.
        first = b.constant(np.arange(rows) == 0)
        inputs.append(b.node("Or", [b.input((rows, rows), "bool"), first], (rows, rows), kind="bool"))
    if b.chance(0.3):
        attributes["is_causal"] = 1
    if b.chance(0.3):
        attributes["scale"] = b.pick([0.3, 1.0])
    if b.chance(0.3):
        attributes["softcap"] = 2.0
    return b.node("Attention", inputs, x.shape, **attributes)


@operator("AffineGrid", opsets=(20, 24), fits=lambda x: x.len in (6, 12, 18))
def affine_grid(b, x):
    _since(b, 20)
    if x.shape[1:] != (2, 3):
        x = b.node("Reshape", [x, b.ints([-1, 2, 3])], (x.len // 6, 2, 3))
    h, w = b.rng.randint(2, 4), b.rng.randint(2, 4)
    attributes = {"align_corners": 1} if b.chance(0.5) else {}
    size = b.ints([x.shape[0], 1, h, w])
    return b.node("AffineGrid", [x, size], (x.shape[0], h, w, 2), **attributes)


@operator("Upsample", few=True, opsets=(9, 9), fits=lambda x: x.rank == 4)
def upsample(b, x):
    _since(b, 9, before=10)
    mode, (h, w) = b.pick(["nearest", "linear"]), (b.rng.randint(1, 3), b.rng.randint(1, 3))
    scales = b.constant(np.asarray([1, 1, h, w], np.float32))
    return b.node("Upsample", [x, scales], (*x.shape[:2], x.shape[2] * h, x.shape[3] * w), mode=mode)


@operator("Scatter", few=True, opsets=(9, 10), scalar=False)
def scatter(b, x):
    _since(b, 9, before=11)
    axis = b.rng.randrange(x.rank)
    shape = tuple(b.rng.randint(1, d) for d in x.shape)
    order = np.random.default_rng(b.rng.getrandbits(32)).permutation(x.shape[axis])[: shape[axis]]
    along = order.reshape([-1 if i == axis else 1 for i in range(x.rank)])
    indices = np.ascontiguousarray(np.broadcast_to(along, shape), dtype=np.int64)
    return b.node("Scatter", [x, b.constant(indices), b.constant(b.normal(shape))], x.shape, axis=axis)


@operator("TensorScatter", opsets=(24, 24), fits=lambda x: x.rank in (3, 4) and x.shape[-2] >= 2)
def tensor_scatter(b, x):
    """New rows in a cache, from a place of their own for each of the batch."""
    _since(b, 24)
    rows = b.rng.randint(1, x.shape[-2] - 1)
    update = b.constant(b.normal((*x.shape[:-2], rows, x.shape[-1])))
    inputs = [x, update]
    if b.chance(0.7):
        inputs.append(b.ints([b.rng.randint(0, x.shape[-2] - rows) for _ in range(x.shape[0])]))
    return b.node("TensorScatter", inputs, x.shape, **({"mode": "linear"} if b.chance(0.5) else {}))


BY_PRODUCT = {"Attention"}
"""Operators that have tables and products of two computed tensors."""
OF_TWO = ("Einsum(x,y)",)
"""Forms that have products of two computed tensors."""

"""Operators that put values to places that constants say, and those that are a matrix along an axis."""

import math

import numpy as np

from .builder import ANY, Unfit
from .registry import operator


def _since(b, opset):
    if b.opset < opset:
        raise Unfit("opset")


def _indices(b, shape, size, negative=True):
    values = np.random.default_rng(b.rng.getrandbits(32)).integers(0, size, shape)
    if negative and b.chance(0.3):
        values = values - size
    return np.asarray(values, dtype=np.int64)


@operator("Pad", scalar=False)
def pad(b, x):
    mode = b.pick(["constant", "constant", "edge", "reflect"] + (["wrap"] if b.opset >= 19 else []))
    begin, end = [0] * x.rank, [0] * x.rank
    for axis in b.rng.sample(range(x.rank), b.rng.randint(1, min(2, x.rank))):
        most = {"reflect": x.shape[axis] - 1, "wrap": x.shape[axis]}.get(mode, 2)
        begin[axis], end[axis] = (b.rng.randint(0, min(2, most)) for _ in range(2))
        if mode == "constant" and x.shape[axis] > 2 and b.chance(0.2):
            begin[axis] = -1
    shape = tuple(d + p + q for d, p, q in zip(x.shape, begin, end))
    attributes = {} if mode == "constant" and b.chance(0.5) else {"mode": mode}
    value = b.rng.gauss(0, 1) if mode == "constant" and b.chance(0.5) else None
    if b.opset < 11:
        if value is not None:
            attributes["value"] = value
        return b.node("Pad", [x], shape, pads=begin + end, **attributes)
    if b.opset >= 18 and b.chance(0.4):
        axes = [a for a in range(x.rank) if begin[a] or end[a]] or [0]
        pads = [begin[a] for a in axes] + [end[a] for a in axes]
        fill = "" if value is None else b.constant(np.float32(value))
        return b.node("Pad", [x, b.ints(pads), fill, b.ints([b.axis(a, x.rank) for a in axes])], shape, **attributes)
    inputs = [x, b.ints(begin + end)]
    alone = [t for t in b.tensors if t.shape == ()]
    if mode == "constant" and alone and b.chance(0.3):
        inputs.append(b.pick(alone))
    elif value is not None:
        inputs.append(b.constant(np.float32(value)))
    return b.node("Pad", inputs, shape, **attributes)


@operator("CenterCropPad", scalar=False)
def center_crop_pad(b, x):
    _since(b, 18)
    axes = b.rng.sample(range(x.rank), b.rng.randint(1, x.rank))
    wanted = [max(1, x.shape[a] + b.rng.randint(-3, 3)) for a in axes]
    shape = list(x.shape)
    for a, n in zip(axes, wanted):
        shape[a] = n
    return b.node("CenterCropPad", [x, b.ints(wanted)], tuple(shape), axes=[b.axis(a, x.rank) for a in axes])


@operator("Expand", of=ANY)
def expand(b, x):
    wanted = [b.rng.randint(2, 3) if d == 1 and b.chance(0.6) else b.pick([d, 1]) for d in x.shape]
    shape = [max(d, w) for d, w in zip(x.shape, wanted)]
    if x.rank < 4 and b.chance(0.4):
        wanted, shape = [2, *wanted], [2, *shape]
    return b.moved("Expand", [x, b.ints(wanted)], tuple(shape))


@operator("Tile", scalar=False, of=ANY)
def tile(b, x):
    repeats = [b.rng.choice([1, 1, 2, 3]) for _ in x.shape]
    shape = tuple(d * r for d, r in zip(x.shape, repeats))
    return b.moved("Tile", [x, b.ints(repeats)], shape)


def _planes(x):
    return x.rank == 4


@operator("SpaceToDepth", fits=lambda x: _planes(x) and x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0)
def space_to_depth(b, x):
    n, c, h, w = x.shape
    return b.node("SpaceToDepth", [x], (n, c * 4, h // 2, w // 2), blocksize=2)


@operator("DepthToSpace", fits=lambda x: _planes(x) and x.shape[1] % 4 == 0)
def depth_to_space(b, x):
    n, c, h, w = x.shape
    attributes = {"mode": b.pick(["DCR", "CRD"])} if b.opset >= 11 and b.chance(0.7) else {}
    return b.node("DepthToSpace", [x], (n, c // 4, h * 2, w * 2), blocksize=2, **attributes)


@operator("Trilu", fits=lambda x: x.rank >= 2)
def trilu(b, x):
    _since(b, 14)
    inputs = [x] if b.chance(0.4) else [x, b.constant(np.asarray(b.rng.randint(-2, 2), dtype=np.int64))]
    return b.node("Trilu", inputs, x.shape, **({} if b.chance(0.3) else {"upper": b.rng.randint(0, 1)}))


@operator("ReverseSequence", fits=lambda x: x.rank >= 2)
def reverse_sequence(b, x):
    _since(b, 10)
    batch = b.rng.randint(0, 1)
    lengths = [b.rng.randint(1, x.shape[1 - batch]) for _ in range(x.shape[batch])]
    return b.node("ReverseSequence", [x, b.ints(lengths)], x.shape, batch_axis=batch, time_axis=1 - batch)


@operator("GatherElements", scalar=False)
def gather_elements(b, x):
    _since(b, 11)
    axis = b.rng.randrange(x.rank)
    shape = tuple(b.rng.randint(1, d + (2 if i == axis else 0)) for i, d in enumerate(x.shape))
    indices = b.constant(_indices(b, shape, x.shape[axis]))
    return b.node("GatherElements", [x, indices], shape, axis=b.axis(axis, x.rank))


@operator("GatherND", scalar=False)
def gather_nd(b, x):
    _since(b, 11)
    batches = b.rng.randint(0, x.rank - 1) if b.opset >= 12 and b.chance(0.3) else 0
    width = b.rng.randint(1, x.rank - batches)
    lead = (*x.shape[:batches], *(b.rng.randint(1, 3) for _ in range(b.rng.randint(0 if batches else 1, 2))))
    columns = [_indices(b, lead, x.shape[batches + i], negative=False) for i in range(width)]
    indices = b.constant(np.stack(columns, axis=-1))
    attributes = {"batch_dims": batches} if batches else {}
    return b.node("GatherND", [x, indices], (*lead, *x.shape[batches + width :]), **attributes)


def _reduction(b):
    """Several updates of one place, together with what is there; none in half of the cases."""
    if b.opset < 16 or b.chance(0.5):
        return {}
    return {"reduction": b.pick(["add", "mul"] + (["max", "min"] if b.opset >= 18 else []))}


def _updates(b, shape, reduction):
    alike = [t for t in b.tensors if t.shape == shape]
    if alike and reduction.get("reduction") != "mul" and b.chance(0.6):
        return b.pick(alike)
    return b.constant(b.between(shape, 0.5, 1.2, signs=True) if reduction else b.normal(shape))


@operator("ScatterElements", scalar=False)
def scatter_elements(b, x):
    _since(b, 11)
    axis = b.rng.randrange(x.rank)
    reduction = _reduction(b)
    shape = tuple(b.rng.randint(1, d) for d in x.shape)
    if reduction:
        indices = _indices(b, shape, x.shape[axis])
    else:
        # Each place of the axis at most once: which update is last is nobody's to say.
        order = np.random.default_rng(b.rng.getrandbits(32)).permutation(x.shape[axis])[: shape[axis]]
        along = order.reshape([-1 if i == axis else 1 for i in range(x.rank)])
        indices = np.ascontiguousarray(np.broadcast_to(along, shape), dtype=np.int64)
    inputs = [x, b.constant(indices), _updates(b, shape, reduction)]
    return b.node("ScatterElements", inputs, x.shape, axis=b.axis(axis, x.rank), **reduction)


@operator("ScatterND", scalar=False)
def scatter_nd(b, x):
    _since(b, 11)
    reduction = _reduction(b)
    if reduction:
        rows = _indices(b, b.rng.randint(1, x.shape[0] + 2), x.shape[0], negative=False)
    else:
        rows = np.asarray(sorted(b.rng.sample(range(x.shape[0]), b.rng.randint(1, x.shape[0]))), dtype=np.int64)
    updates = _updates(b, (len(rows), *x.shape[1:]), reduction)
    return b.node("ScatterND", [x, b.constant(rows[:, None]), updates], x.shape, **reduction)


@operator("Compress", scalar=False)
def compress(b, x):
    axis = b.rng.randrange(x.rank)
    chosen = [b.chance(0.6) for _ in range(x.shape[axis])]
    chosen[b.rng.randrange(len(chosen))] = True
    shape = (*x.shape[:axis], sum(chosen), *x.shape[axis + 1 :])
    return b.node("Compress", [x, b.constant(np.asarray(chosen))], shape, axis=b.axis(axis, x.rank))


@operator("MaxUnpool", fits=lambda x: _planes(x) and x.len <= 60)
def max_unpool(b, x):
    n, c, h, w = x.shape
    size = n * c * 4 * h * w
    places = np.random.default_rng(b.rng.getrandbits(32)).permutation(size)[: x.len].reshape(x.shape)
    inputs = [x, b.constant(np.asarray(places, dtype=np.int64))]
    return b.node("MaxUnpool", inputs, (n, c, 2 * h, 2 * w), kernel_shape=[2, 2], strides=[2, 2])


@operator("Col2Im", fits=lambda x: x.rank == 3 and x.shape[1] % 2 == 0)
def col2im(b, x):
    _since(b, 18)
    n, columns, blocks = x.shape
    channels = columns // 2
    # Blocks of two values along an axis of a row of pixels.
    step = b.rng.randint(1, 2)
    width = (blocks - 1) * step + 2
    return b.node("Col2Im", [x, b.ints([1, width]), b.ints([1, 2])], (n, channels, 1, width), strides=[1, step])


@operator("DequantizeLinear", fits=lambda x: x.rank == 1 and x.len <= 12)
def dequantise(b, x):
    """Integers that are constants, times scales that are not."""
    _since(b, 13)
    draw = np.random.default_rng(b.rng.getrandbits(32))
    axis = b.rng.randint(0, 1)
    shape = (x.len, b.rng.randint(1, 4)) if axis == 0 else (b.rng.randint(1, 4), x.len)
    kind = b.pick([np.int8, np.uint8])
    low, high = (-4, 4) if kind == np.int8 else (0, 8)
    inputs = [b.constant(draw.integers(low, high, shape).astype(kind)), x]
    if b.chance(0.5):
        inputs.append(b.constant(draw.integers(low, high, x.len).astype(kind)))
    return b.node("DequantizeLinear", inputs, shape, axis=axis)


@operator("Where")
def where(b, x):
    condition = b.constant(np.random.default_rng(b.rng.getrandbits(32)).random(x.shape) < 0.5)
    alike = [t for t in b.tensors if t.shape == x.shape]
    other = b.pick(alike) if b.chance(0.5) else b.constant(b.normal(x.shape[-1:]))
    operands = [x, other] if b.chance(0.5) else [other, x]
    return b.node("Where", [condition, *operands], x.shape)


@operator("CastLike")
def cast_like(b, x):
    _since(b, 15)
    return b.node("CastLike", [x, b.constant(np.float32(1))], x.shape)


@operator("Mean")
def mean(b, x):
    alike = [t for t in b.tensors if t.shape == x.shape]
    inputs = [x, *(b.pick(alike) for _ in range(b.rng.randint(0, 2)))]
    if b.chance(0.4):
        inputs.append(b.constant(b.normal(x.shape[-1:])))
    return b.node("Mean", inputs, x.shape)


@operator("ReduceMin", scalar=False)
def reduce_min(b, x):
    axes = sorted(b.rng.sample(range(x.rank), b.rng.randint(1, x.rank)))
    keep = b.chance(0.5)
    shape = tuple(1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes)
    given = [b.axis(a, x.rank) for a in axes]
    if b.opset >= 18:
        return b.node("ReduceMin", [x, b.ints(given)], shape, keepdims=int(keep))
    return b.node("ReduceMin", [x], shape, axes=given, keepdims=int(keep))


@operator("ReduceProd", scalar=False)
def reduce_product(b, x):
    axis = b.rng.randrange(x.rank)
    if x.shape[axis] > 6:
        raise Unfit("many factors")
    keep = b.chance(0.5)
    shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape) if keep or i != axis)
    given = [b.axis(axis, x.rank)]
    if b.opset >= 18:
        return b.node("ReduceProd", [x, b.ints(given)], shape, keepdims=int(keep))
    return b.node("ReduceProd", [x], shape, axes=given, keepdims=int(keep))


@operator("TopK", scalar=False)
def first(b, x):
    _since(b, 11)
    axis = b.rng.randrange(x.rank)
    if x.shape[axis] > 16:
        raise Unfit("a long row")
    k = b.rng.randint(1, x.shape[axis])
    shape = tuple(k if i == axis else d for i, d in enumerate(x.shape))
    attributes = {"axis": b.axis(axis, x.rank), "largest": b.rng.randint(0, 1)}
    return b.node("TopK", [x, b.ints([k])], [shape, shape], kind=["float", "int64"], **attributes)


@operator("Hardmax", scalar=False)
def hardmax(b, x):
    _since(b, 13)
    return b.node("Hardmax", [x], x.shape, axis=b.axis(b.rng.randrange(x.rank), x.rank))


@operator("CumSum", scalar=False)
def cumulate(b, x):
    _since(b, 11)
    axis = b.rng.randrange(x.rank)
    attributes = {n: 1 for n in ("exclusive", "reverse") if b.chance(0.4)}
    if attributes.get("exclusive") and x.shape[axis] == 1:
        raise Unfit("nothing but zeros")
    given = b.constant(np.asarray(b.axis(axis, x.rank), dtype=np.int64))
    return b.node("CumSum", [x, given], x.shape, **attributes)


@operator("Resize", fits=lambda x: _planes(x) and x.shape[2] >= 2 and x.shape[3] >= 2, weight=2)
def resize(b, x):
    _since(b, 11)
    mode = b.pick(["nearest", "linear", "cubic"])
    attributes = {"mode": mode}
    coordinates = b.pick(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    if b.chance(0.8):
        attributes["coordinate_transformation_mode"] = coordinates
    if mode == "nearest" and b.chance(0.7):
        attributes["nearest_mode"] = b.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic" and b.chance(0.5):
        attributes["cubic_coeff_a"] = -0.5
    sizes = [b.rng.choice([d, d * 2, max(2, d // 2), d + 1]) for d in x.shape[2:]]
    shape = (*x.shape[:2], *sizes)
    empty = "" if b.opset >= 13 else b.constant(np.zeros(0, np.float32))
    doubled = all(s == 2 * d for s, d in zip(sizes, x.shape[2:]))
    if doubled and b.chance(0.7):
        return b.node("Resize", [x, empty, b.constant(np.asarray([1, 1, 2, 2], np.float32))], shape, **attributes)
    return b.node("Resize", [x, empty, empty, b.ints(shape)], shape, **attributes)


@operator("ConvTranspose", fits=lambda x: x.rank in (3, 4) and x.shape[0] <= 3 and x.shape[1] <= 6 and max(x.shape) <= 8)
def conv_transpose(b, x):
    n = x.rank - 2
    kernel = [b.rng.randint(1, 3) for _ in range(n)]
    strides = [b.rng.randint(1, 2) for _ in range(n)]
    dilations = [b.rng.choice([1, 1, 2]) for _ in range(n)]
    pads = [b.rng.randint(0, k - 1) for k in kernel * 2]
    more = [b.rng.randint(0, s - 1) for s in strides]
    group = b.pick([d for d in range(1, x.shape[1] + 1) if x.shape[1] % d == 0])
    each = b.rng.randint(1, 2)
    out = [
        (d - 1) * s + (k - 1) * l + 1 + m - pads[i] - pads[n + i]
        for i, (d, s, k, l, m) in enumerate(zip(x.shape[2:], strides, kernel, dilations, more))
    ]
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    if any(more):
        attributes["output_padding"] = more
    terms = x.shape[1] // group * math.prod(kernel)
    inputs = [x, b.constant(b.normal((x.shape[1], each, *kernel), 1 / math.sqrt(terms)))]
    if b.chance(0.5):
        inputs.append(b.constant(b.normal(each * group, 0.4)))
    return b.node("ConvTranspose", inputs, (x.shape[0], each * group, *out), kernel_shape=kernel, **attributes)

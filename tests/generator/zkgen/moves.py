"""Operators that only move values."""

import math

import numpy as np
from onnx import helper

from .builder import ANY, Unfit
from .registry import operator


def factors(rng, n, rank):
    """A shape of this rank with n values."""
    shape, rest = [], n
    for _ in range(rank - 1):
        divisors = [d for d in range(1, rest + 1) if rest % d == 0 and d <= 12]
        d = rng.choice(divisors)
        shape.append(d)
        rest //= d
    shape.append(rest)
    rng.shuffle(shape)
    return tuple(shape)


@operator("Reshape", weight=1.5, of=ANY)
def reshape(b, x):
    shape = factors(b.rng, x.len, b.rng.randint(1, 5))
    if x.rank >= 2 and x.shape[0] == 1 and b.chance(0.6):
        shape = (1, *factors(b.rng, x.len, b.rng.randint(1, 4)))
    return reshape_to(b, x, shape)


def reshape_to(b, x, shape):
    """With the sizes written out, with -1, or with 0 for a size that stays."""
    asked = list(shape)
    if b.chance(0.4):
        at = b.rng.randrange(len(asked))
        rest = math.prod(d for i, d in enumerate(shape) if i != at)
        if rest * shape[at] == x.len:
            asked[at] = -1
    for i in range(min(len(asked), x.rank)):
        if asked[i] == x.shape[i] and asked[i] > 0 and b.chance(0.3):
            asked[i] = 0
    attributes = {"allowzero": 0} if b.opset >= 14 and b.chance(0.2) else {}
    return b.moved("Reshape", [x, b.ints(asked)], shape, **attributes)


@operator("Reshape(Shape)", fits=lambda x: x.rank >= 2)
def reshape_by_shape(b, x):
    """As exporters write `x.view(x.size(0), -1)`: sizes are read from the tensor itself."""
    shape = b.name("shape")
    attributes = {}
    whole = b.opset < 15 or b.chance(0.6)
    if not whole:
        attributes = {"start": 0, "end": 1}
    _raw(b, "Shape", [x.name], [shape], **attributes)
    first = b.name("first")
    if not whole:
        first = shape
    elif b.chance(0.5):
        scalar = b.name("size")
        _raw(b, "Gather", [shape, b.constant(np.asarray(0, dtype=np.int64))], [scalar], axis=0)
        if b.opset >= 13:
            _raw(b, "Unsqueeze", [scalar, b.ints([0])], [first])
        else:
            _raw(b, "Unsqueeze", [scalar], [first], axes=[0])
    elif b.opset >= 10:
        _raw(b, "Slice", [shape, b.ints([0]), b.ints([1])], [first])
    else:
        _raw(b, "Slice", [shape], [first], starts=[0], ends=[1])
    target = b.name("target")
    _raw(b, "Concat", [first, b.ints([-1])], [target], axis=0)
    return b.node("Reshape", [x, target], (x.shape[0], x.len // x.shape[0]))


def _raw(b, op, inputs, outputs, **attributes):
    b.nodes.append(helper.make_node(op, inputs, outputs, name=f"{op}_{outputs[0]}", **attributes))


@operator("Flatten", of=ANY)
def flatten(b, x):
    axis = b.rng.randint(0, x.rank)
    lead = math.prod(x.shape[:axis])
    given = axis - x.rank if b.opset >= 11 and x.rank and axis < x.rank and b.chance(0.3) else axis
    attributes = {"axis": given} if given != 1 or b.chance(0.5) else {}
    return b.moved("Flatten", [x], (lead, x.len // lead), **attributes)


@operator("Transpose", scalar=False, of=ANY)
def transpose(b, x):
    if b.chance(0.2):
        return b.moved("Transpose", [x], x.shape[::-1])
    perm = list(range(x.rank))
    b.rng.shuffle(perm)
    return b.moved("Transpose", [x], tuple(x.shape[p] for p in perm), perm=perm)


@operator("Squeeze", fits=lambda x: 1 in x.shape, of=ANY)
def squeeze(b, x):
    ones = [i for i, d in enumerate(x.shape) if d == 1]
    gone = sorted(b.rng.sample(ones, b.rng.randint(1, len(ones))))
    if len(gone) == x.rank:
        raise Unfit("too many scalars")
    attributes, inputs = {}, [x]
    if not (gone == ones and b.chance(0.3)):
        given = [b.axis(a, x.rank) for a in gone]
        if b.opset >= 13:
            inputs.append(b.ints(given))
        else:
            attributes["axes"] = given
    shape = tuple(d for i, d in enumerate(x.shape) if i not in gone)
    return b.moved("Squeeze", inputs, shape, **attributes)


@operator("Unsqueeze", fits=lambda x: x.rank <= 4, of=ANY)
def unsqueeze(b, x):
    rank = x.rank + b.rng.randint(1, min(2, 5 - x.rank))
    new = sorted(b.rng.sample(range(rank), rank - x.rank))
    rest = iter(x.shape)
    shape = tuple(1 if i in new else next(rest) for i in range(rank))
    given = [b.axis(a, rank) for a in new]
    if b.opset >= 13:
        return b.moved("Unsqueeze", [x, b.ints(given)], shape)
    return b.moved("Unsqueeze", [x], shape, axes=given)


def _slice(b, x, stepped):
    axes = sorted(b.rng.sample(range(x.rank), b.rng.randint(1, min(2, x.rank))))
    starts, ends, steps, shape = [], [], [], list(x.shape)
    for a in axes:
        size = x.shape[a]
        start = b.rng.randint(0, size - 1)
        end = b.rng.randint(start + 1, size)
        step = b.rng.choice([2, 3, -1]) if stepped else 1
        if step < 0:
            # From the last to the first.
            shape[a] = size
            starts.append(-1)
            ends.append(-(2**31))
        else:
            shape[a] = -(-(end - start) // step)
            starts.append(start - size if b.chance(0.3) and start < size else start)
            if end == size and b.chance(0.5):
                end = 2**31 - 1
            elif end < size and b.chance(0.3):
                end -= size
            ends.append(end)
        steps.append(step)
    if b.opset < 10:
        if stepped:
            raise Unfit("no steps")
        every = axes == list(range(len(axes))) and b.chance(0.3)
        attributes = {} if every else {"axes": axes}
        return b.moved("Slice", [x], tuple(shape), starts=starts, ends=ends, **attributes)
    inputs = [x, b.ints(starts), b.ints(ends)]
    if axes != list(range(len(axes))) or stepped or b.chance(0.8):
        inputs.append(b.ints([b.axis(a, x.rank) for a in axes]))
        if stepped or b.chance(0.4):
            inputs.append(b.ints(steps))
    return b.moved("Slice", inputs, tuple(shape))


@operator("Slice", scalar=False, of=ANY)
def slice_of(b, x):
    return _slice(b, x, stepped=False)


@operator("Slice(step)", scalar=False, of=ANY)
def stepped_slice(b, x):
    return _slice(b, x, stepped=True)


@operator("Split", fits=lambda x: any(d >= 2 for d in x.shape), scalar=False, of=ANY)
def split(b, x):
    axis = b.pick(i for i, d in enumerate(x.shape) if d >= 2)
    size = x.shape[axis]
    count = b.rng.randint(2, min(3, size))
    attributes, inputs = {"axis": b.axis(axis, x.rank)}, [x]
    if size % count == 0 and b.chance(0.5):
        sizes = [size // count] * count
        if b.opset >= 18:
            attributes["num_outputs"] = count
    else:
        cuts = sorted(b.rng.sample(range(1, size), count - 1))
        sizes = [e - s for s, e in zip([0, *cuts], [*cuts, size])]
        if b.opset >= 13:
            inputs.append(b.ints(sizes))
        else:
            attributes["split"] = sizes
    shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in sizes]
    made = b.moved("Split", inputs, shapes, **attributes)
    b.rng.shuffle(made)
    return made


@operator("Gather", scalar=False)
def gather(b, x):
    axis = b.rng.randrange(x.rank)
    size = x.shape[axis]
    index = b.pick([(), (1,), (b.rng.randint(1, 3),), (1, 2)])
    if index == () and x.rank == 1:
        index = (2,)
    values = np.random.default_rng(b.rng.getrandbits(32)).integers(0, size, index)
    if b.opset >= 11 and b.chance(0.3):
        values = values - size
    constant = b.constant(np.asarray(values, dtype=np.int64))
    shape = (*x.shape[:axis], *index, *x.shape[axis + 1 :])
    attributes = {"axis": b.axis(axis, x.rank)} if axis or b.chance(0.5) else {}
    return b.node("Gather", [x, constant], shape, **attributes)


@operator("Concat", scalar=False)
def concat(b, x):
    axis = b.rng.randrange(x.rank)
    rest = lambda t: (t.rank, *t.shape[:axis], *t.shape[axis + 1 :])
    others = [t for t in b.tensors if t.rank == x.rank and rest(t) == rest(x)]
    parts = [x]
    for _ in range(b.rng.randint(1, 2)):
        if b.chance(0.15):
            n = b.rng.randint(1, 3)
            shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
            parts.append((b.constant(b.normal(shape)), n))
        else:
            parts.append(b.pick(others))
    b.rng.shuffle(parts)
    total = sum(p[1] if isinstance(p, tuple) else p.shape[axis] for p in parts)
    names = [p[0] if isinstance(p, tuple) else p for p in parts]
    shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
    return b.node("Concat", names, shape, axis=b.axis(axis, x.rank))

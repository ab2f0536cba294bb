"""Transforms of sequences, pairs of values that are turned, and rests of divisions."""

import numpy as np

from .builder import Unfit
from .registry import operator


def _since(b, opset):
    if b.opset < opset:
        raise Unfit("opset")


def _numbers(x):
    """Whether its last axis is that of the parts of numbers."""
    return x.rank >= 2 and x.shape[-1] <= 2


@operator("DFT", fits=lambda x: _numbers(x) and x.rank <= 4 and max(x.shape) <= 12, opsets=(17, 24))
def dft(b, x):
    _since(b, 17)
    axis = b.rng.randrange(x.rank - 1)
    n = x.shape[axis]
    inverse = b.chance(0.4)
    # What was made of real numbers has two parts, and onnxruntime takes nothing else for it.
    onesided = b.chance(0.4) and x.shape[-1] == (2 if inverse else 1)
    real = inverse and onesided
    if real and n < 2:
        raise Unfit("a transform of no values")
    length = max(1, 2 * (n - 1) if real else n)
    given = b.chance(0.4)
    if given:
        length = max(1, length + b.rng.randint(-2, 2))
    count = length // 2 + 1 if onesided and not inverse else length
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 : -1], 1 if real else 2)
    inputs = [x, b.constant(np.asarray(length, np.int64)) if given else ""]
    attributes = {"inverse": int(inverse), "onesided": int(onesided)}
    if b.opset < 20:
        attributes["axis"] = axis
    else:
        inputs.append(b.constant(np.asarray(axis, np.int64)))
    return b.node("DFT", inputs if inputs[-1] else inputs[:1], shape, **attributes)


@operator("STFT", fits=lambda x: _numbers(x) and x.rank == 3 and x.len <= 60, opsets=(17, 24))
def stft(b, x):
    _since(b, 17)
    batch, n, parts = x.shape
    length, step = b.rng.randint(1, n), b.rng.randint(1, 3)
    onesided = b.rng.randint(0, 1) if parts == 1 else 0
    count = length // 2 + 1 if onesided else length
    window = b.constant(b.between((length,), 0.2, 1.0))
    shape = (batch, (n - length) // step + 1, count, 2)
    return b.node("STFT", [x, b.constant(np.asarray(step, np.int64)), window], shape, onesided=onesided)


@operator("RotaryEmbedding", fits=lambda x: x.rank in (3, 4) and x.shape[-1] >= 2, opsets=(23, 24))
def rotary_embedding(b, x):
    _since(b, 23)
    heads = 1
    if x.rank == 3:
        heads = b.pick([h for h in (1, 2, 3) if x.shape[-1] % h == 0 and x.shape[-1] // h >= 2])
    batch, sequence = x.shape[0], x.shape[1 if x.rank == 3 else 2]
    width = x.shape[-1] // heads
    turned = b.pick([d for d in range(2, width + 1, 2)])
    # onnxruntime has the whole of a head by 0 alone.
    attributes = {} if turned == width and width % 2 == 0 and b.chance(0.5) else {"rotary_embedding_dim": turned}
    if x.rank == 3 or attributes:
        attributes["num_heads"] = heads if x.rank == 3 else x.shape[1]
    placed = b.chance(0.5)
    # onnxruntime asks for as many rows as there are positions.
    rows = sequence + b.rng.randint(0, 2)
    angles = b.normal((rows, turned // 2) if placed else (batch, sequence, turned // 2), 2.0)
    inputs = [x, b.constant(np.cos(angles)), b.constant(np.sin(angles))]
    if placed:
        draw = np.random.default_rng(b.rng.getrandbits(32))
        inputs.append(b.constant(draw.integers(0, rows, (batch, sequence)).astype(np.int64)))
    return b.node("RotaryEmbedding", inputs, x.shape, interleaved=b.rng.randint(0, 1), **attributes)


@operator("Mod", weight=0.5, opsets=(10, 24))
def mod(b, x):
    _since(b, 10)
    divisors = np.asarray([0.75, -1.5, 2.0, 3.0], np.float32)
    shape = b.pick([(), x.shape[-1:]])
    draw = np.random.default_rng(b.rng.getrandbits(32))
    return b.node("Mod", [x, b.constant(draw.choice(divisors, shape))], x.shape, fmod=1)


BY_TABLE = {"Mod"}
"""Operators that are proved by a table of all their values."""

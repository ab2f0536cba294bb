"""Normalisations."""

import math

from .builder import Unfit
from .registry import FORMS, op_of, operator

FEWEST = 4
"""Values that are normalised together: of one or two the result jumps with their signs."""


def _since(b, opset):
    if b.opset < opset:
        raise Unfit("opset")


def _enough(count):
    if count < FEWEST:
        raise Unfit("too few values")


def _epsilon(b):
    """Never so small that a row of nearly equal values decides the scale."""
    return b.pick([0.1, 0.5, 1.0])


@operator("LayerNormalization", scalar=False)
def layer_normalization(b, x):
    _since(b, 17)
    axis = b.rng.randrange(x.rank)
    _enough(math.prod(x.shape[axis:]))
    shape = b.pick([x.shape[axis:], x.shape[-1:]])
    inputs = [x, b.constant(b.normal(shape))]
    if b.chance(0.6):
        inputs.append(b.constant(b.normal(shape)))
    return b.node("LayerNormalization", inputs, x.shape, axis=b.axis(axis, x.rank), epsilon=_epsilon(b))


def _channels(x):
    return x.rank in (3, 4) and math.prod(x.shape[2:]) >= FEWEST


@operator("RMSNormalization", fits=lambda x: x.rank and x.len >= FEWEST, opsets=(23, 24))
def rms_normalization(b, x):
    _since(b, 23)
    axis = b.pick(a for a in range(x.rank) if math.prod(x.shape[a:]) >= FEWEST)
    shape = b.pick([x.shape[axis:], x.shape[-1:]])
    return b.node("RMSNormalization", [x, b.constant(b.normal(shape))], x.shape, axis=b.axis(axis, x.rank), epsilon=_epsilon(b))


@operator("InstanceNormalization", fits=_channels)
def instance_normalization(b, x):
    scale, shift = (b.constant(b.normal(x.shape[1:2])) for _ in range(2))
    return b.node("InstanceNormalization", [x, scale, shift], x.shape, epsilon=_epsilon(b))


@operator("GroupNormalization", fits=_channels, opsets=(21, 24))
def group_normalization(b, x):
    _since(b, 21)
    groups = b.pick([d for d in range(1, x.shape[1] + 1) if x.shape[1] % d == 0])
    scale, shift = (b.constant(b.normal(x.shape[1:2])) for _ in range(2))
    return b.node("GroupNormalization", [x, scale, shift], x.shape, num_groups=groups, epsilon=_epsilon(b))


@operator("LpNormalization", scalar=False)
def lp_normalization(b, x):
    axis = b.rng.randrange(x.rank)
    _enough(x.shape[axis])
    return b.node("LpNormalization", [x], x.shape, axis=b.axis(axis, x.rank), p=b.pick([1, 2]))


@operator("LRN", fits=lambda x: x.rank == 4)
def local_response(b, x):
    window = b.pick([1, 3, 5])
    attributes = {"alpha": b.pick([0.1, 0.5]), "beta": b.pick([0.5, 0.75]), "bias": b.pick([1.0, 2.0])}
    return b.node("LRN", [x], x.shape, size=window, **attributes)


@operator("MeanVarianceNormalization", fits=lambda x: x.rank == 4 and x.shape[0] * x.shape[2] * x.shape[3] >= FEWEST)
def mean_variance(b, x):
    return b.node("MeanVarianceNormalization", [x], x.shape, axes=[0, 2, 3])


BY_PRODUCT = {op_of(name) for name, form in FORMS.items() if form.emit.__module__ == __name__}
"""Operators that are proved by products of computed tensors."""

"""Functions of one value."""

import numpy as np

from .builder import Unfit
from .registry import FORMS, op_of, operator


def _since(b, opset):
    if b.opset < opset:
        raise Unfit("opset")


@operator("Sigmoid")
def sigmoid(b, x):
    return b.node("Sigmoid", [x], x.shape)


@operator("Tanh")
def tanh(b, x):
    return b.node("Tanh", [x], x.shape)


@operator("Erf")
def erf(b, x):
    return b.node("Erf", [x], x.shape)


@operator("Exp")
def exp(b, x):
    return b.node("Exp", [x], x.shape)


@operator("LeakyRelu")
def leaky_relu(b, x):
    attributes = {} if b.chance(0.3) else {"alpha": b.pick([0.2, 0.05, 0.0, -0.5, 1.5])}
    return b.node("LeakyRelu", [x], x.shape, **attributes)


@operator("Elu")
def elu(b, x):
    attributes = {} if b.chance(0.3) else {"alpha": b.pick([0.5, 1.5, 0.0, -0.7])}
    return b.node("Elu", [x], x.shape, **attributes)


@operator("HardSigmoid")
def hard_sigmoid(b, x):
    attributes = {} if b.chance(0.3) else {"alpha": b.pick([0.3, 1.0, -0.2]), "beta": b.pick([0.0, 0.4, 0.9])}
    return b.node("HardSigmoid", [x], x.shape, **attributes)


@operator("Softsign")
def softsign(b, x):
    return b.node("Softsign", [x], x.shape)


def _positive(b, x):
    """A tensor of values well above 0, of this one."""
    part = b.node("Sigmoid", [x], x.shape)
    return b.node("Add", [part, b.constant(np.float32(0.5))], x.shape)


@operator("Sqrt")
def sqrt(b, x):
    return b.node("Sqrt", [_positive(b, x)], x.shape)


@operator("Log")
def log(b, x):
    return b.node("Log", [_positive(b, x)], x.shape)


@operator("Reciprocal")
def reciprocal(b, x):
    return b.node("Reciprocal", [_positive(b, x)], x.shape)


@operator("Abs")
def absolute(b, x):
    return b.node("Abs", [x], x.shape)


@operator("Sin")
def sine(b, x):
    return b.node("Sin", [x], x.shape)


@operator("Cos")
def cosine(b, x):
    return b.node("Cos", [x], x.shape)


@operator("Softplus")
def softplus(b, x):
    return b.node("Softplus", [x], x.shape)


@operator("Selu")
def selu(b, x):
    attributes = {} if b.chance(0.5) else {"alpha": b.pick([0.5, 1.2]), "gamma": b.pick([0.7, 1.3])}
    return b.node("Selu", [x], x.shape, **attributes)


@operator("Celu")
def celu(b, x):
    _since(b, 12)
    attributes = {} if b.chance(0.5) else {"alpha": b.pick([0.5, 2.0])}
    return b.node("Celu", [x], x.shape, **attributes)


@operator("Mish")
def mish(b, x):
    _since(b, 18)
    return b.node("Mish", [x], x.shape)


@operator("HardSwish")
def hard_swish(b, x):
    _since(b, 14)
    return b.node("HardSwish", [x], x.shape)


@operator("Gelu")
def gelu(b, x):
    _since(b, 20)
    attributes = {} if b.chance(0.5) else {"approximate": b.pick(["none", "tanh"])}
    return b.node("Gelu", [x], x.shape, **attributes)


@operator("Mul(silu)")
def silu(b, x):
    gate = b.node("Sigmoid", [x], x.shape)
    b.tensors.pop()  # the product is one function with it
    return b.node("Mul", [x, gate], x.shape)


BY_TABLE = {op_of(name) for name, form in FORMS.items() if form.emit.__module__ == __name__}
"""Operators that are proved by a table of all their values."""

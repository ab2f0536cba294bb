"""Functions of one value."""

import numpy as np

from .builder import Unfit
from .elementwise import positive
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


@operator("Sqrt")
def sqrt(b, x):
    return b.node("Sqrt", [positive(b, x)], x.shape)


@operator("Log")
def log(b, x):
    return b.node("Log", [positive(b, x)], x.shape)


@operator("Reciprocal")
def reciprocal(b, x):
    return b.node("Reciprocal", [positive(b, x)], x.shape)


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


def _within(b, x):
    """A tensor of values well within ±1, of this one."""
    part = b.node("Tanh", [x], x.shape)
    return b.node("Mul", [part, b.constant(np.float32(0.8))], x.shape)


def _of(op, opset, argument=lambda b, x: x):
    def emit(b, x):
        _since(b, opset)
        return b.node(op, [argument(b, x)], x.shape)

    return emit


for _op, _opset in (("Acos", 7), ("Asin", 7), ("Atanh", 9), ("Tan", 7)):
    operator(_op)(_of(_op, _opset, _within))
for _op, _opset in (("Asinh", 9), ("Atan", 7), ("Cosh", 9), ("Sinh", 9)):
    operator(_op)(_of(_op, _opset))


@operator("Acosh")
def acosh(b, x):
    _since(b, 9)
    above = b.node("Add", [positive(b, x), b.constant(np.float32(1))], x.shape)
    return b.node("Acosh", [above], x.shape)


@operator("Shrink")
def shrink(b, x):
    """Without a jump: a number that is near one is anywhere behind it."""
    _since(b, 9)
    least = b.pick([0.2, 0.5])
    return b.node("Shrink", [x], x.shape, lambd=least, bias=least)


for _op in ("Ceil", "Floor", "Sign"):
    operator(_op, weight=0.5)(_of(_op, 9))
operator("Round", weight=0.5)(_of("Round", 11))


@operator("Swish", opsets=(24, 24))
def swish(b, x):
    _since(b, 24)
    return b.node("Swish", [x], x.shape, **({} if b.chance(0.5) else {"alpha": b.pick([0.5, 1.7])}))


@operator("ThresholdedRelu", weight=0.5)
def thresholded_relu(b, x):
    _since(b, 10)
    return b.node("ThresholdedRelu", [x], x.shape, **({} if b.chance(0.5) else {"alpha": b.pick([0.0, 0.4])}))


@operator("Mul(silu)")
def silu(b, x):
    gate = b.node("Sigmoid", [x], x.shape)
    b.hide(gate)  # the product is one function with it
    return b.node("Mul", [x, gate], x.shape)


BY_TABLE = {op_of(name) for name, form in FORMS.items() if form.emit.__module__ == __name__} | {"Pow"}
"""Operators that are proved by a table of all their values."""

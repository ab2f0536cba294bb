"""Functions of one value."""

from .builder import Unfit
from .registry import operator


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

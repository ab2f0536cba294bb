"""Nodes with graphs in them: a branch that is chosen, a body that is computed again and again."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .builder import Unfit
from .elementwise import FLOAT
from .registry import operator

SIMPLE = ("Neg", "Relu", "Add", "Mul", "Identity", "Tanh")
OF_TWO = ("If(computed)",)
"""Forms that have products of two computed tensors."""
MOST_STEPS = 6


def _port(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def _simple(b, read, made):
    """A node of one tensor, and the constant that it holds."""
    op = b.pick(SIMPLE)
    held = b.name("held")
    own = [numpy_helper.from_array(b.normal(()), held)] if op in ("Add", "Mul") else []
    return helper.make_node(op, [read, *(c.name for c in own)], [made], name=made), own


def _branch(b, x, stem):
    made = b.name(stem)
    node, own = _simple(b, x.name, made)
    return helper.make_graph([node], stem, [], [_port(made, x.shape)], own)


@operator("If", weight=0.5)
def branches(b, x):
    """Of a constant: which branch is taken, and what it reads from outside, is what the reader has to see."""
    taken = b.constant(np.asarray(b.chance(0.5)))
    return b.node("If", [taken], x.shape, then_branch=_branch(b, x, "then"), else_branch=_branch(b, x, "else"))


@operator("If(computed)", weight=0.5)
def chosen(b, x):
    """Of the input's values."""
    top = b.node("ReduceMax", [x], (1,) * x.rank, keepdims=1)
    above = b.node("Greater", [top, b.constant(b.normal(()))], top.shape, kind="bool", most=1)
    return b.node("If", [above], x.shape, then_branch=_branch(b, x, "then"), else_branch=_branch(b, x, "else"))


@operator("Loop", weight=0.5)
def loop(b, x):
    """A state that is handed on, and its values put together."""
    trips = b.rng.randint(1, 3)
    names = trip, goes, state, on, made, shown = [b.name(n) for n in ("trip", "goes", "state", "on", "made", "shown")]
    node, own = _simple(b, state, made)
    again = [helper.make_node("Identity", [a], [z], name=z) for a, z in ((goes, on), (made, shown))]
    body = helper.make_graph(
        [node, *again],
        "body",
        [_port(trip, [], TensorProto.INT64), _port(goes, [], TensorProto.BOOL), _port(state, x.shape)],
        [_port(on, [], TensorProto.BOOL), _port(made, x.shape), _port(shown, x.shape)],
        own,
    )
    assert len(set(names)) == len(names)
    inputs = [b.constant(np.asarray(trips, np.int64)), b.constant(np.asarray(True)), x]
    return b.node("Loop", inputs, [x.shape, (trips, *x.shape)], body=body)


@operator("Scan", scalar=False, weight=0.5)
def scan(b, x):
    """A sum along an axis, from either end, and all sums on the way."""
    axis = b.rng.randrange(x.rank)
    steps, shape = x.shape[axis], (*x.shape[:axis], *x.shape[axis + 1 :])
    if steps > MOST_STEPS:
        raise Unfit(f"Scan of {steps} steps")
    state, element, made, shown = [b.name(n) for n in ("state", "element", "made", "shown")]
    nodes = [
        helper.make_node("Add", [state, element], [made], name=made),
        helper.make_node("Neg", [made], [shown], name=shown),
    ]
    inputs, outputs = [_port(state, shape), _port(element, shape)], [_port(made, shape), _port(shown, shape)]
    out = b.rng.randrange(x.rank)
    attributes = {"scan_input_axes": [b.axis(axis, x.rank)], "scan_output_axes": [b.axis(out, x.rank)]}
    for name in ("scan_input_directions", "scan_output_directions"):
        if b.chance(0.5):
            attributes[name] = [b.rng.randint(0, 1)]
    return b.node(
        "Scan",
        [b.constant(b.normal(shape)), x],
        [shape, (*shape[:out], steps, *shape[out:])],
        body=helper.make_graph(nodes, "body", inputs, outputs),
        num_scan_inputs=1,
        **attributes,
    )

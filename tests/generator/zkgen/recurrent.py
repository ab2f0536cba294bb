"""Recurrent networks of a few steps."""

import math

import numpy as np

from .builder import Unfit
from .registry import FORMS, op_of, operator


def _since(b, opset):
    if b.opset < opset:
        raise Unfit("opset")


def _sequence(x):
    return x.rank == 3 and x.shape[0] <= 4


def _activations(b, op):
    """For one direction: those of gates stay between bounds."""
    gate, state = ["Sigmoid"], ["Tanh", "Relu", "Softsign"]
    kinds = {"RNN": [state], "GRU": [gate, state], "LSTM": [gate, state, state]}[op]
    return [b.pick(k) for k in kinds]


def _recurrent(op, gates):
    def emit(b, x):
        _since(b, 14)
        steps, batch, width = x.shape
        direction = b.pick(["forward", "reverse", "bidirectional"])
        ways = 2 if direction == "bidirectional" else 1
        hidden = b.rng.randint(1, 4)
        w = b.normal((ways, gates * hidden, width), 1 / math.sqrt(width))
        r = b.normal((ways, gates * hidden, hidden), 1 / math.sqrt(hidden))
        inputs = [x, b.constant(w), b.constant(r)]
        if b.chance(0.6):
            inputs.append(b.constant(b.normal((ways, 2 * gates * hidden), 0.3)))
            if b.chance(0.5):
                ends = [b.rng.randint(1, steps) for _ in range(batch)] if b.chance(0.6) else [steps] * batch
                lengths = b.constant(np.asarray(ends, np.int32)) if b.chance(0.5) else ""
                inputs += [lengths, b.constant(b.normal((ways, batch, hidden), 0.5))]
                if op == "LSTM" and b.chance(0.6):
                    inputs.append(b.constant(b.normal((ways, batch, hidden), 0.5)))
                    if b.chance(0.4):
                        inputs.append(b.constant(b.normal((ways, 3 * hidden), 0.3)))
        attributes = {"linear_before_reset": b.rng.randint(0, 1)} if op == "GRU" else {}
        if b.chance(0.2):
            attributes["clip"] = b.pick([0.5, 2.0])
        if b.chance(0.3):
            attributes["activations"] = [a for _ in range(ways) for a in _activations(b, op)]
        # All steps, the last one, and of an LSTM its memory.
        shapes = [(steps, ways, batch, hidden), *[(ways, batch, hidden)] * (2 if op == "LSTM" else 1)]
        made = b.node(op, inputs, shapes if b.chance(0.4) else shapes[0], direction=direction, hidden_size=hidden, **attributes)
        if isinstance(made, list):
            b.rng.shuffle(made)
        return made

    return emit


for _op, _gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    operator(_op, fits=_sequence, weight=0.7)(_recurrent(_op, _gates))


BY_PRODUCT = {op_of(name) for name, form in FORMS.items() if form.emit.__module__ == __name__}
"""Operators that are proved by products of computed tensors."""

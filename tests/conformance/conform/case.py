"""A node test as a question to the programs: the model, its input, and calibration data that is not its input.

Graph inputs that are not float (axes, indices, shapes, conditions) become constants of the model; every other input stays
an input, also where a person would have a constant (weights, `Clip`'s bounds). Shapes are those of the data.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from . import suite

SAMPLES = 16
STOPS = ("Shape", "Size")
"""What they answer does not depend on any value."""


@dataclass
class Case:
    """What is asked, and what should be answered."""

    model: bytes
    inputs: dict
    expected: list
    samples: dict
    constants: list = field(default_factory=list)
    """Names of the inputs that became constants."""
    constant: bool = False
    """Some output is the same whatever the input: nothing is proved by it."""


def make(test):
    """The case of a test; ValueError where its files are not those of the list."""
    if suite.digest(test.folder) != test.digest:
        raise ValueError(f"{test.name}: its files are not those of the list")
    model = onnx.load(test.folder / "model.onnx")
    graph = model.graph
    tensors = suite.data(test.folder, "input", len(graph.input))
    inputs, constants = {}, []
    for port, tensor in zip(list(graph.input), tensors):
        if tensor is None:
            continue
        if tensor.data_type == TensorProto.FLOAT:
            inputs[port.name] = numpy_helper.to_array(tensor)
            port.type.CopyFrom(onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, list(tensor.dims)))
        else:
            constants.append(port.name)
            graph.input.remove(port)
            held = TensorProto()
            held.CopyFrom(tensor)
            held.name = port.name
            graph.initializer.append(held)
    # Before version 4 every constant had to be an input as well.
    model.ir_version = max(model.ir_version, 4)
    expected = [numpy_helper.to_array(t) for t in suite.data(test.folder, "output", len(graph.output))]
    samples = {name: _drawn(f"{test.name}/{name}", value) for name, value in inputs.items()}
    return Case(model.SerializeToString(), inputs, expected, samples, constants, _is_constant(graph, inputs))


def _drawn(identity, value):
    """Samples from the range of a test's input, uniform. A range of one number v is [v − |v|/4, v + |v|/4]."""
    seed = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "little")
    low, high = float(value.min(initial=np.inf)), float(value.max(initial=-np.inf))
    if low == high:
        low, high = low - abs(low) / 4, high + abs(high) / 4
    drawn = np.random.default_rng(seed).uniform(min(low, high), max(low, high), (SAMPLES, *value.shape))
    return drawn.astype(np.float32)


def _is_constant(graph, inputs):
    moving = set(inputs)
    for node in graph.node:
        if node.op_type not in STOPS and moving.intersection(node.input):
            moving.update(node.output)
    return any(output.name not in moving for output in graph.output)

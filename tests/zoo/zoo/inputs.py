"""A model's free dimensions bound, and inputs of its documented domain.

A domain is one of `normal`, `uniform(a,b)`, `ints(n)` (0 … n-1, in whatever type the input has), `ones`, `zeros`,
`value(v)`, `data(set)` (rows of a file that scikit-learn's data sets were written to). Without one: standard-normal floats.
"""

import re
import zlib

import numpy as np
from onnx import TensorProto, helper

from .listing import HERE

SAMPLES = 64
"""Rows of a data set's file by which a model is calibrated; those after them are asked."""
ASKED = 3


def graph_inputs(model):
    constants = {t.name for t in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def shapes_of(model, entry):
    """The shape of every input: the list's, else the file's with 1 for every free dimension."""
    found = {}
    for i in graph_inputs(model):
        if i.type.WhichOneof("value") != "tensor_type":
            raise ValueError(f"input {i.name} is no tensor")
        stated = entry.shapes.get(i.name, entry.shapes.get("*"))
        dims = i.type.tensor_type.shape.dim
        found[i.name] = stated if stated is not None else [max(d.dim_value, 1) for d in dims]
    return found


def bind(model, shapes, outputs):
    """Writes shapes into a model, and drops what it says of those between: it may name free dimensions."""
    for i in graph_inputs(model):
        set_shape(i.type.tensor_type, shapes[i.name])
    for o in model.graph.output:
        if o.name in outputs and o.type.WhichOneof("value") == "tensor_type":
            set_shape(o.type.tensor_type, outputs[o.name])
    del model.graph.value_info[:]


def set_shape(tensor, dims):
    # A shape that is not stated has rank 0 once it is touched, which is another thing.
    tensor.shape.ClearField("dim")
    tensor.shape.SetInParent()
    for size in dims:
        tensor.shape.dim.add().dim_value = int(size)


def types_of(model):
    return {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in graph_inputs(model)}


def domain_of(entry, name):
    return entry.domain.get(name, entry.domain.get("*", "normal"))


def default_domain(entry, model):
    """Whether the model is calibrated by what compiling does without calibration data: standard-normal inputs."""
    names = [i.name for i in graph_inputs(model)]
    return all(domain_of(entry, n) == "normal" for n in names)


def draw(entry, model, shapes, purpose, count):
    """`count` inputs by name, a function of the entry's name, the purpose and the number alone."""
    types, drawn = types_of(model), []
    for number in range(count):
        tensors = {}
        for i in graph_inputs(model):
            seed = zlib.crc32(f"{entry.id}/{i.name}/{purpose}/{number}".encode())
            values = tensor(domain_of(entry, i.name), shapes[i.name], np.random.default_rng(seed), purpose, number)
            tensors[i.name] = np.asarray(values).astype(types[i.name]).reshape(shapes[i.name])
        drawn.append(tensors)
    return drawn


def tensor(domain, shape, random, purpose, number):
    kind, numbers = re.fullmatch(r"(\w+)(?:\((.*)\))?", domain).groups()
    if kind == "data":
        rows = np.load(HERE / "models" / "data" / f"{numbers}.npy")
        return rows[number if purpose == "calibration" else SAMPLES + number]
    numbers = [float(n) for n in (numbers or "").split(",") if n]
    match kind:
        case "normal":
            return random.standard_normal(shape)
        case "uniform":
            return random.uniform(*numbers, shape)
        case "ints":
            return random.integers(0, int(numbers[0]), shape)
        case "ones" | "zeros":
            return np.full(shape, 1 if kind == "ones" else 0)
        case "value":
            return np.full(shape, numbers[0])
    raise ValueError(f"no domain {domain}")


def floats(model):
    return all(i.type.tensor_type.elem_type == TensorProto.FLOAT for i in graph_inputs(model))

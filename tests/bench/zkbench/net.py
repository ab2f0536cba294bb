"""Writes ONNX models with random weights: the same bytes each time."""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Net:
    """A model that is being written, node after node. Methods take and give names of tensors."""

    def __init__(self, name, shape):
        self.name, self.shape = name, list(shape)
        self._random = np.random.default_rng(seed(name))
        self._nodes, self._constants = [], []

    def op(self, kind, *inputs, outputs=1, **attributes):
        """A node. Its output, or a list of them."""
        names = [f"{kind.lower()}{len(self._nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value):
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, shape, fan_in):
        """Uniform in ±1/√fan_in, as most trainers begin."""
        edge = 1 / np.sqrt(fan_in)
        return self.constant(self._random.uniform(-edge, edge, shape).astype(np.float32))

    def draw(self, how, *args, **kwargs):
        """Numbers of numpy's generator."""
        return getattr(self._random, how)(*args, **kwargs)

    def dense(self, x, inputs, outputs, bias=True):
        weights = [self.weight((inputs, outputs), inputs)]
        if bias:
            weights.append(self.weight((outputs,), inputs))
        return self.op("Gemm", x, *weights)

    def conv(self, x, inputs, outputs, kernel, stride=1, pad=0, bias=True):
        fan = inputs * kernel * kernel
        weights = [self.weight((outputs, inputs, kernel, kernel), fan)]
        if bias:
            weights.append(self.weight((outputs,), fan))
        return self.op("Conv", x, *weights, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def relu(self, x):
        return self.op("Relu", x)

    def max_pool(self, x, size=2):
        return self.op("MaxPool", x, kernel_shape=[size] * 2, strides=[size] * 2)

    def average_pool(self, x, size=2):
        return self.op("AveragePool", x, kernel_shape=[size] * 2, strides=[size] * 2)

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.constant(np.array(shape, dtype=np.int64)))

    def norm(self, x, channels):
        """A batch normalisation as trained: near the identity."""
        make = lambda low, high: self.constant(self._random.uniform(low, high, channels).astype(np.float32))
        return self.op("BatchNormalization", x, make(0.8, 1.2), make(-0.1, 0.1), make(-0.1, 0.1), make(0.8, 1.2))

    def done(self, *outputs):
        """The model's bytes' message."""
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_empty_tensor_value_info(o) for o in outputs],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(model)
        return model


def seed(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def parameters(model):
    """Numbers that training would find; also a tree's matrices."""
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)


def macs(model):
    """Multiplications of Conv, Gemm and MatMul, and of a recurrence's matrices."""
    shapes = {t.name: list(t.dims) for t in model.graph.initializer}
    for info in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        shapes[info.name] = [d.dim_value for d in info.type.tensor_type.shape.dim]
    total = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            # Each value of a convolution's output, or of a transposed one's input, meets every weight of its channel once.
            at = node.output[0] if node.op_type == "Conv" else node.input[0]
            total += int(np.prod(shapes[at])) * int(np.prod(shapes[node.input[1]][1:]))
        elif node.op_type in ("Gemm", "MatMul"):
            by = shapes[node.input[0]][-1]
            total += int(np.prod(shapes[node.output[0]])) * by
        elif node.op_type == "LSTM":
            total += shapes[node.input[0]][0] * sum(int(np.prod(shapes[node.input[i]])) for i in (1, 2))
    return total

#!/usr/bin/env python3
"""Trains the example models on real data and exports them to ONNX.

    python3 -m venv VENV && VENV/bin/pip install -r tests/models/requirements.txt
    VENV/bin/python tests/models/train.py

Writes the models and `data/` beside this file, then the manifests that carry them (`manifests.py`). Every seed is
fixed, so the same versions on the same kind of processor give the same bytes.

The held-out split is never trained on. The settings of the digits' training were chosen by cross-validation inside
the training split. Calibration data comes from the training split, test data from the held-out split.
"""

import json
import os
from pathlib import Path

# One thread: the order of a sum is part of its rounding.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import train_test_split

import manifests

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
OPSET = 17
IR_VERSION = 8


# Layers. Each has `forward`, `backward` (gradient in, gradient out; parameters' gradients are kept in `grads`) and
# `export` (adds its nodes to a graph, returns the name of the tensor made). Training is in float64.


class Layer:
    """A named step of a network."""

    def __init__(self, name):
        self.name = name
        self.params = {}
        self.grads = {}

    def parts(self):
        """The layers that own parameters."""
        return [self]

    def export(self, graph, x):
        op, attributes = self.onnx()
        return graph.node(op, self.name, [x, *graph.constants(self)], **attributes)


class Relu(Layer):
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, g):
        return g * self.mask

    def onnx(self):
        return "Relu", {}


class Flatten(Layer):
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, g):
        return g.reshape(self.shape)

    def onnx(self):
        return "Flatten", {"axis": 1}


class Gemm(Layer):
    """A dense layer; the weight is [outputs, inputs]."""

    def __init__(self, name, inputs, outputs, rng):
        super().__init__(name)
        self.params["weight"] = rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs))
        self.params["bias"] = np.zeros(outputs)

    def forward(self, x):
        self.x = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, g):
        self.grads = {"weight": g.T @ self.x, "bias": g.sum(0)}
        return g @ self.params["weight"]

    def onnx(self):
        return "Gemm", {"transB": 1}


class Conv3x3(Layer):
    """A 3x3 convolution with padding 1, as a product with the unrolled patches."""

    def __init__(self, name, inputs, outputs, rng):
        super().__init__(name)
        self.params["weight"] = rng.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3))
        self.params["bias"] = np.zeros(outputs)

    def forward(self, x):
        n, c, h, w = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        self.patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)
        weight = self.params["weight"].reshape(-1, c * 9)
        return (self.patches @ weight.T + self.params["bias"]).transpose(0, 3, 1, 2)

    def backward(self, g):
        weight = self.params["weight"]
        outputs, c = weight.shape[:2]
        n, _, h, w = g.shape
        g = g.transpose(0, 2, 3, 1)
        flat = g.reshape(-1, outputs)
        self.grads = {
            "weight": (flat.T @ self.patches.reshape(-1, c * 9)).reshape(weight.shape),
            "bias": flat.sum(0),
        }
        patches = (g @ weight.reshape(outputs, -1)).reshape(n, h, w, c, 3, 3).transpose(0, 3, 1, 2, 4, 5)
        padded = np.zeros((n, c, h + 2, w + 2))
        for i in range(3):
            for j in range(3):
                padded[:, :, i : i + h, j : j + w] += patches[..., i, j]
        return padded[:, :, 1:-1, 1:-1]

    def onnx(self):
        return "Conv", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}


class Pool2x2(Layer):
    """Common to both poolings: each 2x2 square becomes the last axis."""

    def squares(self, x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)

    def unsquare(self, s):
        n, c, h, w, _ = s.shape
        return s.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


class MaxPool2x2(Pool2x2):
    def forward(self, x):
        squares = self.squares(x)
        # Of equal entries the first one gets the gradient.
        self.chosen = np.eye(4)[squares.argmax(-1)]
        return squares.max(-1)

    def backward(self, g):
        return self.unsquare(self.chosen * g[..., None])

    def onnx(self):
        return "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}


class AveragePool2x2(Pool2x2):
    def forward(self, x):
        return self.squares(x).mean(-1)

    def backward(self, g):
        return self.unsquare(np.repeat(g[..., None] / 4, 4, axis=-1))

    def onnx(self):
        return "AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}


class Sequence(Layer):
    """Layers one after another."""

    def __init__(self, name, layers):
        super().__init__(name)
        self.layers = layers

    def parts(self):
        return [part for layer in self.layers for part in layer.parts()]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g

    def export(self, graph, x):
        for layer in self.layers:
            x = layer.export(graph, x)
        return x


class Residual(Sequence):
    """Layers whose result is added to what they read; the Add node has the block's name."""

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, g):
        return g + super().backward(g)

    def export(self, graph, x):
        return graph.node("Add", self.name, [super().export(graph, x), x])


# Training.


def softmax_cross_entropy(logits, labels):
    """The gradient of the mean loss by the logits."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


def shifted(images, rng):
    """About half of the images, each moved by at most one pixel either way."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    h, w = images.shape[2:]
    moves = rng.integers(0, 3, (len(images), 2))
    moves[rng.random(len(images)) < 0.5] = 1
    return np.stack([p[:, i : i + h, j : j + w] for p, (i, j) in zip(padded, moves)])


def train(network, x, y, rng, epochs, batch, rate, decay, augment=None):
    """Adam with decoupled weight decay; the rate falls to zero in a half cosine."""
    parts = network.parts()
    moments = [{k: (np.zeros_like(v), np.zeros_like(v)) for k, v in part.params.items()} for part in parts]
    steps = epochs * -(-len(x) // batch)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            xb = augment(x[chosen], rng) if augment else x[chosen]
            network.backward(softmax_cross_entropy(network.forward(xb), y[chosen]))
            now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            for part, moment in zip(parts, moments):
                for key, g in part.grads.items():
                    m, v = moment[key]
                    m += 0.1 * (g - m)
                    v += 0.001 * (g * g - v)
                    update = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
                    if key == "weight":
                        update += decay * part.params[key]
                    part.params[key] -= now * update
    for part in parts:
        for key, value in part.params.items():
            part.params[key] = value.astype(np.float32).astype(np.float64)


# Export.


class Graph:
    """Collects nodes and constants."""

    def __init__(self):
        self.nodes = []
        self.initializers = []

    def constants(self, layer):
        names = []
        for key, value in layer.params.items():
            names.append(f"{layer.name}.{key}")
            self.initializers.append(numpy_helper.from_array(value.astype(np.float32), names[-1]))
        return names

    def node(self, op, name, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"


def export(network, name, input_name, input_shape, output_name, classes):
    """Writes `NAME.onnx`."""
    graph = Graph()
    network.export(graph, input_name)
    graph.nodes[-1].output[0] = output_name
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, name, [value(input_name, input_shape)], [value(output_name, [classes])], graph.initializers
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="zkinfer tests/models/train.py",
    )
    onnx.checker.check_model(model, full_check=True)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def verify(network, name, x, y):
    """The written file computes what was trained; prints and returns what the README's table says."""
    path = HERE / f"{name}.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    [got] = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.astype(np.float32)})
    difference = np.abs(got - network.forward(x)).max()
    assert difference < 1e-4, f"{name}: the export differs by {difference}"
    right = int((got.argmax(1) == y).sum())
    parameters = sum(int(np.prod(t.dims)) for t in model.graph.initializer)
    print(
        f"{name}: {parameters} parameters, {path.stat().st_size} bytes, test accuracy {right}/{len(y)} = "
        f"{100 * right / len(y):.2f} %, max |logit| {np.abs(got).max():.1f}, export differs by {difference:.1e}"
    )
    return got.argmax(1)


# Data.


def write_json(name, value):
    (DATA / name).write_text(json.dumps(value) + "\n")


def write_split(name, x_test, y_test, x_calibration, classes):
    np.save(DATA / f"{name}-test.npy", x_test.astype("<f4"))
    write_json(f"{name}-test-labels.json", [int(label) for label in y_test])
    np.save(DATA / f"{name}-calibration.npy", x_calibration.astype("<f4"))
    write_json(f"{name}-classes.json", classes)


def digits_data():
    """8x8 images, scaled from 0..16 to 0..1; a quarter is held out."""
    x, y = load_digits(return_X_y=True)
    return train_test_split(x.reshape(-1, 1, 8, 8) / 16, y, test_size=0.25, random_state=1, stratify=y)


def wine_data():
    """13 measurements, standardised by mean and deviation of the training split; 30 % is held out.

    Standardised here and not in the graph: an input tensor has one power-of-two exponent for all its entries, and raw
    measurements differ by a factor of thousands, so the small ones would lose most of their bits.
    """
    wine = load_wine()
    x, x_test, y, y_test = train_test_split(wine.data, wine.target, test_size=0.3, random_state=1, stratify=wine.target)
    mean, deviation = x.mean(0), x.std(0)
    write_json(
        "wine-standardisation.json",
        {"features": wine.feature_names, "mean": mean.tolist(), "deviation": deviation.tolist()},
    )
    return (x - mean) / deviation, (x_test - mean) / deviation, y, y_test, [str(c) for c in wine.target_names]


# The models.


def digits_network(rng):
    return Sequence("digits", [
        Conv3x3("conv1", 1, 8, rng), Relu("relu1"), MaxPool2x2("pool1"),
        Conv3x3("conv2", 8, 16, rng), Relu("relu2"), MaxPool2x2("pool2"),
        Flatten("flatten"), Gemm("fc1", 64, 32, rng), Relu("relu3"), Gemm("fc2", 32, 10, rng),
    ])  # fmt: skip


def residual_network(rng):
    block = [Conv3x3("conv2", 8, 8, rng), Relu("relu2"), Conv3x3("conv3", 8, 8, rng)]
    return Sequence("digits-residual", [
        Conv3x3("conv1", 1, 8, rng), Relu("relu1"), Residual("add1", block), Relu("relu3"), AveragePool2x2("pool1"),
        Flatten("flatten"), Gemm("fc1", 128, 10, rng),
    ])  # fmt: skip


def wine_network(rng):
    return Sequence("wine", [Gemm("fc1", 13, 16, rng), Relu("relu1"), Gemm("fc2", 16, 3, rng)])


def main():
    DATA.mkdir(exist_ok=True)
    x, x_test, y, y_test = digits_data()
    write_split("digits", x_test[:200], y_test[:200], x[:256], [str(d) for d in range(10)])
    seven = int(np.flatnonzero(y_test[:200] == 7)[0])
    write_json("digit-7.json", x_test[seven : seven + 1].tolist())
    for build, name, seed in [(digits_network, "digits", 1), (residual_network, "digits-residual", 2)]:
        rng = np.random.default_rng(seed)
        network = build(rng)
        train(network, x, y, rng, epochs=150, batch=32, rate=0.005, decay=0.03, augment=shifted)
        export(network, name, "image", [1, 8, 8], "logits", 10)
        answers = verify(network, name, x_test, y_test)
        assert answers[seven] == 7, f"{name}: the example request's answer is wrong"

    x, x_test, y, y_test, classes = wine_data()
    write_split("wine", x_test, y_test, x, classes)
    rng = np.random.default_rng(3)
    network = wine_network(rng)
    train(network, x, y, rng, epochs=150, batch=16, rate=0.003, decay=0.01)
    export(network, "wine", "features", [13], "scores", 3)
    answers = verify(network, "wine", x_test, y_test)
    assert answers[0] == y_test[0], "wine: the example request's answer is wrong"

    manifests.write()


if __name__ == "__main__":
    main()

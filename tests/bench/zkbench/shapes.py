"""The shapes that are measured, each with the figures of ezkl for its class.

Kinds and sizes are those of public benchmarks and examples; weights are random, of a fixed seed. `rows` is what ezkl's
`gen_settings` counts for the class: a shape here lies within 5 % of it, or its ezkl figures are measured anew.
"""

from dataclasses import dataclass

import numpy as np

from .net import Net


@dataclass(frozen=True)
class Quoted:
    """ezkl 23.0.5 at its defaults on 2 cores of AMD EPYC (Zen 4), one process per stage: rows, CPU seconds of `prove` and of
    `setup`, resident MiB of `prove`, bytes of the proof, seconds of `verify`."""

    rows: int
    prove_cpu_s: float
    keygen_cpu_s: float
    rss_mb: int
    proof_bytes: int
    verify_s: float


SHAPES = {}


def shape(name, quoted=None):
    def keep(make):
        SHAPES[name] = (make, quoted)
        return make

    return keep


@shape("tiny-mlp", Quoted(99, 8.8, 6.1, 336, 3072, 0.03))
def tiny_mlp():
    """16 parameters, 12 MACs."""
    net = Net("tiny-mlp", [1, 3])
    return net.done(net.dense(net.relu(net.dense("x", 3, 3)), 3, 1))


@shape("mlp-10k", Quoted(10_530, 8.9, 5.5, 339, 3072, 0.13))
def mlp_10k():
    """Two hidden layers of 70."""
    net = Net("mlp-10k", [1, 64])
    x = net.relu(net.dense("x", 64, 70))
    return net.done(net.dense(net.relu(net.dense(x, 70, 70)), 70, 10))


@shape("small-cnn", Quoted(23_396, 9.3, 7.3, 344, 3072, 0.06))
def small_cnn():
    """A convolution with stride and two dense layers on 1×28×28: 3k parameters, 12k MACs."""
    net = Net("small-cnn", [1, 1, 28, 28])
    x = net.op("Flatten", net.relu(net.conv("x", 1, 6, 5, stride=3)), axis=1)
    return net.done(net.dense(net.relu(net.dense(x, 384, 6)), 6, 10))


def _trees(name, trees, depth, features, probability, rows=False):
    """An ensemble of full trees as matrices: which feature each inner node compares, with what, which leaf follows. With `rows`
    the first axis is the inputs' all the way, so that several can be answered at once; the function is the same."""
    net = Net(name, [1, features])
    inner, leaves = 2**depth - 1, 2**depth
    chosen = net.draw("integers", 0, features, trees * inner)
    select = np.zeros((features, trees * inner), dtype=np.float32)
    select[chosen, np.arange(trees * inner)] = 1
    threshold = net.draw("normal", size=trees * inner).astype(np.float32)
    path = np.zeros((inner, leaves), dtype=np.float32)
    lefts = np.zeros(leaves, dtype=np.float32)
    for leaf in range(leaves):
        at = 0
        for level in reversed(range(depth)):
            left = not leaf >> level & 1
            path[at, leaf] = 1 if left else -1
            lefts[leaf] += left
            at = 2 * at + (1 if left else 2)
    below = net.op("Less", net.op("MatMul", "x", net.constant(select)), net.constant(threshold))
    below = net.op("Cast", below, to=1)
    below = net.reshape(below, -1, trees, inner) if rows else net.reshape(below, trees, 1, inner)
    reached = net.op("Equal", net.op("MatMul", below, net.constant(path)), net.constant(lefts))
    reached = net.op("Cast", reached, to=1)
    reached = net.reshape(reached, -1, trees * leaves) if rows else net.reshape(reached, trees, 1, leaves)
    value = net.draw("normal", size=(trees, leaves, 1), scale=0.3).astype(np.float32)
    if rows:
        total = net.op("MatMul", reached, net.constant(value.reshape(trees * leaves, 1)))
        return net.done(net.op("Sigmoid", total) if probability else total)
    answers = net.op("MatMul", reached, net.constant(value))
    total = net.op("ReduceSum", answers, net.constant(np.array([0], dtype=np.int64)), keepdims=0)
    return net.done(net.op("Sigmoid", total) if probability else total)


@shape("boosted-trees", Quoted(3_173, 25.9, 15.0, 1054, 5696, 0.075))
def boosted_trees():
    """Nine trees of depth 3, a probability."""
    return _trees("boosted-trees", 9, 3, 14, True)


@shape("random-forest", Quoted(52_160, 42.3, 27.9, 1886, 5120, 0.12))
def random_forest():
    """34 trees of depth 5."""
    return _trees("random-forest", 34, 5, 20, False)


@shape("lstm-31k", Quoted(196_984, 161.4, 134.3, 5101, 6720, 0.51))
def lstm():
    """Two layers of 50 over five steps, and a dense layer: 31,051 parameters, 151k MACs."""
    net = Net("lstm-31k", [1, 5, 1])
    x = net.op("Transpose", "x", perm=[1, 0, 2])
    for width in (1, 50):
        weights = [net.weight((1, 200, width), 50), net.weight((1, 200, 50), 50), net.weight((1, 400), 50)]
        x, _, _ = net.op("LSTM", x, *weights, outputs=3, hidden_size=50)
        x = net.op("Squeeze", x, net.constant(np.array([1], dtype=np.int64)))
    last = net.op("Gather", x, net.constant(np.array(4, dtype=np.int64)), axis=0)
    return net.done(net.dense(last, 50, 1))


@shape("mlp-91k", Quoted(287_000, 253.0, 222.7, 8232, 5600, 0.71))
def mlp_91k():
    """Nine layers of 100, ten rows: 90,900 parameters, 900k MACs."""
    net = Net("mlp-91k", [10, 100])
    x = "x"
    for _ in range(8):
        x = net.relu(net.dense(x, 100, 100))
    return net.done(net.dense(x, 100, 100))


@shape("cnn-212k", Quoted(452_858, 274.4, 238.6, 8315, 5632, 0.82))
def cnn_212k():
    """Two convolutions and a dense layer on 1×28×28: 6k parameters, 219k MACs."""
    net = Net("cnn-212k", [1, 1, 28, 28])
    x = net.max_pool(net.relu(net.conv("x", 1, 8, 3)))
    x = net.max_pool(net.relu(net.conv(x, 8, 19, 3)))
    return net.done(net.dense(net.op("Flatten", x, axis=1), 475, 10))


@shape("lenet-5", Quoted(567_726, 307.8, 219.8, 9598, 3072, 1.04))
def lenet():
    """61,706 parameters, 417k MACs, 1×32×32."""
    net = Net("lenet-5", [1, 1, 32, 32])
    x = net.average_pool(net.relu(net.conv("x", 1, 6, 5)))
    x = net.average_pool(net.relu(net.conv(x, 6, 16, 5)))
    x = net.op("Flatten", x, axis=1)
    x = net.relu(net.dense(x, 400, 120))
    return net.done(net.dense(net.relu(net.dense(x, 120, 84)), 84, 10))


@shape("age-net")
def age_net():
    """Five convolutions on 3×64×64, nine classes: 45k parameters, 22M MACs."""
    net = Net("age-net", [1, 3, 64, 64])
    x = net.relu(net.norm(net.conv("x", 3, 16, 3, pad=1, bias=False), 16))
    for inputs, outputs, stride in ((16, 28, 2), (28, 28, 1), (28, 48, 2), (48, 48, 1)):
        x = net.relu(net.norm(net.conv(x, inputs, outputs, 3, stride=stride, pad=1, bias=False), outputs))
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    return net.done(net.dense(x, 48, 9))


def _block(net, x, tokens, width, heads, causal):
    """A transformer's block before which x is normalised: attention and two dense layers."""
    head = width // heads
    h = _layer_norm(net, x, width)
    parts = []
    for _ in range(3):
        part = net.op("Add", net.op("MatMul", h, net.weight((width, width), width)), net.weight((width,), width))
        parts.append(net.op("Transpose", net.reshape(part, 1, tokens, heads, head), perm=[0, 2, 1, 3]))
    query, key, value = parts
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 1, 3, 2]))
    scores = net.op("Mul", scores, net.constant(np.float32(1 / np.sqrt(head))))
    if causal:
        mask = np.triu(np.full((tokens, tokens), -1e4, dtype=np.float32), 1)
        scores = net.op("Add", scores, net.constant(mask))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    mixed = net.reshape(net.op("Transpose", mixed, perm=[0, 2, 1, 3]), 1, tokens, width)
    mixed = net.op("Add", net.op("MatMul", mixed, net.weight((width, width), width)), net.weight((width,), width))
    x = net.op("Add", x, mixed)
    h = _layer_norm(net, x, width)
    h = net.op("Add", net.op("MatMul", h, net.weight((width, 4 * width), width)), net.weight((4 * width,), width))
    # GELU as exporters write it before opset 20.
    half = net.op("Erf", net.op("Mul", h, net.constant(np.float32(np.sqrt(0.5)))))
    half = net.op("Mul", net.op("Add", half, net.constant(np.float32(1))), net.constant(np.float32(0.5)))
    h = net.op("MatMul", net.op("Mul", h, half), net.weight((4 * width, width), 4 * width))
    return net.op("Add", x, net.op("Add", h, net.weight((width,), 4 * width)))


def _layer_norm(net, x, width):
    ones = net.constant(np.ones(width, dtype=np.float32))
    return net.op("LayerNormalization", x, ones, net.constant(np.zeros(width, dtype=np.float32)), axis=-1)


@shape("gpt-213k")
def gpt():
    """Four blocks of width 64 over 64 embedded tokens and 65 characters: 213k parameters with embeddings, 15M MACs."""
    net = Net("gpt-213k", [1, 64, 64])
    x = net.op("Add", "x", net.weight((64, 64), 64))
    for _ in range(4):
        x = _block(net, x, 64, 64, 4, True)
    return net.done(net.op("MatMul", _layer_norm(net, x, 64), net.weight((64, 65), 64)))


@shape("attention-54k")
def attention():
    """One block of width 64 over 64 positions: 54k parameters, 3.7M MACs."""
    net = Net("attention-54k", [1, 64, 64])
    x = net.op("Add", "x", net.weight((64, 64), 64))
    return net.done(_block(net, x, 64, 64, 4, False))


@shape("gan-532k")
def gan():
    """A generator of 1×28×28 from 100 numbers: a dense layer and three transposed convolutions. 532k parameters, 11M MACs."""
    net = Net("gan-532k", [1, 100])
    x = net.reshape(net.relu(net.dense("x", 100, 82 * 49)), 1, 82, 7, 7)
    for inputs, outputs, last in ((82, 72, False), (72, 26, False), (26, 1, True)):
        weights = [net.weight((inputs, outputs, 4, 4), inputs * 4), net.weight((outputs,), inputs * 4)]
        stride = 1 if last else 2
        pads = [1, 1, 2, 2] if last else [1] * 4
        x = net.op("ConvTranspose", x, *weights, kernel_shape=[4, 4], strides=[stride] * 2, pads=pads)
        x = net.op("Tanh", x) if last else net.relu(x)
    return net.done(x)


@shape("resnet18-w16")
def resnet18():
    """ResNet-18 as for CIFAR, width 16, 3×32×32: 35M MACs."""
    net = Net("resnet18-w16", [1, 3, 32, 32])
    x = net.relu(net.norm(net.conv("x", 3, 16, 3, pad=1, bias=False), 16))
    inputs = 16
    for width, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        y = net.relu(net.norm(net.conv(x, inputs, width, 3, stride=stride, pad=1, bias=False), width))
        y = net.norm(net.conv(y, width, width, 3, pad=1, bias=False), width)
        if stride > 1:
            x = net.norm(net.conv(x, inputs, width, 1, stride=stride, bias=False), width)
        x, inputs = net.relu(net.op("Add", y, x)), width
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    return net.done(net.dense(x, 128, 10))


@shape("vgg16-cifar")
def vgg16():
    """VGG-16 as for CIFAR, 3×32×32: 15M parameters, 313M MACs."""
    net = Net("vgg16-cifar", [1, 3, 32, 32])
    x, inputs = "x", 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            x, inputs = net.relu(net.conv(x, inputs, width, 3, pad=1)), width
        x = net.max_pool(x)
    x = net.op("Flatten", x, axis=1)
    x = net.relu(net.dense(x, 512, 512))
    return net.done(net.dense(x, 512, 10))


BATCHED = {
    "tiny-mlp": tiny_mlp,
    "random-forest": lambda: _trees("random-forest", 34, 5, 20, False, rows=True),
}
"""What is measured with several inputs at once: models whose first axis counts them from input to output."""

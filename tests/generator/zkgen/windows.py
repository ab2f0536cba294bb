"""Convolutions and pooling, in one dimension to three, of one image and of some."""

import math

from .builder import Unfit
from .registry import operator


def image(x):
    return x.rank in (3, 4) and x.shape[0] <= 3 and x.shape[1] <= 12 and all(d <= 16 for d in x.shape[2:])


def volume(x):
    """Of three dimensions."""
    return x.rank == 5 and x.shape[0] <= 3 and x.shape[1] <= 4 and all(d <= 5 for d in x.shape[2:])


class Geometry:
    """Kernel, strides, dilations and padding of a window, as attributes and as the output's sizes."""

    def __init__(self, b, sizes, pool, dilate, ceil):
        n = len(sizes)
        self.sizes = sizes
        self.kernel = [b.rng.randint(1, min(4, d + 1)) for d in sizes]
        if pool and b.chance(0.4):
            self.kernel = [min(2, d) for d in sizes]
        self.strides = [b.rng.choice([1, 1, 2, 2, 3]) for _ in range(n)]
        self.dilations = [b.rng.choice([1, 2]) for _ in range(n)] if dilate and b.chance(0.35) else [1] * n
        self.auto = b.rng.choice(["NOTSET"] * 5 + ["SAME_UPPER", "SAME_LOWER", "VALID"])
        self.ceil = ceil and self.auto == "NOTSET" and b.chance(0.3)
        extent = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations)]
        self.before, self.after = [0] * n, [0] * n
        if self.auto == "NOTSET" and b.chance(0.6):
            most = [min(2, k - 1) for k in self.kernel] if pool else [2] * n
            self.before = [b.rng.randint(0, m) for m in most]
            self.after = list(self.before) if b.chance(0.4) else [b.rng.randint(0, m) for m in most]
        self.out = []
        for i, size in enumerate(sizes):
            stride = self.strides[i]
            if self.auto.startswith("SAME"):
                out = math.ceil(size / stride)
                total = max(0, (out - 1) * stride + extent[i] - size)
                half, rest = total // 2, total - total // 2
                self.before[i], self.after[i] = (half, rest) if self.auto == "SAME_UPPER" else (rest, half)
            else:
                room = size + self.before[i] + self.after[i] - extent[i]
                if room < 0:
                    raise Unfit("the window is larger than the image")
                out = room // stride + 1
                if self.ceil:
                    out = math.ceil(room / stride) + 1
                    # Versions of the specification differ on a window that would begin in the padding behind.
                    if (out - 1) * stride >= size + self.before[i]:
                        raise Unfit("the last window begins in the padding")
            self.out.append(out)

    def reads(self, axis, at):
        """Places of the image along an axis that a window covers."""
        first = at * self.strides[axis] - self.before[axis]
        taps = (first + k * self.dilations[axis] for k in range(self.kernel[axis]))
        return [p for p in taps if 0 <= p < self.sizes[axis]]

    def has_empty_window(self):
        return any(not self.reads(a, at) for a, n in enumerate(self.out) for at in range(n))

    def is_partial(self):
        """Some window reaches over the image's edge."""
        return any(
            len(self.reads(a, at)) < self.kernel[a] for a, n in enumerate(self.out) for at in range(n)
        )

    def attributes(self, b):
        attributes = {"kernel_shape": self.kernel}
        if any(s != 1 for s in self.strides) or b.chance(0.5):
            attributes["strides"] = self.strides
        if any(d != 1 for d in self.dilations):
            attributes["dilations"] = self.dilations
        if self.auto != "NOTSET":
            attributes["auto_pad"] = self.auto
        elif any(self.before + self.after) or b.chance(0.3):
            attributes["pads"] = self.before + self.after
        if self.ceil:
            attributes["ceil_mode"] = 1
        return attributes


def _conv(b, x, geometry, state=False):
    channels = x.shape[1]
    divisors = [d for d in range(1, channels + 1) if channels % d == 0]
    group = b.rng.choice([1, 1, channels, b.pick(divisors)])
    out = group * b.rng.randint(1, max(1, 6 // group))
    per_group = channels // group
    terms = per_group * math.prod(geometry.kernel)
    inputs = [x, b.constant(b.normal((out, per_group, *geometry.kernel), 1 / math.sqrt(terms)))]
    if b.chance(0.6):
        inputs.append(b.constant(b.normal(out, 0.4)))
    attributes = geometry.attributes(b)
    if not state and b.chance(0.3):
        del attributes["kernel_shape"]
    if group != 1 or b.chance(0.2):
        attributes["group"] = group
    return b.node("Conv", inputs, (x.shape[0], out, *geometry.out), **attributes)


@operator("Conv", fits=image, weight=5)
def conv(b, x):
    geometry = Geometry(b, x.shape[2:], pool=False, dilate=True, ceil=False)
    if _is_strided_point(geometry):
        raise Unfit("the form below")
    return _conv(b, x, geometry)


def _is_strided_point(g):
    """Some axis has a kernel of one place and a stride."""
    return any(k == 1 and s > 1 for k, s in zip(g.kernel, g.strides)) and all(k == 1 for k in g.kernel)


@operator("Conv(1×1, stride)", fits=image)
def strided_point(b, x):
    geometry = Geometry(b, x.shape[2:], pool=False, dilate=False, ceil=False)
    if not _is_strided_point(geometry):
        raise Unfit("another convolution")
    return _conv(b, x, geometry)


@operator("MaxPool", fits=image, weight=2)
def max_pool(b, x):
    geometry = Geometry(b, x.shape[2:], pool=True, dilate=b.opset >= 10, ceil=b.opset >= 10)
    if geometry.has_empty_window():
        raise Unfit("a window without an entry has no maximum")
    attributes = geometry.attributes(b)
    if b.chance(0.1):
        attributes["storage_order"] = 0
    return b.node("MaxPool", [x], (*x.shape[:2], *geometry.out), **attributes)


@operator("Conv(3-D)", fits=volume)
def conv_3d(b, x):
    # Those that state their kernel are ours, the others the reader's.
    return _conv(b, x, Geometry(b, x.shape[2:], pool=False, dilate=True, ceil=False), state=True)


@operator("MaxPool(3-D)", fits=volume)
def max_pool_3d(b, x):
    return max_pool(b, x)


def _average(b, x, partial):
    geometry = Geometry(b, x.shape[2:], pool=True, dilate=b.opset >= 19, ceil=b.opset >= 10)
    include = b.chance(0.5)
    beyond = any(
        (n - 1) * s + (k - 1) * d >= size + p + q
        for n, s, k, d, size, p, q in zip(
            geometry.out, geometry.strides, geometry.kernel, geometry.dilations, geometry.sizes,
            geometry.before, geometry.after,
        )
    )
    varies = beyond or (geometry.is_partial() and not include)
    if varies != partial or geometry.has_empty_window():
        raise Unfit("another average")
    attributes = geometry.attributes(b)
    if include:
        attributes["count_include_pad"] = 1
    return b.node("AveragePool", [x], (*x.shape[:2], *geometry.out), **attributes)


@operator("AveragePool", fits=image, weight=2)
def average_pool(b, x):
    return _average(b, x, partial=False)


@operator("AveragePool(without padding)", fits=image)
def average_pool_without_padding(b, x):
    return _average(b, x, partial=True)


BY_TABLE = {"LpPool", "GlobalLpPool"}
"""Pools that are proved by tables."""


@operator("LpPool", fits=image)
def lp_pool(b, x):
    # With a ceiling or dilations onnxruntime's shapes are not ONNX's.
    geometry = Geometry(b, x.shape[2:], pool=True, dilate=False, ceil=False)
    if geometry.has_empty_window():
        raise Unfit("a window without an entry has no norm")
    return b.node("LpPool", [x], (*x.shape[:2], *geometry.out), p=1, **geometry.attributes(b))


@operator("GlobalLpPool", fits=lambda x: x.rank in (3, 4, 5), few=True, opsets=(9, 21))
def global_lp_pool(b, x):
    if b.opset >= 22:
        raise Unfit("onnxruntime does not have it")
    attributes = {"p": b.pick([1, 2, 3])} if b.chance(0.7) else {}
    return b.node("GlobalLpPool", [x], (*x.shape[:2], *(1,) * (x.rank - 2)), **attributes)


@operator("GlobalAveragePool", fits=lambda x: x.rank in (3, 4, 5))
def global_average_pool(b, x):
    return b.node("GlobalAveragePool", [x], (*x.shape[:2], *(1,) * (x.rank - 2)))


@operator("GlobalMaxPool", fits=lambda x: x.rank in (3, 4, 5))
def global_max_pool(b, x):
    return b.node("GlobalMaxPool", [x], (*x.shape[:2], *(1,) * (x.rank - 2)))

"""Matrix products and reductions."""

import math

from .builder import Unfit
from .registry import operator


@operator("Gemm", fits=lambda x: x.rank == 2, weight=3)
def gemm(b, x):
    constant_left = b.chance(0.2)
    flags = {"transA": int(b.chance(0.3)), "transB": int(b.chance(0.5))}
    mine = flags["transB"] if constant_left else flags["transA"]
    rows, inner = x.shape if not mine else x.shape[::-1]
    if constant_left:
        rows, inner = inner, rows
    other = b.rng.randint(1, 8)
    turned = flags["transA"] == 0 if constant_left else flags["transB"] == 1
    shape = (other, inner) if turned else (inner, other)
    constant = b.constant(b.normal(shape, 1 / math.sqrt(inner)))
    m, n = (other, rows) if constant_left else (rows, other)
    operands = [constant, x] if constant_left else [x, constant]
    bias = b.pick([(), (1,), (n,), (m, n), (m, 1), (1, n), None, None])
    if bias is None and b.opset < 11:
        bias = (n,)
    if bias is not None:
        operands.append(b.constant(b.normal(bias, 0.5)))
    attributes = {k: v for k, v in flags.items() if v or b.chance(0.2)}
    if b.chance(0.4):
        attributes["alpha"] = b.pick([0.5, -1.5, 2.0])
    if b.chance(0.4):
        attributes["beta"] = b.pick([0.5, -2.0, 0.0])
    return b.node("Gemm", operands, (m, n), **attributes)


@operator("MatMul", fits=lambda x: x.rank >= 2, weight=3)
def matmul(b, x):
    if b.chance(0.25):
        # The constant stands on the left.
        inner, other = x.shape[-2], b.rng.randint(1, 8)
        constant = b.constant(b.normal((other, inner), 1 / math.sqrt(inner)))
        return b.node("MatMul", [constant, x], (*x.shape[:-2], other, x.shape[-1]))
    inner, other = x.shape[-1], b.rng.randint(1, 8)
    if b.chance(0.15):
        constant = b.constant(b.normal(inner, 1 / math.sqrt(inner)))
        return b.node("MatMul", [x, constant], x.shape[:-1])
    lead = (1,) * b.rng.randint(0, x.rank - 2) if b.chance(0.3) else ()
    constant = b.constant(b.normal((*lead, inner, other), 1 / math.sqrt(inner)))
    return b.node("MatMul", [x, constant], (*x.shape[:-1], other))


@operator("MatMul(x,y)", fits=lambda x: x.rank >= 2)
def matmul_of_two(b, x):
    order = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    turned = b.node("Transpose", [x], tuple(x.shape[d] for d in order), perm=order)
    first, second = (x, turned) if b.chance(0.5) else (turned, x)
    return b.node("MatMul", [first, second], (*first.shape[:-1], second.shape[-1]))


@operator("Gemm(x,y)", fits=lambda x: x.rank == 2)
def gemm_of_two(b, x):
    flags = {"transA": 1} if b.chance(0.5) else {"transB": 1}
    side = x.shape[1] if "transA" in flags else x.shape[0]
    bias = [b.constant(b.normal((side,), 0.5))] if b.opset < 11 or b.chance(0.5) else []
    return b.node("Gemm", [x, x, *bias], (side, side), alpha=b.pick([0.5, 1.0]), **flags)


OF_TWO = ("Mul(x,y)", "Div(x,y)", "Div(c,x)", "Pow(x,y)", "MatMul(x,y)", "Gemm(x,y)")
"""Products of two computed tensors, which only SumcheckWhir proves, and quotients, which have a table."""
BY_TABLE = {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}
"""Reductions that are proved by tables."""


@operator("MatMul(matrices)", fits=lambda x: x.rank >= 3 and max(x.shape[:-2]) > 1)
def matmul_matrices(b, x):
    """Another matrix for each element of a batch, or of its last axes."""
    lead = x.shape[b.rng.choice([0, *(i for i in range(x.rank - 2) if x.shape[i] > 1)]) : -2]
    left, other = b.chance(0.3), b.rng.randint(1, 6)
    inner = x.shape[-2] if left else x.shape[-1]
    sizes = (other, inner) if left else (inner, other)
    constant = b.constant(b.normal((*lead, *sizes), 1 / math.sqrt(inner)))
    if left:
        return b.node("MatMul", [constant, x], (*x.shape[:-2], other, x.shape[-1]))
    return b.node("MatMul", [x, constant], (*x.shape[:-1], other))


@operator("MatMul(vector)", fits=lambda x: x.rank == 1, weight=1)
def matmul_vector(b, x):
    inner, other = x.shape[0], b.rng.randint(1, 6)
    constant = b.constant(b.normal((inner, other), 1 / math.sqrt(inner)))
    return b.node("MatMul", [x, constant], (other,))


@operator("MatMul(vector·vector)", fits=lambda x: x.rank == 1, refused=True)
def inner_product(b, x):
    constant = b.constant(b.normal(x.shape, 1 / math.sqrt(x.shape[0])))
    return b.node("MatMul", [x, constant], ())


def _reduce(op, input_since):
    def emit(b, x):
        axes = sorted(b.rng.sample(range(x.rank), b.rng.randint(1, x.rank)))
        keep = b.chance(0.5)
        if not keep and len(axes) == x.rank and b.chance(0.7):
            raise Unfit("too many scalars")
        attributes = {"keepdims": int(keep)} if not keep or b.chance(0.5) else {}
        inputs = [x]
        given = [b.axis(a, x.rank) for a in axes]
        if len(axes) == x.rank and b.chance(0.5):
            if b.opset >= input_since and b.chance(0.3):
                attributes["noop_with_empty_axes"] = 0
        elif b.opset >= input_since:
            inputs.append(b.ints(given))
        else:
            attributes["axes"] = given
        shape = tuple(
            1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes
        )
        return b.node(op, inputs, shape, **attributes)

    return emit


for _op, _since in (("ReduceSum", 13), ("ReduceMean", 18), ("ReduceMax", 18)):
    operator(_op, scalar=False, weight=0.7)(_reduce(_op, _since))
for _op in ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMin", "ReduceSumSquare"):
    operator(_op, scalar=False, weight=0.5)(_reduce(_op, 18))


@operator("ReduceLogSum", scalar=False, weight=0.5)
def reduce_log_sum(b, x):
    part = b.node("Sigmoid", [x], x.shape)
    return _reduce("ReduceLogSum", 18)(b, part)

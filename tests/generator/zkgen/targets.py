"""What a run must have met: pairs of producer and consumer, and the forms of binary operators with a constant.

Invariant: what a graph counts for is read off the finished model, not off what was asked of the generator.
"""

import random
from collections import Counter

from onnx import numpy_helper

from . import (  # noqa: F401  (they fill the registry)
    control,
    elementwise,
    functions,
    learners,
    maps,
    matrices,
    moves,
    norms,
    quantised,
    recurrent,
    shaped,
    signals,
    softmax,
    whole,
    windows,
)
from .builder import Builder, Unfit, reads
from .elementwise import BINARY, CELLS, FLOAT, HALF, KINDS, broadcast, kind_of
from .registry import FORMS, op_of

NOT_MADE = {
    "Constant": "it makes no pair: constants are initializers, or nodes of it",
    "IsInf": "of numbers that are finite its answer is always no: no pair says anything of it",
    "IsNaN": "of numbers that are finite its answer is always no: no pair says anything of it",
    "ZipMap": "it makes no tensor but names for the places of one: an operator's tests ask onnxruntime for its maps",
    "Shape": "it makes no pair: it stands before Reshape(Shape)",
    **{op: f"it makes no pair: it stands before {form}" for op, form in quantised.STANDS_BEFORE.items()},
}
"""Operators that the importer takes, and of which there is no form, with the reason."""
SOMETIMES = ("Div(c,x)", "Pow(x,c)", "Pow(x,y)")
"""Forms of which some read a tensor as it is, and others one that was brought to where they have a value."""
BROUGHT = (
    "Acos", "Acosh", "AffineGrid", "Asin", "Atanh", "Log", "Normalizer", "Reciprocal", "ReduceLogSum", "Sqrt", "Tan",
    quantised.PRODUCT, quantised.QUANTISED, *SOMETIMES,
)
"""Forms that have no value everywhere, or only of a shape or of numbers of 8 bits: what they read is brought to where they have."""
RANKS = (1, 2, 3, 4, 5)
LEAST = 20
"""How often each pair of *operators* is to be proved, and each binary operator with a constant."""
LEAST_FORM = 5
"""How often at least each form of the consumer is, where it has several."""


def shapes_to_try(rng):
    """Shapes of inputs and of tensors on the way, of every rank."""
    d = lambda most=5: rng.randint(1, most)
    return rng.choice(
        [
            (d(8),),
            (1, rng.randint(2, 8)),
            (d(), d(8)),
            (1, d(), d(8)),
            (d(), d(), d()),
            (1, rng.randint(1, 4), rng.randint(3, 8), rng.randint(3, 8)),
            (1, rng.randint(1, 4), rng.randint(3, 6), rng.randint(3, 6)),
            (d(3), d(3), d(), d()),
            (rng.randint(2, 3), rng.randint(1, 3), rng.randint(3, 6), rng.randint(3, 6)),
            (1, d(3), d(3), d(4), d(4)),
            (d(2), d(2), d(3), d(3), d(3)),
        ]
    )


def of_rank(rng, rank):
    while True:
        shape = shapes_to_try(rng)
        if len(shape) == rank:
            return shape


def producers():
    return sorted({op_of(f) for f in FORMS} - {"Max(x)"}) + ["Input"]


def consumers():
    return sorted(FORMS) + ["Output"]


def valid_pairs():
    """Pairs that can be built: some output of the producer is an operand that the consumer takes."""
    made = {"Input": [_input(random.Random(i)) for i in range(60)]}
    of_few = {op_of(f) for f in FORMS if FORMS[f].few}
    for name, form in FORMS.items():
        found = made.setdefault(op_of(name), [])
        for i in range(400):
            rng = random.Random(f"{name}/{i}")
            b = Builder(rng, rng.choice([9, 13, 19, 24]))
            x = b.input(shapes_to_try(rng))
            try:
                x = whole.brought(b, x, form.of)
                y = form.emit(b, x) if form.fits(x) else None
            except Unfit:
                continue
            if y is not None:
                found.append((y[0] if isinstance(y, list) else y, b))
            if len(found) > 80:
                break
    pairs = set()
    for producer, tensors in made.items():
        if producer != "Input":
            pairs.add((producer, "Output"))
        for consumer, form in FORMS.items():
            fits = ((t, b) for t, b in tensors if form.fits(t))
            # Of forms that few operator sets have it takes more than a shape.
            if producer in of_few or form.few:
                fits = (one for one in fits if _emits(form, *one))
            if any(True for _ in fits):
                pairs.add((producer, consumer))
    return sorted(pairs)


def _emits(form, x, b):
    mark = b.mark()
    try:
        form.emit(b, x)
    except Unfit:
        return False
    finally:
        b.undo(mark)
    return True


def _input(rng):
    b = Builder(rng, rng.choice([9, 13, 19, 24]))
    return b.input(shapes_to_try(rng)), b


def valid_cells():
    """(operator, side, kind of constant, rank of the tensor) that exist."""
    kinds, within = set(), set()
    for rank in RANKS:
        for kind in KINDS:
            for i in range(60):
                rng = random.Random(f"{kind}{rank}{i}")
                b = Builder(rng, 13)
                x = b.input(of_rank(rng, rank))
                try:
                    c = KINDS[kind](b, x.shape)
                    broadcast(c, x.shape)
                except Unfit:
                    continue
                of = (kind_of(c, x.shape), rank)
                kinds.add(of)
                if broadcast(c, x.shape) == tuple(x.shape):
                    within.add(of)
    of_op = lambda cell: within if cell.within else kinds
    return sorted((op, side, *of) for op, cell in CELLS.items() for side in cell.sides for of in of_op(cell))


def least(pairs):
    """How often each pair is to be proved, so that together the forms of a consumer have met its producer `LEAST` times."""
    forms = Counter((p.key[0], op_of(p.key[1])) for p in pairs if not p.refused)
    return {p.key: max(LEAST_FORM, -(-LEAST // forms[p.key[0], op_of(p.key[1])])) for p in pairs if not p.refused}


def known_refused(pair):
    """Whether the importer takes no graph with that pair, as far as its documentation says."""
    consumer = pair[1]
    return consumer in FORMS and FORMS[consumer].refused


def matrix(node, computed):
    """The constant of a matrix product."""
    return node.input[1] if node.input[0] in computed else node.input[0]


def form_of(node, computed, constants, shapes, wholes):
    """The name of a node's form in the tables."""
    op = node.op_type
    if op in (*BINARY, "Pow", "PRelu"):
        first, *rest = node.input
        if not rest:
            return "Max(x)"
        if all(i in computed for i in node.input):
            return f"{op}(x,y)"
        return f"{op}(x,c)" if first in computed else f"{op}(c,x)"
    if op in whole.COMPARISONS or op in whole.LOGIC:
        first, second = (i in computed for i in node.input)
        return f"{op}(x,y)" if first and second else f"{op}(x,c)" if first else f"{op}(c,x)"
    if op == "DequantizeLinear" and node.input[0] in computed:
        return quantised.QUANTISED
    if op == "If" and node.input[0] in computed:
        return "If(computed)"
    if op == "Where" and node.input[0] in computed:
        return "Where(computed)" if any(i in computed for i in node.input[1:]) else "Where(constants)"
    if op == "Gather" and node.input[0] not in computed:
        return "Gather(table)"
    if op == "Gather" and node.input[1] in computed:
        return "Gather(computed)"
    if op == "GatherElements" and node.input[0] not in computed:
        return "GatherElements(table)"
    if op == "ArrayFeatureExtractor" and node.input[0] not in computed:
        return "ArrayFeatureExtractor(places)"
    if op == "Cast" and node.attribute[0].i == HALF:
        return "Cast(half)"
    if op == "Cast" and node.attribute[0].i in whole.TO.values() and node.attribute[0].i != FLOAT:
        return "Cast(to whole)"
    if op == "Cast" and node.input[0] in wholes:
        return "Cast(to float)"
    if op in ("MatMul", "Gemm", "Einsum") and all(i in computed for i in node.input[:2]):
        return f"{op}(x,y)"
    if op == "MatMul" and len(shapes.get(node.input[0], (0, 0))) == 1:
        return "MatMul(vector·vector)" if len(shapes[node.input[1]]) == 1 else "MatMul(vector)"
    if op == "MatMul" and len(shapes.get(matrix(node, computed), ())) > 2 and max(shapes[matrix(node, computed)][:-2]) > 1:
        return "MatMul(matrices)"
    if op == "MaxPool" and len(shapes.get(node.input[0], ())) == 5:
        return "MaxPool(3-D)"
    if op == "Slice" and (len(node.input) == 5 and any(constants[node.input[4]] != 1)):
        return "Slice(step)"
    return op


def features(model, shapes):
    """Pairs and cells of a model, with how often each is there.

    `shapes` are those of all float tensors, and of constants that nodes compute.
    """
    graph = model.graph
    maker = {i.name: "Input" for i in graph.input}
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    computed = set(maker)
    gates = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Sigmoid"}
    # What some functions read is brought into their domain first, from the tensor that they count for.
    origin, products = {}, set()
    integers = ("Cast", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul")
    for n in graph.node:
        if n.op_type in ("Sigmoid", "Tanh"):
            origin[n.output[0]] = n.input[0]
        elif n.op_type in ("Add", "Mul") and n.input[0] in origin:
            origin[n.output[0]] = origin[n.input[0]]
        elif n.op_type == "Reshape":
            origin[n.output[0]] = n.input[0]
        elif n.op_type in ("DynamicQuantizeLinear", "QuantizeLinear"):
            origin |= {name: n.input[0] for name in n.output}
        elif n.op_type in integers and n.input[0] in origin:
            origin[n.output[0]] = origin[n.input[0]]
            products.update(n.output)
    shapes = {**shapes, **{n: c.shape for n, c in constants.items()}}
    met = Counter()
    from_shape = set()
    wholes = {i.name for i in graph.input if i.type.tensor_type.elem_type != FLOAT}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = value = numpy_helper.to_array(node.attribute[0].t)
            shapes[node.output[0]] = value.shape
            continue
        if node.op_type == "Shape" or any(i in from_shape for i in node.input[:1]):
            from_shape.update(node.output)
            continue
        if not any(i in computed for i in reads(node)):
            continue
        form = form_of(node, computed, constants, shapes, wholes)
        if node.op_type == "Reshape" and node.input[1] in from_shape:
            form = "Reshape(Shape)"
        if form == "Mul(x,y)" and any(gates.get(a) == b for a, b in (node.input, node.input[::-1])):
            form = "Mul(silu)"
        if form == "Mul(x,y)" and node.input[0] in products:
            form = quantised.PRODUCT
        if node.op_type in ("AveragePool", "Conv"):
            form = windows_form(node, shapes)
        for name in reads(node):
            if name in computed:
                direct = form not in BROUGHT or (form in SOMETIMES and maker[name] in ("Sigmoid", "Tanh"))
                of = name if direct else origin.get(name, name)
                met[(maker[of], form)] += 1
        side = form[len(node.op_type) + 1 : -1]
        if node.op_type in CELLS and len(node.input) == 2 and side in CELLS[node.op_type].sides:
            x, c = node.input if side == "x,c" else reversed(node.input)
            # What stands within a form of several nodes is none's to read.
            if c in shapes and x in shapes:
                met[(node.op_type, side, kind_of(shapes[c], shapes[x]), len(shapes[x]))] += 1
        of_float = node.op_type == "Where" or form in ("Cast(to float)", "Gather(table)") or "Feature" in form
        if form == "Cast(to whole)" or node.op_type in whole.MAKERS or (not of_float and node.input[0] in wholes):
            wholes.add(node.output[0])
        if node.op_type == "Split" and node.input[0] in wholes:
            wholes.update(node.output)
        for name in node.output:
            maker[name] = node.op_type
            computed.add(name)
    for output in graph.output:
        met[(maker[output.name], "Output")] += 1
    return met


def windows_form(node, shapes):
    """Conv and AveragePool have forms that are refused."""
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    strides = attributes.get("strides", [1])
    if node.op_type == "Conv":
        kernel = shapes[node.input[1]][2:]
        if len(kernel) == 3:
            return "Conv(3-D)"
        return "Conv(1×1, stride)" if set(kernel) == {1} and max(strides) > 1 else "Conv"
    kernel, n = attributes["kernel_shape"], len(attributes["kernel_shape"])
    sizes, out = shapes[node.input[0]][2:], shapes[node.output[0]][2:]
    pads = attributes.get("pads", [0] * 2 * n)
    dilations = attributes.get("dilations", [1] * n)
    strides = attributes.get("strides", [1] * n)
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    partial = beyond = False
    for i in range(n):
        extent = (kernel[i] - 1) * dilations[i] + 1
        before, after = pads[i], pads[n + i]
        if auto.startswith("SAME"):
            total = max(0, (out[i] - 1) * strides[i] + extent - sizes[i])
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            after = total - before
        last = (out[i] - 1) * strides[i] + extent
        beyond |= last > sizes[i] + before + after
        partial |= before > 0 or last > sizes[i] + before
    include = attributes.get("count_include_pad", 0)
    return "AveragePool(without padding)" if beyond or (partial and not include) else "AveragePool"

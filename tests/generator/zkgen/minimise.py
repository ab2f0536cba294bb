"""Makes a failing graph smaller while it still fails in the same way."""

import numpy as np
from onnx import helper

from . import judge, oracle
from .builder import reads, within

ROUNDS = 12
AT_ONCE = 40


def minimise(programs, system, model, inputs, outcome, folder):
    """The smallest (model, inputs) found."""
    for n in range(ROUNDS):
        candidates = list(_smaller(model, inputs))[:AT_ONCE]
        cases = [(f"m{i}", m.SerializeToString(), x, True) for i, (m, x) in enumerate(candidates)]
        if not cases:
            break
        answers = programs.run(cases, system, folder / f"minimise-{n}")
        for (name, _, x, _), (smaller, _) in zip(cases, candidates):
            if _fails(answers[name], smaller, x, outcome):
                model, inputs = smaller, x
                break
        else:
            break
    return model, inputs


def _fails(answer, model, inputs, outcome):
    if answer.phase != "Succeeded":
        return outcome != judge.REFUSED and judge.unproved(answer.reason, answer.message)[0] == outcome
    asked = oracle.Oracle(model)
    expected = dict(zip(asked.names, asked.answer(inputs)))
    scales = [float(np.abs(y).max()) for y in expected.values()]
    return judge.judge(answer.outputs, expected, scales, True)[0] == outcome


def _smaller(model, inputs):
    values = {n: v for n, v in oracle.all_values(model, inputs).items() if v.dtype == np.float32 or judge.is_whole(v)}
    graph = model.graph
    if len(graph.output) > 1:
        for output in graph.output:
            yield _with(model, inputs, outputs=[output.name], values=values)
    made = [n.output[0] for n in graph.node if n.output[0] in values]
    # Cut off the end, then the beginning, then single nodes.
    for name in made[:-1]:
        yield _with(model, inputs, outputs=[name], values=values)
    for name in reversed(made):
        if name not in {o.name for o in graph.output} and not judge.is_whole(values[name]):
            yield _with(model, inputs, as_input=name, values=values)
    for node in graph.node:
        for x in node.input:
            same = x in {**values, **inputs} and node.output[0] in values
            before, after = {**values, **inputs}.get(x), values.get(node.output[0])
            if same and before.shape == after.shape and before.dtype == after.dtype:
                yield _with(model, inputs, bypass=(node.output[0], x), values=values)


def _rename_output(nodes, name):
    """What makes a tensor makes one of another name; other outputs of the node may still be needed."""
    for n in nodes:
        n.output[:] = [f"{o}_cut" if o == name else o for o in n.output]


def _with(model, inputs, values, outputs=None, as_input=None, bypass=None):
    """A copy with these outputs, with a tensor that comes from outside, or without a node; then without dead parts."""
    graph = model.graph
    nodes = [type(n)() for n in graph.node]
    for copy, node in zip(nodes, graph.node):
        copy.CopyFrom(node)
    wanted = outputs or [o.name for o in graph.output]
    if bypass:
        gone, instead = bypass
        _rename_output(nodes, gone)
        for n in [n for node in nodes for n in within(node)]:
            n.input[:] = [instead if i == gone else i for i in n.input]
        wanted = [instead if o == gone else o for o in wanted]
    given = dict(inputs)
    if as_input:
        _rename_output(nodes, as_input)
        draw = np.random.default_rng(len(nodes))
        given[as_input] = draw.standard_normal(values[as_input].shape).astype(np.float32)
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed.update(reads(node))
            kept.append(node)
    kept.reverse()
    given = {n: v for n, v in given.items() if n in needed}
    info = lambda n, v: helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
    small = helper.make_graph(
        kept, graph.name, [info(n, v) for n, v in given.items()],
        [info(n, {**values, **given}[n]) for n in wanted], [t for t in graph.initializer if t.name in needed],
    )
    whole = helper.make_model(small, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    return whole, given

"""What the generator itself must get right: `tests/generator/run --selftest`."""

from pathlib import Path

import numpy as np
import onnx

from . import cbor, judge, models, oracle, tables
from .elementwise import SPECIAL, kind_of
from .main import Case
from .minimise import _smaller
from .paths import CELL
from .plan import Plan
from .registry import FORMS, op_of
from .targets import NOT_MADE, known_refused, valid_cells, valid_pairs


def a_graph_is_a_function_of_its_id():
    for identity in ("a.1/any", "a.2/pair Conv > Sub(c,x)", "a.3/cell Max|x,c|higher|3"):
        first, second = (models.make(identity)[0].SerializeToString() for _ in range(2))
        assert first == second, identity
    assert models.make("a.1/any")[0] != models.make("b.1/any")[0]


def a_path_is_found_again_by_its_name_and_meets_what_it_says():
    plan = Plan("p")
    found = [i for i in (plan.next() for _ in range(60)) if "/path" in i or "/tree" in i]
    assert len(found) > 30 and any("/path" in i for i in found)
    for identity in found:
        case = Case(identity)
        _, *links = identity.split(" > ")
        forms, pairs = ["Input"], []
        for link in links:
            at, _, form = link.rpartition("@")
            if CELL in form:
                op, side, _, _ = form.split(CELL)
                form = f"{op}({side})"
            pairs.append((op_of(forms[int(at) if at else -1]), form))
            forms.append(form)
        # A form that ends in another operator than its own breaks the chain of names.
        met = sum(pair in case.met for pair in pairs)
        assert met >= 0.7 * len(pairs), (identity, case.met)
        assert "/tree" not in identity or len(case.model.graph.output) > 1, identity
    assert models.make("p.1/path 0 > no such form") is None


def every_target_can_be_made_and_is_met():
    targets = [(p, "pair " + " > ".join(p)) for p in valid_pairs()][::37]
    targets += [(c, "cell " + "|".join(map(str, c))) for c in valid_cells()][::23]
    met = 0
    for key, name in targets:
        for i in range(12):
            case = Case(f"t.{i}/{name}")
            assert case.model is not None, name
            if key in case.met:
                met += 1
                break
    assert met >= len(targets) - 1, f"{met} of {len(targets)}"
    assert not known_refused(("Relu", "Div(c,x)")) and not known_refused(("Conv", "Sub(c,x)"))


def every_binary_operator_has_a_cell_on_each_side_that_it_has():
    cells = valid_cells()
    both = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "And", "Or", "Xor"}
    both |= {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
    assert {(op, side) for op, side, _, _ in cells} == {(op, s) for op in both for s in ("x,c", "c,x")} | {("PRelu", "x,c")}
    for op in both:
        assert sum(c[:2] == (op, "c,x") for c in cells) == sum(c[:2] == ("Add", "x,c") for c in cells), op
    slopes = {kind for op, _, kind, _ in cells if op == "PRelu"}
    assert slopes and not slopes & {"wider", "higher"}, slopes


def a_constant_is_divided_by_what_was_computed_itself():
    """Not only by what keeps it from 0: else no reader is tempted to merge both."""
    direct = 0
    for i in range(12):
        case = Case(f"q.{i}/pair Conv > Div(c,x)")
        makers = {name: node.op_type for node in case.model.graph.node for name in node.output}
        quotients = [n for n in case.model.graph.node if n.op_type == "Div"]
        direct += any(makers.get(n.input[1]) == "Conv" for n in quotients)
        assert ("Conv", "Div(c,x)") in case.met, case.id
        assert all(np.isfinite(y).all() and np.abs(y).max() < 100 for y in case.expected.values()), case.id
    assert 4 <= direct, direct


def constants_of_which_readers_make_something_else_are_met():
    met = set()
    for op, side in SPECIAL:
        for i in range(40):
            model, _ = models.make(f"c.{i}/cell {op}|{side}|full|2")
            constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
            for node in model.graph.node:
                of = [constants[n] for n in node.input if n in constants]
                if node.op_type == op and len(of) == 1:
                    met.update((op, side, float(v)) for v in of[0].flat)
    assert all((op, side, 1.0) in met for op, side in SPECIAL), sorted(met)
    assert {("Add", "x,c", 0.0), ("Sub", "c,x", 0.0), ("Max", "x,c", 0.0), ("Mul", "x,c", 0.0), ("Mul", "x,c", 2.0)} <= met


def every_supported_operator_is_made_or_named_with_a_reason():
    page = (Path(__file__).parents[3] / "docs" / "operators.md").read_text().splitlines()
    supported = {line.removeprefix("- ").strip() for line in page if line.startswith("- ")}
    made = {op_of(form) for form in FORMS}
    assert len(supported) > 100
    assert not supported - made - set(NOT_MADE), f"no form of {sorted(supported - made - set(NOT_MADE))}"
    assert not made & set(NOT_MADE) and set(NOT_MADE) <= supported


def whole_tensors_have_the_type_and_the_values_that_they_say():
    kinds = {np.dtype(np.bool_): "bool", np.dtype(np.int64): "int64", np.dtype(np.int32): "int32"}
    met = set()
    names = ["Greater > Output", "ArgMax > Output", "ArgMax > Cast(to whole)", "Not > Cast(to whole)", "LinearClassifier > Squeeze"]
    for name in [f"pair {n}" for n in names for _ in range(4)]:
        model, builder = models.make(f"w.{len(met)}/{name}")
        answers = oracle.Oracle(model).answer(models.inputs_of(model, name, "input"))
        for tensor, y in zip(builder.outputs, answers):
            assert kinds.get(y.dtype, "float") == tensor.kind, name
            met.add(tensor.kind)
            if tensor.kind in ("int64", "int32") and tensor.most:
                assert 0 <= y.min() and y.max() <= tensor.most, name
    assert met >= {"bool", "int64"}
    given = set()
    for i in range(300):
        model, builder = models.make(f"i.{i}/any")
        inputs = models.inputs_of(model, "i", "input")
        oracle.Oracle(model).answer(inputs)  # it refuses another type, and a place that a table does not have
        given.update(tensor.kind for tensor in builder.inputs if tensor.name in inputs)
    assert given >= {"float", "bool", "uint8", "int8", "int64"}, given


def an_input_near_a_threshold_is_passed_over_and_one_at_it_is_not():
    info = lambda n, kind: onnx.helper.make_tensor_value_info(n, kind, [3])
    constant = onnx.numpy_helper.from_array(np.asarray([1, 0, 1], np.float32), "c")
    nodes = [onnx.helper.make_node("Relu", ["x"], ["r"]), onnx.helper.make_node("Greater", ["r", "c"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [info("x", 1)], [info("y", 9)], [constant])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    asked = oracle.Oracle(model)
    answers = lambda x: [asked.answer(i) for i in [x, *models.nearly(x, "n")]]
    at = {"x": np.asarray([2, -1, 0.5], np.float32)}
    near = {"x": np.asarray([1 + 1e-6, -1, 0.5], np.float32)}
    assert not judge.doubtful(answers(at), [1.0]) and judge.doubtful(answers(near), [1.0])


def graphs_are_valid_and_have_the_shapes_that_they_say():
    for i in range(150):
        case = Case(f"v.{i}/any")  # it compares shapes with onnxruntime's itself
        onnx.checker.check_model(case.model)
        assert all(np.isfinite(y).all() for y in case.expected.values())


def answers_are_judged_by_shape_value_and_class():
    y = {"y": np.asarray([[1.0, -4.0, 3.98]], dtype=np.float32)}
    verdict = lambda got, compare=True: judge.judge({"y": np.asarray(got)}, y, [1.0], compare)[0]
    assert verdict([[1.0, -4.0, 3.98]]) == judge.PROVED
    assert verdict([1.0, -4.0, 3.98]) == "wrong shape" == verdict([[1.0, -4.0]])
    assert verdict([[1.5, -4.0, 3.98]]) == "wrong value"
    assert verdict([[1.1, -4.0, 3.98]]) == judge.INACCURATE
    assert verdict([[float("nan"), -4.0, 3.98]]) == "wrong value"
    assert judge.judge({}, y, [1.0], True)[0] == "wrong shape"
    place = {"y": np.asarray([1000, 3])}
    assert judge.judge({"y": np.asarray([1000.0, 3.0])}, place, [1000.0], True)[0] == judge.PROVED
    assert judge.judge({"y": np.asarray([1001.0, 3.0])}, place, [1000.0], True)[0] == "wrong value"
    says = {"y": np.asarray([[False, True]])}
    assert judge.judge({"y": np.asarray([[0.0, 1.0]])}, says, [1.0], True)[0] == judge.PROVED
    assert judge.judge({"y": np.asarray([[0.0, 0.0]])}, says, [1.0], True)[0] == "wrong value"
    near = {"y": np.asarray([[1.0, 1.005]], dtype=np.float32)}
    other = {"y": np.asarray([[1.005, 1.0]])}
    assert judge.judge(other, near, [1.0], True)[0] == "wrong class"
    assert judge.judge(other, near, [1.0], False)[0] == judge.PROVED
    assert judge.error_of([0.001], [0.0], 1.0) == 0.001 and judge.error_of([1e-9], [0.0], 0.0) == float("inf")


def a_stated_scale_is_believed_only_near_what_the_samples_show():
    case = object.__new__(Case)
    case.scales, case.inputs = [2.0, 0.0], {"x": np.asarray([-3.0, 1.0])}
    assert case._stated([1.0, 0.1]) == [1.0, 0.1]
    assert case._stated([1e9, 1e9]) == [8.0, 3.0] and case.zero


def a_graph_that_is_read_as_another_function_is_no_refusal():
    differs = "node `Sub_sub5`: this program reads the model as another function than the file states (it differs by 2.8e-5)"
    assert judge.unproved("CompileFailed", differs)[0] == judge.MISREAD
    assert judge.unproved("CompilerCrashed", differs)[0] == judge.CRASHED
    refused = judge.unproved("UnsupportedNodes", "`Cast_cast4` (Cast): a cast to F16; the model has others")
    assert refused == (judge.REFUSED, "UnsupportedNodes: Cast: a cast to F16")


def constants_have_the_kind_that_the_tables_say():
    kinds = {
        (): "scalar", (1,): "[1]", (1, 1, 1, 1): "ones", (2, 3, 4, 5): "full", (5,): "last", (3, 1, 1): "[C,1…]",
        (1, 3, 1, 1): "[1,C,1…]", (2, 1, 1, 1): "first", (3, 4, 5): "suffix", (1, 3, 4, 1): "middle two",
        (2, 1, 4, 1): "two apart", (6, 2, 3, 4, 5): "higher",
    }
    for shape, kind in kinds.items():
        assert kind_of(shape, (2, 3, 4, 5)) == kind, (shape, kind)
    assert kind_of((4,), (2, 1)) == "wider"


def padding_is_written_out_as_the_specification_says():
    make = lambda **a: onnx.helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], dilations=[2], strides=[2], **a)
    info = lambda n: onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1, 5 if n == "x" else 3])
    for auto, pads in (("SAME_UPPER", [1, 1]), ("SAME_LOWER", [1, 1])):
        graph = onnx.helper.make_graph([make(auto_pad=auto)], "g", [info("x")], [info("y")])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 12)], ir_version=8)
        asked, names = oracle.in_other_words(model)
        assert list(oracle.attributes_of(asked.graph.node[0])["pads"]) == pads
        assert names == ["MaxPool: auto_pad SAME with dilation"]
        x = np.arange(5, dtype=np.float32).reshape(1, 1, 5)
        assert oracle.Oracle(model).answer({"x": x})[0].tolist() == [[[1.0, 3.0, 3.0]]]


def a_stride_longer_than_the_kernel_crops_nothing():
    info = lambda n, size: onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1, size])
    for op in ("AveragePool", "LpPool", "MaxPool"):
        node = onnx.helper.make_node(op, ["x"], ["y"], kernel_shape=[1], strides=[3], auto_pad="SAME_UPPER")
        graph = onnx.helper.make_graph([node], "g", [info("x", 3)], [info("y", 1)])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 12)], ir_version=8)
        asked = oracle.Oracle(model)
        assert asked.departures == [f"{op}: auto_pad SAME with a stride longer than the kernel"]
        assert asked.answer({"x": np.array([[[1, 2, 3]]], dtype=np.float32)})[0].tolist() == [[[1.0]]], op


def base_values_are_added_to_a_target_without_a_vote():
    info = lambda n, size: onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, size])
    nodes = {"treeids": [0] * 3, "nodeids": [0, 1, 2], "featureids": [0] * 3, "values": [0.5, 0.0, 0.0]}
    nodes |= {"modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "truenodeids": [1, 0, 0], "falsenodeids": [2, 0, 0]}
    votes = {"treeids": [0, 0], "nodeids": [1, 2], "ids": [1, 1], "weights": [0.25, 2.0]}
    attributes = {f"nodes_{n}": v for n, v in nodes.items()} | {f"target_{n}": v for n, v in votes.items()}
    tree = onnx.helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=2, base_values=[1.0, -1.0], **attributes
    )
    graph = onnx.helper.make_graph([tree], "g", [info("x", 1)], [info("y", 2)])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    asked = oracle.Oracle(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8))
    assert asked.departures == ["TreeEnsembleRegressor: base values of a target without a vote"]
    assert asked.answer({"x": np.asarray([[1.0]], np.float32)})[0].tolist() == [[1.0, 1.0]]


def a_group_of_equal_numbers_has_no_variance_and_an_answer():
    info = lambda n: onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 2, 3])
    node = onnx.helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[0, 2])
    graph = onnx.helper.make_graph([node], "g", [info("x")], [info("y")])
    for opset in (13, 18):
        asked = oracle.Oracle(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8))
        assert asked.departures == ["MeanVarianceNormalization: a group of equal numbers"]
        rows = asked.answer({"x": np.asarray([[[4, 4, 4], [1, 2, 3]]], np.float32)})[0]
        assert np.allclose(rows, [[[0, 0, 0], [-1.5**0.5, 0, 1.5**0.5]]], atol=1e-6), rows


def numbers_that_only_rounding_parts_are_passed_over_and_others_are_not():
    info = lambda n, kind: onnx.helper.make_tensor_value_info(n, kind, None)

    def moves(first, op, kind, x):
        """Whether the answer hangs on what the first node rounds."""
        nodes = [onnx.helper.make_node(first, ["x"], ["a"]), onnx.helper.make_node(op, ["a"], ["y"], **({"axis": 1} if kind != 1 else {}))]
        x = np.asarray(x, np.float32)
        graph = onnx.helper.make_graph(nodes, "g", [onnx.helper.make_tensor_value_info("x", 1, x.shape)], [info("y", kind)])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
        plain = oracle.Oracle(model).answer({"x": x})
        others = [oracle.shaken(model, {"x": x}, models.ARITHMETIC, seed) for seed in range(8)]
        return judge.doubtful([plain, *others], [1.0])

    for op in ("ArgMax", "ArgMin"):
        assert moves("Tanh", op, onnx.TensorProto.INT64, [[0.2, 0.2, 0.2]]), op
        assert not moves("Relu", op, onnx.TensorProto.INT64, [[0.2, 0.2, 0.2]]), op
        assert not moves("Tanh", op, onnx.TensorProto.INT64, [[0.2, 0.3, 0.4]]), op
    alike, apart = np.full((1, 2, 1, 2), 0.2), np.asarray([[[[0.2, 0.3]], [[0.1, 0.4]]]])
    assert moves("Tanh", "MeanVarianceNormalization", 1, alike) and not moves("Tanh", "MeanVarianceNormalization", 1, apart)


def smaller_graphs_are_graphs():
    made = 0
    for i in range(20):
        case = Case(f"s.{i}/any")
        for model, inputs in _smaller(case.model, case.inputs):
            assert len(oracle.Oracle(model).answer(inputs)) == len(model.graph.output)
            made += 1
    assert made > 50


def a_run_that_falls_short_says_so():
    row = lambda proved: {"of": ["Add", "Relu"], "made": 30, "proved": proved, "knownRefused": False}
    cell = lambda proved: {"of": ["Add", "x,c", "ones", 3], "made": 30, "proved": proved, "knownRefused": False}

    def short(refused=0, accuracy=0, pairs=20, cells=20):
        outcomes = {"SumcheckWhir": {judge.PROVED: 1000 - refused, judge.REFUSED: refused}}
        reasons = {"SumcheckWhir": {f"{judge.EXCEEDED[0]}: far": accuracy}}
        return tables.short_of({"outcomes": outcomes, "refused": reasons, "pairs": [row(pairs)], "cells": [cell(cells)]})

    assert not short() and not short(refused=300, accuracy=10)
    assert "refused, at most 30%" in short(refused=301)[0]
    assert "for accuracy, at most 1%" in short(accuracy=11)[0]
    assert "pairs of operators" in short(pairs=19)[0] and "with a constant" in short(cells=19)[0]


def receipts_are_read():
    data = bytes.fromhex("a3" + "616101" + "6162" + "820a3903e7" + "6163" + "43010203")
    assert cbor.decode(data) == {"a": 1, "b": [10, -1000], "c": b"\x01\x02\x03"}
    for bad in (data + b"\x00", data[:-1]):
        try:
            assert cbor.decode(bad) != cbor.decode(data)
        except (ValueError, IndexError):
            pass


def main():
    tests = [
        a_graph_is_a_function_of_its_id, a_path_is_found_again_by_its_name_and_meets_what_it_says,
        every_target_can_be_made_and_is_met, every_binary_operator_has_a_cell_on_each_side_that_it_has,
        a_constant_is_divided_by_what_was_computed_itself, constants_of_which_readers_make_something_else_are_met,
        every_supported_operator_is_made_or_named_with_a_reason, whole_tensors_have_the_type_and_the_values_that_they_say,
        an_input_near_a_threshold_is_passed_over_and_one_at_it_is_not,
        graphs_are_valid_and_have_the_shapes_that_they_say, answers_are_judged_by_shape_value_and_class,
        a_stated_scale_is_believed_only_near_what_the_samples_show,
        a_graph_that_is_read_as_another_function_is_no_refusal,
        constants_have_the_kind_that_the_tables_say, padding_is_written_out_as_the_specification_says,
        a_stride_longer_than_the_kernel_crops_nothing,
        base_values_are_added_to_a_target_without_a_vote, a_group_of_equal_numbers_has_no_variance_and_an_answer,
        numbers_that_only_rounding_parts_are_passed_over_and_others_are_not,
        smaller_graphs_are_graphs, a_run_that_falls_short_says_so, receipts_are_read,
    ]
    for test in tests:
        test()
        print("ok", test.__name__.replace("_", " "))

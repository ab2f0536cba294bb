"""What the judge itself must get right."""

import numpy as np
from onnx import TensorProto, helper

from . import case, judge, programs, suite


def _graph(*nodes):
    port = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])
    return helper.make_graph([helper.make_node(*n) for n in nodes], "g", [port("x")], [port("y")])


def _case(expected, constant=False):
    return case.Case(b"", {}, expected, {}, constant=constant)


def _proved(values, **more):
    values = [np.asarray(v, dtype=np.float64) for v in values]
    return programs.Proved(lowered=True, within_budget=True, values=values, **more)


def checks():
    """(what, whether it holds)."""
    y = [np.array([2.0, -4.0], dtype=np.float32)]
    step = 4 * 2.0**-8
    outcome = lambda *of, **more: judge.judge(*of, **more)[0]
    yield "an error of the tolerance is right", judge.distance([np.array([2 + step, -4])], [], y) == 1.0
    yield "more is wrong", outcome(_case(y), _proved([[2 + 1.01 * step, -4]], deep=True)) == judge.WRONG
    yield "small outputs are compared with 1", judge.distance([np.array([2.0**-8])], [], [np.float32([0])]) == 1.0
    yield "another shape is wrong", outcome(_case(y), _proved([[2, -4]], shapes=[(1, 2)], deep=True)) == judge.WRONG
    yield "a missing output is wrong", outcome(_case(y * 2), _proved([[2, -4]], deep=True)) == judge.WRONG
    yield "what is not a number is wrong", outcome(_case(y), _proved([[np.nan, -4]], deep=True)) == judge.WRONG
    n = [np.array([3, 7])]
    yield "integers are equal or wrong", outcome(_case(n), _proved([[3, 7.001]], deep=True)) == judge.WRONG
    yield "but where a tie is listed", outcome(_case(n), _proved([[3, 6]], deep=True), ties={1}) == judge.PROVED
    yield "a right answer that no verifier takes is not proved", outcome(_case(y), _proved([[2, -4]])) == judge.RIGHT
    yield ("a wrong answer that the manifest's verifier takes is wrong",
           outcome(_case(y), _proved([[0, 0]], shallow=True)) == judge.WRONG)
    yield "constants are never proved", outcome(_case(y, True), _proved([[2, -4]], deep=True)) == judge.CONSTANT
    yield "a shape does not depend on the input", case._is_constant(_graph(("Shape", ["x"], ["y"])), {"x"})
    yield "a function does", not case._is_constant(_graph(("Relu", ["x"], ["a"]), ("Relu", ["a"], ["y"])), {"x"})
    x = np.array([-1.0, 3.0], dtype=np.float32)
    drawn = case._drawn("t", x)
    yield "samples are of the input's range", drawn.min() >= -1 and drawn.max() <= 3 and not (drawn == x).all(axis=1).any()
    tests = suite.tests()
    yield "763 tests count", sum(t.tier in suite.COUNTED for t in tests) == 763
    yield "252 more are written out", sum(t.tier == suite.EXPANDED for t in tests) == 252


def run():
    """Whether all hold; says each."""
    good = True
    for what, holds in checks():
        print(f"{'ok' if holds else 'NOT'} {what}")
        good &= bool(holds)
    return good

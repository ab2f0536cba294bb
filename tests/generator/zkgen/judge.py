"""Whether an answer is right: the rule that operator and verifier state, computed here on onnxruntime's floats."""

import re

import numpy as np

MAX_ERROR = 0.01
DOUBT = 0.002
"""Of an answer, from inputs that differ by 1e-5."""
FUNCTION_ERROR = 0.05
"""Beyond it, it is not rounding that makes an answer wrong."""
REFUSED = "refused"
PROVED = "proved"
INACCURATE = "inaccurate"
WRONG = ("wrong value", "wrong class", "wrong shape")
CRASHED = "crashed"
MISREAD = "misread"
"""Compiling finds that its own graph is not the file's function: no form may be read so, so that it has no excuse."""
EXCEEDED = ("AccuracyExceeded", "OverBudget", "BudgetAboveOperator")
CRASHES = ("CompilerCrashed", "InternalError", "TooManyAttempts", "NoReason", "Internal")


def error_of(got, expected, scale):
    """max |got − expected| / max(max |expected|, scale); infinite where something is not finite, or of another shape."""
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(got).all() and np.isfinite(expected).all()
    if got.shape != expected.shape or not finite:
        return float("inf")
    difference = np.abs(got - expected).max(initial=0.0)
    greatest = max(np.abs(expected).max(initial=0.0), scale)
    return 0.0 if difference == 0 else float(difference / greatest) if greatest > 0 else float("inf")


def is_whole(y):
    return y.dtype.kind in "biu"


def doubtful(answers, scales):
    """Whether answers to inputs that are nearly the same differ by more than these inputs do: one lies near a threshold, or near
    a tie, so that single and double precision may fall on two sides of it."""
    first, *others = answers
    for other in others:
        for y, z, scale in zip(first, other, scales):
            if is_whole(y) and not np.array_equal(y, z) or not is_whole(y) and error_of(z, y, scale) > DOUBT:
                return True
    return False


def names_classes(shape):
    return len(shape) == 2 and shape[0] == 1 and shape[1] >= 2


def other_class(got, expected, scale):
    """Whether the greatest values stand in different places; a tie within single precision is no difference."""
    if not names_classes(expected.shape) or is_whole(expected):
        return False
    at = int(np.argmax(got))
    return bool(expected.max() - expected.ravel()[at] > 1e-5 * max(np.abs(expected).max(), scale))


def judge(outputs, expected, scales, compare):
    """(outcome, error): outputs and expected by name, scales in the order of expected; whether classes are compared. What is of
    whole numbers, or of yes and no, is the same in every place."""
    worst = 0.0
    for (name, y), scale in zip(expected.items(), scales):
        got = outputs.get(name)
        if got is None or tuple(got.shape) != tuple(y.shape):
            return "wrong shape", float("inf")
        if is_whole(y) and not np.array_equal(got, y):
            return "wrong value", float("inf")
        worst = max(worst, error_of(got, y, scale))
    if worst > MAX_ERROR:
        return "wrong value" if worst > FUNCTION_ERROR else INACCURATE, worst
    for (name, y), scale in zip(expected.items(), scales):
        if compare and other_class(outputs[name], y, scale):
            return "wrong class", worst
    return PROVED, worst


def unproved(reason, message):
    """(outcome, why) of a graph that was not proved."""
    if reason in CRASHES or "panicked" in message:
        return CRASHED, f"{reason}: {message}"
    if "as another function than the file states" in message:
        return MISREAD, f"{reason}: {message}"
    return REFUSED, reason_of(reason, message)


def reason_of(reason, message):
    """A refusal as the tables count it: without names and numbers."""
    nodes = re.findall(r"`[^`]*` \((\w+)\): ([^;]+)", message)
    if nodes:
        return f"{reason}: {nodes[0][0]}: {nodes[0][1].strip()}"
    text = re.sub(r"`[^`]*`", "`…`", message)
    text = re.sub(r"#\d+ \"[^\"]*\"|\"[^\"]*\"", "\"…\"", text)
    text = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "N", text)
    return f"{reason}: {text[:160]}"

"""When a test's answer is right: within 2^-8 · max(1, max |y|) where it is float, equal where it is integer or boolean."""

import numpy as np

from .programs import TOLERANCE

REFUSED = "refused"
CRASHED = "crashed"
CONSTANT = "constant"
"""An output that does not depend on the input: folded, so that nothing was proved."""
INACCURATE = "inaccurate"
"""Lowered, but compiling says that the error is beyond the budget, or no verifier took the answer."""
UNPROVABLE = "unprovable"
"""Lowered, but not proved on this input: it leaves a calibrated range."""
RIGHT = "right"
"""The right answer, and no valid proof."""
PROVED = "proved"
WRONG = "wrong"
OUTCOMES = (PROVED, RIGHT, UNPROVABLE, INACCURATE, REFUSED, CONSTANT, CRASHED, WRONG)
LOWERED = (PROVED, RIGHT, UNPROVABLE, INACCURATE, WRONG)


def distance(values, shapes, expected, ties=()):
    """The greatest of the outputs' errors, as a share of what is allowed: right is at most 1. `ties` names flat places of
    integer outputs where two floats are so near each other that either answer is right."""
    if len(values) != len(expected):
        return float("inf")
    worst = 0.0
    for i, (got, y) in enumerate(zip(values, expected)):
        if got.size != y.size or (shapes and shapes[i] != y.shape) or not np.isfinite(got).all():
            return float("inf")
        difference = np.abs(got.ravel() - y.ravel().astype(np.float64))
        if np.issubdtype(y.dtype, np.floating):
            allowed = TOLERANCE * max(1.0, float(np.abs(y).max(initial=0.0)))
            worst = max(worst, float(difference.max(initial=0.0)) / allowed)
        elif any(place not in ties for place in np.flatnonzero(difference)):
            return float("inf")
    return worst


def judge(case, proved, ties=()):
    """(outcome, distance or None)."""
    if case.constant:
        return CONSTANT, None
    if not proved.lowered:
        return REFUSED, None
    if not proved.values:
        return INACCURATE if not proved.within_budget else UNPROVABLE, None
    far = distance(proved.values, proved.shapes, case.expected, ties)
    if not proved.within_budget:
        # The operator does not serve such a model.
        return INACCURATE, far
    if far > 1.0:
        return (WRONG if proved.deep or proved.shallow else INACCURATE), far
    return (PROVED if proved.deep else RIGHT), far

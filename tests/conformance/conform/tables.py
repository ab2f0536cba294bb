"""What a run found, for people: a line, the tables of results.md, and the page of docs."""

import re
from collections import Counter, defaultdict

from . import judge, suite


def line(found):
    """A run in a line."""
    return (
        f"{found['total']} tests: {found['lowered']} lowered, {found['right']} right, {found['proved']} proved and verified, "
        f"{found['wrong']} wrong; core {found['core']['proved']} of {found['core']['total']}"
    )


def results(found, records):
    """results.md."""
    text = f"# Conformance\n\n{line(found)}\n\n"
    rows = [(op, c["total"], c["lowered"], c["right"], c["proved"]) for op, c in found["per_op"].items()]
    text += "## By operator\n\n" + _table(("operator", "tests", "lowered", "right", "proved"), rows)
    reasons, examples = Counter(), defaultdict(str)
    for r in records:
        if r["outcome"] != judge.PROVED:
            said = (r["outcome"], _without_names(r["reason"]))
            reasons[said] += 1
            examples[said] = examples[said] or r["name"]
    rows = [(o, why, n, examples[o, why]) for (o, why), n in reasons.most_common()]
    text += "\n## Not proved, by reason\n\n" + _table(("outcome", "reason", "tests", "for example"), rows)
    rows = [(r["name"], r["op"], r["outcome"], r["reason"][:200]) for r in records]
    return text + "\n## Tests\n\n" + _table(("test", "operator", "outcome", "reason"), rows)


def page(tests, known):
    """docs/conformance.md: of list.txt and proved.txt alone, so that a test can tell whether it is current."""
    counted = [t for t in tests if t.tier in suite.COUNTED]
    core = [t for t in counted if t.op not in suite.NOT_CORE]
    proved = lambda some: sum(t.name in known for t in some)
    by_op = defaultdict(list)
    for t in counted:
        by_op[t.op].append(t)
    some = sorted((op for op in by_op if proved(by_op[op])))
    none = sorted((op for op in by_op if not proved(by_op[op])))
    text = (
        "<!-- Generated from tests/conformance/list.txt and proved.txt by tests/conformance/run --docs. -->\n"
        "# Conformance\n\n"
        f"ONNX {suite.VERSION} has {len(counted)} node tests whose inputs are float, whose outputs are float32, integers or booleans, "
        "and that are finite, static, deterministic, not empty and without control flow. Of these **"
        f"{proved(counted)} are proved** by SumcheckWhir, verified by `prover-worker verify` with the test's model and input, and "
        f"right; of the {len(core)} over operators that inference commonly has, {proved(core)}. None is proved and wrong.\n\n"
        "Right is: within 2⁻⁸ · max(1, max |y|) of the test's output where it is float, equal where it is integer or boolean. "
        "Models are compiled with this tolerance as error budget and calibrated on other data than the test's. Inputs that are "
        "not float (axes, indices, shapes) become constants. What folds to a constant counts as not proved. How to run it: "
        "[tests/conformance](../tests/conformance/README.md).\n\n"
        "## Proved, by operator\n\n"
    )
    text += _table(("operator", "tests", "proved"), [(op, len(by_op[op]), proved(by_op[op])) for op in some])
    return text + "\n## None proved\n\n" + ", ".join(f"{op} ({len(by_op[op])})" for op in none) + ".\n"


def _without_names(text):
    """A reason as the tables count it: without names and numbers."""
    text = re.sub(r"`[^`]*`", "`…`", text)
    return re.sub(r"(?<![A-Za-z\d])-?\d+(\.\d+)?(e-?\d+)?(?![A-Za-z])", "N", text)[:200]


def _table(head, rows):
    cell = lambda c: str(c).replace("|", "\\|").replace("\n", " ")
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(cell, r)) + " |\n" for r in lines)

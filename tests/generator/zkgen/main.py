"""Makes graphs, has them proved, compares, counts; exit 1 where an answer is wrong or a program crashed."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx

from . import (
    control, functions, judge, learners, matrices, minimise, models, norms, oracle, quantised, record, recurrent, shaped, signals,
    softmax, tables, whole, windows,
)
from .elementwise import HALF
from .plan import Plan
from .program import Crashed, Programs, numbers
from .targets import features

SYSTEMS = ("SumcheckWhir", "Halo2Kzg")
NOT_HALO2 = (
    functions.BY_TABLE | matrices.BY_TABLE | windows.BY_TABLE | norms.BY_PRODUCT | recurrent.BY_PRODUCT | softmax.BY_PRODUCT
    | learners.BY_PRODUCT | quantised.BY_PRODUCT | shaped.BY_PRODUCT | signals.BY_TABLE
)
SAMPLES = 64
HALF_STEP = 2**-11
"""What rounding to half precision changes a value by, as a part of it."""
EXAMPLES = 5
"""Ids of graphs that are kept for each reason of a refusal."""
DOUBTFUL = "a threshold or a tie within rounding"
MINIMISED = 6
"""Most failures that are made smaller: the first of each kind."""


class Case:
    """One graph with an input that calibration has not seen, and what it should answer."""

    def __init__(self, identity):
        self.id = identity
        self.name = "g" + identity.split("/")[0].replace(".", "-").lower()
        made = models.make(identity)
        self.model = None
        if made is None:
            return
        self.model, builder = made
        self.shapes = {t.name: t.shape for t in builder.all}
        self.met = features(self.model, {**self.shapes, **builder.constant_shapes})
        self.inputs = models.inputs_of(self.model, identity, "input")
        asked = oracle.Oracle(self.model)
        self.departures = asked.departures
        self.compare = models.hash_of(f"compare/{identity}") % 2 == 0 and len(asked.names) < 4
        """Half of the models say that their outputs are no classes, and those of many outputs."""
        self.outcome, self.error, self.why = None, None, ""
        self.zero = self.doubtful = self.answered = False
        try:
            self._ask(asked, identity)
        except oracle.NoNumber:
            self.answered = False

    def _ask(self, asked, identity):
        """What it should answer, how large its answers are, and whether rounding decides."""
        self.expected = dict(zip(asked.names, asked.answer(self.inputs)))
        for name, y in self.expected.items():
            if tuple(y.shape) != tuple(self.shapes[name]):
                raise AssertionError(f"{identity}: {name} has {y.shape}, the generator says {self.shapes[name]}")
        self.answered = all(np.isfinite(y).all() for y in self.expected.values())
        samples = models.inputs_of(self.model, identity, "scale", SAMPLES)
        answers = [asked.answer(x) for x in samples]
        self.scales = [float(max(np.abs(a[i]).max() for a in answers)) for i in range(len(asked.names))]
        near = []
        if self.halves():
            near = [asked.answer(x) for x in models.nearly(self.inputs, identity, HALF_STEP)]
        elif self.operators() & whole.JUMPS:
            near = [asked.answer(x) for x in models.nearly(self.inputs, identity)]
        if self.operators() & (whole.JUMPS | oracle.DIVIDES):
            near.append(oracle.shaken(self.model, self.inputs, models.ARITHMETIC, models.hash_of(f"shake/{identity}")))
        self.doubtful = judge.doubtful([[*self.expected.values()], *near], self.scales)

    @property
    def bytes(self):
        return self.model.SerializeToString()

    def halves(self):
        """Whether something in it is rounded to half precision."""
        return any(n.op_type == "Cast" and n.attribute[0].i == HALF for n in self.model.graph.node)

    def operators(self):
        """Of its nodes."""
        return {node.op_type for node in self.model.graph.node}

    def settle(self, answer):
        """Compares."""
        if answer.phase == "Succeeded" and not answer.reason:
            scales = self.scales if answer.scale is None else self._stated(answer.scale)
            self.outcome, self.error = judge.judge(answer.outputs, self.expected, scales, self.compare)
        else:
            self.outcome, self.why = judge.unproved(answer.reason, answer.message)

    def _stated(self, stated):
        """The operator's scales; one that is far above what this graph's outputs are is not believed. An output that is 0 on
        every sample here (`x - Clip(x)`) has no size of its own: the input's stands in for it, and the run says how often."""
        self.zero = not all(self.scales)
        reach = max((float(np.abs(x).max(initial=0.0)) for x in self.inputs.values()), default=0.0)
        return [min(s, 4 * own if own else reach) for s, own in zip(stated, self.scales)]


def arguments():
    parser = argparse.ArgumentParser(prog="tests/generator/run", description=__doc__)
    parser.add_argument("--graphs", type=int, default=300, help="graphs to make")
    parser.add_argument("--halo2", type=int, default=0, help="how many of them are proved with Halo2Kzg")
    parser.add_argument("--seed", help="a word; two runs with one seed make the same graphs (default: the time)")
    parser.add_argument("--seconds", type=float, help="make no more graphs after this time")
    parser.add_argument("--out", type=Path, help="folder for results.json, results.md and failures")
    parser.add_argument("--resume", action="store_true", help="go on where a run into --out ended; --graphs counts all of them")
    parser.add_argument("--record", type=Path, metavar="FILE", help="go on where the runs in it ended together, and add this one")
    parser.add_argument("--docs", action="store_true", help="only write docs/random-graphs.md from --record")
    parser.add_argument("--bin", type=Path, required=True, help="folder of the built programs")
    parser.add_argument("--batch", type=int, default=100, help="graphs in one run of the operator")
    parser.add_argument("--jobs", type=int, default=3, help="operators at a time")
    parser.add_argument("--verify", type=float, default=0.05, help="share of receipts that are verified as well")
    parser.add_argument("--only", metavar="REGEX", help="only targets of this kind, such as 'pair Conv > Sub'")
    parser.add_argument("--bars", action="store_true", help="fail also where too many are refused, or a target was not met often enough")
    parser.add_argument("--again", metavar="ID", action="append", help="only this graph, by the id that a run printed")
    parser.add_argument("--system", choices=SYSTEMS, default=SYSTEMS[0], help="with --again")
    return parser.parse_args()


class Run:
    """All batches of a run."""

    def __init__(self, args):
        self.args = args
        self.out = args.out or Path(tempfile.mkdtemp(prefix="zkinfer-generator-"))
        self.out.mkdir(parents=True, exist_ok=True)
        self.programs = Programs(args.bin)
        self.seed = args.seed or str(int(time.time()))
        self.plan = Plan(self.seed, args.only)
        self.began = time.monotonic()
        self.outcomes = {s: Counter() for s in SYSTEMS}
        self.reasons, self.examples = defaultdict(Counter), defaultdict(list)
        self.proved = Counter()
        self.departures, self.passed, self.unmade = Counter(), Counter(), []
        self.errors, self.failures, self.verified = Counter(), [], Counter()
        self.zeros, self.before, self.failed_before = 0, 0.0, []
        earlier = self.out / "results.json"
        if args.resume and earlier.is_file():
            tables.restore(self, json.loads(earlier.read_text()))
        self.commit, self.recorded = record.commit(), None
        if args.record:
            self.recorded = record.read(args.record)
            if not self.before:
                record.begin(self, self.recorded)

    def batches(self):
        """Lists of (cases, system). Cases are made when they are asked for."""
        if self.args.again:
            yield [Case(i) for i in self.args.again], self.args.system
            return
        made = {s: sum(self.outcomes[s].values()) for s in SYSTEMS}
        for identity, system in self.failed_before:
            case = Case(identity)
            if case.doubtful:
                self.passed[DOUBTFUL] += 1
                continue
            made[system] += 1
            yield [case], system
        wanted = {"Halo2Kzg": self.args.halo2, "SumcheckWhir": self.args.graphs - self.args.halo2}
        while any(made[s] < wanted[s] for s in SYSTEMS):
            if self.args.seconds and time.monotonic() - self.began > self.args.seconds:
                return
            # The system that lags behind its share.
            system = min((s for s in SYSTEMS if made[s] < wanted[s]), key=lambda s: made[s] / wanted[s])
            size = min(self.args.batch, wanted[system] - made[system])
            made[system] += size
            yield [c for c in (self._case(system) for _ in range(size)) if c], system

    def _case(self, system):
        """The next graph that has an answer to compare with; of Halo2Kzg the next that it proves in seconds."""
        while True:
            case = self._any_case()
            if case and not case.answered:
                self.passed["no number, such as the root of a variance that rounds below 0"] += 1
                continue
            if case and case.doubtful:
                self.passed[DOUBTFUL] += 1
                continue
            if case is None or system != "Halo2Kzg" or self.plan.only:
                break
            # The rows of a table stand in the circuit: 2^16 of them, which rounding may ask for, take minutes and gigabytes.
            forms = {key[1] for key in case.met if len(key) == 2}
            if not case.operators() & NOT_HALO2 and not forms & {*control.OF_TWO, *matrices.OF_TWO, *quantised.OF_TWO, *shaped.OF_TWO, *whole.OF_TWO}:
                break
        if case:
            self.plan.count(case.met)
            self.departures.update(case.departures)
        return case

    def _any_case(self):
        identity = self.plan.next()
        try:
            case = Case(identity)
        except Exception as error:  # a fault of the generator's own: the run goes on, and says so
            self.unmade.append(f"{identity}: {error}")
            return None
        if case.model is None:
            self.unmade.append(f"{identity}: nothing of the kind exists")
            return None
        return case

    def prove(self, cases, system):
        """One run of the operator; each case knows its outcome afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="zkinfer-generated-"))
        try:
            try:
                answers = self.programs.run([(c.name, c.bytes, c.inputs, c.compare) for c in cases], system, folder)
            except Crashed as error:
                # Which one it was is not known: each on its own.
                if len(cases) == 1:
                    cases[0].outcome, cases[0].why = judge.CRASHED, str(error)
                    return
                for case in cases:
                    self.prove([case], system)
                return
            for case in cases:
                case.settle(answers[case.name])
                if case.outcome == judge.PROVED and models.hash_of(case.id) % 1000 < 1000 * self.args.verify:
                    self._verify(case, answers[case.name], system)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _verify(self, case, answer, system):
        if len(case.inputs) > 1 and "--output-scale" not in self.programs.flags:
            return
        scales = answer.scale or case.scales
        code, said = self.programs.verify(answer.receipt, case.bytes, case.inputs, scales, system, case.compare)
        case.verified = code == 0
        if code != 0:
            case.outcome, case.why = "receipt refused", said[-1500:]

    def settle(self, cases, system):
        """Counts a batch."""
        for case in cases:
            self.outcomes[system][case.outcome] += 1
            self.zeros += case.zero
            if hasattr(case, "verified"):
                self.verified[case.verified] += 1
            if case.outcome == judge.PROVED:
                self.proved.update(case.met)
                self.errors[tables.rounded(case.error)] += 1
                continue
            self.plan.not_proved(case.met)
            if case.outcome == judge.REFUSED:
                self.reasons[system][case.why] += 1
                self.examples[case.why] = [*self.examples[case.why], case.id][:EXAMPLES]
            else:
                self._failed(case, system)

    def _failed(self, case, system):
        print(f"{case.outcome}: {case.id} ({system}) error {case.error} {case.why[:300]}", flush=True)
        error = case.error if case.error is None or np.isfinite(case.error) else str(case.error)  # JSON has no infinity
        kept = {"id": case.id, "system": system, "outcome": case.outcome, "error": error, "why": case.why}
        kept["operators"] = [n.op_type for n in case.model.graph.node]
        kept["evaluatorError"] = self._second_opinion(case)
        folder = self.out / "failures"
        folder.mkdir(exist_ok=True)
        self._save(folder / case.name, case.model, case.inputs)
        if len(self.failures) < MINIMISED and case.outcome in (*judge.WRONG, judge.CRASHED, judge.MISREAD):
            scratch = Path(tempfile.mkdtemp(prefix="zkinfer-minimise-"))
            try:
                small, inputs = minimise.minimise(
                    self.programs, system, case.model, case.inputs, case.outcome, scratch
                )
                self._save(folder / f"{case.name}-small", small, inputs)
                kept["smallest"] = [n.op_type for n in small.graph.node]
                print(f"  smallest: {' '.join(kept['smallest'])} in {folder / case.name}-small.onnx", flush=True)
            except (Crashed, onnx.onnx_cpp2py_export.checker.ValidationError) as error:
                kept["smallest"] = f"not found: {error}"
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        self.failures.append(kept)

    @staticmethod
    def _second_opinion(case):
        """How far ONNX's reference evaluator is from onnxruntime: what both say, the program should say."""
        try:
            second = oracle.Oracle(case.model).second_opinion(case.inputs)
        except Exception as error:  # it has its own faults, which are no fault of the graph
            return f"no answer: {error}"
        error = max(judge.error_of(a, b, s) for a, b, s in zip(second, case.expected.values(), case.scales))
        return error if np.isfinite(error) else str(error)

    @staticmethod
    def _save(stem, model, inputs):
        stem.with_suffix(".onnx").write_bytes(model.SerializeToString())
        stem.with_suffix(".json").write_text(json.dumps({n: numbers(v) for n, v in inputs.items()}))

    def go(self):
        """Runs to the end. Whether all is right."""
        print(f"seed {self.seed}, results in {self.out}", flush=True)
        with ThreadPoolExecutor(self.args.jobs) as pool:
            waiting = []
            for cases, system in self.batches():
                waiting.append((pool.submit(self.prove, cases, system), cases, system))
                if len(waiting) > self.args.jobs:
                    self._take(waiting.pop(0))
            for one in waiting:
                self._take(one)
        report = self._save_report()
        print(tables.summary(report), flush=True)
        short = tables.short_of(report) if self.args.bars else []
        for line in short:
            print(f"SHORT OF ITS BARS: {line}", flush=True)
        return not self.failures and not self.unmade and not short

    def _take(self, one):
        done, cases, system = one
        done.result()
        self.settle(cases, system)
        self._save_report()

    def _save_report(self):
        """Writes what is known so far: a run that ends here can go on."""
        report = tables.report(self, self.before + time.monotonic() - self.began)
        whole = self.out / "results.json.new"
        whole.write_text(json.dumps(report))
        whole.replace(self.out / "results.json")
        (self.out / "results.md").write_text(tables.markdown(report))
        if self.recorded is not None:
            record.write(self.args.record, record.add(self, self.recorded, report))
        return report


def main():
    args = arguments()
    if args.docs:
        record.PAGE.write_text(record.markdown(record.read(args.record or record.FILE)))
        sys.exit(0)
    sys.exit(0 if Run(args).go() else 1)

"""Chooses what each graph of a run aims at, so that rare pairs are met as often as common ones."""

import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from .elementwise import CELLS
from .models import computes
from .paths import CELL, Path
from .registry import FORMS, op_of
from .targets import LEAST, known_refused, least, valid_cells, valid_pairs

REFUSED_LEAST = 5
"""Graphs of a form that the importer is known to refuse. Some readers accept a few of them, as another function."""
TRIES = 4
"""A target that is refused is tried so many times as often as it should be proved."""
ANY = 0.08
"""Share of graphs that aim at nothing."""
LINKS = 22
"""Most forms of a path. A graph takes a fifth of a second of processor time whatever is in it, and twice as many forms a quarter
more; they are refused as often."""
TREES = 0.8
"""Share of trees among paths: a tree has no dead end, so that nearly each of its forms is one that is lacking."""
BRANCHES = 14
"""Most forms of a tree."""
PATHS = 60
"""Inputs that are tried for a path through a target, before a graph aims at the target alone."""
BEFORE = ("ArgMax", "Cast(to whole)", "Less(x,c)", "Reshape", "Unsqueeze", "Expand", "Pad", "Relu")
"""What may stand before the target: types and ranks that an input does not have."""
FOLLOWING = 40
"""Forms that are tried at the end of a path."""
BRIDGES = 30
"""Operators that a path goes on with where nothing is lacking after its end: those after which most is."""


@dataclass(frozen=True)
class Target:
    """A pair or a cell (see `targets`), and its name in a graph's id."""

    key: tuple
    name: str
    refused: bool


class Plan:
    """Counts what the graphs made so far have met, and how often they were refused. A function of its seed, and of what
    became of the graphs."""

    def __init__(self, seed, only=None):
        self.rng = random.Random(f"plan/{seed}")
        self.seed = seed
        self.made, self.failed = Counter(), Counter()
        self.pairs = [Target(p, "pair " + " > ".join(p), known_refused(p)) for p in valid_pairs()]
        refused = lambda cell: known_refused((None, f"{cell[0]}({cell[1]})"))
        self.cells = [Target(c, "cell " + "|".join(map(str, c)), refused(c)) for c in valid_cells()]
        self._after, self._forms = defaultdict(list), defaultdict(list)
        for target in self.pairs:
            if not target.refused and target.key[1] != "Output":
                self._after[target.key[0]].append(target)
        for form in FORMS:
            if not FORMS[form].refused and form != "Max(x)":
                self._forms[op_of(form)].append(form)
        self._cells = defaultdict(list)
        for target in self.cells:
            if not target.refused:
                self._cells[CELLS[target.key[0]].of, target.key[3]].append(target)
        self._least = least(self.pairs)
        self.only = [t for t in [*self.pairs, *self.cells] if only and re.search(only, t.name)]
        if only and not self.only:
            raise SystemExit(f"no target is called {only!r}")
        self.number = 0
        self._queue = []

    def go_on(self, seed, number):
        """Counts on from a graph's number, as a run with that seed that ended there."""
        self.rng = random.Random(f"plan/{seed}/{number}")
        self.seed, self.number = seed, number - 1

    def next(self):
        """The id of the next graph."""
        self.number += 1
        return f"{self.seed}.{self.number}/{self._target()}"

    def _target(self):
        if self.only:
            return self.rng.choice(self.only).name
        if self.rng.random() < ANY:
            return "any"
        while True:
            while self._queue:
                target = self._queue.pop()
                if self._lacks(target):
                    return self._path(target) or target.name
            missing = [t for t in [*self.pairs, *self.cells] if self._lacks(t)]
            if not missing:
                return "any"
            # Those that lack most come first, each once before any comes again.
            least = min(map(self._share, missing))
            self._queue = [t for t in missing if self._share(t) <= least + 0.15]
            self.rng.shuffle(self._queue)

    def _path(self, target):
        """The name of a path that begins with a target and goes on with those that are lacking most, if one is found."""
        if target.refused or target.key[-1] == "Output":
            return None
        kind, most, extend = ("tree", BRANCHES, self._branch) if self.rng.random() < TREES else ("path", LINKS, self._extend)
        for attempt in range(PATHS):
            path = Path(f"{self.seed}.{self.number}", attempt, kind)
            if not self._begins(path, target, attempt):
                continue
            met = {target.key}
            while len(path.tensors) <= most and extend(path, met):
                pass
            if computes(path.b.nodes):
                return path.name
        return None

    def _begins(self, path, target, attempt):
        """Brings a new path to its target. Whether it fits."""
        pair = len(target.key) == 2
        if attempt % 2 and not (pair and target.key[0] == "Input"):
            for form in self.rng.sample(BEFORE, self.rng.choice((1, 1, 2))):
                path.link(form)
        if not pair:
            return path.link(_name(target))
        producer, consumer = target.key
        makers = self.rng.sample(self._forms[producer], len(self._forms[producer]))
        if producer != "Input" and not any(map(path.link, makers)):
            return False
        return path.end == producer and path.link(consumer)

    def _branch(self, tree, met):
        """Adds a link that is lacking and not met yet behind some tensor. Whether there is one."""
        for at in self.rng.sample(range(len(tree.tensors)), len(tree.tensors)):
            tensor = tree.tensors[at]
            links = [*self._after[tensor.maker], *self._cells[tensor.kind, tensor.rank]]
            links = [t for t in links if self._lacks(t) and t.key not in met]
            self.rng.shuffle(links)
            for link in sorted(links, key=self._share)[:FOLLOWING]:
                if tree.link(_name(link), at):
                    met.add(link.key)
                    return True
        return False

    def _extend(self, path, met):
        """Adds a link that is lacking and not met yet, or a form that such links may follow. Whether there is one."""
        lacking = lambda op: [t for t in self._after[op] if self._lacks(t) and t.key not in met]
        links = lacking(path.end)
        self.rng.shuffle(links)
        for link in sorted(links, key=self._share)[:FOLLOWING]:
            if path.link(link.key[1]):
                met.add(link.key)
                return True
        bridges = sorted(self._forms, key=lambda op: -len(lacking(op)))[:BRIDGES]
        bridges = [form for op in bridges if lacking(op) for form in self._forms[op]]
        return any(map(path.link, self.rng.sample(bridges, len(bridges))))

    def _good(self, target):
        """Graphs that met a target and were not refused, as far as that is known yet."""
        return self.made[target.key] - self.failed[target.key]

    def _share(self, target):
        if target.refused:
            return self.made[target.key] / REFUSED_LEAST
        return self._good(target) / self._least.get(target.key, LEAST)

    def _lacks(self, target):
        return self._share(target) < 1 and self.made[target.key] < TRIES * LEAST

    def count(self, met):
        """A graph has been made that meets these targets."""
        self.made.update(met)

    def not_proved(self, met):
        """It was refused: it does not count."""
        self.failed.update(met)


def _name(target):
    """What a path calls the form that meets a target."""
    return target.key[1] if len(target.key) == 2 else CELL.join(map(str, target.key))

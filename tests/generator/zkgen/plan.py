"""Chooses what each graph of a run aims at, so that rare pairs are met as often as common ones."""

import random
import re
from collections import Counter
from dataclasses import dataclass

from .targets import LEAST, known_refused, valid_cells, valid_pairs

REFUSED_LEAST = 10
"""Graphs of a form that the importer is known to refuse. Some readers accept a few of them, as another function."""
TRIES = 4
"""A target that is refused is tried so many times as often as it should be proved."""
ANY = 0.15
"""Share of graphs that aim at nothing."""


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
        self.only = [t for t in [*self.pairs, *self.cells] if only and re.search(only, t.name)]
        if only and not self.only:
            raise SystemExit(f"no target is called {only!r}")
        self._number = 0
        self._queue = []

    def next(self):
        """The id of the next graph."""
        self._number += 1
        return f"{self.seed}.{self._number}/{self._target()}"

    def _target(self):
        if self.only:
            return self.rng.choice(self.only).name
        if self.rng.random() < ANY:
            return "any"
        while True:
            while self._queue:
                target = self._queue.pop()
                if self._lacks(target):
                    return target.name
            missing = [t for t in [*self.pairs, *self.cells] if self._lacks(t)]
            if not missing:
                return "any"
            # Those that lack most come first, each once before any comes again.
            least = min(map(self._share, missing))
            self._queue = [t for t in missing if self._share(t) <= least + 0.15]
            self.rng.shuffle(self._queue)

    def _good(self, target):
        """Graphs that met a target and were not refused, as far as that is known yet."""
        return self.made[target.key] - self.failed[target.key]

    def _share(self, target):
        return self.made[target.key] / REFUSED_LEAST if target.refused else self._good(target) / LEAST

    def _lacks(self, target):
        return self._share(target) < 1 and self.made[target.key] < TRIES * LEAST

    def count(self, met):
        """A graph has been made that meets these targets."""
        self.made.update(met)

    def not_proved(self, met):
        """It was refused: it does not count."""
        self.failed.update(met)

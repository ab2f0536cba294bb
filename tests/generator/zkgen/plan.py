"""Chooses what each graph of a run aims at, so that rare pairs are met as often as common ones."""

import random
import re
from collections import Counter

from .targets import LEAST, known_refused, valid_cells, valid_pairs

REFUSED_LEAST = 3
"""Graphs of a form that the importer is known to refuse."""
TRIES = 4
"""A target that is refused is tried so many times as often as it should be proved."""
ANY = 0.15


class Plan:
    """Counts what the graphs made so far have met. A function of its seed."""

    def __init__(self, seed, only=None):
        self.rng = random.Random(f"plan/{seed}")
        self.seed = seed
        self.pairs, self.cells = Counter(), Counter()
        self.failed = Counter()
        self.targets = []
        for pair in valid_pairs():
            need = REFUSED_LEAST if known_refused(pair) else LEAST
            self.targets.append((self.pairs, pair, need, "pair " + " > ".join(pair)))
        for cell in valid_cells():
            need = REFUSED_LEAST if cell[0] == "Div" and cell[1] == "c,x" else LEAST
            self.targets.append((self.cells, cell, need, "cell " + "|".join(map(str, cell))))
        if only:
            self.targets = [t for t in self.targets if re.search(only, t[3])]
        self.only = only
        self.made = 0
        self._queue = []
        self._empty = False

    def next(self):
        """The id of the next graph."""
        self.made += 1
        return f"{self.seed}.{self.made}/{self._target()}"

    def _target(self):
        if self.only:
            return self.rng.choice(self.targets)[3]
        if self._empty or self.rng.random() < ANY:
            return "any"
        while True:
            while self._queue:
                counter, key, need, name = self._queue.pop()
                if self._lacks(counter, key, need):
                    return name
            missing = [t for t in self.targets if self._lacks(*t[:3])]
            if not missing:
                self._empty = True
                return "any"
            # Those that lack most come first, each once before any comes again.
            share = lambda t: self._good(t[0], t[1]) / t[2]
            least = min(map(share, missing))
            self._queue = [t for t in missing if share(t) <= least + 0.15]
            self.rng.shuffle(self._queue)

    def _good(self, counter, key):
        """Graphs that met a target and were not refused, as far as that is known yet."""
        return counter[key] - self.failed[key]

    def _lacks(self, counter, key, need):
        if need == REFUSED_LEAST:
            return counter[key] < need
        return self._good(counter, key) < need and counter[key] < TRIES * need

    def count(self, pairs, cells):
        """A graph has been made."""
        self.pairs.update(pairs)
        self.cells.update(cells)
        self._empty = False

    def not_proved(self, pairs, cells):
        """It was refused: it does not count."""
        self.failed.update(pairs)
        self.failed.update(cells)
        self._empty = False

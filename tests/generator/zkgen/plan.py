"""Chooses what each graph of a run aims at, so that rare pairs are met as often as common ones."""

import random
import re
from collections import Counter

from .targets import LEAST, known_refused, valid_cells, valid_pairs

MORE = 4
"""Graphs beyond LEAST for each target: some will be refused."""
REFUSED_LEAST = 3
ANY = 0.15


class Plan:
    """Counts what the graphs made so far have met. A function of its seed."""

    def __init__(self, seed, only=None):
        self.rng = random.Random(f"plan/{seed}")
        self.seed = seed
        self.pairs, self.cells = Counter(), Counter()
        self.targets = []
        for pair in valid_pairs():
            need = REFUSED_LEAST if known_refused(pair) else LEAST + MORE
            self.targets.append((self.pairs, pair, need, "pair " + " > ".join(pair)))
        for cell in valid_cells():
            need = REFUSED_LEAST if cell[0] == "Div" and cell[1] == "c,x" else LEAST + MORE
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
                if counter[key] < need:
                    return name
            missing = [t for t in self.targets if t[0][t[1]] < t[2]]
            if not missing:
                self._empty = True
                return "any"
            # Those that lack most come first, each once before any comes again.
            least = min(t[0][t[1]] / t[2] for t in missing)
            self._queue = [t for t in missing if t[0][t[1]] / t[2] <= least + 0.15]
            self.rng.shuffle(self._queue)

    def count(self, pairs, cells):
        """A graph has been made."""
        self.pairs.update(pairs)
        self.cells.update(cells)

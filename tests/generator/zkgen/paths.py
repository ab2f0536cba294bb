"""A path: forms one after the other from one input, each the consumer of a pair that a run still lacks.

A path is found by building it, since only a tensor says what fits it. Its name holds the forms, and each draws from its own
seed: so the graph can be built again from its id alone.
"""

import random

from .builder import OPSETS, Builder, Unfit
from .registry import FORMS, emit
from .targets import shapes_to_try


class Path:
    """A graph that grows at its end."""

    def __init__(self, seed, attempt):
        self.name = f"path {attempt}"
        self._stem = f"{seed}/{self.name}"
        rng = random.Random(self._stem)
        self.b = Builder(rng, rng.choice(OPSETS))
        self.b.last = self.b.input(shapes_to_try(rng))
        self._links = 0

    @classmethod
    def named(cls, seed, name):
        """The path of that name, which begins with `path`. Raises Unfit for a name that no path has."""
        attempt, *forms = name.removeprefix("path ").split(" > ")
        path = cls(seed, attempt)
        for form in forms:
            if not path.link(form):
                raise Unfit(form)
        return path

    @property
    def end(self):
        """The operator that makes its last tensor."""
        return self.b.last.maker

    def link(self, form):
        """Adds a form at the end. Whether it fits; if not, nothing has changed."""
        mark = self.b.mark()
        self._links += 1
        self.b.rng = random.Random(f"{self._stem}/{self._links} {form}")
        try:
            if form not in FORMS or not FORMS[form].fits(self.b.last):
                raise Unfit(form)
            self.b.last = emit(self.b, form, self.b.last)
        except Unfit:
            self.b.undo(mark)
            self._links -= 1
            return False
        self.name += f" > {form}"
        return True

    def done(self):
        """The builder, for what follows the last form."""
        self.b.rng = random.Random(f"{self._stem}/end")
        return self.b

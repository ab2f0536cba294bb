"""A path: forms one after the other from one input, each the consumer of a pair that a run still lacks; and a tree, where a form
may also follow an earlier one, and what no form reads is an output.

A path is found by building it, since only a tensor says what fits it. Its name holds the forms (`path 0 > Relu > Conv`; of a
tree also what they follow, the input being 0: `tree 0 > Relu > 1@Conv > 1@Softmax`), and each draws from its own seed: so the
graph can be built again from its id alone.
"""

import random

from .builder import OPSETS, Builder, Unfit, reads
from .elementwise import CELLS, with_constant
from .registry import FORMS, emit
from .targets import shapes_to_try

CELL = "|"
"""Stands between the parts of a binary operator with a constant: operator, side, kind of the constant, rank."""


class Path:
    """A graph that grows at its end."""

    def __init__(self, seed, attempt, kind="path"):
        self.name = f"{kind} {attempt}"
        self._stem = f"{seed}/{self.name}"
        rng = random.Random(self._stem)
        self.b = Builder(rng, rng.choice(OPSETS))
        self.b.last = self.b.input(shapes_to_try(rng))
        self.tensors = [self.b.last]
        """The input, and what each form made."""

    @classmethod
    def named(cls, seed, name):
        """The path or tree of that name. Raises Unfit for a name that none has."""
        first, *forms = name.split(" > ")
        kind, attempt = first.split(" ")
        path = cls(seed, attempt, kind)
        for form in forms:
            at, _, form = form.rpartition("@")
            if not path.link(form, int(at) if at else None):
                raise Unfit(form)
        return path

    @property
    def end(self):
        """The operator that makes its last tensor."""
        return self.b.last.maker

    def link(self, form, at=None):
        """Adds a form at the end, or behind another tensor. Whether it fits; if not, nothing has changed."""
        mark = self.b.mark()
        x, named = (self.b.last, form) if at is None else (self.tensors[at], f"{at}@{form}")
        self.b.rng = random.Random(f"{self._stem}/{len(self.tensors)} {named}")
        try:
            self.b.last = self._emit(form, x)
        except Unfit:
            self.b.undo(mark)
            return False
        self.tensors.append(self.b.last)
        self.name += f" > {named}"
        return True

    def _emit(self, form, x):
        if CELL in form:
            op, side, kind, rank = form.split(CELL)
            if x.kind != CELLS[op].of or x.rank != int(rank):
                raise Unfit(form)
            return with_constant(self.b, op, side, x, kind)
        if form not in FORMS or not FORMS[form].fits(x):
            raise Unfit(form)
        return emit(self.b, form, x)

    def done(self):
        """The builder, for what follows the last form. A tree has its outputs: what no form reads."""
        self.b.rng = random.Random(f"{self._stem}/end")
        if self.name.startswith("tree "):
            read = {name for node in self.b.nodes for name in reads(node)}
            self.b.outputs = [t for t in self.tensors[1:] if t.name not in read]
        return self.b

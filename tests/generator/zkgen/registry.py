"""The list of everything that a graph may hold, by the name that the tables give it."""

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Form:
    """A way to use an operator on a tensor."""

    name: str
    emit: Callable
    fits: Callable
    weight: float
    refused: bool
    """The importer is known to refuse it: it is generated only where the tables ask for it."""
    of: tuple
    """Types that it reads."""
    few: bool
    """Later versions of ONNX, or of ai.onnx.ml, do not have it, or only the last one does."""
    opsets: tuple
    """The first and the last version of ONNX to aim at it in."""


FORMS = {}


def operator(name, fits=lambda x: True, weight=1.0, refused=False, scalar=True, of=("float",), few=False, opsets=(9, 24)):
    """Registers `emit(b, x) -> tensor or list of tensors`. `scalar`: a tensor without axes will do; `of`: the types that it
    reads; `few`: only some versions have it, and others not any more; `opsets`: the first and
    the last that have it, where a graph that aims at it is made in one of them."""

    def register(emit):
        def may(x):
            return x.kind in of and (scalar or x.rank > 0) and fits(x)

        FORMS[name] = Form(name, emit, may, weight, refused, of, few, opsets)
        return emit

    return register


def op_of(form):
    """The operator of a form's name."""
    return form.split("(")[0]


def emit(b, form, x):
    """Adds a form on a tensor: the first tensor that it makes. Raises Unfit."""
    made = FORMS[form].emit(b, x)
    return made[0] if isinstance(made, list) else made

"""A generalised model with changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..api.generalised import arguments_of, generalised_inputs, read_generalised
from ..api.run import fit_model
from ..control import Control
from ..errors import SpecError
from ..fit import Fit, Inputs
from ..spec import PSEUDO
from .formula_changes import change_formula, with_own_contrasts

KEEP: Any = object()
"""Stands for an argument left as it was, where None means something else."""
ARRAYS = ("trials", "frequency", "offset")
"""Arguments that are columns or arrays beside the data."""


def update_generalised(
    fit: Fit,
    formula: str | None,
    data: Any,
    changes: Mapping[str, Any],
    known: Any,
    subset: Any,
    context: Mapping[str, Callable[..., Any]] | None,
    control: Control | None,
) -> Fit:
    """Return a fit of `glmm` fitted again; `changes` are those of its arguments that change, by name.

    What belongs to one method alone (points, residual structures, the restricted form) is left behind by another.
    """
    spec, before = fit.spec, fit.inputs
    arguments = arguments_of(spec)
    if "method" in changes and changes["method"] != arguments["method"]:
        pseudo = changes["method"] in PSEUDO
        arguments |= {"points": None, "reml": False}
        arguments |= {} if pseudo else {"residual": None, "variance": None}
    if "family" in changes:
        arguments["link"] = None
    text = spec.formula if formula is None else change_formula(spec.formula, formula)
    changed = read_generalised(text, **{**arguments, **changes}, context=context)
    if "contrasts" not in changes:
        changed = with_own_contrasts(changed)
    beside = {name: changes[name] for name in ARRAYS if name in changes}
    weights = changes.get("weights")
    if data is None:
        assert before is not None
        kept = {name: values for name, values in before.beside.items() if name not in beside}
        weights = weights if "weights" in changes else before.weights
        given = before.data
    else:
        kept, given = {}, data
        _refuse_arrays(before, changes)
    rows = (None if before is None else before.subset) if subset is KEEP else subset
    if subset is KEEP and data is not None and rows is not None and not isinstance(rows, str):
        raise SpecError(
            "update: subset= was given for the old data; give subset= for the new, None for all rows."
        )
    matrices = (before.known if before is not None else None) if known is KEEP else known
    inputs = generalised_inputs(
        given, weights=weights, known=matrices, subset=rows, context=context, **{**kept, **beside}
    )
    return fit_model(changed, inputs, fit.control if control is None else control)


def _refuse_arrays(before: Inputs | None, changes: Mapping[str, Any]) -> None:
    """Raise `SpecError` where arrays of the old data would be needed beside the new."""
    if before is None:
        return
    old = [name for name in before.beside if name not in changes]
    old += ["weights"] if before.weights is not None and "weights" not in changes else []
    if old:
        raise SpecError(
            f"update: {old[0]}= was given as an array for the old data; give {old[0]}= for the new."
        )

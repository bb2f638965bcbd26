"""A model to be written in another language: its spec, and the little of its data that the text depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import SpecError
from ..fit import Fit
from ..spec import ModelSpec
from ..syntax.algebra import expand


@dataclass(frozen=True, slots=True)
class Asked:
    """What is written: a spec, and what columns are.

    Parameters
    ----------
    kind
        `"number"`, or what else a column is, by its name.
    weighted
        Whether there are known weights, in a column or as an array.
    beside
        Names of the arguments that were given as arrays.
    points
        Quadrature points a dimension, None where there are none.
    ddf
        Degrees-of-freedom method, `"auto"` resolved.
    """

    spec: ModelSpec
    kind: Callable[[str], str]
    weighted: bool = False
    beside: frozenset[str] = field(default_factory=frozenset)
    points: int | None = None
    ddf: str = ""

    @staticmethod
    def of_fit(fit: Fit) -> Asked:
        """Return what is written of a fit."""
        from ..inference.ddf import automatic_for

        spec, known = fit.spec, fit.distribution
        beside = frozenset(fit.inputs.beside) if fit.inputs else frozenset()
        ddf = spec.ddf if isinstance(spec.ddf, str) else ""
        # pseudo-data have weights of their own
        weighted = (
            fit.design.weighted if known is None else bool(fit.inputs and fit.inputs.weights is not None)
        )
        return Asked(
            spec,
            fit.schema.kind,
            weighted or spec.weights is not None,
            beside,
            None if known is None else known.points,
            automatic_for(fit) if ddf == "auto" and known is None else ddf,
        )

    @staticmethod
    def of_spec(spec: ModelSpec, kind: Callable[[str], str] | None = None) -> Asked:
        """Return what is written of a spec without data; columns are numbers unless the formula makes them factors."""
        linear = spec.likelihood is None
        mixed = "kenward-roger" if spec.method == "reml" else "satterthwaite"
        plain = not spec.random and spec.residual is None and not spec.variance
        points = None if spec.likelihood is None else spec.likelihood.points
        ddf = spec.ddf if isinstance(spec.ddf, str) else ""
        if ddf == "auto" and linear:
            ddf = "residual" if plain else mixed
        return Asked(
            spec,
            kind or _guess(spec),
            spec.weights is not None,
            points=points if isinstance(points, int) else None,
            ddf=ddf,
        )


def _guess(spec: ModelSpec) -> Callable[[str], str]:
    """Return what columns are by the formula alone: groups and what is coded are factors."""
    factors = {name for name, _ in spec.contrasts}
    for term in spec.random:
        factors.update((*term.group, *([term.by] if term.by else [])))
    for function in spec.variance:
        factors.update(function.arguments if function.name == "ident" else ())
    if spec.residual is not None:
        factors.update(spec.residual.cluster)
    for text in (spec.fixed, *(term.effects for term in spec.random if not term.coordinates)):
        try:
            atoms = [atom for term in expand(text) for atom in term]
        except SpecError:
            continue
        factors.update(name for atom in atoms if atom.categorical for name in atom.variables)
    return lambda name: "factor" if name in factors else "number"

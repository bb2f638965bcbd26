"""Covariance parameters by name on the natural scale: every variance, covariance, correlation of a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ..covariance.base import Natural, Positions, Structure
from ..errors import SpecError, suggest
from ..terms.design import Design, RandomTerm
from ..typing import Array, Labels

RESIDUAL = "var(Residual)"
_DEGREES = {"variance": 1.0, "covariance": 1.0, "loading": 0.5}
"""With which power of a factor of Σ a natural parameter of value zero goes."""


@dataclass(frozen=True, slots=True)
class Block:
    """The parameters of one set of one random term: their structure and their place in θ."""

    term: int
    set: int
    structure: Structure
    positions: Positions
    place: slice


def refuse_indefinite(blocks: Collection[Block], theta: Array) -> None:
    """Raise `LinAlgError` where a Σ that bounds keep positive semidefinite is not, as some θ of bands make it."""
    for block in blocks:
        if block.structure.bounded and not block.structure.always_psd:
            block.structure.factor(theta[block.place], block.positions)


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """Parameters of Σ_R of one residual set, or of log σ² when `structure` is None."""

    set: int
    structure: Structure | None
    positions: Positions
    place: slice


@dataclass(frozen=True, slots=True)
class VarianceBlock:
    """Parameters of one variance function."""

    index: int
    place: slice


@dataclass(frozen=True, slots=True)
class NaturalParameters:
    """All covariance parameters on the reporting scale, absolute, the residual variance last.

    Parameters
    ----------
    names
        `"var(Subject: Days)"`, `"cov(Subject: (Intercept), Days)"`, …, `"var(Residual)"`, (k,).
    values
        (k,).
    jacobian
        ∂values/∂(joint parameters), (k, n): the parameters of absolute covariances, those of the errors last.
    kinds
        As in `Natural`, (k,).
    """

    names: Labels
    values: Array
    jacobian: Array
    kinds: Labels


def design_blocks(design: Design) -> tuple[Block, ...]:
    """Return the parameter blocks of a design, in order of term and set."""
    blocks, first = [], 0
    for k, term in enumerate(design.random):
        size = term.structure.size(term.n_columns)
        for s in range(term.n_sets):
            blocks.append(Block(k, s, term.structure, term.positions, slice(first, first + size)))
            first += size
    return tuple(blocks)


def natural_names(term: RandomTerm, which: int, natural: Natural) -> list[str]:
    """Return the names of one block's parameters with the term and set in them.

    `var(Days)` becomes `var(Subject: Days)`, `variance` becomes `var(Subject)`, `rho` becomes
    `rho(Subject)`; a set adds its label, `var(Subject [sex=F]: Days)`.
    """
    label = term.set_labels[which]
    where = f"{term.label} [{label}]" if label else term.label
    intercept = "(Intercept)" in term.columns
    out = []
    for name in natural.names:
        head, _, rest = name.partition("(")
        if not rest:
            out.append(f"{'var' if head == 'variance' else head}({where})")
            continue
        parts = rest.removesuffix(")").split(", ")
        parts = ["(Intercept)" if intercept and part == "Intercept" else part for part in parts]
        out.append(f"{head}({where}: {', '.join(parts)})")
    return out


def names_any(term: RandomTerm, names: Collection[str]) -> bool:
    """Return whether some of these names, spaces and case alike, are of parameters of a random term."""
    at = term.positions
    natural = term.structure.natural(term.structure.start(regular_target(at), at), at)
    own = {_fold(name) for which in range(term.n_sets) for name in natural_names(term, which, natural)}
    return not own.isdisjoint(_fold(name) for name in names)


def regular_target(at: Positions) -> Array:
    """Return a covariance matrix with no zero element and no special symmetry, (m, m)."""
    m = at.size
    return np.diag(1.0 + np.arange(m) / m) + 0.25


def scale_degrees(block: ResidualBlock) -> Array:
    """Return with which power of a factor of Σ_R its natural parameters go, (k,)."""
    if block.structure is None:
        return np.ones(1)
    at = block.positions
    own = block.structure.start(regular_target(at), at)
    before = block.structure.natural(own, at)
    after = block.structure.natural(block.structure.rescale(own, 4.0, at), at).values
    by_kind = [_DEGREES.get(kind, 0.0) for kind in before.kinds]
    known = (before.values != 0) & (after / np.where(before.values == 0, 1.0, before.values) > 0)
    ratio = np.where(known, after, 1.0) / np.where(known, before.values, 1.0)
    return np.where(known, np.round(np.log(ratio) / np.log(2.0)) / 2.0, by_kind)


def residual_name(name: str, where: str) -> str:
    """Return `var(week1)` as `var(Residual: week1)`, `rho` as `rho(Residual)`."""
    head, _, rest = name.partition("(")
    if not rest:
        return f"{'var' if head == 'variance' else head}({where})"
    return f"{head}({where}: {rest.removesuffix(')')})"


def residual_labels(design: Design) -> Labels:
    """Return how each residual set is called in names of parameters: `"Residual"`, `"Residual [arm=B]"`."""
    residual = design.residual
    labels = ("",) if residual is None or residual.structure is None else residual.set_labels
    return tuple(f"Residual [{label}]" if label else "Residual" for label in labels)


def place_by_name(values: Mapping[str, float], names: Labels, argument: str) -> dict[int, float]:
    """Return position → value for natural values given by name; spaces, case and `(Intercept)` or `Intercept` alike.

    A parameter of a variance function may go without the function's name, `ratio(b)` for `ident(arm): ratio(b)`, where
    it is the only one so called.

    Raises
    ------
    SpecError
        For a name that is not a parameter of the model, or a value that is not a finite number.
    """
    folded = _short_names(names) | {_fold(name): i for i, name in enumerate(names)}
    placed = {}
    for name, value in values.items():
        if _fold(name) not in folded:
            known = ", ".join(repr(n) for n in names)
            raise SpecError(
                f"{argument}={{{name!r}: …}} is no covariance parameter of this model.{suggest(name, names)} "
                f"Its parameters: {known}."
            )
        if not np.isfinite(value):
            raise SpecError(f"{argument}={{{name!r}: {value!r}}} must be a finite number.")
        placed[folded[_fold(name)]] = float(value)
    return placed


def _short_names(names: Labels) -> dict[str, int]:
    """Return the position of every parameter of a variance function by its name without that of the function."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        function, separator, rest = name.partition("): ")
        if separator and "(" in function:
            found.setdefault(_fold(rest), []).append(i)
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def _fold(name: str) -> str:
    folded = name.replace("(Intercept)", "Intercept").replace(" ", "").lower()
    return folded.replace(":intercept)", ")") if folded.startswith("var(") else folded


def residual_natural(block: ResidualBlock, own: Array) -> Natural:
    """Return the natural parameters of Σ_R of one set; the variance alone without a structure."""
    if block.structure is None:
        variance = np.exp(own)
        return Natural(("variance",), variance, variance[:, None], ("variance",))
    return block.structure.natural(own, block.positions)


def residual_from_natural(block: ResidualBlock, values: Array) -> Array:
    """Return the working parameters of Σ_R of one set; ValueError where its natural values define none."""
    if block.structure is not None:
        return block.structure.from_natural(values, block.positions)
    if not values[0] > 0:
        raise ValueError(f"variance {values[0]:.6g} must be positive")
    return np.asarray(np.log(values))

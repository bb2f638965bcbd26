"""Covariance parameters as intervals report them, and the scales without bounds they are computed on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from ..covariance.base import Structure
from ..criterion.base import Criterion
from ..criterion.parameters import NaturalParameters
from ..typing import Array

POSITIVE = frozenset({"range", "ratio"})
"""Kinds of natural parameters, besides variances, that are positive."""
LARGEST_ANGLE = np.pi / 2 - 1e-4
"""Arcsine of a correlation that counts as one (1 − 5e-9)."""
LEAST = 1e-300
"""Stands for a variance, range or decay of zero where a root or logarithm is taken."""


@dataclass(frozen=True, slots=True)
class Reported:
    """One covariance parameter on the scale intervals are computed on.

    Parameters
    ----------
    name
        `"sd(Subject: Days)"`, `"cor(Subject: (Intercept), Days)"`, or the natural name of other kinds.
    kind
        `"sd"`, `"angle"` (the arcsine of a correlation, smooth where the correlation is one), `"log"` of a
        range or ratio, `"unit"` (the logit of a correlation per unit of distance, between 0 and 1) or
        `"plain"`.
    index
        Place among the natural parameters.
    variances
        For a covariance the places of its two variances.
    """

    name: str
    kind: str
    index: int
    variances: tuple[int, int] | None = None

    def locate(self, natural: NaturalParameters) -> tuple[float, Array]:
        """Return the parameter on its computing scale and its slopes in the joint parameters."""
        value, slope = float(natural.values[self.index]), natural.jacobian[self.index]
        if self.kind == "sd":
            root = np.sqrt(max(value, LEAST))
            return float(root), slope / (2 * root)
        if self.kind == "plain":
            return value, slope
        if self.kind == "log":
            positive = max(value, LEAST)
            return float(np.log(positive)), slope / positive
        if self.kind == "unit":
            inside = float(np.clip(value, LEAST, 1 - 1e-16))
            return float(special.logit(inside)), slope / (inside * (1 - inside))
        if self.variances is not None:
            a, b = self.variances
            first, second = (max(float(natural.values[place]), LEAST) for place in (a, b))
            value /= np.sqrt(first * second)
            slope = slope / np.sqrt(first * second) - 0.5 * value * (
                natural.jacobian[a] / first + natural.jacobian[b] / second
            )
        bounded = float(np.clip(value, -np.sin(LARGEST_ANGLE), np.sin(LARGEST_ANGLE)))
        return float(np.arcsin(bounded)), slope / np.sqrt(1 - bounded**2)

    def shown(self, value: float) -> float:
        """Return a value on the computing scale as it is reported, zero where `LEAST` stands for it."""
        if self.kind == "sd":
            return value if not abs(value) <= 2 * np.sqrt(LEAST) else 0.0
        if self.kind in ("log", "unit"):
            inside = float(np.exp(value) if self.kind == "log" else special.expit(value))
            return inside if not inside <= 2 * LEAST else 0.0
        if self.kind != "angle":
            return value
        return float(np.sign(value)) if abs(value) >= LARGEST_ANGLE - 1e-7 else float(np.sin(value))


def is_regular(parameter: Reported, values: Array) -> bool:
    """Return whether the variances a parameter depends on are not zero."""
    places = [parameter.index] if parameter.kind == "sd" else list(parameter.variances or ())
    return all(values[i] > 0 for i in places)


def reported_parameters(criterion: Criterion, theta: Array) -> list[Reported]:
    """Return every covariance parameter of a model that is not held, in the order of `natural`."""
    natural = criterion.natural(theta)
    places = {name: i for i, name in enumerate(natural.names)}
    decays = decay_parameters(criterion, theta)
    free = _unbounded(criterion, theta)
    out = []
    for i, (name, kind) in enumerate(zip(natural.names, natural.kinds, strict=True)):
        if name in criterion.held:
            continue
        if i in free:
            out.append(Reported(name, "plain", i))
        elif kind == "variance":
            inner = name.removeprefix("var(")
            out.append(Reported(f"sd({inner}" if name.startswith("var(") else f"sd of {name}", "sd", i))
        elif kind == "covariance" and (pair := variances_of(name, places)) is not None:
            out.append(Reported("cor(" + name.removeprefix("cov("), "angle", i, pair))
        else:
            out.append(Reported(name, own_scale(kind, i in decays), i))
    return out


def own_scale(kind: str, decay: bool) -> str:
    """Return the computing scale of a natural parameter that is no variance, by its kind."""
    if kind == "correlation":
        return "unit" if decay else "angle"
    return "log" if kind in POSITIVE else "plain"


def decay_parameters(criterion: Criterion, theta: Array) -> frozenset[int]:
    """Return the places of correlations per unit of distance, which lie between 0 and 1."""
    if criterion.design.residual is None:
        return frozenset()
    out: list[int] = []
    start = 0
    blocks = criterion.model.natural_blocks(theta)
    structures: list[Structure | None] = [block.structure for block in criterion.model.random_blocks]
    structures += [block.structure for block in criterion.model.residual_blocks]
    for structure, (_, found, _) in zip(structures, blocks, strict=False):
        if structure is not None and structure.needs_coordinates and structure.names[0] != "kron":
            out += [start + i for i, kind in enumerate(found.kinds) if kind == "correlation"]
        start += len(found.names)
    return frozenset(out)


def _unbounded(criterion: Criterion, theta: Array) -> set[int]:
    """Return the places of the natural parameters of covariances without bounds, which may be negative."""
    out: set[int] = set()
    first = 0
    for block in criterion.model.random_blocks:
        count = len(block.structure.natural(theta[block.place], block.positions).values)
        if not block.structure.bounded:
            out |= set(range(first, first + count))
        first += count
    return out


def variances_of(name: str, places: dict[str, int]) -> tuple[int, int] | None:
    """Return the places of var(g: a) and var(g: b) for cov(g: a, b); column names may hold commas."""
    head, _, rest = name.removeprefix("cov(").removesuffix(")").partition(": ")
    pieces = rest.split(", ")
    for cut in range(1, len(pieces)):
        pair = [f"var({head}: {', '.join(part)})" for part in (pieces[:cut], pieces[cut:])]
        if all(one in places for one in pair):
            return places[pair[0]], places[pair[1]]
    return None

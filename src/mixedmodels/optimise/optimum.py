"""Where an optimisation ended."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Status
from ..typing import Array


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted iterate: criterion, predicted decrease, and the parameters."""

    value: float
    decrement: float
    theta: Array


@dataclass(frozen=True, slots=True)
class Tried:
    """One place a search started from, and what became of it.

    Parameters
    ----------
    theta, begun
        Where it started, and −2l there.
    value
        −2l where the search ended or was given up.
    fate
        `"optimum"`: it converged; `"joined"`: it came to where another search was; `"left"`: it was given up, others
        being lower; `"stalled"`: it did not converge.
    """

    theta: Array
    begun: float
    value: float
    fate: str


@dataclass(frozen=True, slots=True)
class Optimum:
    """The minimiser of a criterion and how it was reached.

    Parameters
    ----------
    theta
        Working parameters of all terms, in order of term, set, parameter.
    value
        The criterion −2l there.
    decrement
        g'H⁻¹g at the end, the squared distance to the optimum in the metric of −2l.
    converged
        Whether the decrement is below its tolerance and no direction off a boundary lowers the criterion.
    iterations, evaluations
        Newton iterations and criterion evaluations.
    trace
        Accepted iterates.
    singular
        For each random term and set, the numerical rank of Σ̂ (terms × sets, ragged).
    statuses
        What the user should know (not converged, singular term and its direction).
    starts
        The places searches started from, with what became of them.
    probes
        Random probes that −2l and its derivatives were estimated by, 0 where the engine takes none.
    noise
        Monte Carlo standard error of −2l, 0 where it is exact.
    """

    theta: Array
    value: float
    decrement: float
    converged: bool
    iterations: int
    evaluations: int
    trace: tuple[Step, ...]
    singular: tuple[tuple[int, ...], ...]
    statuses: tuple[Status, ...]
    starts: tuple[Tried, ...] = ()
    probes: int = 0
    noise: float = 0.0

"""Parametric and case bootstrap of any statistic of a fit."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..control import Control
from ..criterion import linear_part
from ..errors import MixedModelsError, SpecError
from ..fit import Fit
from ..formats import size_text
from ..registry import check_choice
from ..table import Table
from ..tool import load
from ..typing import Array, Labels
from .progress import counted
from .reported import reported_parameters
from .resampling import Clusters, fit_rows
from .threads import each, with_threads
from .wald import check_level

KINDS = ("parametric", "case")
INTERVALS = ("percentile", "basic", "bca")
Statistic = Callable[[Fit], Any]
MOST_DRAWS = 10_000_000
"""Replicates or draws that can be asked for."""
MOST, ROWS = 256, 400_000
"""Responses searched for together in native code, and their rows in all: it can be interrupted between such parts."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bootstrap:
    """Replicates of k statistics of one fit.

    Parameters
    ----------
    fit, statistic
        What was resampled, and the statistic; None for the fit's own parameters.
    names
        Names of the statistics, (k,).
    estimate
        Their values in the fit, (k,).
    replicates
        (n, k), rows of NaN where a replicate failed.
    failures
        Pairs (replicate, reason).
    n_singular
        Replicates with a singular covariance, which count like any other.
    kind, seed, cluster
        How replicates were drawn.
    """

    fit: Fit
    statistic: Statistic | None
    names: Labels
    estimate: Array
    replicates: Array
    failures: tuple[tuple[int, str], ...]
    n_singular: int
    kind: str
    seed: int
    cluster: str | None

    def __repr__(self) -> str:
        return str(self.table())

    @property
    def usable(self) -> Array:
        """The replicates that did not fail, (m, k)."""
        kept = np.ones(len(self.replicates), dtype=bool)
        kept[[i for i, _ in self.failures]] = False
        return self.replicates[kept]

    def table(self) -> Table:
        """Return `term estimate bias std_error`, the mean less the estimate and the standard deviation."""
        usable = self._enough()
        columns = {
            "term": list(self.names),
            "estimate": self.estimate,
            "bias": usable.mean(axis=0) - self.estimate,
            "std_error": usable.std(axis=0, ddof=1),
        }
        return Table(columns, f"{self.kind.capitalize()} bootstrap", self.notes, self.fit.backend)

    def confint(self, level: float = 0.95, interval: str = "percentile") -> Table:
        """Return `term estimate conf_low conf_high`.

        Parameters
        ----------
        level
            Confidence level.
        interval
            `"percentile"`, `"basic"` (2θ̂ less the opposite percentile) or `"bca"`.

        Notes
        -----
        BCa percentiles are Φ(z₀ + (z₀ + z_α)/(1 − a(z₀ + z_α))), z₀ = Φ⁻¹ of the share of replicates below θ̂
        (ties half), a = Σd³/(6(Σd²)^{3/2}) with d the jackknife mean less the value without cluster i (Efron
        1987).
        """
        check_level(level)
        check_choice("interval", interval, INTERVALS)
        usable = self._enough()
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        if interval == "bca":
            limits = self._bca(usable, tails)
        else:
            limits = np.quantile(usable, tails, axis=0)
            if interval == "basic":
                limits = 2 * self.estimate - limits[::-1]
        columns = {
            "term": list(self.names),
            "estimate": self.estimate,
            "conf_low": limits[0],
            "conf_high": limits[1],
        }
        title = f"{self.kind.capitalize()} bootstrap, {interval} intervals ({100 * level:g} %)"
        return Table(columns, title, self.notes, self.fit.backend)

    @property
    def notes(self) -> tuple[str, ...]:
        """Number of replicates, seed, and what went wrong."""
        out = [f"{len(self.replicates)} replicates, seed {self.seed}"]
        if self.n_singular:
            out.append(f"{self.n_singular} replicates with a singular covariance, counted like the others")
        if self.failures:
            first, reason = self.failures[0]
            out.append(
                f"{len(self.failures)} replicates failed and are left out, the first "
                f"(number {first}): {reason}"
            )
        return tuple(out)

    def _enough(self) -> Array:
        usable = self.usable
        if len(usable) < 2:
            reason = self.failures[0][1] if self.failures else "n is below 2"
            raise SpecError(f"bootstrap: fewer than two replicates can be used ({reason}).")
        return usable

    def _bca(self, usable: Array, tails: Array) -> Array:
        below = (usable < self.estimate).mean(axis=0) + 0.5 * (usable == self.estimate).mean(axis=0)
        bias = special.ndtri(np.clip(below, 0.5 / len(usable), 1 - 0.5 / len(usable)))
        left_out = self._jackknife()
        gap = left_out.mean(axis=0) - left_out
        spread = np.sum(gap**2, axis=0)
        acceleration = np.sum(gap**3, axis=0) / (6 * np.where(spread > 0, spread, 1.0) ** 1.5)
        limits = np.empty((2, len(self.names)))
        for i, tail in enumerate(special.ndtri(tails)):
            moved = bias + tail
            share = special.ndtr(bias + moved / (1 - acceleration * moved))
            limits[i] = [np.quantile(usable[:, j], share[j]) for j in range(len(share))]
        return limits

    def _jackknife(self) -> Array:
        clusters = Clusters.of(self.fit, self.cluster, "BCa intervals")
        out = []
        for i in range(clusters.count):
            part = fit_rows(self.fit, clusters, np.delete(np.arange(clusters.count), i))
            out.append(_evaluate(part, self.statistic)[1])
        return np.array(out)


def bootstrap(
    fit: Fit,
    stat: Statistic | int | None = None,
    n: int = 1000,
    seed: int | None = None,
    *,
    kind: str = "parametric",
    cluster: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Bootstrap:
    """Return n bootstrap replicates of a statistic of the fit.

    Parameters
    ----------
    stat
        A function of a fit that returns a number, a vector or a mapping name → number; by default the
        standard deviations and correlations of the random effects, σ and β. A whole number is taken as `n`.
    n
        Number of replicates.
    seed
        A non-negative number; drawn at random, and reported, when None.
    kind
        `"parametric"`: responses simulated from the fit; `"case"`: whole clusters drawn with replacement
        (rows, for a model without random effects).
    cluster
        Grouping factor whose levels are drawn; by default the one all others nest in.
    threads
        Threads of the refits, by default those of the fit's `Control`.
    progress
        Whether a line on standard error says how far it is; by default where that is a terminal, after two
        seconds.

    Notes
    -----
    Replicate i uses the Philox stream with key (seed, i), so that it depends on nothing but seed and i: not
    on n, on the order of computation or on threads. A replicate that raises or does not converge is a
    failure: it is listed in `failures` with its reason and counted in the notes of every table. Parametric replicates
    of the fit's own parameters are searched for in native threads; those of cases, and a statistic of one's own, which
    must then bear it, in threads of Python.
    *Same as* `lme4::bootMer`, `lmeresampler::bootstrap`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> boot = fit.bootstrap(n=200, seed=1)
    >>> boot.replicates.shape, boot.names
    ((200, 3), ('sd(Rail: (Intercept))', 'sd(Residual)', '(Intercept)'))
    """
    fit._refuse_moments("fit.bootstrap")
    check_choice("kind", kind, KINDS)
    if isinstance(stat, numbers.Integral) and not isinstance(stat, bool):
        stat, n = None, int(stat)
    if stat is not None and not callable(stat):
        raise SpecError(f"stat={stat!r} must be a function of a fit, for example lambda fit: fit.sigma.")
    fit._refuse_restricted("refits and the bootstrap")
    n, seed = check_draws(n, seed)
    check_room("n", n, len(fit.beta) + len(fit.optimum.theta) + 1, fit.control)
    names, estimate = _evaluate(fit, stat)
    run = _Run(np.full((n, len(estimate)), np.nan), [], np.zeros(n, dtype=bool))
    worked = with_threads(fit, threads)
    if kind == "case":
        _draw_cases(run, worked, stat, seed, cluster, progress)
    elif stat is None:
        _draw_parameters(run, worked, seed, progress)
    else:
        _draw_responses(run, worked, stat, seed, progress)
    run.failures.sort()
    return Bootstrap(
        fit, stat, names, estimate, run.values, tuple(run.failures), int(run.singular.sum()), kind, seed,
        cluster,
    )  # fmt: skip


def check_draws(n: int, seed: int | None, name: str = "n") -> tuple[int, int]:
    """Return a number of replicates and a seed, one drawn at random where it is None.

    Raises
    ------
    SpecError
        Where either is no whole number in its range; `name` is that of the argument.
    """
    if not isinstance(n, numbers.Integral) or isinstance(n, bool) or not 1 <= n <= MOST_DRAWS:
        raise SpecError(f"{name}={n!r} must be a whole number from 1 to {MOST_DRAWS:,}.")
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    if not (isinstance(seed, int | np.integer) and 0 <= seed < 2**64):
        raise SpecError(f"seed={seed!r} must be a whole number from 0 to 2^64 − 1.")
    return int(n), int(seed)


def check_room(name: str, n: int, each: int, control: Control) -> None:
    """Raise `SpecError` where n draws of `each` numbers do not fit into the memory that may be planned with.

    Examples
    --------
    >>> from mixedmodels import Control
    >>> check_room("n", 1_000_000, 100, Control(memory=1e8))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mixedmodels.errors.SpecError: n=1000000 draws of 100 numbers take 800.0 MB, more than the 100.0 MB ...
    """
    if 8.0 * n * each > control.room:
        raise SpecError(
            f"{name}={n} draws of {each:,} numbers take {size_text(8.0 * n * each)}, more than the "
            f"{size_text(control.room)} of control.memory. Use a smaller {name}= or control=mm.Control(memory=…)."
        )


def stream(seed: int, replicate: int) -> np.random.Generator:
    """Return the random numbers of one replicate, whatever the others do.

    Examples
    --------
    >>> float(stream(1, 7).random()) == float(stream(1, 7).random())
    True
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed, replicate], dtype=np.uint64)))


def simulated(fit: Fit, seed: int, replicate: int) -> Array:
    """Return one response of the model, all its random effects drawn, coefficients of splines too, (n,)."""
    drawn: Array = load("postfit.simulate:draw_all")(fit, 1, stream(seed, replicate))
    return drawn[:, 0]


@dataclass(frozen=True, slots=True)
class _Run:
    """What is filled in as replicates are computed."""

    values: Array
    failures: list[tuple[int, str]]
    singular: Any

    def record(self, i: int, compute: Callable[[], Fit], stat: Statistic | None) -> None:
        try:
            found = compute()
            if not found.converged:
                self.failures.append((i, "not converged"))
                return
            self.values[i] = _evaluate(found, stat)[1]
            self.singular[i] = found.singular
        except (MixedModelsError, ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            self.failures.append((i, f"{type(error).__name__}: {error}"))


def _draw_cases(
    run: _Run, fit: Fit, stat: Statistic | None, seed: int, cluster: str | None, progress: bool | None
) -> None:
    clusters = Clusters.of(fit, cluster, "the case bootstrap")
    if clusters.count < 2:
        raise SpecError(
            "bootstrap: kind='case' draws independent clusters, and all rows are of one; use 'parametric'."
        )

    def one(i: int) -> None:
        chosen = stream(seed, i).integers(clusters.count, size=clusters.count)
        run.record(i, lambda: fit_rows(fit, clusters, chosen), stat)

    _go_through(one, fit, len(run.values), progress)


def _draw_responses(run: _Run, fit: Fit, stat: Statistic, seed: int, progress: bool | None) -> None:
    def one(i: int) -> None:
        y = simulated(fit, seed, i)
        run.record(i, lambda: fit.refit(y), stat)

    _go_through(one, fit, len(run.values), progress)


def _go_through(one: Callable[[int], None], fit: Fit, n: int, progress: bool | None) -> None:
    """Compute replicates in the threads that a fit of this size is given."""
    done = each(one, range(n), fit.control.threads_for(fit.nobs))
    for _ in counted(range(n), "bootstrap", progress):
        next(done)
    # to the end, where threads are given back
    next(done, None)


def _draw_parameters(run: _Run, fit: Fit, seed: int, progress: bool | None) -> None:
    """Fill in the fit's own parameters for simulated responses, many responses at a time."""
    n, size = len(run.values), together(fit)
    for first in counted(range(0, n, size), "bootstrap", progress, total=n):
        _draw_together(run, fit, seed, range(first, min(first + size, n)))


def together(fit: Fit) -> int:
    """Return how many responses are searched for together.

    By the data alone and not by the clock, and in eights: how many go together shows in the last digits.
    """
    return max(min(MOST, ROWS // fit.nobs) // 8 * 8, 1)


def _draw_together(run: _Run, fit: Fit, seed: int, numbers: range) -> None:
    """Fill in the fit's own parameters for some of the simulated responses."""
    y = np.column_stack([simulated(fit, seed, i) for i in numbers])
    try:
        found = fit.refit(y)
    except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError):
        for i, column in zip(numbers, y.T, strict=True):
            run.record(i, lambda column=column: fit.refit(column), None)  # type: ignore[misc]
        return
    for row, i in enumerate(numbers):
        if not found.converged[row]:
            run.failures.append((i, "not converged"))
            continue
        covariance = _covariance_values(fit, found.theta[row], float(found.sigma2[row]))
        run.values[i] = np.concatenate([covariance, found.beta[row]])
        run.singular[i] = found.singular[row]


def _covariance_values(fit: Fit, theta: Array, sigma2: float) -> Array:
    """Return the reported covariance parameters at working parameters found for another response."""
    criterion = fit._work.parameters()
    parameters = reported_parameters(criterion, fit.optimum.theta)
    if criterion.joint:
        natural = criterion.natural(theta)
    else:
        criterion = linear_part(criterion)
        absolute = np.append(criterion.model.rescaled(theta, sigma2), np.log(sigma2))
        natural = criterion.jointly().natural(absolute)
    return np.array([p.shown(p.locate(natural)[0]) for p in parameters])


def _evaluate(fit: Fit, stat: Statistic | None) -> tuple[Labels, Array]:
    """Return the names and values of a statistic of a fit."""
    if stat is None:
        criterion, theta = fit._work.parameters(), fit.optimum.theta
        parameters, natural = reported_parameters(criterion, theta), criterion.natural(theta)
        values = [p.shown(p.locate(natural)[0]) for p in parameters]
        return (*(p.name for p in parameters), *fit.design.fixed.columns), np.array([*values, *fit.beta])
    found = stat(fit)
    if isinstance(found, Mapping):
        return tuple(map(str, found)), np.array(list(found.values()), dtype=float)
    vector = np.atleast_1d(np.asarray(found, dtype=float))
    if vector.ndim != 1:
        raise SpecError(f"stat returned an array of shape {vector.shape}; return a number or a vector.")
    name = getattr(stat, "__name__", "stat").replace("<lambda>", "stat")
    return tuple([name] if len(vector) == 1 else [f"{name}[{i}]" for i in range(len(vector))]), vector

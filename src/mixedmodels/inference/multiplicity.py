"""Multiplicity adjustments: p-values and critical values for a family of tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..typing import Array
from .distributions import f_upper, t_quantile, t_two_sided
from .simultaneous import dunnettx_upper, mvt_upper, solve_critical, tukey_upper

FamilyKind = Literal["pairwise", "control", "other"]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """m two-sided tests that are judged together.

    Parameters
    ----------
    statistic, df
        t statistics and their degrees of freedom, (m,).
    correlation
        Correlation of the estimates, (m, m).
    n_means
        Number of means compared, for a set of pairwise comparisons.
    kind
        Whether the tests are all pairwise comparisons of one set of means, comparisons with a control, or
        neither.
    asked
        Number of tests asked for, those without a result included (not estimable), as emmeans counts; by default m.
    """

    statistic: Array
    df: Array
    correlation: Array
    n_means: float
    kind: FamilyKind = "other"
    asked: int = 0

    @property
    def size(self) -> int:
        """Number of tests, those without a result included."""
        return max(self.asked, len(self.statistic))

    @property
    def p_value(self) -> Array:
        """Unadjusted two-sided p-values, (m,)."""
        return t_two_sided(self.statistic, self.df)

    @property
    def rank(self) -> int:
        """Rank of the correlation matrix: how many tests are linearly independent."""
        values = np.linalg.eigvalsh(self.correlation)
        return int((values > 1e-8 * values.max(initial=0.0)).sum())


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How one method adjusts p-values and intervals of a family.

    `p_values` maps a family to p-values (m,); `critical` maps a family and a level to half-widths in
    standard errors (m,); `note` says what was done, for the family's tests; `interval_note` what the
    intervals have in its place where the method has none of its own.
    """

    p_values: Callable[[Family], Array]
    critical: Callable[[Family, float], Array]
    note: Callable[[Family], str]
    interval_note: str = ""


def _none(family: Family) -> Array:
    return family.p_value


def _pointwise(family: Family, level: float) -> Array:
    return t_quantile(level, family.df)


def _sidak(family: Family) -> Array:
    return np.asarray(-np.expm1(family.size * np.log1p(-np.minimum(family.p_value, 1.0 - 1e-16))))


def _sidak_critical(family: Family, level: float) -> Array:
    return t_quantile(level ** (1.0 / family.size), family.df)


def _bonferroni(family: Family) -> Array:
    return np.minimum(1.0, family.size * family.p_value)


def _bonferroni_critical(family: Family, level: float) -> Array:
    return t_quantile(1.0 - (1.0 - level) / family.size, family.df)


def holm(p: Array) -> Array:
    """Return Holm's step-down p-values.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(4)
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    return _in_place(np.minimum(1.0, stepped), order)


def hochberg(p: Array) -> Array:
    """Return Hochberg's step-up p-values."""
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate((np.arange(len(p)) + 1) * p[order])
    return _in_place(np.minimum(1.0, stepped), order)


def hommel(p: Array) -> Array:
    """Return Hommel's p-values: the level at which Simes' test rejects all intersections with a hypothesis.

    Notes
    -----
    Hommel (1988). For an intersection of m hypotheses that holds the j-th smallest p-value the largest
    Simes p-value has the other members as large as can be; the closed test takes the maximum over m.

    Examples
    --------
    >>> hommel(np.array([0.01, 0.02, 0.03, 0.04])).round(4)
    array([0.04, 0.04, 0.04, 0.04])
    """
    n = len(p)
    order = np.argsort(p, kind="stable")
    ranked = p[order]
    worst = np.zeros(n)
    for m in range(1, n + 1):
        tail = ranked[n - m :]
        simes = float(np.min(m * tail / np.arange(1, m + 1)))
        for j in range(n):
            if j >= n - m:
                value = simes
            else:
                others = ranked[n - m + 1 :]
                members = np.concatenate([[ranked[j]], others])
                value = float(np.min(m * members / np.arange(1, m + 1)))
            worst[j] = max(worst[j], value)
    return _in_place(np.minimum(1.0, worst), order)


def benjamini_hochberg(p: Array) -> Array:
    """Return p-values adjusted for the false discovery rate under independence.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(4)
    array([0.03, 0.04, 0.04])
    """
    n = len(p)
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate(n / (n - np.arange(n)) * p[order])
    return _in_place(np.minimum(1.0, stepped), order)


def benjamini_yekutieli(p: Array) -> Array:
    """Return p-values adjusted for the false discovery rate under any dependence."""
    n = len(p)
    harmonic = float(np.sum(1.0 / np.arange(1, n + 1)))
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate(harmonic * n / (n - np.arange(n)) * p[order])
    return _in_place(np.minimum(1.0, stepped), order)


def _in_place(values: Array, order: NDArray[np.intp]) -> Array:
    out = np.empty(len(values))
    out[order] = values
    return out


def _scheffe(family: Family) -> Array:
    rank = family.rank
    squares = zip(family.statistic**2 / rank, family.df, strict=True)
    return np.array([f_upper(square, rank, df) for square, df in squares])


def _scheffe_critical(family: Family, level: float) -> Array:
    rank = family.rank
    return np.array([solve_critical(partial(_scheffe_upper, rank, df), level) for df in family.df])


def _scheffe_upper(rank: int, df: float, t: float) -> float:
    return f_upper(t * t / rank, rank, df)


def _by_upper(upper: Callable[[Family], Callable[[float, float], float]]) -> Callable[[Family], Array]:
    def p_values(family: Family) -> Array:
        tail = upper(family)
        pairs = zip(np.abs(family.statistic), family.df, strict=True)
        return np.array([tail(float(t), float(df)) for t, df in pairs])

    return p_values


def _by_root(
    upper: Callable[[Family], Callable[[float, float], float]],
) -> Callable[[Family, float], Array]:
    def critical(family: Family, level: float) -> Array:
        tail = upper(family)
        # Degrees of freedom that differ by rounding alone share one root.
        keys = [float(f"{df:.10g}") for df in family.df]
        roots: dict[float, float] = {}
        last: list[float] = []
        for df in sorted({key for key in keys if not np.isnan(key)}):
            # roots change slowly with df: the next one lies near where the last two point to
            reach = max(2.0 * abs(last[-1] - last[-2]), 1e-6) if len(last) > 1 else np.nan
            near = (last[-1] - reach, last[-1] + 1e-9) if np.isfinite(reach) and last[-1] > reach else None
            roots[df] = solve_critical(partial(_at_df, tail, df), level, near)
            last.append(roots[df])
        return np.array([roots.get(df, np.nan) for df in keys])

    return critical


def _at_df(tail: Callable[[float, float], float], df: float, t: float) -> float:
    return tail(t, df)


def _tukey(family: Family) -> Callable[[float, float], float]:
    return lambda t, df: tukey_upper(t, family.n_means, df)


def _dunnettx(family: Family) -> Callable[[float, float], float]:
    return lambda t, df: dunnettx_upper(t, family.size, df)


def _mvt(family: Family) -> Callable[[float, float], float]:
    return mvt_upper(family.correlation)


def _stepwise(method: Callable[[Array], Array]) -> Callable[[Family], Array]:
    def p_values(family: Family) -> Array:
        p = family.p_value
        # a test without a result counts as one that shows nothing
        return method(np.concatenate([p, np.ones(family.size - len(p))]))[: len(p)]

    return p_values


def _step_down(single: str) -> Adjustment:
    """Return the free step-down form of an adjustment: each p-value is judged with those not yet rejected.

    Notes
    -----
    The tests in the order of their p-values, the j-th is adjusted in the family of the j-th and all after it, and takes
    at least the p-value before it (Westfall, Tobias and Wolfinger 2011, section 9.3, without logical constraints). That
    is Holm's procedure for `bonferroni`; families that know the correlation of the estimates (`tukey`, `dunnettx`,
    `mvt`) judge what is left by its own multivariate t. *Same as* SAS `STEPDOWN(TYPE=FREE)`.
    """
    base = ADJUSTMENTS["mvt" if single in ("tukey", "dunnettx") else single]

    def p_values(family: Family) -> Array:
        p, least = family.p_value, 0.0
        order = np.argsort(p, kind="stable")
        out = np.empty(len(p))
        for j in range(len(p)):
            left = order[j:]
            part = replace(
                family,
                statistic=family.statistic[left],
                df=family.df[left],
                correlation=family.correlation[np.ix_(left, left)],
                asked=family.size - j,
            )
            least = max(least, float(base.p_values(part)[0]))
            out[order[j]] = least
        return out

    return Adjustment(
        p_values,
        ADJUSTMENTS[single].critical,
        lambda family: f"stepdown-{single} adjustment for {family.size} tests",
        f"intervals: {single} adjustment",
    )


def _tests(name: str) -> Callable[[Family], str]:
    return lambda family: f"{name} adjustment for {family.size} tests"


BONFERRONI_INTERVALS = "intervals: bonferroni adjustment"

ADJUSTMENTS: Mapping[str, Adjustment] = {
    "none": Adjustment(_none, _pointwise, lambda family: ""),
    "tukey": Adjustment(
        _by_upper(_tukey),
        _by_root(_tukey),
        lambda family: f"tukey adjustment for comparing a family of {family.n_means:.0f} estimates",
    ),
    "sidak": Adjustment(_sidak, _sidak_critical, _tests("sidak")),
    "bonferroni": Adjustment(_bonferroni, _bonferroni_critical, _tests("bonferroni")),
    "holm": Adjustment(_stepwise(holm), _bonferroni_critical, _tests("holm"), BONFERRONI_INTERVALS),
    "hochberg": Adjustment(
        _stepwise(hochberg), _bonferroni_critical, _tests("hochberg"), BONFERRONI_INTERVALS
    ),
    "hommel": Adjustment(_stepwise(hommel), _bonferroni_critical, _tests("hommel"), BONFERRONI_INTERVALS),
    "bh": Adjustment(
        _stepwise(benjamini_hochberg), _bonferroni_critical, _tests("bh (FDR)"), BONFERRONI_INTERVALS
    ),
    "by": Adjustment(
        _stepwise(benjamini_yekutieli), _bonferroni_critical, _tests("by (FDR)"), BONFERRONI_INTERVALS
    ),
    "scheffe": Adjustment(
        _scheffe, _scheffe_critical, lambda family: f"scheffe adjustment with rank {family.rank}"
    ),
    "dunnettx": Adjustment(_by_upper(_dunnettx), _by_root(_dunnettx), _tests("dunnettx")),
    "mvt": Adjustment(_by_upper(_mvt), _by_root(_mvt), _tests("mvt")),
}
ADJUSTMENTS = {
    **ADJUSTMENTS,
    **{
        f"stepdown-{name}": _step_down(name)
        for name in ("tukey", "sidak", "bonferroni", "scheffe", "dunnettx", "mvt")
    },
}
ALIASES: Mapping[str, str] = {
    "fdr": "bh",
    "bonf": "bonferroni",
    "dunnett": "mvt",
    "šidák": "sidak",
    "scheffé": "scheffe",
    "stepdown-bonf": "stepdown-bonferroni",
    "stepdown-dunnett": "stepdown-mvt",
}

"""Likelihood-ratio comparisons of fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import special

from ..errors import DataError, SpecError
from ..fit import Fit
from ..registry import check_choice
from ..table import Table
from ..terms.design import RandomTerm
from ..terms.predictors import parts_of
from ..typing import Array
from .bootstrap import check_draws
from .bootstrap_ratio import FALL, bootstrap_ratio
from .conditional_aic import conditional_criterion
from .ddf import method_for
from .distributions import f_upper
from .nested import is_nested
from .other_method import by_method, null_model
from .restricted_ratio import simulate_ratio
from .threads import with_threads

BOUNDARIES = ("none", "mixture", "exact")
FEW_GROUPS = 30
"""Levels of a grouping factor below which χ² tests of fixed effects reject far too often (11 % at 5 with 8 levels)."""
REFERENCES = ("chi2", "f", "bootstrap")
_DRAWS, _REFITS = 10_000, 1000
"""Draws of the exact distribution, and refits to simulated responses, where n is not given."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """What statistics are referred to, as asked, and what is to be said of it."""

    kind: str
    boundary: str
    n: int
    seed: int
    progress: bool | None
    notes: list[str] = field(default_factory=list)


def compare(
    *fits: Fit | Sequence[Fit],
    reference: str = "chi2",
    boundary: str = "none",
    names: Sequence[str] | None = None,
    n: int | None = None,
    seed: int | None = None,
    conditional: bool = False,
    threads: int | None = None,
    progress: bool | None = None,
) -> Table:
    """Return likelihood-ratio tests of each model against the next smaller one, with information criteria.

    Parameters
    ----------
    fits
        Models of the same response, in any order, one by one or in a list. One fit alone is compared with the null
        model of independent errors of one variance.
    reference
        What a statistic is referred to: `"chi2"`, χ² on the d parameters added; `"f"`, statistic/d by F(d, ν), ν the
        denominator degrees of freedom that the larger model's own `ddf` gives the fixed effects added, or n − rank X
        where covariance parameters are added; `"bootstrap"`, its values in n responses simulated from the smaller
        model, both models refitted to each.
    boundary
        Reference distribution by `"chi2"` where the smaller model puts a variance at zero: `"none"` for χ²_d;
        `"mixture"` for ½χ²_{d−1} + ½χ²_d, one random column added; `"exact"` for simulation of the
        finite-sample distribution, for one variance component against none, a smooth against a line among them.
    names
        Names of the models, in the order given; their formulas by default.
    n, seed
        Number of draws of `"exact"` (10,000 by default) or of refits of `"bootstrap"` (1,000), and their seed, drawn at
        random, and reported, when None.
    conditional
        Add the conditional AIC of Greven and Kneib (2010), for the groups observed; see
        `fit.conditional_aic`.
    threads
        Threads of the refits of `"bootstrap"`, by default those of each fit's `Control`.
    progress
        Whether a line on standard error says how far draws and refits are; by default where that is a terminal, after
        two seconds.

    Returns
    -------
    Table
        `model npar aic bic loglik deviance statistic df p_value delta_aic weight`, with `conditional` also
        `caic`, by number of parameters.

    Notes
    -----
    statistic = (−2l₀) − (−2l₁), d the difference of the numbers of parameters. Restricted likelihoods are
    comparable only where X is the same; where it is not, or where some fits are by maximum likelihood, REML
    fits are refitted by maximum likelihood and a note says so. That the smaller X lies in the larger is
    checked, and that the covariances of the smaller model are cases of the larger's, by their structures: where that is
    not so, or not known, there are information criteria only. A variance of zero is on the
    boundary: with r random columns before and r + 1 after, correlated with each other, the reference is
    ½χ²_r + ½χ²_{r+1} (Self and Liang 1987; Stram and Lee 1994); fixed effects tested at the same time add to
    both degrees of freedom. For one variance component σ_b² = λσ² the exact null distribution (Crainiceanu
    and Ruppert 2004) is that of

        sup_λ (n − p) log(1 + N/D) − Σ log(1 + λμ_s),  N = Σ w_s²λμ_s/(1 + λμ_s),
        D = Σ w_s²/(1 + λμ_s) + χ²_{n−p−K}

    with μ_s the eigenvalues of Z'(I − P_X)Z and w_s standard normal; for ML n replaces n − p in front, and
    the eigenvalues of Z'Z those in the sum of logarithms. By bootstrap p = (1 + #{at or above the statistic})/(1 + m)
    of m replicates (Davison and Hinkley 1997), which needs no boundary to be named; those that failed are left out and
    counted in a note. Akaike weights are exp(−Δ/2)/Σexp(−Δ/2).
    *Same as* `anova(fit0, fit1)` in lme4, `RLRsim::exactRLRT`, `pbkrtest::PBmodcomp` (`"bootstrap"`);
    SAS "Null Model Likelihood Ratio Test".

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.datasets.load("sleepstudy")
    >>> small = mm.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    >>> large = mm.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    >>> table = mm.compare(small, large, boundary="mixture")
    >>> table["statistic"].round(4), table["df"]
    (array([    nan, 42.8368]), array([nan,  2.]))
    """
    asked = _reference(reference, boundary, n, seed, progress)
    models: list[Fit] = []
    for each in fits:
        models += each if isinstance(each, (list, tuple)) else [each]  # type: ignore[list-item]
    _check_fits(models)
    models = [with_threads(fit, threads) for fit in models]
    if names is not None and len(names) != len(models):
        raise SpecError(f"names has {len(names)} entries for {len(models)} fits; give one for each.")
    labels = [_label(fit) for fit in models] if names is None else list(names)
    alone = len(models) == 1
    if alone:
        models.insert(0, null_model(models[0]))
        labels.insert(0, "null model")
    order = sorted(range(len(models)), key=lambda i: models[i].n_parameters)
    given, labels = [models[i] for i in order], [labels[i] for i in order]
    models, notes = _comparable(given)
    if alone:
        notes.insert(
            0, "null model: the same fixed part, no random effects, independent errors of one variance"
        )
    noise = max(one.optimum.noise for one in models)
    if noise:
        notes.append(f"-2 log L is simulated, each to ±{noise:.1g}: a difference of that size means nothing")
    tests = [(np.nan, np.nan, np.nan)]
    for (smaller, larger), as_given in zip(pairwise(models), given[1:], strict=True):
        tests.append(_test(smaller, larger, as_given, asked))
    notes += asked.notes
    tested = [(a, b) for (a, b), (*_, p) in zip(pairwise(models), tests[1:], strict=True) if np.isfinite(p)]
    if reference != "bootstrap" and boundary == "none" and any(_adds_variance(a, b) for a, b in tested):
        shown = "χ²" if reference == "chi2" else "F"
        notes.append(
            f"{shown} p-values of variances are too large, zero being on the boundary; see boundary="
        )
    if reference == "chi2":
        notes += _few_groups(tested)
    extra = _conditional(models, notes) if conditional else {}
    return _table(models, labels, np.array(tests), tuple(dict.fromkeys(notes)), extra)


def _reference(
    kind: str, boundary: str, n: int | None, seed: int | None, progress: bool | None
) -> _Reference:
    check_choice("reference", kind, REFERENCES)
    check_choice("boundary", boundary, BOUNDARIES)
    if kind != "chi2" and boundary != "none":
        raise SpecError(
            f"boundary={boundary!r} is another reference distribution than reference={kind!r}; give one of them."
        )
    count, start = check_draws((_REFITS if kind == "bootstrap" else _DRAWS) if n is None else n, seed)
    return _Reference(kind, boundary, count, start, progress)


def _few_groups(tested: Sequence[tuple[Fit, Fit]]) -> list[str]:
    """Return that χ² is a large-sample reference of fixed effects where there are few groups, a note or none."""
    counts = [
        min(fit.ngroups.values())
        for small, fit in tested
        if small.design.fixed.rank < fit.design.fixed.rank and fit.ngroups
    ]
    if not counts or min(counts) >= FEW_GROUPS:
        return []
    return [
        f"χ² p-values of fixed effects are too small with few groups ({min(counts)}); see reference='f' or "
        "'bootstrap', and anova()"
    ]


def _conditional(models: list[Fit], notes: list[str]) -> dict[str, Array]:
    notes.append("caic: conditional AIC, covariance parameters estimated (Greven and Kneib 2010)")
    return {"caic": np.array([conditional_criterion(fit).value("greven-kneib") for fit in models])}


def _table(
    models: list[Fit], labels: list[str], tests: Array, notes: tuple[str, ...], extra: dict[str, Array]
) -> Table:
    aic = np.array([fit.aic for fit in models])
    delta = aic - aic.min()
    weight = np.exp(-delta / 2)
    columns = {
        "model": labels,
        "npar": [fit.n_parameters for fit in models],
        "aic": aic,
        "bic": [fit.bic for fit in models],
        "loglik": [fit.loglik for fit in models],
        "deviance": [fit.criterion for fit in models],
        "statistic": tests[:, 0],
        "df": tests[:, 1],
        "p_value": tests[:, 2],
        "delta_aic": delta,
        "weight": weight / weight.sum(),
        **extra,
    }
    statistics = ("aic", "bic", "loglik", "deviance", "delta_aic", *extra)
    formats = {**dict.fromkeys(statistics, "statistic"), "npar": "integer"}
    return Table(columns, "Comparison of models", notes, models[0].backend, formats)


def _check_fits(fits: Sequence[Fit]) -> None:
    if not fits:
        raise SpecError("compare needs at least one fit: compare(fit0, fit1).")
    for fit in fits:
        if not isinstance(fit, Fit):
            raise SpecError(f"compare takes fits, not {type(fit).__name__}; options go by name.")
        fit._refuse_moments("compare")
    first = fits[0]
    for fit in fits[1:]:
        if fit.nobs != first.nobs:
            raise DataError(
                f"compare: the models use {first.nobs} and {fit.nobs} rows (missing values?); "
                "fit both to the rows complete for both."
            )
        if not np.allclose(fit.response, first.response, rtol=1e-12, atol=0):
            raise DataError(
                f"compare: the responses {first.spec.response!r} and {fit.spec.response!r} differ; "
                "likelihoods compare only for the same response on the same rows in the same order."
            )
    ways = {way: None for fit in fits if (way := _integrated(fit)) is not None}
    if len(ways) > 1:
        raise SpecError(
            f"compare: random effects are integrated out by {' and by '.join(ways)}, whose likelihoods differ for one "
            "and the same model; fit all with the same method and points, as by fit.update(method='laplace')."
        )


def _integrated(fit: Fit) -> str | None:
    """Return how random effects of a generalised model are integrated out; None where there are none, or no need."""
    known = fit.distribution
    if known is None or known.pseudo or not fit.design.random:
        return None
    if known.points is None:
        return known.approximation
    asked = fit.spec.likelihood
    # points that were raised until the likelihood settled differ between models
    settled = asked is not None and asked.points == "auto"
    points = "auto" if settled else known.points
    return f"{known.approximation} with points={points!r}"


def _label(fit: Fit) -> str:
    parts = [fit.spec.formula]
    if fit.spec.residual is not None:
        parts.append(f"residual={fit.spec.residual}")
    if fit.spec.variance:
        parts.append(f"variance={' * '.join(map(str, fit.spec.variance))}")
    if fit.spec.bounds == "none":
        parts.append("bounds='none'")
    return ", ".join(parts)


def _comparable(models: list[Fit]) -> tuple[list[Fit], list[str]]:
    """Return the models with comparable likelihoods, and what was done."""
    methods = {fit.spec.method for fit in models}
    if methods == {"ml"}:
        return models, ["by maximum likelihood"]
    if methods == {"reml"} and all(_same_fixed(models[0], fit) for fit in models):
        return models, ["by restricted maximum likelihood, the fixed parts being equal"]
    why = "the fixed parts differ" if methods == {"reml"} else "others are by maximum likelihood"
    note = f"REML fits were refitted by maximum likelihood, since {why}"
    return [by_method(fit, "ml") for fit in models], [note]


def _same_fixed(a: Fit, b: Fit) -> bool:
    x, z = a._work.rows().x, b._work.rows().x
    return x.shape == z.shape and bool(np.array_equal(x, z))


def _test(smaller: Fit, larger: Fit, as_given: Fit, asked: _Reference) -> tuple[float, float, float]:
    """Return statistic, its degrees of freedom and p-value; `as_given` is the larger model by its own method."""
    df, notes = larger.n_parameters - smaller.n_parameters, asked.notes
    if df == 0:
        notes.append("models with the same number of parameters are not tested against each other")
        return np.nan, np.nan, np.nan
    if asked.boundary == "exact" and _is_recoded(smaller, larger) and as_given.design.reml:
        return _restricted_test(by_method(smaller, "reml"), as_given, df, asked)
    statistic = smaller.criterion - larger.criterion
    if not _families_nested(smaller, larger):
        notes.append(
            "not tested: the family of the smaller model is not known to be a case of the larger one's"
        )
        return np.nan, np.nan, np.nan
    if not _spans(larger, smaller):
        notes.append("not tested: the fixed part of the smaller model does not lie in the larger one's")
        return np.nan, np.nan, np.nan
    if not is_nested(smaller, larger):
        notes.append("covariance models not nested: information criteria only")
        return np.nan, np.nan, np.nan
    if statistic < -FALL:
        notes.append("not tested: the larger model fits worse, so the models are not nested or not converged")
        return statistic, df, np.nan
    statistic = max(statistic, 0.0)
    if asked.kind == "bootstrap":
        return statistic, df, _by_bootstrap(smaller, larger, statistic, asked)
    if asked.kind == "f":
        return statistic, df, _by_f(smaller, larger, as_given, statistic, df, notes)
    return statistic, df, _by_chi_square(smaller, larger, statistic, df, asked)


def _by_bootstrap(smaller: Fit, larger: Fit, statistic: float, asked: _Reference) -> float:
    found = bootstrap_ratio(smaller, larger, asked.n, asked.seed, progress=asked.progress)
    asked.notes.append(
        f"p-value from {len(found.statistics)} responses simulated from the smaller model, seed {asked.seed}"
    )
    if found.failed:
        asked.notes.append(f"{found.failed} of {asked.n} replicates failed and are left out: {found.reason}")
    return found.p_value(statistic)


def _by_f(smaller: Fit, larger: Fit, as_given: Fit, statistic: float, df: int, notes: list[str]) -> float:
    """Return the p-value of statistic/df by F, with the larger model's degrees of freedom of what it adds."""
    added = _functions_added(smaller, larger)
    if len(added) == df:
        method = method_for(as_given, None)
        den_df = method.joint(as_given, added)[1]
        why = method.describe(as_given)
    else:
        den_df, why = float(larger.df_resid), "n − rank X, covariance parameters being added"
    if not den_df > 0:
        notes.append(f"no F test: {why} leaves no denominator degrees of freedom")
        return np.nan
    notes.append(f"p-value of statistic/{df} from F({df}, {den_df:.4g}); df: {why}")
    return float(f_upper(statistic / df, df, den_df))


def _functions_added(smaller: Fit, larger: Fit) -> Array:
    """Return functions (k, rank) of the larger model's β that are zero in the smaller model."""
    x, z = larger._work.rows().x, smaller._work.rows().x
    scale = np.linalg.norm(x, axis=0)
    inside = np.linalg.lstsq(x / scale, z / np.linalg.norm(z, axis=0), rcond=None)[0]
    basis = np.linalg.svd(inside, full_matrices=True)[0]
    return np.asarray(basis[:, z.shape[1] :].T * scale)


def _by_chi_square(smaller: Fit, larger: Fit, statistic: float, df: int, asked: _Reference) -> float:
    notes, boundary = asked.notes, asked.boundary
    if boundary != "none" and not larger.design.bounded:
        notes.append("a variance of zero is no boundary with bounds='none': p-value from χ²")
    if boundary == "none" or not _adds_variance(smaller, larger):
        return float(special.chdtrc(df, statistic))
    if boundary == "mixture":
        _require_one_column(smaller, larger)
        notes.append(f"p-value from ½χ²_{df - 1} + ½χ²_{df}")
        below = float(special.chdtrc(df - 1, statistic)) if df > 1 else float(statistic <= 0)
        return 0.5 * below + 0.5 * float(special.chdtrc(df, statistic))
    return _exact_p(smaller, larger, statistic, asked)


def _exact_p(smaller: Fit, larger: Fit, statistic: float, asked: _Reference) -> float:
    _require_one_component(smaller, larger)
    draws = simulate_ratio(larger.design, larger._work.rows(), asked.n, asked.seed, progress=asked.progress)
    asked.notes.append(f"p-value from {asked.n} draws of the exact null distribution, seed {asked.seed}")
    return float(np.mean(draws >= statistic - 1e-9))


CASES = {
    "poisson": ("nb2", "nb1", "genpois", "compois"),
    "binomial": ("betabinomial",),
    "exponential": ("gamma",),
    "geometric": ("nb2",),
    "gaussian": ("t",),
}
"""Families with those of one more parameter that have them as a case."""


def _is_recoded(smaller: Fit, larger: Fit) -> bool:
    """Return whether two fixed parts span the same in columns of other names: x, and what is free in s(x)."""
    if _same_fixed(smaller, larger) or smaller.design.fixed.rank != larger.design.fixed.rank:
        return False
    return _are_spanned(larger._work.rows().x, smaller._work.rows().x)


def _restricted_test(smaller: Fit, larger: Fit, df: int, asked: _Reference) -> tuple[float, float, float]:
    """Return the ratio of restricted likelihoods of one coding of the fixed part, and its exact p-value.

    Notes
    -----
    −2l of restricted likelihood has log|X'V⁻¹X|; less log|X'X| it is the same for every coding of X.
    """
    codings = [np.linalg.slogdet(np.linalg.qr(fit._work.rows().x, mode="r"))[1] for fit in (smaller, larger)]
    statistic = max(smaller.criterion - larger.criterion - 2.0 * float(codings[0] - codings[1]), 0.0)
    asked.notes.append("statistic: ratio of restricted likelihoods, the fixed parts spanning the same")
    return statistic, float(df), _exact_p(smaller, larger, statistic, asked)


def _families_nested(smaller: Fit, larger: Fit) -> bool:
    """Return whether the distribution of the smaller model is one of the larger's: its family, link and zeros."""
    old, new = smaller.distribution, larger.distribution
    if old is None or new is None:
        return old is new
    if smaller.link != larger.link:
        return False
    a, b = smaller.family, larger.family
    if a == b or b in CASES.get(a, ()):
        return True
    prefix = "zero_inflated_"
    inside, base = b.removeprefix(prefix), a.removeprefix(prefix)
    return b.startswith(prefix) and (base == inside or inside in CASES.get(base, ()))


def _spans(larger: Fit, smaller: Fit) -> bool:
    """Return whether the columns of the smaller X are linear combinations of those of the larger.

    Every predictor of the smaller model must be one of the larger's.
    """
    if larger.spec.likelihood is None or smaller.spec.likelihood is None:
        return _same_fixed(larger, smaller) or _are_spanned(larger._work.rows().x, smaller._work.rows().x)
    new, old = (
        {part.component: part.x for part in parts_of(fit.design, fit._work.rows())}
        for fit in (larger, smaller)
    )
    return all(name in new and _are_spanned(new[name], z) for name, z in old.items())


def _are_spanned(x: Array, z: Array) -> bool:
    """Return whether columns z, (n, q), are linear combinations of columns x, (n, p)."""
    if z.shape[1] == 0:
        return True
    if x.shape[1] == 0 or len(x) != len(z):
        return False
    scale = np.linalg.norm(x, axis=0)
    gap = z - x @ (np.linalg.lstsq(x / scale, z, rcond=None)[0] / scale[:, None])
    return bool(np.all(np.linalg.norm(gap, axis=0) <= 1e-7 * np.linalg.norm(z, axis=0)))


def _adds_variance(smaller: Fit, larger: Fit) -> bool:
    """Return whether the larger model adds a variance whose zero is a boundary."""
    if not larger.design.bounded:
        return False
    return sum(t.n_columns for t in larger.design.random) > sum(t.n_columns for t in smaller.design.random)


def _same_term(a: RandomTerm, b: RandomTerm) -> bool:
    same = a.group == b.group and a.columns == b.columns and a.structure == b.structure
    return same and a.n_sets == b.n_sets and (a.known is None) == (b.known is None)


def _differing(smaller: Fit, larger: Fit) -> tuple[list[RandomTerm], list[RandomTerm]]:
    old, new = list(smaller.design.random), list(larger.design.random)
    for term in list(old):
        match = next((i for i, other in enumerate(new) if _same_term(term, other)), None)
        if match is not None:
            old.remove(term)
            del new[match]
    return old, new


def _require_one_column(smaller: Fit, larger: Fit) -> None:
    """Raise unless the larger model has one variance more, with its covariances to the term it joins."""
    old, new = _differing(smaller, larger)
    alone = not old and len(new) == 1 and new[0].n_theta == 1
    joined = len(old) == 1 and len(new) == 1 and _extends(old[0], new[0])
    same_errors = (smaller.design.residual is None) and (larger.design.residual is None)
    if not (same_errors and (alone or joined)):
        raise SpecError(
            "boundary='mixture' is for one random column added: a term with one variance, or r + 1 "
            "correlated columns where there were r. Use boundary='none', or compare models one column apart."
        )


def _extends(old: RandomTerm, new: RandomTerm) -> bool:
    columns = new.n_columns == old.n_columns + 1 and set(old.columns) < set(new.columns)
    full = all(t.structure.names[0] in ("us", "unr") or t.n_columns == 1 for t in (old, new))
    return old.group == new.group and columns and full and old.n_sets == new.n_sets == 1


def _require_one_component(smaller: Fit, larger: Fit) -> None:
    terms = larger.design.random
    one = not smaller.design.random and len(terms) == 1 and terms[0].n_theta == 1
    plain = smaller.design.residual is None and larger.design.residual is None
    if not (one and plain and (_same_fixed(smaller, larger) or _is_recoded(smaller, larger))):
        raise SpecError(
            "boundary='exact' is for one variance component against none with the same fixed part and "
            "independent errors; use boundary='mixture' for others."
        )

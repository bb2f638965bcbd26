"""What every tool answers about a fit of recoded data, read back in the units, names and order of the original data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.errors import MixedModelsError
from mixedmodels.fit import Fit
from mixedmodels.inference.ddf import DDF_METHODS
from mixedmodels.table import Table
from mixedmodels.typing import Array
from recodings import Written
from same_model_cases import Case


@dataclass(frozen=True)
class Asked:
    """A fit, how its data were written, and which model it is."""

    fit: Fit
    case: Case
    written: Written

    def shifted(self) -> bool:
        return self.written.origins["x"] != 0.0

    def relabelled(self) -> bool:
        """Whether the reference levels, or the coding, are others."""
        recoding = self.written.recoding
        return recoding.levels == "reversed" or recoding.coding != "treatment"

    @property
    def y(self) -> float:
        return self.written.units["y"]

    @property
    def x(self) -> float:
        return self.written.units["x"]


Answer = tuple[str, float, float]
"""What was asked, the value, and the size that its error is measured by besides its own."""
Question = Callable[[Asked], Iterator[Answer]]


def answers(asked: Asked) -> dict[str, tuple[float, float]]:
    """Return every answer by what was asked; a tool that refuses says so, and must say so of every writing."""
    found: dict[str, tuple[float, float]] = {}
    for name, question in QUESTIONS.items():
        try:
            for label, value, size in question(asked):
                found[f"{name}: {label}"] = (value, size)
        except MixedModelsError as error:
            found[f"{name}: refused, {type(error).__name__}"] = (0.0, 1.0)
    return found


def estimates(table: Table, key: Callable[[int], str], unit: float, label: str = "") -> Iterator[Answer]:
    """Yield the columns of a table of estimates; `unit` is what one unit of the estimate was written as."""
    for i in range(len(table)):
        name = label + key(i)
        error = float(table["std_error"][i]) / unit
        yield f"{name} estimate", float(table["estimate"][i]) / unit, error
        yield f"{name} std_error", error, 0.0
        for column in ("conf_low", "conf_high"):
            if column in table:
                yield f"{name} {column}", float(table[column][i]) / unit, error
        yield f"{name} df", float(table["df"][i]), 0.0
        for column in ("statistic", "p_value"):
            if column in table:
                yield f"{name} {column}", float(table[column][i]), 1.0


def criterion(asked: Asked) -> Iterator[Answer]:
    yield "-2l", asked.fit.criterion - offset(asked), 1.0
    yield "covariance parameters", float(asked.fit.n_covariance_parameters), 0.0
    yield "converged", float(asked.fit.converged), 0.0
    yield "singular", float(asked.fit.singular), 0.0


CURVED = ("kenward-roger", "kenward-roger2")
"""Methods that are not asked for where V bends: the first is defined by parameters that change with units, the second
is refused at a singular covariance, which rounding can make of a nearly singular one."""


def offset(asked: Asked) -> float:
    """Return by how much −2l differs because the response and the columns of X are in other units."""
    fit = asked.fit
    p = fit.design.fixed.rank
    if fit.spec.method == "ml":
        return 2.0 * fit.design.n * float(np.log(asked.y))
    root = np.linalg.qr(np.asarray(fit.rows.x), mode="r")
    return 2.0 * (fit.design.n - p) * float(np.log(asked.y)) + 2.0 * float(
        np.log(np.abs(np.diagonal(root))).sum()
    )


def information_criteria(asked: Asked) -> Iterator[Answer]:
    """Penalties only: −2l itself is asked for by `criterion`."""
    table = asked.fit.information_criteria()
    # SAS counts the levels of the first random term where none holds all others
    in_order = asked.written.recoding.terms == "as given" or len(asked.fit.design.random) < 2
    for column in ("lme4", "nlme", "sas") if in_order else ("lme4", "nlme"):
        values = table[column]
        for i in range(1, len(table)):
            yield f"{column} {table['criterion'][i]}", float(values[i] - values[0]), 1.0


def fixed_effects(asked: Asked) -> Iterator[Answer]:
    if not asked.case.coefficients:
        return
    for method in (None, *DDF_METHODS):
        if method in CURVED and not asked.fit.design.linear:
            continue
        try:
            table = asked.fit.fixed_effects(ddf=method)
        except MixedModelsError as error:
            yield f"{method}: refused, {type(error).__name__}", 0.0, 1.0
            continue
        terms = [asked.written.read(term) for term in table["term"]]
        yield from rows_of(table, terms, "x", asked.y / asked.x, f"{method} ")


def rows_of(table: Table, terms: list[str], term: str, unit: float, label: str) -> Iterator[Answer]:
    """Yield one row of a table of coefficients."""
    row = Table({name: [table[name][terms.index(term)]] for name in table})
    yield from estimates(row, lambda i: term, unit, label)


def anova(asked: Asked) -> Iterator[Answer]:
    ordered = asked.written.recoding.terms == "as given"
    methods = [None, *(m for m in DDF_METHODS if m not in CURVED or asked.fit.design.linear)]
    for kind in (1, 2, 3):
        if kind == 1 and not ordered:
            continue
        for method in methods if kind == 3 else [None]:
            try:
                table = asked.fit.anova(kind, ddf=method)
            except MixedModelsError as error:
                yield f"type {kind} {method}: refused, {type(error).__name__}", 0.0, 1.0
                continue
            yield from tests(asked, table, kind, f"type {kind} {method}")


def tests(asked: Asked, table: Table, kind: int, label: str) -> Iterator[Answer]:
    terms = [":".join(sorted(asked.written.read(term).split(":"))) for term in table["term"]]
    # the degrees of freedom of Fai and Cornelius depend on the basis of L, which SAS takes from the order of levels
    basis = "satterthwaite" in label or (asked.fit.spec.method == "ml" and "None" in label)
    moved = basis and asked.written.recoding.levels == "reversed"
    for i, term in enumerate(terms):
        if kind != 1 and not invariant(term, terms, kind):
            continue
        for column in ("num_df", "den_df", "statistic", "p_value"):
            if moved and table["num_df"][i] > 1 and column in ("den_df", "p_value"):
                continue
            small = column in ("statistic", "p_value")
            yield f"{label} {term} {column}", float(table[column][i]), 1.0 if small else 0.0


def invariant(term: str, terms: list[str], kind: int) -> bool:
    """Return whether the hypothesis of a term stays the same when a covariate has another origin.

    That of x beside x² is the slope at x = 0; so is that of a factor beside its product with x, of type 3.
    """
    others = [other for other in terms if other != term]
    if term.startswith("(Intercept)"):
        return False
    if any("x**2" in other for other in others) and "x**2" not in term:
        return False
    inside = [other for other in others if set(term.split(":")) < set(other.split(":"))]
    return not inside or (kind == 2 and not any("x" in other for other in terms))


def emmeans(asked: Asked) -> Iterator[Answer]:
    read, unit = asked.written.read, asked.y
    arm, x = (asked.written.names.get(name, name) for name in ("arm", "x"))
    at = {x: [(0.5 + asked.written.origins["x"]) * asked.x]}
    yield from estimates(asked.fit.emmeans("1").table, lambda i: "overall", unit)
    if "arm" not in asked.case.formula:
        yield from estimates(asked.fit.emmeans("1", at=at).table, lambda i: "overall", unit, "at ")
        return
    means = asked.fit.emmeans(arm)
    yield from estimates(means.table, lambda i: read(means[arm][i]), unit)
    there = asked.fit.emmeans(arm, at=at)
    yield from estimates(there.table, lambda i: read(there[arm][i]), unit, "at ")
    yield from differences(asked, means.contrast("pairwise", adjust="tukey"), unit)


def response_means(asked: Asked) -> Iterator[Answer]:
    """Means on the scale of the response, and over the random effects; probabilities of categories."""
    if asked.case.family is None:
        return
    read, arm = asked.written.read, asked.written.names.get("arm", "arm")
    how: dict[str, dict[str, Any]] = {"response": {"type": "response"}}
    if asked.fit.design.random and asked.fit.distribution.link is not None:
        how["averaged"] = {"type": "response", "means": "averaged"}
    for label, options in how.items():
        means = asked.fit.emmeans(arm, **options)
        names = list(means.levels)

        def key(i: int, means: Any = means, names: Any = names) -> str:
            return " ".join(sorted(read(means[name][i]) for name in names))

        yield from estimates(means.table, key, 1.0, f"{label} ")


def differences(asked: Asked, contrasts: Any, unit: float) -> Iterator[Answer]:
    """Yield differences of levels; the limits of one written the other way round are those of its negative."""
    table = contrasts.table
    for i in range(len(table)):
        first, second = asked.written.read(table["contrast"][i]).split(" - ")
        sign = 1.0 if first < second else -1.0
        error = float(table["std_error"][i]) / unit
        label = " - ".join(sorted((first, second)))
        limits = sorted(sign * float(table[c][i]) / unit for c in ("conf_low", "conf_high") if c in table)
        yield f"{label} estimate", sign * float(table["estimate"][i]) / unit, error
        yield f"{label} std_error", error, 0.0
        yield f"{label} df", float(table["df"][i]), 0.0
        yield f"{label} p_value", float(table["p_value"][i]), 1.0
        for place, value in enumerate(limits):
            yield f"{label} limit {place}", value, error


def emtrends(asked: Asked) -> Iterator[Answer]:
    read, unit = asked.written.read, asked.y / asked.x
    arm, x = (asked.written.names.get(name, name) for name in ("arm", "x"))
    if "x" not in asked.case.formula.split("|")[0]:
        return
    at = {x: [(0.5 + asked.written.origins["x"]) * asked.x]}
    if "arm" in asked.case.formula:
        trends = asked.fit.emtrends(x, arm, at=at)
        yield from estimates(trends.table, lambda i: read(trends[arm][i]), unit)
    else:
        yield from estimates(asked.fit.emtrends(x, at=at).table, lambda i: "overall", unit)


def joint_tests(asked: Asked) -> Iterator[Answer]:
    table = asked.fit.joint_tests()
    for i in range(len(table)):
        term = ":".join(sorted(asked.written.read(table[next(iter(table))][i]).split(":")))
        for column in table:
            if column in ("num_df", "den_df", "statistic", "p_value"):
                yield f"{term} {column}", float(table[column][i]), 1.0


def predict(asked: Asked) -> Iterator[Answer]:
    """Limits for rows of the fit given as new data."""
    chosen = np.argsort(asked.written.order)[[0, 5, 17, 40]]
    new = asked.written.data.iloc[chosen]
    if asked.case.family == "ordinal":
        # the predictor alone has no origin: thresholds hold it
        probabilities = asked.fit.predict(new, type="prob")
        for name in probabilities:
            for i, value in enumerate(probabilities[name]):
                yield f"{name} {i}", float(value), 0.1
        return
    for level in ("population", "conditional"):
        # new responses of generalised models are drawn
        for interval in ("confidence",) if asked.case.family else ("confidence", "prediction"):
            table = asked.fit.predict(new, level=level, interval=interval)
            for i in range(len(table)):
                for column in ("fit", "se", "lower", "upper"):
                    size = float(table["se"][i]) / asked.y if column != "se" else 0.0
                    yield f"{level} {interval} {i} {column}", float(table[column][i]) / asked.y, size


def residuals(asked: Asked) -> Iterator[Answer]:
    places = np.argsort(asked.written.order)[::29]
    for kind in ("response", "pearson", "student"):
        for level in ("conditional", "marginal"):
            values = asked.fit.residuals(kind, level=level)
            unit = asked.y if kind == "response" else 1.0
            size = float(np.std(values)) / unit
            for i, place in enumerate(places):
                yield f"{kind} {level} {i}", float(values[place]) / unit, size


def random_effects(asked: Asked) -> Iterator[Answer]:
    if not asked.fit.design.random or "spline" in asked.case.formula:
        return  # the columns of a basis have no meaning of their own
    table = asked.fit.random_effects()
    moved = asked.shifted() and any(asked.written.read(term) == "x" for term in table["term"])
    for i in range(0, len(table), 7):
        group, level, term = (asked.written.read(table[c][i]) for c in ("group", "level", "term"))
        if term != "x" and moved:
            continue
        unit = asked.y / (asked.x if term == "x" else 1.0)
        error = float(table["std_error"][i]) / unit
        yield f"{group} {level} {term} estimate", float(table["estimate"][i]) / unit, error
        yield f"{group} {level} {term} std_error", error, 0.0


def variance_components(asked: Asked) -> Iterator[Answer]:
    """Rows that mean the same: all but those of an intercept at another origin, and of smooths, in powers of x."""
    case, written = asked.case, asked.written
    table = asked.fit.variance_components(se=True)
    groups = [written.read(g) for g in table["group"]]
    names = [frozenset(written.read(table[c][i]) for c in ("name1", "name2")) for i in range(len(table))]
    slopes = {g for g, n in zip(groups, names, strict=True) if "x" in n}
    whole = float(asked.fit.sigma2) / asked.y**2
    for i, (group, name) in enumerate(zip(groups, names, strict=True)):
        kind = str(table["kind"][i])
        free = group == "Residual" and (case.variance is not None or "by=" in str(case.residual))
        relative = any(part.startswith("second.") for part in name)  # of a product, to the first factor
        if kind not in ("variance", "covariance") or free or "spline" in group or "s(" in group or relative:
            continue
        if group in slopes and asked.shifted() and name != frozenset({"x", ""}):
            continue
        if case.shared and any(part.startswith("unique") for part in name):
            continue
        unit = asked.y**2
        for column in ("name1", "name1") if "" in name else ("name1", "name2"):
            unit /= asked.x if written.read(table[column][i]) in ("x", "unique(x)") else 1.0
        label = f"{group} {' '.join(sorted(name))} {kind}"
        error = float(table["std_error"][i]) / unit
        size = whole if case.small_components else 0.0
        yield f"{label} estimate", float(table["variance"][i]) / unit, max(float(np.nan_to_num(error)), size)
        yield f"{label} std_error", error, size


def marginal_cov(asked: Asked) -> Iterator[Answer]:
    """The determinant and the trace of V of the first subject's rows, whatever their order."""
    if not asked.fit.design.random and asked.fit.design.residual is None:
        return
    v = marginal(asked)
    yield "trace", float(np.trace(v)) / asked.y**2, 0.0
    yield "log determinant", float(np.linalg.slogdet(v / asked.y**2)[1]), 1.0


def marginal(asked: Asked) -> Array:
    names = {old: new for new, old in asked.written.tokens.items()}
    first = "run05" if asked.case.residual and not asked.fit.design.random else "id03"
    return np.asarray(asked.fit.marginal_cov(names[first]))


def icc(asked: Asked) -> Iterator[Answer]:
    table = asked.fit.icc()
    for i in range(len(table)):
        group = asked.written.read(table["group"][i])
        yield f"{group} variance", float(table["variance"][i]) / asked.y**2, 0.0
        for column in ("icc", "icc_unadjusted"):
            yield f"{group} {column}", float(table[column][i]), 1.0


def r2(asked: Asked) -> Iterator[Answer]:
    table = asked.fit.r2()
    for kind, value in zip(table["kind"], table["r2"], strict=True):
        yield str(kind), float(value), 1.0


def vcov_robust(asked: Asked) -> Iterator[Answer]:
    cluster = asked.written.names.get("id", "id")
    arm = asked.written.names.get("arm", "arm")
    for kind in ("CR0", "CR2"):
        robust = asked.fit.vcov_robust(kind, cluster=cluster)
        if "arm" in asked.case.formula:
            table = robust.emmeans(arm).table
            levels = [asked.written.read(level) for level in table[arm]]
            yield from estimates(table, levels.__getitem__, asked.y, f"{kind} ")
        yield from estimates(robust.emmeans("1").table, lambda i: "overall", asked.y, f"{kind} ")


def profile(asked: Asked) -> Iterator[Answer]:
    """Limits by the profile of the likelihood of the coefficient of x and the error variance."""
    if not asked.case.profile:
        return
    table = asked.fit.confint("profile", terms=[asked.written.names.get("x", "x")])
    for i in range(len(table)):
        for column in ("estimate", "conf_low", "conf_high"):
            if column in table:
                yield f"x {column}", float(table[column][i]) / (asked.y / asked.x), 0.1

    yield from component_limits(asked)


def component_limits(asked: Asked) -> Iterator[Answer]:
    """Limits of the error variance by the profile."""
    table = asked.fit.variance_components(ci="profile")
    at = [i for i in range(len(table)) if table["group"][i] == "Residual" and table["kind"][i] == "variance"]
    for i in at[:1]:
        for column in ("conf_low", "conf_high"):
            yield f"var(Residual) {column}", float(table[column][i]) / asked.y**2, 0.0


def conditional_aic(asked: Asked) -> Iterator[Answer]:
    if not asked.fit.design.bounded or not asked.fit.design.random:
        return
    table = asked.fit.conditional_aic()
    for i in range(len(table)):
        kind = table["correction"][i]
        yield f"{kind} df", float(table["df"][i]), 1.0
        shift = 2.0 * asked.fit.design.n * float(np.log(asked.y))
        yield f"{kind} caic", float(table["caic"][i]) - shift, 1.0


def drop1(asked: Asked) -> Iterator[Answer]:
    if not asked.case.profile:
        return  # refits by maximum likelihood for every term
    table = asked.fit.drop1()
    for i in range(len(table)):
        # df of several contrasts by Fai and Cornelius depend on how these are written
        for column in ("num_df", "statistic"):
            yield f"{asked.written.read(table['term'][i])} {column}", float(table[column][i]), 1.0


def ranova(asked: Asked) -> Iterator[Answer]:
    """Statistics by size: terms are named in the words of the formula."""
    if not asked.case.profile or not asked.fit.design.bounded:
        return
    statistics = np.sort(np.nan_to_num(np.asarray(asked.fit.ranova()["statistic"], dtype=float)))
    for i, value in enumerate(statistics):
        yield f"{i} statistic", float(value), 1.0


def coefficients(asked: Asked) -> Iterator[Answer]:
    if not asked.fit.design.random or not asked.case.coefficients:
        return
    table = asked.fit.coefficients()
    for i in range(len(table)):
        if asked.written.read(table["term"][i]) == "x":
            group, level = (asked.written.read(table[c][i]) for c in ("group", "level"))
            yield f"{group} {level} x", float(table["estimate"][i]) / (asked.y / asked.x), 0.1


def influence(asked: Asked) -> Iterator[Answer]:
    """Measures by size: levels have other names and rows another order."""
    if not asked.fit.design.random:
        return
    group = min((term.group for term in asked.fit.design.random), key=asked.written.read)
    table = asked.fit.influence(by=group)
    measures = ("cooks_d", "mdffits", "covratio", "covtrace")
    of_theta = ("cooks_d_theta", "mdffits_theta") if asked.case.profile else ()
    for column in (*measures, *of_theta):
        if column in table:
            values = np.sort(np.nan_to_num(np.asarray(table[column], dtype=float)))
            for i, value in enumerate(values):
                yield f"{column} {i}", float(value), max(float(values[-1]), 1e-3)


def leverage(asked: Asked) -> Iterator[Answer]:
    for level in ("conditional", "marginal"):
        for i, value in enumerate(np.sort(asked.fit.leverage(level))):
            yield f"{level} {i}", float(value), 0.1


def smooths(asked: Asked) -> Iterator[Answer]:
    table = asked.fit.smooths()
    for i in range(len(table)):
        for column in ("edf", "ref_df", "statistic", "p_value"):
            yield f"{i} {column}", float(table[column][i]), 1.0


QUESTIONS: dict[str, Question] = {
    "criterion": criterion,
    "information_criteria": information_criteria,
    "fixed_effects": fixed_effects,
    "anova": anova,
    "emmeans": emmeans,
    "means on the scale of the response": response_means,
    "emtrends": emtrends,
    "joint_tests": joint_tests,
    "predict": predict,
    "residuals": residuals,
    "random_effects": random_effects,
    "variance_components": variance_components,
    "marginal_cov": marginal_cov,
    "icc": icc,
    "r2": r2,
    "vcov_robust": vcov_robust,
    "profile": profile,
    "conditional_aic": conditional_aic,
    "drop1": drop1,
    "ranova": ranova,
    "coefficients": coefficients,
    "influence": influence,
    "leverage": leverage,
    "smooths": smooths,
}
"""How every tool is asked."""

NOT_ASKED = {
    **dict.fromkeys(
        ("summary", "report", "tidy", "glance", "augment", "conf_int"), "prints what others answer"
    ),
    **dict.fromkeys(("mean_squares",), "of variance components alone; its own tests recode them"),
    **dict.fromkeys(("covtest",), "refits whose own numbers are asked"),
    **dict.fromkeys(("multivariate_tests",), "asked through anova: a function of its statistics"),
    **dict.fromkeys(("cov_params", "wald", "test"), "asked through emmeans, in the coordinates of X"),
    **dict.fromkeys(("random_cov", "residual_cov"), "asked through marginal_cov"),
    **dict.fromkeys(("bootstrap", "draws", "power", "simulate"), "random numbers"),
    **dict.fromkeys(
        ("refit", "update", "to_lme4", "to_glmmtmb", "to_nlme", "to_sas", "to_statsmodels"),
        "fits and texts, not numbers",
    ),
    **dict.fromkeys(("test_dispersion", "test_zeros"), "of generalised models, by random numbers"),
    "check": "verdicts in words on residuals, random effects and distances that others answer",
    **dict.fromkeys(("confint",), "asked through profile"),
    "to_mgcv": "a text, not numbers",
    "check_k": "permutes residuals in the order of rows",
    "concurvity": "a property of the smooths' columns, asked by their conformance suite",
    **dict.fromkeys(("smooth", "difference"), "asked through predict and emmeans, which hold the curves"),
    **dict.fromkeys(
        ("start_grid", "small_area", "heterogeneity"), "for models that are given values or known variances"
    ),
}
"""Tools without a question of their own, and why."""

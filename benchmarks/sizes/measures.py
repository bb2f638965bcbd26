"""What is measured in one replicate: quantity|what|how ↦ a number, NaN where the method gives none.

Quantities: `size5` and `size1` are 1 where a test of a true hypothesis rejects at 5 % and 1 %; `cover` is 1 where a
95 % interval holds the true value; `mse` and `squared_error` are what is reported and what came true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.inference.ddf import automatic

METHODS = (
    "kenward-roger", "kenward-roger-linear", "kenward-roger2", "satterthwaite", "containment", "between-within",
    "inner-outer", "residual", "asymptotic",
)  # fmt: skip
REPLICATES = 199
"""Of a bootstrap inside a replicate."""
Found = dict[str, float]


@dataclass(frozen=True)
class Drawn:
    """The data of one replicate, what was drawn beside the response, and a number for streams of its own."""

    data: pd.DataFrame
    truth: Mapping[str, Any]
    seed: int


def rejected(p: Any, what: str, how: str) -> Found:
    """Return whether a true hypothesis is rejected at both levels."""
    p = float(p)
    if np.isnan(p):
        return {f"size5|{what}|{how}": np.nan, f"size1|{what}|{how}": np.nan}
    return {f"size5|{what}|{how}": float(p < 0.05), f"size1|{what}|{how}": float(p < 0.01)}


def covered(table: Any, truths: Mapping[str, float], how: str, column: str = "term") -> Found:
    """Return whether the limits of a table hold the truth, by its names."""
    found = {}
    rows = zip(table[column], table["conf_low"], table["conf_high"], strict=True)
    limits = {str(name): (low, high) for name, low, high in rows}
    for name, truth in truths.items():
        low, high = limits.get(name, (np.nan, np.nan))
        inside = np.nan if np.isnan(low) or np.isnan(high) else float(low <= truth <= high)
        found[f"cover|{name}|{how}"] = inside
    return found


def anova_sizes(fit: mm.Fit, methods: Iterable[str], suffix: str = "") -> Found:
    """Return rejections of every F test, and of the intercept's t test, by df method."""
    found: Found = {}
    for method in methods:
        try:
            table, fixed = fit.anova(ddf=method), fit.fixed_effects(ddf=method)
        except mm.MixedModelsError:
            continue
        for term, p in zip(table["term"], table["p_value"], strict=True):
            found |= rejected(p, str(term), method + suffix)
        found |= rejected(fixed["p_value"][0], "(Intercept)", method + suffix)
    return found


def tests(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the sizes of F tests under each df method, and of the default."""
    found = anova_sizes(fit, METHODS)
    default = automatic(fit.design)
    return found | {
        key.rsplit("|", 1)[0] + "|auto": value for key, value in found.items() if key.endswith("|" + default)
    }


def pooled(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the sizes of F tests, apart where the smallest variance is estimated as zero."""
    where = "zero" if fit.singular else "above zero"
    found = anova_sizes(fit, ("kenward-roger", "satterthwaite", "containment"), f", variance {where}")
    return found | {"share|variance of whole plots estimated as zero|": float(fit.singular)}


def other_spelling(formula: str) -> Callable[[mm.Fit, Drawn], Found]:
    """Return the sizes of methods that read the design as it is written, for another spelling of it."""

    def measure(fit: mm.Fit, drawn: Drawn) -> Found:
        other = mm.lmm(formula, drawn.data)
        return anova_sizes(other, ("containment", "between-within", "inner-outer"), ", other spelling")

    return measure


def means(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return coverage of the marginal means of `group` and the sizes of Tukey's comparisons."""
    grid = fit.emmeans("group")
    found = {
        f"cover|mean of {name}|auto": float(low <= 0 <= high)
        for name, low, high in zip(grid["group"], grid["conf_low"], grid["conf_high"], strict=True)
    }
    least = float(np.min(grid.contrast("pairwise")["p_value"]))
    return found | rejected(least, "any pair", "tukey")


def components(truths: Mapping[str, float]) -> Callable[[mm.Fit, Drawn], Found]:
    """Return coverage of Wald, Satterthwaite and profile limits of the parameters named."""

    def measure(fit: mm.Fit, drawn: Drawn) -> Found:
        found = covered(fit.confint(), truths, "wald")
        names = list(truths)
        found |= covered(fit.confint(method="profile", terms=names), truths, "profile")
        found |= covered(fit.confint(method="profile", terms=names, likelihood="ml"), truths, "profile by ML")
        table = fit.variance_components(ci="satterthwaite")
        rows = zip(table["group"], table["kind"], table["conf_low"], table["conf_high"], strict=True)
        limits = {str(group): (low, high) for group, kind, low, high in rows if kind == "variance"}
        for name, truth in truths.items():
            group = name[3:-1].split(": ")[0]
            if name.startswith("sd(") and len([n for n in truths if f"({group}: " in n]) < 2:
                low, high = limits[group]
                inside = np.nan if np.isnan(low) else float(low <= truth**2 <= high)
                found[f"cover|{name}|satterthwaite"] = inside
        return found

    return measure


def bootstraps(truths: Mapping[str, float]) -> Callable[[mm.Fit, Drawn], Found]:
    """Return coverage of the four kinds of bootstrap limits."""

    def measure(fit: mm.Fit, drawn: Drawn) -> Found:
        run = fit.bootstrap(n=REPLICATES, seed=drawn.seed)
        found: Found = {}
        for interval in ("percentile", "basic", "bca"):
            found |= covered(run.confint(interval=interval), truths, f"bootstrap, {interval}")
        own = fit.confint(method="boot", n=REPLICATES, seed=drawn.seed, interval="studentized")
        return found | covered(own, truths, "bootstrap, studentized")

    return measure


def robust(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the sizes of robust tests by kind of sandwich, with its own df and with the normal distribution."""
    found: Found = {}
    for kind in ("CR0", "CR1", "CR2", "CR3", "mbn"):
        for ddf, how in ((None, kind), ("asymptotic", f"{kind}, normal")):
            table = fit.vcov_robust(kind, ddf=ddf).table()
            for term, p in zip(table["term"], table["p_value"], strict=True):
                found |= rejected(p, str(term), how)
    return found


def clusters_of_another_kind(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the sizes of the model's own tests, of robust ones, and of a model with a variance for each arm."""
    found = tests(fit, drawn) | robust(fit, drawn)
    other = mm.lmm("y ~ arm + (1 | g, by=arm)", drawn.data)
    return found | anova_sizes(other, ("kenward-roger", "satterthwaite"), ", variance by arm")


def likelihood_ratio(smaller: str) -> Callable[[mm.Fit, Drawn], Found]:
    """Return the size of χ² and bootstrap likelihood-ratio tests against a smaller fixed part."""

    def measure(fit: mm.Fit, drawn: Drawn) -> Found:
        small, large = mm.lmm(smaller, drawn.data, method="ml"), fit.update(method="ml")
        table = mm.compare(small, large)
        found = rejected(table["p_value"][1], "arm", "likelihood ratio, χ²")
        y = small.simulate(REPLICATES, seed=drawn.seed)
        ratio = small.refit(y).criterion - large.refit(y).criterion
        p = (1 + np.sum(ratio >= small.criterion - large.criterion)) / (REPLICATES + 1)
        return found | rejected(p, "arm", "likelihood ratio, bootstrap")

    return measure


def of_binary(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the sizes of tests of the arm: Laplace's by df method, likelihood ratios, and by pseudo-likelihood."""
    found: Found = {}
    for how in ("auto", "asymptotic"):
        found |= rejected(fit.fixed_effects(ddf=how)["p_value"][1], "arm", f"laplace, {how}")
    without = mm.glmm("y ~ 1 + (1 | g)", drawn.data, "binomial")
    for reference in ("chi2", "f"):
        table = mm.compare(without, fit, reference=reference)
        found |= rejected(table["p_value"][1], "arm", f"likelihood ratio, {reference}")
    pseudo = mm.glmm("y ~ arm + (1 | g)", drawn.data, "binomial", method="rspl")
    return found | rejected(pseudo.fixed_effects()["p_value"][1], "arm", "rspl, kenward-roger")


def restricted_ratio(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the size of tests that the one variance is zero."""
    without = mm.lm("y ~ 1", drawn.data)
    found: Found = {}
    for boundary, how in (("none", "χ²"), ("mixture", "mixture"), ("exact", "exact")):
        table = mm.compare(without, fit, boundary=boundary, seed=drawn.seed)
        found |= rejected(table["p_value"][1], "variance of groups", how)
    return found


def restricted_ratio_of_slopes(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return the size of tests that slopes do not vary."""
    without = mm.lmm("y ~ time + (1 | id)", drawn.data)
    found: Found = {}
    for boundary, how in (("none", "χ²"), ("mixture", "mixture")):
        table = mm.compare(without, fit, boundary=boundary)
        found |= rejected(table["p_value"][1], "variance of slopes", how)
    return found


def within(table: Any, truth: Any) -> float:
    """Return the share of rows whose limits hold the truth, (rows,)."""
    return float(np.mean((table["lower"] <= truth) & (truth <= table["upper"])))


def new_cluster(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return coverage of limits for a row, and for the mean, of a cluster that was not in the fit."""
    found: Found = {}
    ask: dict[str, Any] = {"newdata": {"g": ["new"]}, "new_levels": "population"}
    for how in ("auto", "satterthwaite", "residual", "asymptotic"):
        options = {} if how == "auto" else {"ddf": how}
        row = fit.predict(**ask, interval="prediction", **options)
        mean = fit.predict(**ask, interval="confidence", **options)
        population = fit.emmeans("1", **options)
        found[f"cover|row of a new cluster|{how}"] = within(row, drawn.truth["new"] + drawn.truth["error"])
        found[f"cover|mean of a new cluster|{how}"] = within(mean, drawn.truth["new"])
        low, high = float(population["conf_low"][0]), float(population["conf_high"][0])
        found[f"cover|mean of the population|{how}"] = float(low <= 0 <= high)
    return found


def own_clusters(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return coverage of limits for the clusters observed: their effects, their means, a new row of each."""
    b, names = drawn.truth["b"], [f"g{k}" for k in range(len(drawn.truth["b"]))]
    table = fit.random_effects()
    order = [list(table["level"]).index(name) for name in names]
    estimate, error = table["estimate"][order], table["std_error"][order]
    found = {"cover|effect of a cluster|± 1.96 SE": float(np.mean(np.abs(estimate - b) <= 1.959964 * error))}
    for how in ("auto", "satterthwaite", "asymptotic"):
        options: dict[str, Any] = {} if how == "auto" else {"ddf": how}
        mean = fit.predict({"g": names}, interval="confidence", **options)
        row = fit.predict({"g": names}, interval="prediction", **options)
        found[f"cover|mean of a cluster|{how}"] = within(mean, b)
        found[f"cover|row of a cluster|{how}"] = within(row, b + drawn.truth["errors"])
    return found


def small_areas(fit: mm.Fit, drawn: Drawn) -> Found:
    """Return reported mean squared errors, squared errors, and coverage of ± 1.96 roots, of means of areas."""
    table = fit.small_area()
    order = [list(table["area"]).index(area) for area in drawn.data["area"]]
    gap = table["estimate"][order] - drawn.truth["mean"]
    found = {
        "mse|means|Prasad–Rao": float(np.mean(table["mse"])),
        "mse|means|g1 + g2": float(np.mean(table["g1"] + table["g2"])),
        "squared_error|means|": float(np.mean(gap**2)),
        "cover|mean of an area|± 1.96 √mse": float(
            np.mean(np.abs(gap) <= 1.959964 * table["std_error"][order])
        ),
    }
    zero = float(fit.covariances[0][0, 0, 0]) < 1e-8
    return found | {"share|variance of areas estimated as zero|": float(zero)}


def heterogeneity(variance: float) -> Callable[[mm.Fit, Drawn], Found]:
    """Return coverage of τ², and sizes and coverage of the overall mean."""

    def measure(fit: mm.Fit, drawn: Drawn) -> Found:
        found: Found = {}
        for how in ("knapp-hartung", "kenward-roger", "asymptotic"):
            found |= rejected(fit.fixed_effects(ddf=how)["p_value"][0], "mean", how)
        table = fit.heterogeneity(ci="profile")
        low, high = float(table["conf_low"][0]), float(table["conf_high"][0])
        new = np.sqrt(variance) * np.random.default_rng(drawn.seed).normal()
        found["cover|true effect of a new study|knapp-hartung"] = within(
            fit.predict({"vi": [0.1]}, level="population", interval="prediction"), new
        )
        return found | {"cover|variance between studies|profile": float(low <= variance <= high)}

    return measure

"""The models that the invariance suite asks: one for every structure on either side, variance function, engine, ddf.

A structure or variance function joins by its line in the registry: what it says of itself tells how a formula calls
it. Only what a class cannot say (an order, that it takes two coordinates) stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mixedmodels.covariance import STRUCTURES
from mixedmodels.engines import ENGINES
from mixedmodels.variance import VARIANCES


@dataclass(frozen=True)
class Case:
    """A model, and under which recodings of its data it stays the same model.

    `affine`: the covariates of random slopes and variance functions may have another origin. `units`: they may have
    another unit. `moderate`: their origin is at most 50 times their spread, for σ² is the variance at zero.
    """

    formula: str = "y ~ x + arm"
    residual: str | None = None
    variance: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    engine: str = "auto"
    affine: bool = True
    units: bool = True
    moderate: bool = False
    near: bool = False
    """Whether x keeps its origin: tests of lower powers are about a slope at zero, and depend on where that is."""
    profile: bool = False
    coefficients: bool = True
    """Whether the coefficient of x means the same whatever the origin and the coding (no products with x)."""
    small_components: bool = False
    """Whether some variance is estimated as zero up to rounding, so that only its share of the residual's counts."""
    family: str | None = None
    """The distribution of a generalised model, whose response keeps its unit."""
    shared: bool = False
    """Whether loadings and unique variances are more than the covariances they make up: these alone are determined."""


WRITTEN = {
    "fa": "fa(1)",
    "fa0": "fa0(2)",
    "fa1": "fa1(1)",
    "banded_us": "banded_us(2)",
    "kron": "kron(us, cs)",
}
"""How a structure is written where its bare name is no whole call."""
TWO_FACTORS = ("kron",)
TWO_COORDINATES = ("powa", "expa")
NOT_IN_FORMULAS = ("lin", "penalty")
"""Structures whose known matrices no formula can name; `(1 | id, cov=A)` and smooths stand for them."""
FULL_RANK_WRITTEN = {"fa0": "fa0(4)"}
"""On the error side a structure must have full rank."""
HELD = {"mat": "smoothness"}
"""Parameters that data of this size do not determine beside the range; they are held."""


def positions(name: str, *, errors: bool) -> str:
    """Return what stands left of the bar for a structure."""
    cls = STRUCTURES[name]
    if name in TWO_FACTORS:
        return "half, quarter"
    if cls.needs_coordinates:
        return "east, north" if name in TWO_COORDINATES else "time"
    return "visit" if cls.over_positions or errors else "0 + visit"


def error_case(name: str) -> Case:
    """Return a model with the structure on the errors of a run; slopes of x by subject beside them."""
    written = {**WRITTEN, **FULL_RANK_WRITTEN}.get(name, name)
    hold = {"hold": {f"{HELD[name]}(Residual)": 0.8}} if name in HELD else {}
    return Case(residual=f"{written}({positions(name, errors=True)} | run)", options=hold)


def effect_case(name: str) -> Case:
    """Return a model with the structure on the random effects of subjects at visits."""
    term = f"{WRITTEN.get(name, name)}({positions(name, errors=False)} | id)"
    hold = {"hold": {f"{HELD[name]}(id)": 0.8}} if name in HELD else {}
    return Case(f"y ~ x + arm + {term}", options=hold, small_components=name in ("fa", "fa1"))


def slope_case(name: str) -> Case:
    """Return a model with random slopes of x, for structures closed under a change of its unit or its origin."""
    affine = "linear" in STRUCTURES[name].closed_under
    # one factor of two columns has two loadings and two unique variances for three covariances
    return Case(f"y ~ x + arm + {WRITTEN.get(name, name)}(1 + x | id)", affine=affine, shared=name == "fa")


VARIANCE_CASES = {
    "ident": Case("y ~ x + arm + (1 | id)", variance="ident(kind)"),
    "power": Case(variance="power(w)", affine=False),
    "exp": Case(variance="exp(dose)", moderate=True),
    "const_power": Case(variance="const_power(w)", affine=False),
    "fixed": Case(variance="fixed(w)", affine=False),
    "log_linear": Case(variance="log_linear(dose + kind)", moderate=True),
}
ENGINE_CASES = {
    "blocked": {"options": {}},
    "clusters": {"residual": "cs(visit | run)"},
    "sparse": {"options": {}},
    "signed": {"options": {"bounds": "none"}},
}


def variance_case(name: str) -> Case:
    if name in VARIANCE_CASES:
        return VARIANCE_CASES[name]
    return Case(variance=f"{name}({'w' if VARIANCES[name].needs_covariate else 'kind'})", affine=False)


def of_structures() -> dict[str, Case]:
    cases = {}
    for name, cls in STRUCTURES.items():
        if name in NOT_IN_FORMULAS:
            continue
        cases[f"errors, {name}"] = error_case(name)
        if not cls.r_side_only:
            cases[f"effects, {name}"] = effect_case(name)
        if cls.closed_under and not cls.over_positions and not cls.needs_coordinates:
            cases[f"slopes, {name}"] = slope_case(name)
    return cases


def of_engines() -> dict[str, Case]:
    """Return slopes of x by subject on every engine, and the crossed models that some of them are for."""
    cases = {
        f"engine, {name}": Case("y ~ x + arm + (x | id)", engine=name, **ENGINE_CASES.get(name, {}))
        for name, kind in ENGINES.items()
        if name != "iterative" and not kind.given_neighbours
    }
    crossed = "y ~ x + arm + (x | id) + (1 | rater)"
    cases["engine, iterative"] = Case(crossed, engine="iterative")
    return cases | {
        "crossed": Case(crossed),
        "crossed, sparse": Case(crossed, engine="sparse"),
        "crossed, sparse, errors": Case(crossed, residual="ar1(visit | run)", engine="sparse"),
        "crossed, sparse, ident": Case(crossed, variance="ident(kind)", engine="sparse"),
        "crossed, signed": Case(crossed, engine="signed", options={"bounds": "none"}),
    }


OTHERS = {
    "lm": Case(),
    "weights": Case("y ~ x + arm + (x | id)", options={"weights": "w"}, affine=True, units=False),
    "ml": Case("y ~ x + arm + (x | id)", options={"method": "ml"}, profile=True),
    "profile": Case("y ~ x + arm + (1 | id)", profile=True),
    "by": Case("y ~ x + arm + (x | id, by=kindly)", affine=True),
    "nested": Case("y ~ x + arm + (1 | site/id)"),
    "known covariance": Case("y ~ x + arm + (1 | id, cov=A)"),
    "slopes beside intercepts": Case("y ~ x + arm + (x || id)", affine=False),
    "slopes and serial errors": Case("y ~ x + arm + (x | id)", residual="ar1(visit | run)"),
    "slopes and ident": Case("y ~ x + arm + (x | id)", variance="ident(kind)"),
    "profile of serial errors": Case("y ~ x + arm + (1 | id)", residual="ar1(visit | run)", profile=True),
    "profile without bounds": Case("y ~ x + arm + (x | id)", options={"bounds": "none"}, profile=True),
    "nugget": Case(residual="exp(time | run, nugget=True)"),
    "errors by group": Case("y ~ x * arm", residual="us(visit | run, by=kindly)", coefficients=False),
    "variance by visit": Case(residual="ar1(visit | run)", variance="ident(visit)"),
    "power of the fitted mean": Case(variance="power(fitted)"),
    "exp of the fitted mean": Case(variance="exp(fitted)"),
    "product of functions": Case(
        residual="ar1(visit | run)", variance="power(w) * ident(kind)", affine=False
    ),
    "interaction": Case("y ~ x * arm + (1 | id)", coefficients=False),
    "square": Case("y ~ x + I(x**2) + (1 | id)", coefficients=False, near=True),
    "square in groups": Case("y ~ (x + I(x**2)) * arm + (1 | id)", coefficients=False, near=True),
    "poly": Case("y ~ poly(x, 2) + arm + (1 | id)", coefficients=False),
    "square and slopes": Case("y ~ x + I(x**2) + arm + (x | id)", coefficients=False, near=True),
    "spline": Case("y ~ spline(x, knots=5) + arm + (1 | id)", coefficients=False, near=True),
    "smooth": Case("y ~ s(x, bs='cr', k=5) + arm + (1 | id)", coefficients=False, near=True),
}


def generalised(formula: str, family: str, *, profile: bool = False, **options: Any) -> Case:
    return Case(formula, options=options, family=family, profile=profile)


GENERALISED = {
    "binary": generalised("seen ~ x + arm + (1 | id)", "binomial", profile=True),
    "binary, probit, slopes": generalised("seen ~ x + arm + (x | id)", "binomial", link="probit"),
    "trials, quadrature": generalised(
        "cbind(hits, tries - hits) ~ x + arm + (1 | id)", "binomial", method="quadrature", points=7
    ),
    "counts, crossed": generalised("count ~ x + arm + offset(log(w)) + (1 | id) + (1 | rater)", "poisson"),
    "counts, nb2": generalised("count ~ x + arm + (1 | id)", "nb2"),
    "counts, zeros": generalised(
        "zeros ~ x + arm + (1 | id)", "poisson", zero_inflation="~ kind", dispersion=None
    ),
    "counts, serial": generalised("count ~ x + arm + ar1(0 + visit | id)", "poisson"),
    "positive": generalised("size ~ x + arm + (1 | id)", "gamma", link="log", dispersion="~ kind"),
    "shares": generalised("share ~ x + arm + (1 | id)", "beta"),
    "grades": generalised("grade ~ x + arm + (1 | id)", "ordinal"),
    "without effects": generalised("count ~ x + arm", "poisson"),
    "pseudo-likelihood": generalised("seen ~ x + arm + (1 | id)", "binomial", method="rspl"),
    "pseudo-likelihood, serial errors": generalised(
        "count ~ x + arm", "poisson", method="rmpl", residual="ar1(visit | run)"
    ),
}

CASES: dict[str, Case] = {
    **of_structures(),
    **{f"variance, {name}": variance_case(name) for name in VARIANCES},
    **of_engines(),
    **OTHERS,
    **GENERALISED,
}
"""Every model by what is special about it."""

"""Every profile limit printed is where −2l of a fit held there has risen by χ²₁ at 95 %, in every kind of fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import mixedmodels as mm

RISE = 3.841458820694
TOLERANCE = 2e-5
"""Limits are good to 4e-7 of −2l; the fits held at them stop within 1e-8 and start from moments."""


def clusters(seed: int, n: int = 24, t: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(n), t), np.tile(np.arange(t) * 1.0, n)
    b, h = rng.standard_normal((n, 2)), np.tile(np.arange(t), n)
    slow = np.empty(n * t)
    for i in range(n * t):
        slow[i] = rng.standard_normal() + (0.6 * slow[i - 1] if i % t else 0.0)
    arm = np.where(g % 2 == 0, "a", "b")
    y = 3 + 0.5 * x + 1.2 * b[g, 0] + 0.4 * b[g, 1] * x + np.where(arm == "a", 1.0, 1.6) * slow
    return {
        "y": y, "x": x, "g": g.astype(str), "h": np.array(list("pqrstu"))[h], "arm": arm, "year": x + 2015.0,
        "v": 0.2 + rng.random(n * t), "micro": 1e-6 * y, "site": (g // 6).astype(str),
        "early": np.array(list("pqr"))[h // 2], "half": (2 * g + h % 2).astype(str),
    }  # fmt: skip


KINDS = {
    "intercept": ("lmm", "y ~ x + (1 | g)", {}),
    "slopes": ("lmm", "y ~ x + (x | g)", {}),
    "maximum likelihood": ("lmm", "y ~ x + (x | g)", {"method": "ml"}),
    "uncorrelated": ("lmm", "y ~ x + (x || g)", {}),
    "calendar years": ("lmm", "y ~ year + (year || g)", {}),
    "small units": ("lmm", "micro ~ x + (x | g)", {}),
    "crossed": ("lmm", "y ~ x + (1 | g) + (1 | h)", {}),
    "nested": ("lmm", "y ~ x + (1 | site / g)", {}),
    "by group": ("lmm", "y ~ x + (1 | g, by=arm)", {}),
    "cs on the G side": ("lmm", "y ~ x + cs(0 + early | g)", {}),
    "weights": ("lmm", "y ~ x + (1 | g)", {"weights": "v"}),
    "spline": ("lmm", "y ~ spline(x, knots=4) + (1 | g)", {}),
    "least squares": ("lm", "y ~ x", {}),
    "held variance": ("lmm", "y ~ x + (x || g)", {"hold": {"var(Residual)": 1.5}}),
    "held zero covariance": ("lmm", "y ~ x + (x | g)", {"hold": {"cov(g: (Intercept), x)": 0.0}}),
    "held at one": ("lmm", "y ~ x + (1 | g)", {"weights": "v", "hold": {"var(Residual)": 1.0}}),
    "ar1": ("gls", "y ~ x", {"residual": "ar1(x | g)"}),
    "car1 and intercept": ("lmm", "y ~ x + (1 | g)", {"residual": "car1(x | g)"}),
    "unstructured": ("mmrm", "y ~ arm + us(early | half)", {}),
    "us by arm": ("mmrm", "y ~ arm + us(early | half, by=arm)", {}),
    "hcs": ("gls", "y ~ x", {"residual": "hcs(h | g)"}),
    "toep": ("gls", "y ~ x", {"residual": "toep(early | half)"}),
    "range": ("gls", "y ~ x", {"residual": "exp(x | g)"}),
    "nugget": ("gls", "y ~ x", {"residual": "exp(x | g, nugget=True)"}),
    "variance per group": ("lmm", "y ~ x + (1 | g)", {"variance": "ident(arm)"}),
    "variance function": ("gls", "y ~ x", {"variance": "exp(x)"}),
    "whitened": ("lmm", "y ~ x + (1 | g) + (1 | h)", {"residual": "ar1(x | g)"}),
    "without bounds": ("lmm", "y ~ x + (1 | g) + (1 | arm:h)", {"bounds": "none"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_fits_held_at_the_limits_of_covariance_parameters(kind):
    verb, formula, options = KINDS[kind]
    fit = getattr(mm, verb)(formula, clusters(5), **options)
    table = fit.variance_components(ci="profile")
    names = fit._work.criterion().natural(fit.optimum.theta).names
    held = dict(options.get("hold", {}))
    for i, name in enumerate(parameters_of(fit, table)):
        assert name in names
        for limit in (table["conf_low"][i], table["conf_high"][i]):
            if name in held:
                assert np.isnan(limit)
                continue
            # limits at an edge of the parameter space have risen by less, and the note says so
            if np.isinf(limit) or limit == 0 or abs(limit) == 1:
                assert any("boundary" in note or "limit" in note for note in table.notes)
                continue
            assert np.isfinite(limit), (name, table.notes)
            there = refitted(fit, {**held, name: float(limit)})
            assert there.criterion - fit.criterion == pytest.approx(RISE, abs=TOLERANCE), name


def parameters_of(fit, table):
    """Return the natural name of each row of the table of variance components."""
    from mixedmodels.postfit.variance_components import list_components

    names = fit._work.criterion().natural(fit.optimum.theta).names
    return [names[component.index] for component in list_components(fit)]


def refitted(fit, hold):
    if not fit.design.random and fit.design.residual is None:
        # least squares as a model whose errors have a variance to hold
        return mm.lmm(fit.spec.formula, clusters(5), hold=hold)
    own = fit._work.criterion().natural(fit.optimum.theta)
    start = dict(zip(own.names, own.values.tolist(), strict=True))
    try:
        return fit.update(hold=hold)
    except mm.MixedModelsError:
        # where moments give no covariance with the held values: the estimates, scaled to one of them
        factor = max(value / start[name] for name, value in hold.items())
        return fit.update(hold=hold, start={name: factor * value for name, value in start.items()} | hold)


@pytest.mark.parametrize(
    "kind", ["intercept", "slopes", "maximum likelihood", "crossed", "ar1", "unstructured", "held zero covariance",
             "whitened", "calendar years", "small units", "variance per group"],
)  # fmt: skip
def test_fits_with_the_fixed_effect_at_its_limit(kind):
    verb, formula, options = KINDS[kind]
    data = clusters(7)
    ml = getattr(mm, verb)(formula, data, **{**options, "method": "ml"})
    reml = getattr(mm, verb)(formula, data, **{**options, "method": "reml"})
    name = ml.design.fixed.columns[1]
    for fit in (ml, reml):
        row = fit.confint("profile", terms=[name]).row(0)
        assert row["estimate"] == pytest.approx(fit.beta[1])
        for limit in (row["conf_low"], row["conf_high"]):
            data["left"] = data[ml.spec.response] - limit * ml.rows.x[:, 1]
            rest = (
                formula.replace(f"{ml.spec.response} ~", "left ~")
                .replace("~ x", "~ 1")
                .replace("~ arm", "~ 1")
            )
            rest = rest.replace("~ year", "~ 1")
            there = getattr(mm, verb)(rest, data, **{**options, "method": "ml"})
            assert there.criterion - ml.criterion == pytest.approx(RISE, abs=TOLERANCE)


def test_fits_at_the_limits_of_a_correlation():
    fit = mm.lmm("y ~ x + (x | g)", clusters(5))
    row = fit.confint("profile", terms=["cor(g: (Intercept), x)"]).row(0)
    sd = np.sqrt(np.diag(fit.covariances[0][0]))
    for limit in (row["conf_low"], row["conf_high"]):

        def criterion(log_sd, limit=limit):
            one, two = np.exp(log_sd)
            held = {
                "var(g: (Intercept))": one**2,
                "var(g: x)": two**2,
                "cov(g: (Intercept), x)": limit * one * two,
            }
            return fit.update(hold=held).criterion

        found = minimize(criterion, np.log(sd), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
        assert found.fun - fit.criterion == pytest.approx(RISE, abs=TOLERANCE)

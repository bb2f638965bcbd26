"""One class per Python tool: how its user asks for the model, and where it keeps the criterion it reached.

Each adapter receives the data frame and the model's parts before the clock starts and may convert the frame
to the tool's own container there. `fit` is what is timed: formula and frame to fitted object. `outcome` is
read afterwards.
"""

from __future__ import annotations

import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd


class NotOfferedError(Exception):
    """The tool has no way to say this model or this operation."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fit reached: the criterion −2l, by which method, for which model, and what the tool says."""

    criterion: float
    method: str
    model: str
    converged: bool | None
    remark: str = ""


class Adapter(ABC):
    """A tool bound to one frame and one model (the parts of `cases.Model` as a dictionary)."""

    module_name: str
    distribution: str

    def __init__(self, frame: pd.DataFrame, model: dict[str, Any], threads: int) -> None:
        self.module = importlib.import_module(self.module_name)
        self.frame = frame
        self.model = model
        self.threads = threads

    @abstractmethod
    def fit(self) -> Any:
        """The fitted model: the timed operation."""

    @abstractmethod
    def outcome(self, fit: Any) -> Outcome:
        """The criterion and status of a fit."""

    def refit(self, fit: Any, response: np.ndarray) -> Any:
        """The same model fitted to another response, reusing what the tool reuses."""
        raise NotOfferedError(f"{self.distribution} has no refit with a new response")

    def table(self, fit: Any, ddf: str) -> Any:
        """Estimates, standard errors, df and tests of the fixed effects by a df method."""
        raise NotOfferedError(f"{self.distribution} has no table by {ddf}")

    def reference(self, formula: str, method: str) -> float:
        """The criterion of another formula or method, not timed; only the reference tool has it."""
        raise NotOfferedError(f"{self.distribution} does not serve as reference")


class MixedModels(Adapter):
    """`mm.lmm(formula, frame)`, `mm.mmrm(formula, frame)` where errors have a structure, `mm.glmm` with a family."""

    module_name = "mixedmodels"
    distribution = "mixedmodels"

    def __init__(self, frame: pd.DataFrame, model: dict[str, Any], threads: int) -> None:
        super().__init__(frame, model, threads)
        self.control = self.module.Control(threads=threads)

    def fit(self) -> Any:
        formula, repeated = self.model["formula"], self.model.get("repeated")
        family = self.model.get("family")
        if family:
            return self.module.glmm(formula, self.frame, family=family, control=self.control)
        if not repeated:
            return self.module.lmm(formula, self.frame, control=self.control)
        if not self.model["bars"]:
            return self.module.mmrm(formula, self.frame, control=self.control)
        residual = "{structure}({position} | {cluster})".format(**repeated)
        return self.module.lmm(formula, self.frame, residual=residual, control=self.control)

    def refit(self, fit: Any, response: np.ndarray) -> Any:
        return fit.refit(response)

    def table(self, fit: Any, ddf: str) -> Any:
        fit.fixed_effects(ddf=ddf)
        return fit

    def outcome(self, fit: Any) -> Outcome:
        remark = f"engine {fit.engine}" + (", singular" if fit.singular else "")
        if self.model.get("family"):
            return Outcome(-2.0 * fit.loglik, "Laplace", self.model["formula"], bool(fit.converged), remark)
        return Outcome(float(fit.criterion), "REML", self.model["formula"], bool(fit.converged), remark)

    def reference(self, formula: str, method: str) -> float:
        fit = self.module.lmm(formula, self.frame, method=method.lower(), control=self.control)
        return float(fit.criterion)


class Glmm(Adapter):
    """`glmm.fit(frame, formula)` as documented: with Satterthwaite df and Hessian standard errors."""

    module_name = "glmm"
    distribution = "glmm"
    options: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, frame: pd.DataFrame, model: dict[str, Any], threads: int) -> None:
        super().__init__(frame, model, threads)
        self.refit_frame: pd.DataFrame | None = None
        if "new_response" in frame:
            self.refit_frame = frame.assign(**{model["response"]: frame["new_response"]})

    def fit(self) -> Any:
        family = self.model.get("family")
        if family:
            name = {"nb2": "negativebinomial"}.get(family, family)
            return self.module.fit(self.frame, self.model["formula"], family=name)
        return self.module.fit(self.frame, self.model["formula"], **self.options)

    def refit(self, fit: Any, response: np.ndarray) -> Any:
        # glmm has no refit: a fit of a second frame, started at the first fit's θ.
        theta = _relative_factors(fit)
        start = {"theta": theta} if theta is not None else None
        return self.module.fit(self.refit_frame, self.model["formula"], warm_start=start, **self.options)

    def outcome(self, fit: Any) -> Outcome:
        remark = f"{fit.n_eval} evaluations" + (", singular" if fit.singular else "")
        method = "Laplace" if self.model.get("family") else "REML"
        return Outcome(-2 * fit.loglik, method, self.model["formula"], bool(fit.converged), remark)


class GlmmLean(Glmm):
    """`glmm.fit` asked for the least: no Satterthwaite df, no Hessian, Wald tables only."""

    options = MappingProxyType({"satterthwaite": False, "wald_se": "rx", "anova_test": "Wald"})


def _relative_factors(fit: Any) -> np.ndarray | None:
    """θ of a glmm fit: column-major lower Cholesky factors of each covariance over the error variance."""
    blocks = []
    for packed in fit.varcorr:
        size = int((np.sqrt(8 * len(packed) + 1) - 1) / 2)
        covariance = np.zeros((size, size))
        lower = np.tril_indices(size)
        columns_first = np.lexsort((lower[0], lower[1]))
        order = (lower[0][columns_first], lower[1][columns_first])
        covariance[order] = packed
        covariance += np.tril(covariance, -1).T
        try:
            factor = np.linalg.cholesky(covariance / fit.dispersion)
        except np.linalg.LinAlgError:
            return None
        blocks.append(factor[order])
    return np.concatenate(blocks)


class MixedLm(Adapter):
    """`mixedlm.lmer(formula, frame)`."""

    module_name = "mixedlm"
    distribution = "mixedlm"

    def fit(self) -> Any:
        return self.module.lmer(self.model["formula"], self.frame)

    def refit(self, fit: Any, response: np.ndarray) -> Any:
        return fit.refit(newresp=response)

    def outcome(self, fit: Any) -> Outcome:
        remark = "singular" if fit.isSingular() else ""
        return Outcome(fit.REMLcrit(), "REML", self.model["formula"], bool(fit.converged), remark)


class LmePython(Adapter):
    """`lme_python.lmer(formula, data)` with a polars frame, the container it works in."""

    module_name = "lme_python"
    distribution = "lme-python"

    def __init__(self, frame: pd.DataFrame, model: dict[str, Any], threads: int) -> None:
        super().__init__(frame, model, threads)
        self.polars_frame = importlib.import_module("polars").from_pandas(frame)
        self.prepared: Any = None

    def fit(self) -> Any:
        return self.module.lmer(self.model["formula"], self.polars_frame)

    def refit(self, fit: Any, response: np.ndarray) -> Any:
        if self.prepared is None:
            self.prepared = self.module.prepare_lmer(self.model["formula"], self.polars_frame)
        return self.prepared.fit(y=response.tolist(), reml=True)

    def outcome(self, fit: Any) -> Outcome:
        return Outcome(fit.reml_criterion, "REML", self.model["formula"], bool(fit.converged), "")


class StatsModels(Adapter):
    """`mixedlm(...).fit()`: groups for one factor, variance components for what lies within it or crosses."""

    module_name = "statsmodels.formula.api"
    distribution = "statsmodels"

    def __init__(self, frame: pd.DataFrame, model: dict[str, Any], threads: int) -> None:
        super().__init__(frame, model, threads)
        self.fixed = f"{model['response']} ~ {model['fixed']}"
        bars = model["bars"]
        self.components: dict[str, str] | None = None
        self.coefficients: str | None = None
        if model["nested"]:
            self.groups = frame[bars[0]["group"]]
            self.coefficients = " + ".join(bars[0]["coefficients"])
            inner = bars[1:]
        else:
            self.groups = pd.Series(np.zeros(len(frame), dtype=np.int8), index=frame.index)
            inner = bars
        if inner:
            self.components = {name: rhs for bar in inner for name, rhs in _component(bar).items()}
        self.fitted_model = formula_without_correlation(model, inner)

    def fit(self) -> Any:
        model = self.module.mixedlm(
            self.fixed,
            self.frame,
            groups=self.groups,
            re_formula=None if self.coefficients is None else f"~ {self.coefficients}",
            vc_formula=self.components,
        )
        return model.fit()

    def outcome(self, fit: Any) -> Outcome:
        return Outcome(-2 * fit.llf, "REML", self.fitted_model, bool(fit.converged), "")


def formula_without_correlation(model: dict[str, Any], independent: list[dict[str, Any]]) -> str:
    """The case's formula with the coefficients of the given bars uncorrelated."""
    if all(len(bar["coefficients"]) == 1 for bar in independent):
        return str(model["formula"])
    terms = [model["fixed"]]
    for bar in model["bars"]:
        separator = "||" if bar in independent and len(bar["coefficients"]) > 1 else "|"
        terms.append(f"({' + '.join(bar['coefficients'])} {separator} {bar['group']})")
    return f"{model['response']} ~ {' + '.join(terms)}"


def _component(bar: dict[str, Any]) -> dict[str, str]:
    """Variance components of one bar, one per coefficient: statsmodels gives components no correlation."""
    group = bar["group"]
    return {
        f"{group}_{c}": f"0 + C({group})" if c == "1" else f"0 + C({group}):{c}" for c in bar["coefficients"]
    }


class GpBoost(Adapter):
    """`GPModel(group_data=…).fit(y, X)`: maximum likelihood, uncorrelated coefficients, X by formulaic."""

    module_name = "gpboost"
    distribution = "gpboost"
    inversion = "default"

    def __init__(self, frame: pd.DataFrame, model: dict[str, Any], threads: int) -> None:
        super().__init__(frame, model, threads)
        for bar in model["bars"]:
            for name in bar["coefficients"]:
                if name != "1" and isinstance(frame[name].dtype, pd.CategoricalDtype):
                    raise NotOfferedError(f"gpboost: random coefficients of numbers only, {name} is a factor")
        self.formulaic = importlib.import_module("formulaic")

    def fit(self) -> Any:
        matrix = self.formulaic.model_matrix(self.model["fixed"], self.frame)
        bars = self.model["bars"]
        groups = np.column_stack([self.frame[bar["group"]].cat.codes for bar in bars])
        slopes = [(k, name) for k, bar in enumerate(bars) for name in bar["coefficients"] if name != "1"]
        options: dict[str, Any] = {}
        if self.model.get("family"):
            options["likelihood"] = self._likelihood()
        if slopes:
            options["group_rand_coef_data"] = self.frame[[name for _, name in slopes]].to_numpy(dtype=float)
            options["ind_effect_group_rand_coef"] = [k + 1 for k, _ in slopes]
        model = self.module.GPModel(
            group_data=groups,
            num_parallel_threads=self.threads,
            matrix_inversion_method=self.inversion,
            **options,
        )
        y = self.frame[self.model["response"]].to_numpy(dtype=float)
        model.fit(y=y, X=np.asarray(matrix, dtype=float))
        return model

    def _likelihood(self) -> str:
        if "cbind" in self.model["response"]:
            raise NotOfferedError("gpboost has no numbers of trials")
        return {"binomial": "bernoulli_logit", "nb2": "negative_binomial"}.get(
            self.model["family"], self.model["family"]
        )

    def outcome(self, fit: Any) -> Outcome:
        method = "Laplace" if self.model.get("family") else "ML"
        formula = formula_without_correlation(self.model, self.model["bars"])
        return Outcome(2 * fit.get_current_neg_log_likelihood(), method, formula, None, "")


class GpBoostCholesky(GpBoost):
    """gpboost with exact Cholesky factors in place of its default, stochastic with two or more factors."""

    inversion = "cholesky"


ADAPTERS: dict[str, type[Adapter]] = {
    "mixedmodels": MixedModels,
    "glmm": Glmm,
    "glmm-lean": GlmmLean,
    "mixedlm": MixedLm,
    "lme-python": LmePython,
    "statsmodels": StatsModels,
    "gpboost": GpBoost,
    "gpboost-cholesky": GpBoostCholesky,
}


def tiny_frame() -> pd.DataFrame:
    """Two hundred rows in twenty groups: one fit of them loads whatever a tool loads on first use."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(20), 10)
    x = np.tile(np.arange(10.0), 20)
    y = 1.0 + 0.5 * x + rng.standard_normal(20)[g] + 0.3 * rng.standard_normal(20)[g] * x
    y += rng.standard_normal(200)
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical.from_codes(g, [f"g{k:02d}" for k in range(20)])})


TINY_MODEL: dict[str, Any] = {
    "formula": "y ~ x + (1 + x | g)",
    "response": "y",
    "fixed": "x",
    "bars": [{"coefficients": ["1", "x"], "group": "g"}],
    "nested": True,
}


def warm_up(name: str, threads: int) -> None:
    """Fit the tiny frame once, so that a later measurement holds no first-use imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ADAPTERS[name](tiny_frame(), TINY_MODEL, threads).fit()

"""What can be asked of a fit: each tool one line, named by string and imported on first use.

A new tool is a function of the fit in a file of its own and a line here. Its name stands here for `help`, for
completion and for every list of tools.
"""

from __future__ import annotations

from typing import Any

from .errors import SpecError
from .labelled import LabelledMatrix
from .table import Table
from .tool import Tool
from .typing import Array


class FitTools:
    """The tools of a fit; `linear=True` where a generalised model is refused."""

    __slots__ = ()

    summary = Tool[Any]("report.summary:summary")
    report = Tool[Any]("report.page:write_report")
    fixed_effects = Tool[Table]("postfit.fixed_effects:fixed_effects")
    wald = Tool[Table]("inference.wald:wald")
    confint = Tool[Table]("inference.intervals:confint")
    profile = Tool[Table]("inference.intervals:profile")
    bootstrap = Tool[Any]("inference.bootstrap:bootstrap")
    conf_int = Tool[Table]("postfit.fixed_effects:conf_int")
    cov_params = Tool[LabelledMatrix]("inference.vcov:cov_params")
    anova = Tool[Table]("inference.anova:anova")
    mean_squares = Tool[Table]("inference.mean_squares:mean_squares", linear=True)
    covtest = Tool[Table]("postfit.covtest:covtest")
    multivariate_tests = Tool[Table]("inference.multivariate:multivariate_tests", linear=True)
    drop1 = Tool[Table]("postfit.drop_terms:drop1")
    ranova = Tool[Table]("postfit.drop_terms:ranova")
    test = Tool[Table]("inference.linear_test:linear_test")
    heterogeneity = Tool[Table]("postfit.heterogeneity:heterogeneity", linear=True)
    small_area = Tool[Table]("inference.small_area:small_area", linear=True)
    emmeans = Tool[Any]("emmeans.means:emmeans")
    emtrends = Tool[Any]("emmeans.trends:emtrends")
    joint_tests = Tool[Table]("emmeans.joint:joint_tests")
    variance_components = Tool[Table]("postfit.variance_components:variance_components")
    icc = Tool[Table]("postfit.icc:icc")
    r2 = Tool[Table]("postfit.r2:r2")
    vcov_robust = Tool[Any]("postfit.vcov_robust:vcov_robust")
    random_effects = Tool[Any]("postfit.random_effects:random_effects")
    coefficients = Tool[Table]("postfit.coefficients:coefficients")
    random_cov = Tool[LabelledMatrix]("postfit.covariances:random_cov")
    residual_cov = Tool[LabelledMatrix]("postfit.covariances:residual_cov", linear=True)
    marginal_cov = Tool[LabelledMatrix]("postfit.covariances:marginal_cov", linear=True)
    predict = Tool[Any]("postfit.predict:predict")
    simulate = Tool[Array]("postfit.simulate:simulate")
    residuals = Tool[Array]("postfit.residuals:residuals")
    test_dispersion = Tool[Table]("postfit.distribution_checks:check_dispersion")
    test_zeros = Tool[Table]("postfit.distribution_checks:check_zeros")
    leverage = Tool[Array]("postfit.leverage:leverage", linear=True)
    influence = Tool[Table]("postfit.influence:influence")
    draws = Tool[Any]("inference.draws:draws", linear=True)
    check = Tool[Table]("postfit.check:check")
    power = Tool[Table]("inference.power:power")
    refit = Tool[Any]("postfit.refit:refit")
    start_grid = Tool[Table]("postfit.start_grid:start_grid", linear=True)
    update = Tool[Any]("postfit.update:update")
    information_criteria = Tool[Table]("postfit.information_criteria:information_criteria")
    smooths = Tool[Table]("postfit.smooths:smooths")
    smooth = Tool[Table]("postfit.smooth_curve:smooth")
    difference = Tool[Table]("postfit.smooth_curve:difference")
    check_k = Tool[Table]("postfit.check_k:check_k")
    concurvity = Tool[Table]("postfit.concurvity:concurvity")
    conditional_aic = Tool[Table]("inference.conditional_aic:conditional_aic", linear=True)
    tidy = Tool[Table]("postfit.broom:tidy")
    glance = Tool[Table]("postfit.broom:glance")
    augment = Tool[Table]("postfit.broom:augment")
    to_lme4 = Tool[str]("dialects.lme4:to_lme4")
    to_glmmtmb = Tool[str]("dialects.glmmtmb:to_glmmtmb")
    to_mgcv = Tool[str]("dialects.mgcv:to_mgcv")
    to_nlme = Tool[str]("dialects.nlme_text:to_nlme")
    to_sas = Tool[str]("dialects.sas_text:to_sas")
    to_statsmodels = Tool[Any]("postfit.statsmodels_results:to_statsmodels")


class Plots:
    """Figures of one fit, each a matplotlib `Axes` or array of them."""

    __slots__ = ("_fit",)

    def __init__(self, fit: Any) -> None:
        self._fit = fit

    trajectories = Tool[Any]("plots.trajectories:trajectories", of="_fit")
    random_effects = Tool[Any]("plots.random_effects:random_effects", of="_fit")
    residuals = Tool[Any]("plots.residuals:residuals", of="_fit")
    qq = Tool[Any]("plots.qq:qq", of="_fit")
    profile = Tool[Any]("plots.profile:profile", of="_fit")
    emmeans = Tool[Any]("plots.emmeans:emmeans", of="_fit")
    pairwise = Tool[Any]("plots.pairwise:pairwise", of="_fit")
    interaction = Tool[Any]("plots.interaction:interaction", of="_fit")
    effects = Tool[Any]("plots.effects:effects", of="_fit")
    covariance = Tool[Any]("plots.covariance:covariance", of="_fit")
    acf = Tool[Any]("plots.acf:acf", of="_fit")
    variogram = Tool[Any]("plots.variogram:variogram", of="_fit")
    influence = Tool[Any]("plots.influence:influence", of="_fit")
    smooth = Tool[Any]("plots.smooth:smooth", of="_fit")
    forest = Tool[Any]("plots.forest:forest", of="_fit")
    funnel = Tool[Any]("plots.funnel:funnel", of="_fit")

    def __repr__(self) -> str:
        listed = "\n".join(f"  fit.plot.{name}(…)" for name in self._names())
        return f"Figures of {self._fit.spec.formula}:\n{listed}"

    def __call__(self, *_: object, **__: object) -> Any:
        calls = ", ".join(f"fit.plot.{name}()" for name in self._names())
        raise SpecError(f"fit.plot is a set of figures; call one of them: {calls}.")

    def _names(self) -> list[str]:
        return [name for name, value in vars(type(self)).items() if isinstance(value, Tool)]

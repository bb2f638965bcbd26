"""The names, arguments, defaults and columns that users write against."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.labelled import LabelledMatrix, LabelledVector
from mixedmodels.syntax.formula import read_formula

REQUIRED = inspect.Parameter.empty

VERBS: dict[str, dict[str, Any]] = {
    "lmm": {
        "formula": REQUIRED, "data": REQUIRED, "residual": None, "variance": None, "weights": None,
        "method": "reml", "ddf": "auto", "known": None, "bounds": "psd", "start": None, "hold": None,
        "contrasts": None, "na": "drop", "control": None,
    },
    "gls": {"formula": REQUIRED, "data": REQUIRED, "residual": None, "variance": None, "method": "reml"},
    "lm": {"formula": REQUIRED, "data": REQUIRED},
    "mmrm": {"formula": REQUIRED, "data": REQUIRED},
    "lmer": {"formula": REQUIRED, "data": REQUIRED},
}  # fmt: skip

TOOLS: dict[str, dict[str, Any]] = {
    "summary": {},
    "fixed_effects": {"ddf": None, "level": 0.95},
    "variance_components": {"ci": None},
    "random_effects": {"se": True},
    "coefficients": {},
    "random_cov": {"term": None, "correlation": False},
    "residual_cov": {"cluster": None, "correlation": False},
    "marginal_cov": {"cluster": None, "correlation": False},
    "anova": {"type": 3, "ddf": None},
    "test": {"rhs": 0.0, "joint": True},
    "confint": {"method": "wald", "terms": "all"},
    "emmeans": {"specs": "1", "by": None, "at": None, "weights": "equal", "ddf": None},
    "emtrends": {"var": REQUIRED, "specs": "1"},
    "joint_tests": {},
    "predict": {
        "newdata": None, "level": "conditional", "se": False, "interval": None, "new_levels": "raise",
    },
    "simulate": {"n": 1, "seed": None},
    "bootstrap": {"stat": None, "n": 1000, "seed": None, "kind": "parametric"},
    "profile": {},
    "residuals": {"kind": "response", "level": "conditional"},
    "icc": {},
    "r2": {},
    "vcov_robust": {"kind": "CR2", "cluster": None},
    "refit": {"y": REQUIRED},
    "update": {"formula": None},
    "report": {"path": REQUIRED},
    "tidy": {},
    "glance": {},
    "augment": {},
    "to_lme4": {},
}  # fmt: skip

POSITIONAL = {
    "anova": ["type"], "test": ["L", "rhs"], "confint": ["method"], "emmeans": ["specs"], "predict": ["newdata"],
    "emtrends": ["var", "specs"], "simulate": ["n", "seed"], "bootstrap": ["stat", "n", "seed"],
    "residuals": ["kind"], "variance_components": ["ci"], "random_cov": ["term"], "residual_cov": ["cluster"],
    "marginal_cov": ["cluster"], "refit": ["y"], "update": ["formula"], "report": ["path"],
}  # fmt: skip

COLUMNS: dict[str, tuple[Callable[[Fit], Any], str]] = {
    "fixed_effects": (
        lambda f: f.fixed_effects(),
        "term estimate std_error df statistic p_value conf_low conf_high",
    ),
    "variance_components": (lambda f: f.variance_components(), "group name1 name2 kind variance sd"),
    "random_effects": (lambda f: f.random_effects(), "group level term estimate std_error"),
    "random_effects without se": (lambda f: f.random_effects(se=False), "group level term estimate"),
    "coefficients": (lambda f: f.coefficients(), "group level term estimate"),
    "anova": (lambda f: f.anova(), "term num_df den_df statistic p_value"),
    "test": (lambda f: f.test("Days = 0"), "num_df den_df statistic p_value"),
    "confint": (lambda f: f.confint(), "term estimate conf_low conf_high"),
    "confint of one term": (lambda f: f.confint(terms="Days"), "term estimate conf_low conf_high"),
    "emmeans": (lambda f: f.emmeans("1"), "1 estimate std_error df conf_low conf_high"),
    "predict se": (lambda f: f.predict(se=True), "fit se"),
    "predict interval": (lambda f: f.predict(interval="prediction"), "fit se lower upper"),
    "conf_int": (lambda f: f.conf_int(), "term conf_low conf_high"),
    "glance": (
        lambda f: f.glance(),
        "nobs sigma loglik aic bic criterion df_residual converged singular",
    ),
    "tidy": (
        lambda f: f.tidy(),
        "effect group term estimate std_error statistic df p_value conf_low conf_high",
    ),
}
BY_PLACE = {"lmer": ["REML"], "gls": ["correlation", "weights"]}
"""Arguments after the data that may be given by place, as in the R function of that name."""


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def _parameters(function: Callable[..., Any], drop: int = 0) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(function).parameters.items())[drop:])


@pytest.mark.parametrize("name", list(VERBS))
def test_arguments_of_the_verbs(name: str) -> None:
    found = _parameters(getattr(mm, name))
    for argument, default in VERBS[name].items():
        assert argument in found, argument
        assert found[argument].default == default, argument
    extra = [p for p in list(found)[2:] if found[p].kind is not inspect.Parameter.KEYWORD_ONLY]
    assert extra == BY_PLACE.get(name, [])


@pytest.mark.parametrize("name", list(TOOLS))
def test_arguments_of_the_tools(name: str) -> None:
    found = _parameters(getattr(Fit, name), 1)
    for argument, default in TOOLS[name].items():
        assert argument in found, argument
        assert found[argument].default == default, argument
    positional = [p for p in found if found[p].kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional[: len(POSITIONAL.get(name, []))] == POSITIONAL.get(name, [])


def test_information_goes_with_ddf() -> None:
    tools = [name for name in TOOLS if "ddf" in _parameters(getattr(Fit, name), 1)]
    assert len(tools) >= 9
    # that of `update` is the curvature of a generalised model, an argument of its fit
    assert all("information" in _parameters(getattr(Fit, name), 1) for name in tools)


@pytest.mark.parametrize("name", list(COLUMNS))
def test_columns_of_the_tables(name: str, sleep: Fit) -> None:
    make, columns = COLUMNS[name]
    assert " ".join(make(sleep).to_dict()) == columns


@pytest.mark.parametrize("ci", ["wald", "profile", "satterthwaite"])
def test_intervals_of_variance_components(ci: str, sleep: Fit) -> None:
    table = sleep.variance_components(ci=ci)
    assert {"conf_low", "conf_high", "std_error"} <= set(table.names)
    variances = table["kind"] == "variance"
    assert np.all(table["conf_low"][variances] < table["variance"][variances])
    assert np.all(table["variance"][variances] < table["conf_high"][variances])


def test_attributes_of_a_fit(sleep: Fit) -> None:
    n, p = 180, 2
    assert isinstance(sleep.params, LabelledVector)
    assert list(sleep.params) == ["(Intercept)", "Days"]
    shapes = {"beta": (p,), "vcov": (p, p), "theta": (3,), "fitted": (n,), "resid": (n,)}
    for name, shape in shapes.items():
        value = getattr(sleep, name)
        assert isinstance(value, np.ndarray), name
        assert value.shape == shape, name
    for name in ("sigma", "loglik", "criterion", "aic", "aicc", "bic", "llf"):
        assert isinstance(getattr(sleep, name), float), name
    assert sleep.criterion == -2 * sleep.loglik
    assert (sleep.nobs, sleep.ngroups, sleep.df_resid) == (n, {"Subject": 18}, n - p)
    assert sleep.status == ()
    assert sleep.spec.fixed == "1 + Days"
    assert sleep.engine == "blocked"
    for name in ("bse", "tvalues", "pvalues"):
        assert list(getattr(sleep, name)) == ["(Intercept)", "Days"]
    assert isinstance(sleep.cov_params(), LabelledMatrix)
    np.testing.assert_array_equal(np.asarray(sleep.cov_params()), sleep.vcov)
    np.testing.assert_array_equal(sleep.bse.array, sleep.fixed_effects()["std_error"])


@pytest.mark.parametrize("name", ["random_cov", "residual_cov", "marginal_cov"])
def test_covariances_are_labelled_matrices(name: str, sleep: Fit) -> None:
    tool = getattr(sleep, name)
    argument = None if name == "random_cov" else "308"
    assert isinstance(tool(argument), LabelledMatrix)
    np.testing.assert_allclose(np.diag(np.asarray(tool(argument, correlation=True))), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    "adjust", ["tukey", "sidak", "bonferroni", "holm", "scheffe", "dunnettx", "mvt", "none"]
)
@pytest.mark.parametrize("method", ["pairwise", "trt.vs.ctrl"])
def test_contrasts_of_means(method: str, adjust: str) -> None:
    fit = mm.lmm("yield ~ Variety + (1 | Block)", mm.datasets.load("oats"))
    means = fit.emmeans("Variety")
    assert list(means.to_dict()) == ["Variety", "estimate", "std_error", "df", "conf_low", "conf_high"]
    table = means.contrast(method, adjust=adjust)
    assert np.all(np.isfinite(table.to_dict()["p_value"]))
    assert len(means.cld()) == 3


def test_slices_go_by_the_factors_asked_for() -> None:
    fit = mm.lmm("yield ~ Variety * factor(nitro) + (1 | Block)", mm.datasets.load("oats"))
    both = fit.emmeans(["Variety", "nitro"])
    inside = fit.emmeans("nitro", by="Variety").slices()
    assert both.slices("Variety").to_dict() == inside.to_dict()
    assert inside["num_df"].tolist() == [3, 3, 3]
    with pytest.raises(mm.SpecError, match=r"slices\(by=…\); the means are of 'Variety', 'nitro'"):
        both.slices()
    with pytest.raises(mm.SpecError, match="no factor is left"):
        both.slices(["Variety", "nitro"])


def test_tables_render_in_every_way(sleep: Fit) -> None:
    table = sleep.fixed_effects()
    assert str(table) == table.to_text()
    assert table.to_html().startswith("<div>")
    assert table.to_latex().startswith("\\begin{tabular}")
    assert table.to_dict()["term"] == ["(Intercept)", "Days"]
    assert list(table.to_frame().columns) == list(table.names)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "dict"])
def test_every_table_comes_back_in_the_library_of_the_data(backend: str) -> None:
    data = mm.datasets.load("sleepstudy", backend=backend)
    kind = dict if backend == "dict" else type(data)
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", data)
    for make, _ in COLUMNS.values():
        assert isinstance(make(fit).to_frame(), kind)
    for other in (fit.params, fit.cov_params(), fit.random_cov(), fit.augment(), fit.anova(), fit.r2()):
        assert isinstance(other.to_frame(), kind)
    assert isinstance(mm.compare(fit, fit.update(". ~ . + I(Days^2)")).to_frame(), kind)


@pytest.mark.parametrize("name", list(COLUMNS))
def test_tables_pickle(name: str, sleep: Fit) -> None:
    table = COLUMNS[name][0](sleep)
    again = pickle.loads(pickle.dumps(table))
    assert str(again) == str(table)


def test_the_rest_pickles(sleep: Fit) -> None:
    for value in (sleep, sleep.params, sleep.cov_params(), sleep.spec, sleep.control, sleep.summary()):
        again = pickle.loads(pickle.dumps(value))
        assert str(again) == str(value)
    assert sleep.spec == pickle.loads(pickle.dumps(sleep.spec))


STRUCTURES = (
    "us", "diag", "homdiag", "cs", "hcs", "ar1", "har1", "arma(1, 1)", "toep", "toep(2)", "htoep", "htoep(2)", "ante1",
    "fa(1)", "fa0(1)", "fa1(1)", "hf", "banded_us(2)", "kron(us, ar1)",
)  # fmt: skip
SPATIAL = ("car1", "exp", "gau", "sph", "lin_sp", "pow", "mat", "rq")
"""Structures over coordinates."""
ALIASES = {
    "UN": "us", "VC": "diag", "CS": "cs", "CSH": "hcs", "AR(1)": "ar1", "ARH(1)": "har1", "TOEP": "toep", "HF": "hf",
    "ANTE(1)": "ante1", "pdSymm": "us", "pdDiag": "diag", "pdIdent": "homdiag", "pdCompSymm": "cs", "corAR1": "ar1",
    "corCompSymm": "cs", "corCAR1": "car1", "corExp": "exp", "corGaus": "gau",
}  # fmt: skip
DDF = (
    "kenward-roger", "kenward-roger2", "kenward-roger-linear", "satterthwaite", "containment", "inner-outer",
    "between-within", "residual", "asymptotic",
)  # fmt: skip


@pytest.mark.parametrize("structure", [*STRUCTURES, *SPATIAL])
def test_every_structure_is_written_on_both_sides(structure: str) -> None:
    left = "a, t" if structure.startswith("kron") else "t"
    random = read_formula(f"y ~ 1 + {structure}({left} | g, by=s)").random[0]
    residual = read_formula("y ~ 1", residual=f"{structure}({left} | g, by=s)").residual
    assert residual is not None
    assert random.structure == residual.structure
    assert (random.by, residual.by) == ("s", "s")
    assert read_formula(f"y ~ 1 + {random}").random[0] == random


@pytest.mark.parametrize("alias", list(ALIASES))
def test_names_of_sas_and_nlme_are_read(alias: str) -> None:
    assert read_formula(f"y ~ 1 + {alias}(t | g)").random[0].structure.name == ALIASES[alias]


@pytest.mark.parametrize(
    "variance",
    [
        "ident(s)",
        "power(x)",
        "power(fitted)",
        "exp(x)",
        "const_power(fitted)",
        "fixed(x)",
        "ident(s) * power(x)",
    ],
)
def test_every_variance_function_is_read(variance: str) -> None:
    read = read_formula("y ~ 1", variance=variance).variance
    assert " * ".join(map(str, read)) == variance


@pytest.mark.parametrize("ddf", DDF)
def test_every_df_method_goes_through_every_tool(ddf: str, sleep: Fit) -> None:
    for table in (
        sleep.fixed_effects(ddf=ddf), sleep.emmeans("1", ddf=ddf).table, sleep.test("Days = 0", ddf=ddf),
        sleep.anova(ddf=ddf), sleep.joint_tests(ddf=ddf),
    ):  # fmt: skip
        df = table["den_df"] if "den_df" in table else table["df"]
        assert np.all(df > 0)
    with pytest.raises(mm.SpecError, match="information='exact' is not known"):
        sleep.fixed_effects(ddf=ddf, information="exact")


@pytest.mark.parametrize("kind", ["response", "pearson", "student", "scaled"])
@pytest.mark.parametrize("level", ["conditional", "marginal"])
def test_every_kind_of_residual(kind: str, level: str, sleep: Fit) -> None:
    found = sleep.residuals(kind, level=level)
    assert found.shape == (180,)
    assert np.all(np.isfinite(found))


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2", "CR3", "mbn"])
def test_every_sandwich(kind: str, sleep: Fit) -> None:
    table = sleep.vcov_robust(kind, cluster="Subject").table()
    assert np.all(table["std_error"] > 0)


class TestSeedExamples:
    """The figures of the textbook's examples."""

    def test_rails(self) -> None:
        rail = mm.datasets.load("rail")
        m = mm.lmm("travel ~ 1 + (1 | Rail)", rail)
        assert round(m.criterion, 3) == 122.177
        assert round(m.loglik, 4) == -61.0885
        sd = m.variance_components()["sd"]
        assert (round(sd[0], 5), round(sd[1], 6)) == (24.80547, 4.020779)
        mean = m.emmeans("1", ddf="containment").row(0)
        rounded = [round(mean[k], 1) for k in ("estimate", "std_error", "df", "conf_low", "conf_high")]
        assert rounded == [66.5, 10.2, 5, 40.4, 92.6]
        plain = mm.lm("travel ~ Rail", rail).emmeans("1").row(0)
        assert round(plain["std_error"], 3) == 0.948
        assert [round(plain[k], 1) for k in ("estimate", "df", "conf_low", "conf_high")] == [
            66.5,
            12,
            64.4,
            68.6,
        ]
        v = np.asarray(m.marginal_cov("1"))
        np.testing.assert_array_equal(v.round(2), np.where(np.eye(3), 631.48, 615.31))
        assert round(mm.gls("travel ~ 1", rail, residual="cs(1 | Rail)").loglik, 4) == -61.0885

    def test_orthodont(self) -> None:
        orth = mm.datasets.load("orthodont")
        fixed = "Y ~ 0 + fem + male + fem:age + male:age"
        lmer = mm.lmm(f"{fixed} + (0 + fem | id) + (0 + male | id)", orth)
        assert lmer.converged
        lme = mm.lmm(f"{fixed} + diag(0 + fem + male | id)", orth, variance="ident(sex)")
        assert round(lme.loglik, 4) == -207.3332
        assert lme.criterion < lmer.criterion

"""The benchmark cases: a model and its data, drawn from a fixed seed or taken from `mixedmodels.datasets`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from columns import Column, Factor, columns_of, compact_factor, interaction, write_columns
from generalised import (
    build_binary_1934,
    build_binary_crossed,
    build_binary_million,
    build_cbpp,
    build_nb2_10k,
    build_poisson_slopes,
)
from numpy.random import Generator
from numpy.typing import NDArray
from repeated import (
    build_crossed_5000,
    build_crossed_serial,
    build_field,
    build_own_times,
    build_slopes_5000,
    build_trial,
)

CACHE = Path(__file__).resolve().parent / ".cache"
RANDOM_EFFECTS = (
    "mixedmodels", "glmm", "glmm-lean", "lme4", "lme4-lean", "mixedlm", "lme-python", "statsmodels", "gpboost",
    "gpboost-cholesky",
)  # fmt: skip
"""Tools for models with random effects."""
GENERALISED = ("mixedmodels", "glmm", "lme4", "glmmTMB", "gpboost", "gpboost-cholesky")
"""Tools for generalised models with random effects."""
STRUCTURED = ("mixedmodels", "nlme", "glmmTMB")
"""Tools for models with structured errors."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One random term: the coefficients that vary (`"1"` is the intercept) and the factor they vary over."""

    coefficients: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """Errors with a covariance structure over positions within clusters."""

    structure: str
    position: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model twice: as an lme4 formula, and in parts for the tools that have no such formula.

    `bars` lists the random terms from the outermost factor inwards; `nested` says that each factor lies
    within the one before it. `repeated` is the structure of the errors; without random terms it is part of the
    formula. `family` is the distribution of a generalised model (`binomial`, `poisson`, `nb2`), fitted by
    Laplace's approximation.
    """

    formula: str
    response: str
    fixed: str
    bars: tuple[Bar, ...]
    nested: bool = False
    repeated: Repeated | None = None
    family: str | None = None


def repeated_model(fixed: str, structure: str, position: str, cluster: str) -> Model:
    """The model of `y` with structured errors and no random terms."""
    formula = f"y ~ {fixed} + {structure}({position} | {cluster})"
    return Model(formula, "y", fixed, (), repeated=Repeated(structure, position, cluster))


@dataclass(frozen=True, slots=True)
class Case:
    """A model, its data and how it is timed.

    `operation` is `"fit"`, `"refit"` (the column `new_response` for a model already fitted), or the name of a
    df method: the table of fixed effects of a model fitted before the clock starts, anew for every
    measurement. `warm` cases are fitted before the clock starts and timed over as many repetitions as fill a
    fifth of a second. `memory` asks for the peak memory of one operation in a fresh process. `simulated` data
    come in any size. `tools` are those that are asked.
    """

    name: str
    title: str
    model: Model
    build: Callable[[float], dict[str, Column]]
    operation: str = "fit"
    warm: bool = False
    memory: bool = False
    simulated: bool = False
    tools: tuple[str, ...] = RANDOM_EFFECTS


def ensure_data(case: Case, scale: float) -> Path:
    """The folder with the case's columns, built on first use; `scale` below 1 shrinks the simulated cases."""
    folder = CACHE / (case.name if scale == 1 or not case.simulated else f"{case.name}@{scale:g}")
    if not (folder / "columns.json").exists():
        write_columns(case.build(scale), folder)
    return folder


def _dataset(name: str) -> dict[str, Column]:
    datasets = importlib.import_module("mixedmodels.datasets")
    return columns_of(datasets.load(name))


def _effects(rng: Generator, levels: int, root: Iterable[Iterable[float]]) -> NDArray[np.float64]:
    """Normal random effects, levels × coefficients, with covariance root·rootᵀ."""
    lower = np.array([list(row) for row in root])
    return rng.standard_normal((levels, len(lower))) @ lower.T


def build_insteval(_scale: float) -> dict[str, Column]:
    """73,421 ratings: students × lecturers × departments; also the cells of department and service."""
    columns = _dataset("insteval")
    kept = {name: columns[name] for name in ("y", "service", "s", "d", "dept", "studage")}
    department, service = kept["dept"], kept["service"]
    if not (isinstance(department, Factor) and isinstance(service, Factor)):
        raise TypeError("insteval: dept and service must be factors")
    return {**kept, "dept_service": interaction(department, service)}


def build_slope_million(scale: float) -> dict[str, Column]:
    """1,000,000 rows in random order over 100,000 subjects, correlated random intercept and slope."""
    rng = np.random.default_rng(1)
    rows, subjects = int(1_000_000 * scale), int(100_000 * scale)
    g = rng.integers(0, subjects, rows)
    x = rng.standard_normal(rows)
    b = _effects(rng, subjects, [[1.0, 0.0], [0.3, 0.5]])
    y = 2.0 + 0.5 * x + b[g, 0] + b[g, 1] * x + rng.standard_normal(rows)
    return {"y": y, "x": x, "g": compact_factor(g, "g")}


def build_crossed_200k(scale: float) -> dict[str, Column]:
    """200,000 ratings of 4,000 items by 6,000 raters, every pair equally likely."""
    rng = np.random.default_rng(2)
    rows, raters, items = int(200_000 * scale), int(6_000 * scale), int(4_000 * scale)
    a, b = rng.integers(0, raters, rows), rng.integers(0, items, rows)
    x = rng.standard_normal(rows)
    y = 1.0 + 0.5 * x + 0.8 * rng.standard_normal(raters)[a] + 0.5 * rng.standard_normal(items)[b]
    y += rng.standard_normal(rows)
    return {"y": y, "x": x, "a": compact_factor(a, "a"), "b": compact_factor(b, "b")}


def build_nested_million(scale: float) -> dict[str, Column]:
    """1,000,000 pupils in random order in 100,000 classes in 20,000 schools; class labels are unique."""
    rng = np.random.default_rng(3)
    rows, classes, schools = int(1_000_000 * scale), int(100_000 * scale), int(20_000 * scale)
    school_of_class = rng.permutation(np.arange(classes) % schools)
    c = rng.integers(0, classes, rows)
    s = school_of_class[c]
    x = rng.standard_normal(rows)
    y = 0.3 * x + 0.5 * rng.standard_normal(schools)[s] + 0.7 * rng.standard_normal(classes)[c]
    y += rng.standard_normal(rows)
    return {"y": y, "x": x, "school": compact_factor(s, "s"), "classroom": compact_factor(c, "c")}


def build_wide_fixed(scale: float) -> dict[str, Column]:
    """100,000 rows, 60 numeric fixed columns, 2,000 groups."""
    rng = np.random.default_rng(4)
    rows, groups = int(100_000 * scale), int(2_000 * scale)
    g = rng.integers(0, groups, rows)
    covariates = rng.standard_normal((60, rows))
    y = 0.1 * covariates.sum(axis=0) + rng.standard_normal(groups)[g] + rng.standard_normal(rows)
    return {"y": y, **{f"x{k + 1}": covariates[k] for k in range(60)}, "g": compact_factor(g, "g")}


def build_vector_effects(scale: float) -> dict[str, Column]:
    """50,000 rows, 5,000 groups, four correlated random coefficients per group."""
    rng = np.random.default_rng(5)
    rows, groups = int(50_000 * scale), int(5_000 * scale)
    g = rng.integers(0, groups, rows)
    z = np.vstack([np.ones(rows), rng.standard_normal((3, rows))])
    root = [[1.0, 0, 0, 0], [0.3, 0.6, 0, 0], [-0.2, 0.1, 0.5, 0], [0.1, 0.2, -0.1, 0.4]]
    y = z.sum(axis=0) * 0.5 + (z * _effects(rng, groups, root)[g].T).sum(axis=0) + rng.standard_normal(rows)
    return {"y": y, "x1": z[1], "x2": z[2], "x3": z[3], "g": compact_factor(g, "g")}


def build_nested_slopes(scale: float) -> dict[str, Column]:
    """200,000 rows in 20,000 classes in 2,000 schools, correlated intercept and slope at both levels."""
    rng = np.random.default_rng(6)
    rows, classes, schools = int(200_000 * scale), int(20_000 * scale), int(2_000 * scale)
    school_of_class = rng.permutation(np.arange(classes) % schools)
    c = rng.integers(0, classes, rows)
    s = school_of_class[c]
    x = rng.standard_normal(rows)
    bs = _effects(rng, schools, [[0.6, 0.0], [0.1, 0.3]])
    bc = _effects(rng, classes, [[0.8, 0.0], [-0.1, 0.4]])
    y = 1.0 + 0.3 * x + bs[s, 0] + bs[s, 1] * x + bc[c, 0] + bc[c, 1] * x + rng.standard_normal(rows)
    return {"y": y, "x": x, "school": compact_factor(s, "s"), "classroom": compact_factor(c, "c")}


def build_sleepstudy(_scale: float) -> dict[str, Column]:
    """Sleepstudy, and a second response with other noise for the refit."""
    columns = _dataset("sleepstudy")
    reaction = np.asarray(columns["Reaction"])
    noise = np.random.default_rng(7).normal(scale=20.0, size=len(reaction))
    return {**columns, "new_response": reaction + noise}


def _small(name: str) -> Callable[[float], dict[str, Column]]:
    return lambda _scale: _dataset(name)


def build_pastes(_scale: float) -> dict[str, Column]:
    """Pastes with the cells of batch and cask as one factor for the tools that cannot say `batch/cask`."""
    columns = _dataset("pastes")
    batch, cask = columns["batch"], columns["cask"]
    if not (isinstance(batch, Factor) and isinstance(cask, Factor)):
        raise TypeError("pastes: batch and cask must be factors")
    return {**columns, "batch_cask": interaction(batch, cask)}


def build_oats(_scale: float) -> dict[str, Column]:
    """Oats with the whole plots as one factor; `yield` becomes `grain`, since patsy cannot read a keyword."""
    columns = _dataset("oats")
    columns["grain"] = columns.pop("yield")
    block, variety = columns["Block"], columns["Variety"]
    if not (isinstance(block, Factor) and isinstance(variety, Factor)):
        raise TypeError("oats: Block and Variety must be factors")
    return {**columns, "plot": interaction(block, variety)}


_ONE = ("1",)
_WIDE = " + ".join(f"x{k + 1}" for k in range(60))
_SLEEP = Model(
    "Reaction ~ Days + (Days | Subject)", "Reaction", "Days", (Bar(("1", "Days"), "Subject"),), nested=True
)

_TRIAL = repeated_model("base * visit + arm * visit", "us", "visit", "id")
_FIELD = repeated_model("genotype", "exp", "row, col", "field")
_SLOPES = Model("y ~ x + (1 + x | g)", "y", "x", (Bar(("1", "x"), "g"),), nested=True)


def _table(
    name: str, title: str, ddf: str, model: Model, build: Callable[[float], dict[str, Column]]
) -> Case:
    """The table of fixed effects of a model by a df method, with its peak memory."""
    return Case(name, title, model, build, operation=ddf, memory=True, tools=("mixedmodels", "pbkrtest"))


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case(
            "insteval",
            "73,421 ratings; students, lecturers and department × service crossed",
            Model(
                "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)",
                "y",
                "service",
                (Bar(_ONE, "s"), Bar(_ONE, "d"), Bar(_ONE, "dept_service")),
            ),
            build_insteval,
        ),
        Case(
            "slope_million",
            "1,000,000 rows, 100,000 subjects, random intercept and slope",
            _SLOPES,
            build_slope_million,
            simulated=True,
            memory=True,
        ),
        Case(
            "crossed_200k",
            "200,000 ratings, 6,000 raters × 4,000 items",
            Model("y ~ x + (1 | a) + (1 | b)", "y", "x", (Bar(_ONE, "a"), Bar(_ONE, "b"))),
            build_crossed_200k,
            simulated=True,
        ),
        Case(
            "nested_million",
            "1,000,000 pupils, 100,000 classes, 20,000 schools",
            Model(
                "y ~ x + (1 | school/classroom)",
                "y",
                "x",
                (Bar(_ONE, "school"), Bar(_ONE, "classroom")),
                nested=True,
            ),
            build_nested_million,
            simulated=True,
            memory=True,
        ),
        Case("sleepstudy", "180 rows, warm: formula to fit", _SLEEP, build_sleepstudy, warm=True),
        Case(
            "sleepstudy_refit",
            "180 rows, a fitted model and a new response",
            _SLEEP,
            build_sleepstudy,
            operation="refit",
            warm=True,
        ),
        Case(
            "penicillin",
            "144 rows, 24 plates × 6 samples",
            Model(
                "diameter ~ 1 + (1 | plate) + (1 | sample)",
                "diameter",
                "1",
                (Bar(_ONE, "plate"), Bar(_ONE, "sample")),
            ),
            _small("penicillin"),
            warm=True,
        ),
        Case(
            "pastes",
            "60 rows, casks within batches",
            Model(
                "strength ~ 1 + (1 | batch/cask)",
                "strength",
                "1",
                (Bar(_ONE, "batch"), Bar(_ONE, "batch_cask")),
                nested=True,
            ),
            build_pastes,
            warm=True,
        ),
        Case(
            "machines",
            "54 rows, 6 workers, three correlated machine effects",
            Model(
                "score ~ Machine + (Machine | Worker)",
                "score",
                "Machine",
                (Bar(("1", "Machine"), "Worker"),),
                nested=True,
            ),
            _small("machines"),
            warm=True,
        ),
        Case(
            "oats",
            "72 rows, split plot",
            Model(
                "grain ~ nitro + Variety + (1 | Block/Variety)",
                "grain",
                "nitro + Variety",
                (Bar(_ONE, "Block"), Bar(_ONE, "plot")),
                nested=True,
            ),
            build_oats,
            warm=True,
        ),
        Case(
            "insteval_factorial",
            "73,421 ratings, 28 fixed columns, students and lecturers crossed",
            Model(
                "y ~ service * dept + (1 | s) + (1 | d)",
                "y",
                "service * dept",
                (Bar(_ONE, "s"), Bar(_ONE, "d")),
            ),
            build_insteval,
        ),
        Case(
            "wide_fixed",
            "100,000 rows, 60 fixed columns, 2,000 groups",
            Model(f"y ~ {_WIDE} + (1 | g)", "y", _WIDE, (Bar(_ONE, "g"),), nested=True),
            build_wide_fixed,
            simulated=True,
        ),
        Case(
            "vector_effects",
            "50,000 rows, 5,000 groups × 4 correlated coefficients",
            Model(
                "y ~ x1 + x2 + x3 + (1 + x1 + x2 + x3 | g)",
                "y",
                "x1 + x2 + x3",
                (Bar(("1", "x1", "x2", "x3"), "g"),),
                nested=True,
            ),
            build_vector_effects,
            simulated=True,
        ),
        Case(
            "nested_slopes",
            "200,000 rows, 20,000 classes in 2,000 schools, slopes at both levels",
            Model(
                "y ~ x + (1 + x | school) + (1 + x | classroom)",
                "y",
                "x",
                (Bar(("1", "x"), "school"), Bar(("1", "x"), "classroom")),
                nested=True,
            ),
            build_nested_slopes,
            simulated=True,
        ),
        Case(
            "mmrm_5000",
            "5,000 subjects × 10 visits, some missing, unstructured errors, 30 fixed columns",
            _TRIAL,
            build_trial(5_000, 11),
            simulated=True,
            tools=("mixedmodels",),
        ),
        Case("mmrm_1000", "the same with 1,000 subjects", _TRIAL, build_trial(1_000, 11), tools=STRUCTURED),
        Case("mmrm_200", "the same with 200 subjects", _TRIAL, build_trial(200, 11), tools=STRUCTURED),
        Case(
            "car1_20000",
            "20,000 subjects × 6 times of their own, continuous-time autoregressive errors",
            repeated_model("arm * time", "car1", "time", "id"),
            build_own_times,
            simulated=True,
            tools=("mixedmodels", "nlme"),
        ),
        Case(
            "field_400",
            "a field of 20 × 20 plots, 40 genotypes, exponential correlation: one dense cluster",
            _FIELD,
            build_field(20, 20),
            tools=("mixedmodels", "nlme"),
        ),
        Case(
            "field_2000",
            "the same with 50 × 40 plots",
            _FIELD,
            build_field(50, 40),
            tools=("mixedmodels", "nlme"),
        ),
        Case(
            "crossed_serial",
            "10,000 subjects × 10 visits, crossed with 500 items, autoregressive errors within subjects",
            Model(
                "y ~ x + (1 | id) + (1 | item)",
                "y",
                "x",
                (Bar(_ONE, "id"), Bar(_ONE, "item")),
                repeated=Repeated("ar1", "visit", "id"),
            ),
            build_crossed_serial,
            simulated=True,
            tools=("mixedmodels", "glmmTMB"),
        ),
        _table(
            "kr_insteval",
            "InstEval, 28 fixed columns, three random factors: table by Kenward–Roger",
            "kenward-roger",
            Model(
                "y ~ service * dept + (1 | s) + (1 | d) + (1 | dept:studage)",
                "y",
                "service * dept",
                (Bar(_ONE, "s"), Bar(_ONE, "d"), Bar(_ONE, "dept_studage")),
            ),
            build_insteval,
        ),
        _table(
            "kr_mmrm_5000",
            "mmrm_5000: table by Kenward–Roger",
            "kenward-roger",
            _TRIAL,
            build_trial(5_000, 11),
        ),
        _table(
            "satterthwaite_million",
            "slope_million: table by Satterthwaite",
            "satterthwaite",
            _SLOPES,
            build_slope_million,
        ),
        _table(
            "kr_5000",
            "5,000 rows, 500 subjects, random intercept and slope: table by Kenward–Roger",
            "kenward-roger",
            Model("y ~ x * arm + (1 + x | g)", "y", "x * arm", (Bar(("1", "x"), "g"),), nested=True),
            build_slopes_5000,
        ),
        _table(
            "kr_crossed_5000",
            "5,000 ratings, 200 raters × 100 items: table by Kenward–Roger",
            "kenward-roger",
            Model("y ~ x * arm + (1 | a) + (1 | b)", "y", "x * arm", (Bar(_ONE, "a"), Bar(_ONE, "b"))),
            build_crossed_5000,
        ),
    )
}


def _generalised(
    name: str,
    title: str,
    family: str,
    model: tuple[str, str, tuple[Bar, ...]],
    build: Callable[[float], dict[str, Column]],
    *,
    warm: bool = False,
    memory: bool = False,
) -> Case:
    """The fit of a generalised model: response, fixed part and bars, each of its own factor."""
    response, fixed, bars = model
    random = " + ".join(f"({' + '.join(bar.coefficients)} | {bar.group})" for bar in bars)
    asked = Model(f"{response} ~ {fixed} + {random}", response, fixed, bars, family=family)
    return Case(name, title, asked, build, warm=warm, memory=memory, simulated=not warm, tools=GENERALISED)


_G = (Bar(_ONE, "g"),)
CASES |= {
    case.name: case
    for case in (
        _generalised(
            "cbpp",
            "56 binomial rows, 15 herds, warm",
            "binomial",
            ("cbind(incidence, rest)", "period", (Bar(_ONE, "herd"),)),
            build_cbpp,
            warm=True,
        ),
        _generalised(
            "binary_1934",
            "1,934 binary rows, 60 districts, warm",
            "binomial",
            ("y", "age + age2 + urban + f", _G),
            build_binary_1934,
            warm=True,
        ),
        _generalised(
            "nb2_10k", "10,000 negative binomial counts, 500 groups", "nb2", ("y", "x", _G), build_nb2_10k
        ),
        _generalised(
            "binary_crossed",
            "20,000 binary rows, 1,000 persons × 300 items",
            "binomial",
            ("y", "x", (Bar(_ONE, "a"), Bar(_ONE, "b"))),
            build_binary_crossed,
        ),
        _generalised(
            "poisson_slopes",
            "100,000 counts, 5,000 groups, random intercept and slope",
            "poisson",
            ("y", "x + f", (Bar(("1", "x"), "g"),)),
            build_poisson_slopes,
        ),
        _generalised(
            "binary_million",
            "1,000,000 binary rows, 20,000 groups",
            "binomial",
            ("y", "x + z", _G),
            build_binary_million,
            memory=True,
        ),
    )
}


def main() -> None:
    """Build the cached data of the named cases (all without names)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="case", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.names or CASES:
        print(ensure_data(CASES[name], arguments.scale))


if __name__ == "__main__":
    main()

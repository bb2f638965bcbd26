"""What was asked: a model as plain data.

A `ModelSpec` holds names and numbers only, never arrays or objects, so that it prints, compares, pickles, and
can be written back in any dialect. Every syntax is read into it and nothing below it knows which syntax was
used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from .errors import SpecError

Method = Literal["reml", "ml"]
Moments = Literal["type1", "type2", "type3", "mivque0"]
MOMENTS = ("type1", "type2", "type3", "mivque0")
"""Ways to estimate variance components without a likelihood."""
NaAction = Literal["drop", "exclude", "raise"]
Bounds = Literal["psd", "none"]
Approximation = Literal["laplace", "quadrature", "rspl", "mspl", "rmpl", "mmpl"]
Information = Literal["observed", "expected"]
Component = Literal["dispersion", "zero", "hurdle", "nominal"]
PSEUDO = ("rspl", "mspl", "rmpl", "mmpl")
"""Approximations that fit a linear mixed model to pseudo-data, over and over."""


@dataclass(frozen=True, slots=True)
class StructureSpec:
    """A covariance structure by name: `us`, `ar1`, `toep(2)`, `kron(us, ar1)`.

    `name` is canonical (a key of `STRUCTURES`); `order` holds integers such as the q of `fa(q)`; `parts` the
    factors of a Kronecker product.
    """

    name: str
    order: tuple[int, ...] = ()
    parts: tuple[StructureSpec, ...] = ()
    nugget: bool = False

    def __str__(self) -> str:
        inside = [str(p) for p in self.parts] + [str(q) for q in self.order]
        return f"{self.name}({', '.join(inside)})" if inside else self.name


def quoted(name: str) -> str:
    """Return a column name as it stands in a formula, in back-ticks where it is no plain name."""
    plain = name.isidentifier() and name not in ("True", "False", "None", "TRUE", "FALSE", "NULL", "pi")
    return name if plain else "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class RandomSpec:
    """One random term: `structure(effects | group, by=, cov= | precision=)`.

    `effects` is the text left of the bar in the fixed-part grammar (`"1 + Days"`, `"0 + male"`); for
    coordinate structures it holds the comma-separated coordinates and `coordinates` is true. `group` is a
    tuple of column names whose crossing defines the levels; the empty tuple means one group holding every
    row.
    """

    effects: str
    group: tuple[str, ...]
    structure: StructureSpec = StructureSpec("us")
    by: str | None = None
    cov: str | None = None
    precision: str | None = None
    coordinates: bool = False

    @property
    def group_label(self) -> str:
        return ":".join(self.group) if self.group else "all"

    def __str__(self) -> str:
        given = (("by", self.by), ("cov", self.cov), ("precision", self.precision))
        options = [f"{name}={value}" for name, value in given if value]
        options += ["nugget=True"] if self.structure.nugget else []
        group = ":".join(quoted(name) for name in self.group) or "1"
        inside = ", ".join([f"{self.effects} | {group}", *options])
        plain = self.structure.name == "us" and not self.structure.nugget
        return f"({inside})" if plain else f"{self.structure}({inside})"


@dataclass(frozen=True, slots=True)
class SplineSpec:
    """A penalised truncated-power spline `spline(x, degree=, knots=)`."""

    variable: str
    degree: int = 2
    knots: int | tuple[float, ...] = 20

    @property
    def arguments(self) -> tuple[str, ...]:
        """What it is a function of."""
        return (quoted(self.variable),)

    @property
    def label(self) -> str:
        """What the term is called in tables."""
        return f"spline({self.variable})"

    def __str__(self) -> str:
        knots = self.knots if isinstance(self.knots, int) else list(self.knots)
        return f"spline({quoted(self.variable)}, degree={self.degree}, knots={knots})"


SmoothKind = Literal["s", "te", "ti", "t2"]
Order = tuple[float, ...]
"""Orders of the penalty of one basis, `m=`: of the basis and of the penalty, or one of them."""


@dataclass(frozen=True, slots=True)
class SmoothSpec:
    """A penalised smooth: `s(x, bs=, k=, m=, by=, fx=, id=, knots=)`, or a tensor product `te ti t2`.

    Parameters
    ----------
    kind
        `"s"`, or how margins of a tensor product are put together.
    arguments
        What it is a function of: columns, or expressions of columns as text.
    basis, k, m
        Basis, its dimension and the order of its penalty: one for each argument of a tensor product, one in all
        otherwise; empty where the default is asked for.
    by
        Column that multiplies the smooth, or whose levels have one each.
    fixed
        Whether it is fitted without penalty.
    id
        Smooths of one name share their basis and their smoothing parameter.
    knots
        Where knots stand, as `k`; empty where the basis places them.
    select
        Whether what no penalty touches has one too, so that the smooth can vanish.
    margin
        The basis inside `fs` and `sz`, `xt=`; empty for `tp`.
    dimensions
        How many columns each margin of a tensor product takes, `d=`; empty for one each.
    full
        Whether each unpenalised column of a margin of `t2` has a variance of its own.
    """

    kind: SmoothKind
    arguments: tuple[str, ...]
    basis: tuple[str, ...] = ()
    k: tuple[int, ...] = ()
    m: tuple[Order, ...] = ()
    by: str | None = None
    fixed: bool = False
    id: str | None = None
    knots: tuple[tuple[float, ...], ...] = ()
    select: bool = False
    margin: str = ""
    dimensions: tuple[int, ...] = ()
    full: bool = False

    @property
    def label(self) -> str:
        """What the term is called in tables, as in mgcv: `"s(x)"`, `"te(x,z)"`."""
        return f"{self.kind}({','.join(self.arguments)})"

    def __str__(self) -> str:
        written = [*self.arguments]
        written += [f"bs={_listed([repr(name) for name in self.basis])}"] if self.basis else []
        written += [f"k={_listed(list(map(str, self.k)))}"] if self.k else []
        written += [f"m={_listed([_listed([f'{v:g}' for v in one]) for one in self.m])}"] if self.m else []
        written += [f"by={quoted(self.by)}"] if self.by else []
        written += ["fx=True"] if self.fixed else []
        written += [f"id={self.id!r}"] if self.id else []
        written += ["select=True"] if self.select else []
        written += [f"xt={self.margin!r}"] if self.margin else []
        written += [f"d={_listed(list(map(str, self.dimensions)))}"] if self.dimensions else []
        written += ["full=True"] if self.full else []
        if self.knots:
            each = ["[" + ", ".join(repr(value) for value in one) + "]" for one in self.knots]
            written.append(f"knots={_listed(each)}")
        return f"{self.kind}({', '.join(written)})"


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


@dataclass(frozen=True, slots=True)
class ResidualSpec:
    """The residual structure `structure(position | cluster, by=, neighbours=)`.

    `neighbours` is how many nearest rows of its cluster each row is given; None for all.
    """

    structure: StructureSpec
    position: tuple[str, ...]
    cluster: tuple[str, ...]
    by: str | None = None
    neighbours: int | None = None

    def __str__(self) -> str:
        by = f", by={quoted(self.by)}" if self.by else ""
        nugget = ", nugget=True" if self.structure.nugget else ""
        near = f", neighbours={self.neighbours}" if self.neighbours else ""
        position = ", ".join(quoted(name) for name in self.position) or "1"
        cluster = ":".join(quoted(name) for name in self.cluster) or "1"
        return f"{self.structure}({position} | {cluster}{by}{nugget}{near})"


@dataclass(frozen=True, slots=True)
class VarianceSpec:
    """One residual variance function: `ident(sex)`, `power(age)`; products are tuples of these."""

    name: str
    arguments: tuple[str, ...]
    by: str | None = None

    def __str__(self) -> str:
        by = f", by={quoted(self.by)}" if self.by else ""
        plain = self.name == "log_linear"
        inside = ", ".join(name if plain else quoted(name) for name in self.arguments)
        return f"{self.name}({inside}{by})"


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What a predictor beside the mean is made of: the log dispersion, the logit of a zero.

    `fixed`, `random` and `offsets` are as in `ModelSpec`; `formula` is the one-sided text as written.
    """

    component: Component
    fixed: str
    random: tuple[RandomSpec, ...] = ()
    offsets: tuple[str, ...] = ()
    formula: str = ""


@dataclass(frozen=True, slots=True)
class LikelihoodSpec:
    """What makes a model generalised: the distribution of a row given b, and how b is integrated out.

    Parameters
    ----------
    family, link
        Canonical name of the family; name of the link, None for the family's default.
    approximation
        `"laplace"`, `"quadrature"`, or a pseudo-likelihood: `"rspl"`, `"mspl"`, `"rmpl"`, `"mmpl"`.
    points
        Quadrature points a dimension, `"auto"`, or None where there is no quadrature.
    information
        Curvature of a row in log |H|: `"observed"`, or `"expected"` as in lme4.
    parts
        The predictors beside the mean that were given a formula.
    beside, form
        The expression beside the events and what it is: `"others"` of `cbind(events, others)`, `"trials"` of
        `events / trials`; `"value"` for a response that stands alone.
    trials, frequency, offset
        Columns of trials, of how many equal rows a row stands for, and of an offset given beside the formula.
    nominal, thresholds
        Terms of an ordinal model with an effect per threshold; how thresholds are spaced.
    free
        Whether a scale φ of the variance is estimated for a family without a dispersion (quasi-likelihood).
    """

    family: str
    link: str | None = None
    approximation: Approximation = "laplace"
    points: int | Literal["auto"] | None = None
    information: Information = "observed"
    parts: tuple[PartSpec, ...] = ()
    beside: str | None = None
    form: Literal["value", "others", "trials"] = "value"
    trials: str | None = None
    frequency: str | None = None
    nominal: str | None = None
    thresholds: str = "flexible"
    free: bool = False
    offset: str | None = None

    @property
    def pseudo(self) -> bool:
        """Whether estimates are those of a linear mixed model of pseudo-data."""
        return self.approximation in PSEUDO

    @property
    def conditional(self) -> bool:
        """Whether pseudo-data are made at Xβ̂ + Zb̂ (subject-specific) rather than at Xβ̂ (marginal)."""
        return self.approximation in ("rspl", "mspl")

    def __post_init__(self) -> None:
        for argument, value, allowed in (
            ("method", self.approximation, ("laplace", "quadrature", "rspl", "mspl", "rmpl", "mmpl")),
            ("information", self.information, ("observed", "expected")),
            ("thresholds", self.thresholds, ("flexible", "equidistant", "symmetric")),
        ):
            if value not in allowed:
                listed = ", ".join(map(repr, allowed))
                raise SpecError(f"{argument}={value!r} is not known; use one of {listed}.")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A mixed model as asked.

    Parameters
    ----------
    response
        The left-hand side as text, for example `"log(y)"`.
    fixed
        The fixed part as text in formulaic's grammar, without random terms, smooths and offsets (`"1 +
        Days"`).
    random, smooths, offsets
        Random terms, penalised smooths and offset expressions, in the order written.
    residual, variance, weights
        Residual structure, variance functions (a product), and the column of known precision weights.
    method
        `"reml"` or `"ml"`.
    contrasts
        Pairs (factor, coding) as given, for example `("sex", "sum")`.
    start, starts, hold
        Natural-scale values by parameter name; `starts` holds several sets of which the best is taken.
    formula
        The text as the user wrote it, for messages and the summary.
    functions
        Names of the caller's own functions that the formula calls; the functions themselves are kept with the fit.
    sampling
        Whether the errors are sampling errors of estimates, of known covariance (a meta-analysis).
    likelihood
        Family, link and approximation of a generalised model; None for a linear one.
    """

    response: str
    fixed: str
    random: tuple[RandomSpec, ...] = ()
    smooths: tuple[SplineSpec | SmoothSpec, ...] = ()
    offsets: tuple[str, ...] = ()
    residual: ResidualSpec | None = None
    variance: tuple[VarianceSpec, ...] = ()
    weights: str | None = None
    method: Method = "reml"
    contrasts: tuple[tuple[str, str], ...] = ()
    na: NaAction = "drop"
    bounds: Bounds = "psd"
    ddf: str | float | tuple[float | None, ...] | tuple[tuple[str, float], ...] = "auto"
    start: tuple[tuple[str, float], ...] = ()
    starts: tuple[tuple[tuple[str, float], ...], ...] = ()
    hold: tuple[str, ...] | tuple[tuple[str, float], ...] = ()
    formula: str = ""
    functions: tuple[str, ...] = ()
    sampling: bool = False
    moments: str | None = None
    likelihood: LikelihoodSpec | None = None

    def __post_init__(self) -> None:
        for argument, value, allowed in (
            ("method", self.method, ("reml", "ml")),
            ("na", self.na, ("drop", "exclude", "raise")),
            ("bounds", self.bounds, ("psd", "none")),
        ):
            if value not in allowed:
                listed = ", ".join(map(repr, allowed if argument != "method" else (*allowed, *MOMENTS)))
                raise SpecError(f"{argument}={value!r} is not known; use one of {listed}.")

    @property
    def start_values(self) -> dict[str, float] | list[dict[str, float]] | None:
        """Starting values as `start=` takes them: one set, the rows of a grid, or None."""
        return [dict(row) for row in self.starts] or dict(self.start) or None

    @property
    def parts(self) -> tuple[PartSpec, ...]:
        """The predictors beside the mean that have formulas of their own."""
        return () if self.likelihood is None else self.likelihood.parts

    @property
    def known_of_terms(self) -> frozenset[str]:
        """Names of the matrices that random terms have for the covariance or precision of their levels."""
        terms = (*self.random, *(term for part in self.parts for term in part.random))
        return frozenset(name for term in terms for name in (term.cov, term.precision) if name)

    @property
    def known_of_smooths(self) -> frozenset[str]:
        """Names of the matrices that smooths over the regions of a map have: those of their factors."""
        maps = (s for s in self.smooths if isinstance(s, SmoothSpec) and "mrf" in s.basis)
        return frozenset(name for smooth in maps for name in smooth.arguments)

    def uses_known(self, name: str) -> bool:
        """Return whether a known matrix is used: errors that are sums of known matrices take all that no term names."""
        summed = self.residual is not None and self.residual.structure.name == "lin"
        return summed or name in self.known_of_terms | self.known_of_smooths

    def with_changes(self, **changes: Any) -> ModelSpec:
        """Return the spec with some fields replaced."""
        return replace(self, **changes)

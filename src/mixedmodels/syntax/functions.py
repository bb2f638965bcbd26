"""The language of formulas: every function, keyword and constant that may stand in one, and their limits.

The list is closed. A formula is data: it is read into a tree of the names below, columns and numbers, and that tree is
walked; no text is evaluated by Python. The page `docs/guides/formula-language.md` is written from these lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

MOST_CHARACTERS: Final = 10_000
"""Characters of a formula or of the text of an argument."""
MOST_TERMS: Final = 2_000
"""Terms of a sum after everything is expanded."""
MOST_PRODUCTS: Final = 40_000
"""Products of two terms on the way there."""
MOST_NESTED: Final = 50
"""Brackets and operators inside one another."""
LARGEST_POWER: Final = 20
"""Exponent of a sum of terms, `(a + b)^2`."""
LARGEST_INTEGER: Final = 1_000
"""Whole numbers that say how many: degrees, knots, degrees of freedom, orders."""
LARGEST_CONSTANT: Final = 1e15
"""Size of any number written or computed from numbers alone."""

Kind = Literal["rows", "summary", "learned", "basis", "factor", "order"]
Argument = Literal[
    "values", "integer", "number", "numbers", "flag", "flag or number", "choice", "coding", "levels"
]
REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a function: its name, what it takes, its default, and its limits."""

    name: str
    takes: Argument = "values"
    default: object = REQUIRED
    least: float = -LARGEST_CONSTANT
    most: float = LARGEST_CONSTANT
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language.

    `kind` says what its value in a row depends on: "rows", the row alone; "summary", one number of the data of the
    fit; "learned" and "basis", the row and what was learned from the data of the fit, one column or several; "factor",
    a column of levels; "order", the rows before it. `names` are other spellings; `numpy` says whether `np.` may stand
    before it.
    """

    name: str
    kind: Kind
    about: str
    parameters: tuple[Parameter, ...] = (Parameter("x"),)
    names: tuple[str, ...] = ()
    numpy: bool = True


X, Y = Parameter("x"), Parameter("y")


def _count(name: str, default: object = REQUIRED, least: int = 1, also: tuple[str, ...] = ()) -> Parameter:
    return Parameter(name, "integer", default, least, LARGEST_INTEGER, also=also)


def _rows(text: str) -> list[Function]:
    return [
        Function(name, "rows", "", names=tuple(others))
        for name, *others in (w.split("=") for w in text.split())
    ]


_EXTRAPOLATION = ("raise", "clip", "na", "zero", "extend")
_BOUNDS = (Parameter("lower_bound", "number", None), Parameter("upper_bound", "number", None))
_CUBIC = (
    X,
    _count("df", None, least=1),
    Parameter("knots", "numbers", None),
    *_BOUNDS,
    Parameter("constraints", "choice", None, choices=("center",)),
    Parameter("extrapolation", "choice", "extend", choices=_EXTRAPOLATION),
)

_ALL = (
    *_rows(
        "log2 log10 log1p exp exp2 expm1 sqrt cbrt square reciprocal abs=absolute=fabs sign sin cos tan"
        " arcsin=asin arccos=acos arctan=atan sinh cosh tanh arcsinh=asinh arccosh=acosh arctanh=atanh"
        " floor ceil=ceiling trunc radians=deg2rad degrees=rad2deg isfinite"
    ),
    Function("log", "rows", "natural logarithm, or to a base", (X, Parameter("base", "number", None, 1e-15))),
    Function("exp10", "rows", "10 to the power x", numpy=False),
    Function("logit", "rows", "log(x / (1 - x))", names=("qlogis",), numpy=False),
    Function("expit", "rows", "1 / (1 + exp(-x))", names=("plogis",), numpy=False),
    Function(
        "round", "rows", "to so many decimal places", (X, _count("digits", 0, -15, ("decimals",))), ("around",)
    ),
    Function("minimum", "rows", "the smaller of two, row by row", (X, Y), ("pmin", "fmin")),
    Function("maximum", "rows", "the larger of two, row by row", (X, Y), ("pmax", "fmax")),
    Function("power", "rows", "x ** y", (X, Y)),
    Function("hypot", "rows", "sqrt(x**2 + y**2)", (X, Y)),
    Function("arctan2", "rows", "the angle of the point (x, y)", (Y, X), ("atan2",)),
    Function("mod", "rows", "x %% y, with the sign of y", (X, Y), ("remainder",)),
    Function("clip", "rows", "x held between two numbers", (X, Parameter("low"), Parameter("high"))),
    Function(
        "where", "rows", "yes where the test holds, else no", (Parameter("test"), Parameter("yes"), Parameter("no")),
        ("ifelse",),
    ),
    Function("I", "rows", "arithmetic, as it is written", names=("as.numeric",), numpy=False),
    Function("mean", "summary", "mean", names=("average",)),
    Function("median", "summary", "median"),
    Function("std", "summary", "standard deviation, NumPy's", (X, _count("ddof", 0, 0))),
    Function("sd", "summary", "standard deviation, R's (divisor n - 1)", numpy=False),
    Function("min", "summary", "smallest value", names=("amin",)),
    Function("max", "summary", "largest value", names=("amax",)),
    Function("quantile", "summary", "quantile", (X, Parameter("q", "number", REQUIRED, 0.0, 1.0, also=("probs",)))),
    Function("center", "learned", "x less its mean", numpy=False),
    Function(
        "scale",
        "learned",
        "x less its mean, over its standard deviation",
        (
            X,
            Parameter("center", "flag or number", True),
            Parameter("scale", "flag or number", True),
            _count("ddof", 1, 0),
        ),
        numpy=False,
    ),
    Function(
        "standardize",
        "learned",
        "the same with divisor n (patsy's)",
        (
            X,
            Parameter("center", "flag or number", True),
            Parameter("rescale", "flag or number", True),
            _count("ddof", 0, 0),
        ),
        numpy=False,
    ),
    Function(
        "poly",
        "basis",
        "orthogonal polynomials, or powers",
        (X, _count("degree", 1), Parameter("raw", "flag", False)),
        numpy=False,
    ),
    Function(
        "bs",
        "basis",
        "B-splines",
        (
            X,
            _count("df", None),
            Parameter("knots", "numbers", None),
            _count("degree", 3, 0),
            Parameter("include_intercept", "flag", False, also=("intercept",)),
            *_BOUNDS,
            Parameter("extrapolation", "choice", "raise", choices=_EXTRAPOLATION),
        ),
        numpy=False,
    ),
    Function("cr", "basis", "natural cubic splines", _CUBIC, ("cs",), numpy=False),
    Function("cc", "basis", "cyclic cubic splines", _CUBIC, numpy=False),
    Function(
        "lag", "order", "the value k rows before", (X, _count("k", 1, -LARGEST_INTEGER, ("offset",))), numpy=False
    ),
    Function(
        "C",
        "factor",
        "levels of x, coded by contrasts",
        (
            X,
            Parameter("contrasts", "coding", None, also=("contrast", "contr")),
            Parameter("levels", "levels", None),
        ),
        ("factor", "as.factor", "as_factor"),
        numpy=False,
    ),
    Function(
        "cut",
        "factor",
        "intervals of x between breaks",
        (X, Parameter("breaks", "numbers", REQUIRED), Parameter("right", "flag", True)),
        numpy=False,
    ),
)  # fmt: skip

FUNCTIONS: Final[Mapping[str, Function]] = {function.name: function for function in _ALL}
"""Every function by its own name."""


def _spellings(functions: Iterable[Function]) -> dict[str, str]:
    found = {}
    for function in functions:
        for name in (function.name, *function.names):
            found[name] = function.name
            if function.numpy:
                found[f"np.{name}"] = function.name
    return found


SPELLINGS: Final[Mapping[str, str]] = _spellings(_ALL)
"""Every spelling of a function, `log` and `np.log`, and its own name."""

CONSTANTS: Final[Mapping[str, float]] = {"np.pi": 3.141592653589793, "np.e": 2.718281828459045}
"""Constants; `pi` inside a function is `np.pi`."""

SMOOTH_TERMS: Final = ("s", "te", "ti", "t2")
"""Smooths: of one basis, and tensor products."""
TERMS_OF_THEIR_OWN: Final = ("spline", *SMOOTH_TERMS, "offset")
"""What looks like a function and is a term of the formula."""


@dataclass(frozen=True, slots=True)
class CodingOption:
    """An option of a contrast coding and what it takes."""

    name: str
    takes: Literal["level", "flag", "numbers"]


@dataclass(frozen=True, slots=True)
class CodingKind:
    """A coding of the levels of a factor: its spellings, and its options in order."""

    name: str
    about: str
    names: tuple[str, ...]
    options: tuple[CodingOption, ...] = ()


_REFERENCE = (CodingOption("base", "level"),)
CODING_KINDS: Final[Mapping[str, CodingKind]] = {
    kind.name: kind
    for kind in (
        CodingKind(
            "treatment",
            "against one level, the first by default",
            ("contr.treatment", "Treatment"),
            _REFERENCE,
        ),
        CodingKind("sas", "against one level, the last by default", ("contr.SAS", "contr.sas"), _REFERENCE),
        CodingKind("sum", "deviations from the mean of the levels", ("contr.sum", "Sum")),
        CodingKind(
            "helmert",
            "each level against the mean of those before it",
            ("contr.helmert", "Helmert"),
            (CodingOption("reverse", "flag"), CodingOption("scale", "flag")),
        ),
        CodingKind(
            "poly",
            "orthogonal polynomials of scores",
            ("contr.poly", "Poly"),
            (CodingOption("scores", "numbers"),),
        ),
        CodingKind(
            "diff",
            "each level against the one before",
            ("contr.diff", "Diff"),
            (CodingOption("backward", "flag"),),
        ),
    )
}
"""Codings of factors by name."""
CODING_SPELLINGS: Final[Mapping[str, str]] = {
    spelling: kind.name for kind in CODING_KINDS.values() for spelling in kind.names
}

ADVICE: Final[Mapping[str, str]] = {
    "ns": " For a natural cubic spline write cr(x, df=4).",
    "relevel": " Set the reference with C(x, contr.treatment('b')).",
    "interaction": " Write a:b.",
    "cbind": " A model has one response column.",
    "Q": " Put unusual column names in back-ticks: `my column`.",
    "hashed": " Make the column of hashed levels before the fit.",
    "as.character": " Write C(x).",
    "var": " Write sd(x)**2, R's, or np.std(x)**2, NumPy's.",
    "np.var": " Write np.std(x)**2.",
}
"""What to write in place of functions that people try."""


def allowed_functions() -> tuple[str, ...]:
    """Return every spelling, for messages that suggest the nearest."""
    return (*SPELLINGS, *TERMS_OF_THEIR_OWN)

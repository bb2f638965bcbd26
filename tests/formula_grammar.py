"""Random texts near the grammar of formulas, structures and variance functions, from a seed."""

from __future__ import annotations

import numpy as np

NAMES = (
    "y", "x", "z", "k", "g", "f", "`a b`", "`1`", "np", "pi", "missing", "t", "`", "True", "x.y", "1", "0",
    "2", "1e3", "1e400", "0.5", "1e-320", "-1", "'a'", '"', "NULL", ".",
)  # fmt: skip
SIGNS = (
    "+", "-", "*", "/", ":", "^", "**", "%in%", "%%", "//", "|", "||", "&", "!", "==", "!=", "<", ">=", "=",
    "~", ",",
)  # fmt: skip
OPENERS = (
    "(", "[", "{", "log(", "np.log(", "I(", "C(", "factor(", "poly(", "bs(", "cr(", "cc(", "cut(", "lag(",
    "scale(", "center(", "spline(", "offset(", "ifelse(", "pmin(", "mean(", "quantile(", "np.(", "np.f2py(",
    "f(", "exp(", "contr.sum(", "us(", "diag(", "ar1(", "car1(", "toep(3)(", "kron(us, ar1)(", "ident(",
    "power(", "log_linear(", "c(",
)  # fmt: skip
ENDS = (
    ")", "]", "}", ", 2)", ", df=4)", ", degree=3)", ", contr.sum)", ", by=f)", ", levels=['a'])",
    ", knots=[1, 2])", " | g)", ")^2",
)  # fmt: skip
PIECES = (*NAMES, *NAMES, *SIGNS, *OPENERS, *ENDS)
WHOLE = (
    "x", "z", "f", "(1 | g)", "(x | g)", "poly(x, 2)", "C(k)", "log(z)", "f:x", "I(x^2)", "bs(x, df=5)",
    "spline(x)", "scale(z)", "(x + f)^2", "x %in% f", "cr(z, df=3)", "lag(x)", "factor(k, Sum)",
    "I(f == 'a')", "x > 0", "offset(z)", "0", "f / x", "poly(x, 9)", "log(x)", "sqrt(-z)", "1e9", "`a b`",
    "cut(x, c(-9, 0, 9))", "where(x > 0, x, z)", "C(f, [[1], [0], [2]])",
)  # fmt: skip


def random_text(rng: np.random.Generator) -> str:
    """Return a text of pieces, of summands, or of a formula with a few characters changed."""
    kind = rng.integers(3)
    if kind == 0:
        text = " ".join(rng.choice(PIECES, rng.integers(1, 12)))
    else:
        text = rng.choice(["", "y ~ ", "log(z) ~ ", "y/z ~ "]) + " + ".join(
            rng.choice(WHOLE, rng.integers(1, 5))
        )
    if kind == 2:
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(text) + 1))
            text = text[:place] + str(rng.choice(PIECES)) + text[place + int(rng.integers(3)) :]
    return str(text if "~" in text or rng.random() < 0.1 else f"y ~ {text}")


def random_data(rng: np.random.Generator) -> dict[str, object]:
    """Return thirty rows with the columns that the texts name."""
    n = 30
    return {
        "y": rng.normal(size=n), "x": rng.normal(size=n), "z": rng.uniform(1, 2, n), "k": rng.integers(1, 4, n),
        "g": np.repeat(list("abcde"), 6), "f": np.tile(list("abc"), 10), "a b": rng.normal(size=n),
        "1": rng.normal(size=n),
        "np": rng.normal(size=n), "t": np.tile(np.arange(6), 5), "x.y": rng.normal(size=n),
    }  # fmt: skip

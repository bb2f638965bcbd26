"""Random data frames, and models of every kind on them: what people bring, and what nobody meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

FIXED = (
    "1", "x", "x", "f", "x + z", "x * f", "x + x:f", "poly(z, 2) + f", "0 + f", "x + dup", "factor(t)", "f * h",
    "scale(x):x", "x + factor(h)", "C(g, contr.sum)", "spread", "big", "x * big", "0 + x", "f:h", "constant + x",
)  # fmt: skip
RANDOM = (
    "(1 | g)", "(1 | g)", "(1 | g)", "(x | g)", "(x || g)", "(1 | g) + (1 | h)", "(1 | g/h)", "(0 + f | g)",
    "(1 | f)", "(x | h)", "cs(0 + f | g)", "ar1(0 + factor(t) | g)", "diag(0 + f | g)", "toep(2)(0 + f | h)",
    "fa(1)(0 + f | g)", "fa0(1)(x | g)", "(x | x)", "(big | g)", "exp(x, z | 1)", "homdiag(0 + f | g)",
    "hcs(0 + f | g)", "(1 | one)", "(1 | f:g)", "(0 + x | g)", "sph(g | g)", "(dup + x | g)",
)  # fmt: skip
RESIDUAL = (
    "ar1(t | g)", "cs(t | g)", "us(t | g)", "toep(t | g)", "diag(t | g)", "exp(x, z | g)", "hcs(t | g)",
    "exp(x, z | one)", "sph(x, z | one)", "ante1(t | g)", "arma(t | g)", "car1(x | g)", "har1(t | g)",
    "ar1(t | one)", "mat(x, z | one)", "unr(t | g)", "fa(1)(t | g)", "us(t | g, by=f)",
)  # fmt: skip
VARIANCE = (
    "ident(f)",
    "ident(h)",
    "power(x)",
    "power(fitted)",
    "exp(x)",
    "const_power(fitted)",
    "ident(one)",
)
METHODS = ("kenward-roger", "kenward-roger2", "kenward-roger-linear", "satterthwaite", "containment", "inner-outer",
           "between-within", "residual", "asymptotic")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """A call of `lmm`: its formula, options and data."""

    formula: str
    data: pd.DataFrame
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"lmm({self.formula!r}, {self.options})"


def random_frame(rng: np.random.Generator) -> pd.DataFrame:
    """Return a frame of 6 to 60 rows with covariates, factors, repeats and sometimes missing values."""
    n = int(rng.choice([6, 8, 10, 12, 15, 20, 24, 30, 40, 60]))
    levels = int(rng.integers(2, max(3, n // 2)))
    g = rng.integers(0, levels, n) if rng.random() < 0.4 else np.arange(n) % levels
    order = np.argsort(g, kind="stable") if rng.random() < 0.5 else np.arange(n)
    g = g[order]
    x = rng.normal(size=n) if rng.random() < 0.6 else rng.integers(-3, 6, n).astype(float)
    names = list("abcdef")[: int(rng.integers(2, 7))]
    frame = pd.DataFrame(
        {"x": x, "z": rng.integers(-3, 6, n), "g": [f"g{k}" for k in g] if rng.random() < 0.5 else g}
    )
    frame["h"] = rng.integers(0, 8, n) if rng.random() < 0.5 else rng.choice(list("abcd"), n)
    frame["f"] = pd.Categorical(rng.choice(names[: max(2, len(names) - 1)], n), categories=names)
    frame["t"] = pd.Series(g).groupby(g).cumcount().to_numpy()
    frame["one"], frame["dup"], frame["constant"] = 1, frame["x"], 3.0
    frame["big"] = 2000 + rng.integers(0, 10, n)
    frame["spread"] = 10.0 ** rng.integers(-9, 9) * rng.normal(size=n)
    frame["y"] = _response(rng, frame, g)
    if rng.random() < 0.15:
        frame.loc[rng.integers(0, n, 2), "y"] = np.nan
    return frame


def _response(rng: np.random.Generator, frame: pd.DataFrame, g: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    n, kind = len(frame), rng.random()
    noise = rng.normal(size=n)
    if kind < 0.05:
        return np.asarray(1.0 + 2.0 * frame["x"])
    if kind < 0.12:
        return np.asarray(rng.integers(0, 3, n).astype(float))
    y = noise + 2.0 * rng.normal(size=int(g.max()) + 1)[g] * (rng.random() < 0.6) + frame["x"].to_numpy()
    if rng.random() < 0.1:
        return np.asarray(y + 1e4)
    return np.asarray(y * 10.0 ** int(rng.choice([0, 0, 0, 0, -6, 6])))


def random_model(seed: int) -> Model:
    """Return the model of a seed, always the same."""
    rng = np.random.default_rng([20, seed])
    data = random_frame(rng)
    fixed = str(rng.choice(FIXED))
    if rng.random() < 0.2:
        fixed = f"{fixed} + {rng.choice(FIXED)}"
    options: dict[str, Any] = {}
    terms = [str(rng.choice(RANDOM))] if rng.random() < 0.7 else []
    if terms and rng.random() < 0.15:
        terms.append(str(rng.choice(RANDOM)))
    if not terms or rng.random() < 0.12:
        options["residual"] = str(rng.choice(RESIDUAL))
    if rng.random() < 0.15:
        options["variance"] = str(rng.choice(VARIANCE))
    if rng.random() < 0.3:
        options["method"] = "ml"
    if rng.random() < 0.3:
        options["ddf"] = str(rng.choice(METHODS))
    if terms and rng.random() < 0.1:
        options["bounds"] = "none"
    return Model(" + ".join([f"y ~ {fixed}", *terms]), data, options)

"""Models that are written in R: formula, arguments, data; over a hundred texts in all."""

from __future__ import annotations

from typing import Any

Asked = tuple[str, str, dict[str, Any]]

GROWTH = "Y ~ age * sex"
RANDOM = (
    "(1 | id)", "(age | id)", "(age || id)", "(0 + age | id)", "(0 + fem + male | id)", "diag(0 + fem + male | id)",
    "homdiag(0 + fem + male | id)", "(0 + fem | id) + (0 + male | id)", "(1 | id) + (0 + age | id)", "diag(age | id)",
)  # fmt: skip
"""Random parts of the growth curves."""
ERRORS: tuple[dict[str, Any], ...] = (
    {"residual": "ar1(age | id)"},
    {"residual": "car1(age | id)"},
    {"residual": "cs(1 | id)"},
    {"residual": "us(age | id)"},
    {"residual": "arma(age | id, p=1, q=1)"},
    {"residual": "arma(age | id, p=0, q=1)"},
    {"residual": "exp(age | id)"},
    {"residual": "gau(age | id)"},
    {"residual": "rq(age | id)"},
    {"residual": "exp(age | id, nugget=True)"},
    {"variance": "ident(sex)"},
    {"variance": "ident(sex, age)"},
    {"variance": "power(age)"},
    {"variance": "power(age, by=sex)"},
    {"variance": "exp(age)"},
    {"variance": "fixed(age)"},
    {"variance": "ident(sex) * power(age)"},
    {"weights": "age"},
    {"residual": "ar1(age | id)", "variance": "ident(sex)"},
    {"residual": "cs(1 | id)", "variance": "power(age)"},
)
FORMULAS: tuple[tuple[str, str], ...] = (
    ("orthodont", "Y ~ age + I(age^2) + (1 | id)"),
    ("orthodont", "log(Y) ~ age + sex + (1 | id)"),
    ("orthodont", "Y ~ factor(age) * sex + (1 | id)"),
    ("orthodont", "Y ~ poly(age, 2) + (1 | id)"),
    ("orthodont", "Y ~ 0 + sex + sex:age + (1 | id)"),
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
    ("machines", "score ~ Machine + (1 | Worker/Machine)"),
    ("machines", "score ~ Machine + (0 + Machine | Worker)"),
    ("machines", "score ~ Machine + cs(0 + Machine | Worker)"),
    ("machines", "score ~ Machine + homdiag(0 + Machine | Worker)"),
    ("oats", "yield ~ nitro * Variety + (1 | Block/Variety)"),
    ("pastes", "strength ~ 1 + (1 | batch/cask)"),
    ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    ("latin_square", "value ~ treatment + (1 | row) + (1 | column)"),
    ("rail", "travel ~ 1 + (1 | Rail)"),
    ("dyestuff", "Yield ~ 1 + (1 | Batch)"),
    ("ergostool", "effort ~ Type + (1 | Subject)"),
)


def models() -> list[Asked]:
    """Return data set, formula and arguments of every model."""
    found: list[Asked] = []
    for method in ("reml", "ml"):
        found += [("orthodont", f"{GROWTH} + {random}", {"method": method}) for random in RANDOM]
        found += [(name, formula, {"method": method}) for name, formula in FORMULAS]
    found += [("orthodont", GROWTH, options) for options in ERRORS]
    # beside random intercepts these determine one parameter less
    alike = ("cs(", "us(", "nugget")
    mixed = [options for options in ERRORS if not any(word in options.get("residual", "") for word in alike)]
    found += [("orthodont", f"{GROWTH} + (1 | id)", options) for options in mixed]
    return found

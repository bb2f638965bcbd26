"""`mixedmodels fit`: one model of a file or a data set."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from ..errors import DataError, SpecError, suggest
from ..table import Table
from .output import unicode_out

GENERALISED = {
    "dispersion": ("FORMULA", 'model of the dispersion, "~ x", or "free" for a scale of the variance'),
    "zero_inflation": ("FORMULA", 'model of structural zeros, "~ x"'),
    "hurdle": ("FORMULA", 'model of all zeros, "~ x"'),
    "trials": ("COLUMN", "trials of a binomial row"),
    "frequency": ("COLUMN", "how many equal rows a row stands for"),
    "offset": ("COLUMN", "what is added to the linear predictor"),
}
"""Arguments that only generalised models have: what they take, and what they are."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    fit = commands.add_parser("fit", help="fit a model to a file and print it")
    add_model(fit)
    fit.add_argument("--level", type=float, default=0.95, help="confidence level (0.95)")
    fit.add_argument("--json", action="store_true", help="print the results as JSON")
    fit.add_argument("--html", metavar="FILE", help="also write a self-contained page")
    fit.set_defaults(run=run)


def add_model(fit: Any) -> None:
    """Add the arguments that say what is fitted: the data, the formula, and what goes with them."""
    fit.add_argument(
        "data",
        help="file with a header line (.csv .tsv .txt .parquet .xlsx .sas7bdat .dta …), - for standard input, or the "
        "name of a data set",
    )
    fit.add_argument("formula", help='for example "y ~ x + (1 | g)"')
    fit.add_argument("--ml", action="store_true", help="maximum likelihood rather than REML")
    fit.add_argument("--residual", metavar="STRUCTURE", help='covariance of errors, "ar1(week | id)"')
    fit.add_argument("--variance", metavar="FUNCTION", help='variance of errors, "ident(sex)"')
    fit.add_argument("--weights", metavar="COLUMN", help="column of known precision weights")
    fit.add_argument(
        "--family", metavar="NAME", help="a generalised model: binomial, poisson, nb2, gamma, beta …"
    )
    fit.add_argument("--link", metavar="NAME", help="link of the family; its default without")
    fit.add_argument(
        "--method",
        metavar="NAME",
        help="with --family: laplace (default), quadrature, rspl, mspl, rmpl, mmpl",
    )
    for name, what in GENERALISED.items():
        fit.add_argument(f"--{name.replace('_', '-')}", metavar=what[0], help=f"with --family: {what[1]}")
    fit.add_argument("--ddf", default="auto", metavar="METHOD", help="degrees-of-freedom method")


def run(parsed: argparse.Namespace) -> int:
    """Fit one model to a file and print it."""
    fit = fitted_model(parsed)
    if parsed.json:
        print(json.dumps(fit_record(fit, parsed.level), indent=2, ensure_ascii=not unicode_out()))
    else:
        print(fit.summary(level=parsed.level))
    if parsed.html:
        written = fit.report(parsed.html)
        print(f"\nReport written to {written}", file=sys.stderr)
    return 0 if fit.converged else 1


def fitted_model(parsed: argparse.Namespace) -> Any:
    """Return the fit asked for: a linear mixed model, or with a family a generalised one."""
    from ..api import glmm, lmm

    common = {name: getattr(parsed, name) for name in ("residual", "variance", "weights", "ddf")}
    own = {name: getattr(parsed, name) for name in ("link", "method", *GENERALISED)}
    given = {name: value for name, value in own.items() if value is not None}
    if parsed.family is None:
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise SpecError(f"{options}: for generalised models; say which, --family binomial, poisson ….")
        return lmm(parsed.formula, read_data(parsed.data), method="ml" if parsed.ml else "reml", **common)
    if parsed.ml:
        raise SpecError(
            "--ml is for linear models; with --family name a method: --method laplace, rspl, mspl …."
        )
    return glmm(parsed.formula, read_data(parsed.data), parsed.family, **common, **given)


def fit_record(fit: Any, level: float) -> dict[str, Any]:
    """Return a fit as plain values for JSON; what does not exist is null."""
    known = fit.distribution
    pseudo = known is not None and known.pseudo
    record = {
        "formula": fit.spec.formula,
        "residual": None if fit.spec.residual is None else str(fit.spec.residual),
        "variance": " * ".join(map(str, fit.spec.variance)) or None,
        "method": fit.spec.method,
        **{name: None if pseudo else getattr(fit, name) for name in ("criterion", "loglik", "aic", "bic")},
        "sigma": fit.sigma,
        "nobs": fit.nobs,
        "ngroups": fit.ngroups,
        "converged": fit.converged,
        "singular": fit.singular,
        "engine": fit.engine,
        "fixed_effects": _records(fit.fixed_effects(level=level)),
        "variance_components": _records(fit.variance_components()),
        "notes": [str(status) for status in fit.status],
    }
    if known is None:
        return record
    dispersion = None if known.dispersion is None and known.symbol else fit.dispersion
    record |= {
        "method": known.approximation,
        "family": fit.family,
        "link": fit.link,
        "dispersion": dispersion,
    }
    return {**record, "pseudo_loglik": fit.pseudo_loglik} if pseudo else record


def read_data(name: str) -> Any:
    """Return the data of a file, of standard input, or of the package."""
    from .. import datasets
    from ..frame.files import STANDARD_INPUT, read_file

    known = datasets.list()
    if name == STANDARD_INPUT or Path(name).exists():
        return read_file(name, lambda remark: print(f"mixedmodels: {remark}", file=sys.stderr))
    if name.lower() in known:
        return datasets.load(name)
    if "~" in name:
        raise DataError(f"{name!r} is a formula where the data are expected: mixedmodels fit DATA FORMULA.")
    if not Path(name).suffix and Path(name).name == name:
        raise DataError(
            f"{name!r} is neither a file nor a data set.{suggest(name, known)} Data sets: mixedmodels datasets."
        )
    return read_file(name)


def _records(table: Table) -> list[dict[str, Any]]:
    return [{name: _json_value(value) for name, value in table.row(i).items()} for i in range(len(table))]


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

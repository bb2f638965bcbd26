"""`mixedmodels doctor`: versions, threads, BLAS, and whether this installation gives the numbers it should."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ..errors import MixedModelsError
from ..table import Table

NEEDED = ("numpy", "scipy", "formulaic", "narwhals", "threadpoolctl")
OPTIONAL = ("pandas", "polars", "pyarrow", "matplotlib", "rich", "dask", "scikit-learn", "arviz")


@dataclass(frozen=True, slots=True)
class Reference:
    """One number that other software printed, how near it must be, and how it is computed here."""

    what: str
    source: str
    value: float
    tolerance: float
    compute: Callable[[], float]


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("doctor", help="print versions, threads and BLAS, and test the installation")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print what is installed and how the self-test ended; status 1 where a number is not what it should be."""
    about, tested = installation(), self_test()
    passed = bool(all(tested["result"] == "pass"))
    if parsed.json:
        print(json.dumps({"installation": about, "self_test": tested.to_dict(), "passed": passed}, indent=1))
        return 0 if passed else 1
    width = max(map(len, about))
    for name, value in about.items():
        print(f"{name.ljust(width)}  {value}")
    print()
    print(tested)
    print("\nall numbers are as they should be" if passed else "\nsome numbers are NOT as they should be")
    return 0 if passed else 1


def installation() -> dict[str, str]:
    """Return name → version or setting of what fits depend on."""
    from .. import __version__, _rust
    from ..control import Control, processors

    control = Control()
    out = {
        "mixedmodels": __version__,
        "native part": str(getattr(_rust, "__file__", "built in")),
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processors": str(processors()),
        "threads of large fits": str(control.threads_for(10**6)),
        "memory a fit may take": f"{control.room / 2**30:.1f} GiB",
        "BLAS": _blas(),
    }
    out |= {name: _version(name) for name in NEEDED}
    return out | {name: found for name in OPTIONAL if (found := _version(name)) != "not installed"}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    from threadpoolctl import threadpool_info

    libraries = [one for one in threadpool_info() if one.get("user_api") == "blas"]
    names = {f"{one['internal_api']} {one.get('version') or ''}".strip() for one in libraries}
    return ", ".join(sorted(names)) or "not known"


def self_test() -> Table:
    """Return `reference source expected found result` of five fits that other software printed numbers of."""
    rows = []
    for one in references():
        try:
            found = float(one.compute())
        except (MixedModelsError, ArithmeticError, ImportError, OSError):
            found = float("nan")
        near = bool(np.isfinite(found)) and abs(found - one.value) <= one.tolerance
        rows.append((one.what, one.source, f"{one.value:.5f}", f"{found:.5f}", "pass" if near else "FAIL"))
    names = ("reference", "source", "expected", "found", "result")
    return Table(
        {name: [row[j] for row in rows] for j, name in enumerate(names)},
        "Self-test",
        formats={"expected": "aligned", "found": "aligned"},
    )


def references() -> tuple[Reference, ...]:
    """Return the five reference fits; tolerances are half a unit of the last digit printed."""
    from .. import datasets, glmm, gls, lmm

    def load(name: str) -> Any:
        return datasets.load(name, backend="dict")

    return (
        Reference(
            "rail: REML log-likelihood of random intercepts", "nlme", -61.0885, 5e-5,
            lambda: lmm("travel ~ 1 + (1 | Rail)", load("rail")).loglik,
        ),
        Reference(
            "sleepstudy: REML criterion of correlated slopes", "lme4", 1743.628, 5e-4,
            lambda: lmm("Reaction ~ Days + (Days | Subject)", load("sleepstudy")).criterion,
        ),
        Reference(
            "sleepstudy: Kenward–Roger df of Days", "pbkrtest, SAS", 17.0, 5e-4,
            lambda: lmm("Reaction ~ Days + (Days | Subject)", load("sleepstudy")).fixed_effects()["df"][1],
        ),
        Reference(
            "growth: Cook's D of child 24, unstructured errors, ML", "SAS PROC MIXED", 0.15094, 5e-6,
            lambda: gls(
                "Y ~ sex * age", load("orthodont"), residual="us(age | id)", method="ml"
            ).influence(by="id")["cooks_d"].max(),
        ),
        Reference(
            "cbpp: log-likelihood by Laplace's approximation", "lme4", -92.0263, 5e-5,
            lambda: glmm(
                "cbind(incidence, size - incidence) ~ period + (1 | herd)", load("cbpp"), family="binomial"
            ).loglik,
        ),
    )  # fmt: skip

"""The command line: `mixedmodels fit`, `mixedmodels demo`, `mixedmodels datasets`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import __version__
from .errors import MixedModelsError
from .table import Table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 2 with a message when the request cannot be met."""
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except MixedModelsError as error:
        print(f"mixedmodels: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mixedmodels", description="Linear mixed models from the command line."
    )
    parser.add_argument("--version", action="version", version=f"mixedmodels {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    fit = commands.add_parser("fit", help="fit a model to a CSV or Parquet file and print it")
    fit.add_argument("data", help="file with a header line (.csv, .tsv, .parquet), or the name of a data set")
    fit.add_argument("formula", help='for example "y ~ x + (1 | g)"')
    fit.add_argument("--ml", action="store_true", help="maximum likelihood rather than REML")
    fit.add_argument("--residual", metavar="STRUCTURE", help='covariance of errors, "ar1(week | id)"')
    fit.add_argument("--variance", metavar="FUNCTION", help='variance of errors, "ident(sex)"')
    fit.add_argument("--weights", metavar="COLUMN", help="column of known precision weights")
    fit.add_argument("--ddf", default="auto", metavar="METHOD", help="degrees-of-freedom method")
    fit.add_argument("--level", type=float, default=0.95, help="confidence level (0.95)")
    fit.add_argument("--json", action="store_true", help="print the results as JSON")
    fit.add_argument("--html", metavar="FILE", help="also write a self-contained page")
    fit.set_defaults(run=run_fit)
    demo = commands.add_parser("demo", help="fit the teaching examples and draw their figure")
    demo.add_argument(
        "--figure", default="mixedmodels-demo.png", metavar="FILE", help="where the figure goes"
    )
    demo.set_defaults(run=run_demo)
    datasets = commands.add_parser("datasets", help="list the data sets that come with the package")
    datasets.add_argument("name", nargs="?", help="describe this one")
    datasets.set_defaults(run=run_datasets)
    return parser


def run_fit(parsed: argparse.Namespace) -> int:
    """Fit one model to a file and print it."""
    from .api import lmm

    fit = lmm(
        parsed.formula,
        _read_data(parsed.data),
        residual=parsed.residual,
        variance=parsed.variance,
        weights=parsed.weights,
        method="ml" if parsed.ml else "reml",
        ddf=parsed.ddf,
    )
    if parsed.json:
        print(json.dumps(fit_record(fit, parsed.level), indent=2, ensure_ascii=False))
    else:
        print(fit.summary(level=parsed.level))
    if parsed.html:
        written = fit.report(parsed.html)
        print(f"\nReport written to {written}", file=sys.stderr)
    return 0 if fit.converged else 1


def fit_record(fit: Any, level: float) -> dict[str, Any]:
    """Return a fit as plain values for JSON; what does not exist is null."""
    return {
        "formula": fit.spec.formula,
        "residual": None if fit.spec.residual is None else str(fit.spec.residual),
        "variance": " * ".join(map(str, fit.spec.variance)) or None,
        "method": fit.spec.method,
        "criterion": fit.criterion,
        "loglik": fit.loglik,
        "aic": fit.aic,
        "bic": fit.bic,
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


def run_datasets(parsed: argparse.Namespace) -> int:
    """List the data sets, or describe one."""
    from . import datasets

    if parsed.name is None:
        records = [datasets.describe(name) for name in datasets.list()]
        columns = {"name": [r.name for r in records], "rows": [r.rows for r in records]}
        print(Table({**columns, "title": [r.title for r in records]}, "Data sets"))
        return 0
    record = datasets.describe(parsed.name)
    print(f"{record.name}: {record.title}\n{record.rows:,} rows\n")
    print(f"Source   {record.source}\nLicence  {record.licence}\n")
    columns = {"column": [c.name for c in record.columns], "kind": [c.kind for c in record.columns]}
    print(Table({**columns, "meaning": [c.meaning for c in record.columns]}))
    return 0


def run_demo(parsed: argparse.Namespace) -> int:
    """Fit the rails, the growth curves and the sleep study, and draw the growth curves."""
    from .api import lm, lmm

    _heading("1. Rails: a one-way random-effects model")
    fit = _show(lmm, "travel ~ 1 + (1 | Rail)", "rail")
    _say("Responses on one rail share its random effect, so they are correlated:", fit.marginal_cov("1"))
    correlation = fit.marginal_cov("1", correlation=True)["1", "2"]
    _say(
        f"Their correlation is {correlation:.2f}. Predicted effects, shrunk towards zero:",
        fit.random_effects(),
    )
    _heading("The mean of these six rails is a narrower question, and its standard error is smaller")
    _show(lm, "travel ~ 1 + C(Rail, contr.sum)", "rail")
    _heading("2. Growth curves: intercepts that vary by child, with a variance for each sex")
    formula = "Y ~ 0 + fem + male + fem:age + male:age + (0 + fem | id) + (0 + male | id)"
    growth_fit = _show(lmm, formula, "orthodont")
    _say("", growth_fit.variance_components(ci="wald"))
    _heading("3. Sleep study: random intercepts and slopes")
    sleep_fit = _show(lmm, "Reaction ~ Days + (Days | Subject)", "sleepstudy")
    _say("", sleep_fit.information_criteria())
    _heading("Figure: mean growth curves by sex, and the curve predicted for each child")
    print(_draw_demo(growth_fit, Path(parsed.figure)))
    return 0


def _show(verb: Any, formula: str, name: str) -> Any:
    from . import datasets

    print(f'>>> {name} = mm.datasets.load("{name}")')
    print(f'>>> mm.{verb.__name__}("{formula}", {name})\n')
    fit = verb(formula, datasets.load(name))
    print(fit)
    return fit


def _draw_demo(fit: Any, path: Path) -> str:
    if find_spec("matplotlib") is None:
        return "matplotlib is not installed, so no figure was drawn: pip install 'mixedmodels[plot]'"
    import matplotlib

    matplotlib.use("Agg")
    axes = fit.plot.trajectories("age", levels=[1, 2, 3, 4, 12, 13, 14, 15], color="sex")
    axes[0].figure.savefig(path, dpi=150)
    return f"saved to {path.resolve()}"


def _say(text: str, table: Any = None) -> None:
    print()
    if text:
        print(text)
    if table is not None:
        print("\n".join(f"  {line}".rstrip() for line in str(table).splitlines()))


def _heading(text: str) -> None:
    """Print a heading, in colour where `rich` is installed and the output is a terminal."""
    if sys.stdout.isatty() and find_spec("rich") is not None:
        from rich.console import Console

        Console().print(f"\n[bold cyan]{text}[/]\n[cyan]{'─' * len(text)}[/]\n")
        return
    print(f"\n{text}\n{'─' * len(text)}\n")


def _read_data(name: str) -> Any:
    from . import datasets
    from .frame.files import read_file

    return datasets.load(name) if name in datasets.list() and not Path(name).exists() else read_file(name)


def _records(table: Table) -> list[dict[str, Any]]:
    return [{name: _json_value(value) for name, value in table.row(i).items()} for i in range(len(table))]


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())

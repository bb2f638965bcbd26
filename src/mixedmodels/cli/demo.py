"""`mixedmodels demo`: the teaching examples and their figure."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("demo", help="fit the teaching examples and draw their figure")
    parser.add_argument(
        "--figure", default="mixedmodels-demo.png", metavar="FILE", help="where the figure goes"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Fit the rails, the growth curves and the sleep study, and draw the growth curves."""
    from ..api import lm, lmm

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
    from .. import datasets

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

"""`mixedmodels report`: one page about a model of a file or a data set."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .fit import add_model, fitted_model


def add(commands: Any) -> None:
    """Add the command to the parser."""
    report = commands.add_parser("report", help="fit a model to a file and write a page about it")
    add_model(report)
    report.add_argument("-o", "--output", required=True, metavar="FILE", help='the page to write, "out.html"')
    report.add_argument("--title", help="heading of the page")
    report.add_argument(
        "--still", action="store_true", help="still figures, which need matplotlib in place of bokeh"
    )
    report.add_argument("--no-checks", action="store_true", help="leave the checks out")
    report.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Fit one model to a file and write the page."""
    if parsed.still:
        import matplotlib

        # no window is opened for what goes into a page
        matplotlib.use("Agg")
    fit = fitted_model(parsed)
    interactive = False if parsed.still else None
    written = fit.report(
        parsed.output, title=parsed.title, interactive=interactive, checks=not parsed.no_checks
    )
    print(f"Report written to {written}", file=sys.stderr)
    return 0 if fit.converged else 1

"""Still figures of a report, by matplotlib, written into the page as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import MixedModelsError
from ..fit import Fit

DPI = 110


def static_figures(fit: Fit) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return figures as (title, caption, data address), and why others are missing."""
    made, reasons = [], []
    for title, draw in _asked(fit):
        try:
            figure = np.ravel(np.asarray(draw(), dtype=object))[0].figure
        except MixedModelsError as error:
            reasons.append(str(error))
            continue
        made.append((title, _caption(figure) or title, _address(figure)))
    return made, reasons


def _asked(fit: Fit) -> list[tuple[str, Callable[[], Any]]]:
    asked: list[tuple[str, Callable[[], Any]]] = [
        ("Residuals", fit.plot.residuals),
        ("Normal quantiles", fit.plot.qq),
    ]
    if fit.design.random:
        asked.insert(0, ("Curves of subjects", fit.plot.trajectories))
        asked.append(("Random effects", fit.plot.random_effects))
    return asked


def _caption(figure: Any) -> str:
    from matplotlib.text import Text

    found = [text for text in figure.findobj(Text) if text.get_gid() == "caption"]
    return " ".join(found[0].get_text().split()) if found else ""


def _address(figure: Any) -> str:
    from matplotlib import pyplot

    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)
    pyplot.close(figure)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"

"""Draw the figures that the documentation shows: `python tools/docs_figures.py` writes docs/figures/*.png."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import matplotlib.pyplot as plt  # noqa: E402

from figure_records import FIGURES, figure_of  # noqa: E402

SHOWN = {
    "growth": "trajectories",
    "residuals": "residuals",
    "arrows": "emmeans with arrows",
    "interaction": "interaction",
    "effects": "effects",
    "profile": "profile",
    "acf": "acf",
    "variogram": "variogram",
    "influence": "influence",
}
"""File, and the figure of `tests/figure_records.py`."""


def main() -> None:
    """Write the figures."""
    folder = ROOT / "docs" / "figures"
    folder.mkdir(exist_ok=True)
    for name, kept in SHOWN.items():
        figure = figure_of(FIGURES[kept]())
        # without the version of matplotlib, so that a file changes only with its figure
        figure.savefig(folder / f"{name}.png", dpi=90, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    main()

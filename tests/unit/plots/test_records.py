"""Every figure shows what it showed when it was looked at: words, data of the artists, and a coarse picture."""

from __future__ import annotations

import json
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from figure_records import FIGURES, RECORDS, figure_of, record
from mixedmodels.tools import Plots

KEPT = json.loads(RECORDS.read_text(encoding="utf-8"))
DIGITS = 2e-4
"""Relative: estimates are known to about 1e-6 of themselves, and limits of profiles a little less."""
DARKNESS = 0.06
"""Of a cell of the coarse picture: fonts differ from machine to machine by less, a missing artist by more."""


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_what_it_showed(name: str) -> None:
    figure = figure_of(FIGURES[name]())
    found, kept = record(figure), KEPT[name]
    plt.close(figure)
    assert found["caption"] == kept["caption"]
    assert len(found["axes"]) == len(kept["axes"])
    for ours, theirs in zip(found["axes"], kept["axes"], strict=True):
        for key in theirs:
            _compare(ours[key], theirs[key], f"{name}: {key} of {theirs['title'] or theirs['labels']}")
    away = np.abs(np.array(found["picture"]) - np.array(kept["picture"]))
    assert away.mean() < DARKNESS / 6
    assert (away > DARKNESS).mean() < 0.04


def _compare(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, str):
        assert ours == theirs, where
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        scale = max([abs(v) for v in theirs if isinstance(v, (int, float))], default=0.0)
        for mine, kept in zip(ours, theirs, strict=True):
            if isinstance(kept, (int, float)):
                assert mine == pytest.approx(kept, rel=DIGITS, abs=DIGITS * scale), where
            else:
                _compare(mine, kept, where)


def test_every_figure_has_a_record() -> None:
    drawn = " ".join(FIGURES).replace(" ", "_")
    names = [name for name, value in vars(Plots).items() if type(value).__name__ == "Tool"]
    assert [name for name in names if name not in drawn] == []
    assert set(KEPT) == set(FIGURES)


def test_every_figure_has_a_caption_or_a_legend() -> None:
    for name, kept in KEPT.items():
        assert kept["caption"] or name == "trajectories"

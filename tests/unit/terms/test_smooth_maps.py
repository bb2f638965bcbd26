"""Smooths over the regions of a map: the matrix is matched by name, and regions without data are between those with."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError


def chain(names: list[str], weight: float = 1.0) -> pd.DataFrame:
    n = len(names)
    links = weight * (np.eye(n, k=1) + np.eye(n, k=-1))
    return pd.DataFrame(links, index=names, columns=names)


def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    place = rng.integers(0, 6, 150)
    return {"region": np.array(list("abcdef"))[place], "y": np.sin(place) + rng.normal(0, 0.3, 150)}


def test_the_matrix_is_matched_by_name() -> None:
    rows, links = data(), chain(list("abcdef"))
    fit = mm.lmm("y ~ s(region, bs='mrf')", rows, known={"region": links})
    turned = mm.lmm("y ~ s(region, bs='mrf')", rows, known={"region": links.iloc[::-1, ::-1]})
    assert turned.criterion == pytest.approx(fit.criterion, abs=1e-9)
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.predict({"region": ["b", "e"]}), fit.predict({"region": ["b", "e"]}))


def test_a_region_without_data_is_two_springs_in_a_row() -> None:
    """a − x − b with x empty is a − b with half the weight: the least energy of x given its neighbours."""
    rows = data()
    through = chain(["a", "x", "b", "c", "d", "e", "f"])
    direct = chain(list("abcdef"))
    direct.loc["a", "b"] = direct.loc["b", "a"] = 0.5
    fits = [mm.lmm("y ~ s(region, bs='mrf')", rows, known={"region": w}) for w in (through, direct)]
    np.testing.assert_allclose(fits[0].fitted, fits[1].fitted, atol=1e-8)
    assert fits[0].criterion == pytest.approx(fits[1].criterion, abs=1e-8)


def test_a_map_is_needed_and_used() -> None:
    rows = data()
    with pytest.raises(SpecError, match="needs known= with a matrix over the 6 regions"):
        mm.lmm("y ~ s(region, bs='mrf')", rows)
    with pytest.raises(SpecError, match="which no term of the model uses"):
        mm.lmm("y ~ s(region, bs='re')", rows, known={"region": chain(list("abcdef"))})


def test_smoothing_parameters_are_shared_among_levels_alone() -> None:
    rows = data() | {"x": np.linspace(0, 1, 150)}
    fit = mm.lmm("y ~ region + s(x, by=region, id=1, k=5)", rows)
    assert len(set(fit.smooths()["variance"].tolist())) == 1
    with pytest.raises(SpecError, match="not among several smooths"):
        mm.lmm("y ~ s(x, id=1)", rows)

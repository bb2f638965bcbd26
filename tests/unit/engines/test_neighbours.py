"""Residual structures whose rows are given their nearest neighbours, against dense algebra and against themselves."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.neighbours.order import far_first, grid_places, nearest_before, nudged
from mixedmodels.typing import Array

EXACT = mm.Control(engine="neighbours", starts=1)
ONE = mm.Control(starts=1)


def field(n: int, seed: int = 1, fields: int = 1) -> pd.DataFrame:
    """Return rows of fields drawn from an exponential with nugget, of range 2 on a square of side 10."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(fields):
        points, z = rng.uniform(0.0, 10.0, (n, 2)), rng.standard_normal(n)
        between = np.linalg.norm(points[:, None] - points, axis=2)
        root = np.linalg.cholesky(2.0 * np.exp(-between / 2.0) + 0.5 * np.eye(n))
        y = 3.0 + z + root @ rng.standard_normal(n)
        parts.append(pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "z": z, "r": y, "f": f"field {k}"}))
    return pd.concat(parts, ignore_index=True)


def fitted(data: pd.DataFrame, text: str, **options: object) -> mm.Fit:
    return mm.gls("r ~ z", data, residual=text, **{"control": ONE, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    "structure", ["exp(x, y | f, nugget=True{})", "gau(x, y | f, nugget=True{})", "sph(x, y | f{})"]
)
def test_all_rows_as_neighbours_are_the_dense_fit(structure: str, method: str) -> None:
    data = field(40, fields=2)
    dense = fitted(data, structure.format(""), method=method)
    own = fitted(data, structure.format(", neighbours=39"), method=method, control=EXACT)
    assert (dense.engine, own.engine) == ("clusters", "neighbours")
    assert own.criterion == pytest.approx(dense.criterion, abs=1e-8)
    assert own.beta == pytest.approx(dense.beta, rel=1e-5)
    for name in ("estimate", "std_error", "df"):
        found = (
            np.asarray(one.fixed_effects(ddf="satterthwaite")[name], dtype=float) for one in (own, dense)
        )
        assert next(found) == pytest.approx(next(found), rel=1e-5)


def test_information_and_gradient_are_those_of_the_approximation() -> None:
    """Analytic derivatives against differences of −2l, at a θ off the optimum; steps of 1e-4."""
    fit = fitted(field(80), "exp(x, y | f, nugget=True, neighbours=6)")
    criterion = fit._work.criterion()
    theta = fit.optimum.theta * 1.2 + 0.1
    hessian = criterion.observed_information(theta)
    for a, unit in enumerate(np.eye(len(theta)) * 1e-4):
        high, low = (criterion.value(theta + s * unit) for s in (1.0, -1.0))
        assert criterion.gradient(theta)[a] == pytest.approx((high - low) / 2e-4, rel=1e-5, abs=1e-5)
        ahead, behind = criterion.gradient(theta + unit), criterion.gradient(theta - unit)
        assert hessian[a] == pytest.approx((ahead - behind) / 2e-4, rel=1e-5, abs=1e-4)


def test_more_neighbours_come_nearer_to_the_exact_likelihood() -> None:
    """At one θ: the Kullback–Leibler divergence falls with every neighbour, −2l of one response nearly so."""
    data = field(150)
    exact = fitted(data, "exp(x, y | f, nugget=True)")
    off = []
    for m in (2, 5, 15, 40):
        near = fitted(data, f"exp(x, y | f, nugget=True, neighbours={m})")
        assert near.engine == "neighbours"
        off.append(abs(near._work.criterion().value(exact.optimum.theta) - exact.criterion))
    assert off[3] < 0.1 < off[0]
    assert off[2] < off[0]


def recoded(data: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, float]]:
    """Return data that say the same, with the unit of the range in them."""
    shuffled = data.sample(frac=1.0, random_state=3)
    return {
        "shuffled": (shuffled, 1.0),
        "metres": (data.assign(x=1000.0 * data.x, y=1000.0 * data.y), 1000.0),
        "origin": (data.assign(x=data.x + 3e4, y=data.y - 5e3), 1.0),
        "renamed": (data.assign(f=data.f.map({"field 0": "z", "field 1": "a"})), 1.0),
    }


@pytest.mark.parametrize("how", ["shuffled", "metres", "origin", "renamed"])
def test_the_approximation_does_not_depend_on_how_data_are_written(how: str) -> None:
    """−2l to rounding of coordinates at an origin of 3e4, which distances lose four digits by."""
    data = field(60, fields=2)
    text = "exp(x, y | f, nugget=True, neighbours=8)"
    plain = fitted(data, text)
    other, unit = recoded(data)[how]
    again = fitted(other, text)
    assert again.criterion == pytest.approx(plain.criterion, abs=1e-6)
    assert np.exp(again.optimum.theta[1]) == pytest.approx(unit * np.exp(plain.optimum.theta[1]), rel=1e-4)
    assert again.beta == pytest.approx(plain.beta, rel=1e-5)


def test_lattices_and_repeated_places() -> None:
    """Equal distances everywhere: neighbours are chosen by place, whatever the order of the rows."""
    rng = np.random.default_rng(4)
    x, y = (one.ravel().astype(float) for one in np.meshgrid(np.arange(9.0), np.arange(9.0)))
    data = pd.DataFrame({"x": x, "y": y, "z": rng.standard_normal(81), "f": 1})
    data = pd.concat([data, data.iloc[:20].assign(z=rng.standard_normal(20))], ignore_index=True)
    data["r"] = np.sin(data.x) + data.z + rng.standard_normal(len(data))
    text = "exp(x, y | f, nugget=True, neighbours=6)"
    plain, again = fitted(data, text), fitted(data.sample(frac=1.0, random_state=8), text)
    assert again.criterion == pytest.approx(plain.criterion, abs=1e-8)
    with pytest.raises(mm.DataError, match="occurs twice"):
        fitted(data, "exp(x, y | f, neighbours=6)")


def test_one_coordinate_and_fields_of_one_row() -> None:
    data = field(50).assign(f=lambda d: np.where(d.index < 47, 1, d.index))
    fit = fitted(data, "exp(x | f, nugget=True, neighbours=5)")
    assert fit.engine == "neighbours"
    assert np.isfinite(fit.criterion)


def test_kriging_is_dense_with_all_rows_and_near_it_with_some() -> None:
    data, new = field(120), field(30, seed=7)
    new["f"] = "field 0"
    # covariance parameters to 1e-7 of their standard errors
    last = mm.Control(starts=1, decrement=1e-14)
    dense = fitted(data, "exp(x, y | f, nugget=True)", control=last)
    exact = fitted(
        data, "exp(x, y | f, nugget=True, neighbours=120)", control=replace(last, engine="neighbours")
    )
    near = fitted(data, "exp(x, y | f, nugget=True, neighbours=20)")
    tables = [fit.predict(new, interval="prediction", ddf="satterthwaite") for fit in (dense, exact, near)]
    for column in tables[0].columns:
        values = [np.asarray(table[column], dtype=float) for table in tables]
        assert values[1] == pytest.approx(values[0], rel=1e-5)
        assert values[2] == pytest.approx(values[0], rel=0.1, abs=0.1)


def test_what_a_fit_says_of_itself() -> None:
    data = field(80)
    fit = fitted(data, "exp(x, y | f, nugget=True, neighbours=7)")
    text = str(fit.summary())
    assert "7 nearest neighbours" in text
    assert "neighbours=7" in text
    assert "approximate" not in str(fitted(data, "exp(x, y | f, nugget=True, neighbours=79)").summary())
    again = pickle.loads(pickle.dumps(fit))
    assert again.criterion == fit.criterion
    assert np.asarray(again.predict(data)).shape == np.asarray(fit.predict(data)).shape
    more = fit.update(residual="exp(x, y | f, nugget=True, neighbours=9)")
    assert "neighbours=9" in str(more.summary())


def test_white_residuals_and_draws_are_those_of_the_approximation() -> None:
    data = field(100)
    fit = fitted(data, "exp(x, y | f, nugget=True, neighbours=99)", control=EXACT)
    equations = fit._work.equations()
    white = equations.whitened_residuals()
    dense = fitted(data, "exp(x, y | f, nugget=True)")._work.equations().whitened_residuals()
    assert white @ white == pytest.approx(dense @ dense, rel=1e-6)
    draws = np.array([equations.draw(np.random.default_rng(k)) for k in range(400)])
    # standard error of a variance of 400 draws: 7 %, averaged over places
    assert draws.var(axis=0).mean() == pytest.approx(equations.equations._own_variances().mean(), rel=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ar1(x | f, neighbours=3)", "structure of distances"),
        ("exp(x, y | f, neighbours=0)", "positive whole number"),
        ("exp(x, y | f, neighbours=2.5)", "whole number"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        fitted(field(12), text)


def test_what_cannot_stand_beside_neighbours() -> None:
    data = field(30)
    grouped = data.assign(g=np.arange(30) % 5)
    with pytest.raises(mm.SpecError, match=r"neighbours= is not there beside random terms"):
        mm.lmm("r ~ z + (1 | g)", grouped, residual="exp(x, y | f, neighbours=5)")
    with pytest.raises(mm.SpecError, match="variance functions"):
        fitted(data, "exp(x, y | f, neighbours=5)", variance="exp(z)")
    with pytest.raises(mm.SpecError, match=r"residual='exp\(x, y \| f, nugget=True, neighbours=5\)'"):
        mm.lmm("r ~ z + exp(x, y | f, neighbours=5)", data)
    with pytest.raises(mm.SpecError, match="neighbours=5 is fewer"):
        fitted(data, "exp(x, y | f, neighbours=5)", control=mm.Control(engine="clusters"))


def test_a_field_too_large_names_the_way_out() -> None:
    with pytest.raises(mm.SpecError, match=r"neighbours=30"):
        fitted(field(200), "exp(x, y | f)", control=mm.Control(memory=1e6))


def test_missing_coordinates_are_left_out() -> None:
    data = field(60)
    holes = data.copy()
    holes.loc[[3, 40], "x"] = np.nan
    text = "exp(x, y | f, nugget=True, neighbours=5)"
    assert fitted(holes, text).criterion == fitted(data.drop([3, 40]), text).criterion


# -- the order, and neighbours -------------------------------------------------------------------------------


def brute(points: Array, m: int) -> list[set[int]]:
    """Return the m nearest of those before each point from the (m + 1)-th on."""
    out = []
    for i in range(m + 1, len(points)):
        d = np.linalg.norm(points[:i] - points[i], axis=1)
        out.append(set(np.argsort(d)[:m].tolist()))
    return out


@pytest.mark.parametrize("d", [1, 2, 3])
def test_neighbours_are_the_nearest_before(d: int) -> None:
    points = np.random.default_rng(d).uniform(size=(300, d))
    places = grid_places(points, each_axis=False)
    order = far_first(places)
    assert sorted(order) == list(range(300))
    own = nudged(places[order])
    assert [set(row) for row in nearest_before(own, 7).tolist()] == brute(own, 7)


def test_far_points_come_first() -> None:
    """The first points are farther apart than points at random: nearest distances of 30 of 1,000."""
    points = np.random.default_rng(0).uniform(size=(1000, 2))
    order = far_first(grid_places(points, each_axis=False))

    def closest(chosen: Array) -> float:
        d = np.linalg.norm(chosen[:, None] - chosen, axis=2)
        return float(np.median(d[d > 0].reshape(len(chosen), -1).min(axis=1)))

    assert closest(points[order[:30]]) > 1.25 * closest(points[:30])


def test_many_rows_at_one_place() -> None:
    places = np.repeat(np.array([[0.0, 0.0], [2.0**24, 5.0]]), 40, axis=0)
    order = far_first(places)
    assert sorted(order) == list(range(80))
    assert nearest_before(nudged(places[order]), 5).shape == (74, 5)

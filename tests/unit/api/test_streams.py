"""Data read in batches: the fit is that of the rows in memory, and what cannot be read so says why."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.api import streamed
from mixedmodels.frame import stream as streams

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
from pyarrow import csv, dataset, parquet  # noqa: E402

BATCHES = 700
"""Rows of a batch in these tests."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in batches what would fit in memory many times."""
    monkeypatch.setattr(streamed, "SMALL", 0.0)
    monkeypatch.setattr(streams.Stream.batches, "__defaults__", (BATCHES,))


def frame(seed: int = 3, n: int = 4000) -> Any:
    """Return rows with calendar years, missing values, factors and two crossed grouping factors."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "id": rng.integers(0, 120, n) * 3 - 7,
            "t": rng.uniform(2000, 2010, n),
            "arm": rng.choice(["b", "a", "c"], n),
            "item": rng.choice([f"item {j}" for j in range(25)], n),
            "w": rng.uniform(0.5, 2.0, n),
            "flag": rng.integers(0, 2, n).astype(bool),
        }
    )
    own = rng.normal(size=(120, 2))[(data["id"] + 7) // 3]
    data["y"] = (
        50 + 0.2 * (data["t"] - 2005) + own[:, 0] + 0.2 * own[:, 1] * (data["t"] - 2005) + rng.normal(size=n)
    )
    data.loc[::97, "t"] = np.nan
    data.loc[5::301, "arm"] = None
    return data


def written(folder: Path, data: Any) -> str:
    """Write the rows as three Parquet files of several row groups, the second with columns in another order."""
    for j, part in enumerate(np.array_split(np.arange(len(data)), 3)):
        columns = list(data.columns) if j != 1 else sorted(data.columns)
        data.iloc[part][columns].to_parquet(folder / f"part{j}.parquet", row_group_size=500)
    return str(folder / "part*.parquet")


def same(found: mm.Fit, expected: mm.Fit) -> None:
    """Assert that two fits are one but for where the search stopped."""
    assert found.nobs == expected.nobs
    assert found.criterion == pytest.approx(expected.criterion, rel=1e-9, abs=1e-8)
    for name in ("estimate", "std_error", "df"):
        one, two = (np.asarray(f.fixed_effects(ddf="satterthwaite")[name], float) for f in (found, expected))
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7, err_msg=name)
    one, two = (f.variance_components()["variance"] for f in (found, expected))
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)
    if not expected.design.random:
        return
    ours, theirs = found.random_effects(), expected.random_effects()
    assert [str(v) for v in ours["level"]] == [str(v) for v in theirs["level"]]
    np.testing.assert_allclose(ours["estimate"], theirs["estimate"], atol=1e-5)
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=1e-4)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ t + (t | id)", {}),
        ("y ~ t + (t | id)", {"method": "ml"}),
        ("y ~ t * arm + (1 | id) + (1 | item)", {}),
        ("y ~ arm + I(t ** 2) + t + (t || id)", {"weights": "w"}),
        ("y ~ 0 + arm + flag + (1 | item / arm)", {}),
        ("y ~ t + offset(w) + (1 | id)", {}),
        ("log(y) ~ factor(flag) + (1 | id:item)", {}),
        ("y ~ t + arm", {}),
    ],
)
def test_a_fit_in_batches_is_that_of_the_rows(tmp_path: Path, formula: str, options: dict[str, Any]) -> None:
    data = frame()
    found = mm.lmm(formula, written(tmp_path, data), **options)
    assert found.rows is None
    expected = mm.lmm(formula, data, **options)
    same(found, expected)
    np.testing.assert_allclose(found.predict(data.head(50)), expected.predict(data.head(50)), atol=1e-5)


def _csv(folder: Path, data: Any) -> Any:
    data.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def _dataset(folder: Path, data: Any) -> Any:
    written(folder, data)
    return dataset.dataset(sorted(folder.glob("*.parquet")))


def _reader(folder: Path, data: Any) -> Any:
    return pa.Table.from_pandas(data, preserve_index=False).to_reader(600)


class _Stream:
    """An object of a library that we do not know, which gives an Arrow stream."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return pa.Table.from_pandas(self.data, preserve_index=False).__arrow_c_stream__(requested_schema)


def _lazy(folder: Path, data: Any) -> Any:
    polars = pytest.importorskip("polars")
    return polars.from_pandas(data).lazy()


def _duckdb(folder: Path, data: Any) -> Any:
    duckdb = pytest.importorskip("duckdb")
    return duckdb.read_parquet(written(folder, data))


@pytest.mark.parametrize("source", [_csv, _dataset, _reader, lambda _, d: _Stream(d), _lazy, _duckdb])
def test_sources_of_batches(tmp_path: Path, source: Callable[[Path, Any], Any]) -> None:
    data = frame().dropna(subset=["arm"])
    found = mm.lmm("y ~ t + (t | id)", source(tmp_path, data))
    assert found.rows is None
    same(found, mm.lmm("y ~ t + (t | id)", data))


def test_small_files_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "SMALL", 1 / 50)
    data = frame()
    found = mm.lmm("y ~ t + (t | id)", written(tmp_path, data), residual=None)
    assert found.rows is not None
    assert found.criterion == pytest.approx(mm.lmm("y ~ t + (t | id)", data).criterion, rel=1e-12)
    assert len(found.resid) == found.nobs


def test_rows_are_asked_for_in_vain_by_name(tmp_path: Path) -> None:
    fit = mm.lmm("y ~ t + (1 | id)", written(tmp_path, frame()))
    again = pickle.loads(pickle.dumps(fit))
    assert again.fixed_effects()["df"].tolist() == fit.fixed_effects()["df"].tolist()
    assert "read in batches" in str(fit)
    for ask in (lambda: fit.resid, fit.residuals, fit.predict, lambda: fit.simulate(1, seed=1), fit.augment):
        with pytest.raises(mm.SpecError, match="read in batches"):
            ask()


def test_aliased_columns_are_found_in_the_sums(tmp_path: Path) -> None:
    data = frame()
    data["twice"] = 2 * data["w"] + 3
    path = written(tmp_path, data)
    found = mm.lmm("y ~ w + twice + t + (1 | id)", path)
    assert found.design.fixed.aliased == ("twice",)
    same(found, mm.lmm("y ~ w + twice + t + (1 | id)", data))
    data["nearly"] = data["w"] + 1e-5 * np.sin(np.arange(len(data)))
    with pytest.raises(mm.DataError, match="column 'nearly' is so nearly a combination"):
        mm.lmm("y ~ w + nearly + (1 | id)", written(tmp_path, data))


def test_files_that_differ_are_named(tmp_path: Path) -> None:
    data, path = frame(), written(tmp_path, frame())
    data.drop(columns="t").to_parquet(tmp_path / "part3.parquet")
    with pytest.raises(mm.DataError, match=r"'part3.parquet' has no column 't', which 'part0.parquet' has"):
        mm.lmm("y ~ t + (1 | id)", path)
    data.assign(t=data["t"].astype(str)).to_parquet(tmp_path / "part3.parquet")
    with pytest.raises(
        mm.DataError, match=r"column 't' holds text in 'part3.parquet' and numbers in 'part0.parquet'"
    ):
        mm.lmm("y ~ t + (1 | id)", path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, frame())
    last = tmp_path / "part2.parquet"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(mm.DataError, match=r"file 'part2.parquet' cannot be read"):
        mm.lmm("y ~ t + (1 | id)", path)
    spoilt = bytearray(whole)
    spoilt[100:2000] = b"\xff" * 1900
    last.write_bytes(bytes(spoilt))
    with pytest.raises(mm.DataError, match=r"file 'part2.parquet' cannot be read"):
        mm.lmm("y ~ t + (1 | id)", path)
    with pytest.raises(mm.DataError, match="no file matches"):
        mm.lmm("y ~ t + (1 | id)", str(tmp_path / "*.pq"))
    with pytest.raises(mm.DataError, match="is a folder"):
        mm.lmm("y ~ t + (1 | id)", str(tmp_path))
    with pytest.raises(mm.DataError, match=r"does not exist.*Did you mean 'part1.parquet'"):
        mm.lmm("y ~ t + (1 | id)", str(tmp_path / "prat1.parquet"))


def test_a_line_of_text_among_numbers_is_named(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(frame(n=60_000)[["y", "t", "id"]].dropna(), preserve_index=False)
    target = tmp_path / "long.csv"
    csv.write_csv(table, target)
    with target.open("a") as file:
        file.write("oops,2001,5\n")
    with pytest.raises(
        mm.DataError, match=r"file 'long.csv' cannot be read|column 'y'|response 'y' must be numeric"
    ):
        mm.lmm("y ~ t + (1 | id)", target)


def test_too_many_levels_for_the_memory_are_refused(tmp_path: Path) -> None:
    data = frame().assign(id=np.arange(4000) // 2)
    with pytest.raises(mm.DataError, match=r"grouping factor 'id' has [\d,]+ levels so far.*control.memory"):
        mm.lmm("y ~ t + (t | id)", written(tmp_path, data), control=mm.Control(memory=2e5))


def test_unknown_columns_and_models_that_need_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, frame())
    with pytest.raises(mm.DataError, match="column 'time' is not in"):
        mm.lmm("y ~ time + (1 | id)", path)
    monkeypatch.setattr(streamed, "LARGEST", 0.0)
    with pytest.raises(mm.SpecError, match="residual= needs the rows of whole clusters"):
        mm.lmm("y ~ t", path, residual="ar1(t | id)")
    monkeypatch.setattr(streamed, "SMALL", 0.0)
    with pytest.raises(mm.SpecError, match="learns"):
        mm.lmm("y ~ scale(t) + (1 | id)", path)
    with pytest.raises(mm.DataError, match="can be read once only"):
        mm.lmm("y ~ arm + (1 | id)", _reader(tmp_path, frame()))


def test_responses_without_variation_and_columns_without_values(tmp_path: Path) -> None:
    data = frame()
    with pytest.raises(mm.DataError, match="no variation to explain"):
        mm.lmm("y ~ t + (1 | id)", written(tmp_path, data.assign(y=2.0)))
    with pytest.raises(mm.DataError, match="no complete row"):
        mm.lmm("y ~ t + (1 | id)", written(tmp_path, data.assign(t=np.nan)))
    with pytest.raises(mm.DataError, match="infinite values in t"):
        mm.lmm("y ~ t + (1 | id)", written(tmp_path, data.assign(t=np.where(data["w"] > 1.99, np.inf, 1.0))))
    with pytest.raises(mm.DataError, match="as many levels"):
        mm.lmm("y ~ t + (1 | row)", written(tmp_path, data.assign(row=np.arange(len(data)))))
    with pytest.raises(mm.DataError, match=r"missing values in t .* na='raise'"):
        mm.lmm("y ~ t + (1 | id)", written(tmp_path, data), na="raise")


def test_rows_sorted_by_time_lose_no_digits(tmp_path: Path) -> None:
    data = frame().dropna().sort_values("t")
    data["y"] = data["y"] + 1e6
    same(mm.lmm("y ~ t + (t | id)", written(tmp_path, data)), mm.lmm("y ~ t + (t | id)", data))


def test_interruption_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mixedmodels.engines.accumulator import Accumulator

    whole, seen = Accumulator.add, []

    def interrupted(self: Accumulator, *given: Any) -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        whole(self, *given)

    monkeypatch.setattr(Accumulator, "add", interrupted)
    path = written(tmp_path, frame())
    with pytest.raises(KeyboardInterrupt):
        mm.lmm("y ~ t + (1 | id)", path)
    monkeypatch.setattr(Accumulator, "add", whole)
    assert mm.lmm("y ~ t + (1 | id)", path).converged


def test_progress_says_rate_and_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mm.lmm("y ~ t + (1 | id)", written(tmp_path, frame()), control=mm.Control(progress=True))
    shown = capsys.readouterr().err
    assert "rows read" in shown
    assert "/4,000" in shown


class TestCrossProducts:
    def test_parts_add_to_the_whole(self, tmp_path: Path) -> None:
        data = frame().dropna()
        formula = "y ~ t + arm + (t | id) + (1 | item)"
        halves = [data.iloc[rows] for rows in np.array_split(np.arange(len(data)), 2)]
        one, two = (mm.cross_products(formula, half) for half in halves)
        one.save(tmp_path / "one.products")
        both = mm.CrossProducts.load(tmp_path / "one.products") + two
        assert both.nobs == len(data)
        for method in ("reml", "ml"):
            same(both.fit(method=method), mm.lmm(formula, data, method=method))
        assert "CrossProducts of" in repr(both)
        assert [p.name for p in tmp_path.iterdir()] == ["one.products"]

    def test_files_and_frames_are_summed_alike(self, tmp_path: Path) -> None:
        data = frame()
        found = mm.cross_products("y ~ t + (1 | id)", written(tmp_path, data))
        same(found.fit(), mm.lmm("y ~ t + (1 | id)", data))

    def test_parts_of_other_models_are_not_added(self) -> None:
        data = frame().dropna()
        one = mm.cross_products("y ~ t + (1 | id)", data)
        with pytest.raises(mm.SpecError, match="different models cannot be added"):
            one + mm.cross_products("y ~ t + (t | id)", data)
        arms = mm.cross_products("y ~ arm + (1 | id)", data)
        with pytest.raises(
            mm.DataError, match=r"the fixed part has the column 'arm\[T\.c\]' in one of the parts"
        ):
            arms + mm.cross_products("y ~ arm + (1 | id)", data[data["arm"] != "c"])
        with pytest.raises(mm.SpecError, match="hold no rows"):
            mm.cross_products("y ~ spline(t) + (1 | id)", data)

    def test_files_of_something_else_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "other").write_bytes(b"something else")
        with pytest.raises(mm.DataError, match="holds no cross-products"):
            mm.CrossProducts.load(tmp_path / "other")
        whole = tmp_path / "whole"
        mm.cross_products("y ~ t + (1 | id)", frame()).save(whole)
        assert whole.stat().st_size < 60_000, "sums of 120 levels and no rows"
        (tmp_path / "cut").write_bytes(whole.read_bytes()[:500])
        with pytest.raises(mm.DataError, match="damaged or cut short"):
            mm.CrossProducts.load(tmp_path / "cut")


def test_parquet_is_read_by_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = written(tmp_path, frame()), []
    whole = parquet.ParquetFile.iter_batches

    def noted(self: Any, rows: int, columns: list[str]) -> Any:
        asked.append(tuple(columns))
        return whole(self, rows, columns=columns)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", noted)
    mm.lmm("y ~ t + arm + (1 | id)", path)
    assert set(asked) == {("arm",), ("y", "t", "arm", "id")}


def test_predictions_are_written_beside_the_rows(tmp_path: Path) -> None:
    data = frame()
    path = written(tmp_path, data)
    fit = mm.lmm("y ~ t + (t | id)", path)
    target = tmp_path / "predicted.parquet"
    said = fit.predict(path, interval="confidence", to=target)
    assert list(said["rows"]) == [4000]
    found, expected = parquet.read_table(target).to_pandas(), fit.predict(data, interval="confidence")
    for name in ("fit", "se", "lower", "upper"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    assert found["y"].tolist() == data["y"].tolist()
    np.testing.assert_array_equal(fit.predict(path), fit.predict(data))
    again = mm.lmm("y ~ t + (t | id)", data)
    again.predict(data.assign(fit=1.0), to=target)
    assert "fit_" in parquet.read_table(target).column_names
    with pytest.raises(mm.SpecError, match="must be the name of a Parquet file"):
        fit.predict(path, to="predicted.csv")
    with pytest.raises(mm.DataError, match="level"):
        fit.predict(data.assign(id=-2), to=tmp_path / "failed.parquet")
    assert not list(tmp_path.glob("failed*"))


def test_costs_of_small_files_are_estimated(tmp_path: Path) -> None:
    path, formula = written(tmp_path, frame()), "y ~ t + (t | id)"
    found, expected = mm.estimate_cost(formula, path), mm.estimate_cost(formula, frame())
    assert list(found["memory_bytes"][found["chosen"]]) == list(expected["memory_bytes"][expected["chosen"]])
    with pytest.raises(mm.SpecError, match=r"more than [\d,]+ rows, which are read in batches"):
        mm.estimate_cost(formula, path, control=mm.Control(memory=1e4))

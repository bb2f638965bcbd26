"""Data as users have them: every kind of column either works, to the same numbers, or is refused by name."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mixedmodels as mm
from mixedmodels.errors import Severity

N = 120
RNG = np.random.default_rng(0)
DATA = pd.DataFrame(
    {
        "y": RNG.standard_normal(N) + np.repeat(RNG.standard_normal(12), 10),
        "x": RNG.standard_normal(N),
        "z": RNG.uniform(1, 5, N),
        "g": np.repeat([f"g{i}" for i in range(12)], 10),
        "f": np.tile(["a", "b", "c"], 40),
        "t": np.tile(np.arange(10), 12),
    }
)
FORMULA = "y ~ x * f + (1 | g)"
PLAIN = mm.lmm(FORMULA, DATA).criterion
CODED = pd.DataFrame({"f": pa.array(DATA["f"]).dictionary_encode().to_pandas()})["f"]

FRAMES: dict[str, Callable[[], object]] = {
    "duplicate index": lambda: DATA.set_index(np.zeros(N, int)),
    "multi-index": lambda: DATA.set_index([DATA["g"].rename("a"), DATA["t"].rename("b")]),
    "object numbers": lambda: DATA.assign(y=DATA["y"].astype(object), x=DATA["x"].astype(object)),
    "nullable": lambda: DATA.convert_dtypes(),
    "arrow in pandas": lambda: DATA.convert_dtypes(dtype_backend="pyarrow"),
    "sparse": lambda: DATA.assign(x=pd.arrays.SparseArray(DATA["x"])),
    "categories": lambda: DATA.assign(f=pd.Categorical(DATA["f"]), g=pd.Categorical(DATA["g"])),
    "dictionary": lambda: DATA.assign(f=CODED),
    "polars": lambda: pl.from_pandas(DATA),
    "polars categories": lambda: pl.from_pandas(DATA).with_columns(pl.col("f", "g").cast(pl.Categorical)),
    "arrow": lambda: pa.Table.from_pandas(DATA),
    "arrow batch": lambda: pa.RecordBatch.from_pandas(DATA),
    "arrow chunks": lambda: pa.concat_tables(
        [pa.Table.from_pandas(DATA[:50]), pa.Table.from_pandas(DATA[50:])]
    ),
    "arrow dictionary": lambda: pa.Table.from_pandas(DATA.assign(f=pd.Categorical(DATA["f"]))),
    "lists": lambda: {name: list(values) for name, values in DATA.items()},
    "series": lambda: dict(DATA.items()),
    "records": lambda: DATA.to_records(index=False),
}


@pytest.mark.parametrize("name", list(FRAMES))
def test_every_frame_gives_the_same_fit(name: str) -> None:
    assert mm.lmm(FORMULA, FRAMES[name]()).criterion == pytest.approx(PLAIN, rel=1e-10)


@pytest.mark.parametrize(
    "formula",
    ["y ~ x + I(x^2) + (1 | g)", "y ~ x:z + (1 | g)", "y ~ I(x - z) + (1 | g)", "I(x - z) ~ 1 + (1 | g)"],
)
def test_small_integers_do_not_overflow(formula: str) -> None:
    small = DATA.assign(x=(DATA["x"].abs() * 60).astype("uint8"), z=(DATA["z"] * 40).astype("uint8"))
    wide = small.assign(x=small["x"].astype(float), z=small["z"].astype(float))
    assert mm.lmm(formula, small).criterion == pytest.approx(mm.lmm(formula, wide).criterion, rel=1e-12)


def test_decimals_are_numbers() -> None:
    rounded = DATA["y"].round(3)
    given = DATA.assign(y=[decimal.Decimal(str(value)) for value in rounded])
    expected = mm.lmm(FORMULA, DATA.assign(y=rounded)).criterion
    assert mm.lmm(FORMULA, given).criterion == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["Int64", "boolean", "string"])
def test_missing_values_of_nullable_columns_are_counted(kind: str) -> None:
    values = {
        "Int64": [1, 2, None, 4],
        "boolean": [True, False, None, True],
        "string": ["a", "b", None, "b"],
    }[kind]
    fit = mm.lmm("y ~ x + (1 | g)", DATA.assign(x=pd.array(values * 30, dtype=kind)))
    assert fit.nobs == 90
    assert "30 of 120 rows dropped: missing values in x" in str(fit)


def test_names_that_are_no_identifiers() -> None:
    renamed = DATA.rename(columns={"x": "my x", "g": "größe", "z": "class", "y": "the y"})
    plain = mm.lmm("y ~ x + log(z) + I(z^2) + (x | g)", DATA)
    fit = mm.lmm("`the y` ~ `my x` + log(`class`) + I(class^2) + (`my x` | größe)", renamed)
    assert fit.criterion == pytest.approx(plain.criterion, rel=1e-10)
    assert list(fit.params) == ["(Intercept)", "my x", "log(`class`)", "I(`class` ** 2)"]
    np.testing.assert_allclose(fit.predict(renamed.head(4)), plain.predict(DATA.head(4)), rtol=1e-6)
    numbered = DATA.rename(columns={"x": 1, "g": 2})
    assert mm.lmm("y ~ `1` + (1 | `2`)", numbered).criterion == pytest.approx(
        mm.lmm("y ~ x + (1 | g)", DATA).criterion, rel=1e-12
    )


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("x", pd.date_range("2020-01-01", periods=N), "'x' holds dates"),
        ("x", pd.period_range("2020-01", periods=N, freq="M"), "'x' holds dates"),
        ("x", pd.to_timedelta(DATA["t"], unit="D"), "'x' holds dates"),
        ("y", pd.date_range("2020-01-01", periods=N), "response 'y' must be numeric"),
        ("y", DATA["y"].astype(str), "response 'y' must be numeric; column 'y' holds text"),
        ("x", DATA["x"] + 1j, "'x' has type complex128"),
        ("x", [[1, 2]] * N, "'x' holds values of type list"),
        ("x", np.where(DATA["t"] == 3, np.inf, DATA["x"]), r"infinite values in x \(12\)"),
        ("x", np.nan, "'x' is missing in every row"),
        ("f", None, "'f' is missing in every row"),
        ("x", DATA["x"] * 1e200, r"'x' has values of size .*change its unit"),
        ("y", DATA["y"] * 1e-200, r"'y' has values of size .*change its unit"),
        ("y", 3.0, "there is no variation"),
        ("f", "a", "'f' has one level"),
        ("g", "a", "'g' has one level"),
    ],
)
def test_columns_that_cannot_be_used_are_named(column: str, values: object, message: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        mm.lmm(FORMULA, DATA.assign(**{column: values}))


def test_polars_lists_and_structs_are_refused() -> None:
    frame = pl.from_pandas(DATA)
    with pytest.raises(mm.DataError, match="'x' holds values of type"):
        mm.lmm("y ~ x + (1 | g)", frame.with_columns(x=pl.concat_list("x", "z")))
    with pytest.raises(mm.DataError, match="'s' holds values of type"):
        mm.lmm("y ~ x + (1 | s)", frame.with_columns(s=pl.struct("g", "f")))
    lazy = mm.lmm("y ~ x + (1 | g)", frame.lazy())
    assert lazy.criterion == mm.lmm("y ~ x + (1 | g)", frame).criterion


def test_dates_are_levels() -> None:
    dates = [datetime.date(2020, 1, 1 + int(t)) for t in DATA["t"]]
    fit = mm.lmm("y ~ x + (1 | t)", DATA.assign(t=dates))
    assert fit.criterion == pytest.approx(mm.lmm("y ~ x + (1 | t)", DATA).criterion, rel=1e-12)


def test_dates_are_found_again_in_any_unit() -> None:
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(DATA["t"], unit="D")
    fit = mm.lmm("y ~ x + (1 | t)", DATA.assign(t=days))
    assert str(fit.random_effects(se=False)["level"][2]) == "2020-01-03"
    expected = fit.predict(DATA.assign(t=days))
    for unit in ("datetime64[s]", "datetime64[us]"):
        np.testing.assert_array_equal(fit.predict(DATA.assign(t=days.to_numpy().astype(unit))), expected)
    np.testing.assert_array_equal(fit.predict(DATA.assign(t=days.astype(str))), expected)
    np.testing.assert_array_equal(fit.predict(pl.from_pandas(DATA.assign(t=days))), expected)


def test_gaps_between_dates_are_noted() -> None:
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(DATA["t"], unit="D")
    even = mm.gls("y ~ x", DATA.assign(t=days), residual="ar1(t | g)")
    assert all(status.severity is Severity.OK for status in even.status)
    assert even.criterion == pytest.approx(mm.gls("y ~ x", DATA, residual="ar1(t | g)").criterion, abs=1e-8)
    gap = mm.gls("y ~ x", DATA.assign(t=days.where(DATA["t"] != 3)), residual="ar1(t | g)")
    assert "the 9 distinct values of t are taken as positions in order" in " ".join(map(str, gap.status))


def test_repeated_column_names_are_refused() -> None:
    with pytest.raises(mm.DataError, match="'x' occurs 2 times"):
        mm.lmm(FORMULA, pd.concat([DATA, DATA[["x"]]], axis=1))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.where(DATA["t"] == 3, 0.0, 1.0), r"must be positive; 'weights' has 12 values .*smallest 0\)"),
        (-np.ones(N), "must be positive"),
        (np.where(DATA["t"] == 3, np.inf, 1.0), r"infinite values in weights \(12\)"),
        (np.ones(5), "5 values for 120 rows"),
        (np.ones((N, 1)), "2 dimensions"),
        ("g", "'g' holds text"),
        ("ww", "'ww' is not in the data"),
    ],
)
def test_weights_that_cannot_be_used(weights: object, message: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        mm.lmm("y ~ x + (1 | g)", DATA, weights=weights)


def test_missing_weights_drop_their_rows() -> None:
    fit = mm.lmm("y ~ x + (1 | g)", DATA, weights=np.where(DATA["t"] == 3, np.nan, 1.0))
    kept = mm.lmm("y ~ x + (1 | g)", DATA[DATA["t"] != 3])
    assert fit.criterion == pytest.approx(kept.criterion, rel=1e-12)


@pytest.mark.parametrize("name", ["Series", "NoneType", "list", "ndarray"])
def test_what_is_no_frame_is_said(name: str) -> None:
    given = {
        "Series": DATA["y"],
        "NoneType": None,
        "list": [1],
        "ndarray": np.ones((3, 2)),
    }
    with pytest.raises(mm.DataError, match=f"data is a {name}; give a pandas"):
        mm.lmm("y ~ x + (1 | g)", given[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "mle"}, "method='mle' is not known"),
        ({"na": "omit"}, "na='omit' is not known"),
        ({"ddf": None}, "ddf=None is no method; give its name"),
        ({"contrasts": "sum"}, "contrasts='sum' must map"),
        ({"control": {"threads": 2}}, "control=.* must be settings"),
        ({"known": [1]}, "known= must map names to matrices"),
        ({"start": {"sigma": 1.0}}, "no covariance parameter of this model"),
        ({"start": {"var(g)": -1.0}}, "no valid covariance"),
    ],
)
def test_arguments_of_the_wrong_kind(options: dict[str, object], message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        mm.lmm("y ~ f + (1 | g)", DATA, **options)


def test_one_intercept_goes_by_the_factor_alone() -> None:
    fit = mm.lmm("y ~ x + (1 | g)", DATA, hold={"var(g)": 0.5})
    assert fit.covariances[0][0, 0, 0] == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("exponent", [-30, -9, 9, 30])
@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (x || g)", "y ~ z + (1 + x + z | g)"])
def test_units_of_a_random_slope_do_not_matter(formula: str, exponent: int) -> None:
    plain = mm.lmm(formula, DATA)
    fit = mm.lmm(formula, DATA.assign(x=DATA["x"] * 10.0**exponent))
    shift = 2 * exponent * np.log(10.0) * (" x +" in formula.split("(")[0])  # log|X'V⁻¹X|
    assert fit.criterion - shift == pytest.approx(plain.criterion, abs=1e-6)
    assert (fit.singular, fit.converged) == (plain.singular, plain.converged)


@pytest.mark.parametrize("exact", ["2 * x + 1", "x + group"])
def test_exact_fits_are_warned_of(exact: str) -> None:
    group = pd.factorize(DATA["g"])[0]
    y = 2 * DATA["x"] + 1 if exact.startswith("2") else DATA["x"] + group
    fit = mm.lmm("y ~ x + (1 | g)", DATA.assign(y=y))
    assert "fits the response exactly" in " ".join(map(str, fit.status))
    assert "Warning: perfect fit: the model fits the response exactly" in " ".join(str(fit).split())


@pytest.mark.parametrize("rows", [[0, 1], [0, 11], [0]])
def test_too_few_rows_are_refused(rows: list[int]) -> None:
    with pytest.raises(mm.DataError):
        mm.lmm("y ~ 1 + (1 | g)", DATA.iloc[rows])


@pytest.mark.parametrize("spelling", ["residual", "random", "pairs"])
def test_text_sorted_against_its_numbers_is_warned_of(spelling: str) -> None:
    weeks = DATA.assign(week=[f"week {t + 1}" for t in DATA["t"]], arm=np.where(DATA["t"] % 2, "p", "q"))
    ordered = weeks.assign(week=pd.Categorical(weeks["week"], [f"week {t + 1}" for t in range(10)]))

    def fit(data: pd.DataFrame) -> mm.Fit:
        if spelling == "residual":
            return mm.gls("y ~ x", data, residual="ar1(week | g)")
        if spelling == "random":
            return mm.lmm("y ~ x + ar1(0 + week | g)", data)
        return mm.gls("y ~ x", data, residual="kron(us, ar1)(arm, week | g)")

    warned = [str(status) for status in fit(weeks).status]
    assert any("in the order week 1, week 10, week 2, week 3 …" in text for text in warned)
    assert not any("in the order" in str(status) for status in fit(ordered).status)
    if spelling == "residual":
        numbers = mm.gls("y ~ x", DATA, residual="ar1(t | g)").criterion
        assert fit(ordered).criterion == pytest.approx(numbers, abs=1e-8)
        assert not any(
            "in the order" in str(s) for s in mm.gls("y ~ x", weeks, residual="us(week | g)").status
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"residual": "ar1(tt | g)"}, "'tt' is not in the data.*\n\nar1\\(tt \\| g\\)\n    \\^\\^"),
        ({"residual": "ar1(t | gg)"}, "'gg' is not in the data.*\n\nar1\\(t \\| gg\\)\n        \\^\\^"),
        ({"variance": "ident(gg)"}, "'gg' is not in the data.*\n\nident\\(gg\\)\n      \\^\\^"),
        ({"residual": 1}, "residual=1 must be text such as"),
        ({"variance": 3}, "variance=3 must be text such as"),
    ],
)
def test_mistakes_in_the_error_side_are_pointed_at(options: dict[str, object], message: str) -> None:
    with pytest.raises(mm.MixedModelsError, match=message):
        mm.gls("y ~ x", DATA, **options)


def test_lmer_takes_reml_as_true_or_false() -> None:
    with pytest.raises(mm.SpecError, match="REML='ML' must be True or False"):
        mm.lmer("y ~ x + (1 | g)", DATA, "ML")


def test_numbers_beside_a_word_are_named_where_they_are_too_many_levels() -> None:
    values = [*np.random.default_rng(1).normal(size=19).tolist(), "n/a"]
    data = pd.DataFrame({"y": np.arange(20.0) ** 1.5, "x": pd.Series(values, dtype=object)})
    with pytest.raises(mm.DataError, match="Text in 'x' makes it a factor"):
        mm.lm("y ~ x", data)


@pytest.mark.parametrize("library", ["pandas", "object", "polars", "lists"])
def test_text_that_reads_as_numbers_is_a_factor_with_a_note(library: str) -> None:
    data = mm.datasets.load("sleepstudy")
    data["Days"] = data["Days"].astype(str)
    tables = {
        "pandas": lambda: data,
        "object": lambda: data.astype({"Days": object}),
        "polars": lambda: pytest.importorskip("polars").from_pandas(data),
        "lists": lambda: {name: list(values) for name, values in data.items()},
    }
    notes = " ".join(map(str, mm.lmm("Reaction ~ Days + (1 | Subject)", tables[library]()).status))
    assert "Days is text that reads as numbers, taken as a factor of 10 levels" in notes
    assert "pandas.to_numeric(data['Days'])" in notes
    # Subject, which groups, is text of numbers too
    assert "Subject is text" not in notes


def test_text_that_was_meant_as_a_factor_has_no_note() -> None:
    data = mm.datasets.load("sleepstudy")
    data["Days"] = data["Days"].astype(str)
    for formula, table in (
        ("Reaction ~ factor(Days) + (1 | Subject)", data),
        ("Reaction ~ Days + (1 | Subject)", data.astype({"Days": "category"})),
        ("Reaction ~ Days + (1 | Subject)", data.assign(Days="day " + data["Days"])),
        ("Reaction ~ Days + (1 | Subject)", data.assign(Days=np.where(data["Days"] > "4", "1", "0"))),
    ):
        assert not any("reads as numbers" in str(status) for status in mm.lmm(formula, table).status)

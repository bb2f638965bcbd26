"""The response of a generalised model: every form it is written in, and every way it can be wrong."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mixedmodels.api.generalised import generalised_inputs, read_generalised, read_rows
from mixedmodels.errors import DataError, SpecError

FRAME = pd.DataFrame({
    "y": [0, 1, 2, 3, 0, 1],
    "n": [4, 4, 3, 5, 0, 2],
    "g": list("aabbcc"),
    "s": ["no", "yes", "yes", "no", "no", "yes"],
    "dose": ["10", "2", "1", "2", "1", "10"],
    "t": ["bad", "good", "mid"] * 2,
    "b": [True, False] * 3,
    "x": range(6),
})  # fmt: skip


def observed(formula, family, data=FRAME, **arguments):
    spec = read_generalised(formula, family, None, **arguments)
    beside = {key: arguments.get(key) for key in ("trials", "frequency", "offset")}
    return read_rows(spec, generalised_inputs(data, weights=arguments.get("weights"), **beside))


@pytest.mark.parametrize("formula", ["cbind(y, n - y) ~ x", "y / n ~ x + (1 | g)"])
def test_events_among_trials_and_rows_without_trials(formula):
    frame, response = observed(formula, "binomial")
    assert response.responses.y.tolist() == [0, 1, 2, 3, 1]
    assert response.responses.trials.tolist() == [4, 4, 3, 5, 2]
    assert frame.rows.tolist() == [0, 1, 2, 3, 5]
    assert [str(note) for note in response.notes] == ["1 row of 0 trials left out"]


@pytest.mark.parametrize("trials", ["n", FRAME["n"], FRAME["n"].tolist()])
def test_trials_as_an_argument_are_those_of_the_formula(trials):
    _, response = observed("y ~ x", "binomial", trials=trials)
    assert response.responses.trials.tolist() == [4, 4, 3, 5, 2]
    assert response.responses.y.tolist() == [0, 1, 2, 3, 1]


def test_proportions_beside_trials_are_events():
    _, response = observed("I(y / 5) ~ x", "binomial", trials=[5] * 6)
    assert response.responses.y.tolist() == [0, 1, 2, 3, 0, 1]
    assert "proportions" in str(response.notes[0])


def test_a_two_level_factor_names_its_event():
    _, response = observed("s ~ x", "binomial")
    assert response.responses.y.tolist() == [0, 1, 1, 0, 0, 1]
    assert "'yes' is modelled" in str(response.notes[0])
    _, response = observed("b ~ x", "binomial")
    assert response.responses.y.tolist() == [1, 0, 1, 0, 1, 0]
    assert "'True' is modelled" in str(response.notes[0])


def test_a_response_reads_the_same_from_polars():
    for formula, family in (("s ~ x", "binomial"), ("dose ~ x", "ordinal"), ("t ~ x", "multinomial")):
        a, b = (observed(formula, family, data)[1] for data in (FRAME, pl.from_pandas(FRAME)))
        assert a.responses.y.tolist() == b.responses.y.tolist()
        assert list(map(str, a.levels)) == list(map(str, b.levels))


def test_an_order_is_declared_or_evident():
    assert observed("dose ~ x", "ordinal")[1].responses.y.tolist() == [2, 1, 0, 1, 0, 2]
    grades = pd.Categorical(FRAME["t"], ["bad", "mid", "good", "best"], ordered=True)
    frame, response = observed("t ~ x", "ordinal", FRAME.assign(t=grades))
    assert response.responses.y.tolist() == [0, 2, 1, 0, 2, 1]
    assert any("unused levels of t dropped: best" in str(note) for note in frame.notes)
    grades = pl.from_pandas(FRAME).with_columns(pl.col("t").cast(pl.Enum(["bad", "mid", "good"])))
    assert observed("t ~ x", "ordinal", grades)[1].responses.y.tolist() == [0, 2, 1, 0, 2, 1]
    with pytest.raises(DataError, match="'t' have no declared order: bad, good, mid"):
        observed("t ~ x", "ordinal")


def test_frequencies_and_weights_are_two_things():
    _, response = observed("y ~ x", "poisson", frequency="n")
    assert response.responses.frequency.tolist() == [4, 4, 3, 5, 2]
    with pytest.raises(SpecError, match=r"weights= are known precisions.*frequency="):
        observed("y ~ x", "poisson", weights="x", data=FRAME.assign(x=1.0))
    with pytest.raises(SpecError, match="trials= for events among trials"):
        observed("y / n ~ 1", "binomial", weights=np.ones(6))
    with pytest.raises(DataError, match=r"frequency is 1.5 in row 2"):
        observed("y ~ x", "poisson", frequency=[1, 1, 1.5, 1, 1, 1])


def test_missing_values_inside_cbind_drop_the_row():
    frame, _ = observed("cbind(y, n - y) ~ x", "binomial", FRAME.assign(n=[4, np.nan, 3, 5, 1, 2]))
    assert frame.n == 5
    assert "missing values in n" in str(frame.notes[0])


@pytest.mark.parametrize(
    ("formula", "family", "arguments", "message"),
    [
        ("t ~ x", "binomial", {}, "column 't' has 3 levels: bad, good, mid"),
        ("y ~ x", "binomial", {}, "is 2 in row 2 .2 such rows.; there are 1 trials there"),
        ("n / y ~ x", "binomial", {}, "is 4 in row 0 .*there are 1 trials there"),
        ("I(y / 10) ~ x", "binomial", {}, "A proportion is written y / n"),
        ("I(y - 1) ~ x", "poisson", {}, "is -1 in row 0"),
        ("y ~ x", "gamma", {}, "is 0 in row 0"),
        ("y ~ x", "truncated_poisson", {}, "is 0 in row 0.*hurdle="),
        ("t ~ x", "poisson", {}, "must be numeric for family='poisson'"),
        ("I(y * 0) ~ x", "poisson", {}, "is 0 in every row"),
        ("y / n ~ 1", "binomial", {"trials": "n"}, "trials= is given twice"),
        ("y ~ x", "poisson", {"trials": "n"}, "trials= does not go with family='poisson'"),
        ("y ~ x", "poisson", {"dispersion": "~ x"}, "dispersion= does not go with family='poisson'"),
        ("y ~ x", "poisson", {"zero_inflation": "~ 1", "hurdle": "~ 1"}, "give one of them"),
        ("y ~ x", "gaussian", {"zero_inflation": "~ 1"}, "use hurdle="),
        ("y ~ x", "poisson", {"zero_inflation": "y ~ 1"}, "zero_inflation='y ~ 1' must be a formula without"),
        ("y ~ x", "poisson", {"residual": "ar1(x | g)"}, "method='laplace' has none of"),
        ("y ~ x", "poisson", {"method": "REML"}, "method='REML' is for linear models"),
        ("y ~ x", "poisson", {"method": "rspl", "reml": True}, "reml= is for method='laplace'"),
        ("y ~ x", "poisson", {"points": 5}, "points= are those of method='quadrature'"),
        ("y ~ x", "poison", {}, "Did you mean 'poisson'"),
        ("cbind(y, n) ~ x", "poisson", {}, "cbind.events, others. is a response of a family with trials"),
        ("cbind(y) ~ x", "binomial", {}, "cbind holds two expressions"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(formula, family, arguments, message):
    with pytest.raises((DataError, SpecError), match=message):
        observed(formula, family, **arguments)


def test_a_part_reads_its_own_columns_and_groups():
    frame, response = observed("y ~ 1", "poisson", zero_inflation="~ x + (1 | g)", hurdle=None)
    assert set(frame.columns) == {"y", "x", "g"}
    assert "g" in frame.factors
    assert response.family.name == "zero_inflated_poisson"

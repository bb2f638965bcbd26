"""Small samples and reports that went wrong, by the scripts that showed it: right values, or the named refusal."""

from __future__ import annotations

import io
import os
import re
import runpy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from frame_truths import RAW

CASES = Path(os.environ.get("MIXEDMODELS_CASES", Path(__file__).parents[3] / "shared" / "cases"))
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="the cases lie beside the project where they are shared"
)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Run in a folder: the scripts read the data beside them."""
    old = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(old)


def printed(name: str) -> str:
    shown = io.StringIO()
    path = CASES / name
    with inside(path.parent), redirect_stdout(shown), warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        runpy.run_path(path.name)
    return shown.getvalue()


@pytest.fixture(scope="module")
def small_samples() -> str:
    return printed("inference/small_samples.py")


def test_an_ar1_series_has_the_first_order_variance(small_samples: str) -> None:
    # unadjusted .5132 (nlme::gls), first order .6257
    assert re.search(r"\(Intercept\)\s+-0\.110985\s+0\.6256\d+", small_samples)


def test_fields_have_a_standard_error_in_every_replicate(small_samples: str) -> None:
    for replicate, first_order, satterthwaite in (
        (1, 0.7522, 0.7025),
        (7, 0.8264, 0.7543),
        (9, 1.6117, 1.4793),
    ):
        line = next(one for one in small_samples.splitlines() if one.startswith(f"{replicate} [("))
        found = dict(re.findall(r"'([\w-]+)', ([\d.]+)", line))
        for method in ("auto", "kenward-roger2", "kenward-roger-linear"):
            assert float(found[method]) == pytest.approx(first_order, abs=2e-4)
        assert float(found["satterthwaite"]) == pytest.approx(satterthwaite, abs=2e-4)


def test_welch_whatever_level_is_the_reference(small_samples: str) -> None:
    rows = re.findall(r"g\[T\.[bz]\]\s+(-?[\d.]+)\s+([\d.]+)\s+([\d.]+)\s+-?[\d.]+\s+([\d.]+)", small_samples)
    assert len(rows) == 2
    for _, std_error, df, p_value in rows:
        # Welch: SE 1.33135, df 14.8265, p .83107 (R's t.test)
        assert float(std_error) == pytest.approx(1.33135, abs=1e-5)
        assert float(df) == pytest.approx(14.8265, abs=5e-3)
        assert float(p_value) == pytest.approx(0.83107, abs=1e-4)


def test_refits_from_a_distant_start() -> None:
    rng = np.random.default_rng(0)
    rng.normal(size=17)
    data = pd.DataFrame({"g": np.repeat(list("abc"), [4, 6, 10])})
    data["y"] = rng.normal(size=20)
    fit = mm.gls("y ~ g", data, variance="ident(g)")
    scale = np.repeat([3, 1, 1.5], [4, 6, 10])[:, None]
    many = fit.refit(np.random.default_rng(1).normal(size=(1000, 20)).T * scale)
    assert many.converged.all()
    np.testing.assert_allclose(
        many.criterion[[610, 922, 942, 953]], [70.485, 65.826, 62.978, 74.707], atol=1e-3
    )


def test_a_scaled_f_that_does_not_exist_is_empty() -> None:
    data = pd.read_csv(CASES / "inference" / "negative_f.csv")
    fit = mm.lmm("y ~ arm*t + (t|id)", data)
    L = np.eye(4)[[1, 3]]
    found = fit.wald(L, joint=True)
    assert np.isnan(found["statistic"][0])
    assert "no F test" in " ".join(found.notes)
    expected = fit.wald(L, joint=True, information="expected")
    np.testing.assert_allclose(
        [expected["den_df"][0], expected["statistic"][0], expected["p_value"][0]],
        [2.43, 2.19, 0.286],
        rtol=5e-3,
    )


def test_crossovers_have_the_standard_error_of_the_unstructured_model() -> None:
    text = printed("reports/fa_standard_errors.py")
    for spelled in (r"\(0 \+ treatment", r"fa0\(2\)", r"hcs"):
        for criterion, std_error in (("70.1462", "0.06084"), ("82.1949", "0.06058")):
            assert re.search(rf"{spelled}.*{criterion} {{'auto': {std_error}", text)
    assert re.search(r"fa\(1\).*82\.1949 \{'auto': 0\.06058", text)
    assert RAW.search(text) is None


def test_a_level_of_one_row_with_its_own_mean_is_refused_by_name() -> None:
    text = printed("reports/ident_one_row.py")
    for verb in ("gls", "lmm"):
        for method in ("reml", "ml"):
            assert re.search(
                rf"{verb} {method} DataError ident\(t\): the fixed part .* only row of 'solo'", text
            )
    assert RAW.search(text) is None

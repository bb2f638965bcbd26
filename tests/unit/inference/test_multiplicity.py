"""Adjusted p-values against R's p.adjust, ptukey and exact cases; critical values invert the p-values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mixedmodels.inference.multiplicity import (
    ADJUSTMENTS,
    Family,
    benjamini_hochberg,
    benjamini_yekutieli,
    hochberg,
    holm,
    hommel,
)
from mixedmodels.inference.simultaneous import dunnettx_upper, mvt_upper, tukey_upper

P = np.array([0.01, 0.04, 0.03, 0.2, 0.001])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # R 4.2: p.adjust(c(.01, .04, .03, .2, .001), method)
        (holm, [0.04, 0.09, 0.09, 0.2, 0.005]),
        (hochberg, [0.04, 0.08, 0.08, 0.2, 0.005]),
        (hommel, [0.04, 0.08, 0.06, 0.2, 0.005]),
        (benjamini_hochberg, [0.025, 0.05, 0.05, 0.2, 0.005]),
        (benjamini_yekutieli, [0.05708333, 0.11416667, 0.11416667, 0.45666667, 0.01141667]),
    ],
)
def test_stepwise_p_values(method: object, expected: list[float]) -> None:
    np.testing.assert_allclose(method(P), expected, rtol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("k", [2, 3, 10, 40])
@pytest.mark.parametrize("df", [1.0, 2.5, 12.0, 300.0, np.inf])
@pytest.mark.parametrize("q", [0.5, 3.0, 6.0])
def test_studentised_range(k: int, df: float, q: float) -> None:
    # Both integrate numerically; scipy states about 1e-9.
    assert tukey_upper(q / np.sqrt(2), k, df) == pytest.approx(stats.studentized_range.sf(q, k, df), abs=1e-8)


def test_two_means_are_one_t_test() -> None:
    assert tukey_upper(2.3, 2, 7.0) == pytest.approx(2 * stats.t.sf(2.3, 7.0), abs=1e-10)


def test_multivariate_t_of_all_pairs_is_the_studentised_range() -> None:
    rows = np.array(
        [[1, -1, 0, 0], [1, 0, -1, 0], [1, 0, 0, -1], [0, 1, -1, 0], [0, 1, 0, -1], [0, 0, 1, -1]]
    )
    upper = mvt_upper(rows @ rows.T / 2.0)
    for t, df in ((1.5, 5.0), (2.5, 20.0), (3.0, np.inf)):
        # The sphere rule is stated to be good to 1e-4.
        assert upper(t, df) == pytest.approx(tukey_upper(t, 4, df), abs=1e-4)


def test_multivariate_t_of_independent_and_identical_statistics() -> None:
    single = 2 * stats.norm.sf(2.0)
    assert mvt_upper(np.eye(3))(2.0, np.inf) == pytest.approx(1 - (1 - single) ** 3, abs=1e-4)
    assert mvt_upper(np.ones((3, 3)))(2.0, np.inf) == pytest.approx(single, abs=1e-12)


def test_dunnettx_is_near_the_exact_probability_at_correlation_one_half() -> None:
    correlation = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    # An approximation: emmeans' documentation claims about two decimals.
    assert dunnettx_upper(2.5, 4, 20.0) == pytest.approx(mvt_upper(correlation)(2.5, 20.0), abs=5e-3)


@pytest.mark.parametrize("name", [name for name in ADJUSTMENTS if not ADJUSTMENTS[name].interval_note])
def test_critical_value_has_the_p_value_of_the_level(name: str) -> None:
    correlation = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    blank = Family(np.zeros(3), np.full(3, 11.0), correlation, 3.0, "pairwise")
    critical = ADJUSTMENTS[name].critical(blank, 0.9)
    at_critical = Family(critical, blank.df, correlation, 3.0, "pairwise")
    np.testing.assert_allclose(ADJUSTMENTS[name].p_values(at_critical), 0.1, atol=1e-8)


def _family(correlation: np.ndarray) -> Family:
    return Family(np.array([3.2, -1.1, 2.4, 0.3]), np.full(4, 20.0), correlation, 4.0)


def test_step_down_bonferroni_is_holm() -> None:
    family = _family(np.eye(4))
    stepped = ADJUSTMENTS["stepdown-bonferroni"].p_values(family)
    np.testing.assert_allclose(stepped, ADJUSTMENTS["holm"].p_values(family))


@pytest.mark.parametrize("name", ["sidak", "mvt", "scheffe", "bonferroni"])
def test_step_down_is_between_none_and_one_step(name: str) -> None:
    rho = 0.5 + 0.5 * np.eye(4)
    family = _family(rho)
    stepped = ADJUSTMENTS[f"stepdown-{name}"].p_values(family)
    single = ADJUSTMENTS[name].p_values(family)
    assert (stepped <= single + 1e-12).all()
    assert (stepped >= family.p_value - 1e-12).all()
    assert stepped[np.argmin(family.p_value)] == pytest.approx(single[np.argmin(family.p_value)])
    # the last one stands alone
    if name != "scheffe":
        last = np.argmax(family.p_value)
        assert stepped[last] == pytest.approx(max(family.p_value[last], np.sort(stepped)[-2]))


def test_step_down_tukey_of_equal_means_is_dunnett_and_tamhane() -> None:
    """Three balanced means, ν = 12: the largest by the studentised range of 3, the next by that of what is left."""
    contrast = np.array([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0], [0.0, 1.0, -1.0]])
    inner = contrast @ contrast.T / 2.0
    family = Family(np.array([3.0, 2.2, 0.8]), np.full(3, 12.0), inner, 3.0, "pairwise")
    stepped = ADJUSTMENTS["stepdown-tukey"].p_values(family)
    # the sphere of `mvt` is integrated by 3,000 points: 1e-4
    assert stepped[0] == pytest.approx(ADJUSTMENTS["tukey"].p_values(family)[0], abs=1e-4)
    assert stepped[1] < ADJUSTMENTS["tukey"].p_values(family)[1]
    assert stepped[2] == pytest.approx(family.p_value[2], abs=1e-4)

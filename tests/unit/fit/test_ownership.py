"""A fit owns its numbers: what is done to the caller's data afterwards, and pickling, change no answer."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 6)
    frame = pd.DataFrame(
        {
            "g": g, "x": rng.standard_normal(72), "age": rng.uniform(20, 60, 72),
            "arm": pd.Categorical(np.tile(["a", "b", "c"], 24)), "extra": rng.standard_normal(72),
        }
    )  # fmt: skip
    frame["y"] = frame["x"] + rng.standard_normal(12)[g] + rng.standard_normal(72)
    frame.loc[5, "x"] = np.nan
    return frame


def fitted(frame: Any, **options: Any) -> mm.Fit:
    return mm.lmm("y ~ arm * x + age + (1 | g)", frame, weights=None, **options)


def answers(fit: mm.Fit) -> list[Any]:
    """Return the printed answers of every kind of tool that reads data."""
    return [
        str(one)
        for one in (
            fit, fit.emmeans("arm"), fit.emtrends("x", by="arm"), fit.anova(type=3), fit.joint_tests(),
            fit.augment(), fit.update(method="ml"), fit.predict(se=True), fit.simulate(1, seed=1).sum(),
            fit.residuals("student").sum(), fit.refit(fit.response + 1.0).emmeans("arm"), fit.vcov_robust().table(),
            fit.drop1() if hasattr(fit, "drop1") else None,
        )
    ]  # fmt: skip


def shifted(frame: pd.DataFrame) -> None:
    frame["age"] -= 8
    frame["x"] *= 2.0


def shuffled(frame: pd.DataFrame) -> None:
    frame[:] = frame.sort_values("y").to_numpy()


def dropped(frame: pd.DataFrame) -> None:
    frame.drop(index=frame.index[:20], inplace=True)


def retyped(frame: pd.DataFrame) -> None:
    frame["arm"] = frame["arm"].cat.rename_categories({"a": "z"})
    frame["g"] = frame["g"].astype(str)


def overwritten(frame: pd.DataFrame) -> None:
    frame.iloc[:, [0, 1, 2, 5]] = 0


@pytest.mark.parametrize("change", [shifted, shuffled, dropped, retyped, overwritten])
def test_changes_of_the_callers_frame_change_nothing(change: Any) -> None:
    untouched, frame = fitted(data()), data()
    fit = fitted(frame)
    change(frame)
    assert answers(fit) == answers(untouched)


def test_arrays_in_a_dict_and_known_matrices_are_copied() -> None:
    frame = data().dropna()
    columns = {name: frame[name].to_numpy(copy=True) for name in ("y", "x")} | {
        "g": frame["g"].astype(str).to_numpy()
    }
    kernel = np.eye(12) + 0.2
    known = {"K": pd.DataFrame(kernel, index=[str(i) for i in range(12)])}
    fit = mm.lmm("y ~ x + (1 | g, cov=K)", columns, known=known)
    before = fit.criterion, fit.augment()["y"].copy(), fit.update(method="ml").criterion
    columns["y"][:] = 0.0
    columns["x"][:] = 1.0
    known["K"].iloc[:, :] = 7.0
    kernel[:] = 3.0
    np.testing.assert_array_equal(fit.augment()["y"], before[1])
    assert fit.update(method="ml").criterion == before[2]
    assert fit.refit(fit.response).criterion == pytest.approx(before[0], rel=1e-9)


def test_unpickled_fits_answer_everything(tmp_path: Path) -> None:
    fit = fitted(data())
    assert answers(pickle.loads(pickle.dumps(fit))) == answers(fit)
    again = pickle.loads(pickle.dumps(fit.refit(fit.response + 1.0)))
    assert str(again.emmeans("arm")) == str(fit.refit(fit.response + 1.0).emmeans("arm"))
    (tmp_path / "fit.pickle").write_bytes(pickle.dumps(fit))
    code = (
        f"import pickle; fit = pickle.load(open({str(tmp_path / 'fit.pickle')!r}, 'rb'));"
        "print(fit.emmeans('arm')); fit.augment(); fit.update(method='ml'); fit.anova(type=3); fit.bootstrap(3, seed=1)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(fit.emmeans("arm")).strip()


def load_and_fit(method: str) -> mm.Fit:
    return mm.lmm("Y ~ sex * age + (1 | id)", mm.datasets.load("orthodont"), method=method)


def test_fits_from_a_process_pool_answer_everything() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        (fit,) = pool.map(load_and_fit, ["reml"])
    own = load_and_fit("reml")
    for of in (fit, own):
        of.plot.trajectories()
    for one, other in zip(
        *(
            (
                of.emmeans("sex"),
                of.emtrends("age", by="sex"),
                of.anova(type=3),
                of.augment(),
                of.update(method="ml"),
            )
            for of in (fit, own)
        ),
        strict=True,
    ):
        assert str(one) == str(other)


def test_update_takes_other_columns_only_of_data_that_are_what_they_were() -> None:
    frame = data()
    fit = fitted(frame)
    wider = fit.update(". ~ . + extra")
    assert "extra" in wider.params.names
    frame["age"] += 1.0
    with pytest.raises(mm.DataError, match="'extra' is not one of those the fit keeps"):
        fit.update(". ~ . + extra")
    with pytest.raises(mm.DataError, match="'extra' is not in the data"):
        pickle.loads(pickle.dumps(fit)).update(". ~ . + extra")


def test_data_need_not_be_kept() -> None:
    fit = fitted(data(), control=mm.Control(keep_data=False))
    assert str(fit) == str(fitted(data()))
    fit.predict(se=True)
    for ask in (lambda: fit.emmeans("arm"), fit.augment, lambda: fit.update(method="ml")):
        with pytest.raises(mm.SpecError, match=r"does not hold \(Control\(keep_data=False\)"):
            ask()

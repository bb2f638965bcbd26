"""R's emmeans beyond means and pairs: transformed responses, nuisance factors, offsets, margins, letters, groups."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from reference.loading import FOLDER, read_frame

PLACE = FOLDER / "inference_emmeans"
CASE: dict[str, Any] = json.loads((PLACE / "tables.json").read_text(encoding="utf-8"))
OURS = {"ddf": "kenward-roger", "information": "expected"}
DF = 1e-4
STD_ERROR = 1e-5
P_VALUE = 1e-4
MONTE_CARLO = 1e-3
"""emmeans integrates the multivariate t by Monte Carlo."""


@cache
def fitted(model: str) -> Fit:
    described = CASE["lifted" if model == "lifted" else "data"]
    data = read_frame(PLACE / described["file"], json.dumps(described["columns"]))
    fit = mm.lm if model == "lifted" else mm.lmm
    return fit(CASE["formulas"][model], data, control=mm.Control(decrement=1e-12))


def ask(model: str, call: dict[str, Any]) -> Any:
    """Return our table for the call that R's script recorded."""
    fit = fitted(model)
    ours = OURS
    if "joint_tests" in call or call.get("joint"):
        # emmeans does not scale F as Kenward and Roger do
        ours = {"ddf": "satterthwaite"}
    if "joint_tests" in call:
        return fit.joint_tests(**(call["joint_tests"] or {}), **ours)
    if "letters" in call:
        return fit.emmeans(call["specs"]).cld(adjust="none")
    if "trend" in call:
        found = fit.emtrends(call["trend"], call["specs"], **ours)
    else:
        names = ("by", "at", "type", "nuisance", "offset", *(() if call.get("regrid") else ("bias_sigma",)))
        found = fit.emmeans(call["specs"], **{name: call[name] for name in names if name in call}, **ours)
    if call.get("regrid"):
        found = found.regrid(bias_sigma=call.get("bias_sigma"))
    if "custom" in call:
        found = found.contrast(call["custom"])
        return found.joint_test() if call.get("joint") else found
    if "interaction" in call:
        return found.contrast(interaction=call["interaction"])
    if "contrast" in call:
        found = found.contrast(call["contrast"], adjust=call.get("adjust"), ref=call.get("ref"))
    return found.test(**call["test"]) if "test" in call else found


def close(ours: Any, theirs: Any, what: str, *, relative: float = 0.0, absolute: float = 0.0) -> None:
    values = np.array([np.nan if v is None else v for v in np.atleast_1d(theirs)], dtype=float)
    np.testing.assert_allclose(ours, values, rtol=relative, atol=absolute, err_msg=what)


EACH = [table for table in CASE["tables"] if "estimate" in table]
JOINT = [table for table in CASE["tables"] if "num_df" in table]


@pytest.mark.parametrize("table", EACH, ids=lambda table: table["id"])
def test_estimates(table: dict[str, Any]) -> None:
    call = table["call"]
    found = ask(table["model"], call)
    scale = np.max(table["std_error"])
    # contrasts of logarithms are ratios on the response's scale, in a column called so as in emmeans
    name = "ratio" if "ratio" in found else "estimate"
    close(found[name], table["estimate"], "estimate", relative=1e-7, absolute=1e-5 * scale)
    close(found["std_error"], table["std_error"], "std_error", relative=STD_ERROR)
    if call.get("regrid") and "contrast" in call:
        # emmeans gives differences the smallest df of the means in them, ours are those of the linearised difference
        assert (found["df"] > table["df"]).all()
        return
    close(found["df"], table["df"], "df", relative=DF)
    drawn = call.get("adjust") == "mvt"
    for name in ("conf_low", "conf_high"):
        if name in table and name in found:
            close(found[name], table[name], name, absolute=(MONTE_CARLO if drawn else 1e-4) * 3 * scale)
    for name, absolute in (("statistic", 1e-4), ("p_value", MONTE_CARLO if drawn else P_VALUE)):
        if name in table and name in found:
            theirs = np.array(table[name], dtype=float)
            close(found[name], theirs, name, absolute=absolute, relative=1e-5)


@pytest.mark.parametrize("table", JOINT, ids=lambda table: table["id"])
def test_joint(table: dict[str, Any]) -> None:
    found = ask(table["model"], table["call"])
    order = np.arange(len(found["statistic"]))
    if table.get("by_level"):
        (by,) = (
            name for name in found.names if name not in ("term", "num_df", "den_df", "statistic", "p_value")
        )
        ours = [(row["term"], row[by]) for row in (found.row(i) for i in order)]
        theirs = list(zip(table["term"], table["by_level"], strict=True))
        assert sorted(ours) == sorted(theirs)
        order = np.array([ours.index(pair) for pair in theirs])
    elif len(order) > 1:
        assert found["term"].tolist() == table["term"]
    close(found["num_df"][order], table["num_df"], "num_df")
    # R rounds F to three decimals and df to two
    close(found["statistic"][order], table["statistic"], "F", absolute=5.1e-4)
    # the df of several rows together are Fai and Cornelius's, as SAS's and lmerTest's; emmeans has a rule of its own
    single = np.atleast_1d(table["num_df"]) == 1
    close(found["den_df"][order][single], np.atleast_1d(table["den_df"])[single], "den_df", absolute=5.1e-3)
    close(found["p_value"][order][single], np.atleast_1d(table["p_value"])[single], "p", absolute=P_VALUE)


def test_letters() -> None:
    (table,) = (table for table in CASE["tables"] if "letters" in table["call"])
    found = ask(table["model"], table["call"])
    theirs = dict(zip(table["call"]["letters"], table["group"], strict=True))
    order = found["lab"].tolist()
    shared = [[bool(set(a.strip()) & set(b.strip())) for b in found["group"]] for a in found["group"]]
    expected = [[bool(set(theirs[a].strip()) & set(theirs[b].strip())) for b in order] for a in order]
    assert shared == expected
    assert len({letter for group in found["group"] for letter in group.strip()}) == 2


def test_there_are_many() -> None:
    assert len(EACH) + len(JOINT) >= 50

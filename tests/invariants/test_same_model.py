"""The same model gives the same numbers: data in other units, from other origins, in other orders and codings."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.tool import Tool
from mixedmodels.tools import FitTools
from recodings import FITS, LEVELS, Recoding, Written, recodings, write
from same_model_answers import NOT_ASKED, QUESTIONS, Asked, answers
from same_model_cases import CASES, Case
from same_model_data import relationship, responses

DIGITS = 5e-6
"""Six digits, of the value or of its standard error where that is larger."""
DIGITS_OF_DF = 1e-5
"""Degrees of freedom move ten times as much as the estimates that they are computed from."""
DECREMENT = 1e-13
"""Searches end so near the optimum that they agree to six digits."""


def fit(case: Case, written: Written) -> Fit:
    """Return the fit of a case to data written in some way, by a formula written likewise."""
    recoding = written.recoding
    left, _, right = case.formula.partition(" ~ ")
    if recoding.terms == "reversed":
        right = " + ".join(reversed(sum_terms(right)))
    options = dict(case.options)
    if "weights" in options:
        options["weights"] = written.names.get(options["weights"], options["weights"])
    if recoding.coding != "treatment" and "arm" in right:
        options["contrasts"] = {written.names.get("arm", "arm"): recoding.coding}
    if "cov=A" in case.formula:
        new = {old: new for new, old in written.tokens.items()}
        options["known"] = {"A": relationship().rename(index=new, columns=new)}
    formula, control = (
        written.write(f"{left} ~ {right}"),
        mm.Control(decrement=DECREMENT, engine=case.engine, threads=recoding.threads),
    )
    if case.family is not None:
        for name in ("zero_inflation", "dispersion", "residual"):
            if options.get(name):
                options[name] = written.write(options[name])
        return mm.glmm(formula, graded(written), case.family, control=control, **options)
    return mm.lmm(
        formula,
        written.data,
        residual=None if case.residual is None else written.write(case.residual),
        variance=None if case.variance is None else written.write(case.variance),
        control=control,
        **options,
    )


def graded(written: Written) -> pd.DataFrame:
    """Return the data with the grades in their order."""
    name = written.names.get("grade", "grade")
    grades = pd.Categorical(written.data[name], ["grade1", "grade2", "grade3"], ordered=True)
    return written.data.assign(**{name: grades})


def sum_terms(text: str) -> list[str]:
    """Return the terms of a sum, those in brackets whole."""
    depth, parts = 0, [""]
    for word in re.split(r"( \+ |[()])", text):
        depth += (word == "(") - (word == ")")
        if word == " + " and depth == 0:
            parts.append("")
        else:
            parts[-1] += word
    return parts


@cache
def asked_once(name: str) -> dict[str, tuple[float, float]]:
    """Return the answers about the data as they are."""
    return ask(name, Recoding())


def ask(name: str, recoding: Recoding) -> dict[str, tuple[float, float]]:
    written = write(responses(), recoding, CASES[name])
    return answers(Asked(fit(CASES[name], written), CASES[name], written))


def differences(name: str, recoding: Recoding) -> list[str]:
    """Return what is not the same, the worst first."""
    expected, found = asked_once(name), ask(name, recoding)
    worst = []
    for label in expected.keys() & found.keys():
        (one, size), (other, _) = expected[label], found[label]
        if one == other or (np.isnan(one) and np.isnan(other)):
            continue
        scale = max(abs(one), size) + 1e-300
        error = abs(other - one) / scale
        if not error <= (DIGITS_OF_DF if label.endswith("df") else DIGITS):
            worst.append((float(np.nan_to_num(error, nan=np.inf)), f"{label}: {one:.9g}, not {other:.9g}"))
    refused = [label for label in expected.keys() ^ found.keys() if "refused" in label]
    return refused + [f"{error:.1e} {text}" for error, text in sorted(worst, reverse=True)]


@pytest.mark.parametrize("row", range(FITS))
@pytest.mark.parametrize("name", CASES)
def test_same_model_same_numbers(name: str, row: int) -> None:
    recoding = recodings(list(CASES).index(name))[row]
    wrong = differences(name, recoding)
    assert not wrong, f"{recoding}\n" + "\n".join(wrong[:12])


def test_every_tool_is_asked() -> None:
    tools = {name for name, value in vars(FitTools).items() if isinstance(value, Tool)}
    missing = tools - QUESTIONS.keys() - NOT_ASKED.keys()
    assert not missing, f"write a question in same_model_answers.py for: {', '.join(sorted(missing))}"
    assert NOT_ASKED.keys() <= tools


def test_recodings_cover_every_pair() -> None:
    """Every case meets every way of each thing, and over the cases every two ways of two things meet."""
    met = set()
    for place in range(len(CASES)):
        rows = [[getattr(row, name) for name in LEVELS] for row in recodings(place)]
        assert all(
            set(column) == set(LEVELS[name])
            for name, column in zip(LEVELS, zip(*rows, strict=True), strict=True)
        )
        for row in rows:
            met |= {(a, row[a], b, row[b]) for a in range(len(row)) for b in range(a)}
    names = list(LEVELS)
    wanted = {
        (a, one, b, other)
        for a in range(len(names))
        for b in range(a)
        for one in LEVELS[names[a]]
        for other in LEVELS[names[b]]
    }
    assert not wanted - met

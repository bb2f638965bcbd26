"""A formula from a stranger is data: what is not in the language is refused, at once, and nothing happens."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm
from hostile_texts import ENDLESS, FORMULAS, STRUCTURES, VARIANCES
from mixedmodels.errors import MixedModelsError, SpecError
from mixedmodels.syntax.formula import read_formula
from mixedmodels.syntax.structure_call import read_residual, read_variance
from mixedmodels.syntax.tokens import tokenize

AT_ONCE = 1.0
"""Seconds."""

CHILD = """
import json, sys
import numpy as np
import mixedmodels as mm
from mixedmodels.errors import MixedModelsError
data = {"Reaction": np.arange(60.0) % 7 + np.arange(60) / 9, "Days": np.tile(np.arange(10.0), 6),
        "Subject": np.repeat(list("abcdef"), 10)}
before = np.geterr(), repr(np.get_printoptions()), np.random.get_state()[1].tolist()
fit = mm.lmm("Reaction ~ Days + (1 | Subject)", data)
asked = json.load(sys.stdin)
told = []
def ask(call):
    try:
        call()
    except MixedModelsError as error:
        told.append(str(error))
    else:
        told.append(None)
for text in asked["formulas"]:
    ask(lambda: mm.lmm(text, data))
for text in asked["residual"]:
    ask(lambda: mm.gls("Reaction ~ Days", data, residual=text))
for text in asked["variance"]:
    ask(lambda: mm.gls("Reaction ~ Days", data, variance=text))
for text in asked["texts"]:
    ask(lambda: fit.test(text))
    ask(lambda: fit.emmeans(text))
    ask(lambda: fit.emtrends(text))
    ask(lambda: fit.update(". ~ . + " + text))
assert before == (np.geterr(), repr(np.get_printoptions()), np.random.get_state()[1].tolist())
json.dump(told, sys.stdout)
"""
TEXTS = (
    "open('{file}', 'w')",
    "__import__('os').system('touch {file}')",
    "np.save('{file}', Days)",
    "eval('1')",
)


def filled(texts: tuple[str, ...], file: Path) -> list[str]:
    return [text.format(file=file) for text in texts]


def test_strangers_texts_leave_no_trace(tmp_path: Path) -> None:
    """In a process of its own: every text is refused, no file comes into being, NumPy is as it was."""
    file = tmp_path / "trace"
    asked = {
        "formulas": filled(FORMULAS, file),
        "residual": filled(STRUCTURES, file),
        "variance": filled(VARIANCES, file),
        "texts": filled(TEXTS, file),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    texts = [*asked["formulas"], *asked["residual"], *asked["variance"]]
    texts += [
        f"{tool} {text}" for text in asked["texts"] for tool in ("test", "emmeans", "emtrends", "update")
    ]
    accepted = [text for text, message in zip(texts, told, strict=True) if message is None]
    assert accepted == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", FORMULAS)
def test_a_refusal_points(text: str) -> None:
    """The message is one sentence or two, and where the text cannot be read a caret stands under the place."""
    data = {"Reaction": np.arange(9.0), "Days": np.arange(9.0) % 4, "Subject": list("abcabcabc")}
    with pytest.raises(MixedModelsError) as caught:
        mm.lmm(text.format(file="nowhere"), data)
    assert "^" in str(caught.value)


@pytest.mark.parametrize("place", range(len(ENDLESS)))
def test_endless_work_is_refused_at_once(place: int) -> None:
    begin = time.perf_counter()
    with pytest.raises(SpecError):
        read_formula(ENDLESS[place])
    assert time.perf_counter() - begin < AT_ONCE


@pytest.mark.parametrize("text", STRUCTURES)
def test_residual_structures(text: str) -> None:
    with pytest.raises(SpecError):
        read_residual(text.format(file="nowhere"))


@pytest.mark.parametrize("text", VARIANCES)
def test_variance_functions(text: str) -> None:
    with pytest.raises(SpecError):
        read_variance(text.format(file="nowhere"))


def test_no_python_evaluates_text() -> None:
    """Nothing in the package calls `eval`, `exec`, `compile` or a library's evaluation of text."""
    root = Path(mm.__file__).parent
    words = (
        " eval(",
        "=eval(",
        "(eval(",
        " exec(",
        "stateful_eval",
        ".query(",
        ".eval(",
        "Formula(coded",
        "model_matrix(",
    )
    found = [
        (path.name, word)
        for path in root.rglob("*.py")
        for word in words
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


def test_length_is_limited() -> None:
    with pytest.raises(SpecError, match="at most 10,000 characters"):
        tokenize("y ~ " + "x" * 10_000)

"""Every Python block of the README and of docs/ runs, and prints what stands below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from documented_examples import ROOT, agree, documents, examples, run, tidy


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_print_what_they_promise(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for example in examples(path.read_text(encoding="utf-8")):
        printed = run(example, namespace, f"{path.name}, block at line {example.line}")
        if example.promised is not None:
            assert agree(printed, example.promised), (
                f"{path.name}, line {example.line}, printed:\n{printed}promised:\n{tidy(example.promised)}"
            )
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_readme_is_led_by_an_example_with_its_output() -> None:
    first = next(examples((ROOT / "README.md").read_text(encoding="utf-8")))
    assert first.promised is not None


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("sd 24.7405", "sd 24.7406", True),
        ("sd 24.7405", "sd  24.7407", False),
        ("sd 24.7405", "se 24.7405", False),
        ("(1.0, True)", "(1.1, True)", True),
        ("p <0.0001", "p <0.0002", False),
        ("a b", "a", False),
    ],
)
def test_outputs_agree_to_the_last_digit_shown(ours: str, theirs: str, same: bool) -> None:
    assert agree(ours, theirs) is same

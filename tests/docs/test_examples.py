"""Every Python block of the README and of docs/ runs, and prints what stands below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from documented_examples import ROOT, documents, examples, run, tidy


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
            assert printed == tidy(example.promised), f"{path.name}, line {example.line}"


def test_the_readme_is_led_by_an_example_with_its_output() -> None:
    first = next(examples((ROOT / "README.md").read_text(encoding="utf-8")))
    assert first.promised is not None

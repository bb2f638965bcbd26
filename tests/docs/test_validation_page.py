"""The table of the validation page is what lies in tests/reference."""

from __future__ import annotations

import importlib.util
import json
import re
from types import ModuleType

from documented_examples import ROOT


def test_the_table_counts_the_reference_models() -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    table = {case: int(count) for case, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)}
    files = (ROOT / "tests" / "reference").glob("*/result.json")
    kept = {path.parent.name: len(json.loads(path.read_text(encoding="utf-8"))["models"]) for path in files}
    assert table == kept


def test_the_counts_of_odd_data_are_those_of_the_tests() -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    odd = _module("tests/unit/frame/test_odd_data.py")
    units = _module("tests/unit/inference/test_units.py")
    refused = next(
        mark
        for mark in odd.test_columns_that_cannot_be_used_are_named.pytestmark
        if mark.name == "parametrize"
    )
    counts = re.search(
        r"^(\d+) forms of one data set.*?; (\d+)\nkinds of columns .*?; (\d+) results",
        page,
        re.MULTILINE | re.DOTALL,
    )
    assert counts is not None
    assert tuple(map(int, counts.groups())) == (len(odd.FRAMES), len(refused.args[1]), len(units.FACTS))


def test_the_readme_promises_no_more_models_than_there_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    promised = re.search(r"more than (\d+) models", readme)
    assert promised is not None
    files = (ROOT / "tests" / "reference").glob("*/result.json")
    assert sum(len(json.loads(path.read_text(encoding="utf-8"))["models"]) for path in files) > int(
        promised[1]
    )


def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.rsplit("/", 1)[-1].removesuffix(".py"), ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

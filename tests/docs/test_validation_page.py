"""The table of the validation page is what lies in tests/reference."""

from __future__ import annotations

import json
import re

from documented_examples import ROOT


def test_the_table_counts_the_reference_models() -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    table = {case: int(count) for case, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)}
    files = (ROOT / "tests" / "reference").glob("*/result.json")
    kept = {path.parent.name: len(json.loads(path.read_text(encoding="utf-8"))["models"]) for path in files}
    assert table == kept

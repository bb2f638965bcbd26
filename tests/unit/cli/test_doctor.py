"""`mixedmodels doctor`: what is installed, and whether numbers are as they should be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mixedmodels.cli import doctor, main


def test_it_says_what_is_installed_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for word in ("numpy", "BLAS", "processors", "threads", "Self-test", "SAS PROC MIXED", "pass"):
        assert word in printed
    assert "FAIL" not in printed


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert len(found["self_test"]["reference"]) == 5


def test_a_wrong_number_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = doctor.references()[0]
    monkeypatch.setattr(doctor, "references", lambda: (replace(first, value=first.value + 1e-3),))
    assert main(["doctor"]) == 1
    assert "FAIL" in capsys.readouterr().out

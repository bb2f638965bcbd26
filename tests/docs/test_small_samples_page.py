"""The page on small samples says what was simulated, and the defaults are of the size it promises."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from documented_examples import ROOT

SIZES = ROOT / "benchmarks" / "sizes"
MODULES = ("measures", "scenarios", "run", "page")


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The harness, whose files import one another by name; taken out of the interpreter again afterwards."""
    monkeypatch.syspath_prepend(str(SIZES))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = {name: __import__(name) for name in MODULES}
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name)
    return found


def test_the_page_is_written_from_the_results(harness: dict[str, ModuleType]) -> None:
    page = harness["page"]
    written = page.write()
    assert page.PAGE.read_text(encoding="utf-8") == written, "run: python benchmarks/sizes/page.py"
    assert "{{" not in written


def test_every_design_has_been_run(harness: dict[str, ModuleType]) -> None:
    kept = harness["page"].Results().kept
    assert set(kept) == set(harness["scenarios"].SCENARIOS)
    for name, scenario in harness["scenarios"].SCENARIOS.items():
        assert kept[name]["title"] == scenario.title
        assert sum(kept[name]["failed"].values()) == 0


def test_defaults_hold_what_is_promised(harness: dict[str, ModuleType]) -> None:
    """Sizes of 4–7 % and coverages of 93–97 %, within two Monte Carlo errors."""
    page = harness["page"]
    results = page.Results()
    assert "none of them is outside" in page.outside(results)
    for name in ("predictions_5", "predictions_12"):
        for what in (
            "mean of the population",
            "row of a new cluster",
            "mean of a cluster",
            "row of a cluster",
        ):
            assert "**" not in results.share(name, f"cover|{what}|auto", page.COVERAGES)
    for name, parameters in page.VARIANCES:
        for parameter in parameters:
            mean, error, _ = results.mean(name, f"cover|sd({parameter})|profile")
            # a limit at zero can cover more
            assert 100 * mean + 200 * error >= page.COVERAGES[0]


@pytest.mark.parametrize("name", ["blocks", "series", "areas", "studies"])
def test_a_replicate_depends_on_its_number_alone(harness: dict[str, ModuleType], name: str) -> None:
    run, scenario = harness["run"], harness["scenarios"].SCENARIOS[name]
    first = run.replicate(name, scenario, 3)
    assert run.replicate(name, scenario, 3) == pytest.approx(first, nan_ok=True)
    assert all(key.count("|") == 2 for key in first)

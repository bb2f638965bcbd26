"""Models written in R run there with the same likelihood, and are read again as the same spec."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mixedmodels as mm
from written_models import models

RESULTS = json.loads((Path(__file__).parent / "written_in_r" / "in_r.json").read_text(encoding="utf-8"))
TARGETS = ("nlme", "lme4", "glmmtmb")
LIKELIHOOD = 5e-4
"""R's optimisers stop at relative changes; they may be this much below the maximum, and are not above it."""


def texts() -> list[dict[str, Any]]:
    """Return every text that a model has in R, with its data and fit."""
    found = []
    for name, formula, options in models():
        fit = mm.lmm(formula, mm.datasets.load(name), **options)
        for target in TARGETS:
            try:
                text = getattr(fit, f"to_{target}")()
            except mm.SpecError:
                continue
            found.append(
                {
                    "data": name,
                    "formula": formula,
                    "target": target,
                    "text": text,
                    "reml": fit.spec.method == "reml",
                    "fit": fit,
                }
            )
    return found


def plain(spec: mm.ModelSpec) -> mm.ModelSpec:
    """Return what text says of a spec: not how it was spelled, nor what the fit's tables use."""
    return replace(spec, formula="", ddf="auto", na="drop")


@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_what_is_written_runs_in_r_and_is_read_again() -> None:
    written = texts()
    kept = {(one["data"], one["text"]): one for one in RESULTS}
    assert len(written) >= 100
    for one in written:
        fit = one["fit"]
        expected = kept[one["data"], one["text"]]
        if "error" in expected:
            # structures that glmmTMB has since 1.1.15, and a corARMA beside a random intercept that lme does not fit
            assert any(word in one["text"] for word in ("homdiag(", "homcs(", "corARMA("))
        else:
            assert -2e-5 < fit.loglik - expected["loglik"] < LIKELIHOOD, one["text"]
        again = mm.r(one["text"], {"data": mm.datasets.load(one["data"])}).fits[0]
        if one["target"] != "glmmtmb":
            assert plain(again.spec) == plain(fit.spec), one["text"]
        assert again.loglik == pytest.approx(fit.loglik, abs=1e-6), one["text"]


if __name__ == "__main__":
    kept = [{key: value for key, value in one.items() if key != "fit"} for one in texts()]
    print(json.dumps(kept, indent=1))

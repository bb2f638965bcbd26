"""Texts written for R run in R as it is here, those for SAS in `mm.sas`: the likelihood is that of the fit."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import mixedmodels as mm
from reference.test_written_in_r import LIKELIHOOD, texts
from written_models import models

HERE = Path(__file__).parent


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_what_is_written_runs_in_r_today(tmp_path: Path) -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    # the scripts find the data beside themselves
    folder = tmp_path / "tests" / "reference" / "written_in_r"
    folder.mkdir(parents=True)
    (tmp_path / "src").symlink_to(HERE.parents[1] / "src")
    for name in ("fit_to_json.R", "dense.R"):
        shutil.copy(HERE / name, folder.parent)
    shutil.copy(HERE / "written_in_r" / "model.R", folder)
    written = texts()
    kept = [{key: value for key, value in one.items() if key != "fit"} for one in written]
    (folder / "texts.json").write_text(json.dumps(kept), encoding="utf-8")
    done = subprocess.run(
        ["Rscript", str(folder / "model.R")], capture_output=True, text=True, check=False, timeout=3000
    )
    if done.returncode and "there is no package" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "in_r.json").read_text(encoding="utf-8"))
    compared: dict[str, int] = {}
    for one, found in zip(written, results, strict=True):
        if "error" in found:
            # structures that glmmTMB has since 1.1.15, and a corARMA beside a random intercept that lme does not fit
            assert any(word in one["text"] for word in ("homdiag(", "homcs(", "corARMA(")), found
            continue
        assert -2e-5 < one["fit"].loglik - found["loglik"] < LIKELIHOOD, one["text"]
        compared[one["target"]] = compared.get(one["target"], 0) + 1
    assert set(compared) == {"nlme", "lme4", "glmmtmb"}
    assert sum(compared.values()) >= 100


@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_what_is_written_for_sas_is_the_same_model() -> None:
    compared = 0
    for name, formula, options in models():
        data = mm.datasets.load(name)
        fit = mm.lmm(formula, data, **options)
        try:
            text = fit.to_sas()
        except mm.SpecError:
            continue
        listing = mm.sas(text, data={"data": data})
        again = listing.fits[0]
        assert again.loglik == pytest.approx(fit.loglik, abs=2e-6), text
        compared += 1
    assert compared >= 60

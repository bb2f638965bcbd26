"""Programs and translations from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import mixedmodels as mm
from mixedmodels.cli import main

SCRIPT = "m <- lme(travel ~ 1, data = rails, random = ~ 1 | Rail)\nVarCorr(m)\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "rails.R"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_a_script_runs_on_files(script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, page = tmp_path / "rails.csv", tmp_path / "page.html"
    mm.datasets.load("rail").to_csv(data, index=False)
    assert main(["run", str(script), "--data", f"rails={data}", "--html", str(page)]) == 0
    assert "615.311  24.8055" in capsys.readouterr().out
    assert "VarCorr(m)" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "line 1, column 29: 'rails' is not known"),
        (["--data", "rail"], "--data rail: write --data NAME=FILE"),
        (["--data", "rails=rail", "--data", "rails=rail"], "--data rails= is given twice"),
        (["--data", "rails=nothing.csv"], "nothing.csv"),
        (["--data", "rails=rail", "--html", "no/such/page.html"], "folder 'no/such' does not exist"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    script: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(script), *more]) == 2
    assert message in capsys.readouterr().err


def test_the_language_is_told_by_the_ending_or_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "program.txt"
    path.write_text(SCRIPT, encoding="utf-8")
    assert main(["run", str(path), "--data", "rails=rail"]) == 2
    assert "--language sas or --language r" in capsys.readouterr().err
    assert main(["run", str(path), "--data", "rails=rail", "--language", "r"]) == 0


def test_a_formula_is_translated(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["translate", "Y ~ age + (1 | id)", "--data", "orthodont", "--variance", "ident(sex)"]
    assert main([*asked, "--to", "nlme"]) == 0
    assert capsys.readouterr().out == (
        "lme(Y ~ 1 + age, data = data, random = ~ 1 | id, weights = varIdent(form = ~ 1 | sex))\n"
    )
    assert main([*asked, "--to", "sas"]) == 0
    assert "  repeated / group=sex;\n" in capsys.readouterr().out
    assert main([*asked, "--to", "lme4"]) == 2
    assert "lme4 cannot fit this model: variance='ident(sex)'" in capsys.readouterr().err
    assert main(["translate", "y ~ x + (1 | g)", "--family", "poisson", "--to", "sas"]) == 0
    assert "proc glimmix" in capsys.readouterr().out
    assert main(["translate", "y ~ (1 | a) + (1 | b)", "--to", "nlme"]) == 2
    assert "lme has no crossed random effects" in capsys.readouterr().err
    assert main(["translate", "y ~ x + (1 | g)"]) == 0
    assert "HPLMIXED" in capsys.readouterr().out

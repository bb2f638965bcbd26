"""The command line, run in this process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mixedmodels as mm
from mixedmodels.cli import main


@pytest.fixture
def rail_csv(tmp_path: Path) -> Path:
    path = tmp_path / "rail.csv"
    mm.datasets.load("rail").to_csv(path, index=False)
    return path


def test_fit_prints_the_summary(rail_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(rail_csv), "travel ~ 1 + (1 | Rail)"]) == 0
    out = capsys.readouterr().out
    assert "615.311  24.8055" in out
    assert "-61.089" in out


def test_fit_prints_json(rail_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["fit", str(rail_csv), "travel ~ 1 + (1 | Rail)", "--ml", "--json", "--ddf", "asymptotic"]) == 0
    )
    record = json.loads(capsys.readouterr().out)
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), method="ml")
    assert record["criterion"] == pytest.approx(fit.criterion, abs=1e-9)
    assert record["fixed_effects"][0]["estimate"] == pytest.approx(66.5)
    assert record["fixed_effects"][0]["df"] is None
    assert record["variance_components"][0]["group"] == "Rail"
    assert record["ngroups"] == {"Rail": 6}


EVENTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def test_fit_takes_a_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["fit", "cbpp", EVENTS, "--family", "binomial", "--html", str(page)]) == 0
    assert "binomial, logit link" in capsys.readouterr().out
    assert "binomial, logit link" in page.read_text(encoding="utf-8")
    asked = ["--family", "binomial", "--link", "probit", "--method", "rspl", "--dispersion", "free", "--json"]
    assert main(["fit", "cbpp", EVENTS, *asked, "--html", str(page)]) == 0
    record = json.loads(capsys.readouterr().out)
    fit = mm.glmm(EVENTS, mm.datasets.load("cbpp"), "binomial", "probit", method="rspl", dispersion="free")
    assert record["loglik"] is None
    assert record["pseudo_loglik"] == pytest.approx(fit.pseudo_loglik)
    assert (record["family"], record["link"], record["method"]) == ("binomial", "probit", "rspl")
    assert record["dispersion"] == pytest.approx(fit.dispersion)
    zeros = ["--family", "poisson", "--zero-inflation", "~ mined"]
    assert main(["fit", "salamanders", "count ~ mined + (1 | site)", *zeros]) == 0
    assert "zero" in capsys.readouterr().out


def test_fit_takes_names_of_data_sets_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["fit", "rail", "travel ~ 1 + (1 | Rail)", "--html", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(page) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nothing.csv", "y ~ 1"], "does not exist"),
        (["fit", "rail", "travell ~ 1 + (1 | Rail)"], "Did you mean 'travel'"),
        (["fit", "cbpp", EVENTS, "--trials", "size"], "--trials: for generalised models"),
        (["fit", "cbpp", EVENTS, "--family", "binomial", "--ml"], "--ml is for linear models"),
        (["fit", "cbpp", EVENTS, "--family", "binomal"], "Did you mean 'binomial'"),
        (["datasets", "rails"], "Did you mean 'rail'"),
        (["fit", "rails", "y ~ 1"], "'rails' is neither a file nor a data set. Did you mean 'rail'?"),
        (["fit", "rail", "travel ~ ("], "is never closed"),
        (["fit", "rail", "travel ~ 1", "--level", "95"], "level=95.0 must lie between 0 and 1"),
        (["fit", "rail", "travel ~ 1", "--html", "/proc/page.html"], "/proc/page.html: "),
    ],
)
def test_mistakes_end_with_a_message_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" or "--html" in arguments
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_datasets_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in mm.datasets.list())
    assert main(["datasets", "sleepstudy"]) == 0
    described = capsys.readouterr().out
    assert "180 rows" in described
    assert "Reaction" in described


def test_the_demo_runs_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "curves.png"
    assert main(["demo", "--figure", str(figure)]) == 0
    out = capsys.readouterr().out
    for number in ("24.8055", "4.0208", "631.478", "615.311", "-61.089", "1743.628", "433.516"):
        assert number in out
    assert f"saved to {figure}" in out
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_structured_errors_from_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--residual", "ar1(age | id)", "--variance", "ident(sex)"]
    assert main(["fit", "orthodont", "Y ~ sex * age", *options, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    direct = mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual=options[1], variance=options[3])
    assert record["criterion"] == pytest.approx(direct.criterion, abs=1e-8)
    assert (record["residual"], record["variance"]) == ("ar1(age | id)", "ident(sex)")


@pytest.mark.parametrize(
    "arguments", [[], ["fit"], ["fitt"], ["fit", "rail", "travel ~ 1", "--level", "much"]]
)
def test_wrong_commands_end_with_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("mixedmodels")
    assert message.count("\n") == 1


def test_data_come_from_standard_input(
    rail_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = rail_csv.read_bytes().replace(b",", b";")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["fit", "-", "travel ~ 1 + (1 | Rail)"]) == 0
    captured = capsys.readouterr()
    assert "615.311  24.8055" in captured.out
    assert captured.err == "mixedmodels: standard input: separated by semicolons\n"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp850", "ascii", "utf-8"])
def test_output_fits_the_character_set_of_the_terminal(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for options in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "mixedmodels", "fit", "rail", "travel ~ 1 + (1 | Rail)", *options],
            env=environment, capture_output=True, check=True,
        )  # fmt: skip
        text = done.stdout.decode(encoding)
        assert "66.5" in text
        assert "?" not in text
        if encoding == "ascii" and not options:
            assert "Kenward-Roger" in text

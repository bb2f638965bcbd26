"""The printed account of a fit: complete, aligned, and the same facts in HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm
from fitted_models import MODELS
from mixedmodels.fit import Fit


class Tags(HTMLParser):
    """Checks that every tag is closed in order, and collects the text."""

    VOID = ("meta", "br", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [
            value
            for name, value in attrs
            if name in ("src", "href") and value and not value.startswith(("data:", "#"))
        ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_html(source: str) -> Tags:
    tags = Tags()
    tags.feed(source)
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def sleep() -> Fit:
    return mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))


def test_the_summary_of_sleepstudy(sleep: Fit) -> None:
    text = str(sleep)
    for part in (
        "Linear mixed model by REML",
        "Reaction ~ Days + (Days | Subject)",
        "180 observations; 18 levels of Subject",
        "converged in",
        "blocked engine",
        "1743.628",
        "1755.628",
        "612.090  24.7405",
        "35.072   5.9221  0.0656",
        "654.941  25.5918",
        "251.405     6.82456  17  36.838  <0.0001  237.007  265.804",
        "Degrees of freedom: Kenward–Roger",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_asymptotic_tests_print_z_without_df(sleep: Fit) -> None:
    text = str(sleep.summary(ddf="asymptotic", level=0.9))
    header = next(line for line in text.splitlines() if "std. error" in line)
    assert header.split() == ["estimate", "std.", "error", "z", "p", "5%", "95%"]


@pytest.mark.parametrize("name", list(MODELS))
def test_html_is_well_formed_and_holds_the_same_numbers(name: str) -> None:
    summary = MODELS[name]().summary()
    tags = read_html(summary.to_html())
    words = set("".join(f" {text} " for text in tags.text).split())
    numbers = {word for word in str(summary).split() if word.replace(".", "").replace("-", "").isdigit()}
    assert numbers <= words


def test_notes_name_what_happened() -> None:
    data = mm.datasets.load("dyestuff2").assign(twice=1.0)
    data.loc[3, "Yield"] = np.nan
    text = " ".join(str(mm.lmm("Yield ~ 1 + twice + (1 | Batch)", data)).split())
    assert "singular" in text
    assert "The variance of (Intercept) for Batch is zero" in text
    assert "Aliased with earlier columns and not estimated: twice" in text
    assert "1 of 30 rows dropped" in text


def test_structured_terms_print_their_parameters() -> None:
    fit = mm.lmm("score ~ Machine + hcs(0 + Machine | Worker)", mm.datasets.load("machines"))
    rows = [line.split() for line in str(fit).splitlines()]
    assert ["Worker,", "hcs", "Machine[A]"] in [row[:3] for row in rows]
    correlation = next(row for row in rows if row[:1] == ["correlation"])
    assert float(correlation[1]) == pytest.approx(fit.random_cov(correlation=True).array[0, 1], abs=5e-4)


def test_linear_models_print_their_error_and_no_random_effects() -> None:
    text = str(mm.lm("travel ~ Rail", mm.datasets.load("rail")))
    assert "Linear model by ordinary least squares" in text
    assert "standard deviation 4.02078, 12 df" in text
    assert "Random effects" not in text
    assert "weighted" in str(mm.lm("travel ~ 1", mm.datasets.load("rail"), weights=np.arange(1.0, 19.0)))


def test_weights_are_named() -> None:
    data = mm.datasets.load("rail").assign(w=np.arange(1.0, 19.0))
    assert "Weights  w; var(e)" in str(mm.lmm("travel ~ 1 + (1 | Rail)", data, weights="w"))
    text = str(mm.lmm("travel ~ 1 + (1 | Rail)", data, weights=data["w"].to_numpy()))
    assert "Weights  given as an array; var(e)" in text


def test_models_without_fixed_effects_print() -> None:
    text = str(mm.lmm("travel ~ 0 + (1 | Rail)", mm.datasets.load("rail")))
    assert "Random effects" in text
    assert "Fixed effects" not in text


def test_printing_builds_no_system_when_the_df_need_none() -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"), ddf="residual")
    str(fit)
    assert "objective" not in fit._cache


def test_printing_stays_quick_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    monkeypatch.setattr("mixedmodels.report.summary.PRINTED_FLOPS", 0.0)
    quick = " ".join(str(fit).split())
    assert "asymptotic (normal and χ²)" in quick
    assert (
        "The method of this fit, kenward-roger, takes longer here; fit.fixed_effects() computes it." in quick
    )
    assert "Kenward–Roger" in str(fit.summary(ddf="kenward-roger"))
    # what was computed meanwhile does not show: a fit prints the same whatever was asked of it
    assert np.isfinite(fit.pvalues["Days"])
    assert " ".join(str(fit).split()) == quick


@pytest.mark.parametrize("name", list(MODELS))
def test_the_page_stands_alone(tmp_path: Path, name: str) -> None:
    written = MODELS[name]().report(tmp_path / "out.html")
    tags = read_html(written.read_text(encoding="utf-8"))
    assert tags.outside == []
    text = " ".join(tags.text)
    assert "Information criteria" in text
    assert "Random effects" in text


def test_the_page_needs_a_folder(sleep: Fit, tmp_path: Path) -> None:
    with pytest.raises(mm.SpecError, match="does not exist"):
        sleep.report(tmp_path / "nowhere" / "out.html")


def test_repeated_measures_print_their_structure_and_correlations_by_visit() -> None:
    fit = mm.mmrm("Y ~ sex * age + us(age | id, by=sex)", mm.datasets.load("orthodont"))
    text = str(fit)
    assert "Residual  us(age | id, by=sex)" in text
    assert "108 observations; 27 clusters by id" in text
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "Residual [sex=F], us" in line)
    assert [line.split()[0] for line in lines[first + 1 : first + 4]] == ["10", "12", "14"]
    printed = [float(value) for value in lines[first + 3].split()[3:]]
    girl = str(fit.design.residual.cluster_parts[0][fit.design.residual.sets == 0][0])
    np.testing.assert_allclose(printed, fit.residual_cov(girl, correlation=True).array[3, :3], atol=5e-4)
    assert sum("[sex=" in line and ", us" in line for line in lines) == 2


def test_variance_functions_are_named() -> None:
    orth = mm.datasets.load("orthodont")
    text = str(mm.lmm("Y ~ age + (1 | id)", orth, variance="ident(sex) * power(age)"))
    assert "Variance  ident(sex) * power(age)" in text
    assert "27 levels of id" in text

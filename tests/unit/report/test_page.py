"""The page about a fit: whole, without network, true to the fit, for every class of model."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from mixedmodels.report import page as pages
from mixedmodels.report.mathematics import model_mathematics
from mixedmodels.report.methods import methods_paragraph
from mixedmodels.report.words import model_words

MODELS: dict[str, Any] = {
    "slopes": lambda: mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy")),
    "ml": lambda: mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), method="ml"),
    "by": lambda: mm.lmm(
        "Y ~ sex * age + (1 | id, by=sex)", mm.datasets.load("orthodont"), variance="ident(sex)"
    ),
    "gls": lambda: mm.gls("Y ~ sex * age", mm.datasets.load("orthodont"), residual="ar1(age | id)"),
    "smooth": lambda: mm.lmm("follicles ~ s(Time, bs='cr') + (1 | Mare)", mm.datasets.load("ovary")),
    "lm": lambda: mm.lm("Reaction ~ Days", mm.datasets.load("sleepstudy")),
    "crossed": lambda: mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin")),
    "glmm": lambda: mm.glmm("y ~ base * trt + (1 | subject)", mm.datasets.load("epil"), "poisson"),
    "pseudo": lambda: mm.glmm("y ~ base + (1 | subject)", mm.datasets.load("epil"), "poisson", method="rspl"),
    "ordinal": lambda: mm.glmm("rating ~ temp + contact + (1 | judge)", mm.datasets.load("wine"), "ordinal"),
}


class Outline(HTMLParser):
    """Tags that are open, headings in order, and addresses that a page would fetch."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(given)
        for name in ("src", "href"):
            address = given.get(name) or ""
            if tag != "a" and address and not address.startswith("data:"):
                self.fetched.append(address)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    assert found.open == []
    return found


@pytest.mark.parametrize("name", MODELS)
def test_every_class_of_model_has_its_page(name: str, tmp_path: Path) -> None:
    fit: Fit = MODELS[name]()
    still = name in ("slopes", "glmm")
    target = fit.report(tmp_path / "out.html", interactive=not still)
    text = target.read_text(encoding="utf-8")
    found = outline(text)
    assert found.fetched == []
    assert found.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert all(image.get("alt") for image in found.images)
    assert bool(found.images) is still
    assert len(text) < 3_000_000
    assert '<html lang="en">' in text
    assert text.count('class="verdict ') >= 1


@pytest.mark.parametrize("name", MODELS)
def test_mathematics_is_well_formed_and_has_the_estimates(name: str) -> None:
    fit: Fit = MODELS[name]()
    blocks = model_mathematics(fit)
    words = " ".join("".join(ElementTree.fromstring(block).itertext()) for block in blocks)
    assert fit.spec.response.strip("`").split("(")[0] in words
    for term, sigma in zip(fit.design.random, fit.covariances, strict=True):
        if term.smooth or term.penalised:
            # curves stand as functions
            continue
        assert f"{sigma[0, 0, 0]:.4g}"[:4] in words


def test_words_say_what_was_fitted() -> None:
    words = " ".join(model_words(MODELS["by"]()))
    assert "fixed effects of sex, age and sex by age" in words
    assert "with parameters for each of F and M" in words
    assert "ident(sex)" in words
    assert "ar1(age | id)" in " ".join(model_words(MODELS["gls"]()))
    assert "least squares" in model_words(MODELS["lm"]())[-1]


def test_the_paragraph_cites_what_was_used() -> None:
    paragraph, references = methods_paragraph(MODELS["slopes"]())
    for cited in re.findall(r"\((\w[\w' -]*?(?: and \w[\w' -]*| et al\.)?) (\d{4})\)", paragraph):
        assert any(
            cited[0].split(" and ")[0].split(" et al")[0] in r and cited[1] in r for r in references
        ), cited
    assert "(Kenward and Roger 1997)" in paragraph
    assert "(Laird and Ware 1982)" in paragraph
    assert f"mixedmodels {mm.__version__}" in paragraph
    assert len(references) == 4
    ml, _ = methods_paragraph(MODELS["ml"]())
    assert "REML" not in ml
    assert "pseudo-likelihood" in methods_paragraph(MODELS["pseudo"]())[0]


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "has_bokeh", lambda: False)
    fit = MODELS["ml"]()
    text = fit.report(tmp_path / "out.html").read_text(encoding="utf-8")
    assert (
        "pip install &#x27;mixedmodels[report]&#x27;" in text or "pip install 'mixedmodels[report]'" in text
    )
    with pytest.raises(mm.SpecError, match="needs bokeh"):
        fit.report(tmp_path / "out.html", interactive=True)
    with pytest.raises(mm.SpecError, match="does not exist"):
        fit.report(tmp_path / "nowhere" / "out.html")


def test_texts_of_the_data_stay_texts(tmp_path: Path) -> None:
    data = {
        "y": np.random.default_rng(0).standard_normal(40),
        "a <b>": np.repeat([f"<script>alert({i})</script>" for i in range(8)], 5),
        "x&y": np.tile(np.arange(5.0), 8),
    }
    fit = mm.lmm("y ~ `x&y` + (1 | `a <b>`)", data)
    for interactive in (True, False):
        text = fit.report(tmp_path / "out.html", interactive=interactive, title="<i>me</i>").read_text(
            encoding="utf-8"
        )
        assert "<script>alert" not in text
        assert "<i>me</i>" not in text


def test_a_hundred_thousand_rows_are_sampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(2_000), 50)
    data = {"g": group, "t": np.tile(np.arange(50.0), 2_000)}
    data["y"] = 1 + 0.1 * data["t"] + rng.standard_normal(2_000)[group] + rng.standard_normal(100_000)
    target = mm.lmm("y ~ t + (1 | g)", data).report(tmp_path / "out.html")
    assert target.stat().st_size < 3_000_000
    text = target.read_text(encoding="utf-8")
    assert "A random sample of 4,000 of 100,000 rows." in text
    assert "A random sample of 200 of 2,000 levels." in text

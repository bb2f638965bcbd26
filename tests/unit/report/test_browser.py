"""The page in a real browser: nothing fetched, no error, figures that answer, paper, and accessibility basics."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium, or its like"
)
READABLE, DRAWN = 2.0, 3.0
"""Seconds for the page of a fit of 100,000 rows: until its text stands there (0.15), and of the processors until all
figures do (about 1.6 in as many seconds where nothing else runs)."""
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
FOCUSED = """
() => {
  let one = document.activeElement;
  while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  return one?.tagName;
}
"""
CONTRAST = """
() => {
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4); };
  const luminance = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const colour = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const below = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest("figure > div") || !element.getClientRects().length) continue;
    let opacity = 1, back = [255, 255, 255];
    for (let up = element; up; up = up.parentElement) opacity *= Number(getComputedStyle(up).opacity);
    for (let up = element; up; up = up.parentElement) {
      const found = colour(getComputedStyle(up).backgroundColor);
      if (found.length === 3 || found[3] > 0) { back = found; break; }
    }
    const full = colour(getComputedStyle(element).color).slice(0, 3);
    const ink = full.map((c, i) => opacity * c + (1 - opacity) * back[i]);
    const [high, low] = [luminance(ink), luminance(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) below.push([element.tagName, element.textContent.slice(0, 40), ratio]);
  }
  return below;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    pytest.importorskip("bokeh", reason="bokeh is not installed: pip install 'mixedmodels[report]'")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


class Opened:
    """A page that was opened, and what it said and asked for."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.session = browser.new_browser_cdp_session()
        before = self.processors()
        self.page = browser.new_page(viewport={"width": 1100, "height": 900})
        self.page.on(
            "console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        # figures not in view are drawn while nothing else runs
        self.page.wait_for_function(
            "() => document.documentElement.dataset.figures === 'drawn' && Bokeh.documents.every((d) => d.is_idle)"
        )
        self.readable = self.page.evaluate(PAINTED) / 1000
        self.seconds = self.processors() - before

    def processors(self) -> float:
        """Return the seconds that processors have worked for the browser, whatever else they do."""
        found = self.session.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(process["cpuTime"] for process in found)


@pytest.fixture(scope="module")
def growth(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    fit = mm.lmm("Y ~ sex * age + (age | id)", mm.datasets.load("orthodont"))
    opened = Opened(browser, fit.report(tmp_path_factory.mktemp("report") / "out.html"))
    yield opened
    opened.page.close()


def test_the_page_opens_without_error_and_fetches_nothing(growth: Opened) -> None:
    assert growth.errors == []
    assert [url for url in growth.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert growth.page.locator("canvas").count() >= 4


def test_a_subject_is_picked(growth: Opened) -> None:
    read = "() => Bokeh.documents[0].get_model_by_name('chosen').data"
    assert len(growth.page.evaluate(read)["x"]) == 0
    growth.page.get_by_label("Show one level of id").select_option("12")
    data = growth.page.evaluate(read)
    assert list(data["x"]) == [8, 10, 12, 14]
    assert list(data["y"]) == [26, 25, 29, 31]
    growth.page.get_by_label("Show one level of id").select_option("none")
    assert len(growth.page.evaluate(read)["x"]) == 0


def test_a_group_is_hidden_by_its_box(growth: Opened) -> None:
    hidden = """
      () => [...Bokeh.documents[0].all_models].filter((m) => m.type === "GlyphRenderer" && !m.visible).length
    """
    assert growth.page.evaluate(hidden) == 0
    box = growth.page.locator("figure").nth(0).get_by_label("sex M")
    box.uncheck()
    assert growth.page.evaluate(hidden) == 2
    box.check()
    assert growth.page.evaluate(hidden) == 0


def test_a_keyboard_reaches_what_answers(growth: Opened) -> None:
    page = growth.page
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert {"A", "SELECT", "INPUT", "SUMMARY"} <= reached
    # the box of a group answers to the space bar
    growth.page.locator("figure").nth(0).get_by_label("sex F").focus()
    page.keyboard.press("Space")
    assert not growth.page.locator("figure").nth(0).get_by_label("sex F").is_checked()
    page.keyboard.press("Space")


def test_a_point_says_what_it_is(growth: Opened) -> None:
    figure = growth.page.locator("figure").nth(1)
    figure.scroll_into_view_if_needed()
    box = figure.locator("canvas").first.bounding_box()
    tip = growth.page.get_by_text("observed:")
    for step in range(400):
        # over the middle of the figure, where most points are
        x = box["x"] + box["width"] * (0.2 + 0.55 * (step % 20) / 20)
        growth.page.mouse.move(x, box["y"] + box["height"] * (0.3 + 0.4 * (step // 20) / 20))
        if tip.count():
            break
    assert tip.count() == 1


def test_the_page_is_printed(growth: Opened) -> None:
    printed = growth.page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 30_000
    assert (
        printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type/Page") >= 2
    )


def test_accessibility_basics(growth: Opened) -> None:
    page = growth.page
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    levels = page.evaluate(
        "() => [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))"
    )
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("figure:not([aria-label]):not(:has(img))").count() == 0
    assert page.evaluate(
        "() => [...document.querySelectorAll('th')].every((h) => h.closest('table') && h.scope)"
    )
    headed = "() => [...document.querySelectorAll('table')].every((table) => table.querySelector('th'))"
    assert page.evaluate(headed)
    assert page.title().startswith("Report: ")
    unnamed = """() => [...document.querySelectorAll("[id]")].map((e) => e.id)
      .filter((id, k, all) => all.indexOf(id) !== k)"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate(CONTRAST) == []
    names = page.evaluate("() => [...document.querySelectorAll('a')].map((a) => a.textContent.trim())")
    assert all(names)


def test_a_large_fit_opens_at_once(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(2_000), 50)
    data = {"g": group, "t": np.tile(np.arange(50.0), 2_000), "arm": np.where(group % 2, "a", "b")}
    data["y"] = 1 + 0.1 * data["t"] + rng.standard_normal(2_000)[group] + rng.standard_normal(100_000)
    path = mm.lmm("y ~ t * arm + (1 | g)", data).report(tmp_path / "out.html", checks=False)
    opened = Opened(browser, path)
    assert opened.errors == []
    assert path.stat().st_size < 3_000_000
    assert opened.readable < READABLE
    assert 0.1 < opened.seconds < DRAWN
    opened.page.close()

"""The documentation is built as a site without network: no dead link, every page in its place, nothing fetched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from documented_examples import ROOT

OUTSIDE = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?(https?://[^"'> ]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'mixedmodels[docs]'")
    pytest.importorskip(
        "material", reason="mkdocs-material is not installed: pip install 'mixedmodels[docs]'"
    )
    folder = tmp_path_factory.mktemp("site")
    # any proxy is a wall: a build that fetches fails
    wall = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, **wall, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        assert (site / path.relative_to(ROOT / "docs")).with_suffix(".html").is_file(), path


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        address = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert f'href="{address}"' in home, address


def test_pages_fetch_nothing(site: Path) -> None:
    fetched = {
        address
        for path in site.rglob("*.html")
        for address in OUTSIDE.findall(path.read_text(encoding="utf-8"))
        if "canonical" not in address
    }
    assert fetched == set()


def test_the_reference_has_every_tool(site: Path) -> None:
    from mixedmodels.tool import Tool
    from mixedmodels.tools import FitTools, Plots

    for owner, before, page in ((FitTools, "fit", "tools"), (Plots, "fit.plot", "figures")):
        text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
        for name, value in vars(owner).items():
            if isinstance(value, Tool):
                assert f"<code>{before}.{name}</code>" in text, name


def test_every_comparison_has_its_row(site: Path) -> None:
    text = (site / "validation-cases.html").read_text(encoding="utf-8")
    for script in (ROOT / "tests" / "reference").glob("*/*.R"):
        assert f"<code>{script.parent.name}</code>" in text


def test_bars_in_tables_of_code_are_bars(site: Path) -> None:
    text = (site / "for-sas-users.html").read_text(encoding="utf-8")
    assert "(1 | id)" in text
    assert "\\|" not in text


def test_programs_that_read_find_the_pages(site: Path) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# mixedmodels\n\n> ")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (site / target).is_file(), target

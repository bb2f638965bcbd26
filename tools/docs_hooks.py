"""What mkdocs adds to the pages of docs/: the reference from docstrings and registries, every comparison, llms.txt."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from docs_reference import reference_pages
from docs_validation import validation_page
from mkdocs.structure.files import File, Files

CODE = re.compile(r"`[^`]*`")
DOCS = Path(__file__).resolve().parents[1] / "docs"


def on_config(config: Any) -> Any:
    """Put the reference pages into the navigation, and guides that mkdocs.yml does not name."""
    named = str(config["nav"])
    guides = next(part["Guides"] for part in config["nav"] if "Guides" in part)
    for path in sorted((DOCS / "guides").glob("*.md")):
        if f"guides/{path.name}" not in named:
            title = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            guides.append({title: f"guides/{path.name}"})
    pages = [{title: f"reference/{name}.md"} for name, (title, _) in reference_pages().items()]
    config["nav"] = [{"Reference": pages} if "Reference" in part else part for part in config["nav"]]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are written from the sources."""
    for name, (_, text) in reference_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    files.append(File.generated(config, "validation-cases.md", content=validation_page()))
    files.append(File.generated(config, "llms.txt", content=language_models_page(config)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Free the bars inside code of tables, which are escaped for other readers of Markdown and shown so here."""
    return re.sub(
        r"^\|.*$",
        lambda line: CODE.sub(lambda code: code[0].replace("\\|", "|"), line[0]),
        markdown,
        flags=re.M,
    )


def language_models_page(config: Any) -> str:
    """Return llms.txt: what the package is, and where each page stands, for programs that read."""
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']}", ""]
    lines += [
        "Install with `pip install mixedmodels`, `import mixedmodels as mm`, fit with `mm.lmm(formula, data)` in",
        "lme4's formula language, `mm.glmm(formula, data, family)`, `mm.gls` or `mm.mmrm`. Tools of a fit return",
        "tables in the library of the data: `fit.fixed_effects()`, `fit.emmeans(...)`, `fit.anova()`, `fit.confint()`.",
    ]
    for part in config["nav"]:
        for title, inside in part.items():
            lines += ["", f"## {title}", ""] if isinstance(inside, list) else []
            pages = inside if isinstance(inside, list) else [part]
            lines += [f"- [{name}]({target}): {_first(target)}" for name, target in _pages(pages)]
    return "\n".join(lines) + "\n"


def _pages(parts: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    for part in parts:
        for name, target in part.items():
            yield name, target.replace(".md", ".html")


def _first(target: str) -> str:
    """Return the first sentence of a page."""
    path = DOCS / target.replace(".html", ".md")
    if not path.exists():
        return "written from the sources"
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    paragraphs = [p for p in re.split(r"\n\s*\n", prose) if p.strip() and p.strip()[0] not in "#`|!=*"]
    words = " ".join(paragraphs[0].split()) if paragraphs else ""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words)
    return re.split(r"(?<=[.:])\s", words)[0]

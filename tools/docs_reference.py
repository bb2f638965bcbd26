"""The reference of the documentation: every public name, tool and registry, from its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import mixedmodels as mm
from mixedmodels.covariance import STRUCTURES
from mixedmodels.emmeans.emm import EMM
from mixedmodels.fit import Fit
from mixedmodels.inference.ddf import DDF_METHODS
from mixedmodels.likelihood.families import FAMILIES
from mixedmodels.likelihood.links import LINKS
from mixedmodels.tool import Tool
from mixedmodels.tools import FitTools, Plots
from mixedmodels.variance import VARIANCES

SECTION = re.compile(r"^(?P<name>[A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)


@cache
def reference_pages() -> dict[str, tuple[str, str]]:
    """Return file name → (title, Markdown) of the pages of the reference."""
    return {
        "fitting": ("Fitting and data", _page("Fitting and data", _public())),
        "tools": ("Tools of a fit", _page("Tools of a fit", _tools(FitTools, "fit"))),
        "attributes": ("Attributes of a fit", _attributes()),
        "figures": ("Figures", _page("Figures", _tools(Plots, "fit.plot"))),
        "means": ("Estimated means", _page("Estimated means", _tools(EMM, "means"))),
        "registries": ("Structures, families, methods", _registries()),
    }


def _page(title: str, entries: Iterator[tuple[str, Any]]) -> str:
    parts = [f"# {title}\n", "Written from the docstrings; the examples are run by the tests.\n"]
    for name, thing in sorted(entries):
        parts += [f"## `{name}`\n", _entry(thing)]
    return "\n".join(parts)


def _public() -> Iterator[tuple[str, Any]]:
    for name in mm.__all__:
        thing = getattr(mm, name)
        if callable(thing) and name not in ("Fit", "Table"):
            yield f"mm.{name}", thing
    yield "mm.Table", mm.Table
    yield "mm.datasets.load", mm.datasets.load


def _tools(owner: type, before: str) -> Iterator[tuple[str, Any]]:
    for name, value in vars(owner).items():
        if isinstance(value, Tool):
            yield f"{before}.{name}", getattr(owner, name)


def _attributes() -> str:
    lines = ["# Attributes of a fit\n", "| attribute | what it is |", "|---|---|"]
    for name, value in sorted(vars(Fit).items()):
        if isinstance(value, property) and not name.startswith("_"):
            first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
            lines.append(f"| `fit.{name}` | {_cell(first)} |")
    return "\n".join(lines) + "\n"


def _registries() -> str:
    parts = [
        "# Structures, families, methods\n",
        "What can be named in formulas and arguments; one file of the package each.\n",
    ]
    for title, registry in (
        ("Covariance structures", STRUCTURES), ("Variance functions", VARIANCES), ("Families", FAMILIES),
        ("Links", LINKS), ("Degrees of freedom", DDF_METHODS),
    ):  # fmt: skip
        parts += [f"## {title}\n", "| name | what it is |", "|---|---|", *_rows(registry), ""]
    return "\n".join(parts)


def _rows(registry: Mapping[str, Any]) -> Iterator[str]:
    for name, thing in registry.items():
        text = inspect.getdoc(thing) or inspect.getdoc(type(thing)) or ""
        yield f"| `{name}` | {_cell(' '.join(text.partition(chr(10) * 2)[0].split()))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _entry(thing: Any) -> str:
    """Return signature and docstring of one function or class."""
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        signature = "(…)"
    signature = re.sub(r"^\((?:fit|emm): '?\w+'?,? ?", "(", signature).replace("'", "")
    shown = f"```text\n{thing.__name__}{signature}\n```\n"
    return shown + "\n" + _docstring(inspect.getdoc(thing) or "") + "\n"


def _docstring(text: str) -> str:
    """Return a NumPy docstring in Markdown: sections in bold, parameters as a list, examples as code."""
    pieces = SECTION.split(text)
    parts = [pieces[0].strip(), ""]
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        body = body.strip("\n")
        parts.append(f"**{name}**\n")
        if name in ("Parameters", "Attributes", "Returns", "Raises"):
            parts.append(_definitions(body))
        elif name == "Examples":
            parts.append(f"```pycon\n{body.strip()}\n```")
        else:
            parts.append(_indented_as_text(body))
        parts.append("")
    return "\n".join(parts)


def _definitions(body: str) -> str:
    """Return `name` lines and their indented texts as a list."""
    out, name, words = [], "", []

    def close() -> None:
        if name or words:
            out.append(f"* `{name}`: {' '.join(words)}" if words else f"* {name}")

    for line in body.splitlines():
        if line and not line.startswith(" "):
            close()
            name, words = line.strip(), []
        elif line.strip():
            words.append(line.strip())
    close()
    return "\n".join(out)


def _indented_as_text(body: str) -> str:
    """Return prose with its tables of plain text in code blocks."""
    out, table = [], False
    for line in body.splitlines():
        ruled = re.match(r"^=+( +=+)+$", line.strip()) is not None
        if ruled and not table:
            out.append("```text")
            table = True
        elif table and not line.strip():
            out.append("```")
            table = False
        out.append(line)
    if table:
        out.append("```")
    return "\n".join(out)

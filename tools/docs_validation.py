"""The page of every comparison with another program, from what lies in tests/reference."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).resolve().parents[1] / "tests" / "reference"
SCRIPTS = (".R", ".py", ".sas")
SHARED = {"jsonlite", "numDeriv", "minqa", "nloptr", "Matrix", "stats", "utils", "methods", "parallel"}
"""Packages that scripts use for themselves; the others are what is compared with."""


def validation_page() -> str:
    """Return the page in Markdown: a table of the cases, then the models of those that list them."""
    cases = [_case(folder) for folder in sorted(REFERENCE.iterdir()) if folder.is_dir()]
    cases = [case for case in cases if case["scripts"]]
    total = sum(case["numbers"] for case in cases)
    models = sum(len(case["models"]) for case in cases)
    parts = [
        "# Every comparison\n",
        f"Written from `tests/reference`: {len(cases)} cases with {total:,} numbers, {models} of "
        "their models listed below one by one. Each case keeps the script, what it printed, and the tolerance with its "
        "reason; the tests compare. What differs on purpose, and why, is under [validation](validation.md).\n",
        "| case | what | with | numbers | tolerance |",
        "|---|---|---|---:|---|",
        *(_row(case) for case in cases),
        "",
        "Tolerances are of the criterion (in units of −2 log L) and of estimates, relative to their standard error.\n",
    ]
    for case in cases:
        if case["models"]:
            parts += [f"## {case['name']}\n", *([f"{case['reason']}\n"] if case["reason"] else [])]
            parts += ["| formula | R | method |", "|---|---|---|", *case["models"], ""]
    return "\n".join(parts)


def _case(folder: Path) -> dict[str, Any]:
    scripts = [path for path in sorted(folder.iterdir()) if path.suffix in SCRIPTS]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in scripts)
    first = next((one for one in found if isinstance(one, dict)), {})
    tolerance = first.get("tolerance") if isinstance(first.get("tolerance"), dict) else {}
    return {
        "name": folder.name,
        "scripts": scripts,
        "about": first.get("about") or _comment(text),
        "programs": _programs(text, first),
        "numbers": sum(map(_count, found)),
        "tolerance": ", ".join(
            f"{key} {tolerance[key]:g}" for key in ("criterion", "estimate") if key in tolerance
        ),
        "reason": tolerance.get("reason", ""),
        "models": [
            _model(one) for one in first.get("models", []) if isinstance(one, dict) and "formula" in one
        ],
    }


def _comment(text: str) -> str:
    """Return the sentence that a script begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#") or re.match(r"#\s*Rscript", line):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines).partition(". ")[0].strip().rstrip(".")


def _programs(text: str, first: dict[str, Any]) -> str:
    named = re.findall(r"library\((\w+)\)|(\w+)::", text)
    found = dict.fromkeys(name for pair in named for name in pair if name and name not in SHARED)
    if not found and isinstance(first.get("software"), dict):
        found = dict.fromkeys(first["software"])
    if not found and "fit_to_json.R" in text:
        found = dict.fromkeys(("R: lme4, nlme or dense algebra",))
    if not found and re.search(r"dense\.R|clusters\.R|solve\(", text):
        found = dict.fromkeys(("dense algebra in R",))
    return ", ".join(list(found)[:6]) or "R"


def _count(value: Any) -> int:
    """Return how many numbers stand in a value."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, (int, float)):
        return 1
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 0


def _row(case: dict[str, Any]) -> str:
    what, numbers = _cell(case["about"]), f"{case['numbers']:,}"
    return f"| `{case['name']}` | {what} | {case['programs']} | {numbers} | {case['tolerance']} |"


def _model(model: dict[str, Any]) -> str:
    extras = "".join(f", {key}={model[key]}" for key in ("residual", "variance") if model.get(key))
    call = " ".join(str(model.get("call", "")).split())
    short = call if len(call) <= 160 else f"{call[:157]}…"
    return (
        f"| `{_cell(str(model['formula']))}`{_cell(extras)} | `{_cell(short)}` | {model.get('method', '')} |"
    )


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


if __name__ == "__main__":
    print(validation_page())

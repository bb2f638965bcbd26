"""Write the lists of `docs/guides/formula-language.md` from `mixedmodels.syntax.functions`.

python tools/formula_language.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from mixedmodels.syntax import functions as language

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "formula-language.md"
BEGIN, END = "<!-- lists: begin -->", "<!-- lists: end -->"
KINDS = {
    "rows": "Row by row: the value in a row depends on that row alone",
    "summary": "One number of the data of the fit, kept for new data",
    "learned": "One column, with what was learned from the data of the fit",
    "basis": "Several columns, with what was learned from the data of the fit",
    "factor": "Levels",
    "order": "By the order of rows",
}


def lists() -> str:
    """Return the lists as Markdown."""
    parts = []
    for kind, title in KINDS.items():
        parts.append(f"### {title}\n")
        parts += ["| function | also | meaning |", "|---|---|---|"]
        for function in (f for f in language.FUNCTIONS.values() if f.kind == kind):
            also = [*function.names, *(["np." + function.name] if function.numpy else [])]
            spelled = ", ".join(f"`{name}`" for name in also)
            parts.append(f"| `{_call(function)}` | {spelled} | {function.about or 'as in NumPy'} |")
        parts.append("")
    parts += [
        "### Codings of factors\n",
        "| `contrasts=` | in `C(x, …)` | options | meaning |",
        "|---|---|---|---|",
    ]
    for coding in language.CODING_KINDS.values():
        names = ", ".join(f"`{name}`" for name in coding.names)
        options = ", ".join(f"`{option.name}=`" for option in coding.options)
        parts.append(f"| `{coding.name}` | {names} | {options} | {coding.about} |")
    parts += ["", "### Limits\n", "| what | at most |", "|---|---|"]
    parts += [f"| {what} | {most} |" for what, most in _limits()]
    return "\n".join(parts)


def _limits() -> list[tuple[str, str]]:
    return [
        ("characters of a text", f"{language.MOST_CHARACTERS:,}"),
        ("terms after expansion", f"{language.MOST_TERMS:,}"),
        ("brackets inside one another", str(language.MOST_NESTED)),
        ("power of a sum of terms", str(language.LARGEST_POWER)),
        ("whole-number arguments (degrees, knots, df, orders)", f"{language.LARGEST_INTEGER:,}"),
        ("size of a constant, written or computed", f"{language.LARGEST_CONSTANT:g}"),
    ]


def _call(function: language.Function) -> str:
    shown = [
        p.name if p.default is language.REQUIRED else f"{p.name}={p.default}" for p in function.parameters
    ]
    return f"{function.name}({', '.join(shown)})"


def page() -> str:
    """Return the page with its lists as they are now."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{lists()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    if "--check" in sys.argv:
        sys.exit(
            0
            if page() == PAGE.read_text(encoding="utf-8")
            else "docs/guides/formula-language.md is out of date"
        )
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

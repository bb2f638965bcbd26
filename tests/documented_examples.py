"""Run the Python blocks of a Markdown file, and fill in the output they print.

    python tests/documented_examples.py README.md docs/start.md …

rewrites the ```text blocks of these files with what is printed now. The blocks of a file share one namespace
and run in order. As in a notebook, the value of a block's last expression is shown. A block followed directly
by a ```text block promises that output.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?P<gap>\n?)(?:^```text\n(?P<output>.*?)^```\n)?", re.M | re.S
)

NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Example:
    """One block of code, the line it starts on, and the output promised for it."""

    code: str
    line: int
    promised: str | None
    span: tuple[int, int]


def documents() -> list[Path]:
    """Return the files whose examples must hold."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples(text: str) -> Iterator[Example]:
    """Yield the Python blocks of a Markdown text."""
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Example(found["code"], line, found["output"], found.span("output"))


def run(example: Example, namespace: dict[str, Any], source: str) -> str:
    """Return what a block prints, with the value of its last expression."""
    tree = ast.parse(example.code, source)
    ast.increment_lineno(tree, example.line - 1)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, source, "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), source, "eval"), namespace)
            if value is not None:
                print(repr(value))
    return tidy(printed.getvalue())


def tidy(output: str) -> str:
    """Return output without blanks at line ends and blank lines around it."""
    lines = [line.rstrip() for line in output.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def agree(printed: str, promised: str) -> bool:
    """Return whether two outputs have the same words, and numbers within one unit of the last digit shown.

    Rounding differs between processors: a number half-way between two printed ones may become either.
    """
    pairs = zip_longest(printed.split(), promised.split(), fillvalue="")
    return all(ours == theirs or _nearly_equal(ours, theirs) for ours, theirs in pairs)


def _nearly_equal(ours: str, theirs: str) -> bool:
    found = [NUMBER.fullmatch(word.strip("()[],")) for word in (ours, theirs)]
    if None in found:
        return False
    first, second = (Decimal(match[0]) for match in found if match)
    return abs(first - second) <= max(Decimal(1).scaleb(int(x.as_tuple().exponent)) for x in (first, second))


def rewrite(path: Path) -> None:
    """Replace every promised output of a file by what its block prints now."""
    text = path.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    parts, end = [], 0
    for example in examples(text):
        output = run(example, namespace, str(path))
        if example.promised is not None:
            parts += [text[end : example.span[0]], output]
            end = example.span[1]
    path.write_text("".join([*parts, text[end:]]), encoding="utf-8")


if __name__ == "__main__":
    import matplotlib as mpl

    mpl.use("Agg")
    named = [Path(name).resolve() for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for path in named:
            rewrite(path)

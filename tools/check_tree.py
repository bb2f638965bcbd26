"""Check the tree itself: file lengths, and what no tracked file may say.

python tools/check_tree.py
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 600
MOST_LINES_BY_NAME = {"README.md": 100, "CONTRIBUTING.md": 110}
SOURCES = {".py", ".rs"}
# The tree speaks of mixed models, not of the machine or the meeting it was written in.
FORBIDDEN = (
    (re.compile(r"(?<![\w.~$}])/(?:" + r"work|home|root|Users)/"), "a path of one machine"),
    (re.compile(r"\b(?:this|last|next|previous|earlier|later) " + r"session\b", re.IGNORECASE), "a work log"),
    (re.compile(r"\bissue #?" + r"\d", re.IGNORECASE), "a work log"),
)

# A line-wrapper that takes a docstring for code leaves a quote at the end of one line and one on the next.
SPLIT_INSIDE = re.compile(r'[ ]"\n[ \t]*"')
STRINGS = {kind for kind, name in tokenize.tok_name.items() if name in ("STRING", "FSTRING_MIDDLE")}


def tracked_files() -> list[Path]:
    """Return the files that git tracks and that exist, relative to the root."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = [name for name in listing.stdout.split("\0") if name]
    return [Path(name) for name in names if (ROOT / name).is_file()]


def read_text(path: Path) -> str | None:
    """Return the text of a file, or None where it is binary."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def split_strings(source: str) -> Iterator[int]:
    """Yield the lines that end in a quote left inside a string by a line-wrapper.

    Strings that Python joins, one a line, are tokens of their own and no fault.
    """
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in STRINGS:
            for found in SPLIT_INSIDE.finditer(token.string):
                yield token.start[0] + token.string[: found.start()].count("\n")


def faults(path: Path, text: str) -> Iterator[str]:
    """Yield one line for everything wrong with a file."""
    lines = text.splitlines()
    most = MOST_LINES_BY_NAME.get(str(path), MOST_LINES if path.suffix in SOURCES else None)
    if most is not None and len(lines) > most:
        yield f"{path}: {len(lines)} lines, at most {most}"
    for number, line in enumerate(lines, start=1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                yield f"{path}:{number}: {what}: {line.strip()[:80]}"
    if path.suffix == ".py":
        for number in split_strings(text):
            yield f"{path}:{number}: a quote inside a string: {lines[number - 1].strip()[:80]}"


def main() -> int:
    """Print every fault; return 1 if there is one."""
    texts = ((path, read_text(path)) for path in tracked_files())
    found = [fault for path, text in texts if text is not None for fault in faults(path, text)]
    for fault in found:
        print(fault)
    print(f"{len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

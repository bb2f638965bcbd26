"""Check the tree itself: file lengths, and what no tracked file may say.

python tools/check_tree.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 600
MOST_LINES_BY_NAME = {"README.md": 100, "CONTRIBUTING.md": 60}
SOURCES = {".py", ".rs"}
# The tree speaks of mixed models, not of the machine or the meeting it was written in.
FORBIDDEN = (
    (re.compile(r"(?<![\w.~$}])/(?:" + r"work|home|root|Users)/"), "a path of one machine"),
    (re.compile(r"\b(?:this|last|next|previous|earlier|later) " + r"session\b", re.IGNORECASE), "a work log"),
    (re.compile(r"\bissue #?" + r"\d", re.IGNORECASE), "a work log"),
)


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

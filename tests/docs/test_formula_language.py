"""The page that lists the language is the list of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_the_list() -> None:
    done = subprocess.run(
        [sys.executable, "tools/formula_language.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + "\nrun tools/formula_language.py and read the diff"

"""Interpreters on which the package does not run."""

from __future__ import annotations

import subprocess
import sys


def test_free_threaded_python_is_refused() -> None:
    program = "import sys; sys.abiflags = 't'; import mixedmodels"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "not tested on free-threaded Python" in done.stderr

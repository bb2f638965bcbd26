"""Run every check, show its output, and end with one line of counts: `N passed, M failed`.

    python tools/run_checks.py [--static | --full]

A static check counts as one; `cargo test` and `pytest` count their tests. All checks run, whatever fails.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PYTHON_SOURCES = ("src", "tests", "benchmarks", "tools")


@dataclass(frozen=True, slots=True)
class Count:
    """Tests that passed, failed (errors included) and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One command, and how its output is counted; without a counter it counts as one."""

    name: str
    command: tuple[str, ...]
    counter: Callable[[str], Count] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check came to."""

    check: Check
    count: Count
    seconds: float


def count_cargo(output: str) -> Count:
    """Return the counts that `cargo test` printed, over all of its binaries."""
    lines = re.findall(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored", output, re.MULTILINE)
    passed, failed, ignored = (sum(int(line[i]) for line in lines) for i in range(3))
    return Count(passed, failed, ignored)


def count_pytest(output: str) -> Count:
    """Return the counts in the closing line that pytest printed."""
    closing = next(
        (line for line in reversed(output.splitlines()) if re.search(r"\bin [\d.:]+s\b", line)), ""
    )
    named = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", closing)}
    return Count(
        named.get("passed", 0), named.get("failed", 0) + named.get("error", 0), named.get("skipped", 0)
    )


def count_seeds(output: str) -> Count:
    """Return the counts in the closing line of a run of random models."""
    found = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    return Count(*map(int, found[-1])) if found else Count(0, 1)


def static_checks() -> list[Check]:
    """Return the checks that read the sources without running them."""
    tool = {name: str(BIN / name) for name in ("ruff", "mypy", "lint-imports")}
    return [
        Check("tree: file lengths and wording", (sys.executable, "tools/check_tree.py")),
        Check("ruff check", (tool["ruff"], "check", *PYTHON_SOURCES)),
        Check("ruff format", (tool["ruff"], "format", "--quiet", "--check", *PYTHON_SOURCES)),
        Check("mypy", (tool["mypy"],)),
        Check("stub of the extension", (sys.executable, "-m", "mypy.stubtest", "mixedmodels._rust")),
        Check("import contract", (tool["lint-imports"],)),
        Check("cargo fmt", ("cargo", "fmt", "--check")),
        Check("clippy", ("cargo", "clippy", "--locked", "--quiet", "--all-targets", "--", "-D", "warnings")),
    ]


def test_checks(full: bool) -> list[Check]:
    """Return the checks that run the code; `full` adds the heavy comparisons."""
    marked = ("-m", "full or not full") if full else ()
    frames = ("make", "--no-print-directory", "test-frames")
    stress = ("make", "--no-print-directory", "test-stress")
    fuzz = ("make", "--no-print-directory", "test-fuzz")
    heavy = [
        Check("random frames", frames, count_seeds),
        Check("optima", stress, count_seeds),
        Check("random programs", fuzz, count_seeds),
    ]
    return [
        # Without the `python` feature the pure kernels link on their own, whatever Python is installed.
        Check("cargo test", ("cargo", "test", "--locked", "--quiet", "--no-default-features"), count_cargo),
        Check("pytest", (sys.executable, "-m", "pytest", "--numprocesses=auto", *marked), count_pytest),
        *(heavy if full else []),
    ]


def run(check: Check) -> Outcome:
    """Run one check, passing its output on as it comes."""
    print(f"\n── {check.name} ── {' '.join(check.command)}", flush=True)
    environment = {**os.environ, "PYO3_PYTHON": sys.executable, "MPLBACKEND": "Agg"}
    start, lines = time.monotonic(), []
    with subprocess.Popen(
        check.command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    count = check.counter("".join(lines)) if check.counter else Count(passed=1)
    if process.returncode != 0 and count.failed == 0:
        # No test failed, yet the command did: it did not compile, crashed or found no tests.
        count = Count(count.passed if check.counter else 0, 1, count.skipped)
    return Outcome(check, count, time.monotonic() - start)


def main() -> int:
    """Run the checks asked for and print the counts; return 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--static", action="store_true", help="only the checks that do not run the code")
    which.add_argument("--full", action="store_true", help="with the heavy comparisons")
    arguments = parser.parse_args()
    checks = static_checks() + ([] if arguments.static else test_checks(arguments.full))
    outcomes = [run(check) for check in checks]
    print("\n── summary ──")
    for outcome in outcomes:
        mark, count = ("failed" if outcome.count.failed else "ok"), outcome.count
        numbers = f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped"
        print(f"{outcome.check.name:32}{mark:8}{outcome.seconds:7.1f} s  {numbers}")
    passed = sum(outcome.count.passed for outcome in outcomes)
    failed = sum(outcome.count.failed for outcome in outcomes)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

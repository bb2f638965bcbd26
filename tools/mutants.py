"""Are the tests tested? A seeded sample of small faults in the sources, each of which some test must find.

    python tools/mutants.py --count 40 --seed 1 --log mutants.jsonl

A fault changes one operator, comparison, constant or condition in a copy of the tree. Which tests call which function
is noted once (`--seen`, by tools/seen.py: as long as the tests take); the tests that call the function of a fault run
until one fails, quick ones first, for as long as SECONDS. Faults that the log holds are not run again. Prints those
that no test found and ends with `N passed, M failed`; returns 1 where fewer than 95 % were found.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("inference", "emmeans", "criterion", "engines", "optimise", "covariance", "variance", "postfit")
WATCHED = (
    "src",
    "tests/unit",
    "tests/conformance",
    "tests/invariants",
    "tests/robustness",
    "tests/reference",
)
"""Where the tests are that may find a fault."""
FOUND = 0.95
SECONDS = (25.0, 150.0)
"""What tests may take that run first, and those that run where these find nothing."""
PATIENCE = 10
"""Times as long as they take otherwise, after which tests count as having found a fault: it made them run on."""
OPERATORS: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: ">=", ast.LtE: "<", ast.Gt: "<=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in a file, in bytes, what stands there and what stands there instead."""

    path: str
    start: int
    stop: int
    before: str
    after: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"


def faults_of(path: Path) -> Iterator[Fault]:
    """Yield the faults that a file can have; texts, annotations and the words of errors are left alone."""
    source = path.read_bytes()
    starts = [0, *(i + 1 for i, byte in enumerate(source) if byte == 10)]
    name = str(path.relative_to(ROOT))

    def place(line: int, column: int) -> int:
        return starts[line - 1] + column

    def between(left: ast.expr, right: ast.expr) -> tuple[int, int]:
        assert left.end_lineno is not None
        assert left.end_col_offset is not None
        return place(left.end_lineno, left.end_col_offset), place(right.lineno, right.col_offset)

    def swapped(left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Fault]:
        start, stop = between(left, right)
        at = source[start:stop].find(old.encode())
        if at >= 0:
            yield Fault(name, start + at, start + at + len(old), old, new, left.lineno)

    for node in _code(ast.parse(source)):
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            old = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}[type(node.op)]
            yield from swapped(node.left, node.right, old, OPERATORS[type(node.op)])
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            old = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}[
                type(node.ops[0])
            ]
            yield from swapped(node.left, node.comparators[0], old, COMPARISONS[type(node.ops[0])])
        elif isinstance(node, ast.BoolOp):
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            yield from swapped(node.values[0], node.values[1], old, new)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            start, stop = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
            new = repr(node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0)
            yield Fault(name, start, stop, source[start:stop].decode(), new, node.lineno)
        elif isinstance(node, ast.If):
            test = node.test
            assert test.end_lineno is not None
            assert test.end_col_offset is not None
            start, stop = place(test.lineno, test.col_offset), place(test.end_lineno, test.end_col_offset)
            old = source[start:stop].decode()
            if ":=" not in old:
                yield Fault(name, start, stop, old, f"not ({old})", node.lineno)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that compute something."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.Raise, ast.JoinedStr, ast.Assert)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.AnnAssign):
            if child.value is not None:
                yield child.value
                yield from _code(child.value)
            continue
        yield child
        yield from _code(child)


def sample(count: int, seed: int) -> list[Fault]:
    """Return faults drawn from the packages, each package as likely as its share of places."""
    every = [
        fault
        for package in PACKAGES
        for path in sorted((ROOT / "src" / "mixedmodels" / package).rglob("*.py"))
        for fault in faults_of(path)
    ]
    return random.Random(seed).sample(every, count)


@dataclass(frozen=True, slots=True)
class Seen:
    """A test: its id, its seconds of a processor, and the functions it calls as `file:line`."""

    test: str
    seconds: float
    calls: frozenset[str]


def read_seen(log: Path, tree: Path) -> list[Seen]:
    """Return the tests and what they call, noted now in a copy of the tree where there is no log of them."""
    if not log.exists():
        print(f"noting what every test calls, in {log}", flush=True)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "seen",
            "--seen",
            str(log),
        ]
        subprocess.run(
            [*command, *WATCHED], cwd=tree, env=environment(tree), stdout=subprocess.DEVNULL, check=False
        )
    places: list[str] = []
    tests = []
    for entry in map(json.loads, log.read_text().splitlines()):
        places += entry["new"]
        tests.append(Seen(entry["test"], entry["seconds"], frozenset(places[k] for k in entry["calls"])))
    return tests


def environment(tree: Path) -> dict[str, str]:
    """Return the environment in which the tests of a copy run."""
    paths = [str(tree / "src"), str(tree / "tests"), str(ROOT / "tools")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def place_of(fault: Fault) -> str:
    """Return `file:line` of the function a fault is in, or `file:` for one that is in none."""
    file = fault.path.removeprefix("src/")
    lines = [
        min([node.lineno, *(one.lineno for one in node.decorator_list)])
        for node in ast.walk(ast.parse((ROOT / fault.path).read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.lineno <= fault.line <= (node.end_lineno or node.lineno)
    ]
    return f"{file}:{max(lines)}" if lines else f"{file}:"


def related(fault: Fault, seen: list[Seen]) -> Iterator[list[Seen]]:
    """Yield the tests that call the function of a fault, or any of the file where it is in none: quick ones first."""
    place = place_of(fault)
    calling = [one for one in seen if place in one.calls or
               (place.endswith(":") and any(call.startswith(place) for call in one.calls))]  # fmt: skip
    left = sorted(calling, key=lambda one: one.seconds)
    for seconds in SECONDS:
        chosen: list[Seen] = []
        while left and (not chosen or sum(one.seconds for one in chosen) + left[0].seconds <= seconds):
            chosen.append(left.pop(0))
        if chosen:
            yield chosen


def found(fault: Fault, tree: Path, seen: list[Seen]) -> tuple[bool, float]:
    """Return whether a test finds a fault put into the copy of the tree, and the seconds that took."""
    path, start = tree / fault.path, time.monotonic()
    sound = path.read_bytes()
    path.write_bytes(sound[: fault.start] + fault.after.encode() + sound[fault.stop :])
    try:
        for tests in related(fault, seen):
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
            limit = 60 + PATIENCE * sum(one.seconds for one in tests)
            try:
                done = subprocess.run(
                    [*command, *(one.test for one in tests)],
                    cwd=tree, env=environment(tree), capture_output=True, timeout=limit,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return True, time.monotonic() - start
            if done.returncode not in (0, 5):
                return True, time.monotonic() - start
        return False, time.monotonic() - start
    finally:
        path.write_bytes(sound)


def main() -> int:
    """Try the faults asked for and print those that no test found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument(
        "--seen", type=Path, default=Path("seen.jsonl"), help="what every test calls; made once"
    )
    asked = parser.parse_args()
    lines = asked.log.read_text().splitlines() if asked.log.exists() else []
    done = {entry["fault"]: entry["found"] for entry in map(json.loads, lines)}
    wanted = sample(asked.count, asked.seed)
    with tempfile.TemporaryDirectory() as folder, asked.log.open("a") as log:
        tree = Path(folder)
        for name in ("src", "tests", "docs", "pyproject.toml", "README.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        seen = read_seen(asked.seen.absolute(), tree)
        for fault in wanted:
            if str(fault) in done:
                continue
            done[str(fault)], seconds = found(fault, tree, seen)
            entry = {"fault": str(fault), "found": done[str(fault)], "seconds": round(seconds, 1)}
            print(json.dumps(entry), file=log, flush=True)
            print(json.dumps(entry), flush=True)
    verdicts = [done[str(fault)] for fault in wanted]
    for fault in wanted:
        if not done[str(fault)]:
            print(f"no test finds {fault}")
    print(f"{sum(verdicts)} passed, {len(verdicts) - sum(verdicts)} failed", flush=True)
    return 0 if sum(verdicts) >= FOUND * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Models that are too large, asked for in a process of little address space: prints what came of each.

python tests/large_asks.py
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import mixedmodels as mm

LIMIT = 6 << 30
"""Bytes of address space."""
rng = np.random.default_rng(0)


def factor(levels: int, n: int) -> Any:
    return np.array([f"l{k:05d}" for k in rng.integers(0, levels, n)])


def numbers(n: int) -> Any:
    return rng.normal(size=n)


def crossed(levels: int, n: int, effects: str = "1") -> tuple[str, dict[str, Any], dict[str, Any]]:
    data = {
        "a": rng.integers(0, levels, n),
        "b": rng.integers(0, levels, n),
        "x": numbers(n),
        "y": numbers(n),
    }
    return f"y ~ x + ({effects} | a) + ({effects} | b)", data, {}


def grid(times: int, ids: int) -> dict[str, Any]:
    n = times * ids
    return {"t": np.arange(n) % times, "f": np.array([f"t{k:03d}" for k in np.arange(n) % times]),
            "g": np.arange(n) // times, "y": numbers(n)}  # fmt: skip


ASKS: dict[str, Callable[[], tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "fixed factor of 20,000 levels": lambda: ("y ~ f", {"f": factor(20_000, 60_000), "y": numbers(60_000)}, {}),
    "fixed factor of 5,000 levels": lambda: ("y ~ f", {"f": factor(5_000, 40_000), "y": numbers(40_000)}, {}),
    "fixed factor of 10,000 levels": lambda: (
        "y ~ x + f", {"f": factor(10_000, 30_000), "x": numbers(30_000), "y": numbers(30_000)}, {}
    ),
    "fixed factor of 2,500 levels": lambda: (
        "y ~ f + (1 | g)", {"f": factor(2_500, 30_000), "g": factor(100, 30_000), "y": numbers(30_000)}, {}
    ),
    "text of 180 levels as slopes": lambda: (
        "y ~ 1 + (t | g)", {"t": [f"{k:.6f}" for k in numbers(180)], "g": np.arange(180) % 18, "y": numbers(180)}, {}
    ),
    "5,000 interaction columns": lambda: (
        "y ~ f * h", {"f": factor(50, 30_000), "h": factor(100, 30_000), "y": numbers(30_000)}, {}
    ),
    "spline of 5,000 knots": lambda: ("y ~ spline(x, knots=5000)", {"x": numbers(20_000), "y": numbers(20_000)}, {}),
    "field of 20,000 points": lambda: (
        "y ~ exp(a, b | 1)", {"a": numbers(20_000), "b": numbers(20_000), "y": numbers(20_000)}, {}
    ),
    "random us of 200 levels": lambda: ("y ~ (0 + f | g)", grid(200, 300), {}),
    "residual us of 200 times": lambda: ("y ~ 1", grid(200, 300), {"residual": "us(t | g)"}),
    "fa(150)": lambda: ("y ~ 1", grid(160, 200), {"residual": "fa(150)(t | g)"}),
    "crossed 10,000 by 10,000": lambda: crossed(10_000, 100_000),
    "crossed 50,000 by 50,000": lambda: crossed(50_000, 300_000),
    "crossed slopes 20,000 by 20,000": lambda: crossed(20_000, 200_000, "x"),
    "300 columns on 1,500 rows": lambda: ("y ~ (0 + f | g)", grid(300, 5), {}),
    "25 columns on 125 rows": lambda: ("y ~ (0 + f | g)", grid(25, 5), {}),
    "a little memory": lambda: (
        "y ~ x + (1 | a)", {"x": numbers(1000), "a": rng.integers(0, 9, 1000), "y": numbers(1000)},
        {"control": mm.Control(memory=1e4)},
    ),
}  # fmt: skip


def outcome(ask: Callable[[], tuple[str, dict[str, Any], dict[str, Any]]]) -> tuple[float, str, str]:
    """Return the seconds of a processor an ask took, what left it, and in which words."""
    formula, data, options = ask()
    start = time.process_time()
    try:
        mm.lmm(formula, data, **options)
    except Exception as error:
        return time.process_time() - start, type(error).__name__, str(error)
    return time.process_time() - start, "fitted", ""


def main() -> int:
    """Print the outcomes as JSON, a line for each."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    for name in sys.argv[1:] or ASKS:
        print(json.dumps([name, *outcome(ASKS[name])]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

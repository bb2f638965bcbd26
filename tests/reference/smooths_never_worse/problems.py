"""300 simulated problems with smooths, from no effect at all to curves without noise: the same data each time.

python tests/reference/smooths_never_worse/problems.py /tmp/problems     # writes them for model.R
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

COUNT = 300
FORMULAS = (
    ("y ~ s(x, bs='cr')", "gaussian"),
    ("y ~ s(x, bs='cr', k=20) + s(z, bs='cr')", "gaussian"),
    ("y ~ s(x) + s(z)", "gaussian"),
    ("y ~ s(x, bs='ps', k=15)", "gaussian"),
    ("y ~ te(x, z, k=4)", "gaussian"),
    ("y ~ te(x, z)", "gaussian"),
    ("y ~ ti(x) + ti(z) + ti(x, z)", "gaussian"),
    ("y ~ f + s(x, by=f, bs='cr', k=8)", "gaussian"),
    ("y ~ s(x, bs='ad', k=20, m=3)", "gaussian"),
    ("y ~ s(x, bs='cc', k=8) + s(z, bs='bs')", "gaussian"),
    ("y ~ t2(x, z, bs='tp')", "gaussian"),
    ("y ~ s(x, bs='cr') + s(z, bs='cr') + s(v, bs='cr') + s(g, bs='re')", "gaussian"),
    ("y ~ s(x, z, k=20)", "gaussian"),
    ("count ~ s(x, bs='cr') + s(z, bs='cr')", "poisson"),
    ("event ~ s(x, bs='cr', k=6)", "binomial"),
)
NOISE = (1e-3, 0.03, 0.3, 1.0, 5.0)
"""Standard deviations of the errors, of functions of size one."""


def curve(kind: int, x: np.ndarray) -> np.ndarray:
    """Return one of six functions: nothing, a line, a parabola, a wave, a quick wave, a step."""
    flat, line, parabola = np.zeros_like(x), x - 0.5, 4 * (x - 0.5) ** 2
    return (flat, line, parabola, np.sin(2 * np.pi * x), np.sin(18 * x**2), np.tanh(30 * (x - 0.6)))[kind]


def problem(number: int) -> tuple[str, str, dict[str, np.ndarray]]:
    """Return the formula, the family and the data of a problem."""
    rng = np.random.default_rng([20261129, number])
    formula, family = FORMULAS[number % len(FORMULAS)]
    n = int(rng.integers(60, 260))
    x, z, v = (np.round(rng.random(n), 4) for _ in range(3))
    f, g = rng.integers(0, 3, n), rng.integers(0, 8, n)
    first, second = rng.integers(0, 6, 2)
    mean = curve(int(first), x) + curve(int(second), z) * (1.0 if number % 2 else x)
    noise = NOISE[(number // len(FORMULAS)) % len(NOISE)]
    data = {
        "x": x, "z": z, "v": v, "f": np.array(list("abc"))[f], "g": np.array(list("abcdefgh"))[g],
        "y": np.round(mean + noise * rng.standard_normal(n), 8),
        "count": rng.poisson(np.exp(mean)), "event": (rng.random(n) < 1 / (1 + np.exp(-mean))).astype(int),
    }  # fmt: skip
    return formula, family, data


def total(data: dict[str, np.ndarray]) -> float:
    """Return what tells whether the generator of random numbers is the one that mgcv's figures are of."""
    return float(sum(np.sum(data[name]) for name in ("x", "z", "y", "count", "event")))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for number in range(COUNT):
        formula, family, data = problem(number)
        with (folder / f"{number}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(data)
            writer.writerows(zip(*(values.tolist() for values in data.values()), strict=True))
        listed.append({"number": number, "formula": formula, "family": family, "total": total(data)})
    (folder / "problems.json").write_text(json.dumps(listed))

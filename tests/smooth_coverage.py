"""Do bands of smooths cover as often as they say, and are curves of nothing tested at the size they say?

    OMP_NUM_THREADS=1 python tests/smooth_coverage.py --log smooths.jsonl [--count 2000] [--shard 1/4]

Each problem is made from its number; finished ones stand in the log and are not done again. At the end: the share of
200 places that pointwise bands cover (across the function, Nychka 1988), of curves that lie within simultaneous bands
throughout, and of tests of a curve of nothing that reject at 5 %, each with its Monte Carlo error.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np

import mixedmodels as mm

PLACES = 200
LEVEL = 0.95


def wavy(x: np.ndarray) -> np.ndarray:
    """Return gamSim's third function, scaled: two peaks of unlike height."""
    return (0.2 * x**11 * (10 * (1 - x)) ** 6 + 10 * (10 * x) ** 3 * (1 - x) ** 10) / 3.0


SCENARIOS = {
    "two peaks": (wavy, "gaussian", 200, 20),
    "a wave": (lambda x: 2 * np.sin(2 * np.pi * x), "gaussian", 200, 10),
    "an exponential": (lambda x: np.exp(2 * x), "gaussian", 200, 10),
    "counts": (lambda x: np.sin(5 * x), "poisson", 300, 10),
}  # fmt: skip


def problem(number: int) -> dict[str, object]:
    """Return what is found in one data set: coverage, whether the whole curve is within, a rejection of nothing."""
    name = list(SCENARIOS)[number % len(SCENARIOS)]
    function, family, n, k = SCENARIOS[name]
    rng = np.random.default_rng([95, number])
    x, z = rng.random(n), rng.random(n)
    mean = function(x)
    response = rng.poisson(np.exp(mean)) if family == "poisson" else mean + rng.normal(0, 1.0, n)
    data = {"x": x, "z": z, "y": response}
    formula = f"y ~ s(x, bs='cr', k={k}) + s(z, bs='cr')"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if family == "gaussian":
            fit = mm.lmm(formula, data, ddf="asymptotic")
        else:
            fit = mm.glmm(formula, data, family=family, reml=True)
        grid = {"x": np.linspace(x.min(), x.max(), PLACES), "z": np.full(PLACES, 0.5)}
        truth = function(grid["x"]) - mean.mean()
        own = fit.smooth("s(x)", newdata=grid)
        whole = fit.smooth("s(x)", newdata=grid, simultaneous=True)
        # of generalised models variances are taken as known
        linear = family == "gaussian"
        wide = fit.smooth("s(x)", newdata=grid, unconditional=True) if linear else own
        p = float(fit.smooths()["p_value"][1])
    inside = [
        (np.asarray(t["lower"]) <= truth) & (truth <= np.asarray(t["upper"])) for t in (own, wide, whole)
    ]
    found = {"number": number, "scenario": name, "pointwise": float(inside[0].mean())}
    found |= {"unconditional": float(inside[1].mean())} if linear else {}
    return found | {"simultaneous": float(inside[2].all()), "null": float(p < 1 - LEVEL)}


def summary(rows: list[dict[str, object]]) -> list[str]:
    """Return a line for each scenario and for all: shares in per cent with their Monte Carlo errors."""
    out = []
    for name in [*SCENARIOS, "all"]:
        own = [row for row in rows if name in (row["scenario"], "all")]
        cells = []
        for key in ("pointwise", "unconditional", "simultaneous", "null"):
            values = np.array([row[key] for row in own if key in row], dtype=float)
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            cells.append(
                f"{key} {100 * values.mean():.1f} ± {100 * error:.1f}" if len(values) else f"{key} –"
            )
        out.append(f"{name} ({len(own)}): " + ", ".join(cells))
    return out


def main() -> int:
    """Run what is left of a shard, and print what the whole log says; 1 where a share of all is out of its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, default=Path("smooths.jsonl"))
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--shard", default="1/1")
    asked = parser.parse_args()
    part, parts = map(int, asked.shard.split("/"))
    rows = [json.loads(line) for line in asked.log.read_text().splitlines()] if asked.log.exists() else []
    done = {row["number"] for row in rows}
    with asked.log.open("a") as log:
        for number in range(part - 1, asked.count, parts):
            if number not in done:
                rows.append(problem(number))
                log.write(json.dumps(rows[-1]) + "\n")
                log.flush()
    print("\n".join(summary(rows)))
    limits = {"pointwise": (0.94, 0.96), "simultaneous": (0.94, 0.96), "null": (0.04, 0.06)}
    shares = {key: float(np.mean([float(str(row[key])) for row in rows])) for key in limits}
    return int(any(not low <= shares[key] <= high for key, (low, high) in limits.items()))


if __name__ == "__main__":
    sys.exit(main())

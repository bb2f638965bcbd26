"""Small random models with several optima: does a fit end at the best that 16 other starts find?

    python tests/optimum_stress.py [--count 2000] [--shard 1/4] [--log optima.jsonl]

Every model has a seed of its own, so that shards and reruns agree; what the log already has is not run again. Models
are random effects × errors × variance functions on 12 to 120 rows; one in six has structured random effects beside
independent errors. The other starts are eight points of the ladder that
the fit itself chooses among, each searched to its end, and eight random ones. The last line is `N passed, M failed`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.api.run import fit_equations
from mixedmodels.optimise.ladder import ladder
from mixedmodels.typing import Array

RANDOM = ("", " + (1 | id)", " + (tc | id)", " + (1 | id) + (0 + tc | id)")
ERRORS = (
    None, "ar1(v | id)", "har1(v | id)", "ante1(v | id)", "arma(v | id, p=1, q=1)", "toep(v | id)", "cs(v | id)",
    "fa(v | id, q=1)", "exp(t | id)", "gau(t | id)", "sph(t | id)", "lin_sp(t | id)", "car1(t | id)",
    "exp(t | id, nugget=True)", "mat(t | id)",
)  # fmt: skip
STRUCTURED = (
    "ar1(0 + factor(v) | id)", "arma(0 + factor(v) | id, p=1, q=1)", "toep(0 + factor(v) | id)",
    "fa(0 + factor(v) | id, q=1)", "exp(v | id)", "gau(v | id)", "sph(v | id)", "mat(v | id)",
)  # fmt: skip
SIDES = 6
"""One model in so many has structured random effects."""
VARIANCES = (None, None, "power(w)", "exp(w)", "ident(f)", "power(fitted)", "const_power(w)")
ABOVE = 0.01
"""−2l above the best known at which a fit counts as having missed it."""
SLOW = 1.0
"""Seconds of one processor that a fit may take."""
MISSED_SHARE, SLOW_SHARE = 0.002, 0.01
"""Shares of models that may be missed and slow."""


DEAR = 6
"""Other starts where each costs a search over kinks, or renewals of the fitted mean."""


def draw(seed: int) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """Return formula, data and options of one model."""
    rng = np.random.default_rng([9, seed])
    subjects, visits = int(rng.integers(4, 21)), int(rng.integers(3, 7))
    i, v = np.repeat(np.arange(subjects), visits), np.tile(np.arange(visits), subjects)
    n = len(i)
    t = v + np.round(rng.uniform(-0.3, 0.3, n), 2)
    w, x = np.round(np.exp(rng.normal(0.3, 0.6, n)), 5), rng.normal(size=n)
    rho, e = rng.choice([-0.5, 0.0, 0.3, 0.6, 0.9]), rng.normal(size=(subjects, visits))
    for k in range(1, visits):
        e[:, k] = rho * e[:, k - 1] + np.sqrt(1.0 - rho**2) * e[:, k]
    b = rng.normal(size=(subjects, 2)) * [rng.choice([0.0, 0.5, 2.0, 20.0]), rng.choice([0.0, 0.3, 2.0])]
    f = np.where(np.arange(n) % 2, "f1", "f0")
    sd = w ** rng.choice([0.0, 0.0, 0.5, 1.0]) * np.where(f == "f1", rng.choice([1.0, 2.0]), 1.0)
    level = rng.choice([0.0, 5.0, 50.0])
    tc = t - t.mean()
    y = level + 0.5 * tc + 0.3 * x + b[i, 0] + b[i, 1] * tc + sd * e.ravel()
    data = pd.DataFrame({"id": i.astype(str), "v": v, "t": t, "tc": tc, "w": w, "x": x, "f": f, "y": y})
    kept = data[rng.uniform(size=n) > rng.choice([0.0, 0.15, 0.3])]
    random, errors = rng.choice(RANDOM), ERRORS[rng.integers(len(ERRORS))]
    variance = VARIANCES[rng.integers(len(VARIANCES))]
    options = {"residual": errors, "variance": variance, "method": str(rng.choice(["reml", "ml"]))}
    if seed % SIDES == 4:
        random = f" + {STRUCTURED[seed // SIDES % len(STRUCTURED)]}"
        del options["residual"], options["variance"]
    return f"y ~ tc + x{random}", kept.reset_index(drop=True), options


def others(fit: mm.Fit, seed: int) -> list[float]:
    """Return −2l of the searches from other starts that converged."""
    rng = np.random.default_rng([11, seed])
    criterion, control = fit._work.criterion(), replace(fit.control, decrement=1e-5, max_iterations=50)
    at = fit.optimum.theta
    points: list[Array] = [
        (at + (at == 0.0)) * np.exp(rng.normal(size=len(at))) + 0.7 * rng.normal(size=len(at))
        for _ in range(8)
    ]
    if not criterion.equations.homogeneous:
        grid = [theta for _, theta in ladder(criterion)]
        points += [grid[k] for k in rng.permutation(len(grid))[:8]]
    if (fit.spec.residual is not None and fit.spec.residual.structure == "lin_sp") or "fitted" in str(
        fit.spec.variance
    ):
        # minutes of kinks and renewals otherwise
        points = points[:: max(len(points) // DEAR, 1)]
    found = []
    for point in points:
        try:
            _, optimum = fit_equations(fit.spec, fit._work.own_design(), criterion.equations, control, point)
        except mm.FitError:
            continue
        if optimum.converged:
            found.append(optimum.value)
    return found


def examine(seed: int) -> dict[str, Any]:
    """Return what became of one model: `refused`, `crashed`, `missed`, `slow`, `unconverged`, `unbounded` or `right`.

    `unbounded` is a fit that warns of lower values at which no search came to an end.
    """
    formula, data, options = draw(seed)
    text = f"{formula}, {options}"
    begun = time.process_time()
    try:
        fit = mm.lmm(formula, data, **options)
    except (mm.SpecError, mm.DataError) as error:
        return {"seed": seed, "model": text, "outcome": "refused", "why": str(error)[:200]}
    except Exception as error:
        return {
            "seed": seed,
            "model": text,
            "outcome": "crashed",
            "why": f"{type(error).__name__}: {error}"[:200],
        }
    seconds = time.process_time() - begun
    try:
        best = min([value for value in others(fit, seed) if np.isfinite(value)], default=np.inf)
    except Exception as error:
        why = f"a search from elsewhere: {type(error).__name__}: {error}"[:200]
        return {"seed": seed, "model": text, "outcome": "crashed", "why": why}
    above = fit.criterion - best
    outcome = "right"
    if above > ABOVE:
        told = any("may have no maximum" in status.message for status in fit.status)
        outcome = "unbounded" if told else "missed"
    elif seconds > SLOW:
        outcome = "slow"
    elif not fit.converged:
        outcome = "unconverged"
    return {
        "seed": seed, "model": text, "outcome": outcome, "above": round(float(above), 4) if np.isfinite(best) else None,
        "criterion": fit.criterion, "seconds": round(seconds, 3), "starts": len(fit.optimum.starts),
    }  # fmt: skip


def known(log: Path) -> dict[int, dict[str, Any]]:
    """Return what the log has, by seed."""
    if not log.exists():
        return {}
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line]
    return {row["seed"]: row for row in rows}


def report(rows: list[dict[str, Any]]) -> int:
    """Print the counts, and what was not right; return the number of failures."""
    counts = Counter(row["outcome"] for row in rows)
    fitted = len(rows) - counts["refused"]
    for row in rows:
        if row["outcome"] in ("missed", "crashed", "slow"):
            print(
                row["outcome"],
                row["seed"],
                row["model"],
                row.get("above"),
                row.get("why", ""),
                row.get("seconds"),
            )
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    failed = counts["crashed"]
    failed += counts["missed"] > MISSED_SHARE * fitted
    failed += counts["slow"] > SLOW_SHARE * fitted
    print(f"{fitted - failed} passed, {failed} failed")
    return failed


def main() -> int:
    """Run the models of a shard that the log does not have yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--log", type=Path, default=Path("optima.jsonl"))
    arguments = parser.parse_args()
    shard, shards = map(int, arguments.shard.split("/"))
    seeds = [
        seed
        for seed in range(arguments.first, arguments.first + arguments.count)
        if seed % shards == shard - 1
    ]
    found = known(arguments.log)
    warnings.simplefilter("ignore")
    with arguments.log.open("a", encoding="utf-8") as log:
        for seed in seeds:
            if seed not in found:
                found[seed] = examine(seed)
                print(json.dumps(found[seed]), file=log, flush=True)
    return 1 if report([found[seed] for seed in seeds]) else 0


if __name__ == "__main__":
    sys.exit(main())

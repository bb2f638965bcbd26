"""What every table of every fit must keep to, whatever the data: asked of random models, with every tool.

    python tests/frame_truths.py --calls 20000 --shard 1/2 --log frames.jsonl

runs the calls of a shard that the log lacks, a line each, and prints the kinds of fault with their counts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import mixedmodels as mm
from mixedmodels.errors import MixedModelsError
from mixedmodels.table import Table
from random_frames import METHODS, Model, random_model

SECONDS = 5.0
"""What a fit with its tools may take of a processor."""
PATIENCE = 30
"""Seconds after which a call is stopped."""
RAW = re.compile(r"pivot|LinAlg|singular matrix|value -?\d|range 0\b|\bnan\b|Traceback", re.IGNORECASE)
"""Words of the insides that no message and no printed table may hold."""
INFINITE = re.compile(r"(?<![\w.])[-−]?inf(?:inity)?(?!\w)", re.IGNORECASE)
REASON = re.compile(
    r"degrees of freedom|not estimable|no variance|no test|no t test|nothing estimable", re.IGNORECASE
)
"""What a note says where a cell is empty."""


def tools() -> dict[str, Callable[[Any, Model], Any]]:
    """Return every tool of a fit that needs nothing but the fit."""
    factors = ("f", "h", "g", "t", "x", "big")

    def means(fit: Any, model: Model) -> list[Any]:
        return [fit.emmeans(name).table for name in factors if _asks(model, name)]

    def pairs(fit: Any, model: Model) -> list[Any]:
        return [fit.emmeans(name).contrast("pairwise").table for name in factors if _asks(model, name)]

    def letters(fit: Any, model: Model) -> list[Any]:
        return [fit.emmeans(name).cld() for name in ("f", "h") if _asks(model, name)]

    def many(fit: Any, model: Model) -> list[Any]:
        return [
            fit.emmeans(n).contrast("trt.vs.ctrl", adjust="mvt").table for n in ("f", "h") if _asks(model, n)
        ]

    def predicted(fit: Any, model: Model) -> list[Any]:
        new = model.data.iloc[:3]
        return [
            fit.predict(new),
            fit.predict(new, se=True),
            fit.predict(interval="confidence", level="population"),
        ]

    found: dict[str, Callable[[Any, Model], Any]] = {
        "summary": lambda fit, model: str(fit.summary()),
        "html": lambda fit, model: fit._repr_html_(),
        "anova 1": lambda fit, model: fit.anova(type=1),
        "anova 2": lambda fit, model: fit.anova(type=2),
        "anova 3": lambda fit, model: fit.anova(),
        "joint tests": lambda fit, model: fit.joint_tests(),
        "wald": lambda fit, model: fit.wald(np.eye(len(fit.design.fixed.columns)), joint=True),
        "variance components": lambda fit, model: fit.variance_components(),
        "confint": lambda fit, model: fit.confint(method="wald"),
        "means": means,
        "pairs": pairs,
        "letters": letters,
        "mvt": many,
        "trends": lambda fit, model: fit.emtrends("x", "f") if "x" in model.formula.split("(")[0] else None,
        "predict": predicted,
        "random effects": lambda fit, model: str(fit.random_effects()),
        "robust": lambda fit, model: fit.vcov_robust().table(),
        "icc": lambda fit, model: fit.icc(),
        "r2": lambda fit, model: fit.r2(),
        "tidy": lambda fit, model: [fit.tidy(), fit.glance(), fit.augment()],
        "residuals": lambda fit, model: fit.residuals(),
        "criteria": lambda fit, model: fit.information_criteria(),
        "simulate": lambda fit, model: fit.simulate(1, seed=1),
        "conditional aic": lambda fit, model: fit.conditional_aic(),
    }
    for method in METHODS:
        found[f"ddf {method}"] = lambda fit, model, ddf=method: [
            fit.fixed_effects(ddf=ddf),
            fit.anova(ddf=ddf),
        ]
    return found


def _asks(model: Model, name: str) -> bool:
    return re.search(rf"\b{name}\b", model.formula.split(" + (")[0]) is not None


TOOLS = tools()
CHOSEN = 5
"""Tools asked of a fit, beside its table of fixed effects."""


def faults_of(seed: int) -> list[str]:
    """Return what is wrong with the model of a seed and with what its tools answer, one line each."""
    model, rng = random_model(seed), np.random.default_rng([21, seed])
    found: list[str] = []
    start = time.process_time()
    with _watched(found, model.options.get("ddf", "")):
        fit = mm.lmm(model.formula, model.data, **model.options)
        names = ["fixed effects", *rng.choice(list(TOOLS), CHOSEN, replace=False)]
        for name in names:
            with _watched(found, str(name)):
                ask = TOOLS.get(str(name), lambda fit, model: fit.fixed_effects())
                found += [f"{name}: {fault}" for fault in _of_answer(ask(fit, model), fit)]
        spent = time.process_time() - start
        if spent > SECONDS:
            found.append(f"slow: {spent:.0f} s")
        if fit.converged and rng.random() < 0.5:
            found += _of_twins(fit, model, rng)
    return found


@contextmanager
def _watched(found: list[str], what: str) -> Iterator[None]:
    """Note what leaves a call that is not one of our errors, RuntimeWarnings included."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            yield
    except MixedModelsError as error:
        if RAW.search(str(error)):
            found.append(f"{what}: raw words: {error}"[:300])
    except TimeoutError:
        raise
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
        found.append(f"{what}: {type(error).__name__} {where}: {error}"[:300])


def _of_answer(answer: Any, fit: Any) -> Iterator[str]:
    if isinstance(answer, list):
        for one in answer:
            yield from _of_answer(one, fit)
    elif isinstance(answer, Table):
        yield from _of_table(answer, fit)
    elif isinstance(answer, str):
        yield from _of_text(answer)
    elif isinstance(answer, np.ndarray) and answer.dtype.kind == "f" and np.isinf(answer).any():
        yield "an infinite value"


def _of_text(text: str) -> Iterator[str]:
    if RAW.search(text):
        yield f"raw words in text: {RAW.search(text)}"


def _of_table(table: Table, fit: Any) -> Iterator[str]:
    yield from _of_text(str(table))
    explained = any(REASON.search(note) for note in table.notes)
    for name in table.names:
        values = table[name]
        if values.dtype.kind != "f":
            continue
        if name in ("df", "den_df"):
            if np.any(values <= 0):
                yield f"{name} is {np.nanmin(values):.3g}"
        elif np.isinf(values).any():
            yield f"{name} is infinite"
        # without an intercept the mean is known where X is zero
        known = name == "se" and re.search(r"\b0 \+|\+ 0\b", fit.spec.fixed)
        if name in ("std_error", "se") and fit.sigma2 > 0 and np.any(values <= 0) and not known:
            yield f"{name} is {np.nanmin(values):.3g}"
        if name == "p_value" and np.any((values < 0) | (values > 1)):
            yield "p_value outside 0 to 1"
    if "den_df" in table and "statistic" in table and np.any(table["statistic"] < 0):
        yield f"F is {np.nanmin(table['statistic']):.3g}"
    if "num_df" in table and np.any(table["num_df"] <= 0) and not explained:
        yield "num_df is 0 without a reason"
    if {"std_error", "p_value"} <= set(table.names) and not explained:
        try:
            missing = np.isfinite(table["std_error"].astype(float)) & ~np.isfinite(
                table["p_value"].astype(float)
            )
        except (TypeError, ValueError):
            return
        if missing.any():
            yield "p is missing beside a standard error, without a reason"


def _of_twins(fit: Any, model: Model, rng: np.random.Generator) -> Iterator[str]:
    """Yield where the order of rows, or weights of one, change the fit."""
    shuffled = model.data.sample(frac=1.0, random_state=int(rng.integers(1000)))
    for what, data, more in (
        ("order of rows", shuffled, {}),
        ("weights of one", model.data, {"weights": np.ones(len(model.data))}),
    ):
        try:
            twin = mm.lmm(model.formula, data, **model.options, **more)
        except MixedModelsError as error:
            yield f"{what}: refused: {error}"[:200]
            continue
        gap = abs(twin.criterion - fit.criterion) / (1.0 + abs(fit.criterion))
        if gap > _known(fit) and not _exact(fit):
            yield f"{what}: -2l moves by {gap:.1e}"


def _known(fit: Any) -> float:
    """Return what −2l is known to: less well after renewals of weights, and where a correlation is one."""
    renewed = any("fitted" in str(function) for function in fit.spec.variance or ())
    at_end = any("end of its range" in status.message for status in fit.status)
    return 1e-7 if renewed or at_end else 1e-8


def _exact(fit: Any) -> bool:
    """Whether the fit says that −2l has no minimum, or is at a boundary where rounding is what is left of it."""
    return any(
        re.search("exactly|not settle|all but zero|all but singular", status.message) for status in fit.status
    )


def call(seed: int) -> dict[str, Any]:
    """Return the line of the log of a seed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"stopped after {PATIENCE} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    start = time.process_time()
    try:
        faults = faults_of(seed)
    except TimeoutError as error:
        faults = [str(error)]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"seed": seed, "seconds": round(time.process_time() - start, 2), "faults": faults}


def kind_of(fault: str) -> str:
    """Return a fault without its numbers."""
    return re.sub(r"[-−]?\d[\d.e+-]*", "#", fault)[:150]


def main() -> int:
    """Run the calls asked for and print what was found; return 1 if anything was."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--workers", type=int, default=0, help="processes; one for each processor by default")
    parser.add_argument("--log", type=Path, default=Path("frames.jsonl"))
    asked = parser.parse_args()
    shard, shards = (int(part) for part in asked.shard.split("/"))
    lines = asked.log.read_text().splitlines() if asked.log.exists() else []
    done = {entry["seed"]: entry for entry in map(json.loads, lines)}
    seeds = [s for s in range(asked.first + shard - 1, asked.first + asked.calls, shards) if s not in done]
    with asked.log.open("a") as log, ProcessPoolExecutor(asked.workers or os.cpu_count()) as pool:
        for entry in pool.map(call, seeds, chunksize=5):
            done[entry["seed"]] = entry
            print(json.dumps(entry), file=log, flush=True)
    kinds = Counter(kind_of(fault) for entry in done.values() for fault in entry["faults"])
    first = {kind_of(fault): entry["seed"] for entry in reversed(done.values()) for fault in entry["faults"]}
    for kind, count in kinds.most_common():
        print(f"{count:5d}  seed {first[kind]:6d}  {kind}")
    wrong = sum(1 for entry in done.values() if entry["faults"])
    print(f"{len(done)} calls, {sum(kinds.values())} faults of {len(kinds)} kinds")
    print(f"{len(done) - wrong} passed, {wrong} failed")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())

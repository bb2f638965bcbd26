"""Sizes of tests and coverages of intervals in small samples, by simulation; goes on where it stopped.

    python benchmarks/sizes/run.py [NAME ...] [--shard 1/4] [--share 0.1] [--list]

Every replicate has a seed of its own, made of its scenario's name and its number, so that shards and reruns agree.
`results/NAME.json` keeps sums; delete a file whose scenario has changed. A pass over all scenarios with a twentieth of
the replicates comes first, then a quarter, then all. `page.py` writes the page from what is there.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from measures import Drawn
from scenarios import SCENARIOS, Scenario

import mixedmodels as mm

RESULTS = Path(__file__).parent / "results"
PASSES = (0.05, 0.25, 1.0)
KEPT_EVERY = 20.0
"""Seconds after which sums are written."""


def replicate(name: str, scenario: Scenario, number: int) -> dict[str, float]:
    """Return what was found in one replicate."""
    key = [zlib.crc32(name.encode()), number]
    y, truth = scenario.draw(np.random.default_rng(key))
    drawn = Drawn(
        scenario.design.assign(y=np.asarray(y)), truth, int(np.random.SeedSequence(key).generate_state(1)[0])
    )
    fit = scenario.fit(drawn.data)
    found: dict[str, float] = {"share|fits that did not converge|": float(not fit.converged)}
    for measure in scenario.measures:
        found |= measure(fit, drawn)
    return found


def known(name: str) -> dict[str, Any]:
    """Return the sums kept of a scenario: per key n, Σx, Σx² and how often there was no number."""
    path = RESULTS / f"{name}.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    return {"replicates": 0, "failed": {}, "sums": {}}


def keep(name: str, sums: dict[str, Any]) -> None:
    """Write the sums of a scenario, all or nothing."""
    RESULTS.mkdir(exist_ok=True)
    part = RESULTS / f"{name}.part"
    lines = [
        f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(row)}"
        for key, row in sorted(sums["sums"].items())
    ]
    head = {"title": SCENARIOS[name].title, "replicates": sums["replicates"], "failed": sums["failed"]}
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "sums": {\n' + ",\n".join(lines) + "\n}}\n"
    part.write_text(text, encoding="utf-8")
    part.replace(RESULTS / f"{name}.json")


def add(sums: dict[str, Any], found: dict[str, float]) -> None:
    """Add one replicate to the sums."""
    for key, value in found.items():
        row = sums["sums"].setdefault(key, [0, 0.0, 0.0, 0])
        if np.isnan(value):
            row[3] += 1
        else:
            row[0], row[1], row[2] = row[0] + 1, row[1] + value, row[2] + value * value


def extend(name: str, wanted: int) -> None:
    """Run the replicates of a scenario that its file lacks."""
    scenario, sums = SCENARIOS[name], known(name)
    begun = written = time.monotonic()
    first = int(sums["replicates"])
    for number in range(first, wanted):
        try:
            add(sums, replicate(name, scenario, number))
        except mm.MixedModelsError as error:
            why = f"{type(error).__name__}: {error}"[:160]
            sums["failed"][why] = sums["failed"].get(why, 0) + 1
        sums["replicates"] = number + 1
        if time.monotonic() - written > KEPT_EVERY:
            keep(name, sums)
            written = time.monotonic()
    if wanted > first:
        keep(name, sums)
        each = (time.monotonic() - begun) / (wanted - first)
        print(
            f"{name}: {wanted} replicates, {1000 * each:.0f} ms each, {sum(sums['failed'].values())} failed",
            flush=True,
        )


def main() -> None:
    """Run the scenarios of a shard."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="scenarios; all by default")
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--share", type=float, default=1.0, help="part of the replicates of every scenario")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name}: {scenario.title}" for name, scenario in SCENARIOS.items()))
        return
    shard, shards = map(int, arguments.shard.split("/"))
    names = [name for i, name in enumerate(arguments.names or SCENARIOS) if i % shards == shard - 1]
    warnings.simplefilter("ignore")
    for share in (*(part for part in PASSES if part < arguments.share), arguments.share):
        for name in names:
            extend(name, int(np.ceil(share * SCENARIOS[name].replicates)))


if __name__ == "__main__":
    main()

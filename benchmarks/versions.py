"""Two source trees of `mixedmodels` on the benchmark cases, in alternating rounds: is a change slower?

    python benchmarks/versions.py <before>/src <after>/src [--cases …] [--rounds 7] [--threads 1]

Each tree is a checkout with its own native module built in place. Processor seconds are compared, which other work on
the machine moves less than wall-clock times. A case is slower where the lower 95 % bound of the paired ratio
after / before, from the logarithms of the rounds, is above the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

from cases import CACHE, CASES, ensure_data
from peers import HERE
from report import duration, text_table
from rounds import Contest, Settings

LIMIT = 1.03
STUDENT = {2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02, 7: 1.94, 8: 1.89, 9: 1.86, 10: 1.83}
"""95 % points of Student's t for the number of rounds."""
HEADINGS = ["case", "before", "after", "after / before", "rounds", "−2l moved by", ""]


@dataclass(frozen=True, slots=True)
class Version:
    """A source tree, started like a tool that is compared."""

    name: str
    source: Path
    distribution: str = "mixedmodels"

    def worker_command(self, folder: Path, model: str, threads: int) -> list[str]:
        """The command of a worker process for one case."""
        worker = [sys.executable, str(HERE / "worker.py"), "mixedmodels", str(folder), model, str(threads)]
        return ["env", f"PYTHONPATH={self.source.resolve()}", *worker]

    def installed_command(self) -> list[str]:
        """The command that succeeds where the tree can be imported."""
        path = f"PYTHONPATH={self.source.resolve()}"
        return ["env", path, sys.executable, "-c", "import mixedmodels._rust"]


def compared(record: dict[str, Any]) -> list[str]:
    """One row of the table: medians, the median paired ratio with its range, how far −2l moved, the verdict."""
    before, after = record["measurements"]
    if not (before["seconds"] and after["seconds"]):
        return [record["case"], *(m["message"] or m["status"] for m in (before, after)), "", "", "", ""]
    pairs = list(zip(before["processor_seconds"], after["processor_seconds"], strict=False))
    logs = [log(theirs / ours) for ours, theirs in pairs]
    medians = [statistics.median(m["processor_seconds"]) for m in (before, after)]
    ratio = exp(statistics.median(logs))
    shown = f"{ratio:.3f} [{exp(min(logs)):.2f}, {exp(max(logs)):.2f}]"
    moved = after["outcome"]["criterion"] - before["outcome"]["criterion"]
    relative = moved / abs(before["outcome"]["criterion"])
    return [record["case"], *map(duration, medians), shown, str(len(logs)), f"{relative:.1e}", verdict(logs)]


def verdict(logs: list[float]) -> str:
    """Whether the ratio is above the limit by more than the rounds scatter."""
    n = len(logs)
    if n not in STUDENT:
        return ""
    lower = statistics.mean(logs) - STUDENT[n] * statistics.stdev(logs) / sqrt(n)
    return "SLOWER" if lower > log(LIMIT) else ""


def main() -> None:
    """Measure the cases and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("before", type=Path)
    add("after", type=Path)
    add("--cases", nargs="+", default=[*CASES], choices=[*CASES], metavar="case", help=", ".join(CASES))
    add("--rounds", type=int, default=7)
    add("--threads", type=int, default=1)
    add("--timeout", type=float, default=180.0)
    add("--output", type=Path, default=CACHE / "versions.json")
    arguments = parser.parse_args()
    settings = Settings(arguments.rounds, arguments.timeout, 60.0, 2, arguments.threads, 12 * 2**30, 1.0)
    versions = [Version("before", arguments.before), Version("after", arguments.after)]
    records = []
    for name in arguments.cases:
        case = CASES[name]
        folder = ensure_data(case, settings.scale)
        records.append(Contest(case, folder, settings, lambda _line: None).run(versions))
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        print(" | ".join(compared(records[-1])), flush=True)
    print(text_table(HEADINGS, [compared(record) for record in records]))


if __name__ == "__main__":
    sys.exit(main())

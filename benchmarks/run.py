"""Side-by-side benchmark of `mixedmodels` and its peers, in alternating rounds.

    python benchmarks/run.py [--cases …] [--peers …] [--rounds 5] [--quick]

Writes `<output>.json` and `<output>.md` after every case and prints the tables. See README.md for the method.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import CASES, ensure_data
from peers import DEFAULT_PEERS, HERE, PEERS
from report import (
    LOADING_HEADINGS,
    MEMORY_HEADINGS,
    case_text,
    loading_rows,
    machine_lines,
    markdown,
    memory_rows,
    text_table,
    verdict_rows,
)
from rounds import Contest, Settings, measure_loading, measure_memory

EXTRA = ("memory", "loading")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    every = [*CASES, *EXTRA]
    add = parser.add_argument
    add("--cases", nargs="+", default=every, choices=every, metavar="case", help=", ".join(every))
    default = [*DEFAULT_PEERS]
    add("--peers", nargs="+", default=default, choices=[*PEERS], metavar="peer", help=", ".join(PEERS))
    add("--rounds", type=int, default=5)
    add("--timeout", type=float, default=180.0, help="seconds one measurement may take")
    add("--slow-after", type=float, default=60.0, help="seconds a fit, above which a tool gets fewer rounds")
    add("--slow-rounds", type=int, default=2, help="rounds of such a tool")
    add("--threads", type=int, default=2)
    add("--memory-limit", type=float, default=0.7, help="address space of a process, as a share of memory")
    add("--scale", type=float, default=1.0, help="size of the simulated cases")
    add("--quick", action="store_true", help="2 rounds, a tenth of the size, 20 s per fit")
    add("--output", type=Path, default=HERE / "results" / "latest", help="path without suffix")
    add("--merge", action="store_true", help="keep the other cases of an existing output file")
    return parser.parse_args()


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of this run; `--quick` overrides three of them."""
    quick = arguments.quick
    return Settings(
        rounds=2 if quick else arguments.rounds,
        timeout=20.0 if quick else arguments.timeout,
        slow_after=arguments.slow_after,
        slow_rounds=arguments.slow_rounds,
        threads=arguments.threads,
        memory_limit=int(arguments.memory_limit * _memory_bytes()),
        scale=0.1 if quick else arguments.scale,
    )


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": _memory_bytes() / 2**30,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def empty_results(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The results file before anything is measured, or the existing one when merging."""
    existing = arguments.output.with_suffix(".json")
    results: dict[str, Any] = {"cases": [], "memory": [], "loading": None}
    if arguments.merge and existing.exists():
        results = json.loads(existing.read_text(encoding="utf-8"))
    return {**results, "machine": machine(), "settings": asdict(settings)}


def replace_record(records: list[dict[str, Any]], record: dict[str, Any]) -> None:
    """Put the record in the place of an older one of the same case."""
    records[:] = [old for old in records if old["case"] != record["case"]] + [record]


def save(results: dict[str, Any], output: Path) -> None:
    """Write the results and their Markdown."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    output.with_suffix(".md").write_text(markdown(results), encoding="utf-8")


def say(line: str) -> None:
    """Progress, shown at once."""
    print(line, flush=True)


def run_cases(arguments: argparse.Namespace, settings: Settings, results: dict[str, Any]) -> None:
    """The timed cases, in the order asked for."""
    for name in arguments.cases:
        if name in EXTRA:
            continue
        case = CASES[name]
        peers = [PEERS[peer] for peer in arguments.peers if peer in case.tools]
        say(f"\n== {name}: {case.title}")
        record = Contest(case, ensure_data(case, settings.scale), settings, say).run(peers)
        replace_record(results["cases"], record)
        save(results, arguments.output)
        say(case_text(record))


def run_extra(arguments: argparse.Namespace, settings: Settings, results: dict[str, Any]) -> None:
    """Peak memory and loading time."""
    peers = [PEERS[name] for name in arguments.peers]
    if "memory" in arguments.cases:
        for case in (case for case in CASES.values() if case.memory):
            say(f"\n== peak memory of {case.name}")
            asked = [peer for peer in peers if peer.name in case.tools]
            record = measure_memory(case, ensure_data(case, settings.scale), asked, settings, say)
            replace_record(results["memory"], record)
            save(results, arguments.output)
            say(text_table(MEMORY_HEADINGS, memory_rows(record)))
    if "loading" in arguments.cases:
        say("\n== loading")
        results["loading"] = measure_loading(peers, settings, say)
        save(results, arguments.output)
        say(text_table(LOADING_HEADINGS, loading_rows(results["loading"])))


def main() -> None:
    """Run what was asked for and print the promises."""
    arguments = read_arguments()
    settings = settings_of(arguments)
    results = empty_results(arguments, settings)
    run_cases(arguments, settings, results)
    run_extra(arguments, settings, results)
    say("")
    for line in machine_lines(results):
        say(line)
    say("")
    say(text_table(["promise", "measured", ""], verdict_rows(results)))
    say(f"\nwritten: {arguments.output.with_suffix('.json')} and .md")


if __name__ == "__main__":
    sys.exit(main())

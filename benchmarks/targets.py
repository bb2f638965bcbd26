"""What the package promises about speed and memory, and whether a results file keeps the promise."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

OWN = "mixedmodels"
ROWS_THAT_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise, the number measured for it and whether it is kept (`None`: not measured)."""

    promise: str
    measured: str
    kept: bool | None


# Case, peer and the least factor by which we are to be faster; of a peer's variants the fastest counts.
FACTORS = (
    ("insteval", "glmm", 2.5),
    ("insteval", "lme4", 12.0),
    ("slope_million", "glmm", 4.0),
    ("crossed_200k", "glmm", 3.0),
    ("nested_million", "glmm", 2.0),
    ("mmrm_200", "glmmTMB", 40.0),
    ("mmrm_200", "nlme", 200.0),
    ("mmrm_1000", "glmmTMB", 40.0),
    ("mmrm_1000", "nlme", 200.0),
    ("binary_1934", "glmm", 2.0),
    ("nb2_10k", "glmm", 4.0),
    ("binary_crossed", "glmm", 2.5),
    ("poisson_slopes", "glmm", 8.0),
    ("binary_million", "glmm", 5.0),
)
# The case and the most seconds one operation may take.
SECONDS = (
    ("sleepstudy", 0.004),
    ("sleepstudy_refit", 0.0002),
    ("cbpp", 0.003),
    ("mmrm_5000", 0.5),
    ("car1_20000", 3.0),
    ("field_400", 0.3),
    ("field_2000", 8.0),
    ("crossed_serial", 10.0),
    ("kr_mmrm_5000", 2.0),
    ("satterthwaite_million", 1.0),
)
# The case of a table and the most it may take, in seconds of the fit before it.
OF_THE_FIT = (("kr_insteval", 5.0),)
LOADING_SECONDS = 0.7
MEMORY_FACTOR = ("slope_million", 3.0)
MEMORY_BYTES = ("kr_insteval", 2e9)


def find(items: list[dict[str, Any]], key: str, value: str) -> dict[str, Any] | None:
    """The first item whose `key` has the value."""
    return next((item for item in items if item[key] == value), None)


def paired_ratios(own: dict[str, Any], other: dict[str, Any]) -> list[float]:
    """Their seconds over ours, round by round."""
    return [theirs / ours for ours, theirs in zip(own["seconds"], other["seconds"], strict=False)]


def verdicts(results: dict[str, Any]) -> list[Verdict]:
    """Every promise against a results file."""
    return [
        *(_factor(results, *entry) for entry in FACTORS),
        *(_seconds(results, *entry) for entry in SECONDS),
        *(_of_the_fit(results, *entry) for entry in OF_THE_FIT),
        _loading(results),
        _memory(results),
        _bytes(results),
        _nobody_faster(results),
    ]


def _own(results: dict[str, Any], case: str) -> dict[str, Any] | None:
    record = find(results["cases"], "case", case)
    own = None if record is None else find(record["measurements"], "peer", OWN)
    return own if own is not None and own["seconds"] else None


def _factor(results: dict[str, Any], case: str, peer: str, factor: float) -> Verdict:
    promise = f"{case}: at least {factor:g} × faster than {peer}"
    own = _own(results, case)
    if own is None:
        return Verdict(promise, "not measured", None)
    record = find(results["cases"], "case", case)
    assert record is not None
    variants = [
        (statistics.median(paired_ratios(own, other)), other["peer"])
        for other in record["measurements"]
        if other["peer"].split("-lean")[0] == peer and other["seconds"]
    ]
    if not variants:
        return Verdict(promise, f"{peer} not measured", None)
    ratio, name = min(variants)
    return Verdict(promise, f"{ratio:.2f} × ({name})", ratio >= factor)


def _seconds(results: dict[str, Any], case: str, limit: float) -> Verdict:
    promise = f"{case}: at most {limit:g} s" if limit >= 0.1 else f"{case}: at most {limit * 1000:g} ms"
    own = _own(results, case)
    if own is None:
        return Verdict(promise, "not measured", None)
    median = statistics.median(own["seconds"])
    shown = f"{median:.3f} s" if limit >= 0.1 else f"{median * 1000:.3f} ms"
    return Verdict(promise, shown, median <= limit)


def _of_the_fit(results: dict[str, Any], case: str, factor: float) -> Verdict:
    promise = f"{case}: at most {factor:g} × the time of the fit"
    own = _own(results, case)
    if own is None or not own.get("fit_seconds"):
        return Verdict(promise, "not measured", None)
    pairs = zip(own["seconds"], own["fit_seconds"], strict=True)
    ratio = statistics.median(table / fit for table, fit in pairs)
    return Verdict(promise, f"{ratio:.2f} ×", ratio <= factor)


def _loading(results: dict[str, Any]) -> Verdict:
    promise = f"import: at most {LOADING_SECONDS:g} s"
    seconds = (results.get("loading") or {}).get("seconds", {}).get(OWN)
    if not seconds:
        return Verdict(promise, "not measured", None)
    median = statistics.median(seconds)
    return Verdict(promise, f"{median:.3f} s", median <= LOADING_SECONDS)


def _own_memory(results: dict[str, Any], case: str) -> dict[str, Any] | None:
    record = find(results["memory"], "case", case)
    own = None if record is None else find(record["measurements"], "peer", OWN)
    return own if own is not None and own["status"] == "ok" else None


def _memory(results: dict[str, Any]) -> Verdict:
    case, factor = MEMORY_FACTOR
    promise = f"{case}: peak memory at most {factor:g} × the data"
    own = _own_memory(results, case)
    if own is None:
        return Verdict(promise, "not measured", None)
    ratio = own["increment"] / own["data"]
    return Verdict(promise, f"{ratio:.2f} × ({own['increment'] / 2**20:.1f} MiB)", ratio <= factor)


def _bytes(results: dict[str, Any]) -> Verdict:
    case, limit = MEMORY_BYTES
    promise = f"{case}: at most {limit / 1e9:g} GB in all"
    own = _own_memory(results, case)
    if own is None:
        return Verdict(promise, "not measured", None)
    total = own["before"] + own["increment"]
    return Verdict(promise, f"{total / 1e9:.2f} GB", total <= limit)


def _nobody_faster(results: dict[str, Any]) -> Verdict:
    promise = f"no peer faster on any case with more than {ROWS_THAT_COUNT:,} rows"
    compared, faster = 0, []
    for record in results["cases"]:
        own = _own(results, record["case"])
        if own is None or own["rows"] <= ROWS_THAT_COUNT:
            continue
        for other in record["measurements"]:
            if other["peer"] != OWN and other["seconds"]:
                compared += 1
                ratio = statistics.median(paired_ratios(own, other))
                if ratio < 1:
                    faster.append(f"{other['peer']} on {record['case']} ({ratio:.2f} ×)")
    if not compared:
        return Verdict(promise, "not measured", None)
    return Verdict(promise, ", ".join(faster) or f"none in {compared} pairs", not faster)

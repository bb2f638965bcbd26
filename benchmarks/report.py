"""A results file as text: aligned for the terminal, and the same tables in Markdown."""

from __future__ import annotations

import statistics
from typing import Any

from peers import PEERS
from targets import OWN, find, paired_ratios, verdicts

# A criterion this far above the best one reached for the same model is pointed out.
WORSE_CRITERION = 0.01

Row = list[str]

HEADINGS = ["tool", "rounds", "min", "median", "max", "processor", "× ours", "−2l", "above best", "note"]


def duration(seconds: float) -> str:
    """Seconds in the unit that keeps three significant digits readable."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def best_criteria(record: dict[str, Any]) -> dict[tuple[str, str], float]:
    """The lowest criterion reached, for each method and model that was fitted."""
    best: dict[tuple[str, str], float] = {}
    reached = [m["outcome"] for m in record["measurements"] if m["outcome"] is not None]
    for item in [*reached, *(r for r in record["references"] if "criterion" in r)]:
        key = (item["method"], item["model"])
        best[key] = min(best.get(key, float("inf")), item["criterion"])
    return best


def case_rows(record: dict[str, Any]) -> list[Row]:
    """One row per tool: times, ratio to ours pair by pair, criterion and what is to be known about it."""
    own = find(record["measurements"], "peer", OWN)
    best = best_criteria(record)
    return [_row(m, own, best, record) for m in record["measurements"]]


def _row(
    m: dict[str, Any], own: dict[str, Any] | None, best: dict[tuple[str, str], float], record: dict[str, Any]
) -> Row:
    if not m["seconds"]:
        return [m["peer"], "0", *[""] * 7, _sentence([m["status"], m["message"]], ": ")]
    seconds = m["seconds"]
    ratios = paired_ratios(own, m) if own is not None else []
    outcome = m["outcome"]
    above = outcome["criterion"] - best[outcome["method"], outcome["model"]]
    return [
        m["peer"],
        str(len(seconds)),
        duration(min(seconds)),
        duration(statistics.median(seconds)),
        duration(max(seconds)),
        duration(statistics.median(m["processor_seconds"])),
        f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]" if ratios else "",
        f"{outcome['criterion']:.4f}",
        f"{above:.1e}" if above > 0 else "0",
        _note(m, above, record),
    ]


def _note(m: dict[str, Any], above: float, record: dict[str, Any]) -> str:
    outcome = m["outcome"]
    notes = ["" if m["status"] == "ok" else m["status"], m["message"]]
    if outcome["method"] != "REML":
        notes.append(outcome["method"])
    if outcome["model"] != record["formula"]:
        notes.append(f"fits another model: {outcome['model']}")
    if above > WORSE_CRITERION:
        notes.append(f"CRITERION WORSE BY {above:.3g}")
    if outcome["converged"] is False:
        notes.append("not converged")
    notes.append(outcome["remark"])
    if m.get("fit_seconds"):
        notes.append(f"the fit before it {duration(statistics.median(m['fit_seconds']))}")
    return _sentence(notes, "; ")


def _sentence(parts: list[str], separator: str) -> str:
    return separator.join(part for part in parts if part)


def reference_lines(record: dict[str, Any]) -> list[str]:
    """Our criterion for the other models and methods, which the tools that fit those are held against."""
    lines = []
    for item in record["references"]:
        value = f"{item['criterion']:.4f}" if "criterion" in item else item["error"]
        lines.append(f"our {item['method']} criterion for {item['model']}: {value}")
    return lines


def memory_rows(record: dict[str, Any]) -> list[Row]:
    """One row per tool: peak growth of the resident set, what stays after the fit, and both over the data."""
    rows = []
    for m in record["measurements"]:
        if m["status"] != "ok":
            rows.append([m["peer"], "", "", "", _sentence([m["status"], m.get("message", "")], ": ")])
            continue
        rows.append(
            [
                m["peer"],
                f"{m['increment'] / 2**20:.1f} MiB",
                f"{m['increment'] / m['data']:.2f}",
                f"{m['kept'] / 2**20:.1f} MiB",
                f"data {m['data'] / 2**20:.1f} MiB",
            ]
        )
    return rows


def loading_rows(loading: dict[str, Any]) -> list[Row]:
    """One row per tool: seconds to load it in a new process."""
    rows = []
    for name, seconds in loading["seconds"].items():
        if not seconds:
            rows.append([name, "", "", "", f"failed: {loading['failures'][name]}"])
            continue
        spread = [duration(min(seconds)), duration(statistics.median(seconds)), duration(max(seconds))]
        rows.append([name, *spread, ""])
    rows.extend([name, "", "", "", "not installed"] for name in loading["not installed"])
    return rows


def verdict_rows(results: dict[str, Any]) -> list[Row]:
    """One row per promise."""
    words = {True: "kept", False: "NOT KEPT", None: ""}
    return [[v.promise, v.measured, words[v.kept]] for v in verdicts(results)]


def text_table(headings: Row, rows: list[Row]) -> str:
    """Columns aligned with spaces; the last column is left as it is."""
    table = [headings, *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(headings))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True))]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    lines.insert(1, "-" * min(110, sum(widths[:-1]) + 2 * len(widths)))
    return "\n".join(lines)


def markdown_table(headings: Row, rows: list[Row]) -> str:
    """The same rows as a Markdown table; a vertical bar in a cell is escaped."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in [headings, *rows]]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    lines.insert(1, "|" + " --- |" * len(headings))
    return "\n".join(lines)


def case_text(record: dict[str, Any]) -> str:
    """One case for the terminal."""
    return "\n".join([text_table(HEADINGS, case_rows(record)), *reference_lines(record)])


def machine_lines(results: dict[str, Any]) -> list[str]:
    """What it ran on and with what."""
    machine, settings = results["machine"], results["settings"]
    versions: dict[str, str] = {}
    for record in results["cases"]:
        for m in record["measurements"]:
            if m["version"]:
                versions[m["peer"]] = _sentence([m["version"], m["detail"]], ", ")
    return [
        f"{machine['date']}; {machine['processor']}, {machine['processors']} processors, "
        f"{machine['memory_gib']:.0f} GiB; {machine['system']}; Python {machine['python']}; "
        f"{settings['threads']} threads for every tool.",
        f"{settings['rounds']} alternating rounds; {settings['slow_rounds']} for a tool slower than "
        f"{settings['slow_after']:g} s a fit; {settings['timeout']:g} s at most per fit; "
        f"{settings['memory_limit'] / 2**30:.0f} GiB of address space per process; "
        f"scale {settings['scale']:g}.",
        *(f"{name} {version}: {PEERS[name].about}" for name, version in versions.items()),
    ]


def markdown(results: dict[str, Any]) -> str:
    """The whole results file in Markdown."""
    parts = ["# Benchmark results", "\n".join(f"- {line}" for line in machine_lines(results))]
    parts += ["## Promises", markdown_table(["promise", "measured", ""], verdict_rows(results))]
    for record in results["cases"]:
        parts += [f"## {record['case']}", f"{record['title']}: `{_short(record['formula'])}`"]
        parts.append(f"Load average before and after: {record['load'][0]}, {record['load'][1]}.")
        parts.append(markdown_table(HEADINGS, case_rows(record)))
        parts += reference_lines(record)
    for record in results["memory"]:
        parts += [f"## Peak memory of {record['case']}", markdown_table(MEMORY_HEADINGS, memory_rows(record))]
    if results["loading"] is not None:
        parts += ["## Loading", markdown_table(LOADING_HEADINGS, loading_rows(results["loading"]))]
    return "\n\n".join(parts) + "\n"


MEMORY_HEADINGS = ["tool", "growth at peak", "over the data", "kept by the fit", "note"]
LOADING_HEADINGS = ["tool", "min", "median", "max", "note"]


def _short(formula: str) -> str:
    return formula if len(formula) <= 90 else f"{formula[:40]} … {formula[-40:]}"

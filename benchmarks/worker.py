"""A process that holds one Python tool and one case's data and answers requests, one JSON object a line.

    python worker.py <peer> <data folder> <model as JSON> <threads>

Requests on standard input: `calibrate` (fits, says how many repetitions fill a fifth of a second), `time`
(one timed measurement), `memory` (one fit, growth of the resident set), `reference` (criterion of another
formula or method). Replies are marked with `@@`; whatever a tool prints itself goes to standard error.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters import ADAPTERS, Adapter, NotOfferedError, warm_up
from columns import read_frame

CALIBRATED_SECONDS = 0.2
MOST_REPETITIONS = 500


class Session:
    """The tool bound to its data, and the operation being timed: what it is given, made before the clock
    starts, and what is done with it.
    """

    def __init__(self, adapter: Adapter, operation: str) -> None:
        self.adapter = adapter
        self.given: Callable[[], Any] = lambda: None
        self.operation: Callable[[Any], Any] = lambda _: adapter.fit()
        if operation == "refit":
            base = adapter.fit()
            response = adapter.frame["new_response"].to_numpy()
            self.operation = lambda _: adapter.refit(base, response)
        elif operation != "fit":
            # a fit keeps what it has computed, so every measurement needs a fit of its own
            self.given = adapter.fit
            self.operation = lambda fit: adapter.table(fit, operation)

    def calibrate(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Fit a few times; the repetitions that make one measurement last about a fifth of a second."""
        self.operation(self.given())
        seconds, _, _ = self._measure(1)
        return {"repeat": max(1, min(MOST_REPETITIONS, round(CALIBRATED_SECONDS / max(seconds, 1e-6))))}

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wall and processor seconds of one operation (the mean over the repetitions) and what it reached."""
        begun = time.perf_counter()
        given = self.given()
        fit_seconds = time.perf_counter() - begun
        seconds, processor_seconds, fit = self._measure(request["repeat"], given)
        outcome = asdict(self.adapter.outcome(fit))
        return {
            "seconds": seconds,
            "processor_seconds": processor_seconds,
            "fit_seconds": fit_seconds if given is not None else None,
            "outcome": outcome,
        }

    def _measure(self, repeat: int, given: Any = None) -> tuple[float, float, Any]:
        fit = None
        gc.collect()
        start, processor_start = time.perf_counter(), time.process_time()
        for _ in range(repeat):
            fit = self.operation(given)
        seconds = (time.perf_counter() - start) / repeat
        return seconds, (time.process_time() - processor_start) / repeat, fit

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Bytes by which the resident set rose above its size before one operation."""
        given = self.given()
        gc.collect()
        # Writing 5 resets the kernel's high-water mark of the resident set (proc(5), clear_refs).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _status_bytes("VmRSS")
        fit = self.operation(given)
        peak = _status_bytes("VmHWM")
        kept = _status_bytes("VmRSS")
        del fit
        data = int(self.adapter.frame.memory_usage(deep=True).sum())
        return {"before": before, "increment": peak - before, "kept": kept - before, "data": data}

    def reference(self, request: dict[str, Any]) -> dict[str, Any]:
        """The criterion of the given formula by the given method."""
        return {"criterion": self.adapter.reference(request["formula"], request["method"])}


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def failure(error: BaseException) -> dict[str, Any]:
    """An error as a reply: whether the tool does not offer the thing asked or failed at it, and why."""
    kind = "not offered" if isinstance(error, NotOfferedError) else "failed"
    text = str(error) if kind == "not offered" else f"{type(error).__name__}: {error}"
    traceback.print_exc()
    return {"error": " ".join(text.split())[:300], "kind": kind}


def main() -> None:
    """Load, say what was loaded, then answer until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    name, folder, model_text, threads = sys.argv[1:5]

    def reply(answer: dict[str, Any]) -> None:
        replies.write("@@" + json.dumps(answer) + "\n")
        replies.flush()

    try:
        model = json.loads(model_text)
        frame = read_frame(Path(folder))
        adapter = ADAPTERS[name](frame, model, int(threads))
        warm_up(name, int(threads))
        session = Session(adapter, model["operation"])
        reply({"version": importlib.metadata.version(adapter.distribution), "rows": len(frame)})
    except Exception as error:
        reply(failure(error))
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply(getattr(session, request["command"])(request))
        except Exception as error:
            reply(failure(error))


if __name__ == "__main__":
    main()

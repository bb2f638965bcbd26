"""Worker processes: started with a fixed number of threads and a memory limit, asked one thing at a time."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import resource
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Every numerical library among the peers reads one of these.
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "NUMBA_NUM_THREADS",
)


CAUSE = re.compile(r"panicked|memory allocation|MemoryError|bad_alloc|cannot allocate", re.IGNORECASE)


class WorkerError(Exception):
    """A worker that answered with an error, ended, or did not answer in time; `kind` says which."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def thread_environment(threads: int) -> dict[str, str]:
    """The environment with every thread variable set to the same number."""
    return {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}}


class Worker:
    """One long-lived process that answers a JSON line with a JSON line."""

    def __init__(self, command: Sequence[str], threads: int, memory_limit: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=thread_environment(threads),
                text=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit)),
            )
        self.answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@@"):
                self.answers.put(line[2:])
        self.answers.put(None)

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """The answer to one request; raises `WorkerError` when there is none."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError("failed", self._last_words()) from None
        return self.wait(timeout)

    def wait(self, timeout: float) -> dict[str, Any]:
        """The next answer; a worker that lets the time pass is ended."""
        try:
            line = self.answers.get(timeout=timeout)
        except queue.Empty:
            self.process.kill()
            self.process.wait()
            raise WorkerError("timeout", f"no answer within {timeout:g} s") from None
        if line is None:
            raise WorkerError("failed", self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["kind"], answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self.process.wait()
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        end = f"process ended by signal {-code}" if code < 0 else f"process ended with code {code}"
        # A backtrace may follow the cause, so a line that names one is preferred to the last line.
        causes = [line for line in lines if CAUSE.search(line)] or lines[-1:]
        return f"{end}: {causes[0].strip()[:200]}" if causes else end

    def close(self) -> None:
        """End the process, kindly first."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

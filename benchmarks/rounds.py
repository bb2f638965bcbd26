"""Alternating rounds: every tool once, then every tool again, so that drift of the machine meets all."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cases import CACHE, Case
from peers import Peer
from processes import Worker, WorkerError, thread_environment

START_TIMEOUT = 300.0
FIRST_FIT = (
    "import mixedmodels as mm; mm.lmm('Reaction ~ Days + (Days | Subject)', mm.datasets.load('sleepstudy'))"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How often, how long and with what resources every tool is run."""

    rounds: int
    timeout: float
    slow_after: float
    slow_rounds: int
    threads: int
    memory_limit: int
    scale: float


@dataclass(slots=True)
class Measurement:
    """One tool on one case: seconds per round (and of the fit before it, where the case is a table), what it
    reached, and why it stopped if it did."""

    peer: str
    status: str = "ok"
    message: str = ""
    version: str = ""
    detail: str = ""
    rows: int = 0
    repeat: int = 1
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)
    outcome: dict[str, Any] | None = None


def is_installed(peer: Peer) -> bool:
    """Whether the tool is there to be run."""
    try:
        return subprocess.run(peer.installed_command(), capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


def worker_for(peer: Peer, case: Case, folder: Path, settings: Settings, purpose: str) -> Worker:
    """A started worker process; its standard error goes to a log in the cache."""
    model = json.dumps({**asdict(case.model), "operation": case.operation})
    command = peer.worker_command(folder, model, settings.threads)
    log = CACHE / "logs" / f"{case.name}-{peer.name}-{purpose}.log"
    return Worker(command, settings.threads, settings.memory_limit, log)


class Contest:
    """One case: the workers of all tools, measured in alternating rounds."""

    def __init__(self, case: Case, folder: Path, settings: Settings, say: Callable[[str], None]) -> None:
        self.case = case
        self.folder = folder
        self.settings = settings
        self.say = say
        self.measurements: dict[str, Measurement] = {}
        self.workers: dict[str, Worker] = {}

    def run(self, peers: Sequence[Peer]) -> dict[str, Any]:
        """All rounds of all tools; the record of the case for the results file."""
        load_before = os.getloadavg()[0]
        try:
            for peer in peers:
                self._start(peer)
            for number in range(self.settings.rounds):
                self.say(f"  round {number + 1} of {self.settings.rounds}")
                for name in list(self.workers):
                    self._measure(name)
            references = self._references()
        finally:
            for worker in self.workers.values():
                worker.close()
        return {
            "case": self.case.name,
            "title": self.case.title,
            "formula": self.case.model.formula,
            "operation": self.case.operation,
            "load": [round(load_before, 2), round(os.getloadavg()[0], 2)],
            "measurements": [asdict(m) for m in self.measurements.values()],
            "references": references,
        }

    def _start(self, peer: Peer) -> None:
        measurement = Measurement(peer.name)
        self.measurements[peer.name] = measurement
        if not is_installed(peer):
            measurement.status = "not installed"
            return
        worker = worker_for(peer, self.case, self.folder, self.settings, "time")
        self.workers[peer.name] = worker
        try:
            hello = worker.wait(START_TIMEOUT)
            measurement.version, measurement.rows = hello["version"], hello["rows"]
            measurement.detail = hello.get("detail", "")
            if self.case.warm:
                measurement.repeat = worker.ask({"command": "calibrate"}, self.settings.timeout)["repeat"]
        except WorkerError as error:
            self._stop(peer.name, error)

    def _measure(self, name: str) -> None:
        measurement, settings = self.measurements[name], self.settings
        slow = bool(measurement.seconds) and measurement.seconds[0] > settings.slow_after
        if slow and len(measurement.seconds) >= settings.slow_rounds:
            measurement.message = f"fewer rounds: slower than {settings.slow_after:g} s"
            return
        request = {"command": "time", "repeat": measurement.repeat}
        try:
            answer = self.workers[name].ask(request, settings.timeout)
        except WorkerError as error:
            self._stop(name, error)
            return
        measurement.seconds.append(answer["seconds"])
        measurement.processor_seconds.append(answer["processor_seconds"])
        if answer.get("fit_seconds") is not None:
            measurement.fit_seconds.append(answer["fit_seconds"])
        measurement.outcome = answer["outcome"]
        self.say(f"    {name:18s} {answer['seconds']:.6g} s")

    def _stop(self, name: str, error: WorkerError) -> None:
        measurement = self.measurements[name]
        measurement.status, measurement.message = error.kind, str(error)
        self.workers.pop(name).close()
        self.say(f"    {name:18s} {error.kind}: {error}")

    def _references(self) -> list[dict[str, Any]]:
        """Our own criterion, not timed, for every other model or method that some tool fitted instead."""
        worker = self.workers.get("mixedmodels")
        if worker is None or self.case.operation != "fit" or self.case.model.family is not None:
            return []
        reached = [m.outcome for m in self.measurements.values() if m.outcome is not None]
        wanted = {(o["method"], o["model"]) for o in reached} - {("REML", self.case.model.formula)}
        references = []
        for method, formula in sorted(wanted):
            request = {"command": "reference", "method": method, "formula": formula}
            try:
                answer = worker.ask(request, self.settings.timeout)
                references.append({"method": method, "model": formula, "criterion": answer["criterion"]})
            except WorkerError as error:
                references.append({"method": method, "model": formula, "error": str(error)})
                if error.kind == "timeout":
                    break
        return references


def measure_memory(
    case: Case, folder: Path, peers: Sequence[Peer], settings: Settings, say: Callable[[str], None]
) -> dict[str, Any]:
    """Growth of the resident set during one fit, in a fresh process for each tool, data already loaded."""
    entries = []
    for peer in peers:
        entry: dict[str, Any] = {"peer": peer.name, "status": "ok"}
        entries.append(entry)
        if not is_installed(peer):
            entry["status"] = "not installed"
            continue
        worker = worker_for(peer, case, folder, settings, "memory")
        try:
            worker.wait(START_TIMEOUT)
            entry.update(worker.ask({"command": "memory"}, settings.timeout))
            increment, data = entry["increment"] / 2**20, entry["data"] / 2**20
            say(f"    {peer.name:18s} {increment:.1f} MiB for {data:.1f} MiB of data")
        except WorkerError as error:
            entry["status"], entry["message"] = error.kind, str(error)
            say(f"    {peer.name:18s} {error.kind}: {error}")
        finally:
            worker.close()
    return {"case": case.name, "measurements": entries}


def measure_loading(peers: Sequence[Peer], settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds from nothing to a loaded package; a first, unmeasured round fills the file cache."""
    bare = Peer("(bare interpreter)", "own", "", "pass", "")
    first = Peer("mixedmodels, first fit", "own", "mixedmodels", FIRST_FIT, "")
    distinct = list({peer.load_command()[-1]: peer for peer in reversed(peers)}.values())[::-1]
    present = [bare, *(peer for peer in distinct if is_installed(peer))]
    present += [first] if any(peer.home == "own" for peer in present[1:]) else []
    seconds: dict[str, list[float]] = {peer.name: [] for peer in present}
    failures: dict[str, str] = {}
    environment = thread_environment(settings.threads)
    for number in range(settings.rounds + 1):
        for peer in present:
            start = time.perf_counter()
            done = subprocess.run(peer.load_command(), capture_output=True, text=True, env=environment)
            elapsed = time.perf_counter() - start
            if done.returncode != 0:
                failures[peer.name] = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
            elif number > 0:
                seconds[peer.name].append(elapsed)
    for name, values in seconds.items():
        say(f"    {name:18s} " + (f"{min(values):.3f} s" if values else failures[name]))
    absent = [peer.name for peer in distinct if peer.name not in seconds]
    return {"seconds": seconds, "failures": failures, "not installed": absent}

"""Which functions of the package each test calls: a pytest plugin, read by tools/mutants.py.

    PYTHONPATH=tools python -m pytest -p seen --seen seen.jsonl tests/unit

writes a line of JSON for each test that passes: its id, its seconds of a processor, and the functions of the package
that it called, fixtures included, as numbers of `file:line`, which are listed where they are first called.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

TOOL = 4
"""One of the numbers that `sys.monitoring` leaves to programs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file to write to."""
    parser.addoption("--seen", type=Path, default=Path("seen.jsonl"))


def pytest_configure(config: pytest.Config) -> None:
    """Watch the tests of this run."""
    config.pluginmanager.register(Seen(config.getoption("--seen"), config.rootpath))


class Seen:
    """Notes the functions of the package that are called while a test runs, fixtures included."""

    def __init__(self, log: Path, root: Path) -> None:
        self.log, self.called, self.passed = log, set[str](), False
        self.numbers: dict[str, int] = {}
        self.sources = f"{root / 'src'}/"
        self.again: Callable[[], None] = lambda: None
        if sys.version_info >= (3, 12):
            watch = sys.monitoring
            watch.use_tool_id(TOOL, "seen")
            watch.register_callback(TOOL, watch.events.PY_START, self.start)
            watch.set_events(TOOL, watch.events.PY_START)
            # each function tells of its first call in a test only, so that the tests run at their own speed
            self.again = watch.restart_events
        else:
            sys.settrace(self.trace)

    def start(self, code: CodeType, offset: int) -> Any:
        """Note a function, and hear no more of it."""
        self.note(code)
        return sys.monitoring.DISABLE  # type: ignore[attr-defined, unused-ignore]

    def trace(self, frame: FrameType, event: str, argument: Any) -> None:
        """Note a function; its lines are not followed."""
        self.note(frame.f_code)

    def note(self, code: CodeType) -> None:
        """Keep `file:line` of a function of the package."""
        if code.co_filename.startswith(self.sources):
            self.called.add(f"{code.co_filename[len(self.sources) :]}:{code.co_firstlineno}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Write the line of a test that passes."""
        self.called.clear()
        self.passed = False
        self.again()
        start = time.process_time()
        result = yield
        seconds = round(time.process_time() - start, 3)
        if self.passed:
            new = sorted(self.called - self.numbers.keys())
            self.numbers |= {call: k for k, call in enumerate(new, len(self.numbers))}
            calls = sorted(self.numbers[call] for call in self.called)
            entry = {"test": item.nodeid, "seconds": seconds, "new": new, "calls": calls}
            with self.log.open("a") as log:
                print(json.dumps(entry), file=log)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep whether the test itself passes."""
        if report.when == "call":
            self.passed = report.passed
        elif report.failed:
            self.passed = False

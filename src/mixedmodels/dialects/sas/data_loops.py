"""DO and SELECT of DATA steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .data_read import Action, Continue, Leave, StepReader
from .expressions import Compiled, Row, holds, is_true
from .statements import Reader, Statement

if TYPE_CHECKING:
    from .data_run import Runner


def read_loop(owner: StepReader, reader: Reader) -> Callable[[list[Action]], Action]:
    """Return a DO as a function of the actions inside it."""
    if not reader:
        return _plain
    after = reader.peek(1)
    if reader.is_word("while", "until") and after is not None and after.is_mark("("):
        until = reader.next().word == "until"
        return _conditional(owner.expression(reader), until, reader)
    if reader.is_word("over"):
        reader.fail("DO OVER is not done; count the elements of the array.")
    key = owner.key(reader.name("the variable of the loop"))
    reader.mark("=")
    pieces = [_piece(owner, reader)]
    while reader.take_mark(","):
        pieces.append(_piece(owner, reader))
    condition, until = None, False
    if reader.is_word("while", "until"):
        until = reader.next().word == "until"
        condition = owner.expression(reader)
    if reader:
        reader.fail("this does not belong to DO.")
    return _counted(key, pieces, condition, until, reader)


def _piece(owner: StepReader, reader: Reader) -> tuple[Compiled, Compiled | None, Compiled | None]:
    first = owner.expression(reader)
    last = step = None
    while reader.is_word("to", "by"):
        if reader.next().word == "to":
            last = owner.expression(reader)
        else:
            step = owner.expression(reader)
    return first, last, step


def _run(runner: Runner, row: Row, body: list[Action]) -> bool:
    """Run the inside of a loop once; return whether the loop goes on."""
    try:
        for action in body:
            runner.count()
            action(runner, row)
    except Leave:
        return False
    except Continue:
        pass
    runner.count()
    return True


def _plain(body: list[Action]) -> Action:
    def run(runner: Runner, row: Row) -> None:
        for action in body:
            runner.count()
            action(runner, row)

    return run


def _conditional(condition: Compiled, until: bool, reader: Reader) -> Callable[[list[Action]], Action]:
    if reader:
        reader.fail("this does not belong to DO.")

    def make(body: list[Action]) -> Action:
        def run(runner: Runner, row: Row) -> None:
            while until or is_true(condition(row)):
                if not _run(runner, row, body) or (until and is_true(condition(row))):
                    break

        return run

    return make


def _counted(
    key: str, pieces: Any, condition: Compiled | None, until: bool, reader: Reader
) -> Callable[[list[Action]], Action]:
    def number(value: Any) -> float:
        if isinstance(value, str) or value != value:
            reader.fail("the bounds of DO are numbers that are not missing.", reader.tokens[0])
        return float(value)

    def values(row: Row) -> Iterator[Any]:
        for first, last, step in pieces:
            if last is None:
                yield first(row)
                continue
            start, stop = number(first(row)), number(last(row))
            by = 1.0 if step is None else number(step(row))
            if by == 0:
                reader.fail("DO … BY 0 never ends.", reader.tokens[0])
            k = 0
            while (start + k * by - stop) * (1 if by > 0 else -1) <= 1e-9 * abs(by):
                yield start + k * by
                k += 1
            row[key] = start + k * by

    def make(body: list[Action]) -> Action:
        def run(runner: Runner, row: Row) -> None:
            for value in values(row):
                row[key] = value
                if condition is not None and not until and not is_true(condition(row)):
                    break
                if not _run(runner, row, body):
                    break
                if condition is not None and until and is_true(condition(row)):
                    break

        return run

    return make


def read_select(owner: StepReader, reader: Reader, statements: Iterator[Statement]) -> Action:
    """Return `select (x); when (1, 2) …; otherwise …; end;`."""
    subject = owner.expression(reader) if reader else None
    branches: list[tuple[list[Compiled], list[Action]]] = []
    others: list[Action] = []
    one = next(statements, None)
    while one is not None and one.word in ("when", "otherwise"):
        inner = one.reader()
        tests: list[Compiled] = []
        if one.word == "when":
            inner.mark("(")
            tests.append(owner.expression(inner))
            while inner.take_mark(","):
                tests.append(owner.expression(inner))
            inner.mark(")")
        made = owner.statement(inner, one, statements) if inner else []
        if one.word == "when":
            branches.append((tests, made))
        else:
            others = made
        one = next(statements, None)
    if one is None or one.word != "end":
        reader.fail("SELECT takes WHEN and OTHERWISE, and is closed by END.", reader.tokens[0])

    def run(runner: Runner, row: Row) -> None:
        value = None if subject is None else subject(row)
        for tests, made in branches:
            if any(_hit(value, test(row), subject is None) for test in tests):
                for action in made:
                    action(runner, row)
                return
        for action in others:
            action(runner, row)

    return run


def _hit(value: Any, test: Any, bare: bool) -> bool:
    if bare:
        return is_true(test)
    return isinstance(value, str) == isinstance(test, str) and holds("=", value, test)

"""The statements of a DATA step read into closures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .data_input import Lines, infile_options, read_items
from .data_options import with_options
from .effects import numbered
from .expressions import Compiled, ExpressionReader, Row, is_true
from .lex import Kind, Token
from .statements import GLOBAL, RawStep, Reader, Statement

if TYPE_CHECKING:
    from .data_run import Runner
    from .run import Session

Action = Callable[["Runner", Row], None]
NOTED = frozenset({"format", "informat", "label", "attrib", "put", "file"})
REFUSED = {
    "update": "MERGE with BY is done", "modify": "SET is done", "call": "no routines are called",
    "link": "no jumps are made", "goto": "no jumps are made", "go": "no jumps are made", "infile": "",
    "declare": "no objects are made", "abort": "use STOP",
}  # fmt: skip
DEEPEST = 40
"""Blocks within blocks."""


class Next(Exception):
    """The step goes to its next row, without output."""


class Stop(Exception):
    """The step ends."""


class Leave(Exception):
    """A loop is left."""


class Continue(Exception):
    """A loop goes to its next turn."""


class StepReader:
    """A DATA step as it is read: actions, and what is known of its variables."""

    def __init__(self, session: Session, raw: RawStep, targets: list[str]) -> None:
        self.session, self.raw, self.targets = session, raw, targets
        self.actions: list[Action] = []
        self.names: dict[str, str] = {}
        self.texts: set[str] = set()
        self.lengths: dict[str, int] = {}
        self.arrays: dict[str, list[str]] = {}
        self.retained: dict[str, Any] = {}
        self.sources: set[str] = set()
        self.kept: set[str] = set()
        self.dropped: set[str] = set()
        self.hidden: set[str] = set()
        self.declared: set[str] = set()
        self.renamed: dict[str, str] = {}
        self.by: list[tuple[str, bool]] = []
        self.outputs = False
        self.reads = False
        self.lines: Lines | None = None
        self.notes: list[str] = []
        self.backend: str = "dict"
        self.depth = 0
        if session.data:
            self.backend = next(iter(session.data.values())).backend

    # -- names -------------------------------------------------------------------------------------------------
    def key(self, token: Token) -> str:
        """Return the key of a variable and keep its name as first written."""
        key = token.text.lower()
        if key not in self.names and key not in ("_n_", "_error_"):
            self.names[key] = token.text
        return key

    def expression(self, reader: Reader) -> Compiled:
        return ExpressionReader(reader, self.key, self.arrays).read()

    def listed(self, reader: Reader, *stops: str) -> list[str]:
        """Return keys of `a b x1-x3 a--c d:`."""
        out: list[str] = []
        while reader and not reader.is_mark(*stops):
            first = reader.name("a variable")
            if reader.is_mark("-"):
                reader.next()
                if reader.take_mark("-"):
                    known = list(self.names)
                    a, b = first.text.lower(), reader.name().text.lower()
                    if a not in known or b not in known or known.index(a) > known.index(b):
                        reader.fail(f"{a}--{b} is no run of variables known here.", first)
                    out += known[known.index(a) : known.index(b) + 1]
                else:
                    out += [n.lower() for n in numbered(reader, first, reader.name(), lambda t: self.key(t))]
            elif reader.take_mark(":"):
                out += [name for name in self.names if name.startswith(first.text.lower())]
            else:
                out.append(self.key(first))
        return out

    # -- statements --------------------------------------------------------------------------------------------
    def read(self) -> StepReader:
        statements = iter(self.raw.body)
        body = list(self.raw.body)
        for one in body:
            if one.word == "by":
                self._by(one)
            if one.lines is not None:
                self.lines = Lines(one.lines.text.replace("\r", "").split("\n"))
                if self.lines.lines and not self.lines.lines[-1]:
                    self.lines.lines.pop()
        self.actions, closing = self.block(statements)
        if closing is not None:
            closing.fail("END closes no DO.")
        return self

    def block(self, statements: Iterator[Statement]) -> tuple[list[Action], Statement | None]:
        """Return the actions up to END, WHEN, OTHERWISE or the end, and the statement that ended them."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.raw.head.fail(f"blocks stand more than {DEEPEST} deep.")
        out: list[Action] = []
        pending: Statement | None = None
        ended = None
        while (one := pending or next(statements, None)) is not None:
            pending = None
            if one.word in ("end", "when", "otherwise") and len(one.tokens) >= 1 and not _assigned(one):
                ended = one
                break
            if one.word == "if" and not _assigned(one):
                action, pending = self.branch(one, statements)
                out.append(action)
            else:
                out += self.statement(one.reader(0), one, statements)
        self.depth -= 1
        return out, ended

    def branch(self, one: Statement, statements: Iterator[Statement]) -> tuple[Action, Statement | None]:
        """Return IF with its ELSE, and the statement after it."""
        action, is_then, begin = self._if(one.reader(), one, statements)
        following = next(statements, None)
        if not is_then or following is None or following.word != "else" or _assigned(following):
            return action, following
        reader = following.reader()
        if reader.is_word("if"):
            rest = Statement(following.program, following.tokens[1:], following.lines)
            other, after = self.branch(rest, statements)
            others, pending = [other], after
        else:
            others, pending = self.statement(reader, following, statements), None
        condition, then = begin

        def run(runner: Runner, row: Row) -> None:
            for step in then if is_true(condition(row)) else others:
                step(runner, row)

        return run, pending

    def _if(
        self, reader: Reader, one: Statement, statements: Iterator[Statement]
    ) -> tuple[Action, bool, Any]:
        condition = self.expression(reader)
        if not reader.take_word("then"):
            if reader:
                reader.fail("THEN is expected here.")

            def keep(runner: Runner, row: Row) -> None:
                if not is_true(condition(row)):
                    raise Next

            return keep, False, (condition, [])
        then = self.statement(reader, one, statements) if reader else []

        def run(runner: Runner, row: Row) -> None:
            if is_true(condition(row)):
                for step in then:
                    step(runner, row)

        return run, True, (condition, then)

    def statement(self, reader: Reader, one: Statement, statements: Iterator[Statement]) -> list[Action]:
        """Return the actions of one statement that begins where a reader stands."""
        token = reader.peek()
        if token is None:
            return []
        if token.kind is not Kind.NAME:
            reader.fail("a statement begins with a word.", token)
        after = reader.peek(1)
        if after is not None and (
            after.is_mark("=") or (after.is_mark("+") and token.word not in ("input",))
        ):
            return [self._assign(reader)]
        if token.word in self.arrays and after is not None and after.is_mark("{", "[", "("):
            return [self._assign(reader)]
        word = reader.next().word
        if word == "if":
            action, _, _ = self._if(reader, one, statements)
            return [action]
        if word == "do":
            return [self._do(reader, statements)]
        if word == "select":
            return [self._select(reader, statements)]
        found = getattr(self, f"_{word}", None) if word in SIMPLE else None
        if found is not None:
            made: list[Action] = found(reader)
            if reader and word not in ("datalines", "cards", "lines"):
                reader.fail(f"this does not belong to {word.upper()}.")
            return made
        if word in NOTED or word.rstrip("0123456789") in GLOBAL:
            self.notes.append(f"{word.upper()} in the DATA step is noted: it changes nothing here")
            return []
        if word == "by":
            return []
        why = REFUSED.get(word, "")
        return reader.fail(
            f"statement {token.text!r} of the DATA step is not done{': ' + why if why else ''}.", token
        )

    def _assign(self, reader: Reader) -> Action:
        token = reader.next()
        target = self._target(reader, token)
        if reader.take_mark("+"):
            return self._sum(token, self.expression(reader), reader)
        reader.mark("=")
        first = reader.peek()
        value = self.expression(reader)
        if reader:
            reader.fail("this does not belong to the assignment.")
        key = token.text.lower()
        alone = first is not None and first.kind is Kind.TEXT and reader.at - 1 == reader.tokens.index(first)
        if alone and first is not None and key not in self.lengths:
            self.lengths[key] = max(len(first.text), 1)
            self.texts.add(key)

        def run(runner: Runner, row: Row) -> None:
            runner.assign(row, target(row), value(row))

        return run

    def _target(self, reader: Reader, token: Token) -> Callable[[Row], str]:
        if token.word in self.arrays and reader.is_mark("{", "[", "("):
            opened = reader.next().text
            index = self.expression(reader)
            reader.mark({"{": "}", "[": "]", "(": ")"}[opened])
            keys = self.arrays[token.word]

            def element(row: Row) -> str:
                place = index(row)
                if isinstance(place, str) or not (place == place and 1 <= place <= len(keys)):
                    reader.fail(f"array {token.text} has elements 1 to {len(keys)}, not {place}.", token)
                return keys[int(place) - 1]

            return element
        key = self.key(token)
        return lambda row: key

    def _sum(self, token: Token, value: Compiled, reader: Reader) -> Action:
        key = self.key(token)
        self.retained.setdefault(key, 0.0)

        def run(runner: Runner, row: Row) -> None:
            added = value(row)
            before = row[key]
            if isinstance(added, str) or isinstance(before, str):
                reader.fail("a text is added to a sum.", token)
            row[key] = (0.0 if before != before else before) + (0.0 if added != added else added)

        return run

    def _do(self, reader: Reader, statements: Iterator[Statement]) -> Action:
        from .data_loops import read_loop

        loop = read_loop(self, reader)
        body, ended = self.block(statements)
        if ended is None or ended.word != "end":
            raise self.raw.head.fail("DO has no END.")
        return loop(body)

    def _select(self, reader: Reader, statements: Iterator[Statement]) -> Action:
        from .data_loops import read_select

        return read_select(self, reader, statements)

    # -- simple statements -------------------------------------------------------------------------------------
    def _output(self, reader: Reader) -> list[Action]:
        self.outputs = True
        wanted = []
        while reader:
            name = reader.name().text.lower()
            if name not in self.targets:
                reader.fail(f"{name} is not named in the DATA statement.")
            wanted.append(name)
        names = wanted or self.targets
        return [lambda runner, row: runner.write(row, names)]

    def _delete(self, reader: Reader) -> list[Action]:
        return [_raise(Next)]

    def _return(self, reader: Reader) -> list[Action]:
        def run(runner: Runner, row: Row) -> None:
            if not self.outputs:
                runner.write(row, self.targets)
            raise Next

        return [run]

    def _stop(self, reader: Reader) -> list[Action]:
        return [_raise(Stop)]

    def _leave(self, reader: Reader) -> list[Action]:
        return [_raise(Leave)]

    def _continue(self, reader: Reader) -> list[Action]:
        return [_raise(Continue)]

    def _keep(self, reader: Reader) -> list[Action]:
        self.kept |= set(self.listed(reader))
        return []

    def _drop(self, reader: Reader) -> list[Action]:
        before = set(self.names)
        self.dropped |= set(self.listed(reader))
        for key in set(self.names) - before:
            del self.names[key]
        return []

    def _rename(self, reader: Reader) -> list[Action]:
        while reader:
            old = reader.name("a variable")
            reader.mark("=")
            self.renamed[old.text.lower()] = reader.name("a new name").text
        return []

    def _retain(self, reader: Reader) -> list[Action]:
        keys: list[str] = []
        while reader:
            token = reader.peek()
            assert token is not None
            if token.kind is Kind.NAME:
                keys += self.listed(_upto_value(reader))
                for key in keys:
                    self.retained.setdefault(key, None)
                continue
            wrapped = reader.take_mark("(")
            value: Any = (
                reader.next().text if (t := reader.peek()) and t.kind is Kind.TEXT else reader.signed()
            )
            if wrapped:
                reader.mark(")")
            for key in keys:
                self.retained[key] = value
            keys = []
        return []

    def _array(self, reader: Reader) -> list[Action]:
        name = reader.name("the name of an array")
        size: int | None = None
        if reader.is_mark("{", "[", "("):
            opened = reader.next().text
            if not reader.take_mark("*"):
                size = int(reader.signed("the size of the array"))
                if not 1 <= size <= 10_000:
                    reader.fail("an array has 1 to 10,000 elements.")
            reader.mark({"{": "}", "[": "]", "(": ")"}[opened])
        text = reader.take_mark("$")
        if text and (t := reader.peek()) and t.kind is Kind.NUMBER:
            reader.next()
        temporary = reader.take_word("_temporary_")
        keys = [] if temporary else self.listed(reader, "(")
        if not keys and size is not None:
            stem = Token(Kind.NAME, name.text, name.start, name.stop)
            keys = [
                self.key(Token(Kind.NAME, f"{stem.text}{k}", stem.start, stem.stop))
                for k in range(1, size + 1)
            ]
        if temporary:
            self.hidden |= set(keys)
            for key in keys:
                self.retained.setdefault(key, None)
        if text:
            self.texts |= set(keys)
        if size is not None and len(keys) != size:
            reader.fail(f"array {name.text} has {size} elements and {len(keys)} variables.", name)
        if reader.is_mark("("):
            inner = reader.inner(reader.group())
            for key in keys:
                inner.take_mark(",")
                self.retained[key] = (
                    inner.next().text if (t := inner.peek()) and t.kind is Kind.TEXT else inner.signed()
                )
        self.arrays[name.word] = keys
        return []

    def _length(self, reader: Reader) -> list[Action]:
        keys: list[str] = []
        while reader:
            if (token := reader.peek()) is not None and token.kind is Kind.NAME:
                keys += self.listed(_upto_value(reader))
                continue
            text = reader.take_mark("$")
            size = int(reader.signed("a length"))
            for key in keys if text else ():
                self.texts.add(key)
                self.lengths[key] = max(size, 1)
            keys = []
        return []

    def _where(self, reader: Reader) -> list[Action]:
        condition = self.expression(reader)

        def run(runner: Runner, row: Row) -> None:
            if not is_true(condition(row)):
                raise Next

        return [run]

    def _input(self, reader: Reader) -> list[Action]:
        names = [t for t in reader.tokens[reader.at :] if t.kind is Kind.NAME]
        del names
        items = read_items(reader, self.lengths, self.texts)
        for item in items:
            if item.key and item.key not in self.names:
                shown = next((t.text for t in reader.tokens if t.text.lower() == item.key), item.key)
                self.names[item.key] = shown
        self.reads = True
        return [lambda runner, row: runner.read_line(row, items)]

    def _infile(self, reader: Reader) -> list[Action]:
        infile_options(reader, self.lines or Lines([]))
        return []

    def _datalines(self, reader: Reader) -> list[Action]:
        return []

    _cards = _lines = _datalines4 = _cards4 = _lines4 = _datalines

    def _set(self, reader: Reader) -> list[Action]:
        from .data_sources import read_set

        return [read_set(self, reader)]

    def _merge(self, reader: Reader) -> list[Action]:
        from .data_sources import read_merge

        return [read_merge(self, reader)]

    def _by(self, one: Statement) -> None:
        reader = one.reader()
        while reader:
            if reader.take_word("notsorted"):
                continue
            down = reader.take_word("descending")
            self.by.append((reader.name("a variable").text.lower(), down))

    def source(self, reader: Reader) -> tuple[Any, str]:
        """Return a data set that SET or MERGE names, and the variable of `in=`."""
        token = reader.name("the name of a data set")
        name = token.text
        if reader.take_mark("."):
            name += "." + reader.name().text
        data = self.session.find(name)
        if data is None:
            from ...errors import suggest

            names = self.session.names()
            reader.fail(
                f"there is no data set {name!r}.{suggest(name, names)} Known: {', '.join(names) or 'none'}.",
                token,
            )
        flag = ""
        if reader.is_mark("("):
            group = list(reader.group())
            places = [
                i
                for i, t in enumerate(group)
                if t.word == "in" and i + 2 < len(group) + 1 and group[i + 1].is_mark("=")
            ]
            for i in places:
                flag = group[i + 2].text.lower()
                del group[i : i + 3]
            data = with_options(data, reader.inner(group))
        self.backend = data.backend
        for column in data.columns:
            self.names.setdefault(column.lower(), column)
            self.sources.add(column.lower())
            if data.is_text(column):
                self.texts.add(column.lower())
        if flag:
            self.hidden.add(flag)
            self.names.setdefault(flag, flag)
        return data, flag


SIMPLE = frozenset(
    {"output", "delete", "return", "stop", "leave", "continue", "keep", "drop", "rename", "retain", "array", "length",
     "where", "input", "infile", "datalines", "cards", "lines", "datalines4", "cards4", "lines4", "set", "merge"}
)  # fmt: skip


def _assigned(one: Statement) -> bool:
    return len(one.tokens) > 1 and one.tokens[1].is_mark("=")


def _raise(kind: type[Exception]) -> Action:
    def run(runner: Runner, row: Row) -> None:
        raise kind

    return run


def _upto_value(reader: Reader) -> Reader:
    """Return a reader of the names that come next, and move over them."""
    begin = reader.at
    while reader and not (reader.is_mark("(", "$") or (reader.peek() or reader.tokens[0]).kind is Kind.TEXT):
        if reader.is_number() and not (reader.at > begin and reader.tokens[reader.at - 1].is_mark("-")):
            break
        if (
            reader.is_mark("-", "+", ".")
            and (after := reader.peek(1)) is not None
            and after.kind is Kind.NUMBER
        ):
            break
        reader.next()
    return reader.inner(reader.tokens[begin : reader.at])

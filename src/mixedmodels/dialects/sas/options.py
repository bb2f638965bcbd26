"""Options of a statement: `name`, `name=value`, `name(…)`, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from ...errors import suggest
from .lex import Kind, Token
from .statements import Reader

FACTORS = ("subject", "group")
"""Options of ESTIMATE and CONTRAST whose numbers follow without `=`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name in the procedure's own spelling, the token that names it, its value and its group.

    `value` has the tokens after `=`; `group` those between parentheses that follow a name without value.
    """

    name: str
    token: Token
    reader: Reader
    value: tuple[Token, ...] | None = None
    group: tuple[Token, ...] | None = None

    @property
    def text(self) -> str:
        """The value without blanks in small letters: `"sp(pow)(time)"`, empty where there is none."""
        return "".join(token.text.lower() for token in self.value or ())

    @property
    def inner(self) -> Reader:
        """A reader of the value."""
        if not self.value:
            self.fail(f"{self.name}= needs a value.")
        return self.reader.inner(self.value)

    def number(self) -> float:
        """Return the value, a number."""
        return self.inner.signed(f"{self.name}= takes a number; one")

    def numbers(self) -> list[float]:
        """Return the value, numbers separated by blanks or commas."""
        inner, out = self.inner, []
        wrapped = inner.take_mark("(")
        while inner and not (wrapped and inner.is_mark(")")):
            out.append(inner.signed())
            inner.take_mark(",")
        return out

    def fail(self, message: str) -> NoReturn:
        """Raise `SpecError` at the option."""
        self.reader.fail(message, self.token)


class Options(dict[str, Option]):
    """Options by the procedure's name; of one given twice the last holds."""

    def has(self, *names: str) -> bool:
        """Return whether one of these options is given."""
        return any(name in self for name in names)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of an option as text."""
        return self[name].text if name in self else default

    def number(self, name: str, default: float) -> float:
        """Return the value of an option, a number."""
        return self[name].number() if name in self else default


def read_options(reader: Reader, known: Mapping[str, str], refused: Mapping[str, str], where: str) -> Options:
    """Return the options that are left in a reader.

    Parameters
    ----------
    known
        Every spelling in small letters, and the name it stands for.
    refused
        Options of SAS that are not done, and why.
    where
        What they are options of, for messages.

    Raises
    ------
    SpecError
        With line and column, for an option that is not known.
    """
    found = Options()
    while reader:
        if reader.take_mark(",", "/"):
            continue
        token = reader.name(f"an option of {where}")
        word = token.text.lower()
        if word in refused:
            reader.fail(f"option {token.text} of {where} is not done: {refused[word]}", token)
        if word not in known:
            names = sorted(set(known))
            reader.fail(f"{token.text!r} is no option of {where}.{suggest(word, names)}", token)
        if reader.take_mark("="):
            found[known[word]] = Option(known[word], token, reader, read_value(reader))
        elif reader.is_mark("("):
            group = reader.group()
            if reader.take_mark("="):
                found[known[word]] = Option(known[word], token, reader, read_value(reader), group)
            else:
                found[known[word]] = Option(known[word], token, reader, None, group)
        elif known[word] in FACTORS and reader.is_number():
            found[known[word]] = Option(known[word], token, reader, read_value(reader))
        else:
            found[known[word]] = Option(known[word], token, reader)
    return found


def read_value(reader: Reader) -> tuple[Token, ...]:
    """Take the value of an option: a word with what is joined to it by `* @ . ( )`, a text, or numbers."""
    begin = reader.at
    token = reader.peek()
    if token is None:
        reader.fail("a value is expected after '='.")
    if reader.is_number() or reader.is_mark("."):
        _take_numbers(reader)
    elif token.kind is Kind.TEXT:
        reader.next()
    elif token.is_mark("(", "["):
        reader.group() if token.is_mark("(") else reader.until("]")
    else:
        _take_word(reader)
    return tuple(reader.tokens[begin : reader.at])


def _take_numbers(reader: Reader) -> None:
    while reader.is_number() or reader.is_mark("."):
        reader.next() if reader.is_mark(".") else reader.signed()
        if reader.is_mark(","):
            after = reader.peek(1)
            if after is not None and (after.kind is Kind.NUMBER or after.is_mark("-", ".")):
                reader.next()


def _take_word(reader: Reader) -> None:
    reader.name("a value")
    while reader:
        if reader.is_mark("("):
            reader.group()
        elif reader.is_mark("*", "@", ".", "|"):
            reader.next()
            token = reader.peek()
            if token is not None and token.kind in (Kind.NAME, Kind.NUMBER):
                reader.next()
        else:
            return


def spellings(**names: str) -> dict[str, str]:
    """Return spelling → name of options given as `name="spelling spelling"`, the name itself included.

    Examples
    --------
    >>> spellings(solution="s")["s"]
    'solution'
    """
    return {one: name for name, others in names.items() for one in (name, *others.split())}

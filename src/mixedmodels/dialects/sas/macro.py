"""The macro language of small programs: `%let`, `&name`, `%macro`, `%do` and `%if`, resolved as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from ...errors import SpecError
from .program import Program, message_at

MOST_CHARACTERS, MOST_TURNS, DEEPEST = 2_000_000, 10_000, 40
"""Characters that macros may write, turns of loops and calls together, calls within calls."""

_NEXT = re.compile(
    r"""/\*|'|"|;|&+[A-Za-z_]\w*\.?|%\*|%[A-Za-z_]\w*|\*|\b(?:datalines|cards|lines)4?[ \t]*;""",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_REFERENCE = re.compile(r"&+[A-Za-z_]\w*\.?")
_WORDS = re.compile(r"%(do|end|macro|mend|if|then|else|let)\b|/\*|%\*", re.IGNORECASE)
_COMPARED = re.compile(r"\s*(<=|>=|\^=|~=|=|<|>|\beq\b|\bne\b|\blt\b|\bgt\b|\ble\b|\bge\b)\s*", re.IGNORECASE)
_SPELLED = {"eq": "=", "ne": "^=", "~=": "^=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}


@dataclass(frozen=True, slots=True)
class _Macro:
    """A macro: its parameters with their defaults, and where its body stands in the text."""

    parameters: tuple[tuple[str, str | None], ...]
    start: int
    stop: int


@dataclass(slots=True)
class _Resolver:
    """Text written so far, macros and variables known."""

    text: str
    variables: dict[str, str] = field(default_factory=dict)
    macros: dict[str, _Macro] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    copied: list[bool] = field(default_factory=list)
    length: int = 0
    turns: int = 0
    begins: bool = True

    def fail(self, message: str, at: int, length: int = 1) -> NoReturn:
        raise SpecError(message_at(self.text, message, at, length))

    def write(self, piece: str, origin: int, copied: bool = True) -> None:
        if not piece:
            return
        self.pieces.append(piece)
        self.starts.append(self.length)
        self.origins.append(origin)
        self.copied.append(copied)
        self.length += len(piece)
        if self.length > MOST_CHARACTERS + len(self.text):
            self.fail(f"macros write more than {MOST_CHARACTERS:,} characters; run fewer turns.", origin)
        if piece.strip():
            self.begins = piece.rstrip().endswith(";")

    def count(self, at: int) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS:
            self.fail(f"loops and calls of macros take more than {MOST_TURNS:,} turns.", at)

    # -- references ------------------------------------------------------------------------------------------
    def resolved(self, text: str, at: int, depth: int = 0) -> str:
        """Return text with its references `&name` replaced, `&&` standing for `&` of a second look."""
        if "&" not in text:
            return text
        if depth > DEEPEST:
            self.fail("this macro variable refers to itself.", at)
        again = False

        def value(found: re.Match[str]) -> str:
            nonlocal again
            name = found.group().strip("&.").lower()
            marks = len(found.group()) - len(found.group().lstrip("&"))
            if marks > 1:
                again = True
                return "&" * (marks // 2) + found.group()[marks:]
            if name not in self.variables:
                self.fail(f"the macro variable &{name} has no value; write %let {name} = …; before.", at)
            again = again or "&" in self.variables[name]
            return self.variables[name]

        out = _REFERENCE.sub(value, text)
        if len(out) > MOST_CHARACTERS:
            self.fail(f"macro variables write more than {MOST_CHARACTERS:,} characters.", at)
        return self.resolved(out, at, depth + 1) if again and "&" in out else out

    # -- the text ----------------------------------------------------------------------------------------------
    def run(self, at: int, stop: int, depth: int = 0) -> None:
        """Resolve the text between two places."""
        if depth > DEEPEST:
            self.fail(f"macros call one another more than {DEEPEST} deep.", at)
        while at < stop:
            found = _NEXT.search(self.text, at, stop)
            if found is None:
                self.write(self.text[at:stop], at)
                return
            self.write(self.text[at : found.start()], at)
            at = self._one(found, stop, depth)

    def _one(self, found: re.Match[str], stop: int, depth: int) -> int:
        """Resolve what begins at a match and return where the text goes on."""
        mark, at = found.group(), found.start()
        if mark == "/*":
            return self._copy(at, self.text.find("*/", at + 2), 2, stop)
        if mark == "%*":
            end = self.text.find(";", at, stop)
            return stop if end < 0 else end + 1
        if mark == "*" and self.begins:
            return self._copy(at, self.text.find(";", at), 1, stop)
        if mark == "'":
            return self._copy(at, self.text.find("'", at + 1), 1, stop)
        if mark == '"':
            end = self.text.find('"', at + 1, stop)
            end = stop if end < 0 else end + 1
            inside = self.text[at:end]
            self.write(self.resolved(inside, at) if "&" in inside else inside, at, "&" not in inside)
            return end
        if mark[0] == "&":
            self.write(self._mentioned(mark, at), at, copied=False)
            return found.end()
        if mark[0] == "%":
            return self._word(mark[1:].lower(), found, stop, depth)
        if mark[0] not in ";*" and self.begins:
            return self._lines(found, stop)
        self.write(mark, at)
        return found.end()

    def _mentioned(self, mark: str, at: int) -> str:
        return self.resolved(mark, at)

    def _copy(self, at: int, end: int, size: int, stop: int) -> int:
        end = stop if end < 0 else min(end + size, stop)
        begins = self.begins
        self.write(self.text[at:end], at)
        self.begins = begins if self.text[at] in "/*" else False
        return end

    def _lines(self, found: re.Match[str], stop: int) -> int:
        """Copy lines of data as they are."""
        closing = ";;;;" if "4" in found.group() else ";"
        begin = self.text.find("\n", found.end())
        end = -1 if begin < 0 else self.text.find(closing, begin)
        return self._copy(found.start(), end, len(closing), stop)

    # -- statements ----------------------------------------------------------------------------------------------
    def _word(self, word: str, found: re.Match[str], stop: int, depth: int) -> int:
        at = found.start()
        if word == "let":
            end = self._until_stop(found.end(), stop)
            name, sign, value = self.text[found.end() : end].partition("=")
            if not sign or not _NAME.fullmatch(self.resolved(name.strip(), at)):
                self.fail("write %let name = value;", at, 4)
            self.variables[self.resolved(name.strip(), at).lower()] = self.resolved(value.strip(), at)
            return end + 1
        if word == "macro":
            return self._define(found.end(), stop)
        if word == "do":
            return self._loop(found.end(), stop, depth)
        if word == "if":
            return self._branch(found.end(), stop, depth)
        if word == "put":
            return self._until_stop(found.end(), stop) + 1
        if word == "eval":
            inside, end = self._arguments(found.end(), stop, at)
            self.write(str(self.whole(",".join(inside), at)), at, copied=False)
            return end
        if word in self.macros:
            return self._call(word, found, stop, depth)
        known = ", ".join(f"%{name}" for name in self.macros) or "none"
        return self.fail(
            f"%{word} is not read: of the macro language there are %let, %macro, %do, %if, %eval and calls of "
            f"macros defined before (here: {known}).",
            at,
            len(found.group()),
        )

    def _until_stop(self, at: int, stop: int) -> int:
        end = self.text.find(";", at, stop)
        if end < 0:
            self.fail("this statement of the macro language has no ';'.", at)
        return end

    def _define(self, at: int, stop: int) -> int:
        end = self._until_stop(at, stop)
        head = self.text[at:end].strip()
        name = _NAME.match(head)
        if name is None:
            self.fail("write %macro name(parameters);", at)
        rest = head[name.end() :].strip()
        if rest and not (rest.startswith("(") and rest.endswith(")")):
            self.fail("parameters of a macro stand in parentheses: %macro name(a, b=1);", at)
        parameters = []
        for one in filter(None, (part.strip() for part in rest.strip("()").split(","))):
            key, sign, value = one.partition("=")
            if not _NAME.fullmatch(key.strip()):
                self.fail(f"{one!r} is no parameter of a macro; write names, or name=value.", at)
            parameters.append((key.strip().lower(), value.strip() if sign else None))
        body = self._closing(end + 1, stop, "macro", "mend")
        self.macros[name.group().lower()] = _Macro(tuple(parameters), end + 1, body)
        after = self.text.find(";", body, stop)
        return stop if after < 0 else after + 1

    def _closing(self, at: int, stop: int, opening: str, closing: str) -> int:
        """Return where the `%closing` of an open `%opening` stands."""
        level, begin = 1, at
        while found := _WORDS.search(self.text, at, stop):
            at = found.end()
            word = (found.group(1) or "").lower()
            if not word:
                end = self.text.find("*/" if found.group() == "/*" else ";", at, stop)
                at = stop if end < 0 else end
                continue
            level += (word == opening) - (word == closing)
            if level == 0:
                return found.start()
        return self.fail(f"%{opening} has no %{closing}.", begin)

    def _arguments(self, at: int, stop: int, shown: int) -> tuple[list[str], int]:
        """Return what stands between parentheses, cut at commas, and where the text goes on."""
        while at < stop and self.text[at] in " \t":
            at += 1
        if at >= stop or self.text[at] != "(":
            return [], at
        level, begin, parts = 0, at + 1, []
        for place in range(at, stop):
            character = self.text[place]
            level += (character == "(") - (character == ")")
            if (level == 1 and character == ",") or level == 0:
                parts.append(self.resolved(self.text[begin:place].strip(), shown))
                begin = place + 1
            if level == 0:
                return parts, place + 1
        return self.fail("the parentheses of this call are not closed.", shown)

    def _call(self, word: str, found: re.Match[str], stop: int, depth: int) -> int:
        macro = self.macros[word]
        given, end = self._arguments(found.end(), stop, found.start())
        if not macro.parameters and not given:
            end = found.end()
        values = {name: default or "" for name, default in macro.parameters}
        places = [name for name, default in macro.parameters if default is None]
        for one in given:
            key, sign, value = one.partition("=")
            if sign and key.strip().lower() in values:
                values[key.strip().lower()] = value.strip()
            elif places:
                values[places.pop(0)] = one
            elif one:
                self.fail(f"%{word} has no place for {one!r}.", found.start(), len(found.group()))
        self.count(found.start())
        before = dict(self.variables)
        self.variables.update(values)
        self.run(macro.start, macro.stop, depth + 1)
        for name in values:
            if name in before:
                self.variables[name] = before[name]
            else:
                self.variables.pop(name, None)
        # the semicolon that people write after a call
        rest = re.compile(r"[ \t]*;").match(self.text, end, stop)
        return rest.end() if rest and self.begins else end

    # -- loops and branches --------------------------------------------------------------------------------------
    def _loop(self, at: int, stop: int, depth: int) -> int:
        end = self._until_stop(at, stop)
        head = self.text[at:end].strip()
        body = self._closing(end + 1, stop, "do", "end")
        after = self._until_stop(body, stop) + 1
        if not head:
            self.run(end + 1, body, depth + 1)
            return after
        pattern = r"([A-Za-z_]\w*)\s*=(.*?)%to\b(.*?)(?:%by\b(.*))?"
        found = re.fullmatch(pattern, head, re.IGNORECASE | re.DOTALL)
        if found is None:
            self.fail("of the loops of macros, %do name = a %to b %by c; is read.", at)
        first, last, step = (self.whole(part or "1", at) for part in found.group(2, 3, 4))
        if step == 0:
            self.fail("%by 0 never ends.", at)
        value = first
        while value <= last if step > 0 else value >= last:
            self.count(at)
            self.variables[found.group(1).lower()] = str(value)
            self.run(end + 1, body, depth + 1)
            value += step
        self.variables[found.group(1).lower()] = str(value)
        return after

    def _branch(self, at: int, stop: int, depth: int) -> int:
        then = re.compile(r"%then\b", re.IGNORECASE).search(self.text, at, stop)
        if then is None:
            self.fail("%if needs %then.", at)
        true = self.holds(self.text[at : then.start()], at)
        begin, end, after = self._action(then.end(), stop)
        if true:
            self.run(begin, end, depth + 1)
        other = re.compile(r"\s*%else\b", re.IGNORECASE).match(self.text, after, stop)
        if other is None:
            return after
        begin, end, after = self._action(other.end(), stop)
        if not true:
            self.run(begin, end, depth + 1)
        return after

    def _action(self, at: int, stop: int) -> tuple[int, int, int]:
        """Return where the action after %then or %else begins and ends, and where the text goes on."""
        opened = re.compile(r"\s*%do\s*;", re.IGNORECASE).match(self.text, at, stop)
        if opened:
            end = self._closing(opened.end(), stop, "do", "end")
            return opened.end(), end, self._until_stop(end, stop) + 1
        nested = re.compile(r"\s*%if\b", re.IGNORECASE).match(self.text, at, stop)
        if nested:
            then = re.compile(r"%then\b", re.IGNORECASE).search(self.text, nested.end(), stop)
            if then is None:
                self.fail("%if needs %then.", at)
            _, _, after = self._action(then.end(), stop)
            other = re.compile(r"\s*%else\b", re.IGNORECASE).match(self.text, after, stop)
            return at, after, after if other is None else self._action(other.end(), stop)[2]
        end = self._until_stop(at, stop)
        macro_word = re.compile(r"\s*%(?:let|put)\b", re.IGNORECASE).match(self.text, at, stop)
        return at, end + 1 if macro_word else end, end + 1

    def holds(self, condition: str, at: int) -> bool:
        """Return whether a condition on numbers or texts holds: comparisons, joined by `and`, `or`."""
        text = self.resolved(condition.strip(), at)
        for word, combine in (("or", any), ("and", all)):
            parts = re.split(rf"\s+{word}\s+", text, flags=re.IGNORECASE)
            if len(parts) > 1:
                return combine(self.holds(part, at) for part in parts)
        cut = _COMPARED.search(text)
        if cut is None:
            return self.whole(text, at) != 0
        left, right = text[: cut.start()].strip(), text[cut.end() :].strip()
        sign = _SPELLED.get(cut.group(1).lower(), cut.group(1))
        numbers = [_integer(one) for one in (left, right)]
        a, b = (left, right) if None in numbers else numbers
        if sign == "=":
            return a == b
        if sign == "^=":
            return a != b
        return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[sign]  # type: ignore[operator]

    def whole(self, text: str, at: int) -> int:
        """Return the value of an expression of whole numbers: + − * and parentheses."""
        resolved = self.resolved(text.strip(), at)
        tokens = re.findall(r"\d+|[-+*/()]|\S", resolved)
        value, rest = self._sum(tokens, 0, at, 0)
        if rest != len(tokens) or not tokens:
            self.fail(f"{resolved!r} is no whole number.", at)
        return value

    def _sum(self, tokens: list[str], i: int, at: int, depth: int) -> tuple[int, int]:
        value, i = self._product(tokens, i, at, depth)
        while i < len(tokens) and tokens[i] in "+-":
            other, j = self._product(tokens, i + 1, at, depth)
            value, i = (value + other if tokens[i] == "+" else value - other), j
        return value, i

    def _product(self, tokens: list[str], i: int, at: int, depth: int) -> tuple[int, int]:
        value, i = self._atom(tokens, i, at, depth)
        while i < len(tokens) and tokens[i] in "*/":
            other, j = self._atom(tokens, i + 1, at, depth)
            if tokens[i] == "/" and other == 0:
                self.fail("division by zero.", at)
            value, i = (value * other if tokens[i] == "*" else int(value / other)), j
            if abs(value) > 10**15:
                self.fail("whole numbers of macros are at most 1e15 in size.", at)
        return value, i

    def _atom(self, tokens: list[str], i: int, at: int, depth: int) -> tuple[int, int]:
        if depth > DEEPEST or i >= len(tokens):
            self.fail("this is no expression of whole numbers.", at)
        if tokens[i] == "-":
            value, j = self._atom(tokens, i + 1, at, depth + 1)
            return -value, j
        if tokens[i] == "(":
            value, j = self._sum(tokens, i + 1, at, depth + 1)
            if j >= len(tokens) or tokens[j] != ")":
                self.fail("a parenthesis is not closed.", at)
            return value, j + 1
        if not tokens[i].isdecimal() or len(tokens[i]) > 15:
            self.fail(f"{tokens[i]!r} is no whole number.", at)
        return int(tokens[i]), i + 1


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?\d{1,15}", text) else None


def resolve(text: str, variables: Mapping[str, str] | None = None) -> Program:
    """Return a program with its macro language resolved.

    Examples
    --------
    >>> resolve("%let y = yield; model &y = a;").text.strip()
    'model yield = a;'
    """
    if "%" not in text and "&" not in text:
        return Program(text, text)
    found = _Resolver(text, {name.lower(): value for name, value in (variables or {}).items()})
    found.run(0, len(text))
    if not found.pieces:
        return Program(text, "")
    return Program(
        text, "".join(found.pieces), tuple(found.starts), tuple(found.origins), tuple(found.copied)
    )

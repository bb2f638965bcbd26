"""Options of a data set in parentheses: keep, drop, rename, where, firstobs, obs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .data_set import DataSet
from .lex import Token
from .statements import Reader


def variable_list(reader: Reader, data: DataSet, *stops: str) -> list[str]:
    """Return columns named one by one, or as `x1-x3`, `a--c`, `d:`, `_numeric_`, `_all_`, up to a mark or a word."""
    names = list(data.columns)
    out: list[str] = []

    def resolve(token: Token) -> str:
        name = data.name_of(token.text)
        return name if name is not None else reader.fail(f"{token.text!r} is no variable of the data.", token)

    while reader and not reader.is_mark(*stops):
        first = reader.name("a variable")
        after = reader.peek()
        if after is not None and after.is_mark("=") and out:
            reader.at -= 1
            break
        if first.word in ("_numeric_", "_character_", "_char_", "_all_"):
            text = {"_numeric_": (False,), "_all_": (True, False)}.get(first.word, (True,))
            out += [name for name in names if data.is_text(name) in text]
        elif reader.take_mark(":"):
            out += [name for name in names if name.lower().startswith(first.text.lower())]
        elif reader.is_mark("-"):
            reader.next()
            between = reader.take_mark("-")
            last = reader.name("a variable")
            if between:
                a, b = names.index(resolve(first)), names.index(resolve(last))
                out += names[a : b + 1]
            else:
                from .effects import numbered

                out += numbered(reader, first, last, resolve)
        else:
            out.append(resolve(first))
    return out


def with_options(data: DataSet, reader: Reader) -> DataSet:
    """Return a data set as its options in parentheses make it."""
    while reader:
        token = reader.name("keep, drop, rename, where, firstobs or obs")
        reader.mark("=")
        word = token.word
        if word in ("keep", "drop"):
            names = variable_list(reader, data)
            data = _chosen(data, names, keep=word == "keep")
        elif word == "rename":
            data = renamed(data, reader.inner(reader.group()))
        elif word == "where":
            from .procedures import keep_where

            data = keep_where(data, reader.inner(reader.group()))
        elif word in ("firstobs", "obs"):
            k = int(reader.signed())
            data = data.take(
                np.arange(data.n)[max(k - 1, 0) :]
                if word == "firstobs"
                else np.arange(min(max(k, 0), data.n))
            )
        else:
            reader.fail(
                f"{token.text}= of a data set is not done: keep, drop, rename, where, firstobs, obs are.",
                token,
            )
    return data


def _chosen(data: DataSet, names: list[str], keep: bool) -> DataSet:
    columns = {name: values for name, values in data.columns.items() if (name in names) == keep}
    return replace(data, columns=columns)


def renamed(data: DataSet, reader: Reader) -> DataSet:
    """Return a data set with columns renamed as `old=new` pairs say."""
    new: dict[str, str] = {}
    while reader:
        token = reader.name("a variable")
        name = data.name_of(token.text)
        if name is None:
            reader.fail(f"{token.text!r} is no variable of the data.", token)
        reader.mark("=")
        new[name] = reader.name("a new name").text
    return replace(data, columns={new.get(name, name): values for name, values in data.columns.items()})

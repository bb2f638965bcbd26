"""The one shape of every printed result: labelled columns with notes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np

from .errors import SpecError, suggest
from .formats import format_column, is_number_column, value_text

Backend = Literal["pandas", "polars", "pyarrow", "dict"]
BACKENDS: tuple[Backend, ...] = ("pandas", "polars", "pyarrow", "dict")

DEFAULT_FORMATS: Mapping[str, str] = {
    "df": "df",
    "num_df": "df",
    "den_df": "df",
    "statistic": "statistic",
    "p_value": "p",
}
LONG, ABRIDGED = 60, 25
"""Tables of more rows than the first are printed with as many as the second."""


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name of the data for a table with columns `taken` of its own: with a `_` more where it is one of them.

    Examples
    --------
    >>> free_name("df", ["estimate", "df"]), free_name("df_", ["df"]), free_name("dose", ["df"])
    ('df_', 'df__', 'dose')
    """
    return f"{name}_" if name.rstrip("_") in taken else name


Class = TypeVar("Class", bound=type)


def read_only(kind: Class) -> Class:
    """Return a subclass of dict whose instances refuse to be changed."""

    def refuse(self: object, *_: object, **__: object) -> None:
        raise TypeError(f"a {type(self).__name__} cannot be changed; dict(...) of it can.")

    for name in ("__setitem__", "__delitem__", "__ior__", "update", "setdefault", "pop", "popitem", "clear"):
        setattr(kind, name, refuse)
    return kind


@read_only
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table(dict[str, Any]):
    """Columns of equal length, a title and notes; text, HTML, LaTeX and frames are renderings of it.

    Parameters
    ----------
    columns
        Column name → values, all of one length.
    title
        Printed above.
    notes
        Printed below, one line each (method used, rows not estimable …).
    backend
        The data-frame library `to_frame` answers in by default: the caller's own.
    formats
        Column name → one of `"estimate" "entry" "statistic" "df" "p" "integer" "text" "aligned"`; unnamed columns by
        their usual meaning (`p_value`, `df` …), else by type.
    index
        Labels of the rows in pandas frames, where they are those of the caller's data.

    Notes
    -----
    A table is a mapping of its columns, which `pandas.DataFrame(table)` reads; its length is that of its columns.

    Examples
    --------
    >>> columns = {"term": ["(Intercept)", "Days"], "estimate": [251.4051, 10.46729], "p_value": [0.0, 0.2]}
    >>> table = Table(columns)
    >>> print(table)
    term         estimate  p_value
    (Intercept)   251.405  <0.0001
    Days           10.467   0.2000
    >>> table["estimate"]
    array([251.4051 ,  10.46729])
    """

    columns: Mapping[str, Any]
    title: str = ""
    notes: tuple[str, ...] = ()
    backend: Backend = "pandas"
    formats: Mapping[str, str] = field(default_factory=dict)
    index: Any = None

    # two tables are one only if they are the same object
    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a table must have one length, not {lengths}")
        dict.update(self, self.columns)

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (
            dict(self.columns),
            self.title,
            self.notes,
            self.backend,
            dict(self.formats),
            self.index,
        )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise SpecError(f"no column {name!r}.{suggest(str(name), self.columns)} Columns: {known}.")
        return np.asarray(self.columns[name])

    def __str__(self) -> str:
        return self.to_text(max_rows=ABRIDGED if len(self) > LONG else None)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html(max_rows=ABRIDGED if len(self) > LONG else None)

    @property
    def names(self) -> Sequence[str]:
        """Column names in order."""
        return tuple(self.columns)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row as column → value.

        Examples
        --------
        >>> Table({"term": ["a", "b"], "df": [3.0, 4.0]}).row(-1)
        {'term': 'b', 'df': 4.0}
        """
        return {name: _plain(np.asarray(values)[index]) for name, values in self.columns.items()}

    def head(self, n: int = 5) -> Table:
        """Return the first n rows; with n < 0 all but the last −n.

        Examples
        --------
        >>> Table({"term": ["a", "b", "c"]}).head(2)["term"].tolist()
        ['a', 'b']
        """
        return self._rows(slice(0, n))

    def tail(self, n: int = 5) -> Table:
        """Return the last n rows; with n < 0 all but the first −n."""
        return self._rows(slice(-n, None) if n else slice(0, 0))

    def _rows(self, chosen: slice) -> Table:
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return replace(self, columns=columns, index=None if self.index is None else self.index[chosen])

    def to_dict(self) -> dict[str, list[Any]]:
        """Return column → list of plain Python values.

        Examples
        --------
        >>> Table({"n": np.array([1, 2])}).to_dict()
        {'n': [1, 2]}
        """
        return {name: _to_list(values) for name, values in self.columns.items()}

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return the columns as a data frame.

        Parameters
        ----------
        backend
            `"pandas"`, `"polars"`, `"pyarrow"` or `"dict"` (NumPy arrays); by default the caller's own.
        """
        chosen = self.backend if backend is None else backend
        if chosen not in BACKENDS:
            near = suggest(str(chosen), BACKENDS)
            raise SpecError(f"backend={chosen!r} is not known.{near} Allowed: {', '.join(BACKENDS)}.")
        if chosen == "dict":
            return {name: np.asarray(values) for name, values in self.columns.items()}
        return _build_frame(
            chosen, {name: _for_frame(values) for name, values in self.columns.items()}, self.index
        )

    def to_text(self, max_rows: int | None = None) -> str:
        """Return the table as aligned text: words to the left, numbers to the right.

        Parameters
        ----------
        max_rows
            Longer tables show their first rows and the last five; None prints every row.
        """
        cells, skipped = self._cells(max_rows)
        widths = [max([len(name), *map(len, texts)]) for name, texts in cells.items()]
        right = self._right_aligned()
        lines = [self.title] if self.title else []
        lines.append(_text_line(list(cells), widths, right))
        rows = [_text_line(list(row), widths, right) for row in zip(*cells.values(), strict=True)]
        if skipped:
            rows.insert(len(rows) - 5, f"… {skipped:,} more rows …")
        return "\n".join([*lines, *rows, *self.notes])

    def to_html(self, max_rows: int | None = None) -> str:
        """Return the table as an HTML element that carries its own style."""
        cells, skipped = self._cells(max_rows)
        right = self._right_aligned()
        align = ["text-align:right" if to_right else "text-align:left" for to_right in right]
        head = "".join(
            _html_cell('th scope="col"', name, style) for name, style in zip(cells, align, strict=True)
        )
        rows = [
            "<tr>"
            + "".join(_html_cell("td", text, style) for text, style in zip(row, align, strict=True))
            + "</tr>"
            for row in zip(*cells.values(), strict=True)
        ]
        if skipped:
            rows.insert(len(rows) - 5, f'<tr><td colspan="{len(cells)}">… {skipped:,} more rows …</td></tr>')
        caption = (
            f'<caption style="{CAPTION_STYLE}">{html.escape(self.title)}</caption>' if self.title else ""
        )
        notes = "".join(f'<div style="{NOTE_STYLE}">{html.escape(note)}</div>' for note in self.notes)
        body = f'<thead><tr style="{HEAD_STYLE}">{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        return f'<div><table style="{TABLE_STYLE}">{caption}{body}</table>{notes}</div>'

    def to_latex(self) -> str:
        """Return the table as a LaTeX `tabular` with booktabs rules.

        Examples
        --------
        >>> print(Table({"term": ["a_b"], "estimate": [1.5]}).to_latex())
        \\begin{tabular}{lr}
        \\toprule
        term & estimate \\\\
        \\midrule
        a\\_b & 1.50000 \\\\
        \\bottomrule
        \\end{tabular}
        """
        cells, _ = self._cells(None)
        columns = "".join("r" if to_right else "l" for to_right in self._right_aligned())
        lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
        lines.append(" & ".join(latex_text(name) for name in cells) + " \\\\")
        lines.append("\\midrule")
        lines.extend(
            " & ".join(latex_text(text) for text in row) + " \\\\"
            for row in zip(*cells.values(), strict=True)
        )
        lines.extend(["\\bottomrule", "\\end{tabular}"])
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return the table in Markdown's pipe form, title above and notes below.

        Examples
        --------
        >>> print(Table({"term": ["a|b"], "estimate": [1.5]}).to_markdown())
        | term | estimate |
        | :--- | ---: |
        | a\\|b | 1.50000 |
        """
        cells, _ = self._cells(None)
        rule = ["---:" if to_right else ":---" for to_right in self._right_aligned()]
        rows = [[markdown_text(text) for text in row] for row in zip(*cells.values(), strict=True)]
        lines = [f"| {' | '.join(row)} |" for row in [[markdown_text(name) for name in cells], rule, *rows]]
        title = [f"**{markdown_text(self.title)}**", ""] if self.title else []
        notes = [part for note in self.notes for part in ("", markdown_text(note))]
        return "\n".join([*title, *lines, *notes])

    def _right_aligned(self) -> list[bool]:
        return [is_number_column(values, self.formats.get(name)) for name, values in self.columns.items()]

    def _cells(self, max_rows: int | None) -> tuple[dict[str, list[str]], int]:
        """Return the printed cells by column and how many rows were left out before the last five."""
        n = len(self)
        skipped = n - max_rows if max_rows is not None and n > max(max_rows, 10) else 0
        keep = np.r_[0 : n - skipped - 5, n - 5 : n] if skipped else slice(None)
        return {
            name: format_column(np.asarray(values)[keep], self.formats.get(name, DEFAULT_FORMATS.get(name)))
            for name, values in self.columns.items()
        }, skipped


TABLE_STYLE = (
    "border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:0.95em;"
    "border-top:1.5px solid currentColor;border-bottom:1.5px solid currentColor"
)
HEAD_STYLE = "border-bottom:1px solid currentColor"
CELL_STYLE = "padding:2px 10px;white-space:nowrap"
CAPTION_STYLE = "text-align:left;font-weight:600;padding:4px 10px;caption-side:top"
NOTE_STYLE = "font-size:0.85em;opacity:0.75;padding:1px 10px"

LATEX_ESCAPES = {
    "\\": "\\textbackslash{}",
    "&": "\\&",
    "%": "\\%",
    "$": "\\$",
    "#": "\\#",
    "_": "\\_",
    "{": "\\{",
    "}": "\\}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
    "−": "$-$",
    "²": "$^2$",
    "×": "$\\times$",
    "σ": "$\\sigma$",
    "β": "$\\beta$",
    "χ": "$\\chi$",
}


def _text_line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _html_cell(start: str, text: str, style: str) -> str:
    tag = start.partition(" ")[0]
    return f'<{start} style="{CELL_STYLE};{style}">{html.escape(text)}</{tag}>'


def latex_text(text: str) -> str:
    """Return text with the characters escaped that LaTeX would read as commands."""
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)


def markdown_text(text: str) -> str:
    """Return text with the characters escaped that Markdown would read as marks."""
    # characters that would end a cell or start emphasis
    return "".join(f"\\{character}" if character in "\\|*_<`" else character for character in text)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _to_list(values: Any) -> list[Any]:
    plain: list[Any] = np.asarray(values).tolist()
    return plain


def _for_frame(values: Any) -> Any:
    # Object arrays hold text, which polars and pyarrow read as such only from a list.
    array = np.asarray(values)
    return array.tolist() if array.dtype == object else array


def _of_one_type(values: Any) -> Any:
    """Return values of several types, as levels of several factors may be, as text: such frames have one type each."""
    if not isinstance(values, list) or len({type(value) for value in values if value is not None}) < 2:
        return values
    return [None if value is None else value_text(value) for value in values]


def _build_frame(backend: str, columns: dict[str, list[Any]], index: Any) -> Any:
    try:
        if backend == "pandas":
            import pandas as pd

            return pd.DataFrame(columns, index=index)
        columns = {name: _of_one_type(values) for name, values in columns.items()}
        if backend == "polars":
            import polars as pl

            return pl.DataFrame(columns, strict=False)
        import pyarrow as pa

        return pa.table(columns)
    except ImportError as error:
        raise SpecError(
            f"backend={backend!r} is not installed: `pip install {backend}`, or use to_frame('dict')."
        ) from error

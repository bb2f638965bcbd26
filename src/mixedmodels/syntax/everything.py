"""`.`, all columns of the data but those of the response, written out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..errors import SpecError
from ..spec import ModelSpec, quoted
from .spelling import variables
from .tokens import EVERYTHING, Kind, tokenize


def with_everything(spec: ModelSpec, names: Callable[[], Iterable[str]]) -> ModelSpec:
    """Return a spec with `.` replaced by the columns of the data that its response does not use, in their order.

    Raises
    ------
    SpecError
        Where there are no others.

    Notes
    -----
    As in R, grouping factors, weights and offsets are columns like others: take them away, `. - g`.

    Examples
    --------
    >>> from .formula import read_formula
    >>> with_everything(read_formula("log(y) ~ .^2 - x"), lambda: ["x", "y", "a b"]).fixed
    '1 + (x + `a b`) ** 2 - x'
    """
    texts = [spec.fixed, *(part.fixed for part in spec.parts)]
    if not any(EVERYTHING in text and _places(text) for text in texts):
        return spec
    used = variables(spec.response)
    beside = spec.likelihood.beside if spec.likelihood is not None else None
    used += variables(beside) if beside else ()
    others = [quoted(name) for name in names() if name not in used]
    if not others:
        raise SpecError(
            f"formula={spec.formula!r}: the data have no column beside those of the response for '.'."
        )
    columns = f"({' + '.join(others)})"
    likelihood = spec.likelihood
    if likelihood is not None:
        parts = tuple(
            replace(part, fixed=_written(part.fixed, columns), formula=_written(part.formula, columns))
            for part in likelihood.parts
        )
        likelihood = replace(likelihood, parts=parts)
    fixed, formula = _written(spec.fixed, columns), _written(spec.formula, columns)
    return spec.with_changes(fixed=fixed, formula=formula, likelihood=likelihood)


def _places(text: str) -> list[tuple[int, int]]:
    """Return where `.` stands in text."""
    found = [token for token in tokenize(text) if token.kind is Kind.NAME and token.text == EVERYTHING]
    return [(token.start, token.stop) for token in found]


def _written(text: str, columns: str) -> str:
    for start, stop in reversed(_places(text)):
        text = text[:start] + columns + text[stop:]
    return text

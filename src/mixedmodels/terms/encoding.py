"""Everything a fit learned about turning data into numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .design import Design
from .fixed import FixedEncoding
from .functions import OwnFunctions
from .number import NumberEncoding
from .random import RandomEncoding
from .residual import ResidualEncoding
from .smooth import PlacedCurve


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How rows of X, of every Z, the offsets and the error side are computed from columns; small and picklable.

    `functions` are the caller's own that the formula calls, `smooths` say where the coefficients of each smooth stand.
    """

    functions: OwnFunctions
    fixed: FixedEncoding
    offsets: tuple[NumberEncoding, ...]
    random: tuple[RandomEncoding, ...]
    residual: ResidualEncoding | None = None
    smooths: tuple[PlacedCurve, ...] = ()


def own_functions(design: Design) -> dict[str, Callable[..., Any]]:
    """Return the caller's own functions that the formula of a design calls, by name."""
    encoding = encoding_of(design)
    return {} if encoding is None else encoding.functions.given()


def encoding_of(design: Design) -> Encoding | None:
    """Return what was learned from the data of a design, None where it was not built from data."""
    assert design.encoding is None or isinstance(design.encoding, Encoding)
    return design.encoding

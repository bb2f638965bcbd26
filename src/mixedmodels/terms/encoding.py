"""Everything a fit learned about turning data into numbers."""

from __future__ import annotations

from dataclasses import dataclass

from .design import Design
from .fixed import FixedEncoding, NumberEncoding
from .random import RandomEncoding
from .residual import ResidualEncoding


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How rows of X, of every Z, the offsets and the error side are computed from columns; small and picklable."""

    response: NumberEncoding
    fixed: FixedEncoding
    offsets: tuple[NumberEncoding, ...]
    random: tuple[RandomEncoding, ...]
    residual: ResidualEncoding | None = None


def encoding_of(design: Design) -> Encoding | None:
    """Return what was learned from the data of a design, None where it was not built from data."""
    assert design.encoding is None or isinstance(design.encoding, Encoding)
    return design.encoding

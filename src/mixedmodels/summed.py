"""A model whose rows were summed and are not held: its cross-products, and the equations they give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .control import Control
from .criterion.coordinates import column_map, own_terms
from .engines import Layout
from .engines.base import Equations
from .engines.blocked.from_products import equations_from_products
from .engines.cross_products import CrossProducts, Labels
from .spec import ModelSpec
from .terms.design import Design
from .terms.rank import ColumnMoments


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """Cross-products of the columns of X kept and of Z.

    `labels` are the levels of every factor in the order of the design, by which those of the sums are found.
    """

    sums: CrossProducts
    labels: tuple[Labels, ...]

    @property
    def response_sd(self) -> float:
        """The standard deviation of the response."""
        frame = self.sums.frame
        gram = self.sums.gram_in(replace(frame, line=np.zeros_like(frame.line)))
        total = gram[0, 0]
        return float(np.sqrt(max(gram[-1, -1] - gram[0, -1] ** 2 / total, 0.0) / total))

    @property
    def operations(self) -> float:
        """Operations of an evaluation, about: the largest factor level by level, the others as a dense tail."""
        form = self.sums.form
        sizes = [len(own.labels) * form.width(f) for f, own in enumerate(self.sums.factors)]
        tail = sum(sizes) - max(sizes, default=0) + form.rank + 1.0
        leaf = max((s * form.width(f) for f, s in enumerate(sizes)), default=0)
        return tail**3 + 3.0 * leaf * (form.rank + 1.0) ** 2

    def own_design(self, spec: ModelSpec, design: Design) -> Design:
        """Return the design with random columns in coordinates of their own."""
        held = [item if isinstance(item, str) else item[0] for item in spec.hold]
        moments = [self._moments(k) for k in range(len(design.random))]
        terms = own_terms(design.random, moments, float(self.sums.gram[0, 0]), held=held)
        return replace(design, random=terms)

    def equations(self, own: Design, control: Control) -> Equations:
        """Return the equations of a design in its own coordinates."""
        maps = [column_map(term) for term in own.random]
        return equations_from_products(
            self.sums, Layout.of(own), self.labels, control, maps=maps, written=own.fixed.written_kept
        )

    def _moments(self, term: int) -> ColumnMoments:
        """Return the moments of the columns of Z of a term."""
        form = self.sums.form
        f = form.terms[term].factor
        whole, centre = self.sums.factors[f].block.sum(axis=0), self.sums.frame.random[f]
        place = np.array(form.places(f)[term])
        total = whole[0, 0]
        about = whole - np.outer(whole[0], whole[0]) / total
        mean = np.where(place == 0, 1.0, centre[place] + whole[0, place] / total)
        gram = np.where((place[:, None] == 0) | (place == 0), 0.0, about[np.ix_(place, place)])
        return ColumnMoments(mean, gram, np.diagonal(gram) == 0.0)

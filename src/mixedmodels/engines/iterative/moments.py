"""MIVQUE0 moment equations from sparse cross-products; see `blocked.start_moments` for the formulas."""

from __future__ import annotations

import numpy as np

from ...typing import Array
from ..layout import Layout
from .products import SparseProducts


def mivque0(products: SparseProducts, layout: Layout) -> tuple[Array, Array]:
    """Return S (K+1, K+1) and q (K+1,), columns in order of random terms, the residual last."""
    gram = products.gram
    r = len(gram) - 1
    root = np.linalg.inv(np.linalg.cholesky(gram[:r, :r])).T
    x, y = [], []
    for factor, dense in zip(products.factors, products.dense, strict=True):
        x.append((dense[:, :r] @ root).reshape(factor.q, factor.p, r))
        y.append(dense[:, r].reshape(factor.q, factor.p))
    places = [
        (f, start + j)
        for k, term in enumerate(layout.terms)
        for f, start in [_place(products, k)]
        for j in range(term.n_columns)
    ]
    squares = [x[f][:, a].T @ x[f][:, a] for f, a in places]
    size = len(places)
    s, q = np.zeros((size + 1, size + 1)), np.zeros(size + 1)
    s[-1, -1], q[-1] = layout.n - r, gram[r, r]
    for i, (f, a) in enumerate(places):
        q[i] = y[f][:, a] @ y[f][:, a]
        s[i, -1] = s[-1, i] = products.block[f][:, a, a].sum() - np.einsum("qr,qr->", x[f][:, a], x[f][:, a])
        for j, (g, b) in enumerate(places[: i + 1]):
            inner = np.einsum("rs,rs->", squares[i], squares[j])
            if f == g:
                met, shared = products.block[f][:, a, b], np.einsum("qr,qr->q", x[f][:, a], x[f][:, b])
            else:
                low, high = ((f, a), (g, b)) if f < g else ((g, b), (f, a))
                pairs = products.pairs[low[0], high[0]]
                met = pairs.values[:, low[1], high[1]]
                left, right = x[low[0]][:, low[1]], x[high[0]][:, high[1]]
                shared = np.einsum("mr,mr->m", left[pairs.first], right[pairs.second])
            s[i, j] = s[j, i] = met @ met - 2.0 * (met @ shared) + inner
    return s, q


def _place(products: SparseProducts, term: int) -> tuple[int, int]:
    """Return the factor of a term and its first column there."""
    for f, factor in enumerate(products.factors):
        if term in factor.terms:
            return f, factor.starts[factor.terms.index(term)]
    raise KeyError(term)

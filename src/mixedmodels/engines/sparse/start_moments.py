"""MIVQUE0 moment equations of the `sparse` engine.

With M = W − WX(X'WX)⁻¹X'W, C = (X'WX)⁻¹, B_ab = Z_a'MZ_b = A_ab − x_aCx_b' (A_ab = Z_a'WZ_b sparse, x_a =
Z_a'WX) and K_a = L_aL_a' (L_a = I without a known covariance), S_ab = tr(MV_aMV_b) = ‖L_b'B_baL_a‖². Without
known covariances the squares are summed over the entries of A. With one of q levels, L_b'B_baL_a is applied to
the q unit vectors in groups or, beyond `EXACT` levels, to `PROBES` fixed vectors of random signs: the
mean square is an unbiased estimate with a relative standard deviation of √(2 tr T²/`PROBES`)/tr T, T =
L_a'B_abK_bB_baL_a: a few per cent for known covariances of thousands of levels. These equations only give the first
guess of a search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...kernels import inverse_of
from ...lazy import LazyModule
from ...typing import Array
from .pattern import Analysis, Prior

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = LazyModule("scipy.sparse")

EXACT = 2000
PROBES = 16


@dataclass(frozen=True, slots=True)
class _Column:
    """One random column over its levels: places among all columns, x (q, r), Z'y (q,), and the known covariance."""

    factor: int
    at: slice
    x: Array
    y: Array
    prior: Prior | None

    def rotate(self, b: Array) -> Array:
        """Return L'b for b (q, c)."""
        return b if self.prior is None else self.prior.native.half_solve(np.ascontiguousarray(b))

    def spread(self, b: Array) -> Array:
        """Return L b for b (q, c)."""
        return b if self.prior is None else self.prior.native.half_solve_transposed(b)


def sparse_mivque0(
    analysis: Analysis, cross: sparse.csr_array, dense: Array, gram: Array, n: int
) -> tuple[Array, Array]:
    """Return S (K+1, K+1) and q (K+1,) given Z'WZ, Z'W[X y] and [X y]'W[X y], columns in order of terms."""
    r = len(gram) - 1
    c = inverse_of(gram[:r, :r])
    columns = _columns(analysis, dense)
    size = len(columns) + 1
    s, q = np.zeros((size, size)), np.zeros(size)
    s[-1, -1], q[-1] = n - r, gram[r, r]
    blocks = cross.tocsc()
    for i, a in enumerate(columns):
        rotated = a.rotate(a.y[:, None])
        q[i] = float(np.vdot(rotated, rotated))
        for j in range(i, len(columns)):
            b = columns[j]
            block = sparse.csr_array(blocks[:, a.at][b.at])
            if a.prior is None and b.prior is None:
                s[i, j] = s[j, i] = _plain(block, a, b, c)
            else:
                first, second, between = (a, b, block) if a.prior is not None else (b, a, block.T.tocsr())
                s[i, j] = s[j, i] = _probed(between, first, second, c)
            if i == j:
                s[i, -1] = s[-1, i] = _trace(block, a, c)
    return s, q


def _columns(analysis: Analysis, dense: Array) -> list[_Column]:
    terms = sorted(
        (term, f, start)
        for f, factor in enumerate(analysis.factors)
        for term, start in zip(factor.terms, factor.starts, strict=True)
    )
    out = []
    for term, f, start in terms:
        factor, whole = analysis.factors[f], analysis.columns(f)
        stops = [*factor.starts[1:], factor.p]
        for column in range(start, stops[factor.terms.index(term)]):
            at = slice(whole.start + column, whole.stop, factor.p)
            out.append(_Column(f, at, dense[at, :-1], dense[at, -1], analysis.priors[f]))
    return out


def _plain(block: sparse.csr_array, a: _Column, b: _Column, c: Array) -> float:
    """Σ A² − 2 Σ A∘(x_bCx_a') + tr(C x_a'x_a C x_b'x_b) for A = Z_b'WZ_a."""
    cross = float(np.einsum("ij,ij->", b.x @ c, block @ a.x))
    return float(block.data @ block.data) - 2 * cross + float(np.trace(c @ (a.x.T @ a.x) @ c @ (b.x.T @ b.x)))


def _probed(block: sparse.csr_array, a: _Column, b: _Column, c: Array) -> float:
    """‖L_b'B_baL_a‖², a having the known covariance."""
    total = 0.0
    for probe, weight in _probes(len(a.y)):
        spread = a.spread(probe)
        image = b.rotate(block @ spread - b.x @ (c @ (a.x.T @ spread)))
        total += weight * float(np.vdot(image, image))
    return total


def _trace(block: sparse.csr_array, a: _Column, c: Array) -> float:
    """tr(L'B_aaL)."""
    if a.prior is None:
        return float(block.trace()) - float(np.einsum("ij,ij->", a.x @ c, a.x))
    total = 0.0
    for probe, weight in _probes(len(a.y)):
        spread = a.spread(probe)
        total += weight * float(np.vdot(spread, block @ spread - a.x @ (c @ (a.x.T @ spread))))
    return total


def _probes(q: int) -> Iterator[tuple[Array, float]]:
    """Groups of columns whose outer products sum to I (on average) under the weights."""
    if q > EXACT:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (q, PROBES))
        yield signs, 1.0 / PROBES
        return
    for first in range(0, q, PROBES):
        unit = np.zeros((q, min(PROBES, q - first)))
        unit[first + np.arange(unit.shape[1]), np.arange(unit.shape[1])] = 1.0
        yield unit, 1.0

"""The finite-sample null distribution of the (restricted) likelihood ratio of one variance component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..terms.design import Design, RandomTerm
from ..terms.known import root_and_inverse
from ..terms.rows import Rows, TermRows
from ..typing import Array
from .progress import counted

_GRID = 300
"""Values of λ at which the ratio is computed; between them a parabola is used."""
_CHUNK = 2000


def simulate_ratio(
    design: Design, data: Rows, n: int, seed: int | None = None, *, progress: bool | None = False
) -> Array:
    """Return draws of the likelihood ratio statistic when the one variance component is zero, (n,).

    Parameters
    ----------
    design, data
        A model with one random term of one parameter, and its rows; restricted likelihood where `design.reml`.
    n, seed
        Number of draws, and seed.
    progress
        Whether a line on standard error says how far it is; None: where that is a terminal.

    Notes
    -----
    The spectral form of Crainiceanu and Ruppert (2004), equations (6) and (9); equal eigenvalues share one χ²
    draw. The supremum is taken over a logarithmic grid of λ, improved by a parabola through the best three.
    """
    rng = np.random.default_rng(seed)
    within, total = spectrum(design.random[0], data)
    sizes, counts = _grouped(within)
    nu = design.n - design.fixed.rank
    front = nu if design.reml else design.n
    scale = float(np.mean(total[total > 0])) if np.any(total > 0) else 1.0
    grid = np.concatenate([[0.0], np.logspace(-6, 6, _GRID) / scale])
    penalty = np.log1p(grid[:, None] * (within if design.reml else total)).sum(axis=1)
    out = np.empty(n)
    for first in counted(range(0, n, _CHUNK), "compare", progress, total=n):
        m = min(_CHUNK, n - first)
        squares = rng.chisquare(counts, (m, len(counts)))
        rest = rng.chisquare(nu - len(within), m) if nu > len(within) else np.zeros(m)
        shrunk = 1 / (1 + grid[:, None] * sizes)
        residual = squares @ shrunk.T + rest[:, None]
        # 1 + N/D is the ratio of the total to what is left
        ratio = front * (np.log(residual[:, :1]) - np.log(residual)) - penalty
        out[first : first + m] = _supremum(ratio)
    return out


def spectrum(term: RandomTerm, data: Rows) -> tuple[Array, Array]:
    """Return the positive eigenvalues of Z'W½(I − P)W½Z and of Z'WZ, for a term of unit covariance."""
    root = data.root_weights
    z = root[:, None] * indicator(term, data.random[0])
    x = root[:, None] * data.x
    basis = np.linalg.qr(x)[0] if x.shape[1] else x
    inside = z - basis @ (basis.T @ z)
    return _positive(inside), _positive(z)


def indicator(term: RandomTerm, own: TermRows) -> Array:
    """Return Z of one term as a dense matrix (n, q·p), times a root of the levels' known covariance."""
    n, p, q = len(own.codes), term.n_columns, term.n_levels
    z = np.zeros((n, q, p))
    z[np.arange(n), own.codes] = own.dense_values()
    if term.known is not None:
        z = np.einsum("nqp,qr->nrp", z, root_and_inverse(term.known.dense())[0])
    return z.reshape(n, q * p)


def _positive(z: Array) -> Array:
    values = np.asarray(np.linalg.svd(z, compute_uv=False) ** 2, dtype=np.float64)
    return values[values > 1e-10 * max(float(values.max(initial=0.0)), 1e-300)]


def _grouped(values: Array) -> tuple[Array, NDArray[np.intp]]:
    """Return distinct eigenvalues and how often each occurs."""
    ordered = np.sort(values)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(ordered) > 1e-9 * ordered[1:]]))
    counts = np.diff(np.append(starts, len(ordered)))
    return ordered[starts], counts


def _supremum(ratio: Array) -> Array:
    """Return the largest value of each row, zero at least, through a parabola at the best grid point."""
    best = ratio.argmax(axis=1)
    rows = np.arange(len(ratio))
    top = ratio[rows, best]
    # the first grid point is λ = 0, off the logarithmic grid, so that its neighbour has no parabola either
    inner = (best > 1) & (best < ratio.shape[1] - 1)
    left, right = ratio[rows, np.maximum(best - 1, 0)], ratio[rows, np.minimum(best + 1, ratio.shape[1] - 1)]
    bend = np.where(inner, 2 * top - left - right, 1.0)
    gain = np.where(inner & (bend > 0), (right - left) ** 2 / (8 * np.where(bend > 0, bend, 1.0)), 0.0)
    return np.asarray(np.maximum(top + gain, 0.0))

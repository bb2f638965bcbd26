"""Time the sparse Cholesky factor and its selected inverse on three shapes, with SuperLU's factor beside it.

    python benchmarks/sparse_cholesky.py [--threads 1] [--repetitions 7]

Milliseconds are medians of the CPU time of the process: on one thread of an idle machine the wall-clock time,
hardly moved by a busy one. SuperLU has no selected inverse, and its factor is unsymmetric, hence twice the
work, but it is what SciPy offers for these matrices; it is left out where it would take minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from mixedmodels.kernels import SparseSymmetric


def pedigree(n: int = 100_000, generations: int = 10, sires: int = 50, dams: int = 2000) -> sp.csc_array:
    """I + A⁻¹: one record per animal, parents drawn from the generation before."""
    rng = np.random.default_rng(1)
    size = n // generations
    animals = np.arange(size, n)
    before = (animals // size - 1) * size
    sire = before + rng.integers(sires, size=len(animals))
    dam = before + sires + rng.integers(dams, size=len(animals))
    rows = np.concatenate([np.arange(n), animals, animals])
    cols = np.concatenate([np.arange(n), sire, dam])
    data = np.concatenate([np.ones(n), np.full(2 * len(animals), -0.5)])
    descent = sp.csc_array((data, (rows, cols)), shape=(n, n))
    within = sp.diags_array(np.where(np.arange(n) < size, 1.0, 2.0))
    return sp.csc_array(descent.T @ within @ descent + sp.eye_array(n))


def crossed(levels: tuple[int, ...], rows: int, columns: int) -> sp.csc_array:
    """Z'Z + I for crossed factors with random incidence, bordered by dense fixed-effect columns."""
    rng = np.random.default_rng(2)
    parts = []
    for q in levels:
        codes = np.arange(rows), rng.integers(q, size=rows)
        parts.append(sp.csr_array((np.ones(rows), codes), shape=(rows, q)))
    z = sp.hstack([*parts, sp.csr_array(rng.normal(size=(rows, columns)))], format="csr")
    return sp.csc_array(z.T @ z + sp.eye_array(z.shape[1]))


def lattice(side: int = 300) -> sp.csc_array:
    """Precision of a conditional autoregression on a square lattice."""
    chain = sp.diags_array([-1.0, 2.05, -1.0], offsets=[-1, 0, 1], shape=(side, side))
    return sp.csc_array(sp.kron(chain, sp.eye_array(side)) + sp.kron(sp.eye_array(side), chain))


CASES: dict[str, Callable[[], sp.csc_array]] = {
    "pedigree, 100,000 animals": pedigree,
    "pedigree, 100,000 animals, many parents": lambda: pedigree(sires=200, dams=4000),
    "InstEval-like: 2,972 × 1,128 × 14, 73,421 rows": lambda: crossed((2972, 1128, 14), 73_421, 2),
    "20,000 × 4,000 × 1,000, 300,000 rows": lambda: crossed((20_000, 4000, 1000), 300_000, 3),
    "lattice, 300 × 300": lattice,
}


def milliseconds(work: Callable[[], object], repetitions: int) -> float:
    taken = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return 1e3 * median(taken)


def superlu(matrix: sp.csc_array) -> float:
    options = {"SymmetricMode": True}
    return milliseconds(lambda: splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options), 1)


def measure(name: str, matrix: sp.csc_array, threads: int, repetitions: int) -> None:
    lower = sp.csc_array(sp.tril(matrix))
    n, indptr, indices = lower.shape[0], lower.indptr.astype(np.int64), lower.indices.astype(np.int32)
    analyse = milliseconds(lambda: SparseSymmetric(n, indptr, indices), 3)
    c = SparseSymmetric(n, indptr, indices, threads=threads)
    b = np.ones((n, 16))
    inverse = []
    for _ in range(repetitions):  # the inverse is kept until the next factor, so each must follow a fresh one
        c.factor(lower.data)
        inverse.append(milliseconds(c.selected_inverse, 1))
    cells = [
        analyse,
        milliseconds(lambda: c.factor(lower.data), repetitions),
        median(inverse),
        milliseconds(lambda: c.solve(b[:, :1]), repetitions),
        milliseconds(lambda: c.solve(b), repetitions),
    ]
    numbers = " | ".join(f"{cell:,.1f}" for cell in cells)
    numbers += f" | {superlu(matrix):,.0f}" if c.flops < 1e10 else " | –"
    print(f"| {name} | {c.fill / 1e6:.2f} | {c.flops / 1e9:.2f} | {numbers} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    print("| matrix | fill, M | Gflop | analyse | factor | selected inverse | solve 1 | solve 16 | SuperLU |")
    print("|" + "---|" * 9, flush=True)
    for name, build in CASES.items():
        measure(name, build(), options.threads, options.repetitions)


if __name__ == "__main__":
    main()

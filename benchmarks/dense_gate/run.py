"""Time faer against SciPy's OpenBLAS for a Cholesky factorisation followed by the inverse.

    cargo build --release && python run.py [target/release/dense_gate]

The two are run alternately (one faer repetition, one LAPACK repetition), so that the ratio is paired: what
slows the machine slows both. Times are wall-clock seconds of the computation alone; neither side allocates or
copies its input inside the timed region. The thread count of OpenBLAS is fixed when it loads, hence one child
per count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ORDERS = {1160: 15, 5000: 5}
THREADS = (1, 2)
BINARY = Path(__file__).parent / "target" / "release" / "dense_gate"
PAUSE = 0.2  # seconds for the other library's idle threads to go to sleep


def lapack_seconds(matrix, work) -> tuple[float, float]:
    """Seconds of dpotrf and of dpotri on a copy of the matrix made beforehand."""
    from scipy.linalg.lapack import dpotrf, dpotri

    work[...] = matrix
    start = time.perf_counter()
    factor, info = dpotrf(work, lower=1, clean=0, overwrite_a=1)
    middle = time.perf_counter()
    _, info_inverse = dpotri(factor, lower=1, overwrite_c=1)
    end = time.perf_counter()
    assert (info, info_inverse) == (0, 0)
    assert factor is work
    return middle - start, end - middle


def measure(binary: str, threads: int) -> None:
    """Print one table row per order for the thread count this process was started with."""
    import numpy as np

    server = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for order, repetitions in ORDERS.items():
        random = np.random.default_rng(1)
        matrix = np.asfortranarray(random.uniform(-0.5, 0.5, (order, order)))
        matrix += matrix.T
        matrix[np.diag_indices(order)] = 2.0 * order
        work = np.empty_like(matrix, order="F")
        rows = []
        for repetition in range(repetitions + 1):
            time.sleep(PAUSE)
            server.stdin.write(f"{order} {threads}\n")
            server.stdin.flush()
            cholesky, inverse, error = map(float, server.stdout.readline().split())
            assert error < 1e-12, error
            time.sleep(PAUSE)
            if repetition > 0:  # the first of each warms caches, pages and thread pools
                rows.append((cholesky, inverse, *lapack_seconds(matrix, work)))
            else:
                lapack_seconds(matrix, work)
        report(order, threads, rows)
    server.stdin.close()
    server.wait()


def report(order: int, threads: int, rows: list[tuple[float, float, float, float]]) -> None:
    faer_factor, faer_inverse, blas_factor, blas_inverse = (
        median(column) for column in zip(*rows, strict=True)
    )
    faer = median(row[0] + row[1] for row in rows)
    blas = median(row[2] + row[3] for row in rows)
    ratio = median((row[2] + row[3]) / (row[0] + row[1]) for row in rows)
    cells = [faer_factor, faer_inverse, faer, blas_factor, blas_inverse, blas]
    print(
        f"| {order} | {threads} | {len(rows)} | "
        + " | ".join(f"{1e3 * cell:.1f}" for cell in cells)
        + f" | {100 * ratio:.0f} % |",
        flush=True,
    )


def main() -> None:
    binary = sys.argv[1] if len(sys.argv) > 1 else str(BINARY)
    if "DENSE_GATE_THREADS" in os.environ:
        measure(binary, int(os.environ["DENSE_GATE_THREADS"]))
        return
    print(
        "| order | threads | repetitions | faer Cholesky ms | faer inverse ms | faer total ms "
        "| dpotrf ms | dpotri ms | LAPACK total ms | speed of faer, LAPACK = 100 % |"
    )
    print("|" + "---|" * 10, flush=True)
    for threads in THREADS:
        count = str(threads)
        environment = dict(
            os.environ, DENSE_GATE_THREADS=count, OPENBLAS_NUM_THREADS=count, RAYON_NUM_THREADS=count
        )
        subprocess.run([sys.executable, __file__, binary], env=environment, check=True)


if __name__ == "__main__":
    main()

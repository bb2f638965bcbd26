"""Time and memory of fits that read a Parquet file in batches, against rows, levels and crossed factors.

    python benchmarks/scale/cost.py [rows …]

prints a line for every size: seconds of processor of reading the columns alone with pyarrow, of the fit, and the
peak of memory, each in a process of its own. Timings are of the processor, which is shared less than the clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

CHILD = """
import json, resource, sys, time
path, formula = sys.argv[1:]
start = time.process_time()
if formula == "read":
    from pyarrow import parquet
    for batch in parquet.ParquetFile(path).iter_batches(1 << 18, columns=["id", "t", "y"]):
        pass
else:
    import mixedmodels as mm
    begun = time.process_time()
    mm.lmm(formula, path, control=mm.Control(memory=4e9, progress=False))
    start = begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([round(time.process_time() - start, 2), round(peak)]))
"""
CASES = (
    ("(t | id)", "y ~ t + (t | id)"),
    ("(1 | id) + (1 | item)", "y ~ t + (1 | id) + (1 | item)"),
)


def write(path: Path, rows: int, levels: int, step: int = 1_000_000) -> None:
    """Write rows of levels with random intercepts and slopes, in the order of the levels, and 200 crossed items."""
    rng = np.random.default_rng(5)
    own = rng.normal(size=(levels, 2)) * [1.0, 0.3]
    items = rng.normal(size=200) * 0.5
    writer = None
    for first in range(0, rows, step):
        count = min(step, rows - first)
        code = (np.arange(first, first + count) * levels) // rows
        t, item = rng.integers(0, 40, count) * 0.25, rng.integers(0, 200, count)
        y = 100 + 0.5 * t + own[code, 0] + own[code, 1] * t + items[item] + rng.normal(size=count)
        table = pa.table(
            {"id": code.astype(np.int32), "t": t, "item": item.astype(np.int32), "y": y.round(3)}
        )
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def run(*arguments: str) -> tuple[float, float]:
    """Return seconds of processor and megabytes of a process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], check=True, capture_output=True, text=True
    )
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def main() -> None:
    sizes = [int(float(size)) for size in sys.argv[1:]] or [1_000_000, 5_000_000, 20_000_000]
    with tempfile.TemporaryDirectory() as folder:
        for rows, levels in [
            *((n, n // 100) for n in sizes),
            *((sizes[1], q) for q in (10_000, 100_000, 1_000_000)),
        ]:
            path = Path(folder) / "rows.parquet"
            write(path, rows, levels)
            read = run(str(path), "read")[0]
            for name, formula in CASES:
                seconds, peak = run(str(path), formula)
                size = f"{rows:>11,} rows {levels:>9,} levels  {name:<22}"
                print(f"{size} read {read:6.2f} s  fit {seconds:6.2f} s  {peak:5.0f} MB", flush=True)


if __name__ == "__main__":
    main()

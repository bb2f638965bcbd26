"""Partitions on the workers of a cluster: the fit is that of the rows, also when a worker is killed on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
frames = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

# distributed leaves sockets of killed workers to the collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def rows(seed: int = 5, n: int = 3000) -> Any:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "id": rng.integers(0, 90, n),
            "t": rng.uniform(0, 10, n),
            "arm": rng.choice(["b", "a", "c"], n),
            "item": rng.choice([f"item {j}" for j in range(20)], n),
        }
    )
    own = rng.normal(size=(90, 2))[data["id"]]
    data["y"] = 3 + 0.3 * data["t"] + own[:, 0] + 0.2 * own[:, 1] * data["t"] + rng.normal(size=n)
    data.loc[::50, "t"] = np.nan
    # a level that the first partition has not
    data.loc[:1500, "arm"] = data.loc[:1500, "arm"].replace("a", "b")
    return data


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def same(found: mm.Fit, expected: mm.Fit) -> None:
    assert found.nobs == expected.nobs
    assert found.criterion == pytest.approx(expected.criterion, rel=1e-9)
    for name in ("estimate", "std_error", "df"):
        one, two = (np.asarray(f.fixed_effects(ddf="satterthwaite")[name], float) for f in (found, expected))
        np.testing.assert_allclose(one, two, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(
        found.variance_components()["variance"],
        expected.variance_components()["variance"],
        rtol=1e-4,
        atol=1e-8,
    )


@pytest.mark.parametrize("formula", ["y ~ t + (t | id)", "y ~ t * arm + (1 | id) + (1 | item)"])
def test_a_dask_frame_is_fitted_as_its_rows(client: Any, formula: str) -> None:
    data = rows()
    parts = frames.from_pandas(data, npartitions=5)
    found = mm.lmm(formula, parts, client=client)
    assert found.rows is None
    same(found, mm.lmm(formula, data))
    again = mm.lmm(formula, parts, client=client)
    assert again.criterion == found.criterion, "the order of additions is fixed"


def test_files_are_read_by_the_workers(client: Any, tmp_path: Path) -> None:
    data = rows()
    for j, part in enumerate(np.array_split(np.arange(len(data)), 3)):
        data.iloc[part].to_parquet(tmp_path / f"{j}.parquet")
    found = mm.lmm("y ~ t + arm + (t | id)", str(tmp_path / "*.parquet"), client=client)
    same(found, mm.lmm("y ~ t + arm + (t | id)", data))


def _slowly(part: Any) -> Any:
    time.sleep(0.4)
    return part


def test_a_killed_worker_loses_nothing(client: Any) -> None:
    data = rows()
    expected = mm.lmm("y ~ t + (t | id)", data)
    parts = frames.from_pandas(data, npartitions=10).map_partitions(_slowly, meta=data.head(0))
    victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(1.2, os.kill, (victim, signal.SIGKILL))
    killer.start()
    found = mm.lmm("y ~ t + (t | id)", parts, client=client)
    killer.join()
    same(found, expected)
    assert victim not in client.run(os.getpid).values()


def test_what_is_not_spread_says_so(client: Any) -> None:
    parts = frames.from_pandas(rows(), npartitions=3)
    with pytest.raises(mm.SpecError, match="cannot be spread over workers: residual="):
        mm.lmm("y ~ t", parts, residual="cs(1 | id)")
    with pytest.raises(mm.DataError, match="column 'time' is not in"):
        mm.lmm("y ~ time + (1 | id)", parts, client=client)
    with pytest.raises(mm.SpecError, match="client= goes with a Dask DataFrame or a path"):
        mm.lmm("y ~ t + (1 | id)", rows(), client=client)

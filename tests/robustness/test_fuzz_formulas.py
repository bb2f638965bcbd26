"""Whatever is written, a design or one of our own errors comes out, within a second."""

from __future__ import annotations

import time

import numpy as np
import pytest

from formula_grammar import random_data, random_text
from mixedmodels.errors import MixedModelsError
from mixedmodels.frame.ingest import build_frame
from mixedmodels.syntax.formula import read_formula
from mixedmodels.syntax.structure_call import read_residual, read_variance
from mixedmodels.terms.build import build_design
from mixedmodels.terms.new_rows import encode_new

AT_MOST = 1.0
"""Seconds."""
SHARD = 500


def check(seed: int, count: int) -> None:
    """Read and build `count` random texts; what is built is applied to new rows."""
    rng = np.random.default_rng(seed)
    data = random_data(rng)
    # libraries are loaded at first use, which is no work of a formula
    spec = read_formula("y ~ poly(x, 2)")
    build_design(spec, build_frame(spec, data))
    built = 0
    for _ in range(count):
        text = random_text(rng)
        begin = time.perf_counter()
        try:
            spec = read_formula(text)
            frame = build_frame(spec, data)
            design, _ = build_design(spec, frame)
            built += 1
            encode_new(spec, frame.schema, design, {name: values[:3] for name, values in data.items()})
        except MixedModelsError:
            pass
        except Exception as error:
            raise AssertionError(f"{text!r}: {type(error).__name__}: {error}") from error
        for read in (read_residual, read_variance):
            try:
                read(text.partition("~")[2])
            except MixedModelsError:
                pass
            except Exception as error:
                raise AssertionError(f"{text!r}: {type(error).__name__}: {error}") from error
        assert time.perf_counter() - begin < AT_MOST, text
    assert built > count // 100


@pytest.mark.parametrize("seed", range(2))
def test_random_texts(seed: int) -> None:
    check(seed, SHARD)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_random_texts(seed: int) -> None:
    check(seed, SHARD)

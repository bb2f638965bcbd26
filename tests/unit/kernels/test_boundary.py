"""What native code is handed: any array, of any length, order of bytes, alignment or stride, is right or an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from mixedmodels import kernels

rng = np.random.default_rng(5)


def strange(array: Any) -> dict[str, Any]:
    """Return an array in every form NumPy has for the same numbers."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    frozen = array.copy()
    frozen.flags.writeable = False
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return {
        "unaligned": unaligned,
        "other byte order": array.astype(array.dtype.newbyteorder()),
        "read-only": frozen,
        "fortran": np.asfortranarray(array),
        "strided": wide[..., ::2],
        "reversed": array[::-1].copy()[::-1],
    }


FORMS = tuple(strange(np.zeros((2, 2))))


@pytest.mark.parametrize("form", FORMS)
def test_products_of_columns_are_the_same(form: str) -> None:
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    zero, one = np.zeros(3), np.ones(3)
    expected = kernels.gram(x, y, None, zero, one, zero, 1)
    found = kernels.gram(strange(x)[form], strange(y)[form], None, zero, one, zero, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    means, _, _ = kernels.column_moments(strange(x)[form], 1)
    np.testing.assert_allclose(means, x.mean(axis=0), rtol=1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_the_system_of_a_design_is_the_same(form: str) -> None:
    codes, x = np.repeat(np.arange(4, dtype=np.int32), 5), rng.normal(size=(20, 2))
    y, z = rng.normal(size=20), rng.normal(size=(20, 2))
    two = np.zeros(2)

    def system(change: Any) -> Any:
        chain = [(change(codes), change(z), 2, 4)]
        sets = [np.zeros(4, np.int32)]
        return kernels.Blocked(
            chain, [], sets, change(x), change(y), two, two + 1, two, None, 1
        ).chain_products(0)

    for a, b in zip(system(lambda v: v), system(lambda v: strange(v)[form]), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_overwritten_is_right_or_refused(form: str) -> None:
    a = rng.normal(size=(5, 5))
    m = strange(a @ a.T + 5 * np.eye(5))[form]
    right = np.linalg.cholesky(np.array(m, dtype=float))
    if not (m.flags.aligned and m.dtype.isnative and m.flags.c_contiguous and m.flags.writeable):
        with pytest.raises(ValueError, match="overwritten"):
            kernels.cholesky(m)
        return
    np.testing.assert_allclose(np.tril(kernels.cholesky(m)), right, rtol=1e-12)


def test_shapes_that_do_not_fit_are_errors() -> None:
    one, codes, y = np.ones(1), np.zeros(4, np.int32), np.arange(4.0)

    def blocked(q: int = 1, p: int = 1, codes: Any = codes, values: Any = None) -> Any:
        return kernels.Blocked(
            [(codes, values, p, q)],
            [],
            [np.zeros(1, np.int32)],
            np.ones((4, 1)),
            y,
            0 * one,
            one,
            0 * one,
            None,
            1,
        )

    good = blocked()
    for call in (
        lambda: blocked(q=2**40),
        lambda: blocked(q=2**62),
        lambda: blocked(p=7),
        lambda: blocked(codes=codes[:2]),
        lambda: blocked(codes=codes - 1),
        lambda: blocked(values=np.ones((4, 3))),
        lambda: good.chain_products(5),
        lambda: good.prediction_variance(np.ones((2, 2)), np.ones((3, 4)), [(codes[:3], np.ones(3))], []),
        lambda: good.prediction_variance(np.ones((1, 1)), np.ones((3, 1)), [], [(codes[:3], np.ones(3), 0, 9)]),
        lambda: good.products([np.ones(1)], 3),
        lambda: good.level_columns(np.ones((3, 3))),
        lambda: kernels.refit_responses(
            good, [(codes, None, 1, 1)], np.ones((4, 1)), np.ones((2, 4)), 0 * one, one, np.zeros((2, 1)), None,
            np.array([[5, -1, 7, 9, 0]]), one, (3.0, True, 0.0, 1e-8, 10), 1
        ),
        lambda: kernels.solve_triangular(np.ones((3, 3)), np.ones((3, 0)), True),
        lambda: kernels.symmetric_product(np.ones((3, 2)), np.ones((2, 0))),
        lambda: kernels.cholesky(np.ones((3, 2))),
        lambda: kernels.cholesky_inverse(np.ones((3, 2))),
        lambda: kernels.SparseSymmetric(2**40, np.zeros(3, np.int64), np.zeros(1, np.int32)),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            call()


def test_more_than_there_is_room_for_is_a_memory_error() -> None:
    codes, one = np.zeros(4, np.int32), np.ones(1)
    with pytest.raises(MemoryError, match="GB cannot be held"):
        kernels.Blocked(
            [], [(codes, None, 1, 2**30)], [], np.ones((4, 1)), np.arange(4.0), 0 * one, one, 0 * one, None, 1
        )


@pytest.mark.parametrize("seed", range(60))
def test_random_arrays_end_in_a_result_or_an_error(seed: int) -> None:
    own = np.random.default_rng(seed)

    def any_array(ndim: int, kind: Any = float) -> Any:
        shape = tuple(int(k) for k in own.integers(0, 6, ndim))
        values = own.integers(-2, 6, shape).astype(kind) if kind is not float else own.normal(size=shape)
        forms = list(strange(values).values()) if values.size else [values]
        return forms[int(own.integers(len(forms)))]

    n = int(own.integers(-1, 4))
    for call in (
        lambda: kernels.gram(any_array(2), any_array(1), None, any_array(1), any_array(1), any_array(1), 1),
        lambda: kernels.solve_triangular(any_array(2), any_array(2), bool(own.integers(2))),
        lambda: kernels.symmetric_product(any_array(2), any_array(2)),
        lambda: kernels.cholesky(any_array(2)),
        lambda: kernels.Blocked(
            [(any_array(1, np.int32), any_array(2), n, int(own.integers(0, 9)))], [], [any_array(1, np.int32)],
            any_array(2), any_array(1), any_array(1), any_array(1), any_array(1), None, 1
        ),
        lambda: kernels.SparseSymmetric(max(n, 0), any_array(1, np.int64), any_array(1, np.int32)),
    ):  # fmt: skip
        with suppress(ValueError, TypeError, OverflowError, ArithmeticError):
            call()

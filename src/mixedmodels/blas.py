"""BLAS on one thread, where several would wait for each other longer than they work.

Threads of OpenBLAS spin while they wait: between products of a few hundred rows, or beside another busy process, that
costs many times the products themselves.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS runs on one thread."""
    context: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return context

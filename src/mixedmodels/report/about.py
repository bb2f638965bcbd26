"""Which version of the package writes a page."""

from __future__ import annotations

from importlib import import_module


def version() -> str:
    """Return the version of the package; by name, for the package itself stands above its parts.

    Examples
    --------
    >>> version().count(".")
    2
    """
    return str(import_module(__name__.partition(".")[0]).__version__)

"""Small teaching data with provenance: `list()`, `describe(name)`, `load(name)`.

Examples
--------
>>> from mixedmodels import datasets
>>> datasets.list()[:3]
['bodyweight', 'cake', 'cbpp']
>>> rail = datasets.load("rail", backend="dict")
>>> rail["travel"][:3]
array([55., 53., 54.])
"""

from __future__ import annotations

from .catalogue import Column, Dataset, describe
from .catalogue import names as list
from .read import load

__all__ = ["Column", "Dataset", "describe", "list", "load"]

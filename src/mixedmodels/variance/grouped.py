"""Values per stratum: the names, spreading and Jacobians that variance functions with `by=` share."""

from __future__ import annotations

import numpy as np

from ..natural import Natural
from ..typing import Array, Codes, Labels


def group_names(base: str, labels: Labels) -> Labels:
    """Return `base` for one stratum, `base(label)` for each of several.

    Examples
    --------
    >>> group_names("power", ("F", "M"))
    ('power(F)', 'power(M)')
    """
    return (base,) if len(labels) == 1 else tuple(f"{base}({label})" for label in labels)


def identity_natural(base: str, delta: Array, labels: Labels) -> Natural:
    """Return parameters that are reported as they are."""
    names = group_names(base, labels)
    return Natural(names, delta, np.eye(len(delta), dtype=delta.dtype), ("other",) * len(delta))


def by_group(values: Array, groups: Codes, n_groups: int) -> Array:
    """Return `values` (n,) in the row of each row's stratum and zero elsewhere, (n_groups, n)."""
    out = np.zeros((n_groups, len(groups)), dtype=values.dtype)
    out[groups, np.arange(len(groups))] = values
    return out


def log_magnitude(covariate: Array) -> Array:
    """Return log|v|, −∞ where v is zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.abs(covariate)))

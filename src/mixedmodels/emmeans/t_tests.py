"""Tests of each function, two-sided, one-sided or against a margin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from ..errors import SpecError
from ..inference.distributions import t_one_sided
from ..inference.multiplicity import ADJUSTMENTS, Family
from ..registry import check_choice
from ..table import Table
from ..typing import Array
from .display import level_formats
from .emm import EMM
from .estimates import inferred, named

Side = Literal["two-sided", "less", "greater", "equivalence", "noninferiority", "nonsuperiority"]
SIDES: tuple[Side, ...] = get_args(Side)
MARGIN = ("equivalence", "noninferiority", "nonsuperiority")
"""Tests against a margin."""


def t_test(
    emm: EMM,
    null: float = 0.0,
    *,
    side: Side = "two-sided",
    delta: float = 0.0,
    adjust: str | None = None,
) -> Table:
    """Return t tests of each function against `null`, on the scale of the linear predictor.

    Parameters
    ----------
    null
        The hypothesised value.
    side
        `"two-sided"`, `"less"`, `"greater"`; `"noninferiority"` (l'β > null − delta),
        `"nonsuperiority"` (l'β < null + delta) or `"equivalence"` (both, by two one-sided tests).
    delta
        The margin, positive for the last three.
    adjust
        Multiplicity adjustment of the p-values, by group; that of the functions by default for
        two-sided tests, none otherwise.

    Notes
    -----
    The statistic is (l'β̂ − null ± delta)/SE, for equivalence (|l'β̂ − null| − delta)/SE: small values speak
    for `"less"`, `"nonsuperiority"` and `"equivalence"`. *Same as* `test(emm, null, side, delta)` of R's emmeans.
    """
    check_choice("side", side, SIDES)
    if side in MARGIN and not delta > 0:
        raise SpecError(f"delta={delta!r} must be positive for side={side!r}: it is the margin.")
    if side not in MARGIN and delta != 0:
        raise SpecError(f"delta={delta!r} is a margin, for side={', '.join(map(repr, MARGIN))}.")
    if side == "two-sided":
        chosen = emm if adjust is None else emm.adjusted(adjust)
        return _two_sided(chosen, null)
    return _one_sided(emm, null, side, delta, adjust or "none")


def _two_sided(emm: EMM, null: float) -> Table:
    found, notes = inferred(emm, null)
    columns = {name: found[name] for name in ("estimate", "std_error", "df", "statistic", "p_value")}
    about = () if null == 0 else (f"null value {null:g}",)
    shown: dict[str, Any] = {**emm.levels, **named(emm, columns)}
    return Table(shown, "", (*notes, *about), emm.fit.backend, level_formats(emm.levels))


def _one_sided(emm: EMM, null: float, side: str, delta: float, adjust: str) -> Table:
    if adjust not in ("none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by", "sidak"):
        raise SpecError(
            f"adjust={adjust!r} is for two-sided tests; use 'holm', 'sidak', 'bonferroni' or 'none'."
        )
    plain = replace(emm, settings=replace(emm.settings, adjust="none", response=None))
    found, notes = inferred(plain, null)
    distance = found["estimate"] - null
    shifted = {
        "noninferiority": distance + delta,
        "nonsuperiority": distance - delta,
        "equivalence": np.abs(distance) - delta,
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shifted.get(side, distance) / found["std_error"]
    p = t_one_sided(t if side in ("greater", "noninferiority") else -t, found["df"])
    if adjust != "none":
        p = _adjust_plain(emm, p, adjust)
    names = ("estimate", "std_error", "df")
    shown: dict[str, Any] = {
        **emm.levels,
        **{name: found[name] for name in names},
        "statistic": t,
        "p_value": p,
    }
    about = f"{side} test, null value {null:g}" + (f", margin {delta:g}" if delta else "")
    return Table(shown, "", (*notes, about), emm.fit.backend, level_formats(emm.levels))


def _adjust_plain(emm: EMM, p: Array, adjust: str) -> Array:
    from scipy import special

    out = p.copy()
    for group in emm.groups:
        used = group[np.isfinite(p[group])]
        # Families read |z|; a one-sided p-value enters as the two-sided one of the same size.
        z = -special.ndtri(np.clip(p[used], 1e-300, 1.0) / 2.0)
        family = Family(z, np.full(len(used), np.inf), np.eye(len(used)), float(len(used)))
        out[used] = ADJUSTMENTS[adjust].p_values(family)
    return out

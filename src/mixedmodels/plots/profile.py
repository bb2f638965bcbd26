"""Profiles of the likelihood: ζ over each parameter, with its intervals, or the density that ζ implies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import special
from scipy.interpolate import PchipInterpolator

from ..errors import SpecError
from ..fit import Fit
from ..inference.profiles import NamedProfile, profiles_of
from ..registry import check_choice
from ..typing import Array
from .backend import INK, MUTED, PALETTE, caption, label_axes, panel_axes, tidy_axes

SHOWN = ("zeta", "density")
LEVELS = (0.5, 0.8, 0.95)
"""Probabilities of the intervals drawn."""
REACH = 0.99
POINTS = 200


def profile(
    fit: Fit,
    terms: str | Iterable[str] | None = "all",
    *,
    show: str = "zeta",
    likelihood: str | None = None,
    progress: bool | None = None,
    ax: Any = None,
) -> Any:
    """Draw the profile of each parameter: ζ, a straight line where −2l is quadratic, or the density it implies.

    Parameters
    ----------
    terms, likelihood, progress
        As of `fit.profile`.
    show
        `"zeta"` with the intervals of 50, 80 and 95 %, or `"density"`, φ(ζ)dζ/dψ.
    ax
        Axes to draw on, one for each parameter; new ones by default.

    Returns
    -------
    ndarray of matplotlib Axes, (parameters,)

    Notes
    -----
    ζ = sign(ψ − ψ̂)√(−2l(ψ) + 2l(ψ̂)), followed to the limits of 99 % and joined by monotone cubic pieces. A curve
    that bends says that Wald's symmetric limits mislead; one that stops says that the parameter has a boundary there.
    *Same as* `xyplot(profile(fit))` and `densityplot(profile(fit))` of lme4.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
    >>> [axes.get_title(loc="left") for axes in fit.plot.profile()]
    ['sd(Batch: (Intercept))', 'sd(Residual)', '(Intercept)']
    """
    check_choice("show", show, SHOWN)
    found, notes = profiles_of(fit, terms, REACH, likelihood, progress=progress, points=True)
    drawn = {name: one for name, one in found.items() if len(one.points.values) > 2}
    if not drawn:
        raise SpecError("fit.plot.profile: none of these parameters has a profile; see fit.profile().")
    panels = panel_axes(
        ax, len(drawn), "parameter", columns=3, size=(3.1, 2.6) if len(drawn) > 1 else (4.6, 3.6)
    )
    for k, (axes, (name, one)) in enumerate(zip(panels, drawn.items(), strict=True)):
        (_draw_zeta if show == "zeta" else _draw_density)(axes, one)
        label_axes(axes, y="" if k % 3 else "ζ" if show == "zeta" else "density", title=name)
        tidy_axes(axes)
        axes.locator_params(axis="x", nbins=5)
    left_out = ", ".join(name for name in found if name not in drawn)
    caption(
        panels, ax, _meaning(show), *(f"{note[0].upper()}{note[1:]}." for note in notes),
        f"Without profile: {left_out}." if left_out else "",
    )  # fmt: skip
    return panels


def _meaning(show: str) -> str:
    if show == "zeta":
        return "Signed root of the rise of −2 log L; bars: intervals of 50, 80 and 95%; point: estimate."
    return (
        "Density implied by the signed root of the rise of −2 log L; shaded: interval of 95%; line: estimate."
    )


def _draw_zeta(axes: Any, one: NamedProfile) -> None:
    curve, x = _curve(one)
    axes.plot(x, curve(x), color=PALETTE[0], linewidth=1.8, zorder=3)
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    for level in LEVELS:
        z = float(special.ndtri((1 + level) / 2))
        low, high = _limits(curve, x, z)
        for end, height in ((low, -z), (high, z)):
            if end is not None:
                axes.vlines(
                    end, min(0.0, height), max(0.0, height), color=PALETTE[1], linewidth=1.1, zorder=2
                )
        inside = [x[0] if low is None else low, x[-1] if high is None else high]
        axes.plot(inside, [0.0, 0.0], color=PALETTE[1], linewidth=1.1, zorder=2)
    axes.plot([_peak(one)], [0.0], "o", color=INK, markersize=4.5, zorder=4)
    axes.set_ylim(-2.9, 2.9)


def _draw_density(axes: Any, one: NamedProfile) -> None:
    curve, x = _curve(one)
    height = np.exp(-0.5 * curve(x) ** 2) / np.sqrt(2 * np.pi) * np.maximum(curve.derivative()(x), 0.0)
    axes.plot(x, height, color=PALETTE[0], linewidth=1.8, zorder=3)
    low, high = _limits(curve, x, float(special.ndtri(0.975)))
    inside = (x >= (x[0] if low is None else low)) & (x <= (x[-1] if high is None else high))
    axes.fill_between(x[inside], height[inside], color=PALETTE[0], alpha=0.2, linewidth=0, zorder=2)
    axes.axvline(_peak(one), color=PALETTE[1], linewidth=1.1, zorder=2)
    axes.set_ylim(0.0, None)
    axes.set_yticks([])


def _peak(one: NamedProfile) -> float:
    """Return where the profile itself is zero: a REML fit's estimate may stand beside a profile by ML."""
    return float(np.interp(0.0, one.points.zeta, one.points.values))


def _curve(one: NamedProfile) -> tuple[PchipInterpolator, Array]:
    values, zeta = one.points.values, one.points.zeta
    kept = np.isfinite(values) & np.isfinite(zeta)
    return PchipInterpolator(values[kept], zeta[kept]), np.linspace(values[kept][0], values[kept][-1], POINTS)


def _limits(curve: PchipInterpolator, x: Array, z: float) -> tuple[float | None, float | None]:
    """Return where ζ is −z and z, None where the profile does not get there."""
    zeta = curve(x)
    low = None if zeta[0] > -z else float(np.interp(-z, zeta, x))
    high = None if zeta[-1] < z else float(np.interp(z, zeta, x))
    return low, high

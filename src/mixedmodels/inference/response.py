"""Results on the scale of a transformed response, with standard errors by the delta method."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import SpecError
from ..fit import Fit
from ..likelihood.links import Link
from ..typing import Array

Curve = Callable[[Array], Array]
LN10, LN2 = float(np.log(10.0)), float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Response:
    """A response modelled as η = g(y + shift): `back` is g⁻¹ with its first three derivatives.

    `ratio` is what the exponential of a difference is, "ratio" for logarithms and "odds" for logits; empty where it is
    nothing. `compared` takes that exponential and its slope, where it is not `back` itself.
    """

    back: Curve
    slope: Curve
    bend: Curve
    twist: Curve
    ratio: str = ""
    shift: float = 0.0
    variance: float = 0.0
    """σ² of the bias adjustment g⁻¹(η) + ½σ²(g⁻¹)''(η), the mean of g⁻¹(η + σZ) to second order."""
    compared: tuple[Curve, Curve] | None = None

    def mean(self, eta: Array) -> Array:
        """Return the mean on the response's scale."""
        return self.back(eta) + 0.5 * self.variance * self.bend(eta) - self.shift

    def mean_slope(self, eta: Array) -> Array:
        """Return the derivative of `mean`."""
        return self.slope(eta) + 0.5 * self.variance * self.twist(eta)

    def of_differences(self) -> Response | None:
        """Return the curve that takes differences to ratios, None where they do not transform."""
        if not self.ratio or self.shift != 0.0:
            return None
        # the bias of a ratio is not that of a mean
        plain = replace(self, variance=0.0)
        return (
            plain if self.compared is None else replace(plain, back=self.compared[0], slope=self.compared[1])
        )

    def apply(self, found: dict[str, Array], *, ratio: bool) -> str:
        """Change estimates, standard errors and limits in place and return a note; tests stay as they are."""
        curve = self.of_differences() if ratio else self
        if curve is None:
            return (
                "contrasts are on the scale of the model: differences do not transform back; regrid() first for "
                "differences on the response's scale"
            )
        found["std_error"] = np.abs(curve.mean_slope(found["estimate"])) * found["std_error"]
        found["estimate"], low, high = (
            curve.mean(found[name]) for name in ("estimate", "conf_low", "conf_high")
        )
        # a link may fall as the mean rises
        found["conf_low"], found["conf_high"] = np.minimum(low, high), np.maximum(low, high)
        kind = (
            RATIOS[self.ratio] if ratio else "back-transformed from the scale of the model" + self.bias_note
        )
        return f"{kind}; tests and intervals computed on the scale of the model"

    @property
    def bias_note(self) -> str:
        """What is said of the bias adjustment."""
        return f", bias adjusted with sigma = {np.sqrt(self.variance):.5g}" if self.variance else ""


RATIOS = {"ratio": "ratios of means on the response's scale", "odds": "odds ratios"}

RESPONSES: Mapping[str, Response] = {
    "log": Response(np.exp, np.exp, np.exp, np.exp, ratio="ratio"),
    "log10": Response(
        lambda v: 10.0**v,
        lambda v: LN10 * 10.0**v,
        lambda v: LN10**2 * 10.0**v,
        lambda v: LN10**3 * 10.0**v,
        ratio="ratio",
    ),
    "log2": Response(
        np.exp2,
        lambda v: LN2 * np.exp2(v),
        lambda v: LN2**2 * np.exp2(v),
        lambda v: LN2**3 * np.exp2(v),
        ratio="ratio",
    ),
    "log1p": Response(np.expm1, np.exp, np.exp, np.exp),
    "sqrt": Response(np.square, lambda v: 2.0 * v, lambda v: np.full_like(v, 2.0), np.zeros_like),
}

_CALL = re.compile(
    r"\s*(?:np\.)?(\w+)\(\s*(?:[\w.]+|`[^`]+`)\s*(?:([+-])\s*([\d.]+(?:[eE][+-]?\d+)?))?\s*\)\s*"
)


def response_of(fit: Fit, sigma: float | None = None) -> Response:
    """Return how means of a fit are on the response's scale: by its link, or by the transformation of its response."""
    known = fit.distribution
    if known is None:
        return read_response(fit.spec.response, sigma)
    if known.link is None or known.levels[2:]:
        raise SpecError(
            f"family {fit.family!r} has no mean of one number; its categories have probabilities."
        )
    _check_sigma(sigma)
    variance = 0.0 if sigma is None else sigma**2
    if known.family.name == "lognormal":
        half = 0.5 * fit.dispersion
        curve = partial(_shifted_exponential, half)
        return Response(curve, curve, curve, curve, "ratio", variance=variance, compared=(np.exp, np.exp))
    return replace(response_by_link(known.link), variance=variance)


def response_by_link(link: Link) -> Response:
    """Return the way from a predictor to its own scale by a link."""
    back, slope, bend, twist = (partial(_inverse, link, k) for k in range(4))
    return Response(back, slope, bend, twist, link.ratio or "", compared=(np.exp, np.exp))


def _inverse(link: Link, order: int, eta: Array) -> Array:
    """Return a derivative of the inverse link."""
    with np.errstate(all="ignore"):
        return np.asarray(link.inverse(np.asarray(eta, dtype=float))[order])


def _shifted_exponential(shift: float, eta: Array) -> Array:
    return np.asarray(np.exp(eta + shift))


def _check_sigma(sigma: float | None) -> None:
    if sigma is not None and not sigma > 0:
        raise SpecError(
            f"bias_sigma={sigma!r} must be positive: the standard deviation of the response modelled."
        )


def read_response(text: str, sigma: float | None = None) -> Response:
    """Return the transformation a response is modelled through; `SpecError` where it has no known inverse.

    Examples
    --------
    >>> read_response("log(y + 1)").shift
    1.0
    """
    found = _CALL.fullmatch(text)
    if found is None or found.group(1) not in RESPONSES:
        known = ", ".join(f"{name}(y)" for name in RESPONSES)
        raise SpecError(
            f"the response {text!r} has no known inverse, so that its means cannot be transformed back. Known: "
            f"{known}, also of y + a number."
        )
    shift = float(found.group(3) or 0.0) * (-1.0 if found.group(2) == "-" else 1.0)
    _check_sigma(sigma)
    return replace(RESPONSES[found.group(1)], shift=shift, variance=0.0 if sigma is None else sigma**2)

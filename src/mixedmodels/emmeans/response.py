"""Results on the scale of a transformed response, with standard errors by the delta method."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..typing import Array


@dataclass(frozen=True, slots=True)
class Response:
    """A response modelled as η = g(y): `back` is g⁻¹, `slope` its derivative, `ratio` true for logarithms."""

    back: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    ratio: bool = False

    def apply(self, found: dict[str, Array], *, ratio: bool) -> str:
        """Change estimates, standard errors and limits in place and return a note; tests stay as they are."""
        if ratio and not self.ratio:
            return "contrasts are on the scale of the model: differences do not transform back"
        found["std_error"] = np.abs(self.slope(found["estimate"])) * found["std_error"]
        for name in ("estimate", "conf_low", "conf_high"):
            found[name] = self.back(found[name])
        kind = (
            "ratios of means on the response's scale"
            if ratio
            else "back-transformed from the scale of the model"
        )
        return f"{kind}; tests and intervals computed on the scale of the model"


RESPONSES: Mapping[str, Response] = {
    "log": Response(np.exp, np.exp, ratio=True),
    "log10": Response(lambda v: 10.0**v, lambda v: np.log(10.0) * 10.0**v, ratio=True),
    "log2": Response(np.exp2, lambda v: np.log(2.0) * np.exp2(v), ratio=True),
    "log1p": Response(np.expm1, np.exp),
    "sqrt": Response(np.square, lambda v: 2.0 * v),
}


def response_transform(response: str) -> str:
    """Return the name of the function the response is modelled through; `SpecError` where it has no inverse.

    Examples
    --------
    >>> response_transform("log(y)")
    'log'
    """
    found = re.fullmatch(r"\s*(\w+)\(\s*[\w.`]+\s*\)\s*", response)
    if found and found.group(1) in RESPONSES:
        return found.group(1)
    known = ", ".join(f"{name}(y)" for name in RESPONSES)
    raise SpecError(f"type='response': the response {response!r} has no known inverse. Known: {known}.")

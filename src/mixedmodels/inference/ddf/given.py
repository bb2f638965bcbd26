"""Degrees of freedom that are given: by term, in order or by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ...errors import SpecError, suggest
from ...fit import Fit
from ...typing import Array
from ..model_terms import model_terms
from .base import DegreesOfFreedom
from .by_column import involved


class GivenDf(DegreesOfFreedom):
    """Degrees of freedom given for the terms of the fixed part; other terms, and the intercept, have those of `rest`.

    Parameters
    ----------
    given
        A number for every term, numbers for the terms but the intercept in their order (None for none), or numbers by
        term.
    rest
        The method of what was not given.

    Notes
    -----
    A function takes the smallest of the terms it involves, as by containment. The covariance of β̂ is not adjusted.
    *Same as* SAS `MODEL / DDF=`, whose list goes by the order of the effects.
    """

    name: ClassVar[str] = "given"

    def __init__(self, given: Any, rest: DegreesOfFreedom, term: str = "") -> None:
        self.term = term
        pairs = isinstance(given, tuple) and bool(given) and all(isinstance(one, tuple) for one in given)
        self.given: Any = dict(given) if pairs else given
        self.rest = rest
        self.note = "as given"

    def for_term(self, term: str) -> GivenDf:
        """Return the method of the test of one term, whose functions may involve others too."""
        return GivenDf(self.given, self.rest, term)

    def describe(self, fit: Fit) -> str:
        """Return which terms have what was given, and what the others have."""
        found = self.by_term(fit)
        others = [term.name for term in model_terms(fit) if term.name not in found]
        shown = {"(Intercept)" if name == "1" else name: value for name, value in found.items()}
        listed = ", ".join(f"{name} {value:g}" for name, value in shown.items())
        return f"given ({listed})" + (f", otherwise {self.rest.describe(fit)}" if others else "")

    def by_term(self, fit: Fit) -> dict[str, float]:
        """Return the degrees of freedom that were given by the name of the term; `SpecError` where they do not go."""
        names = [term.name for term in model_terms(fit)]
        tested = [term.name for term in model_terms(fit) if not term.is_intercept]
        if isinstance(self.given, Mapping):
            given = {"1" if name == "(Intercept)" else name: value for name, value in self.given.items()}
            unknown = next((name for name in given if name not in names), None)
            if unknown is not None:
                raise SpecError(
                    f"ddf: {unknown!r} is no term of the fixed part.{suggest(str(unknown), names)} Terms: "
                    f"{', '.join(names)}."
                )
            found = given
        elif isinstance(self.given, (int, float)):
            found = dict.fromkeys(names, self.given)
        else:
            if len(self.given) != len(tested):
                raise SpecError(
                    f"ddf={list(self.given)!r} has {len(self.given)} numbers, but the fixed part has the terms "
                    f"{', '.join(tested) or '(none)'}; give a number for each in this order, None for none."
                )
            pairs = zip(tested, self.given, strict=True)
            found = {name: value for name, value in pairs if value is not None and value == value}
        for name, value in found.items():
            if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not value > 0:
                raise SpecError(f"ddf: {value!r} for {name!r} is no number above 0.")
        return {name: float(value) for name, value in found.items()}

    def df_of_rows(self, fit: Fit, functions: Array) -> Array:
        known, columns = self.by_term(fit), np.full(len(fit.design.fixed.columns), np.nan)
        for term in model_terms(fit):
            columns[list(term.place)] = known.get(term.name, np.nan)
        own = columns[list(fit.design.fixed.estimable)]
        counted = involved(fit, functions)
        least = np.where(counted & ~np.isnan(own), own, np.inf).min(axis=1, initial=np.inf)
        open_rows = (counted & np.isnan(own)).any(axis=1)
        if open_rows.any():
            least[open_rows] = np.fmin(least[open_rows], self.rest.df_of_rows(fit, functions[open_rows]))
        return np.asarray(least)

    def df_of_test(self, fit: Fit, functions: Array) -> tuple[float, float]:
        if self.term:
            own = self.by_term(fit).get(self.term)
            return self.rest.df_of_test(fit, functions) if own is None else (1.0, own)
        df = self.single(fit, functions)
        return 1.0, float(df.min()) if len(df) else float("nan")
